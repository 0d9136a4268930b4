//! The keys that sign the requests: from the first source that is configured. One that is half set is an error.

mod environment;
mod profile;

use anyhow::Result;
use rusty_s3::Credentials;

use crate::failure::Failure;

pub use profile::Profile;

/// Finds the credentials: environment, then profile.
///
/// # Errors
/// 78 where there are none, or where the first source that is configured cannot be used.
pub fn find(profile: &Profile) -> Result<Credentials> {
    if let Some(found) = environment::find()? {
        return Ok(found);
    }
    if let Some(found) = profile.credentials()? {
        return Ok(found);
    }
    Err(Failure::NoCredentials.because("no credentials: neither in the environment nor in a profile"))
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

#[cfg(test)]
mod tests {
    use super::complete;

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
            let error = format!("{:#}", found(id, secret, token).unwrap_err());
            assert!(error.starts_with(&format!("the source is half set: {missing} is missing")), "{error}");
        }
    }
}
