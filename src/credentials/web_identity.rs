//! A role that is taken with a token of another identity provider (EKS, OIDC), by STS.

use anyhow::{Context, Result};
use rusty_s3::Credentials;

use super::{Profile, complete, document, read_token};
use crate::failure::Failure;
use crate::store::{Client, Message, element, environment, region, setting};

const SOURCE: &str = "the web identity";

/// The credentials of `AWS_ROLE_ARN` by the token in `AWS_WEB_IDENTITY_TOKEN_FILE`, where these are set.
pub fn find(profile: &Profile, client: &Client) -> Result<Option<Credentials>> {
    let (file, role) = match (environment("AWS_WEB_IDENTITY_TOKEN_FILE"), setting(["AWS_ROLE_ARN"])?) {
        (Some(file), Some(role)) => (file, role),
        (None, None) => return Ok(None),
        (file, _) => {
            let missing = if file.is_some() { "AWS_ROLE_ARN" } else { "AWS_WEB_IDENTITY_TOKEN_FILE" };
            return Err(Failure::BadCredentials.because(format!("{SOURCE} is half set: {missing} is missing")));
        }
    };
    let token = read_token(SOURCE, file.as_ref())?;
    let session = setting(["AWS_ROLE_SESSION_NAME"])?.unwrap_or_else(|| "zk-hosts".to_owned());
    let form: Vec<String> = [
        ("Action", "AssumeRoleWithWebIdentity"),
        ("Version", "2011-06-15"),
        ("RoleArn", &role),
        ("RoleSessionName", &session),
        ("WebIdentityToken", token.trim()),
    ]
    .iter()
    .map(|(name, value)| format!("{name}={}", encoded(value)))
    .collect();
    let headers = [("content-type", "application/x-www-form-urlencoded"), ("accept", "application/xml")];
    let (form, endpoint) = (form.join("&"), endpoint(profile, client)?);
    let message = Message { method: Some("POST"), headers: &headers, body: form.as_bytes() };
    let body = client.retried(|| Ok(client.send(&endpoint, &message)?.and_then(document))).context(SOURCE)?;
    let part = |name: &str| element(&body, name);
    let names = ["AccessKeyId", "SecretAccessKey"];
    match complete(SOURCE, names, part(names[0]), part(names[1]), part("SessionToken"))? {
        Some(found) => Ok(Some(found)),
        None => Err(Failure::BadCredentials.because(format!("{SOURCE}: STS gives no credentials"))),
    }
}

fn endpoint(profile: &Profile, client: &Client) -> Result<String> {
    let set = setting(["AWS_ENDPOINT_URL_STS", "AWS_ENDPOINT_URL"])?;
    if let Some(endpoint) = set.or_else(|| profile.endpoint("sts")) {
        return Ok(endpoint);
    }
    let region = region(profile, client)?;
    let suffix = if region.starts_with("cn-") { ".cn" } else { "" };
    Ok(format!("https://sts.{region}.amazonaws.com{suffix}/"))
}

/// Percent-encoded for a form.
fn encoded(value: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    value
        .bytes()
        .map(|byte| if is_plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}
