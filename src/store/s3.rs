//! A registry in S3, by requests that this pass presigns.

use std::time::Duration;

use anyhow::Result;
use rusty_s3::{Bucket, Credentials, S3Action, UrlStyle};

use super::environment;
use super::http::Client;
use crate::credentials::{self, Profile};
use crate::failure::Failure;

/// How long a signature is good for: as far as S3 lets clocks differ.
const SIGNED_FOR: Duration = Duration::from_secs(900);

/// Fetches an object.
pub fn get(client: &Client, bucket: &str, key: &str) -> Result<Vec<u8>> {
    let profile = Profile::load()?;
    let credentials = credentials::find(&profile)?;
    let bucket = Settings::load(&profile)?.bucket(bucket)?;
    let sign = || presigned(&bucket, &credentials, key);
    client.get(bucket.base_url().as_str(), sign)
}

fn presigned(bucket: &Bucket, credentials: &Credentials, key: &str) -> String {
    bucket.get_object(Some(credentials), key).sign(SIGNED_FOR).into()
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
    fn load(profile: &Profile) -> Result<Self> {
        let region = environment("AWS_REGION")
            .or_else(|| environment("AWS_DEFAULT_REGION"))
            .or_else(|| profile.region())
            .ok_or_else(|| {
                Failure::NoRegion.because("no region is set (AWS_REGION, AWS_DEFAULT_REGION, the profile)")
            })?;
        // It becomes part of a host name.
        if !region.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
            return Err(Failure::BadSetting
                .because("the region (AWS_REGION, AWS_DEFAULT_REGION, the profile) is no region's name"));
        }
        let endpoint = environment("AWS_ENDPOINT_URL_S3")
            .or_else(|| environment("AWS_ENDPOINT_URL"))
            .or_else(|| profile.s3_endpoint());
        let is_on = |name: &str| environment(name).is_some_and(|value| value.eq_ignore_ascii_case("true"));
        let (dualstack, fips) = (is_on("AWS_USE_DUALSTACK_ENDPOINT"), is_on("AWS_USE_FIPS_ENDPOINT"));
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
