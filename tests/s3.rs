//! Against a real S3 server that checks signatures, over HTTP and TLS, as s3:// and as a presigned https:// URL.

mod fixture;

use std::os::unix::fs::MetadataExt;
use std::process::Command;

use fixture::weed::{BUCKET, ID, SECRET, Weed, presigned};
use fixture::{Bench, Run, registry, run, weed};

const HOSTS: &str = "127.0.0.1 localhost\n10.0.0.1 zoov1\n";
const TOKEN: &str = "t0k3n0fth3t3st";

fn bench() -> Bench {
    let bench = Bench::new();
    bench.write("hosts", HOSTS);
    bench
}

/// A pass with the server's keys and this endpoint.
fn s3_command(bench: &Bench, weed: &Weed, endpoint: &str, key: &str) -> Command {
    let mut command = bench.command(&format!("s3://{BUCKET}/{key}"));
    command.env("AWS_ACCESS_KEY_ID", ID).env("AWS_SECRET_ACCESS_KEY", SECRET).env("AWS_REGION", "us-east-1");
    command.env("AWS_ENDPOINT_URL", endpoint).env("AWS_CA_BUNDLE", &weed.ca_file);
    command
}

/// The same command where no question for a name leaves the machine.
fn without_network(command: &Command) -> Command {
    let mut alone = Command::new("unshare");
    alone.arg("--net").arg(command.get_program()).args(command.get_args()).env_clear();
    alone.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    alone.current_dir(command.get_current_dir().unwrap());
    alone
}

/// Runs a pass that must fail with `code`, in one line that says `says`, and must leave no trace and tell no secret.
fn fails(bench: &Bench, command: &mut Command, code: i32, says: &str) {
    let path = bench.write("hosts", HOSTS);
    let before = path.metadata().unwrap();
    let run = run(command.args(["-v", "--timeout", "2s"]));
    assert_eq!((run.code, run.stdout.as_str()), (code, ""), "{}", run.all());
    assert!(run.stderr.contains(says), "{says}: {}", run.all());
    assert_eq!(run.stderr.lines().count(), 1, "{}", run.all());
    let after = path.metadata().unwrap();
    assert_eq!(
        (after.ino(), after.mtime_nsec(), after.ctime_nsec()),
        (before.ino(), before.mtime_nsec(), before.ctime_nsec())
    );
    assert_eq!(bench.read("hosts"), HOSTS);
    assert!(!bench.names().contains(&"hosts.lock".to_owned()));
    tells_no_secret(&run);
}

fn tells_no_secret(run: &Run) {
    for secret in [SECRET, TOKEN, "X-Amz-Signature", "X-Amz-Credential", ID] {
        assert!(!run.all().contains(secret), "{}", run.all());
    }
}

#[test]
fn every_way_to_the_registry_that_works() {
    let weed = weed::start();
    weed.put("zk.json", &registry(&[("zoov1", "10.0.9.1")]));
    weed.put("a b/ü+%20.json", &registry(&[("zoov1", "10.0.9.1")]));
    let bench = bench();
    let patched = |command: &mut Command| {
        bench.write("hosts", HOSTS);
        let run = run(command.args(["-v", "--dry-run"]));
        assert_eq!(run.code, 2, "{}", run.all());
        assert!(run.stdout.contains("+10.0.9.1 zoov1\n"), "{}", run.all());
        tells_no_secret(&run);
    };
    for endpoint in [weed.endpoint(), weed.tls_endpoint()] {
        patched(&mut s3_command(&bench, &weed, &endpoint, "zk.json"));
        patched(&mut s3_command(&bench, &weed, &endpoint, "a b/ü+%20.json"));
        let url = presigned(&endpoint, "zk.json", 60, 0);
        patched(bench.command(&url).arg("--ca-file").arg(&weed.ca_file));
        patched(bench.command(&url).env("SSL_CERT_FILE", &weed.ca_file));
        bench.write("url", format!("{url}\n"));
        patched(bench.command("@url").env("ZK_HOSTS_CA_FILE", &weed.ca_file).env("AWS_CA_BUNDLE", "/nonexistent"));
    }

    let keys = format!("[ops]\naws_access_key_id = {ID}\naws_secret_access_key = {SECRET}\n");
    bench.write("credentials", keys);
    let services = format!("[services local]\ns3 =\n  endpoint_url = {}\n", weed.endpoint());
    bench.write("config", format!("[profile ops]\nregion = us-east-1\nservices = local\n{services}"));
    let mut command = bench.command(&format!("s3://{BUCKET}/zk.json"));
    command.env("AWS_PROFILE", "ops").env("AWS_CONFIG_FILE", bench.path("config"));
    patched(command.env("AWS_SHARED_CREDENTIALS_FILE", bench.path("credentials")));

    std::fs::create_dir(bench.path(".aws")).unwrap();
    for name in ["config", "credentials"] {
        bench.write(
            &format!(".aws/{name}"),
            bench.read(name).replace("profile ops", "default").replace("ops", "default"),
        );
    }
    patched(bench.command(&format!("s3://{BUCKET}/zk.json")).env("HOME", &bench.folder));
}

#[test]
fn a_pass_over_s3_patches_the_file_once() {
    let weed = weed::start();
    weed.put("zk.json", &registry(&[("zoov1", "10.0.9.1"), ("zoov2", "10.0.9.2")]));
    let bench = bench();
    let first = run(&mut s3_command(&bench, &weed, &weed.endpoint(), "zk.json"));
    assert_eq!((first.code, first.stdout.as_str()), (2, "zoov1 10.0.0.1 -> 10.0.9.1\nzoov2 added 10.0.9.2\n"));
    let second = run(&mut s3_command(&bench, &weed, &weed.tls_endpoint(), "zk.json"));
    assert_eq!((second.code, second.stdout.as_str(), second.stderr.as_str()), (0, "", ""));
    assert_eq!(bench.read("hosts"), "127.0.0.1 localhost\n10.0.9.1 zoov1\n10.0.9.2\tzoov2\n");
}

#[test]
fn every_way_that_fails_says_why_and_leaves_the_file_alone() {
    let weed = weed::start();
    weed.put("zk.json", &registry(&[("zoov1", "10.0.9.1")]));
    weed.put("html", "<html></html>");
    let bench = bench();
    let nowhere = "http://127.0.0.1:1";
    let other_ca = weed.ca_file.with_file_name("other.pem");

    for endpoint in [weed.endpoint(), weed.tls_endpoint()] {
        let s3 = |key: &str| s3_command(&bench, &weed, &endpoint, key);
        let url = |key, seconds, ago| {
            let mut command = bench.command(&presigned(&endpoint, key, seconds, ago));
            command.env("AWS_CA_BUNDLE", &weed.ca_file);
            command
        };
        fails(&bench, &mut s3("missing.json"), 66, "404 NoSuchKey");
        fails(&bench, &mut url("missing.json", 60, 0), 66, "404 NoSuchKey");
        fails(&bench, &mut s3("html"), 65, "HTML or XML");
        fails(&bench, s3("zk.json").env("AWS_SECRET_ACCESS_KEY", "wr0ng"), 77, "403 SignatureDoesNotMatch");
        fails(&bench, s3("zk.json").env("AWS_ACCESS_KEY_ID", "N0B0DY"), 77, "403 InvalidAccessKeyId");
        fails(&bench, s3("zk.json").env("AWS_SESSION_TOKEN", TOKEN), 77, "403 ");
        fails(&bench, &mut url("zk.json", 60, 3600), 77, "expired");
        let mut bucket = bench.command("s3://no-such-bucket/zk.json");
        bucket.env("AWS_ACCESS_KEY_ID", ID).env("AWS_SECRET_ACCESS_KEY", SECRET).env("AWS_REGION", "us-east-1");
        fails(
            &bench,
            bucket.env("AWS_ENDPOINT_URL", &endpoint).env("AWS_CA_BUNDLE", &weed.ca_file),
            66,
            "NoSuchBucket",
        );
    }

    let plain = |key: &str| s3_command(&bench, &weed, &weed.endpoint(), key);
    fails(&bench, plain("zk.json").env("AWS_ENDPOINT_URL", nowhere), 69, "Connection refused");
    let mut unknown = plain("zk.json");
    unknown.env("AWS_ENDPOINT_URL", "http://name.invalid");
    fails(&bench, &mut without_network(&unknown), 69, "failed to lookup address information");
    fails(&bench, plain("zk.json").env_remove("AWS_REGION"), 78, "AWS_REGION");
    fails(&bench, plain("zk.json").env_remove("AWS_ACCESS_KEY_ID"), 78, "AWS_ACCESS_KEY_ID is missing");
    fails(&bench, plain("zk.json").env_remove("AWS_SECRET_ACCESS_KEY"), 78, "AWS_SECRET_ACCESS_KEY is missing");
    let mut none = plain("zk.json");
    none.env_remove("AWS_ACCESS_KEY_ID").env_remove("AWS_SECRET_ACCESS_KEY").env("HOME", &bench.folder);
    fails(&bench, &mut none, 78, "no credentials");
    fails(&bench, plain("zk.json").env("AWS_PROFILE", "nobody"), 78, "\"nobody\"");
    fails(&bench, plain("zk.json").env("AWS_ENDPOINT_URL", "nonsense"), 78, "AWS_ENDPOINT_URL");

    let tls = || s3_command(&bench, &weed, &weed.tls_endpoint(), "zk.json");
    fails(&bench, tls().env("AWS_CA_BUNDLE", &other_ca), 69, "--ca-file");
    fails(&bench, tls().env_remove("AWS_CA_BUNDLE"), 69, "UnknownIssuer");
    fails(&bench, tls().env("AWS_CA_BUNDLE", bench.path("hosts")), 78, "no usable certificate");
    fails(&bench, tls().arg("--ca-file=/nonexistent"), 78, "No such file");
    let url = presigned(&weed.tls_endpoint(), "zk.json", 60, 0);
    fails(&bench, bench.command(&url).env("SSL_CERT_FILE", &other_ca), 69, "UnknownIssuer");
    fails(&bench, bench.command(&url.replace("localhost", "127.0.0.2")).env("SSL_CERT_FILE", &weed.ca_file), 69, "");
}
