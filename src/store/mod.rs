//! Where the registry is, and how its bytes are had.

mod answer;
mod file;
mod http;
mod proxy;
pub mod retry;
mod s3;

use std::cell::Cell;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use jiff::{SignedDuration, Timestamp};
use ureq::http::Uri;

use crate::console::Console;
use crate::failure::Failure;
use crate::file::read_regular;
use crate::report::Report;

pub use answer::{Answer, Verdict, Written, element};
pub use http::{Client, Message, random};
pub use s3::{S3, region};

/// From here on a clock that is off is worth a word.
pub const CLOCK_OFFSET: Duration = Duration::from_secs(5);

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
        let content = read_regular(Path::new(path), 65_536)
            .map_err(|error| Failure::BadSetting.because(format!("read --registry from {path}: {error}")))?;
        Self::parse(String::from_utf8_lossy(&content).trim())
            .map_err(|fault| Failure::BadSetting.because(format!("read --registry from {path}: {fault}")))
    }

    /// The location, where a registry can be written to it.
    ///
    /// # Errors
    /// 64 for a URL.
    pub fn writable(self) -> Result<Self> {
        match self {
            Self::Url(_) => {
                Err(Failure::Usage.because(format!("write {self}: a URL is read only, give s3://bucket/key")))
            }
            location => Ok(location),
        }
    }

    /// When a presigned URL ends.
    #[must_use]
    pub fn ends(&self) -> Option<Timestamp> {
        let Self::Url(SecretUrl(url)) = self else { return None };
        let (_, query) = url.split_once('?')?;
        let value = |name: &str| query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
        // CloudFront's, and S3's former way.
        if let Some(end) = value("Expires") {
            return Timestamp::from_second(end.parse().ok()?).ok();
        }
        let signed = jiff::fmt::strtime::parse("%Y%m%dT%H%M%SZ", value("X-Amz-Date")?).ok()?.to_datetime().ok()?;
        let signed = signed.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp();
        signed.checked_add(Duration::from_secs(value("X-Amz-Expires")?.parse().ok()?)).ok()
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
        // What is behind it is not sent, and the parser does not look at it.
        if text.contains('#') {
            return Err("a '#' ends a URL: where it is a part of the key, write %23");
        }
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

/// A registry as it was read.
#[derive(Debug)]
pub struct Object {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// What a write on the condition that nobody wrote in between names: an `ETag`, or the bytes of a file.
    pub version: Vec<u8>,
}

/// What a write depends on.
#[derive(Clone, Copy)]
pub enum Condition<'a> {
    /// The object is as it was read.
    Is(&'a [u8]),
    /// There is no object.
    IsAbsent,
}

/// A location that is ready to be asked. Each method is one attempt.
pub enum Store<'a> {
    /// `s3://`
    S3(Box<S3<'a>>),
    /// `https://`
    Url(&'a Client, &'a SecretUrl, Cell<Option<SignedDuration>>),
    /// `file://`
    File(&'a Path),
}

impl<'a> Store<'a> {
    /// Finds what is needed to ask: for S3 credentials, region and endpoint. `unsafe_store`: to write where conditions may not
    /// hold, and without one where the store gives no `ETag`.
    ///
    /// # Errors
    /// 78 where that is not to be had, 69 and 77 where a source of credentials does not give them.
    pub fn open(location: &'a Location, client: &'a Client, unsafe_store: bool) -> Result<Self> {
        Ok(match location {
            Location::S3 { bucket, key } => Self::S3(Box::new(S3::open(client, bucket, key, unsafe_store)?)),
            Location::Url(url) => Self::Url(client, url, Cell::default()),
            Location::File(path) => Self::File(path),
        })
    }

    /// Reads the registry.
    ///
    /// # Errors
    /// Those that no store had a part in.
    pub fn read(&self) -> Result<Verdict<Object>> {
        match self {
            Self::S3(s3) => s3.read(),
            Self::Url(client, url, ahead) => {
                let answer = client.send(&url.0, &Message::default())?;
                if let Verdict::Done(answer) = &answer {
                    ahead.set(answer.time().map(|time| time.duration_since(Timestamp::now())));
                }
                let object = |answer: Answer| Object { bytes: answer.body, version: Vec::new() };
                Ok(answer.and_then(|answer| answer.judge_read().and_then(|()| Verdict::Done(object(answer)))))
            }
            Self::File(path) => Ok(file::read(path)),
        }
    }

    /// Writes the registry if the condition holds.
    ///
    /// # Errors
    /// 64 for a URL, which is read only; those that no store had a part in.
    pub fn write(&self, bytes: &[u8], condition: Condition) -> Result<Verdict<Written>> {
        match self {
            Self::S3(s3) => s3.write(bytes, condition),
            Self::Url(..) => Err(Failure::Usage.because("a URL is read only: give s3://bucket/key or file:///path")),
            Self::File(path) => file::write(path, bytes, condition),
        }
    }

    /// Whether conditions hold here: known of AWS and of files, else found out.
    ///
    /// # Errors
    /// Those that no store had a part in.
    pub fn test(&self) -> Result<Verdict<()>> {
        match self {
            Self::S3(s3) if s3.by_hand => s3.test(),
            _ => Ok(Verdict::Done(())),
        }
    }

    /// The store's time; a file system's own for a file.
    ///
    /// # Errors
    /// 74, 75 and 77 where no file can be made beside a registry in a file.
    pub fn time(&self) -> Result<Timestamp> {
        match self {
            Self::S3(s3) => Ok(s3.time()),
            Self::Url(.., ahead) => Ok(Timestamp::now() + ahead.get().unwrap_or_default()),
            Self::File(path) => file::time(path),
        }
    }

    /// Says with `-v` how far the store's clock is off, where that is worth a word.
    pub fn note_clock(&self, console: Console) {
        if let Some(ahead) = self.ahead().filter(|ahead| ahead.unsigned_abs() > CLOCK_OFFSET) {
            let way = if ahead.is_positive() { "behind" } else { "ahead of" };
            console.note(format!("this machine's clock is {} s {way} the store's", ahead.as_secs().abs()));
        }
    }

    /// How far the store's clock is ahead of ours, where its last answer told its time.
    #[must_use]
    pub fn ahead(&self) -> Option<SignedDuration> {
        match self {
            Self::S3(s3) => s3.ahead(),
            Self::Url(.., ahead) => ahead.get(),
            Self::File(_) => None,
        }
    }
}

/// Fetches the registry, trying again until the client's deadline, and notes the store's clock.
///
/// # Errors
/// 65 to 69, 77 and 78, as in [`Failure`].
pub fn fetch(location: &Location, client: &Client, report: &mut Report, console: Console) -> Result<Vec<u8>> {
    let doing = || format!("fetch {location}");
    let store = Store::open(location, client, false).with_context(doing)?;
    let object = client.retried(|| store.read()).with_context(doing);
    report.note_clock(&store);
    store.note_clock(console);
    Ok(object?.bytes)
}

/// The bytes of an environment variable, a path among them; an empty one is not set.
pub(crate) fn environment(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// The text of an environment variable, and the first one that is set of several.
///
/// # Errors
/// 78 where it is no UTF-8. What is set and broken is not passed by; it may be a secret and is not repeated.
pub(crate) fn setting<const N: usize>(names: [&str; N]) -> Result<Option<String>> {
    let Some((name, value)) = names.into_iter().find_map(|name| Some((name, environment(name)?))) else {
        return Ok(None);
    };
    let text = value.into_string().map_err(|_| Failure::BadSetting.because(format!("{name} is no UTF-8")));
    text.map(Some)
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
            "https://h/k#a",
            "https://h/k?a#\r\nb",
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
    fn when_a_presigned_url_ends() {
        let ends =
            |query: &str| Location::parse(&format!("https://h/k{query}")).unwrap().ends().map(|end| end.to_string());
        let signed = "?X-Amz-Date=20261122T033100Z&X-Amz-Expires=3600&X-Amz-Signature=s";
        assert_eq!(ends(signed).as_deref(), Some("2026-11-22T04:31:00Z"));
        assert_eq!(ends("?AWSAccessKeyId=k&Expires=1795321860&Signature=s").as_deref(), Some("2026-11-22T04:31:00Z"));
        for none in ["", "?", "?X-Amz-Date=now&X-Amz-Expires=1", "?X-Amz-Date=20261122T033100Z", "?Expires=soon"] {
            assert_eq!(ends(none), None, "{none}");
        }
    }

    #[test]
    fn a_presigned_url_cannot_be_printed() {
        let location = Location::parse("https://h/k?X-Amz-Signature=secret").unwrap();
        assert_eq!(location.to_string(), "https://h/k?...");
        assert!(!format!("{location:?}").contains("secret"));
    }
}
