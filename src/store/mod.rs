//! Where the registry is, and how its bytes are had.

mod answer;
mod file;
mod http;
mod proxy;
mod retry;
mod s3;

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use ureq::http::Uri;

use crate::failure::Failure;

/// A place that holds a registry.
#[derive(Debug, PartialEq, Eq)]
pub enum Location {
    /// `s3://bucket/key`
    S3 {
        /// The bucket.
        bucket: String,
        /// The object's key, as it is, not percent-encoded.
        key: String,
    },
    /// `https://...`, or `http://...` to this machine: read only.
    Url(SecretUrl),
    /// `file:///path`, the path as it is.
    File(PathBuf),
}

/// A URL whose query is a secret, because it may be presigned: it cannot be printed.
#[derive(PartialEq, Eq)]
pub struct SecretUrl(String);

impl fmt::Display for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.split_once('?') {
            Some((place, _)) => write!(f, "{place}?..."),
            None => f.write_str(&self.0),
        }
    }
}

impl fmt::Debug for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::S3 { bucket, key } => write!(f, "s3://{bucket}/{key}"),
            Self::Url(url) => url.fmt(f),
            Self::File(path) => write!(f, "file://{}", path.display()),
        }
    }
}

impl Location {
    /// Reads the value of `--registry`; `@PATH` stands for the content of that file.
    ///
    /// # Errors
    /// 64 for a value that is no location, 78 for a file that cannot be read or holds none. The value is not repeated.
    pub fn read(argument: &str) -> Result<Self> {
        let Some(path) = argument.strip_prefix('@') else {
            return Self::parse(argument).map_err(|fault| Failure::Usage.because(format!("read --registry: {fault}")));
        };
        let mut content = String::new();
        File::open(path)
            .and_then(|file| file.take(65_536).read_to_string(&mut content))
            .map_err(|error| Failure::BadSetting.because(format!("read --registry from {path}: {error}")))?;
        Self::parse(content.trim())
            .map_err(|fault| Failure::BadSetting.because(format!("read --registry from {path}: {fault}")))
    }

    fn parse(text: &str) -> Result<Self, &'static str> {
        if let Some(rest) = text.strip_prefix("s3://") {
            return s3_location(rest);
        }
        if let Some(path) = text.strip_prefix("file://") {
            let absolute = path.starts_with('/').then(|| Self::File(path.into()));
            return absolute.ok_or("file:// needs an absolute path, such as file:///srv/zk.json");
        }
        let uri: Uri = text.parse().map_err(|_| "give s3://bucket/key, https://..., file:///path or @PATH")?;
        let host = uri.host().unwrap_or_default();
        if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            return Err("a user and a password in the URL are not taken");
        }
        match uri.scheme_str() {
            Some("https") if !host.is_empty() => Ok(Self::Url(SecretUrl(text.to_owned()))),
            Some("http") if is_loopback(host) => Ok(Self::Url(SecretUrl(text.to_owned()))),
            Some("http") => Err("http:// is taken to this machine only (127.*, [::1], localhost); use https://"),
            _ => Err("give s3://bucket/key, https://..., file:///path or @PATH"),
        }
    }
}

fn s3_location(rest: &str) -> Result<Location, &'static str> {
    let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
    let is_name = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if bucket.is_empty() || matches!(bucket, "." | "..") || !bucket.chars().all(is_name) {
        return Err("the bucket in s3://bucket/key may hold letters, digits, '-', '_' and '.' only");
    }
    // The signature would be of another key: URLs resolve such segments.
    if key.split('/').any(|segment| matches!(segment, "" | "." | "..")) {
        return Err("the key in s3://bucket/key must not be empty, nor have an empty, '.' or '..' part");
    }
    if key.len() > 1024 || key.chars().any(char::is_control) {
        return Err("the key in s3://bucket/key may have 1024 bytes, and no control character");
    }
    Ok(Location::S3 { bucket: bucket.to_owned(), key: key.to_owned() })
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || address.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback())
}

/// Fetches the registry's bytes. `timeout` bounds all network work, `ca_file` replaces the built-in authorities.
///
/// # Errors
/// 65 to 69, 77 and 78, as in [`Failure`].
pub fn get(location: &Location, timeout: Duration, ca_file: Option<&Path>) -> Result<Vec<u8>> {
    let client = http::Client::new(timeout, ca_file);
    let bytes = match location {
        Location::S3 { bucket, key } => s3::get(&client, bucket, key),
        Location::Url(url) => client.get(&url.0, || url.0.clone()),
        Location::File(path) => file::get(path),
    };
    bytes.with_context(|| format!("fetch {location}"))
}

/// The value of an environment variable; an empty one is not set.
pub(crate) fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations() {
        let s3 = |bucket: &str, key: &str| Location::S3 { bucket: bucket.to_owned(), key: key.to_owned() };
        assert_eq!(Location::parse("s3://b/zk.json"), Ok(s3("b", "zk.json")));
        assert_eq!(Location::parse("s3://my.Bucket_1/a b/c%20?d#é"), Ok(s3("my.Bucket_1", "a b/c%20?d#é")));
        assert_eq!(Location::parse("file:///srv/a%20b"), Ok(Location::File("/srv/a%20b".into())));
        for taken in
            ["https://h/k?sig", "http://127.0.0.1:8333/b/k", "http://[::1]/k", "http://localhost/k", "https://h"]
        {
            assert!(matches!(Location::parse(taken), Ok(Location::Url(_))), "{taken}");
        }
        for refused in [
            "",
            "zk.json",
            "/srv/zk.json",
            "ftp://h/k",
            "http://example.com/k",
            "http://10.0.0.1/k",
            "http://127.0.0.1.x/k",
            "https://",
            "https:///k",
            "https://u:p@h/k",
            "https://h/a b",
            "file://host/path",
            "file://",
            "s3://",
            "s3://b",
            "s3://b/",
            "s3:///k",
            "s3://b/../k",
            "s3://b/a//k",
            "s3://b/a/./k",
            "s3://b/k/",
            "s3://b?/k",
            "s3://../k",
            "s3://b/k\n",
        ] {
            assert!(Location::parse(refused).is_err(), "{refused}");
        }
    }

    #[test]
    fn a_presigned_url_cannot_be_printed() {
        let location = Location::parse("https://h/k?X-Amz-Signature=secret").unwrap();
        assert_eq!(location.to_string(), "https://h/k?...");
        assert!(!format!("{location:?}").contains("secret"));
    }
}
