//! The role of the EC2 instance, by its metadata service.

use anyhow::{Context, Result};
use rusty_s3::Credentials;

use super::from_json;
use crate::failure::Failure;
use crate::imds;
use crate::store::Client;

const SOURCE: &str = "the instance role";
const PATH: &str = "iam/security-credentials/";

/// The credentials of the role, where the instance has one.
pub fn find(client: &Client) -> Result<Option<Credentials>> {
    let Some(roles) = imds::get(client, PATH).context(SOURCE)? else { return Ok(None) };
    let Some(role) = roles.lines().next() else { return Ok(None) };
    let Some(json) = imds::get(client, &format!("{PATH}{role}")).context(SOURCE)? else { return Ok(None) };
    if let Some(code) = refusal(&json) {
        return Err(
            Failure::CredentialsDenied.because(format!("{SOURCE} {role:?}: the metadata service says {code:?}"))
        );
    }
    from_json(SOURCE, "Token", json.as_bytes()).map(Some)
}

/// A document that was given with 200 may say in `Code` that there are no credentials in it.
fn refusal(json: &str) -> Option<String> {
    let document: serde_json::Value = serde_json::from_str(json).ok()?;
    document["Code"].as_str().filter(|code| *code != "Success").map(|code| code.chars().take(80).collect())
}
