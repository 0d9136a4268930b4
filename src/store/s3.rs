//! A registry in S3, by requests that this call presigns.

use std::cell::Cell;
use std::time::Duration;

use anyhow::Result;
use jiff::{SignedDuration, Timestamp};
use rusty_s3::{Bucket, Credentials, S3Action, UrlStyle};

use super::answer::{Answer, Verdict, Written};
use super::http::{Client, LONGEST, Message};
use super::{Condition, Object, setting};
use crate::credentials::{self, Profile};
use crate::failure::Failure;
use crate::imds;

/// How long a signature is good for: as far as S3 lets clocks differ.
const SIGNED_FOR: Duration = Duration::from_secs(900);

/// An object's place, and the credentials of this moment.
pub struct S3<'a> {
    client: &'a Client,
    bucket: Bucket,
    credentials: Credentials,
    key: &'a str,
    /// Whether it is written without a condition where the store gives nothing to name in one.
    unsafe_store: bool,
    /// Whether the endpoint was set by hand, and so is not known to keep conditions.
    pub by_hand: bool,
    /// How far the store's clock was ahead of ours in its last answer, where it told its time.
    ahead: Cell<Option<SignedDuration>>,
    /// Whether the store has refused a signature for its time, so that its clock is to be signed by.
    refused: Cell<bool>,
}

impl<'a> S3<'a> {
    /// Finds credentials, region and endpoint.
    ///
    /// # Errors
    /// 78 where that is not to be had, 69 and 77 where a source of credentials does not give them.
    pub fn open(client: &'a Client, bucket: &str, key: &'a str, unsafe_store: bool) -> Result<Self> {
        let profile = Profile::load()?;
        let credentials = credentials::find(&profile, client)?;
        let settings = Settings::load(&profile, client)?;
        let by_hand = settings.endpoint.is_some();
        let bucket = settings.bucket(bucket)?;
        let (ahead, refused) = (Cell::default(), Cell::default());
        Ok(Self { client, bucket, credentials, key, unsafe_store, by_hand, ahead, refused })
    }

    /// The store's time, as far as it has told it.
    pub fn time(&self) -> Timestamp {
        Timestamp::now() + self.ahead.get().unwrap_or_default()
    }

    /// How far the store's clock is ahead of ours.
    pub fn ahead(&self) -> Option<SignedDuration> {
        self.ahead.get()
    }

    /// One attempt to read the object.
    ///
    /// # Errors
    /// Those that no store had a part in.
    pub fn read(&self) -> Result<Verdict<Object>> {
        let action = self.bucket.get_object(Some(&self.credentials), self.key);
        let answer = self.send(&action, &Message::default())?;
        Ok(answer.and_then(|answer| {
            let version = answer.header("etag").unwrap_or_default().to_owned();
            answer
                .judge_read()
                .and_then(|()| Verdict::Done(Object { bytes: answer.body, version: version.into_bytes() }))
        }))
    }

    /// One attempt to write the object.
    ///
    /// # Errors
    /// Those that no store had a part in.
    pub fn write(&self, bytes: &[u8], condition: Condition) -> Result<Verdict<Written>> {
        let value;
        let condition = match condition {
            Condition::IsAbsent => Some(("if-none-match", "*")),
            Condition::Is([]) if self.unsafe_store => None,
            Condition::Is([]) => return Err(Failure::UnsafeStore.because("the store gives no ETag to write by")),
            Condition::Is(version) => {
                value = String::from_utf8_lossy(version);
                Some(("if-match", value.as_ref()))
            }
        };
        let answer = self.put(self.key, condition, bytes)?;
        Ok(answer.and_then(|answer| answer.judge_write(matches!(condition, Some(("if-match", _))))))
    }

    /// One attempt to find out whether the store keeps conditions: a write, beside the object, whose condition cannot hold.
    ///
    /// # Errors
    /// Those that no store had a part in.
    pub fn test(&self) -> Result<Verdict<()>> {
        let answer = self.put(&format!("{}.probe", self.key), Some(("if-match", "\"0\"")), b"")?;
        Ok(answer.and_then(|answer| answer.judge_test()))
    }

    fn put(&self, key: &str, condition: Option<(&str, &str)>, body: &[u8]) -> Result<Verdict<Answer>> {
        let mut action = self.bucket.put_object(Some(&self.credentials), key);
        if let Some((name, value)) = condition {
            action.headers_mut().insert(name.to_owned(), value.to_owned());
        }
        self.send(&action, &Message { method: Some("PUT"), headers: condition.as_slice(), body })
    }

    /// Signs and sends; where the store refuses the signature for its time, once more by the store's clock.
    fn send<'b>(&self, action: &impl S3Action<'b>, message: &Message) -> Result<Verdict<Answer>> {
        loop {
            let now = if self.refused.get() { self.time() } else { Timestamp::now() };
            let url = action.sign_with_time(SIGNED_FOR, &now);
            if let Some(token) = self.credentials.token().filter(|_| url.as_str().len() > LONGEST) {
                let cause =
                    format!("the session token is too long: with its {} bytes the URL does not fit", token.len());
                return Err(Failure::BadSetting.because(cause));
            }
            let verdict = self.client.send(url.as_str(), message)?;
            let Verdict::Done(answer) = &verdict else { return Ok(verdict) };
            let time = answer.time();
            if let Some(time) = time {
                self.ahead.set(Some(time.duration_since(Timestamp::now())));
            }
            if time.is_none() || !answer.is_out_of_time() || self.refused.replace(true) {
                return Ok(verdict);
            }
        }
    }
}

/// Which store is asked.
#[derive(Debug)]
struct Settings {
    region: String,
    /// One that is not AWS's own.
    endpoint: Option<String>,
    dualstack: bool,
    fips: bool,
}

impl Settings {
    fn load(profile: &Profile, client: &Client) -> Result<Self> {
        let region = region(profile, client)?;
        let set = setting(["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"])?;
        let endpoint = set.or_else(|| profile.endpoint("s3"));
        let is_on = |name| setting([name]).map(|value| value.is_some_and(|value| value.eq_ignore_ascii_case("true")));
        let (dualstack, fips) = (is_on("AWS_USE_DUALSTACK_ENDPOINT")?, is_on("AWS_USE_FIPS_ENDPOINT")?);
        Ok(Self { region, endpoint, dualstack, fips })
    }

    fn bucket(self, name: &str) -> Result<Bucket> {
        let (endpoint, style) = match &self.endpoint {
            Some(endpoint) => (endpoint.clone(), UrlStyle::Path),
            None => (self.aws_endpoint(), aws_style(name)),
        };
        let cannot = |cause: String| Failure::BadSetting.because(format!("use the endpoint of the store: {cause}"));
        let endpoint = endpoint.parse().map_err(|_| cannot("AWS_ENDPOINT_URL is no URL".to_owned()))?;
        Bucket::new(endpoint, style, name.to_owned(), self.region).map_err(|error| cannot(format!("{error:?}")))
    }

    fn aws_endpoint(&self) -> String {
        let service = if self.fips { "s3-fips" } else { "s3" };
        let stack = if self.dualstack { ".dualstack" } else { "" };
        let suffix = if self.region.starts_with("cn-") { ".cn" } else { "" };
        format!("https://{service}{stack}.{}.amazonaws.com{suffix}", self.region)
    }
}

/// The region by `AWS_REGION`, `AWS_DEFAULT_REGION`, the profile, or the instance that this runs on.
///
/// # Errors
/// 78 where none of them tells it.
pub fn region(profile: &Profile, client: &Client) -> Result<String> {
    let set = setting(["AWS_REGION", "AWS_DEFAULT_REGION"])?.or_else(|| profile.region());
    let region = match set {
        Some(region) => Some(region),
        None => imds::get(client, "placement/region")?,
    };
    let none = || Failure::NoRegion.because("no region is set (AWS_REGION, AWS_DEFAULT_REGION, the profile)");
    let region = region.ok_or_else(none)?;
    // It becomes part of a host name.
    if !region.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        return Err(
            Failure::BadSetting.because("the region (AWS_REGION, AWS_DEFAULT_REGION, the profile) is no name of one")
        );
    }
    Ok(region)
}

/// The certificate of a virtual host matches one label, and a host name no capitals or underscores.
fn aws_style(bucket: &str) -> UrlStyle {
    let is_label = bucket.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    if is_label { UrlStyle::VirtualHost } else { UrlStyle::Path }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base_url(region: &str, endpoint: Option<&str>, dualstack: bool, fips: bool, bucket: &str) -> String {
        let endpoint = endpoint.map(str::to_owned);
        let settings = Settings { region: region.to_owned(), endpoint, dualstack, fips };
        settings.bucket(bucket).unwrap().base_url().to_string()
    }

    #[test]
    fn endpoints() {
        let aws = |region, dualstack, fips| base_url(region, None, dualstack, fips, "b");
        assert_eq!(aws("eu-west-1", false, false), "https://b.s3.eu-west-1.amazonaws.com/");
        assert_eq!(aws("us-east-1", true, false), "https://b.s3.dualstack.us-east-1.amazonaws.com/");
        assert_eq!(aws("us-gov-west-1", false, true), "https://b.s3-fips.us-gov-west-1.amazonaws.com/");
        assert_eq!(aws("us-east-2", true, true), "https://b.s3-fips.dualstack.us-east-2.amazonaws.com/");
        assert_eq!(aws("cn-north-1", false, false), "https://b.s3.cn-north-1.amazonaws.com.cn/");
        for bucket in ["my.bucket", "My-Bucket", "my_bucket"] {
            let expected = format!("https://s3.eu-west-1.amazonaws.com/{bucket}/");
            assert_eq!(base_url("eu-west-1", None, false, false, bucket), expected);
        }
        let minio = base_url("us-east-1", Some("http://10.0.0.9:9000/s3"), true, true, "b");
        assert_eq!(minio, "http://10.0.0.9:9000/s3/b/");
    }

    #[test]
    fn a_bad_endpoint_is_an_error() {
        for endpoint in ["10.0.0.9:9000", "ftp://h", "nonsense"] {
            let settings =
                Settings { region: "r".to_owned(), endpoint: Some(endpoint.to_owned()), dualstack: false, fips: false };
            assert!(settings.bucket("b").is_err(), "{endpoint}");
        }
    }
}
