//! What a store, and the way to it, can do to `register`: by a proxy in front of a real S3 server, and by one that ignores
//! conditions. What counts is what the store holds at the end.

mod fixture;

use std::net::TcpListener;
use std::time::{Duration, Instant};

use fixture::answers::answer;
use fixture::proxy::{self, Proxy, Step, What};
use fixture::weed::{self, ID, Weed, command, content, tells_no_secret};
use fixture::{Bench, Run, at, rclone, registry, run};
use jiff::{SignedDuration, Timestamp};

const KEY: &str = "zk.json";
const FOR_EVER: usize = usize::MAX;
const ADDED: &str = "zoov2 added 10.0.0.2\n";

/// A kind of request, how many of them, and what befalls these.
type Fault = (What, usize, Step);

/// A name, what befalls the first writes, how many of them, and how many are sent in all.
type Row = (&'static str, fn() -> Step, usize, usize);

/// S3's error document, which repeats what nobody should see.
fn error(status: &str, headers: &[&str], code: &str, message: &str) -> Step {
    let body = format!(
        "<Error><Code>{code}</Code><Message>{message}</Message><AWSAccessKeyId>{ID}</AWSAccessKeyId>\
         <StringToSign>X-Amz-Credential</StringToSign></Error>"
    );
    Step::Answer(answer(status, headers, &body))
}

fn denied() -> Step {
    error("403 Forbidden", &[], "AccessDenied", "Access Denied")
}

/// A run through a proxy with this script; of a minute at most where `more` does not say otherwise.
fn call(weed: &Weed, name: &str, script: Vec<Fault>, more: &[&str]) -> (Run, Proxy) {
    let proxy = proxy::start(&weed.endpoint(), script);
    let mut command = command(name, &proxy.endpoint(), KEY);
    if !more.iter().any(|argument| argument.starts_with("--timeout")) {
        command.arg("--timeout=1m");
    }
    let run = run(command.arg("--id=2").args(more));
    tells_no_secret(&run);
    (run, proxy)
}

fn register(weed: &Weed, script: Vec<Fault>, more: &[&str]) -> (Run, Proxy) {
    call(weed, "register", script, &[&["--ip=10.0.0.2", "--allow-loopback"], more].concat())
}

/// The registry's generation, and its members as `name=address`.
fn held(weed: &Weed) -> (u64, String) {
    let (generation, members) = content(&weed.get(KEY).unwrap());
    let members: Vec<String> = members.iter().map(|(name, address)| format!("{name}={address}")).collect();
    (generation, members.join(" "))
}

/// One zoov1, at generation 7.
fn seed(weed: &Weed) {
    weed.put(KEY, &registry(&[("zoov1", "10.0.0.1")]));
}

/// A run that ended with `code` in one line which says all this, and wrote nothing.
fn failed(weed: &Weed, run: &Run, code: i32, says: &[&str]) {
    assert_eq!((run.code, run.stdout.as_str(), run.stderr.lines().count()), (code, "", 1), "{}", run.all());
    assert!(says.iter().all(|part| run.stderr.contains(part)), "{says:?}: {}", run.all());
    assert_eq!(weed.get(KEY), Some(registry(&[("zoov1", "10.0.0.1")])));
}

#[test]
fn whatever_becomes_of_a_write_there_is_one_in_the_end() {
    let weed = weed::start();
    let faults: [Row; 14] = [
        ("412", || error("412 Precondition Failed", &[], "PreconditionFailed", "m"), 2, 3),
        ("409", || error("409 Conflict", &[], "ConditionalRequestConflict", "m"), 2, 3),
        ("404", || error("404 Not Found", &[], "NoSuchKey", "m"), 2, 3),
        ("503", || error("503 Slow Down", &["Retry-After: 1"], "SlowDown", "m"), 1, 2),
        ("429", || error("429 Too Many Requests", &[], "", ""), 1, 2),
        ("a portal", || Step::Answer(answer("200 OK", &[], "\n<html>Welcome</html>")), 1, 2),
        ("200 and an error", || error("200 OK", &[], "InternalError", "m"), 1, 2),
        ("a part", || Step::Answer(answer("206 Partial Content", &[], "")), 1, 2),
        ("cut before it was stored", || Step::Answer(Vec::new()), 1, 2),
        ("no HTTP", || Step::Answer(b"SSH-2.0-OpenSSH_9.2\r\n".to_vec()), 1, 2),
        ("cut after it was stored", || Step::Cut, 1, 1),
        ("500 after it was stored", || Step::Status("500 Internal Server Error"), 1, 1),
        ("299 after it was stored", || Step::Status("299 Odd"), 1, 1),
        ("504 after it was stored", || Step::Status("504 Gateway Timeout"), 1, 1),
    ];
    for (name, fault, times, writes) in faults {
        let ends = |(run, proxy): (Run, Proxy), stdout: &str, expected: (u64, &str)| {
            assert_eq!(run.all(), format!("0\n{stdout}\n"), "{name}");
            assert_eq!(held(&weed), (expected.0, expected.1.to_owned()), "{name}");
            assert_eq!((proxy.count(What::Write), proxy.count(What::Test)), (writes, 1), "{name}");
            // Each time it decides by what it has read anew.
            assert_eq!(proxy.count(What::Read), times + 1, "{name}");
        };
        let script = || vec![(What::Write, times, fault())];
        seed(&weed);
        ends(register(&weed, script(), &[]), ADDED, (8, "zoov1=10.0.0.1 zoov2=10.0.0.2"));
        ends(call(&weed, "unregister", script(), &[]), "zoov2 removed (was 10.0.0.2)\n", (9, "zoov1=10.0.0.1"));
        if name != "404" {
            weed.remove(KEY);
            let created = format!("created s3://ensemble/zk.json\n{ADDED}");
            ends(register(&weed, script(), &[]), &created, (1, "zoov2=10.0.0.2"));
        }
    }
}

#[test]
fn what_another_wrote_in_between_is_kept_and_decided_by() {
    let weed = weed::start();
    let between = |members: &[(&str, &str)]| {
        let (url, text) = (weed.put_url(KEY), registry(members));
        let act = move || drop(ureq::put(&url).send(&text).unwrap());
        vec![(What::Write, 1, Step::After(Box::new(act)))]
    };
    seed(&weed);
    let (run, proxy) = register(&weed, between(&[("zoov1", "10.0.0.9"), ("zoov3", "10.0.0.3")]), &[]);
    assert_eq!(run.all(), format!("0\n{ADDED}\n"));
    assert_eq!(held(&weed), (8, "zoov1=10.0.0.9 zoov2=10.0.0.2 zoov3=10.0.0.3".to_owned()));
    assert_eq!(proxy.requests(What::Write)[0].status, 412);

    // Who comes second at the beginning does not begin it.
    weed.remove(KEY);
    let (run, _) = register(&weed, between(&[("zoov1", "10.0.0.1")]), &[]);
    assert_eq!(run.all(), format!("0\n{ADDED}\n"));
    assert_eq!(held(&weed), (8, "zoov1=10.0.0.1 zoov2=10.0.0.2".to_owned()));

    seed(&weed);
    let (run, proxy) = register(&weed, between(&[("zoov2", "10.0.0.2")]), &[]);
    assert_eq!((run.all(), proxy.count(What::Write)), ("0\n\n".to_owned(), 1));

    let holder = TcpListener::bind("127.0.0.4:0").unwrap();
    let port = format!("--probe-port={}", holder.local_addr().unwrap().port());
    seed(&weed);
    let (run, proxy) = register(&weed, between(&[("zoov2", "127.0.0.4")]), &[&port, "--timeout=3s"]);
    assert_eq!((run.code, proxy.count(What::Write)), (75, 1), "{}", run.all());
    assert!(run.stderr.contains("zoov2 is 127.0.0.4"), "{}", run.all());
    assert_eq!(held(&weed), (7, "zoov2=127.0.0.4".to_owned()));

    seed(&weed);
    let busy = || error("412 Precondition Failed", &[], "PreconditionFailed", "m");
    let (run, proxy) = register(&weed, vec![(What::Write, FOR_EVER, busy())], &["--timeout=2s"]);
    failed(&weed, &run, 75, &["others wrote it in between", "longer --timeout"]);
    assert!(proxy.count(What::Write) > 1);
}

#[test]
fn rights_that_come_late_or_never() {
    let weed = weed::start();
    let both = (8, "zoov1=10.0.0.1 zoov2=10.0.0.2".to_owned());
    let unknown = || error("403 Forbidden", &[], "InvalidAccessKeyId", "m");
    // A refused read is followed by the test of the store.
    for script in [
        vec![(What::Read, 2, denied()), (What::Test, 2, denied())],
        // The right to read comes after the read, and the creation finds the registry.
        vec![(What::Read, 1, denied())],
        vec![(What::Any, 3, unknown())],
        vec![(What::Test, 2, denied())],
        vec![(What::Write, 2, denied())],
    ] {
        seed(&weed);
        let (run, _) = register(&weed, script, &[]);
        assert_eq!((run.all(), held(&weed)), (format!("0\n{ADDED}\n"), both.clone()));
    }

    seed(&weed);
    let never = |what: What| vec![(what, FOR_EVER, denied())];
    let (run, proxy) = register(&weed, never(What::Read), &[]);
    failed(&weed, &run, 77, &["the registry exists, and may not be read", "s3:GetObject"]);
    assert_eq!(proxy.requests(What::Write).iter().map(|write| write.status).collect::<Vec<_>>(), [412]);

    let (run, proxy) = register(&weed, never(What::Test), &["--timeout=1s"]);
    failed(&weed, &run, 77, &["403 AccessDenied", "allow s3:PutObject on KEY.probe"]);
    assert_eq!(proxy.count(What::Write), 0);
    let (run, _) = register(&weed, never(What::Write), &["--timeout=1s"]);
    failed(&weed, &run, 77, &["403 AccessDenied", "allow s3:PutObject on it"]);

    // A right that is not there after half a minute does not come by itself.
    let began = Instant::now();
    let (run, _) = register(&weed, never(What::Any), &["--timeout=5m"]);
    failed(&weed, &run, 77, &["403 AccessDenied"]);
    assert!(began.elapsed() > Duration::from_secs(10) && began.elapsed() < Duration::from_secs(120));

    let (run, proxy) = register(&weed, never(What::Test), &["--unsafe-store"]);
    assert_eq!((run.all(), proxy.count(What::Test)), (format!("0\n{ADDED}\n"), 0));
    // Without the right to list, what is missing is refused.
    weed.remove(KEY);
    let (run, _) = register(&weed, never(What::Read), &[]);
    assert_eq!(run.all(), format!("0\ncreated s3://ensemble/zk.json\n{ADDED}\n"));
    assert_eq!(held(&weed), (1, "zoov2=10.0.0.2".to_owned()));
}

#[test]
fn a_registry_that_was_deleted_is_begun_anew_by_force_only() {
    let weed = weed::start();
    let marker = || error("404 Not Found", &["x-amz-delete-marker: true"], "NoSuchKey", "m");
    let (run, proxy) = register(&weed, vec![(What::Read, FOR_EVER, marker())], &[]);
    assert_eq!((run.code, run.stdout.as_str(), proxy.count(What::Any)), (66, "", 1), "{}", run.all());
    assert!(run.stderr.contains("it was deleted") && run.stderr.contains("register --force"), "{}", run.all());
    assert_eq!(weed.get(KEY), None);
    let (run, _) = register(&weed, vec![(What::Read, FOR_EVER, marker())], &["--force"]);
    assert_eq!(run.all(), format!("0\ncreated s3://ensemble/zk.json\n{ADDED}\n"));
    assert_eq!(held(&weed), (1, "zoov2=10.0.0.2".to_owned()));
}

#[test]
fn a_clock_that_is_off_costs_a_request_and_no_more() {
    let weed = weed::start();
    let bench = Bench::new();
    for (offset, seconds, way, refused) in [
        ("+1m", 60, "ahead of", 0),
        ("-1m", 60, "behind", 0),
        ("+20m", 1200, "ahead of", 1),
        ("-20m", 1200, "behind", 1),
    ] {
        seed(&weed);
        let through = |name: &str, more: &[&str]| {
            // SeaweedFS takes signatures of the future; S3 does not, and says so with its time.
            let message = format!("Request is not yet valid</Message><ServerTime>{:.0}</ServerTime>", Timestamp::now());
            let ahead = error("403 Forbidden", &[], "AccessDenied", &message);
            let script = if offset == "+20m" { vec![(What::Any, 1, ahead)] } else { Vec::new() };
            let proxy = proxy::start(&weed.endpoint(), script);
            let run = run(&mut at(offset, command(name, &proxy.endpoint(), KEY).arg("-v").args(more)));
            tells_no_secret(&run);
            let note = run.stderr.split_once("this machine's clock is ").and_then(|(_, note)| note.split_once(" s "));
            let (told, note) = note.unwrap_or_else(|| panic!("{offset}: {}", run.all()));
            assert!(note.starts_with(&format!("{way} the store's")), "{offset}: {}", run.all());
            assert!((told.parse::<i64>().unwrap() - seconds).abs() < 20, "{offset}: {}", run.all());
            let requests = proxy.requests(What::Any);
            let (first, rest) = requests.split_at(refused);
            assert!(first.iter().all(|request| request.status == 403), "{offset}");
            assert!(rest.iter().all(|request| request.status != 403), "{offset}");
            for request in rest.iter().filter(|_| refused == 1) {
                let signed_at = &request.path.split_once("X-Amz-Date=").unwrap().1[..16];
                let off = Timestamp::now().duration_since(signed_at.parse().unwrap());
                assert!(off.abs() < SignedDuration::from_secs(20), "{offset}: {signed_at}");
            }
            (run.code, run.stdout, rest.len())
        };
        bench.write("hosts", "10.0.0.9 zoov1\n");
        let hosts = format!("--hosts-file={}", bench.path("hosts").display());
        assert_eq!(through("sync", &[&hosts]), (2, "zoov1 10.0.0.9 -> 10.0.0.1\n".to_owned(), 1));
        assert_eq!(through("register", &["--id=2", "--ip=10.0.0.2"]), (0, ADDED.to_owned(), 3));
        // What is published is the store's time.
        let text = weed.get(KEY).unwrap();
        let registered_at = text.split_once("\"registered_at\": \"").unwrap().1.split('"').next().unwrap();
        let age = Timestamp::now().duration_since(registered_at.parse().unwrap());
        assert!(age.abs() < SignedDuration::from_secs(20), "{offset}: {text}");
    }
}

#[test]
fn answers_to_the_read_that_end_it() {
    let weed = weed::start();
    seed(&weed);
    let region = "x-amz-bucket-region: eu-west-1";
    let malformed = "<Code>AuthorizationHeaderMalformed</Code><Message>m</Message><Region>eu-west-1</Region>";
    let login = "Location: http://127.0.0.1:1/login?X-Amz-Signature=5ec2e7";
    let (good, large) = (registry(&[("zoov1", "10.0.0.1")]), " ".repeat(2 << 20));
    let table: [(&str, &[&str], &str, i32, &str); 12] = [
        ("301 Moved Permanently", &[region], "", 78, "the bucket is in eu-west-1: set AWS_REGION"),
        ("400 Bad Request", &[], malformed, 78, "the bucket is in eu-west-1: set AWS_REGION"),
        ("302 Found", &[login], "", 78, "redirects are not followed"),
        ("307 Temporary Redirect", &[login], "", 78, "redirects are not followed"),
        ("200 OK", &[], "<!DOCTYPE html><html>", 65, "HTML or XML"),
        ("200 OK", &[], &large, 65, "larger than 1 MiB"),
        ("200 OK", &["Content-Encoding: gzip"], &good, 65, "content encoding gzip"),
        ("200 OK", &[], r#"{"members": {"zoov2": "10.0.0.2"}, "generation": -1}"#, 65, "$.generation"),
        ("200 OK", &[], &good, 78, "no ETag"),
        ("204 No Content", &[], "", 65, "204"),
        ("206 Partial Content", &[], &good, 65, "206"),
        ("418 I'm a teapot", &[], "", 78, "418"),
    ];
    for (status, headers, body, code, says) in table {
        let script = vec![(What::Read, 1, Step::Answer(answer(status, headers, body)))];
        let (run, proxy) = register(&weed, script, &[]);
        failed(&weed, &run, code, &["register zoov2 in s3://ensemble/zk.json: ", says]);
        assert!(!run.stderr.contains("5ec2e7"), "{}", run.all());
        assert_eq!((proxy.count(What::Read), proxy.count(What::Write)), (1, 0), "{status}");
    }
}

#[test]
fn answers_that_may_pass_are_asked_for_again() {
    let weed = weed::start();
    let whole = answer("200 OK", &["ETag: \"1\""], &registry(&[("zoov1", "10.0.0.1")]));
    let faults: [(&str, Vec<u8>); 5] = [
        ("429", answer("429 Too Many Requests", &[], "")),
        ("500", answer("500 Internal Server Error", &[], "<Code>InternalError</Code>")),
        ("503", answer("503 Slow Down", &[], "<Code>SlowDown</Code>")),
        ("cut", whole[..whole.len() - 2].to_vec()),
        ("closed", Vec::new()),
    ];
    for (name, fault) in faults {
        let script = |what, times| vec![(what, times, Step::Answer(fault.clone()))];
        for what in [What::Read, What::Test] {
            seed(&weed);
            if (name, what) == ("cut", What::Test) {
                continue;
            }
            let (run, proxy) = register(&weed, script(what, FOR_EVER), &["--timeout=1500ms"]);
            failed(&weed, &run, 69, &["register zoov2 in s3://ensemble/zk.json: "]);
            assert!(proxy.count(what) > 1 && proxy.count(What::Write) == 0, "{name}");
            let (run, proxy) = register(&weed, script(what, 1), &[]);
            assert_eq!((run.all(), proxy.count(what)), (format!("0\n{ADDED}\n"), 2), "{name}");
            assert_eq!(held(&weed), (8, "zoov1=10.0.0.1 zoov2=10.0.0.2".to_owned()), "{name}");
        }
    }
    // More than there is time for is not waited for.
    for what in [What::Read, What::Test, What::Write] {
        seed(&weed);
        let script = vec![(what, FOR_EVER, error("503 Slow Down", &["Retry-After: 30"], "SlowDown", "m"))];
        let (run, proxy) = register(&weed, script, &["--timeout=20s"]);
        failed(&weed, &run, 69, &["503 SlowDown"]);
        assert_eq!(proxy.count(what), 1);
    }
}

#[test]
fn the_test_of_the_store_tells_by_any_refusal_that_conditions_hold() {
    let weed = weed::start();
    let answered = |status, code| {
        seed(&weed);
        register(&weed, vec![(What::Test, 1, error(status, &[], code, "m"))], &[])
    };
    for (status, code) in [("404 Not Found", "NoSuchKey"), ("409 Conflict", ""), ("412 Precondition Failed", "")] {
        let (run, _) = answered(status, code);
        assert_eq!(run.all(), format!("0\n{ADDED}\n"), "{status}");
    }
    for (status, code, exit, says) in [
        ("200 OK", "", 78, "--unsafe-store"),
        ("204 No Content", "", 78, "--unsafe-store"),
        ("501 Not Implemented", "NotImplemented", 78, "--unsafe-store"),
        ("404 Not Found", "NoSuchBucket", 66, "check the bucket"),
        ("400 Bad Request", "InvalidRequest", 78, "400 InvalidRequest"),
    ] {
        let (run, proxy) = answered(status, code);
        failed(&weed, &run, exit, &[says]);
        assert_eq!((proxy.count(What::Test), proxy.count(What::Write)), (1, 0), "{status}");
    }
}

#[test]
fn a_store_that_ignores_conditions_is_not_written() {
    let rclone = rclone::start();
    let call = |name: &str, number: &str, more: &[&str]| {
        let run = run(command(name, &rclone.endpoint(), KEY).args(["--id", number]).args(more));
        tells_no_secret(&run);
        run
    };
    let register = |number: &str, more: &[&str]| {
        call("register", number, &[&["--ip", &format!("10.0.0.{number}")], more].concat())
    };
    let refused = |run: &Run| {
        assert_eq!((run.code, run.stdout.as_str(), run.stderr.lines().count()), (78, "", 1), "{}", run.all());
        assert!(run.stderr.contains("a write whose condition cannot hold was taken"), "{}", run.all());
        assert!(run.stderr.contains("--unsafe-store"), "{}", run.all());
    };
    for number in ["1", "2", "3"] {
        refused(&register(number, &[]));
    }
    assert_eq!(rclone.get(KEY), None);

    let created = "0\ncreated s3://ensemble/zk.json\nzoov1 added 10.0.0.1\n\n";
    assert_eq!(register("1", &["--unsafe-store"]).all(), created);
    assert_eq!(register("2", &["--unsafe-store"]).all(), format!("0\n{ADDED}\n"));
    let text = rclone.get(KEY).unwrap();
    refused(&register("3", &[]));
    refused(&register("3", &["--force"]));
    refused(&call("unregister", "1", &[]));
    // Where there is nothing to write there is nothing to refuse.
    assert_eq!(register("1", &[]).all(), "0\n\n");
    let mut stranger = command("register", &rclone.endpoint(), KEY);
    stranger.args(["--id=3", "--ip=10.0.0.3", "--unsafe-store", "--timeout=500ms"]);
    assert_eq!(run(stranger.env("AWS_SECRET_ACCESS_KEY", "wr0ng")).code, 77);
    assert_eq!(rclone.get(KEY).unwrap(), text);

    assert_eq!(call("unregister", "1", &["--unsafe-store"]).stdout, "zoov1 removed (was 10.0.0.1)\n");
    let (generation, members) = content(&rclone.get(KEY).unwrap());
    assert_eq!((generation, members.into_keys().collect::<Vec<_>>()), (3, vec!["zoov2".to_owned()]));
}
