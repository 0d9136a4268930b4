//! PURE: what an answer of a store means.

use std::time::Duration;

use jiff::Timestamp;
use ureq::http::HeaderMap;

use crate::console::escaped;
use crate::failure::Failure;

/// The year 9999 begins: later times have no room for what passes until they are signed by.
const LATEST: Timestamp = Timestamp::constant(253_370_764_800, 0);

/// A complete answer.
#[derive(Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body; empty where an error's body could not be read.
    pub body: Vec<u8>,
}

/// What follows from an attempt.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict<T> {
    /// It is done.
    Done(T),
    /// No further attempt would end better.
    Failed(Failure, String),
    /// Another attempt may; not before the store wants one.
    Again(Failure, String, Option<Duration>),
}

/// What a conditional write came to.
#[derive(Debug, PartialEq, Eq)]
pub enum Written {
    /// It is there.
    Landed,
    /// Somebody else wrote in between.
    Collided,
}

impl Answer {
    /// A header's value.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The store's time, where this answer tells one that a clock can show.
    #[must_use]
    pub fn time(&self) -> Option<Timestamp> {
        let server_time = element(&self.body, "ServerTime").and_then(|time| time.parse().ok());
        let time = server_time.or_else(|| {
            let zoned = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(self.header("date")?);
            zoned.ok()
        });
        time.filter(|time| (Timestamp::UNIX_EPOCH..LATEST).contains(time))
    }

    /// Whether the store refused the signature because of its time.
    #[must_use]
    pub fn is_out_of_time(&self) -> bool {
        matches!(self.judge_read(), Verdict::Failed(Failure::ClockOff | Failure::Expired, _))
            && element(&self.body, "Code").as_deref() != Some("ExpiredToken")
    }

    /// Judges the answer to a request for the registry.
    #[must_use]
    pub fn judge_read(&self) -> Verdict<()> {
        match self.status {
            200 => self.judge_body(),
            201..=299 => Verdict::Failed(Failure::NotARegistry, self.said()),
            _ => self.judge_refusal(),
        }
    }

    /// Judges the answer to a conditional write. `if_match`: on the condition that it is as it was, not that it is absent.
    #[must_use]
    pub fn judge_write(&self, if_match: bool) -> Verdict<Written> {
        match self.status {
            // S3 says an error with 200 too, and something may answer in its place. Whether it is written tells a read.
            200 | 201 | 204 if !self.is_markup() => Verdict::Done(Written::Landed),
            200..=299 => Verdict::Again(Failure::StoreFault, format!("{}, not that it is written", self.said()), None),
            409 | 412 => Verdict::Done(Written::Collided),
            404 if if_match && element(&self.body, "Code").as_deref() != Some("NoSuchBucket") => {
                Verdict::Done(Written::Collided)
            }
            _ => match self.judge_refusal() {
                Verdict::Failed(Failure::Denied, said) => Verdict::Failed(Failure::WriteDenied, said),
                verdict => verdict.and_then(|()| Verdict::Done(Written::Landed)),
            },
        }
    }

    /// Judges the answer to a write whose condition never holds: done where the store kept it.
    #[must_use]
    pub fn judge_test(&self) -> Verdict<()> {
        match self.status {
            404 | 409 | 412 if element(&self.body, "Code").as_deref() != Some("NoSuchBucket") => Verdict::Done(()),
            200..=299 => {
                Verdict::Failed(Failure::UnsafeStore, "a write whose condition cannot hold was taken".to_owned())
            }
            501 => Verdict::Failed(Failure::UnsafeStore, self.said()),
            _ => match self.judge_refusal() {
                Verdict::Failed(Failure::Denied, said) => Verdict::Failed(Failure::TestDenied, said),
                verdict => verdict,
            },
        }
    }

    fn judge_body(&self) -> Verdict<()> {
        let not = |what: String| Verdict::Failed(Failure::NotARegistry, what);
        match self.header("content-encoding") {
            Some(encoding) if !encoding.eq_ignore_ascii_case("identity") => {
                not(format!("200 with the content encoding {}: store it uncompressed", shown(encoding, 20)))
            }
            _ if self.is_markup() => not("200 with HTML or XML in place of JSON".to_owned()),
            _ => Verdict::Done(()),
        }
    }

    /// Whether the body is HTML or XML.
    fn is_markup(&self) -> bool {
        self.body.trim_ascii_start().starts_with(b"<")
    }

    /// All but 2xx, read by its status, its headers and S3's error document.
    fn judge_refusal(&self) -> Verdict<()> {
        let (code, said) = (element(&self.body, "Code").unwrap_or_default(), self.said());
        let message = element(&self.body, "Message").unwrap_or_default().to_ascii_lowercase();
        if let Some(region) = self.right_region() {
            return Verdict::Failed(Failure::WrongRegion, format!("{said}; the bucket is in {region}"));
        }
        let failure = match (self.status, code.as_str()) {
            (300..=399, _) => {
                return Verdict::Failed(Failure::UnexpectedAnswer, format!("{said}; redirects are not followed"));
            }
            (403 | 404, _) if self.header("x-amz-delete-marker") == Some("true") => Failure::Deleted,
            (400 | 403, "ExpiredToken") => Failure::Expired,
            (403, "RequestTimeTooSkewed") => Failure::ClockOff,
            (403, _) if message.contains("not yet valid") => Failure::ClockOff,
            (403, _) if message.contains("expired") => Failure::Expired,
            (403, "SignatureDoesNotMatch" | "InvalidAccessKeyId" | "InvalidToken") => Failure::BadSignature,
            (401 | 403, _) => Failure::Denied,
            (404, "NoSuchBucket") => Failure::NoBucket,
            (404, _) => Failure::NoObject,
            (429 | 500..=599, _) => {
                let seconds = self.header("retry-after").and_then(|value| value.trim().parse().ok());
                return Verdict::Again(Failure::StoreFault, said, seconds.map(Duration::from_secs));
            }
            _ => Failure::UnexpectedAnswer,
        };
        Verdict::Failed(failure, said)
    }

    /// The bucket's region, where the answer says that the request went to another.
    fn right_region(&self) -> Option<String> {
        let named = match self.status {
            301 | 307 | 308 => {
                self.header("x-amz-bucket-region").map(str::to_owned).or_else(|| element(&self.body, "Region"))
            }
            400 => element(&self.body, "Region"),
            _ => None,
        };
        named.map(|region| shown(&region, 40))
    }

    /// Status, code and message. Nothing else of the document: S3 repeats keys, tokens and signed strings in other fields.
    #[must_use]
    pub fn said(&self) -> String {
        let parts: Vec<String> = ["Code", "Message"].into_iter().filter_map(|name| element(&self.body, name)).collect();
        format!("the store answered {} {}", self.status, shown(&parts.join(": "), 200)).trim_end().to_owned()
    }
}

impl<T> Verdict<T> {
    /// Goes on with what was done.
    pub fn and_then<U>(self, next: impl FnOnce(T) -> Verdict<U>) -> Verdict<U> {
        match self {
            Self::Done(done) => next(done),
            Self::Failed(failure, cause) => Verdict::Failed(failure, cause),
            Self::Again(failure, cause, after) => Verdict::Again(failure, cause, after),
        }
    }
}

/// As much of a foreign text as fits once it is escaped.
fn shown(text: &str, limit: usize) -> String {
    let start: String = text.chars().take(limit).collect();
    escaped(&start).chars().take(limit).collect()
}

/// The text of the first element of this name; S3's and STS's documents are flat where it matters.
#[must_use]
pub fn element(body: &[u8], name: &str) -> Option<String> {
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

    fn answer(status: u16, headers: &[(&'static str, &'static str)], body: &str) -> Answer {
        let pairs = headers.iter().map(|(n, v)| (HeaderName::from_static(n), HeaderValue::from_static(v)));
        Answer { status, headers: pairs.collect(), body: body.as_bytes().to_vec() }
    }

    #[test]
    fn final_answers_to_a_read() {
        let code = |code: &str| format!("<Error><Code>{code}</Code><Message>m</Message></Error>");
        let says = |message: &str| format!("<Error><Code>AccessDenied</Code><Message>{message}</Message></Error>");
        let region = [("x-amz-bucket-region", "eu-west-1")];
        let malformed = "<Code>AuthorizationHeaderMalformed</Code><Region>eu-west-1</Region>";
        let table: [Row; 25] = [
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
            (404, &[("x-amz-delete-marker", "true")], String::new(), Failure::Deleted),
            (403, &[("x-amz-delete-marker", "true")], String::new(), Failure::Deleted),
            (405, &[], String::new(), Failure::UnexpectedAnswer),
            (412, &[], String::new(), Failure::UnexpectedAnswer),
        ];
        for (status, headers, body, expected) in table {
            match answer(status, headers, &body).judge_read() {
                Verdict::Failed(failure, _) => assert_eq!(failure, expected, "{status} {body}"),
                other => panic!("{status}: {other:?}"),
            }
        }
        assert_eq!(answer(200, &[], "{}").judge_read(), Verdict::Done(()));
        assert_eq!(answer(200, &[("content-encoding", "Identity")], "{}").judge_read(), Verdict::Done(()));
    }

    #[test]
    fn answers_to_a_write_and_to_the_test_of_the_store() {
        let write = |status, if_match, body: &str| answer(status, &[], body).judge_write(if_match);
        for status in [200, 201, 204] {
            assert_eq!(write(status, true, " \n"), Verdict::Done(Written::Landed));
            for body in ["<!DOCTYPE html>", "\n<Error><Code>InternalError</Code></Error>"] {
                assert!(matches!(write(status, true, body), Verdict::Again(Failure::StoreFault, _, None)), "{body}");
            }
        }
        for status in [202, 203, 206, 226, 299] {
            assert!(matches!(write(status, false, ""), Verdict::Again(Failure::StoreFault, _, None)), "{status}");
        }
        for status in [409, 412] {
            assert_eq!(write(status, true, ""), Verdict::Done(Written::Collided));
            assert_eq!(write(status, false, ""), Verdict::Done(Written::Collided));
        }
        assert_eq!(write(404, true, "<Code>NoSuchKey</Code>"), Verdict::Done(Written::Collided));
        assert!(matches!(write(404, true, "<Code>NoSuchBucket</Code>"), Verdict::Failed(Failure::NoBucket, _)));
        assert!(matches!(write(404, false, ""), Verdict::Failed(Failure::NoObject, _)));
        assert!(matches!(write(403, true, "<Code>AccessDenied</Code>"), Verdict::Failed(Failure::WriteDenied, _)));
        assert!(matches!(write(503, true, ""), Verdict::Again(Failure::StoreFault, _, None)));

        let test = |status| answer(status, &[], "").judge_test();
        for status in [404, 409, 412] {
            assert_eq!(test(status), Verdict::Done(()), "{status}");
        }
        let no_bucket = answer(404, &[], "<Code>NoSuchBucket</Code>").judge_test();
        assert!(matches!(no_bucket, Verdict::Failed(Failure::NoBucket, _)));
        // Not implemented: so say stores that know no conditions.
        assert!(matches!(test(501), Verdict::Failed(Failure::UnsafeStore, _)));
        assert!(matches!(test(200), Verdict::Failed(Failure::UnsafeStore, _)));
        assert!(matches!(test(403), Verdict::Failed(Failure::TestDenied, _)));
        assert!(matches!(test(500), Verdict::Again(..)));
    }

    #[test]
    fn answers_that_are_tried_again() {
        let asks = |value| match answer(503, &[("retry-after", value)], "").judge_read() {
            Verdict::Again(Failure::StoreFault, _, after) => after,
            other => panic!("{other:?}"),
        };
        assert_eq!(asks("3"), Some(Duration::from_secs(3)));
        assert_eq!(asks("Wed, 21 Oct 2026 07:28:00 GMT"), None);
        for status in [429, 500, 502, 503, 504, 599] {
            let verdict = answer(status, &[], "").judge_read();
            assert!(matches!(verdict, Verdict::Again(Failure::StoreFault, _, None)), "{status}");
        }
    }

    #[test]
    fn the_store_tells_its_time() {
        let date = [("date", "Sun, 22 Nov 2026 03:31:00 GMT")];
        let time = |headers: &[_], body: &str| answer(403, headers, body).time().map(|time| time.to_string());
        assert_eq!(time(&date, "").as_deref(), Some("2026-11-22T03:31:00Z"));
        let body = "<Code>RequestTimeTooSkewed</Code><ServerTime>2026-11-22T04:00:00Z</ServerTime>";
        assert_eq!(time(&date, body).as_deref(), Some("2026-11-22T04:00:00Z"));
        assert_eq!(time(&[], ""), None);
        assert_eq!(time(&[], "<ServerTime>9998-12-31T23:59:59Z</ServerTime>").as_deref(), Some("9998-12-31T23:59:59Z"));
        for none in ["9999-12-30T22:00:00Z", "1969-12-31T23:59:59Z", "-000001-01-01T00:00:00Z"] {
            assert_eq!(time(&[], &format!("<ServerTime>{none}</ServerTime>")), None);
        }
        assert!(answer(403, &[], body).is_out_of_time());
        assert!(answer(403, &[], "<Code>AccessDenied</Code><Message>Request has expired</Message>").is_out_of_time());
        assert!(!answer(400, &[], "<Code>ExpiredToken</Code><Message>expired</Message>").is_out_of_time());
    }

    #[test]
    fn only_code_and_message_are_repeated_and_not_much_of_them() {
        let long = "x".repeat(500);
        let body = format!(
            "<Code>AccessDenied</Code><Message>a\x1b[31m\n{long}</Message><AWSAccessKeyId>AKIA</AWSAccessKeyId>"
        );
        let said = answer(403, &[], &body).said();
        assert!(said.starts_with("the store answered 403 AccessDenied: a\\u{1b}[31m\\nx"), "{said}");
        assert!(said.len() < 240 && !said.contains("AKIA"), "{said}");
        let said = answer(403, &[], &format!("<Message>{}</Message>", "\x1b".repeat(500))).said();
        assert_eq!(said.len(), "the store answered 403 ".len() + 200);
    }
}
