//! PURE: what an answer to the request for the registry means.

use std::time::Duration;

use ureq::http::HeaderMap;

use crate::failure::Failure;

/// What follows from an answer.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Its body is the registry.
    Registry,
    /// No further attempt would end better.
    Failed(Failure, String),
    /// Another attempt may; not before the store wants one.
    Again(Failure, String, Option<Duration>),
}

/// Judges an answer by its status, its headers and S3's error document.
#[must_use]
pub fn judge(status: u16, headers: &HeaderMap, body: &[u8]) -> Verdict {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let (code, message) = (element(body, "Code"), element(body, "Message"));
    let said = said(status, code.as_deref(), message.as_deref());
    let message = message.unwrap_or_default().to_ascii_lowercase();

    if let Some(region) = wrong_region(status, header("x-amz-bucket-region"), body) {
        return Verdict::Failed(Failure::WrongRegion, format!("{said}; the bucket is in {region}"));
    }
    let failure = match (status, code.as_deref().unwrap_or_default()) {
        (200, _) => return judge_body(header("content-encoding"), body),
        (201..=299, _) => Failure::NotARegistry,
        (300..=399, _) => {
            return Verdict::Failed(Failure::UnexpectedAnswer, format!("{said}; redirects are not followed"));
        }
        (400 | 403, "ExpiredToken") => Failure::Expired,
        (403, "RequestTimeTooSkewed") => Failure::ClockOff,
        (403, _) if message.contains("not yet valid") => Failure::ClockOff,
        (403, _) if message.contains("expired") => Failure::Expired,
        (403, "SignatureDoesNotMatch" | "InvalidAccessKeyId" | "InvalidToken") => Failure::BadSignature,
        (401 | 403, _) => Failure::Denied,
        (404, "NoSuchBucket") => Failure::NoBucket,
        (404, _) if header("x-amz-delete-marker") == Some("true") => {
            return Verdict::Failed(Failure::NoObject, format!("{said}; it was deleted"));
        }
        (404, _) => Failure::NoObject,
        (429 | 500..=599, _) => {
            let seconds = header("retry-after").and_then(|value| value.trim().parse().ok());
            return Verdict::Again(Failure::StoreFault, said, seconds.map(Duration::from_secs));
        }
        _ => Failure::UnexpectedAnswer,
    };
    Verdict::Failed(failure, said)
}

fn judge_body(encoding: Option<&str>, body: &[u8]) -> Verdict {
    let not = |what: String| Verdict::Failed(Failure::NotARegistry, what);
    match encoding {
        Some(encoding) if !encoding.eq_ignore_ascii_case("identity") => {
            not(format!("200 with the content encoding {}: store it uncompressed", shown(encoding, 20)))
        }
        _ if body.trim_ascii_start().starts_with(b"<") => not("200 with HTML or XML in place of JSON".to_owned()),
        _ => Verdict::Registry,
    }
}

/// The bucket's region, where the answer says that the request went to another.
fn wrong_region(status: u16, header: Option<&str>, body: &[u8]) -> Option<String> {
    let named = match status {
        301 | 307 | 308 => header.map(str::to_owned).or_else(|| element(body, "Region")),
        400 => element(body, "Region"),
        _ => None,
    };
    named.map(|region| shown(&region, 40))
}

/// Status, code and message. Nothing else of the document: S3 repeats keys, tokens and signed strings in other fields.
fn said(status: u16, code: Option<&str>, message: Option<&str>) -> String {
    let parts: Vec<&str> = [code, message].into_iter().flatten().collect();
    format!("the store answered {status} {}", shown(&parts.join(": "), 200)).trim_end().to_owned()
}

fn shown(text: &str, limit: usize) -> String {
    text.chars().take(limit).flat_map(|c| if c.is_control() { c.escape_debug().collect() } else { vec![c] }).collect()
}

/// The text of the first element of this name; S3's error documents are flat.
fn element(body: &[u8], name: &str) -> Option<String> {
    let text = String::from_utf8_lossy(body);
    let (_, rest) = text.split_once(&format!("<{name}>"))?;
    let (value, _) = rest.split_once(&format!("</{name}>"))?;
    Some(value.trim().to_owned()).filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ureq::http::{HeaderName, HeaderValue};

    type Row<'a> = (u16, &'a [(&'static str, &'static str)], String, Failure);

    fn answer(status: u16, headers: &[(&'static str, &'static str)], body: &str) -> Verdict {
        let pairs = headers.iter().map(|(n, v)| (HeaderName::from_static(n), HeaderValue::from_static(v)));
        judge(status, &pairs.collect(), body.as_bytes())
    }

    fn failure(status: u16, headers: &[(&'static str, &'static str)], body: &str) -> Failure {
        match answer(status, headers, body) {
            Verdict::Failed(failure, _) => failure,
            other => panic!("{status}: {other:?}"),
        }
    }

    #[test]
    fn final_answers() {
        let code = |code: &str| format!("<Error><Code>{code}</Code><Message>m</Message></Error>");
        let says = |message: &str| format!("<Error><Code>AccessDenied</Code><Message>{message}</Message></Error>");
        let region = [("x-amz-bucket-region", "eu-west-1")];
        let malformed = "<Code>AuthorizationHeaderMalformed</Code><Region>eu-west-1</Region>";
        let table: [Row; 24] = [
            (200, &[], "\n <!DOCTYPE html>".into(), Failure::NotARegistry),
            (200, &[("content-encoding", "gzip")], "{}".into(), Failure::NotARegistry),
            (204, &[], String::new(), Failure::NotARegistry),
            (206, &[], "{}".into(), Failure::NotARegistry),
            (301, &region, String::new(), Failure::WrongRegion),
            (307, &region, String::new(), Failure::WrongRegion),
            (301, &[], String::new(), Failure::UnexpectedAnswer),
            (302, &[("location", "https://login")], String::new(), Failure::UnexpectedAnswer),
            (304, &[], String::new(), Failure::UnexpectedAnswer),
            (400, &[], malformed.into(), Failure::WrongRegion),
            (400, &[], code("ExpiredToken"), Failure::Expired),
            (400, &[], code("InvalidRequest"), Failure::UnexpectedAnswer),
            (401, &[], String::new(), Failure::Denied),
            (403, &region, code("AccessDenied"), Failure::Denied),
            (403, &[], says("Request has expired"), Failure::Expired),
            (403, &[], says("Request is not yet valid"), Failure::ClockOff),
            (403, &[], code("RequestTimeTooSkewed"), Failure::ClockOff),
            (403, &[], code("SignatureDoesNotMatch"), Failure::BadSignature),
            (403, &[], code("InvalidAccessKeyId"), Failure::BadSignature),
            (404, &[], code("NoSuchBucket"), Failure::NoBucket),
            (404, &[], code("NoSuchKey"), Failure::NoObject),
            (404, &[("x-amz-delete-marker", "true")], String::new(), Failure::NoObject),
            (405, &[], String::new(), Failure::UnexpectedAnswer),
            (412, &[], String::new(), Failure::UnexpectedAnswer),
        ];
        for (status, headers, body, expected) in table {
            assert_eq!(failure(status, headers, &body), expected, "{status} {body}");
        }
        assert_eq!(answer(200, &[], "{}"), Verdict::Registry);
    }

    #[test]
    fn answers_that_are_tried_again() {
        let asks = |value| match answer(503, &[("retry-after", value)], "") {
            Verdict::Again(Failure::StoreFault, _, after) => after,
            other => panic!("{other:?}"),
        };
        assert_eq!(asks("3"), Some(Duration::from_secs(3)));
        assert_eq!(asks("Wed, 21 Oct 2026 07:28:00 GMT"), None);
        for status in [429, 500, 502, 503, 504, 599] {
            assert!(matches!(answer(status, &[], ""), Verdict::Again(Failure::StoreFault, _, None)), "{status}");
        }
    }

    #[test]
    fn only_code_and_message_are_repeated_and_not_much_of_them() {
        let long = "x".repeat(500);
        let body = format!(
            "<Code>AccessDenied</Code><Message>a\x1b[31m\n{long}</Message><AWSAccessKeyId>AKIA</AWSAccessKeyId>"
        );
        let Verdict::Failed(_, said) = answer(403, &[], &body) else { panic!() };
        assert!(said.starts_with("the store answered 403 AccessDenied: a\\u{1b}[31m\\nx"), "{said}");
        assert!(said.len() < 240 && !said.contains("AKIA"), "{said}");
    }
}
