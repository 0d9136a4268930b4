//! What a store can answer, and what a pass makes of it.

mod fixture;

use std::net::TcpListener;
use std::os::unix::fs::MetadataExt;

use fixture::answers::{Answers, answer, serve};
use fixture::{Bench, Run, registry, run, zk_hosts};

const HOSTS: &str = "127.0.0.1 localhost\n10.0.0.1 zoov1\n";

fn good() -> String {
    registry(&[("zoov1", "10.0.9.1")])
}

/// A pass against these answers, over a presigned URL. The hosts file must be touched only where the pass says so.
fn sync(answers: Vec<Vec<u8>>, timeout: &str) -> (Run, Answers) {
    let bench = Bench::new();
    let path = bench.write("hosts", HOSTS);
    let before = path.metadata().unwrap();
    let server = serve(answers);
    let run = bench.sync(&server.url(), &["--timeout", timeout]);
    assert!(!run.all().contains("5ec2e7"), "{}", run.all());
    if run.code != 2 {
        let after = path.metadata().unwrap();
        assert_eq!((after.ino(), after.ctime_nsec()), (before.ino(), before.ctime_nsec()));
        assert_eq!(bench.names(), ["hosts"]);
        assert_eq!((run.stdout.as_str(), run.stderr.lines().count()), ("", 1), "{}", run.all());
    }
    (run, server)
}

#[test]
fn final_answers_are_not_asked_for_again() {
    let s3 = |code: &str, message: &str| {
        format!(
            "<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>{message}</Message><Key>5ec2e7</Key></Error>"
        )
    };
    let region = "x-amz-bucket-region: eu-west-1";
    let malformed = s3("AuthorizationHeaderMalformed", "wrong").replace("<Key>", "<Region>eu-west-1</Region><Key>");
    let large = format!("{}{}", good(), " ".repeat(2 << 20));
    let table: [(&str, &[&str], &str, i32, &str); 27] = [
        ("200 OK", &[], "<!DOCTYPE html><html>", 65, "HTML or XML"),
        ("200 OK", &[], "", 65, "not a JSON object"),
        ("200 OK", &[], "{}", 65, "$.members: missing"),
        ("200 OK", &[], "\u{feff}{}", 65, "byte order mark"),
        ("200 OK", &[], &large, 65, "larger than 1 MiB"),
        ("200 OK", &["Content-Encoding: gzip"], "{}", 65, "content encoding gzip"),
        ("201 Created", &[], &good(), 65, "201"),
        ("204 No Content", &[], "", 65, "204"),
        ("206 Partial Content", &[], &good(), 65, "206"),
        ("301 Moved Permanently", &[region], "", 78, "the bucket is in eu-west-1"),
        ("307 Temporary Redirect", &[region], "", 78, "the bucket is in eu-west-1"),
        ("302 Found", &["Location: http://127.0.0.1:1/login"], "", 78, "redirects are not followed"),
        ("301 Moved Permanently", &["Location: https://h/5ec2e7"], "", 78, "redirects are not followed"),
        ("304 Not Modified", &[], "", 78, "304"),
        ("400 Bad Request", &[], &malformed, 78, "the bucket is in eu-west-1"),
        ("400 Bad Request", &[], &s3("ExpiredToken", "The token has expired."), 77, "new presigned URL"),
        ("400 Bad Request", &[], &s3("InvalidRequest", "no"), 78, "400 InvalidRequest: no"),
        ("401 Unauthorized", &[], "", 77, "401"),
        ("403 Forbidden", &[], &s3("AccessDenied", "Access Denied"), 77, "s3:ListBucket"),
        ("403 Forbidden", &[], &s3("AccessDenied", "Request has expired"), 77, "new presigned URL"),
        ("403 Forbidden", &[], &s3("AccessDenied", "Request is not yet valid"), 77, "clock"),
        ("403 Forbidden", &[], &s3("SignatureDoesNotMatch", "m"), 77, "secret key"),
        ("404 Not Found", &[], &s3("NoSuchKey", "m"), 66, "check the key"),
        ("404 Not Found", &[], &s3("NoSuchBucket", "m"), 66, "check the bucket"),
        ("404 Not Found", &["x-amz-delete-marker: true"], "", 66, "it was deleted"),
        ("405 Method Not Allowed", &[], "", 78, "405"),
        ("418 I'm a teapot", &[], "", 78, "418"),
    ];
    for (status, headers, body, code, says) in table {
        let (run, server) = sync(vec![answer(status, headers, body)], "20s");
        assert_eq!(run.code, code, "{status}: {}", run.all());
        assert!(run.stderr.contains(says), "{status}: {}", run.all());
        assert_eq!(server.asked().len(), 1, "{status}");
    }
}

#[test]
fn what_may_pass_is_asked_for_until_the_timeout() {
    let ok = answer("200 OK", &[], &good());
    let cut = ok[..ok.len() - 2].to_vec();
    let no_length = format!("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{}", good()).into_bytes();
    let chunked = |body: &str| format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{body}").into_bytes();
    for (name, bad) in [
        ("429", answer("429 Too Many Requests", &[], "")),
        ("500", answer("500 Internal Server Error", &[], "<Code>InternalError</Code>")),
        ("503", answer("503 Slow Down", &[], "<Code>SlowDown</Code>")),
        ("cut", cut),
        ("no length", no_length),
        ("cut chunk", chunked("40\r\n{\"mem")),
        ("no answer", Vec::new()),
        ("no HTTP", b"SSH-2.0-OpenSSH_9.2\r\n".to_vec()),
    ] {
        let (run, server) = sync(vec![bad.clone()], "1500ms");
        assert_eq!(run.code, 69, "{name}: {}", run.all());
        assert!(run.stderr.contains("attempts within --timeout"), "{name}: {}", run.all());
        assert!(server.asked().len() > 1, "{name}");

        let (run, server) = sync(vec![bad, ok.clone()], "20s");
        assert_eq!((run.code, server.asked().len()), (2, 2), "{name}: {}", run.all());
    }
    let body = good();
    let (run, _) = sync(vec![chunked(&format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len()))], "20s");
    assert_eq!(run.code, 2, "{}", run.all());
}

#[test]
fn a_store_that_asks_for_more_time_than_there_is_is_asked_once() {
    let (run, server) = sync(vec![answer("503 Slow Down", &["Retry-After: 30"], "")], "20s");
    assert_eq!((run.code, server.asked().len()), (69, 1), "{}", run.all());
}

#[test]
fn a_server_that_never_answers_is_left_at_the_timeout() {
    // Its backlog takes the connection.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let bench = Bench::new();
    bench.write("hosts", HOSTS);
    let run = bench.sync(&format!("http://{}/k", silent.local_addr().unwrap()), &["--timeout", "500ms"]);
    assert_eq!(run.code, 69);
    assert!(run.stderr.contains("no answer in time"), "{}", run.stderr);
}

#[test]
fn each_attempt_is_signed_and_nothing_but_the_host_is_sent_with_it() {
    let server = serve(vec![answer("503 Slow Down", &[], ""), answer("200 OK", &[], &good())]);
    let bench = Bench::new();
    bench.write("hosts", HOSTS);
    let mut command = bench.command("s3://bucket/zk.json");
    command.env("AWS_ENDPOINT_URL_S3", format!("http://127.0.0.1:{}", server.port)).env("AWS_REGION", "eu-west-1");
    command.env("AWS_ACCESS_KEY_ID", "AKID").env("AWS_SECRET_ACCESS_KEY", "5ec2e7").env("AWS_SESSION_TOKEN", "70ke2");
    assert_eq!(run(&mut command).code, 2);
    let asked = server.asked();
    assert_eq!(asked.len(), 2);
    for request in asked {
        assert!(request.starts_with("GET /bucket/zk.json?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKID%2F"));
        assert!(
            request.contains("&X-Amz-Expires=900&X-Amz-Security-Token=70ke2&X-Amz-SignedHeaders=host&X-Amz-Signature=")
        );
        let mut headers: Vec<String> = request
            .lines()
            .skip(1)
            .filter_map(|line| line.split_once(':'))
            .map(|(name, _)| name.to_lowercase())
            .collect();
        headers.sort();
        assert_eq!(headers, ["accept", "host", "user-agent"], "{request}");
    }
}

#[test]
fn a_proxy_is_used_for_https_and_its_password_is_not_printed() {
    let proxy = serve(vec![answer("407 Proxy Authentication Required", &[], "")]);
    let bench = Bench::new();
    bench.write("hosts", HOSTS);
    // The proxy looks the first name up, and this machine the other: no question leaves it.
    let through = |host: &str, no_proxy: &str| {
        let mut command = bench.command(&format!("https://{host}/zk.json?X-Amz-Signature=5ec2e7"));
        command.arg("--timeout=1s").env("HTTPS_PROXY", format!("http://user:pa55@127.0.0.1:{}", proxy.port));
        run(command.env("no_proxy", no_proxy))
    };
    let refused = through("s3.example", "other.example");
    assert_eq!(refused.code, 69, "{}", refused.all());
    assert!(proxy.asked()[0].starts_with("CONNECT s3.example:443 HTTP/1.1"));
    assert!(!refused.all().contains("pa55") && !refused.all().contains("5ec2e7"), "{}", refused.all());

    let count = proxy.asked().len();
    assert_eq!(through("localhost:1", "localhost").code, 69);
    assert_eq!(proxy.asked().len(), count);

    let mut command = zk_hosts();
    command.args(["sync", "--registry", "https://s3.example/k"]).env("HTTPS_PROXY", "socks5://user:pa55@127.0.0.1:1");
    let socks = run(&mut command);
    assert_eq!(socks.code, 78, "{}", socks.all());
    assert!(!socks.all().contains("pa55"), "{}", socks.all());
}

#[test]
fn a_store_without_etags_is_written_without_a_condition_by_unsafe_store_only() {
    for (name, member) in [("register", &["--id=2", "--ip=10.0.9.2"][..]), ("unregister", &["--id=1"])] {
        let call = |answers: Vec<Vec<u8>>, more: &[&str]| {
            let server = serve(answers);
            let mut command = zk_hosts();
            command.args([name, "--registry=s3://bucket/zk.json", "--timeout=20s"]).args(member).args(more);
            command.env("AWS_ENDPOINT_URL_S3", format!("http://127.0.0.1:{}", server.port)).env("AWS_REGION", "r");
            command.env("AWS_ACCESS_KEY_ID", "AKID").env("AWS_SECRET_ACCESS_KEY", "5ec2e7");
            (run(&mut command), server)
        };
        let read = || answer("200 OK", &[], &good());
        let (refused, server) = call(vec![read(), answer("412 Precondition Failed", &[], "")], &[]);
        assert_eq!((refused.code, server.asked().len()), (78, 2), "{}", refused.all());
        assert!(refused.stderr.contains("no ETag") && refused.stderr.contains("--unsafe-store"), "{}", refused.all());

        let (done, server) = call(vec![read(), answer("200 OK", &[], "")], &["--unsafe-store"]);
        assert_eq!((done.code, server.asked().len()), (0, 2), "{}", done.all());
        let written = server.asked()[1].to_ascii_lowercase();
        assert!(written.starts_with("put /bucket/zk.json?") && !written.contains("if-"), "{written}");
        assert!(written.contains("x-amz-signedheaders=host&"), "{written}");

        // Where there is one it is a condition all the same.
        let read = answer("200 OK", &["ETag: \"7\""], &good());
        let (done, server) = call(vec![read, answer("200 OK", &[], "")], &["--unsafe-store"]);
        assert_eq!(done.code, 0, "{}", done.all());
        assert!(server.asked()[1].to_ascii_lowercase().contains("if-match: \"7\"\r\n"));
    }
}
