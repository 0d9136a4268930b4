//! The metadata service of EC2, version 2 only.

use std::fs;
use std::thread;
use std::time::Duration;

use anyhow::Result;

use crate::failure::Failure;
use crate::store::{Answer, Client, Message, Verdict, environment, setting};

const ENDPOINT: &str = "http://169.254.169.254";
const ENDPOINT_VARIABLE: &str = "AWS_EC2_METADATA_SERVICE_ENDPOINT";

/// It answers in milliseconds, or is not there.
const TIMEOUT: Duration = Duration::from_secs(1);

/// Whether this is a machine of EC2, by its firmware, or by an endpoint that was set.
#[must_use]
pub fn is_expected() -> bool {
    let begins =
        |path: &str, with: &str| fs::read_to_string(path).is_ok_and(|text| text.to_ascii_lowercase().starts_with(with));
    environment(ENDPOINT_VARIABLE).is_some()
        || begins("/sys/class/dmi/id/sys_vendor", "amazon ec2")
        || begins("/sys/hypervisor/uuid", "ec2")
}

/// The text at `path` under `/latest/meta-data/`. None where the service is off, is not there on a machine that is none of
/// EC2's, or has no such text. Where it is expected and does not answer, it is waited for until the client's deadline.
///
/// # Errors
/// 69 where it is expected and does not answer in time; 77 where it refuses; 78 where it is set by a variable that is no text.
pub fn get(client: &Client, path: &str) -> Result<Option<String>> {
    if setting(["AWS_EC2_METADATA_DISABLED"])?.is_some_and(|value| value.eq_ignore_ascii_case("true")) {
        return Ok(None);
    }
    let endpoint = setting([ENDPOINT_VARIABLE])?.unwrap_or_else(|| ENDPOINT.to_owned());
    let doing = |cause| format!("ask the metadata service for {path}: {cause}");
    let mut refused = false;
    loop {
        let (failure, cause) = match attempt(client, endpoint.trim_end_matches('/'), path) {
            Verdict::Done(found) => return Ok(found),
            Verdict::Failed(failure, cause) | Verdict::Again(failure, cause, _) => (failure, cause),
        };
        // One refusal may be of a token that the service forgot.
        let again = match failure {
            Failure::MetadataDenied => !std::mem::replace(&mut refused, true),
            failure => failure.code() == 69 && is_expected() && client.left() > TIMEOUT,
        };
        if !again {
            // Where it is not expected, something else answers there, or nothing.
            return if is_expected() { Err(failure.because(doing(cause))) } else { Ok(None) };
        }
        thread::sleep(if refused { Duration::ZERO } else { TIMEOUT / 2 });
    }
}

fn attempt(client: &Client, endpoint: &str, path: &str) -> Verdict<Option<String>> {
    let ttl = [("x-aws-ec2-metadata-token-ttl-seconds", "300")];
    let put = Message { method: Some("PUT"), headers: &ttl, body: b"" };
    let token = ask(client, &format!("{endpoint}/latest/api/token"), &put);
    token.and_then(|token| {
        let Some(token) = token else {
            return Verdict::Failed(Failure::MetadataOdd, "it gives no token (IMDSv2)".to_owned());
        };
        let headers = [("x-aws-ec2-metadata-token", token.as_str())];
        let get = Message { headers: &headers, ..Message::default() };
        ask(client, &format!("{endpoint}/latest/meta-data/{path}"), &get)
    })
}

fn ask(client: &Client, url: &str, message: &Message) -> Verdict<Option<String>> {
    match client.send_nearby(url, message, TIMEOUT).and_then(judge) {
        Verdict::Again(Failure::Unreachable, cause, after) => Verdict::Again(Failure::MetadataSilent, cause, after),
        verdict => verdict,
    }
}

fn judge(answer: Answer) -> Verdict<Option<String>> {
    let cause = format!("it answered {}", answer.status);
    match answer.status {
        200 => match String::from_utf8(answer.body) {
            Ok(text) => Verdict::Done(Some(text.trim().to_owned()).filter(|text| !text.is_empty())),
            Err(_) => Verdict::Failed(Failure::MetadataOdd, "it answered with no text".to_owned()),
        },
        404 => Verdict::Done(None),
        401 | 403 => Verdict::Failed(Failure::MetadataDenied, cause),
        429 | 500..=599 => Verdict::Again(Failure::StoreFault, cause, None),
        _ => Verdict::Failed(Failure::MetadataOdd, cause),
    }
}
