//! The endpoint that gives a container its credentials: ECS, and EKS pod identity.

use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Context, Result};
use rusty_s3::Credentials;
use ureq::http::Uri;

use super::{document, from_json, read_token};
use crate::failure::Failure;
use crate::store::{Client, Message, environment, setting};

const SOURCE: &str = "the container's credentials endpoint";
const RELATIVE: &str = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI";
const FULL: &str = "AWS_CONTAINER_CREDENTIALS_FULL_URI";
const TOKEN_FILE: &str = "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE";
const TIMEOUT: Duration = Duration::from_secs(5);

/// The credentials of the endpoint in one of these variables, where one is set.
pub fn find(client: &Client) -> Result<Option<Credentials>> {
    let url = match (setting([RELATIVE])?, setting([FULL])?) {
        (Some(path), _) if path.starts_with('/') => format!("http://169.254.170.2{path}"),
        (Some(_), _) => {
            return Err(Failure::BadCredentials.because(format!("{RELATIVE} is no path: it begins without /")));
        }
        (None, Some(url)) => url,
        (None, None) => return Ok(None),
    };
    if !is_allowed(&url) {
        let cause = format!("{FULL} is neither https:// nor at an address that only this host reaches");
        return Err(Failure::BadCredentials.because(cause));
    }
    let token = token()?;
    let headers: Vec<(&str, &str)> = token.iter().map(|token| ("authorization", token.as_str())).collect();
    let message = Message { headers: &headers, ..Message::default() };
    let is_far = url.starts_with("https://");
    let attempt = || {
        let answer = if is_far { client.send(&url, &message)? } else { client.send_nearby(&url, &message, TIMEOUT) };
        Ok(answer.and_then(document))
    };
    from_json(SOURCE, "Token", &client.retried(attempt).context(SOURCE)?).map(Some)
}

/// Where the token may be sent: over TLS, or to this host and the addresses of ECS and EKS on it.
fn is_allowed(url: &str) -> bool {
    let Ok(uri) = url.parse::<Uri>() else { return false };
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    let is_local = match host.parse::<IpAddr>() {
        Ok(address) => address.is_loopback() || ["169.254.170.2", "169.254.170.23", "fd00:ec2::23"].contains(&host),
        Err(_) => host == "localhost",
    };
    matches!(uri.scheme_str(), Some("https")) || uri.scheme_str() == Some("http") && is_local
}

fn token() -> Result<Option<String>> {
    let token = match environment(TOKEN_FILE) {
        Some(file) => Some(read_token(SOURCE, file.as_ref())?),
        None => setting(["AWS_CONTAINER_AUTHORIZATION_TOKEN"])?,
    };
    // A line break would begin another header.
    match token.map(|token| token.trim_end_matches(['\r', '\n']).to_owned()) {
        Some(token) if token.contains(['\r', '\n']) => {
            Err(Failure::BadCredentials.because(format!("{SOURCE}: its authorization token has a line break")))
        }
        token => Ok(token),
    }
}

#[cfg(test)]
mod tests {
    use super::is_allowed;

    #[test]
    fn the_token_is_sent_to_this_host_or_over_tls_only() {
        for url in [
            "http://169.254.170.2/v2/x",
            "http://169.254.170.23/v1/credentials",
            "http://[fd00:ec2::23]/v1/credentials",
            "http://127.0.0.1:8080/x",
            "http://[::1]/x",
            "http://localhost/x",
            "https://credentials.example/x",
        ] {
            assert!(is_allowed(url), "{url}");
        }
        for url in [
            "http://169.254.169.254/x",
            "http://10.0.0.1/x",
            "http://localhost.example/x",
            "ftp://127.0.0.1/x",
            "",
            "/x",
        ] {
            assert!(!is_allowed(url), "{url}");
        }
    }
}
