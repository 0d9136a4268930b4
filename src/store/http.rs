//! The request for the registry over HTTP, tried again until the timeout where that can help.

use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use ureq::http::Uri;
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Error, Proxy};

use super::answer::{Verdict, judge};
use super::{environment, proxy, retry};
use crate::failure::Failure;
use crate::registry::MAX_BYTES;

/// Bounds on one attempt, so that one that hangs leaves time for another.
const ATTEMPT: Duration = Duration::from_secs(10);
const RESOLVE: Duration = Duration::from_secs(5);
const CONNECT: Duration = Duration::from_secs(5);

/// How this call talks to stores.
pub struct Client<'a> {
    deadline: Instant,
    ca_file: Option<&'a Path>,
}

impl<'a> Client<'a> {
    /// `timeout` starts now and bounds all that the client does.
    pub fn new(timeout: Duration, ca_file: Option<&'a Path>) -> Self {
        Self { deadline: Instant::now() + timeout, ca_file }
    }

    /// Fetches what `url` names at each attempt; `place` is one such URL, to choose proxy and TLS by.
    ///
    /// # Errors
    /// 65 to 69, 77 and 78.
    pub fn get(&self, place: &str, url: impl Fn() -> String) -> Result<Vec<u8>> {
        // The parser's message would repeat the URL.
        let uri: Uri = place.parse().ok().context(Failure::BadSetting).context("the URL cannot be read")?;
        let proxy = proxy::proxy_for(&uri)?;
        let is_https = uri.scheme_str() == Some("https");
        let roots = if is_https { roots(self.ca_file)? } else { RootCerts::WebPki };
        let mut failed = 0;
        loop {
            let left = self.deadline.saturating_duration_since(Instant::now());
            let agent = agent(left.min(ATTEMPT), is_https, proxy.clone(), roots.clone());
            let (verdict, body) = attempt(&agent, &url());
            let (failure, cause, retry_after) = match verdict {
                Verdict::Registry => return Ok(body),
                Verdict::Failed(failure, cause) => return Err(failure.because(cause)),
                Verdict::Again(failure, cause, retry_after) => (failure, cause, retry_after),
            };
            failed += 1;
            let pause = retry::pause(failed, retry_after, random());
            if pause >= self.deadline.saturating_duration_since(Instant::now()) {
                return Err(failure.because(format!("{cause}; attempts within --timeout: {failed}")));
            }
            thread::sleep(pause);
        }
    }
}

fn agent(timeout: Duration, https_only: bool, proxy: Option<Proxy>, roots: RootCerts) -> Agent {
    Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .https_only(https_only)
        .proxy(proxy)
        .tls_config(TlsConfig::builder().root_certs(roots).build())
        .user_agent(concat!("zk-hosts/", env!("CARGO_PKG_VERSION")))
        .timeout_global(Some(timeout))
        .timeout_resolve(Some(RESOLVE))
        .timeout_connect(Some(CONNECT))
        // The default of 128 KiB each, zeroed, would cost more than all the rest of a pass. A presigned URL with a long
        // session token must fit.
        .input_buffer_size(16_384)
        .output_buffer_size(16_384)
        .build()
        .new_agent()
}

fn attempt(agent: &Agent, url: &str) -> (Verdict, Vec<u8>) {
    let mut response = match agent.get(url).call() {
        Ok(response) => response,
        Err(error) => return (unanswered(&error), Vec::new()),
    };
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    // The end of a body without a length cannot be told from a cut.
    if status == 200 && !headers.contains_key("content-length") && !headers.contains_key("transfer-encoding") {
        let cause = "the store gave no Content-Length".to_owned();
        return (Verdict::Again(Failure::StoreFault, cause, None), Vec::new());
    }
    // ureq refuses a body of just the limit.
    match response.body_mut().with_config().limit(MAX_BYTES as u64 + 1).read_to_vec() {
        Ok(body) => (judge(status, &headers, &body), body),
        Err(_) if status != 200 => (judge(status, &headers, &[]), Vec::new()),
        Err(Error::BodyExceedsLimit(_)) => {
            (Verdict::Failed(Failure::Refused, "it is larger than 1 MiB".to_owned()), Vec::new())
        }
        Err(error) => (unanswered(&error), Vec::new()),
    }
}

/// No answer, or not all of it: each attempt may find another state of the network.
fn unanswered(error: &Error) -> Verdict {
    let failure = match error {
        Error::Tls(_) | Error::Rustls(_) => Failure::Tls,
        Error::Io(error) if error.kind() == io::ErrorKind::InvalidData => Failure::Tls,
        _ => Failure::Unreachable,
    };
    let cause = match error {
        // These two would print the URL.
        Error::BadUri(_) | Error::RequireHttpsOnly(_) => "the URL cannot be used".to_owned(),
        Error::Timeout(what) => format!("no answer in time ({what})"),
        Error::Io(error) => error.to_string(),
        error => error.to_string(),
    };
    Verdict::Again(failure, cause.chars().take(200).collect(), None)
}

/// The authorities to trust: `--ca-file`, else `AWS_CA_BUNDLE`, `SSL_CERT_FILE`, else the built-in ones.
fn roots(ca_file: Option<&Path>) -> Result<RootCerts> {
    let from_environment = || environment("AWS_CA_BUNDLE").or_else(|| environment("SSL_CERT_FILE")).map(Into::into);
    let Some(path) = ca_file.map(Path::to_path_buf).or_else(from_environment) else {
        return Ok(RootCerts::WebPki);
    };
    let bad = |cause: String| Failure::BadCaFile.because(format!("read the CA file {}: {cause}", path.display()));
    let pem = fs::read(&path).map_err(|error| bad(error.to_string()))?;
    let certificates: Vec<_> = parse_pem(&pem)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect();
    // ureq drops in silence what rustls cannot use.
    let is_usable = |der: &[u8]| RootCertStore::empty().add(CertificateDer::from(der)).is_ok();
    if certificates.iter().any(|certificate| is_usable(certificate.der())) {
        return Ok(RootCerts::new_with_certs(&certificates));
    }
    Err(bad("no usable certificate".to_owned()))
}

/// A number that differs from call to call and from host to host: std seeds its hash maps from the kernel.
fn random() -> u64 {
    RandomState::new().hash_one(())
}
