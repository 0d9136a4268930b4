//! What the body says: registries that are none, sizes, S3's errors, clocks.

use super::server::{Step, Wire};
use super::table::{DONE, Row, body, chunked, good, raw, row, status};

use Step::Endless;
use Wire::{Http, S3};

pub fn all() -> Vec<Row> {
    [contents(), sizes(), errors(), clocks()].concat()
}

fn contents() -> Vec<Row> {
    let table: [(&'static str, &str, &'static str); 26] = [
        ("nothing", "", "$: not a JSON object"),
        ("a login page", "<!DOCTYPE html><html><form>", "HTML or XML"),
        ("an error document", " <?xml version=\"1.0\"?><Error/>", "HTML or XML"),
        ("a byte order mark", "\u{feff}{\"members\": {\"zoov1\": \"10.0.9.1\"}}", "byte order mark"),
        ("text", "OK", "$: not a JSON object"),
        ("half of it", "{\"members\": {\"zoov1\": \"10.0", "$: not a JSON object"),
        ("two of them", "{\"members\": {\"zoov1\": \"10.0.9.1\"}} {}", "$: not a JSON object"),
        ("no members", "{}", "$.members: missing"),
        ("members of nobody", "{\"members\": {\"web1\": \"10.0.9.1\"}}", "no member is named zoov"),
        ("members in a list", "{\"members\": [\"10.0.9.1\"]}", "$.members: not an object"),
        ("a key twice", "{\"members\": {}, \"members\": {\"zoov1\": \"10.0.9.1\"}}", "the key members stands twice"),
        (
            "a member twice",
            "{\"members\": {\"zoov1\": \"10.0.9.1\", \"zoov1\": \"10.0.9.2\"}}",
            "the key zoov1 stands twice",
        ),
        (
            "a member twice, by an escape",
            "{\"members\": {\"zoov1\": \"10.0.9.1\", \"zoov\\u0031\": \"10.0.9.2\"}}",
            "stands twice",
        ),
        (
            "a member twice, in capitals",
            "{\"members\": {\"zoov1\": \"10.0.9.1\", \"ZOOV1\": \"10.0.9.2\"}}",
            "stands twice, in another case",
        ),
        (
            "an address twice",
            "{\"members\": {\"zoov1\": {\"ip\": \"10.0.9.1\", \"ip\": \"10.0.9.2\"}}}",
            "the key ip stands twice",
        ),
        ("a number for an address", "{\"members\": {\"zoov1\": 167774465}}", "neither an address nor an object"),
        ("a number for ip", "{\"members\": {\"zoov1\": {\"ip\": 10.0}}}", "10.0 is not a string"),
        ("a name for an address", "{\"members\": {\"zoov1\": \"evil.example\"}}", "evil.example"),
        (
            "another line in an address",
            "{\"members\": {\"zoov1\": \"10.0.9.1\\n6.6.6.6 bank\"}}",
            "10.0.9.1\\n6.6.6.6 bank",
        ),
        ("a terminal's escape", "{\"members\": {\"zoov1\": \"\\u001b[2J\\u009b\"}}", "\\u{1b}[2J\\u{9b}"),
        ("loopback", "{\"members\": {\"zoov1\": \"127.0.0.1\"}}", "a loopback address"),
        ("the metadata service", "{\"members\": {\"zoov1\": \"169.254.169.254\"}}", "a link-local address"),
        ("a mapped address", "{\"members\": {\"zoov1\": \"::ffff:127.0.0.1\"}}", "an IPv4-mapped address"),
        ("a huge generation", "{\"generation\": 1e400, \"members\": {\"zoov1\": \"10.0.9.1\"}}", "$.generation"),
        (
            "the last generation",
            "{\"generation\": 18446744073709551615, \"members\": {\"zoov1\": \"10.0.9.1\"}}",
            "$.generation",
        ),
        ("another schema", "{\"schema\": 2, \"members\": {\"zoov1\": \"10.0.9.1\"}}", "$.schema: 2"),
    ];
    let mut rows: Vec<Row> =
        table.into_iter().map(|(name, text, says)| row(name, Http, body(text), 65, says)).collect();
    rows.push(row(
        "bytes that are no text",
        Http,
        body(b"{\"members\": {\"zoov1\": \"10.0.9.1\", \"\xff\": 1}}"),
        65,
        "not a JSON object",
    ));
    rows.push(row(
        "UTF-16",
        Http,
        body(good().encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>()),
        65,
        "not a JSON object",
    ));
    rows.push(row("NULs", Http, body([0; 4096]), 65, "not a JSON object"));
    rows.push(row("gzip in silence", Http, body(b"\x1f\x8b\x08\0\0\0\0\0\0\x03"), 65, "not a JSON object"));
    rows
}

fn members(count: usize) -> String {
    let members: Vec<String> =
        (1..=count).map(|n| format!("\"zoov{n}\":\"10.{}.{}.9\"", n >> 8 & 255, n & 255)).collect();
    format!("{{\"members\":{{{}}}}}", members.join(","))
}

fn sizes() -> Vec<Row> {
    let deep = |text: &str| format!("{{\"x\": {text}, \"members\": {{\"zoov1\": \"10.0.9.1\"}}}}");
    let long = |text: &str| text.repeat(1_000_000);
    vec![
        row("35,000 members", Http, body(members(35_000)), 2, "zoov35000 added 10.136.184.9"),
        row("a million members", Http, body(members(1_000_000)), 65, "larger than 1 MiB"),
        row(
            "a million members in a chunk",
            Http,
            vec![chunked(&format!("fffffff\r\n{}", members(1_000_000)))],
            65,
            "larger than 1 MiB",
        ),
        row(
            "a million keys that are not known",
            Http,
            body(format!("{{{}}}", long("\"\":0,"))),
            65,
            "larger than 1 MiB",
        ),
        row(
            "as many keys as fit",
            Http,
            body(format!("{{{}\"a\":1}}", "\"a\":0,".repeat(174_000))),
            65,
            "the key a stands twice",
        ),
        row("deep nesting", Http, body(deep(&("[".repeat(500_000) + &"]".repeat(500_000)))), 2, DONE),
        row("deep nesting without its end", Http, body(deep(&"[{\"\":".repeat(200_000))), 65, "not a JSON object"),
        row(
            "a deep member",
            Http,
            body(format!("{{\"members\": {{\"zoov1\": {}", "{\"ip\":".repeat(170_000))),
            65,
            "not a JSON object",
        ),
        row("a long number", Http, body(deep(&"9".repeat(1_000_000))), 2, DONE),
        row(
            "a long address",
            Http,
            body(format!("{{\"members\": {{\"zoov1\": \"{}\"}}}}", "1".repeat(1_000_000))),
            65,
            "$.members.zoov1: 111",
        ),
        row(
            "a long key, twice",
            Http,
            body(format!("{{\"{0}\": 1, \"{0}\": 1}}", "k".repeat(500_000))),
            65,
            "stands twice",
        ),
        row(
            "blanks up to the limit",
            Http,
            body(format!("{}{}", good(), " ".repeat((1 << 20) - good().len()))),
            2,
            DONE,
        ),
        row(
            "blanks beyond the limit",
            Http,
            body(format!("{}{}", good(), " ".repeat((1 << 20) + 1 - good().len()))),
            65,
            "larger than 1 MiB",
        ),
    ]
}

fn errors() -> Vec<Row> {
    let error = |code: &str, message: &str| {
        format!(
            "<Error><Code>{code}</Code><Message>{message}</Message><AWSAccessKeyId>AKID5ec2e7</AWSAccessKeyId></Error>"
        )
    };
    let says = |name, line: &str, text: &str, code, part| row(name, S3, status(line, &[], text), code, part);
    let long = error("AccessDenied", &"\u{1b}[2J\u{202e}".repeat(50_000));
    vec![
        says("denied", "403 Forbidden", &error("AccessDenied", "no"), 77, "403 AccessDenied: no"),
        says("a long message that hurts terminals", "403 Forbidden", &long, 77, "AccessDenied: \\u{1b}[2J"),
        says("a code that is no element's", "403 Forbidden", "<Code>AccessDenied<Message>m</Message>", 77, "403 m"),
        says("a key nobody knows", "403 Forbidden", &error("InvalidAccessKeyId", "no"), 77, "secret key"),
        says("no such bucket", "404 Not Found", &error("NoSuchBucket", "no"), 66, "check the bucket"),
        says("no such key", "404 Not Found", "", 66, "check the key"),
        row("deleted", S3, status("404 Not Found", &["x-amz-delete-marker: true"], ""), 66, "it was deleted"),
        row(
            "another region",
            S3,
            status("301 Moved", &["x-amz-bucket-region: us-east-1"], ""),
            78,
            "the bucket is in us-east-1",
        ),
        says("no such method", "405 Method Not Allowed", &error("MethodNotAllowed", "no"), 78, "405 MethodNotAllowed"),
        says("slow down", "503 Slow Down", &error("SlowDown", "Reduce your rate."), 69, "SlowDown"),
        row(
            "a refusal without end",
            S3,
            vec![raw("HTTP/1.1 403 Forbidden\r\n\r\n"), Endless(vec![b'x'; 1000])],
            77,
            "403",
        ),
        row("a fault without end", S3, vec![raw("HTTP/1.1 500 No\r\n\r\n"), Endless(vec![b'x'; 1000])], 69, "500"),
    ]
}

fn clocks() -> Vec<Row> {
    let skewed = |time: &str| {
        let error = format!("<Error><Code>RequestTimeTooSkewed</Code><ServerTime>{time}</ServerTime></Error>");
        status("403 Forbidden", &[], &error)
    };
    let dated = |date: &str| status("403 Forbidden", &[&format!("Date: {date}")], "<Code>RequestTimeTooSkewed</Code>");
    let asks = |seconds: &str| status("503 Slow Down", &[&format!("Retry-After: {seconds}")], "");
    let busy = || status("503 Slow Down", &[], "");
    let mut rows = vec![
        row("a clock of the year 9999", S3, skewed("9999-12-30T22:00:00.999999999Z"), 77, "clock"),
        row("a clock before the year 1", S3, skewed("-009999-01-02T00:00:00Z"), 77, "clock"),
        row("a clock that shows words", S3, skewed("noon"), 77, "clock"),
        row("a date of the year 9999", S3, dated("Thu, 30 Dec 9999 22:00:00 GMT"), 77, "clock"),
        row("a date of the year 0", S3, dated("Sat, 01 Jan 0000 00:00:00 GMT"), 77, "clock"),
        row("a date that is none", S3, dated("yesterday"), 77, "clock"),
        row("come back in a week", Http, asks("604800"), 69, "503"),
        row("come back before", Http, asks("-1"), 69, "503"),
        row("come back on a day", Http, asks("Wed, 21 Oct 2026 07:28:00 GMT"), 69, "503"),
    ];
    // The bound on the pause grows with the attempts, and with it what this is added to.
    let answers = [vec![busy(); 2], vec![asks("18446744073709551615")]].concat();
    rows.push(Row { answers, ..row("come back never", Http, Vec::new(), 69, "503") });
    rows
}
