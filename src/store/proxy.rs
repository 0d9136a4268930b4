//! `HTTPS_PROXY` and `NO_PROXY`, in either case.

use anyhow::Result;
use ureq::http::Uri;
use ureq::{Proxy, ProxyProtocol};

use super::setting;
use crate::failure::Failure;

/// The proxy for `url`, from the environment. Plain http goes to this machine or to an endpoint set by hand: directly.
///
/// # Errors
/// 78 where `HTTPS_PROXY` is no http:// or https:// URL, or one of the two no text. It may hold a password and is not repeated.
pub fn proxy_for(url: &Uri) -> Result<Option<Proxy>> {
    if url.scheme_str() != Some("https") {
        return Ok(None);
    }
    let Some(text) = setting(["HTTPS_PROXY", "https_proxy"])? else { return Ok(None) };
    if is_exempt(url.host().unwrap_or_default(), &setting(["NO_PROXY", "no_proxy"])?.unwrap_or_default()) {
        return Ok(None);
    }
    match Proxy::new(&text) {
        Ok(proxy) if matches!(proxy.protocol(), ProxyProtocol::Http | ProxyProtocol::Https) => Ok(Some(proxy)),
        _ => Err(Failure::BadSetting.because("use HTTPS_PROXY: it is no http:// or https:// URL")),
    }
}

/// As curl and the AWS tools read it: `*`, or hosts parted by commas, each with the names under it.
fn is_exempt(host: &str, no_proxy: &str) -> bool {
    let bare = |text: &str| text.trim_matches(['[', ']']).to_ascii_lowercase();
    let host = bare(host);
    no_proxy.split(',').map(str::trim).any(|entry| {
        let entry = bare(entry.trim_start_matches('*').trim_start_matches('.'));
        let under = host.strip_suffix(&entry).is_some_and(|front| front.is_empty() || front.ends_with('.'));
        no_proxy.trim() == "*" || !entry.is_empty() && under
    })
}

#[cfg(test)]
mod tests {
    use super::is_exempt;

    #[test]
    fn no_proxy() {
        for (host, list) in [
            ("s3.eu-west-1.amazonaws.com", "amazonaws.com"),
            ("s3.eu-west-1.amazonaws.com", "x, .amazonaws.com"),
            ("S3.Example", "*.example"),
            ("127.0.0.1", "localhost, 127.0.0.1"),
            ("[::1]", "::1"),
            ("any", "*"),
        ] {
            assert!(is_exempt(host, list), "{host} {list}");
        }
        for (host, list) in [("s3.example", ""), ("s3.example", ","), ("xamazonaws.com", "amazonaws.com"), ("a", "a.b")]
        {
            assert!(!is_exempt(host, list), "{host} {list}");
        }
    }
}
