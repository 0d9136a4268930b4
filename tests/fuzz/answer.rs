//! What an answer of a store means: the scan of its error document, and the verdicts.
//!
//! Two bytes choose the status, one the headers; what follows is the body.

#![no_main]

use std::time::Duration;

use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;
use ureq::http::{HeaderMap, HeaderName, HeaderValue};
use zk_hosts::console::escaped;
use zk_hosts::store::{Answer, Verdict, Written, element, retry};

const STATUSES: [u16; 24] = [
    200, 204, 206, 299, 301, 302, 304, 307, 308, 400, 401, 403, 404, 405, 409, 412, 416, 418, 429, 500, 501, 503, 599,
    999,
];

const HEADERS: [(&str, &str); 8] = [
    ("content-encoding", "gzip"),
    ("x-amz-bucket-region", "eu-west-1"),
    ("x-amz-bucket-region", "\u{1}"),
    ("x-amz-delete-marker", "true"),
    ("retry-after", "18446744073709551615"),
    ("retry-after", "-1"),
    ("date", "Thu, 30 Dec 9999 22:00:00 GMT"),
    ("date", "Sun, 22 Nov 2026 03:31:00 GMT"),
];

fuzz_target!(|data: &[u8]| {
    let Some((head, body)) = data.split_at_checked(2) else { return };
    let status = STATUSES[usize::from(head[0]) % STATUSES.len()];
    let mut headers = HeaderMap::new();
    for (_, (name, value)) in HEADERS.iter().enumerate().filter(|(bit, _)| head[1] >> bit & 1 == 1) {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
    let answer = Answer { status, headers, body: body.to_vec() };
    repeats_code_and_message_alone(&answer);
    is_judged_by_its_status(&answer);
    tells_a_time_that_can_be_signed_by(&answer);
});

/// The first element of the name, found in another way than the program's.
fn scanned(body: &[u8], name: &str) -> String {
    let find = |text: &[u8], what: &str| text.windows(what.len()).position(|window| window == what.as_bytes());
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let inner = find(body, &open).map(|at| &body[at + open.len()..]);
    let inner = inner.and_then(|rest| find(rest, &close).map(|end| &rest[..end])).unwrap_or_default();
    String::from_utf8_lossy(inner).trim().to_owned()
}

fn repeats_code_and_message_alone(answer: &Answer) {
    let parts = ["Code", "Message"].map(|name| scanned(&answer.body, name));
    for (name, part) in ["Code", "Message"].into_iter().zip(&parts) {
        assert_eq!(element(&answer.body, name).unwrap_or_default(), *part);
    }
    let parts: Vec<&str> = parts.iter().map(String::as_str).filter(|part| !part.is_empty()).collect();
    let text: String = escaped(&parts.join(": ")).chars().take(200).collect();
    let said = answer.said();
    assert_eq!(said, format!("the store answered {} {text}", answer.status).trim_end());
    assert!(!said.contains(char::is_control));
}

fn is_judged_by_its_status(answer: &Answer) {
    let status = answer.status;
    match answer.judge_read() {
        Verdict::Done(()) => assert!(status == 200 && !answer.body.trim_ascii_start().starts_with(b"<")),
        Verdict::Again(failure, cause, after) => {
            assert!(matches!(status, 429 | 500..=599) && failure.code() == 69);
            assert!(is_a_line(&cause));
            for failed in [1, 2, 3, u32::MAX] {
                assert!(retry::pause(failed, after, u64::MAX) >= after.unwrap_or(Duration::ZERO));
            }
        }
        Verdict::Failed(failure, cause) => {
            let codes: &[u8] = match status {
                200..=299 => &[65],
                400 => &[77, 78],
                401 => &[77],
                403 => &[66, 77],
                404 => &[66],
                _ => &[78],
            };
            assert!(codes.contains(&failure.code()), "{status} {failure:?}");
            assert!(is_a_line(&cause));
        }
    }
    let is_markup =
        String::from_utf8_lossy(&answer.body).trim_start_matches(|c: char| c.is_ascii_whitespace()).starts_with('<');
    for if_match in [true, false] {
        match answer.judge_write(if_match) {
            Verdict::Done(Written::Landed) => assert!(matches!(status, 200 | 201 | 204) && !is_markup),
            Verdict::Done(Written::Collided) => assert!(matches!(status, 409 | 412) || status == 404 && if_match),
            Verdict::Again(..) => assert!(matches!(status, 200..=299 | 429 | 500..=599)),
            Verdict::Failed(..) => assert!(!matches!(status, 200..=299 | 429 | 500..=599)),
        }
    }
    let has_no_bucket = scanned(&answer.body, "Code") == "NoSuchBucket";
    match answer.judge_test() {
        Verdict::Done(()) => assert!(matches!(status, 404 | 409 | 412)),
        Verdict::Again(..) => assert!(matches!(status, 429 | 500..=599)),
        Verdict::Failed(..) => assert!(status != 429 && (!matches!(status, 409 | 412) || has_no_bucket)),
    }
}

fn is_a_line(cause: &str) -> bool {
    cause.chars().count() < 400 && !cause.contains(char::is_control)
}

/// Whatever the store says that the time is, a signature can be made by it, now and later.
fn tells_a_time_that_can_be_signed_by(answer: &Answer) {
    let Some(time) = answer.time() else { return };
    let now = Timestamp::now();
    let ahead = time.duration_since(now);
    let later = (now + Duration::from_secs(86_400)) + ahead;
    let date = later.strftime("%Y%m%dT%H%M%SZ").to_string();
    assert!(date.len() == 16 && date.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{date}");
    if answer.is_out_of_time() {
        assert_eq!(answer.status, 403);
    }
}
