//! The answers, and what a pass makes of each.

use super::server::{Answer, Step, Wire};
use super::{content, transport};
use crate::fixture::answers::answer;
use crate::fixture::registry;

#[derive(Clone)]
pub struct Row {
    pub name: &'static str,
    pub wire: Wire,
    /// To each connection in turn; the last one for ever.
    pub answers: Vec<Answer>,
    /// 69: it is asked again until the timeout. Others are final.
    pub code: i32,
    /// A part of what is printed.
    pub says: &'static str,
}

pub fn all() -> Vec<Row> {
    [transport::all(), content::all()].concat()
}

pub fn row(name: &'static str, wire: Wire, answer: Answer, code: i32, says: &'static str) -> Row {
    Row { name, wire, answers: vec![answer], code, says }
}

pub fn good() -> String {
    registry(&[("zoov1", "10.0.9.1")])
}

/// What a pass prints that got it.
pub const DONE: &str = "zoov1 10.0.0.1 -> 10.0.9.1";

pub fn status(status: &str, headers: &[&str], body: &str) -> Answer {
    vec![Step::Send(answer(status, headers, body))]
}

pub fn body(body: impl AsRef<[u8]>) -> Answer {
    let body = body.as_ref();
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    vec![Step::Send([head.as_bytes(), body].concat())]
}

pub fn raw(text: &str) -> Step {
    Step::Send(text.as_bytes().to_vec())
}

pub fn chunked(rest: &str) -> Step {
    raw(&format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{rest}"))
}
