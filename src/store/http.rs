//! HTTP: one attempt, and attempts until the deadline where another can help.

use std::cell::OnceCell;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::iter;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};
use std::vec;

use anyhow::{Context, Result};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use ureq::config::Config;
use ureq::http::{Request, Uri};
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};
use ureq::{Agent, Error, Proxy};

use super::answer::{Answer, Verdict};
use super::{environment, proxy, retry};
use crate::failure::Failure;
use crate::file::read_settings;
use crate::registry::MAX_BYTES;

/// Bounds on one attempt, so that one that hangs leaves time for another.
const ATTEMPT: Duration = Duration::from_secs(10);
const RESOLVE: Duration = Duration::from_secs(5);
const CONNECT: Duration = Duration::from_secs(5);

/// What another attempt needs: one that the deadline cuts off would only hide why those before it failed.
const LEAST: Duration = Duration::from_millis(500);

/// The most that a file of authorities may hold: those of all the world take a quarter of a MiB.
const AUTHORITIES: u64 = 8 << 20;

/// What ureq has room for, of what goes out and of what comes in. Its default of 128 KiB each, zeroed, would cost more than all
/// the rest of a pass.
const BUFFER: usize = 16_384;

/// The longest URL and the longest header that can be sent: each line of a request must fit into the buffer.
pub const LONGEST: usize = BUFFER - 64;

/// How a call talks to servers: until a deadline, over the proxy and with the authorities that are set.
pub struct Client {
    deadline: Instant,
    ca_file: Option<PathBuf>,
    roots: OnceCell<RootCerts>,
}

/// What is sent besides the URL.
#[derive(Default)]
pub struct Message<'a> {
    /// GET where there is none.
    pub method: Option<&'static str>,
    /// Names in lower case.
    pub headers: &'a [(&'a str, &'a str)],
    /// The body.
    pub body: &'a [u8],
}

impl Client {
    /// `timeout` starts now and bounds all that the client does.
    #[must_use]
    pub fn new(timeout: Duration, ca_file: Option<PathBuf>) -> Self {
        Self { deadline: Instant::now() + timeout, ca_file, roots: OnceCell::new() }
    }

    /// What is left until the deadline.
    #[must_use]
    pub fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// Attempts until one is done or failed, or the deadline comes.
    ///
    /// # Errors
    /// Why the last attempt failed.
    pub fn retried<T>(&self, mut attempt: impl FnMut() -> Result<Verdict<T>>) -> Result<T> {
        let mut failed = 0;
        loop {
            let (failure, cause, retry_after) = match attempt()? {
                Verdict::Done(done) => return Ok(done),
                Verdict::Failed(failure, cause) => return Err(failure.because(cause)),
                Verdict::Again(failure, cause, retry_after) => (failure, cause, retry_after),
            };
            failed += 1;
            if !self.pause(retry::pause(failed, retry_after, random())) {
                return Err(failure.because(format!("{cause}; attempts within --timeout: {failed}")));
            }
        }
    }

    /// Sleeps, unless that leaves no time for another attempt: then false, at once.
    #[must_use]
    pub fn pause(&self, pause: Duration) -> bool {
        let in_time = pause.saturating_add(LEAST) < self.left();
        if in_time {
            thread::sleep(pause);
        }
        in_time
    }

    /// One attempt to a store or a service of AWS.
    ///
    /// # Errors
    /// 78 for a proxy or a CA file that cannot be used.
    pub fn send(&self, url: &str, message: &Message) -> Result<Verdict<Answer>> {
        // The parser's message would repeat the URL.
        let uri: Uri = url.parse().ok().context(Failure::BadSetting).context("the URL cannot be read")?;
        let proxy = proxy::proxy_for(&uri)?;
        let is_https = uri.scheme_str() == Some("https");
        let roots = if is_https { self.roots()? } else { RootCerts::WebPki };
        let agent = agent(self.left().min(ATTEMPT), CONNECT, is_https, proxy, roots);
        Ok(attempt(&agent, url, message))
    }

    /// One attempt to a service of this machine or its host, within `timeout`: no proxy is between.
    pub fn send_nearby(&self, url: &str, message: &Message, timeout: Duration) -> Verdict<Answer> {
        let timeout = timeout.min(self.left());
        attempt(&agent(timeout, timeout, false, None, RootCerts::WebPki), url, message)
    }

    /// The authorities to trust: `--ca-file`, else `AWS_CA_BUNDLE`, `SSL_CERT_FILE`, else the built-in ones.
    fn roots(&self) -> Result<RootCerts> {
        if let Some(roots) = self.roots.get() {
            return Ok(roots.clone());
        }
        let from_environment = || environment("AWS_CA_BUNDLE").or_else(|| environment("SSL_CERT_FILE")).map(Into::into);
        let roots = match self.ca_file.clone().or_else(from_environment) {
            Some(path) => read_roots(&path)?,
            None => RootCerts::WebPki,
        };
        Ok(self.roots.get_or_init(|| roots).clone())
    }
}

fn agent(timeout: Duration, connect: Duration, https_only: bool, proxy: Option<Proxy>, roots: RootCerts) -> Agent {
    let config = Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .https_only(https_only)
        .proxy(proxy)
        .tls_config(TlsConfig::builder().root_certs(roots).build())
        .user_agent(concat!("zk-hosts/", env!("CARGO_PKG_VERSION")))
        .timeout_global(Some(timeout))
        .timeout_resolve(Some(RESOLVE))
        .timeout_connect(Some(connect))
        .input_buffer_size(BUFFER)
        .output_buffer_size(BUFFER)
        .build();
    Agent::with_parts(config, DefaultConnector::default(), Names)
}

/// Resolves names by a thread, which is left behind when it takes too long; but hosts that are addresses already are taken as
/// they are: the metadata services of instances and containers, and stores within a site. ureq's own would panic where no
/// thread can be had.
#[derive(Debug)]
struct Names;

/// As many addresses of a name as ureq has room for.
const ADDRESSES: usize = 16;

impl Resolver for Names {
    fn resolve(&self, uri: &Uri, _: &Config, timeout: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
        let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        let port = uri.port_u16().unwrap_or(if uri.scheme_str() == Some("https") { 443 } else { 80 });
        let mut addresses = self.empty();
        match host.parse() {
            Ok(ip) => addresses.push(SocketAddr::new(ip, port)),
            Err(_) => look_up(host, port, timeout)?.take(ADDRESSES).for_each(|address| addresses.push(address)),
        }
        if addresses.is_empty() { Err(Error::HostNotFound) } else { Ok(addresses) }
    }
}

fn look_up(host: &str, port: u16, timeout: NextTimeout) -> Result<vec::IntoIter<SocketAddr>, Error> {
    let (sender, receiver) = mpsc::sync_channel(1);
    let name = (host.to_owned(), port);
    // Nobody may be there to take it.
    let started = thread::Builder::new().spawn(move || drop(sender.send(name.to_socket_addrs())));
    started.map_err(|error| io::Error::new(error.kind(), format!("no thread to look the name up: {error}")))?;
    match receiver.recv_timeout(*timeout.after) {
        Ok(found) => Ok(found?),
        Err(_) => Err(Error::Timeout(timeout.reason)),
    }
}

fn attempt(agent: &Agent, url: &str, message: &Message) -> Verdict<Answer> {
    if let Some(cause) = too_long(url, message) {
        return Verdict::Failed(Failure::BadSetting, cause);
    }
    let mut request = Request::builder().method(message.method.unwrap_or("GET")).uri(url);
    for (name, value) in message.headers {
        request = request.header(*name, *value);
    }
    let response = match message.method {
        None => request.body(()).map_err(Error::from).and_then(|request| agent.run(request)),
        Some(_) => request.body(message.body).map_err(Error::from).and_then(|request| agent.run(request)),
    };
    let mut response = match response {
        Ok(response) => response,
        Err(error) => return unanswered(&error),
    };
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    // The end of a body without a length cannot be told from a cut.
    let coding = headers.get("transfer-encoding").map(|coding| coding.as_bytes().to_ascii_lowercase());
    let is_chunked = coding.is_some_and(|coding| coding.ends_with(b"chunked"));
    if status == 200 && !headers.contains_key("content-length") && !is_chunked {
        return Verdict::Again(Failure::StoreFault, "the answer has no Content-Length".to_owned(), None);
    }
    // ureq refuses a body of just the limit.
    match response.body_mut().with_config().limit(MAX_BYTES as u64 + 1).read_to_vec() {
        Ok(body) => Verdict::Done(Answer { status, headers, body }),
        Err(_) if status != 200 => Verdict::Done(Answer { status, headers, body: Vec::new() }),
        Err(Error::BodyExceedsLimit(_)) => Verdict::Failed(Failure::Refused, "it is larger than 1 MiB".to_owned()),
        Err(error) => unanswered(&error),
    }
}

/// What of a request has no room, which no other attempt would change.
fn too_long(url: &str, message: &Message) -> Option<String> {
    let lines = message.headers.iter().map(|(name, value)| (*name, name.len() + value.len()));
    let (what, length) = iter::once(("the URL", url.len())).chain(lines).find(|(_, length)| *length > LONGEST)?;
    Some(format!("{what} is too long: {length} bytes, of at most {LONGEST}"))
}

/// No answer, or not all of it: each attempt may find another state of the network.
fn unanswered(error: &Error) -> Verdict<Answer> {
    let failure = match error {
        Error::Tls(_) | Error::Rustls(_) => Failure::Tls,
        Error::Io(error) if error.kind() == io::ErrorKind::InvalidData => Failure::Tls,
        _ => Failure::Unreachable,
    };
    let cause = match error {
        // These would print the URL, or a header of ours.
        Error::BadUri(_) | Error::RequireHttpsOnly(_) | Error::Http(_) => {
            return Verdict::Failed(Failure::BadSetting, "its URL cannot be used".to_owned());
        }
        Error::Timeout(what) => format!("no answer in time ({what})"),
        Error::Io(error) => error.to_string(),
        error => error.to_string(),
    };
    Verdict::Again(failure, cause.chars().take(200).collect(), None)
}

fn read_roots(path: &std::path::Path) -> Result<RootCerts> {
    let bad = |cause: String| Failure::BadCaFile.because(format!("read the CA file {}: {cause}", path.display()));
    let pem = read_settings(path, AUTHORITIES).map_err(|error| bad(error.to_string()))?;
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
#[must_use]
pub fn random() -> u64 {
    RandomState::new().hash_one(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_without_end_is_not_waited_for() {
        assert!(!Client::new(Duration::from_secs(9), None).pause(Duration::MAX));
    }
}
