//! Settings that cannot be used: files that are none, variables that are no text, tokens that are too long, machines that
//! give no thread. Each is an error in one line, in bounded time and memory.

mod fixture;

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::process::Command;

use fixture::answers::{answer, serve};
use fixture::{BINARY, Bench, OLD, Run, clean, registry, run, shell};

/// Nobody answers there; what is tested comes before.
const NOWHERE: &str = "http://127.0.0.1:1";
const S3: &str = "s3://bucket/zk.json";
const HTTPS: &str = "https://127.0.0.1:1/zk.json?X-Amz-Signature=5ec2e7";
const ID: (&str, &str) = ("AWS_ACCESS_KEY_ID", "AKID");
const SECRET: (&str, &str) = ("AWS_SECRET_ACCESS_KEY", "5ec2e7");
const ROLE: (&str, &str) = ("AWS_ROLE_ARN", "arn:aws:iam::role/zk");
const URI: (&str, &str) = ("AWS_CONTAINER_CREDENTIALS_FULL_URI", NOWHERE);

fn bench() -> Bench {
    let bench = Bench::new();
    bench.write("hosts", OLD);
    bench
}

/// A pass over this registry, by these words, in the bench's folder.
fn sync(bench: &Bench, registry: &str, settings: &[(&str, &str)]) -> Command {
    let mut command = bench.command(registry);
    command.env("AWS_REGION", "us-east-1").env("AWS_ENDPOINT_URL_S3", NOWHERE).arg("--timeout=2s");
    command.envs(settings.iter().copied());
    command
}

/// Runs it by another program, which gets what stands here before the binary and its arguments.
fn by(program: &str, words: &[&str], command: &Command) -> Run {
    let mut whole = clean(program);
    whole.args(words).arg(BINARY).args(command.get_args()).current_dir(command.get_current_dir().unwrap());
    run(whole.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?)))))
}

/// Runs a pass that must fail with `code` in one line, which says `says`; one that hangs or eats memory is ended.
fn fails(bench: &Bench, command: &Command, code: i32, says: &str) {
    let run = by("sh", &["-c", "ulimit -v 2000000; exec timeout 60 \"$@\"", "sh"], command);
    assert_eq!(
        (run.code, run.stdout.as_str(), run.stderr.lines().count()),
        (code, "", 1),
        "{command:?}: {}",
        run.all()
    );
    assert!(run.stderr.contains(says) && !run.all().contains("5ec2e7"), "{says}: {}", run.all());
    assert_eq!(bench.read("hosts"), OLD);
}

#[test]
fn a_settings_file_that_is_no_file_is_neither_waited_for_nor_read_without_end() {
    let bench = bench();
    shell(&bench.folder, "mkfifo fifo; head -c 1048577 /dev/zero > large; head -c 8388609 /dev/zero > huge");
    let ca_file = |path: &str| {
        let mut command = sync(&bench, HTTPS, &[]);
        command.arg("--ca-file").arg(path);
        command
    };
    for (path, says) in [
        ("fifo", "read {}: not a regular file"),
        ("/dev/zero", "read {}: not a regular file"),
        ("large", "read {}: larger than 1 MiB"),
    ] {
        for (variable, others) in [
            ("AWS_CONFIG_FILE", [ID, SECRET]),
            ("AWS_SHARED_CREDENTIALS_FILE", [ID, SECRET]),
            ("AWS_WEB_IDENTITY_TOKEN_FILE", [ROLE, ROLE]),
            ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", [URI, URI]),
        ] {
            let command = sync(&bench, S3, &[&others[..], &[(variable, path)]].concat());
            fails(&bench, &command, 78, &says.replace("{}", path));
        }
        let (path, says) = if path == "large" { ("huge", "larger than 8 MiB") } else { (path, "not a regular file") };
        let says = format!("read the CA file {path}: {says}");
        fails(&bench, &ca_file(path), 78, &says);
        for variable in ["AWS_CA_BUNDLE", "SSL_CERT_FILE"] {
            fails(&bench, &sync(&bench, HTTPS, &[(variable, path)]), 78, &says);
        }
    }
    // This one is common, and empty.
    let null = [("AWS_CONFIG_FILE", "/dev/null"), ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")];
    fails(&bench, &sync(&bench, S3, &null), 78, "no credentials");
    fails(&bench, &sync(&bench, S3, &[&null[..], &[ID, SECRET]].concat()), 69, "Connection refused");
    fails(&bench, &ca_file("/dev/null"), 78, "no usable certificate");
}

#[test]
fn a_variable_that_is_no_text_is_not_passed_by() {
    let bench = bench();
    let bad = OsStr::from_bytes(b"http://127.0.0.1:1/5ec2e7\xff");
    for (registry, variables) in [
        (
            S3,
            &[
                "AWS_ACCESS_KEY_ID",
                "AWS_SECRET_ACCESS_KEY",
                "AWS_SESSION_TOKEN",
                "AWS_PROFILE",
                "AWS_REGION",
                "AWS_ENDPOINT_URL_S3",
                "AWS_USE_FIPS_ENDPOINT",
            ][..],
        ),
        (HTTPS, &["HTTPS_PROXY", "https_proxy"]),
    ] {
        for variable in variables {
            let mut command = sync(&bench, registry, &[ID, SECRET]);
            fails(&bench, command.env(variable, bad), 78, &format!("{variable} is no UTF-8"));
        }
    }
    for variable in ["AWS_ROLE_ARN", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI"] {
        fails(&bench, sync(&bench, S3, &[]).env(variable, bad), 78, &format!("{variable} is no UTF-8"));
    }
    for variable in ["AWS_EC2_METADATA_DISABLED", "AWS_EC2_METADATA_SERVICE_ENDPOINT"] {
        let mut command = sync(&bench, S3, &[("AWS_EC2_METADATA_DISABLED", "false")]);
        fails(&bench, command.env(variable, bad), 78, &format!("{variable} is no UTF-8"));
    }
    let mut command = sync(&bench, HTTPS, &[("HTTPS_PROXY", NOWHERE)]);
    fails(&bench, command.env("NO_PROXY", bad), 78, "NO_PROXY is no UTF-8");

    // A path may have any bytes.
    let path = OsStr::from_bytes(b"pem\xff");
    fails(&bench, sync(&bench, HTTPS, &[]).env("SSL_CERT_FILE", path), 78, "No such file");
    std::fs::write(bench.folder.join(path), "[default]\naws_access_key_id = AKID\n").unwrap();
    fails(&bench, sync(&bench, S3, &[]).env("AWS_CONFIG_FILE", path), 78, "\"default\" is half set");
    fails(&bench, sync(&bench, HTTPS, &[]).env("SSL_CERT_FILE", path), 78, "no usable certificate");
}

#[test]
fn what_is_too_long_to_be_sent_is_said_at_once() {
    let bench = bench();
    for length in [16_400, 20_000, 60_000] {
        let long = "x".repeat(length);
        let token = sync(&bench, S3, &[ID, SECRET, ("AWS_SESSION_TOKEN", &long)]);
        fails(&bench, &token, 78, "the session token is too long");
        let url = bench.write("url", format!("{HTTPS}{long}"));
        fails(&bench, &sync(&bench, &format!("@{}", url.display()), &[]), 78, "the URL is too long");
        let container = sync(&bench, S3, &[URI, ("AWS_CONTAINER_AUTHORIZATION_TOKEN", &long)]);
        fails(&bench, &container, 78, "authorization is too long");
    }
    // The longest that fits is sent.
    let server = serve(vec![answer("200 OK", &[], &registry(&[("zoov1", "10.0.0.1")]))]);
    bench.write("url", format!("{:x<16320}", server.url()));
    let sent = run(&mut sync(&bench, "@url", &[]));
    assert_eq!((sent.code, server.asked().len()), (0, 1), "{}", sent.all());
    let short = "x".repeat(15_000);
    fails(&bench, &sync(&bench, S3, &[ID, SECRET, ("AWS_SESSION_TOKEN", &short)]), 69, "Connection refused");
    let container = sync(&bench, S3, &[URI, ("AWS_CONTAINER_AUTHORIZATION_TOKEN", &short)]);
    fails(&bench, &container, 69, "Connection refused");
}

#[test]
fn a_process_that_leaves_its_group_is_ended_too() {
    let bench = bench();
    bench.write("config", "[default]\ncredential_process = exec perl -e 'setpgrp(0, getpgrp(getppid())); sleep 600'\n");
    fails(&bench, &sync(&bench, S3, &[("AWS_CONFIG_FILE", "config")]), 78, "does not end within --timeout");
}

#[test]
fn a_machine_that_gives_no_thread_is_an_error_and_no_panic() {
    let bench = bench();
    bench.write("config", "[default]\ncredential_process = echo 5ec2e7\n");
    let config = [("AWS_CONFIG_FILE", "config")];
    for (which, command, code, says) in [
        ("", sync(&bench, "http://localhost:1/k", &[]), 69, "no thread to look the name up: Resource temporarily"),
        (":when=2+", sync(&bench, S3, &config), 78, "credential_process cannot be read: Resource temporarily"),
    ] {
        let inject = format!("inject=clone,clone3:error=EAGAIN{which}");
        let run = by("strace", &["-f", "-qq", "-o", "/dev/null", "-e", &inject], &command);
        assert_eq!((run.code, run.stdout.as_str(), run.stderr.lines().count()), (code, "", 1), "{}", run.all());
        assert!(run.stderr.contains(says), "{}", run.all());
    }
}
