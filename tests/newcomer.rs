//! Errors as a newcomer meets them: each names the next thing to do.

mod fixture;

use std::process::Command;

use fixture::answers::{answer, serve};
use fixture::metadata::{self, inside};
use fixture::namespace::{FOLDER, Namespace, pass};
use fixture::weed::{self, ID, SECRET, Weed, presigned};
use fixture::{BINARY, Bench, bench, clean, registry, run, zk_hosts};

/// A first call, by the book: the bucket is `ensemble`, the key `zk.json`.
fn first(weed: &Weed, registry: &str) -> Command {
    let mut command = zk_hosts();
    command.args(["sync", "--dry-run", "--registry", registry]).env("AWS_ENDPOINT_URL", weed.endpoint());
    command.env("AWS_ACCESS_KEY_ID", ID).env("AWS_SECRET_ACCESS_KEY", SECRET).env("AWS_REGION", "us-east-1");
    command
}

/// It must end with this code, in one line that says each of these, no secret, and the same to a script.
fn meets(command: &mut Command, code: i32, says: &[&str]) {
    let seen = run(command);
    assert_eq!((seen.code, seen.stdout.as_str()), (code, ""), "{command:?}: {}", seen.all());
    assert_eq!(seen.stderr.lines().count(), 1, "{}", seen.all());
    assert!(seen.stderr.starts_with("zk-hosts: "), "{}", seen.stderr);
    for part in says {
        assert!(seen.stderr.contains(part), "{part:?} is not in {}", seen.stderr);
    }
    weed::tells_no_secret(&seen);
}

#[test]
fn on_the_way_to_the_registry() {
    let weed = weed::start();
    weed.put("zk.json", &registry(&[("zoov1", "10.0.9.1")]));
    let good = "s3://ensemble/zk.json";
    assert_eq!(run(&mut first(&weed, good)).code, 2);

    // No registry: the command line's own words, and a file of settings whose line was left empty.
    for variable in [None, Some(("ZK_HOSTS_REGISTRY", ""))] {
        let seen = run(zk_hosts().arg("sync").envs(variable));
        assert_eq!((seen.code, seen.stdout.as_str()), (64, ""));
        assert!(seen.stderr.contains("--registry <URL>") && seen.stderr.contains("--help"), "{}", seen.stderr);
    }
    meets(&mut first(&weed, "ensemble/zk.json"), 64, &["give s3://bucket/key, https://..., file:///path or @PATH"]);
    meets(&mut first(&weed, "s3://ensemble"), 64, &["the key in s3://bucket/key must not be empty"]);

    meets(&mut first(&weed, "s3://ensembel/zk.json"), 66, &["404 NoSuchBucket", "check the bucket in --registry"]);
    meets(&mut first(&weed, "s3://ensemble/zk.jsn"), 66, &["404 NoSuchKey", "check the key in --registry, or upload"]);
    let wrong_prefix = &["no member is named zook and a number", "the --prefix or the key is wrong"];
    meets(first(&weed, good).args(["--prefix", "zook"]), 65, wrong_prefix);
    let keys = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"];
    let mut nobody = first(&weed, good);
    meets(
        nobody.env_remove(keys[0]).env_remove(keys[1]),
        78,
        &["no credentials", "give the instance a role, or set AWS_ACCESS_KEY_ID"],
    );
    meets(
        first(&weed, good).env_remove(keys[1]),
        78,
        &["AWS_SECRET_ACCESS_KEY is missing", "complete it, or remove it"],
    );
    meets(first(&weed, good).env(keys[1], "mistyped"), 77, &["check the access key, the secret key"]);
    meets(first(&weed, good).env_remove("AWS_REGION"), 78, &["set AWS_REGION to the bucket's region"]);
    meets(first(&weed, good).env("AWS_PROFILE", "prod"), 78, &["\"prod\""]);
    meets(&mut first(&weed, &presigned(&weed.endpoint(), "zk.json", 60, 3600)), 77, &["make a new presigned URL"]);
    let tls = presigned(&weed.tls_endpoint(), "zk.json", 60, 0);
    meets(
        first(&weed, &tls).arg("--timeout=2s"),
        69,
        &["UnknownIssuer", "check --ca-file (AWS_CA_BUNDLE, SSL_CERT_FILE)"],
    );
    let mut nowhere = first(&weed, good);
    nowhere.env("AWS_ENDPOINT_URL", "http://127.0.0.1:1").arg("--timeout=2s");
    meets(&mut nowhere, 69, &["Connection refused", "check the network, DNS"]);
}

#[test]
fn what_aws_answers_and_seaweedfs_does_not() {
    let error = |status: &str, headers: &[&str], code: &str, more: &str| {
        answer(status, headers, &format!("<Error><Code>{code}</Code><Message>m</Message>{more}</Error>"))
    };
    let query = "AuthorizationQueryParametersError";
    let region = "<Region>eu-west-1</Region>";
    let wrong_region: &[&str] = &["the bucket is in eu-west-1", "set AWS_REGION to the bucket's region"];
    let table: [(Vec<u8>, i32, &[&str]); 6] = [
        (error("400 Bad Request", &[], "ExpiredToken", ""), 77, &["ExpiredToken", "renew the credentials"]),
        (
            error("301 Moved Permanently", &["x-amz-bucket-region: eu-west-1"], "PermanentRedirect", ""),
            78,
            wrong_region,
        ),
        (error("400 Bad Request", &[], query, region), 78, wrong_region),
        (error("403 Forbidden", &[], "AccessDenied", ""), 77, &["allow s3:GetObject", "s3:ListBucket on the bucket"]),
        (
            answer("200 OK", &[], "<!DOCTYPE html><title>Sign in</title>"),
            65,
            &["HTML", "whether a proxy or a login page"],
        ),
        (
            answer("302 Found", &["Location: http://127.0.0.1:1/login"], ""),
            78,
            &["redirects are not followed", "check the URL"],
        ),
    ];
    let weed = weed::start();
    for (answer, code, says) in table {
        let store = serve(vec![answer]);
        let endpoint = format!("http://127.0.0.1:{}", store.port);
        meets(first(&weed, "s3://ensemble/zk.json").env("AWS_ENDPOINT_URL", endpoint), code, says);
    }

    // A role whose keys have ended: the metadata service gives them still.
    let keys =
        format!(r#"{{"Code": "Success", "AccessKeyId": "{ID}", "SecretAccessKey": "{SECRET}", "Token": "old"}}"#);
    let role = "iam/security-credentials/";
    let imds = metadata::start("127.0.0.1:0", &[(role, "zk"), ("iam/security-credentials/zk", &keys)]);
    let store = serve(vec![error("400 Bad Request", &[], "ExpiredToken", "")]);
    let mut command = zk_hosts();
    command.args(["sync", "--registry", "s3://ensemble/zk.json"]).env("AWS_REGION", "us-east-1");
    command
        .env("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{}", store.port))
        .env("AWS_EC2_METADATA_DISABLED", "false");
    command.env("AWS_EC2_METADATA_SERVICE_ENDPOINT", imds.endpoint());
    meets(&mut command, 77, &["400 ExpiredToken", "renew the credentials"]);
}

#[test]
fn an_old_clock() {
    let weed = weed::start();
    weed.put("zk.json", &registry(&[("zoov1", "10.0.9.1")]));
    let at = |offset: &str, command: &Command| {
        let mut shifted = clean("faketime");
        shifted.args(["-f", offset, BINARY]).args(command.get_args()).env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        shifted.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        shifted
    };
    // Signed once more, by the store's clock.
    let plain = first(&weed, "s3://ensemble/zk.json");
    assert_eq!(run(&mut at("-1d", &plain)).code, 2);
    // A certificate that is not yet valid ends it before that.
    let mut tls = first(&weed, "s3://ensemble/zk.json");
    tls.env("AWS_ENDPOINT_URL", weed.tls_endpoint()).env("AWS_CA_BUNDLE", &weed.ca_file).arg("--timeout=5s");
    assert_eq!(run(&mut at("+0s", &tls)).code, 2);
    meets(&mut at("-400d", &tls), 69, &["not valid yet", "this machine's clock"]);
    // And a store that takes no second signature either.
    let skewed = "<Error><Code>RequestTimeTooSkewed</Code><Message>m</Message></Error>";
    let store = serve(vec![answer("403 Forbidden", &["Date: Sun, 22 Nov 2026 03:31:00 GMT"], skewed)]);
    let mut refused = first(&weed, "s3://ensemble/zk.json");
    refused.env("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{}", store.port));
    meets(&mut refused, 77, &["RequestTimeTooSkewed", "set this machine's clock (chronyc tracking, timedatectl)"]);
}

#[test]
fn a_machine_of_no_cloud_without_network_or_names() {
    if !inside("a_machine_of_no_cloud_without_network_or_names") {
        return;
    }
    let bench = Bench::new();
    let call = |variables: &[(&str, &str)]| {
        let mut command = zk_hosts();
        command.args(["sync", "--dry-run", "--timeout=3s", "--registry", "s3://ensemble/zk.json"]);
        command.env("HOME", &bench.folder).env_remove("AWS_EC2_METADATA_DISABLED").envs(variables.iter().copied());
        command
    };
    let keys = [("AWS_ACCESS_KEY_ID", ID), ("AWS_SECRET_ACCESS_KEY", SECRET), ("AWS_REGION", "us-east-1")];
    meets(&mut call(&[]), 78, &["no credentials", "give the instance a role"]);
    meets(&mut call(&keys[..2]), 78, &["no region", "set AWS_REGION"]);
    meets(&mut call(&keys), 69, &["failed to lookup address information", "check the network, DNS, HTTPS_PROXY"]);

    // Proxies that are not there, that want a password, that are none.
    let wants = serve(vec![answer("407 Proxy Authentication Required", &[], "")]);
    let page = serve(vec![answer("200 OK", &[], "<html>blocked</html>")]);
    let nowhere = "http://127.0.0.1:1".to_owned();
    for (proxy, says) in
        [(nowhere, "HTTPS_PROXY"), (wants.url(), "HTTPS_PROXY"), (page.url(), "whether a proxy answers")]
    {
        let proxy = proxy.split("/bucket").next().unwrap().to_owned();
        let proxied = [&keys[..], &[("HTTPS_PROXY", proxy.as_str())]].concat();
        meets(&mut call(&proxied), 69, &[says]);
    }
    let no_proxy = [&keys[..], &[("HTTPS_PROXY", "proxy:3128 # the office's")]].concat();
    meets(&mut call(&no_proxy), 78, &["use HTTPS_PROXY: it is no http:// or https:// URL", "correct the setting"]);

    let mut register = zk_hosts();
    register.args(["register", "--id=1", "--registry", "s3://ensemble/zk.json"]).envs(keys);
    register.env_remove("AWS_EC2_METADATA_DISABLED").env("HOME", &bench.folder);
    meets(&mut register, 78, &["find this host's address", "give --ip ADDR or --interface NAME"]);
}

#[test]
fn on_the_way_to_the_hosts_file() {
    let (bench, _) = bench();
    let namespace = Namespace::new(&bench);
    let root = || namespace.root();
    meets(namespace.nobody().args(pass("hosts")), 77, &["run it as root"]);
    let seen = run(namespace.nobody().args(pass("hosts")).arg("--dry-run"));
    assert_eq!(seen.code, 2, "a look needs no root: {}", seen.all());

    meets(root().args(pass("host")), 74, &["/srv/bench/host", "No such file", "check the path"]);
    meets(root().args(pass(".")), 74, &["check the path and the file system it is on"]);
    namespace.shell("mount --bind . . && cd . && mount -o remount,bind,ro .");
    meets(root().args(pass("hosts")), 74, &["Read-only file system", "check the path and the file system it is on"]);
    meets(root().args(["/srv/zk-hosts", "sync", "--registry", &format!("@{FOLDER}/url")]), 78, &["/srv/bench/url"]);
}
