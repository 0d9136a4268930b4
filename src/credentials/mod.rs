//! The keys that sign the requests: from the first source that is configured. One that is broken is an error.

pub mod aws_files;
mod container;
mod environment;
mod instance;
mod process;
mod profile;
mod web_identity;

use std::io;
use std::path::Path;

use anyhow::Result;
use rusty_s3::Credentials;
use serde_json::Value;

use crate::failure::Failure;
use crate::file::{SETTINGS, read_settings};
use crate::store::{Answer, Client, Verdict};

pub use profile::Profile;

/// Finds the credentials: environment, profile, web identity, container, instance.
///
/// # Errors
/// 78 where there are none, or where the first source that is configured cannot be used; 77 where it refuses, 69 where it
/// does not answer.
pub fn find(profile: &Profile, client: &Client) -> Result<Credentials> {
    if let Some(found) = environment::find()? {
        return Ok(found);
    }
    if let Some(found) = profile.credentials(client)? {
        return Ok(found);
    }
    if let Some(found) = web_identity::find(profile, client)? {
        return Ok(found);
    }
    if let Some(found) = container::find(client)? {
        return Ok(found);
    }
    if let Some(found) = instance::find(client)? {
        return Ok(found);
    }
    Err(Failure::NoCredentials
        .because("no credentials: not in the environment, a profile, a container or an instance role"))
}

/// What a source holds: all of it, nothing, or an error that names what is missing. `names` are the id's and the secret's.
fn complete(
    source: &str,
    names: [&str; 2],
    id: Option<String>,
    secret: Option<String>,
    token: Option<String>,
) -> Result<Option<Credentials>> {
    let missing = match (id, secret, token) {
        (Some(id), Some(secret), Some(token)) => return Ok(Some(Credentials::new_with_token(id, secret, token))),
        (Some(id), Some(secret), None) => return Ok(Some(Credentials::new(id, secret))),
        (None, None, None) => return Ok(None),
        (Some(_), None, _) => names[1],
        (None, ..) => names[0],
    };
    Err(Failure::BadCredentials.because(format!("{source} is half set: {missing} is missing")))
}

/// Reads the file in which a source is given its token.
fn read_token(source: &str, path: &Path) -> Result<String> {
    let text = |bytes| String::from_utf8(bytes).map_err(|_| io::Error::other("it is no UTF-8"));
    let token = read_settings(path, SETTINGS).and_then(text);
    token.map_err(|error| Failure::BadCredentials.because(format!("{source}: read {}: {error}", path.display())))
}

/// Reads the JSON document in which processes, containers and instances give credentials.
fn from_json(source: &str, token: &str, json: &[u8]) -> Result<Credentials> {
    // The parser's message could repeat a part of the document.
    let bad = |cause: &str| Failure::BadCredentials.because(format!("{source}: {cause}"));
    let document: Value = serde_json::from_slice(json).map_err(|_| bad("what it gives is no JSON"))?;
    let text = |key: &str| document[key].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    let found = complete(
        source,
        ["AccessKeyId", "SecretAccessKey"],
        text("AccessKeyId"),
        text("SecretAccessKey"),
        text(token),
    )?;
    found.ok_or_else(|| bad("what it gives has no AccessKeyId"))
}

/// What a source answered: with 200, its document.
fn document(answer: Answer) -> Verdict<Vec<u8>> {
    let said = answer.said().replacen("the store", "it", 1);
    // STS refuses a token with 400: ExpiredTokenException, InvalidIdentityToken, IDPRejectedClaim; others in words.
    let is_refused_token = || said.to_ascii_lowercase().contains("token") || said.contains("IDPRejectedClaim");
    match answer.status {
        200 => Verdict::Done(answer.body),
        401 | 403 => Verdict::Failed(Failure::CredentialsDenied, said),
        400 if is_refused_token() => Verdict::Failed(Failure::CredentialsDenied, said),
        429 | 500..=599 => Verdict::Again(Failure::StoreFault, said, None),
        _ => Verdict::Failed(Failure::BadCredentials, said),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_set_is_an_error_that_names_what_is_missing() {
        let some = || Some("x".to_owned());
        let found = |id, secret, token| complete("the source", ["ID", "SECRET"], id, secret, token);
        assert!(found(None, None, None).unwrap().is_none());
        assert!(found(some(), some(), None).unwrap().is_some());
        assert!(found(some(), some(), some()).unwrap().is_some());
        for (id, secret, token, missing) in [
            (some(), None, None, "SECRET"),
            (some(), None, some(), "SECRET"),
            (None, some(), None, "ID"),
            (None, None, some(), "ID"),
        ] {
            let error = format!("{:#}", found(id, secret, token).err().unwrap());
            assert!(error.starts_with(&format!("the source is half set: {missing} is missing")), "{error}");
        }
    }

    #[test]
    fn documents_of_credentials() {
        let whole = br#"{"AccessKeyId": "A", "SecretAccessKey": "s3cr3t", "Token": "t", "Expiration": "x"}"#;
        let keys = from_json("it", "Token", whole).unwrap();
        assert_eq!((keys.key(), keys.secret(), keys.token()), ("A", "s3cr3t", Some("t")));
        for broken in [
            &b"s3cr3t"[..],
            b"[]",
            b"{}",
            br#"{"SecretAccessKey": "s3cr3t"}"#,
            br#"{"AccessKeyId": "A", "Token": "t"}"#,
        ] {
            let error = format!("{:#}", from_json("it", "Token", broken).err().unwrap());
            assert!(error.starts_with("it") && !error.contains("s3cr3t"), "{error}");
        }
    }
}
