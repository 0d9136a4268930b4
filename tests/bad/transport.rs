//! What goes wrong before the registry is read: statuses, headers, lengths, slowness, connections, TLS.

use super::server::{Step, Wire};
use super::table::{DONE, Row, body, chunked, good, raw, row, status};

use Step::{Drip, Endless, Reset, Send, Silence};
use Wire::{Http, NoTls, Nobody, Tls};

pub fn all() -> Vec<Row> {
    [statuses(), heads(), lengths(), slow(), connections(), tls()].concat()
}

fn statuses() -> Vec<Row> {
    let ok = |line: &str| vec![raw(&format!("{line}\r\nContent-Length: {}\r\n\r\n{}", good().len(), good()))];
    let simple = |name, line: &str, code, says| row(name, Http, status(line, &[], ""), code, says);
    vec![
        row("the right answer", Http, body(good()), 2, DONE),
        row("continued first", Http, [vec![raw("HTTP/1.1 100 Continue\r\n\r\n")], body(good())].concat(), 2, DONE),
        row("continued for ever", Http, vec![Endless(b"HTTP/1.1 100 Continue\r\n\r\n".to_vec())], 69, "in time"),
        row(
            "early hints",
            Http,
            [vec![raw("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n")], body(good())].concat(),
            2,
            DONE,
        ),
        simple("another protocol", "101 Switching Protocols", 78, "101"),
        simple("nothing there", "204 No Content", 65, "204"),
        row("a part", Http, status("206 Partial Content", &["Content-Range: bytes 0-9/99"], &good()), 65, "206"),
        row("not asked for", Http, status("304 Not Modified", &["ETag: \"x\""], ""), 78, "304"),
        simple("a proxy's log-in", "407 Proxy Authentication Required", 78, "407"),
        simple("too slow, it says", "408 Request Timeout", 78, "408"),
        simple("a condition that nobody set", "412 Precondition Failed", 78, "412"),
        simple("too many", "429 Too Many Requests", 69, "429"),
        simple("a gateway", "504 Gateway Timeout", 69, "504"),
        simple("no such class", "999 Odd", 78, "999"),
        row("no status", Http, vec![raw("HTTP/1.1 OK\r\n\r\n")], 69, "invalid response status"),
        row(
            "a status of two digits",
            Http,
            vec![raw("HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n")],
            69,
            "invalid response status",
        ),
        row("HTTP/1.0", Http, ok("HTTP/1.0 200 OK"), 2, DONE),
        row("HTTP/2 by text", Http, ok("HTTP/2.0 200 OK"), 69, "invalid HTTP version"),
        row("no reason", Http, ok("HTTP/1.1 200"), 2, DONE),
        row("another protocol's greeting", Http, vec![raw("SSH-2.0-OpenSSH_9.2\r\n")], 69, "invalid HTTP version"),
        row("ICY", Http, ok("ICY 200 OK"), 69, "invalid HTTP version"),
    ]
}

fn heads() -> Vec<Row> {
    let to = |name, line: &str, location: &str| {
        row(name, Http, status(line, &[&format!("Location: {location}")], ""), 78, "redirects are not followed")
    };
    let with = |header: &[u8]| {
        let length = format!("\r\nContent-Length: {}\r\n\r\n{}", good().len(), good());
        vec![Send([b"HTTP/1.1 200 OK\r\n", header, length.as_bytes()].concat())]
    };
    vec![
        to("redirect to http", "302 Found", "http://127.0.0.1:1/login"),
        to("redirect to another host", "307 Temporary Redirect", "https://other.example/?5ec2e7"),
        to("redirect to itself", "301 Moved Permanently", "/bucket/zk.json"),
        to("redirect to a file", "308 Permanent Redirect", "file:///etc/passwd"),
        row("redirect to nowhere", Http, status("303 See Other", &[], ""), 78, "303"),
        row(
            "a line of a megabyte",
            Http,
            with(&[b"X: ".as_slice(), &b"x".repeat(1 << 20)].concat()),
            69,
            "Peer disconnected",
        ),
        row(
            "lines without end",
            Http,
            vec![raw("HTTP/1.1 200 OK\r\n"), Endless(b"X-A: b\r\n".to_vec())],
            69,
            "too many headers",
        ),
        row(
            "a line without end",
            Http,
            vec![raw("HTTP/1.1 200 OK\r\nX: "), Endless(vec![b'x'; 1000])],
            69,
            "Peer disconnected",
        ),
        row(
            "a status line without end",
            Http,
            vec![raw("HTTP/1.1 200 "), Endless(vec![b'x'; 1000])],
            69,
            "Peer disconnected",
        ),
        row(
            "a thousand lines",
            Http,
            with(format!("{}X: y", "X: y\r\n".repeat(999)).as_bytes()),
            69,
            "too many headers",
        ),
        row("a header without a colon", Http, with(b"Nonsense"), 69, "invalid header name"),
        row("a NUL in a header", Http, with(b"X: a\0b"), 69, "invalid header value"),
        row("a header that is no text", Http, with(b"ETag: \xff\xfe"), 2, DONE),
        row("a folded header", Http, with(b"X: a\r\n b"), 69, "invalid header name"),
        row("gzip, it says", Http, with(b"Content-Encoding: gzip"), 65, "content encoding gzip"),
        row("an encoding that is no text", Http, with(b"Content-Encoding: \xc2\x9b31m"), 2, DONE),
        row("identity", Http, with(b"Content-Encoding: identity"), 2, DONE),
    ]
}

fn lengths() -> Vec<Row> {
    let with = |header: &str| vec![raw(&format!("HTTP/1.1 200 OK\r\n{header}\r\n\r\n{}", good()))];
    let whole = || format!("{:x}\r\n{}\r\n", good().len(), good());
    vec![
        row("a length that is too short", Http, with("Content-Length: 20"), 65, "not a JSON object"),
        row("a length that is too long", Http, with("Content-Length: 2000"), 69, "Peer disconnected"),
        row("two lengths", Http, with("Content-Length: 20\r\nContent-Length: 99999"), 69, "conflicting content-length"),
        row("no length", Http, with("X: y"), 69, "no Content-Length"),
        row("a length below nothing", Http, with("Content-Length: -1"), 69, "not a number"),
        row("a length that no number holds", Http, with("Content-Length: 18446744073709551616"), 69, "not a number"),
        row("the largest length", Http, with("Content-Length: 18446744073709551615"), 69, "Peer disconnected"),
        row("a length in words", Http, with("Content-Length: many"), 69, "not a number"),
        row("chunks", Http, vec![chunked(&format!("{}0\r\n\r\n", whole()))], 2, DONE),
        row(
            "chunks, in another case",
            Http,
            vec![raw(&format!("HTTP/1.1 200 OK\r\nTRANSFER-ENCODING: Chunked\r\n\r\n{}0\r\n\r\n", whole()))],
            2,
            DONE,
        ),
        row("chunks, and a length", Http, with("Content-Length: 5\r\nTransfer-Encoding: chunked"), 69, "stalled"),
        row(
            "chunks without end",
            Http,
            vec![chunked(""), Endless(b"10\r\n                \r\n".to_vec())],
            65,
            "larger than 1 MiB",
        ),
        row("a chunk of no size", Http, vec![chunked("zz\r\nx\r\n0\r\n\r\n")], 69, "chunk length"),
        row("a chunk larger than numbers", Http, vec![chunked("fffffffffffffffff\r\n{}")], 69, "chunk length"),
        row("a size without end", Http, vec![chunked(""), Endless(b"0".to_vec())], 69, "stalled"),
        row("a chunk's notes without end", Http, vec![chunked("5;"), Endless(vec![b'x'; 1000])], 69, "stalled"),
        row(
            "trailers without end",
            Http,
            vec![chunked(&format!("{}0\r\n", whole())), Endless(b"X: y\r\n".to_vec())],
            69,
            "in time",
        ),
        row("chunks that are cut", Http, vec![chunked("40\r\n{\"mem")], 69, "Peer disconnected"),
        row("chunks without their end", Http, vec![chunked(&whole())], 69, "Peer disconnected"),
        row("another coding", Http, with("Transfer-Encoding: gzip"), 69, "no Content-Length"),
    ]
}

fn slow() -> Vec<Row> {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", good().len());
    vec![
        row(
            "a byte now and then of the head",
            Http,
            vec![Drip(b"HTTP/1.1 200 OK\r\nX: slow\r\n".to_vec())],
            69,
            "in time",
        ),
        row("a byte now and then of the body", Http, vec![raw(&head), Drip(b" ".to_vec())], 69, "in time"),
        row("a byte now and then of a chunk", Http, vec![chunked(""), Drip(b"1\r\n \r\n".to_vec())], 69, "in time"),
        row("silence", Http, vec![Silence], 69, "in time"),
        row("silence after the head", Http, vec![raw(&head), Silence], 69, "in time"),
        row("silence after half of the body", Http, vec![raw(&(head + &good()[..20])), Silence], 69, "in time"),
        row(
            "a refusal without its end",
            Http,
            vec![raw("HTTP/1.1 403 Forbidden\r\nContent-Length: 9\r\n\r\n"), Silence],
            77,
            "403",
        ),
    ]
}

fn connections() -> Vec<Row> {
    let start = format!("HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n{}", good());
    vec![
        row("nobody there", Nobody, Vec::new(), 69, "refused"),
        row("closed at once", Http, Vec::new(), 69, "attempts within --timeout"),
        row("reset at once", Http, vec![Reset], 69, "attempts within --timeout"),
        row("reset in the body", Http, vec![raw(&start), Reset], 69, "attempts within --timeout"),
        row("closed in the head", Http, vec![raw("HTTP/1.1 200 OK\r\nContent-")], 69, "Peer disconnected"),
        row("noise", Http, vec![Endless((0..=255).collect())], 69, "invalid HTTP version"),
        row("line breaks without end", Http, vec![Endless(b"\r\n".to_vec())], 69, "Peer disconnected"),
    ]
}

fn tls() -> Vec<Row> {
    let certificate = |name, certificate, says| row(name, Tls(certificate), body(good()), 69, says);
    let bytes = |name, bytes: &[u8], says| row(name, NoTls, vec![Send(bytes.to_vec()), Silence], 69, says);
    let record = [b"\x16\x03\x03\x40\x00\x0b\xff\xff\xff".to_vec(), vec![0; 0x3ffc]].concat();
    vec![
        row("a good certificate", Tls("good"), body(good()), 2, DONE),
        certificate("an expired certificate", "expired", "expired"),
        certificate("a certificate that is not valid yet", "early", "not valid yet"),
        certificate("another name's certificate", "wrong-name", "not valid for name"),
        certificate("no name but the common one", "no-name", "not valid for name"),
        certificate("an authority that is not trusted", "unknown-ca", "UnknownIssuer"),
        certificate("signed by itself", "self-signed", "CaUsedAsEndEntity"),
        certificate("the trusted authority itself", "ca", "CaUsedAsEndEntity"),
        certificate("an authority's own right", "an-authority", "CaUsedAsEndEntity"),
        certificate("for clients", "for-clients", "extended key usage"),
        certificate("a link that is missing", "no-chain", "UnknownIssuer"),
        certificate("SHA-1", "sha1", "UnsupportedSignatureAlgorithm"),
        bytes("plain HTTP where TLS should be", b"HTTP/1.1 400 Bad Request\r\n\r\n", "InvalidContentType"),
        bytes("an old TLS only", b"\x15\x03\x01\x00\x02\x02\x46", "ProtocolVersion"),
        bytes("no cipher in common", b"\x15\x03\x03\x00\x02\x02\x28", "HandshakeFailure"),
        row("no word after the hello", NoTls, vec![Silence], 69, "in time"),
        row("closed after the hello", NoTls, Vec::new(), 69, "attempts within --timeout"),
        row(
            "a byte now and then of the handshake",
            NoTls,
            vec![Drip(b"\x16\x03\x03\x40\x00\x02\x00\x3f\xfc".to_vec())],
            69,
            "in time",
        ),
        row("a handshake without end", NoTls, vec![Endless(record)], 69, "HandshakePayloadTooLarge"),
        row(
            "warnings without end",
            NoTls,
            vec![Endless(b"\x15\x03\x03\x00\x02\x01\x5a".to_vec())],
            69,
            "TooManyWarningAlerts",
        ),
        row(
            "an end that TLS does not vouch for",
            Tls("good"),
            vec![raw("HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n"), raw(&good())],
            69,
            "Peer disconnected",
        ),
    ]
}
