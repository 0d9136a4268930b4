//! `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and `AWS_SESSION_TOKEN`.

use anyhow::Result;
use rusty_s3::Credentials;

use super::complete;
use crate::store::setting;

const ID: &str = "AWS_ACCESS_KEY_ID";
const SECRET: &str = "AWS_SECRET_ACCESS_KEY";

/// The credentials of the environment, where they are set.
pub fn find() -> Result<Option<Credentials>> {
    complete("the environment", [ID, SECRET], setting([ID])?, setting([SECRET])?, setting(["AWS_SESSION_TOKEN"])?)
}
