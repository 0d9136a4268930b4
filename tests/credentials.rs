//! Every source of credentials, with keys that a real S3 server then checks, and what each may do wrong.

mod fixture;

use std::fs;
use std::time::Duration;

use rusty_s3::{Bucket, Credentials, S3Action, UrlStyle};
use serde_json::{Value, json};

use fixture::answers::answer;
use fixture::metadata::{inside, serve};
use fixture::proxy::{self, Step, What};
use fixture::sts::{AUDIENCE, KEY, SUBJECT, Settings, Sources, TOKEN, container};
use fixture::weed::BUCKET;
use fixture::{shell, wait_until};

const CONFIG_FILE: &str = "AWS_CONFIG_FILE";
const KEYS_FILE: &str = "AWS_SHARED_CREDENTIALS_FILE";
const JWT_FILE: &str = "AWS_WEB_IDENTITY_TOKEN_FILE";
const FULL: &str = "AWS_CONTAINER_CREDENTIALS_FULL_URI";
const RELATIVE: &str = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI";

/// How a source is set so that it cannot be used, the exit code, and what the error names.
type Broken = (Settings<'static>, i32, &'static str);

/// In the order in which they are asked: how each is set so that it works, and how it is set and broken.
const SOURCES: [(&str, Settings, &[Broken]); 6] = [
    (
        "environment",
        &[("AWS_ACCESS_KEY_ID", "{id}"), ("AWS_SECRET_ACCESS_KEY", "{secret}"), ("AWS_SESSION_TOKEN", "{token}")],
        &[
            (&[("AWS_ACCESS_KEY_ID", "{id}")], 78, "the environment is half set: AWS_SECRET_ACCESS_KEY"),
            (&[("AWS_SECRET_ACCESS_KEY", "{secret}")], 78, "the environment is half set: AWS_ACCESS_KEY_ID"),
            (&[("AWS_SESSION_TOKEN", "{token}")], 78, "the environment is half set: AWS_ACCESS_KEY_ID"),
        ],
    ),
    (
        "profile",
        &[(KEYS_FILE, "{bench}/keys")],
        &[
            (&[(KEYS_FILE, "{bench}/half")], 78, "\"default\" is half set: aws_secret_access_key"),
            (&[(KEYS_FILE, "{bench}/role_arn")], 78, "credential_process = aws configure export-cred"),
            (&[(KEYS_FILE, "{bench}")], 78, "{bench}: not a regular file"),
            (&[("AWS_PROFILE", "nobody")], 78, "AWS_PROFILE: the profile \"nobody\""),
        ],
    ),
    (
        "process",
        &[(CONFIG_FILE, "{bench}/process")],
        &[
            (&[(CONFIG_FILE, "{bench}/process-fails")], 78, "(exit status: 3)"),
            (&[(CONFIG_FILE, "{bench}/process-says-no")], 78, "credential_process"),
            (&[(CONFIG_FILE, "{bench}/process-rubbish")], 78, "credential_process: what it gives is no JSON"),
            (&[(CONFIG_FILE, "{bench}/process-half")], 78, "credential_process is half set: SecretAccessKey"),
        ],
    ),
    (
        "web",
        &[("AWS_ENDPOINT_URL_STS", "{sts}"), ("AWS_ROLE_ARN", "arn:aws:iam::role/admin"), (JWT_FILE, "{bench}/jwt")],
        &[
            (&[("AWS_ROLE_ARN", "x")], 78, "the web identity is half set: AWS_WEB_IDENTITY_TOKEN_FILE"),
            (&[(JWT_FILE, "{bench}/jwt")], 78, "the web identity is half set: AWS_ROLE_ARN"),
            (&[("AWS_ROLE_ARN", "x"), (JWT_FILE, "/nonexistent")], 78, "the web identity: read /nonexistent"),
            (
                &[
                    ("AWS_ENDPOINT_URL_STS", "{sts}"),
                    ("AWS_ROLE_ARN", "arn:aws:iam::role/nobody"),
                    (JWT_FILE, "{bench}/jwt"),
                ],
                77,
                "the web identity: it answered 403 AccessDenied",
            ),
        ],
    ),
    (
        "container",
        &[(FULL, "{container}/keys"), ("AWS_CONTAINER_AUTHORIZATION_TOKEN", TOKEN)],
        &[
            (&[(FULL, "{container}/keys")], 77, "credentials endpoint: it answered 401"),
            (&[(FULL, "{container}/missing")], 78, "endpoint: it answered 404"),
            (&[(FULL, "{container}/rubbish")], 78, "endpoint: what it gives is no JSON"),
            (&[(FULL, "{container}/moved")], 78, "endpoint: it answered 302"),
            (&[(FULL, "ftp://127.0.0.1/")], 78, FULL),
            (
                &[
                    (FULL, "{container}/keys"),
                    ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "/nonexistent"),
                    ("AWS_CONTAINER_AUTHORIZATION_TOKEN", TOKEN),
                ],
                78,
                "endpoint: read /nonexistent",
            ),
            (
                &[(FULL, "{container}/keys"), ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "{bench}/broken-token")],
                78,
                "token has a line break",
            ),
            (
                &[
                    (FULL, "{container}/keys"),
                    ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "c0nta1nert0k3n\r\nsp1lts3cr3t: x"),
                ],
                78,
                "token has a line break",
            ),
        ],
    ),
    (
        "instance",
        &[("AWS_EC2_METADATA_SERVICE_ENDPOINT", "{metadata}"), ("AWS_EC2_METADATA_DISABLED", "false")],
        &[(
            &[("AWS_EC2_METADATA_SERVICE_ENDPOINT", "{refusing}"), ("AWS_EC2_METADATA_DISABLED", "false")],
            77,
            "the instance role \"zk\": the metadata service says \"AssumeRoleUnauthorizedAccess\"",
        )],
    ),
];

/// More ways to set a source that works.
const VARIANTS: [Settings; 7] = [
    &[(CONFIG_FILE, "{bench}/config"), ("AWS_PROFILE", "zk")],
    &[("HOME", "{bench}/home")],
    &[
        ("AWS_ENDPOINT_URL", "{weed}"),
        ("AWS_ENDPOINT_URL_S3", ""),
        ("AWS_ROLE_ARN", "arn:aws:iam::role/admin"),
        (JWT_FILE, "{bench}/jwt"),
        ("AWS_ROLE_SESSION_NAME", "host-1@zk"),
    ],
    &[
        (FULL, "{container}/keys"),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "{bench}/token"),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "another"),
    ],
    &[(FULL, "{container}/open")],
    &[(FULL, "{container}/busy")],
    &[(FULL, "{https}"), ("AWS_CA_BUNDLE", "{ca}")],
];

#[test]
fn every_source_gives_keys_that_the_server_takes() {
    let world = Sources::start();
    for (id, (name, good, _)) in (2..).zip(SOURCES) {
        let before = world.asked(name);
        // A variable that is empty is not set.
        let others = SOURCES.iter().filter(|(other, ..)| *other != name).flat_map(|(_, settings, _)| *settings);
        let empty: Vec<_> = others.filter(|(name, _)| !name.contains("EC2")).map(|(name, _)| (*name, "")).collect();
        world.works(&[&empty, good]);
        world.works_under_strace(&[good]);
        let run = world.write(&["register", &format!("--id={id}"), "--ip=10.0.9.2"], &[good]);
        assert_eq!((run.code, run.stdout), (0, format!("zoov{id} added 10.0.9.2\n")), "{}", run.stderr);
        assert!(world.asked(name).zip(before).is_none_or(|(now, before)| now >= before + 3), "{name}");
    }
    assert!(world.sts.weed.get(KEY).unwrap().contains("\"zoov7\""));
    for settings in VARIANTS {
        world.works(&[settings]);
    }
}

#[test]
fn the_first_that_is_configured_is_used_or_named_and_no_other_is_asked() {
    let world = Sources::start();
    for (at, (name, good, broken)) in SOURCES.iter().enumerate() {
        for (later, later_good, later_broken) in &SOURCES[at + 1..] {
            let before = world.asked(later);
            world.works(&[later_broken[0].0, good]);
            for (settings, code, says) in *broken {
                world.fails(&[later_good, settings], &[], *code, says);
            }
            assert_eq!(world.asked(later), before, "{name} before {later}");
        }
    }
    let (settings, code, says) = SOURCES[5].2[0];
    world.fails(&[settings], &[], code, says);
    world.fails(&[], &[], 78, "no credentials");
}

#[test]
fn a_process_that_does_not_end_is_ended_with_its_children() {
    let world = Sources::start();
    let endless = world.sync_of(KEY, &[&[(CONFIG_FILE, "{bench}/process-endless")]], &[]);
    assert!(endless.code == 78 && !endless.stderr.contains("within --timeout"), "{}", endless.all());
    world.fails(&[&[(CONFIG_FILE, "{bench}/process-hangs")]], &["--timeout", "3s"], 78, "within --timeout");
    let pids = world.bench.read("pids");
    assert_eq!(pids.lines().count(), 2, "{pids}");
    for pid in pids.lines() {
        // One that nobody waits for stays as a zombie.
        let is_gone = || fs::read_to_string(format!("/proc/{pid}/stat")).map_or(true, |stat| stat.contains(") Z "));
        wait_until("the process is gone", is_gone);
    }
}

#[test]
fn ways_that_only_the_cli_knows_are_named_with_the_way_out() {
    let world = Sources::start();
    for way in ["role_arn", "sso_session", "sso_start_url"] {
        let file = format!("{{bench}}/{way}");
        let says = format!(
            "the profile \"default\" has {way}, which the AWS CLI can follow: in a profile of its own set \
             credential_process = aws configure export-credentials --profile default --format process"
        );
        world.fails(&[&[(CONFIG_FILE, &file)]], &[], 78, &says);
    }
}

#[test]
fn an_sts_that_refuses_or_is_away() {
    let world = Sources::start();
    let web = SOURCES[3].1;
    for (token, says) in [
        (world.sts.token("host-2", AUDIENCE, 600), "403 AccessDenied"),
        ("rubbish".to_owned(), "403 AccessDenied"),
        (world.sts.token(SUBJECT, AUDIENCE, -60), "400 ExpiredTokenException"),
        (world.sts.token(SUBJECT, "another", 600), "400 InvalidParameterValue"),
        (world.sts.forged_token(), "400 InvalidParameterValue"),
    ] {
        world.bench.write("refused", token);
        let settings = [web, &[(JWT_FILE, "{bench}/refused")]];
        world.fails(&settings, &[], 77, &format!("the web identity: it answered {says}"));
    }

    let busy = vec![(What::Any, 2, Step::Answer(answer("503 Service Unavailable", &[], "")))];
    let busy = proxy::start(&world.sts.weed.endpoint(), busy);
    world.works(&[web, &[("AWS_ENDPOINT_URL_STS", &busy.endpoint())]]);
    assert_eq!(busy.requests(What::Any).iter().map(|request| request.status).collect::<Vec<_>>(), [503, 503, 200]);

    let (silent, page) = (serve("127.0.0.1:0", |_| None), answer("200 OK", &[], "<html>Welcome</html>"));
    let portal = serve("127.0.0.1:0", move |_| Some(page.clone()));
    for (endpoint, code, says) in [
        ("http://127.0.0.1:1", 69, "the web identity: "),
        (&silent.url(""), 69, "the web identity: "),
        (&portal.url(""), 78, "the web identity: STS gives no credentials"),
    ] {
        world.fails(&[web, &[("AWS_ENDPOINT_URL_STS", endpoint)]], &["--timeout", "1s"], code, says);
    }
}

#[test]
fn a_container_token_goes_to_this_host_and_over_tls_only() {
    if !inside("a_container_token_goes_to_this_host_and_over_tls_only") {
        return;
    }
    let world = Sources::start();
    let token = [("AWS_CONTAINER_AUTHORIZATION_TOKEN", TOKEN)];
    shell(
        &world.bench.folder,
        "for address in 169.254.170.2 169.254.170.23 169.254.170.3 10.9.9.9 fd00:ec2::23 fd00:ec2::24
         do ip address add $address dev lo; done",
    );
    let endpoint = container("[::]:80", &world.keys);
    for host in ["169.254.170.2", "169.254.170.23", "[fd00:ec2::23]", "127.0.0.1", "127.1.2.3", "[::1]", "localhost:80"]
    {
        world.works(&[&token, &[(FULL, &format!("http://{host}/keys"))]]);
    }
    world.works(&[&token, &[(RELATIVE, "/keys"), (FULL, "http://127.0.0.1:1/")]]);
    let asked = endpoint.asked().len();
    assert_eq!(asked, 8);
    for url in [
        "http://169.254.170.3/keys",
        "http://10.9.9.9/keys",
        "http://[fd00:ec2::24]/keys",
        "http://127.0.0.1@10.9.9.9/keys",
        "http://localhost.localdomain/keys",
        "127.0.0.1/keys",
        "ftp://127.0.0.1/keys",
    ] {
        world.fails(&[&token, &[(FULL, url)]], &[], 78, FULL);
    }
    world.fails(&[&token, &[(RELATIVE, "@10.9.9.9/keys")]], &[], 78, RELATIVE);
    assert_eq!(endpoint.asked().len(), asked);
}

/// The statements of a policy of `examples/`: each one's effect, whom it is about, actions, object and condition.
fn statements(policy: &str) -> Value {
    let policy: Value = serde_json::from_str(policy).unwrap();
    assert_eq!(policy["Version"], "2012-10-17");
    let names = ["Effect", "Principal", "Action", "Resource", "Condition"];
    policy["Statement"].as_array().unwrap().iter().map(|one| json!(names.map(|name| &one[name]))).collect()
}

#[test]
fn the_policies_allow_what_is_needed_and_no_more() {
    let (bucket, object, test) = ("arn:aws:s3:::BUCKET", "arn:aws:s3:::BUCKET/KEY", "arn:aws:s3:::BUCKET/KEY.probe");
    let list = json!(["Allow", null, "s3:ListBucket", bucket, {"StringEquals": {"s3:prefix": "KEY"}}]);
    let read = json!(["Allow", null, "s3:GetObject", object, null]);
    assert_eq!(statements(include_str!("../examples/iam-sync.json")), json!([read, list]));
    let write = json!(["Allow", null, ["s3:GetObject", "s3:PutObject"], object, null]);
    let probe = json!(["Allow", null, "s3:PutObject", test, null]);
    assert_eq!(statements(include_str!("../examples/iam-register.json")), json!([write, list, probe]));
    let none = json!({"s3:if-match": "true", "s3:if-none-match": "true"});
    let unconditional = json!({"Null": none, "Bool": {"s3:ObjectCreationOperation": "true"}});
    let guard = json!([["Deny", "*", "s3:PutObject", object, unconditional]]);
    assert_eq!(statements(include_str!("../examples/iam-bucket-policy.json")), guard);
}

#[test]
fn the_policies_are_enough_on_a_server_that_keeps_them() {
    let world = Sources::start();
    let keys = ["sync", "register"].map(|role| world.sts.keys(role));
    let [sync, register] = keys.each_ref().map(|keys| {
        [
            ("AWS_ACCESS_KEY_ID", keys.id.as_str()),
            ("AWS_SECRET_ACCESS_KEY", &keys.secret),
            ("AWS_SESSION_TOKEN", &keys.token),
        ]
    });
    for settings in [sync, register] {
        world.works(&[&settings]);
        let other = world.sync_of("keys", &[&settings], &[]);
        assert!(other.code == 77 && other.stderr.contains("allow s3:GetObject"), "{}", other.all());
    }
    // A register would wait for the right to come.
    let unregister = ["unregister", "--id=1", "--unsafe-store"];
    for (command, says) in
        [(&unregister[..2], "allow s3:PutObject on KEY.probe"), (&unregister, "allow s3:PutObject on it")]
    {
        let refused = world.write(command, &[&sync]);
        assert!(refused.code == 77 && refused.stderr.contains(says), "{}", refused.all());
    }
    let works = |command: &[&str], says: &str| {
        let run = world.write(command, &[&register]);
        assert_eq!((run.code, run.stdout.as_str()), (0, says), "{}", run.stderr);
    };
    works(&unregister[..2], "zoov1 removed (was 10.0.9.1)\n");
    world.sts.weed.remove(KEY);
    world.fails(&[&sync], &[], 66, "404 NoSuchKey");
    let created = format!("created s3://{BUCKET}/{KEY}\nzoov1 added 10.0.9.1\n");
    works(&["register", "--id=1", "--ip=10.0.9.1"], &created);

    let bucket = Bucket::new(world.sts.weed.endpoint().parse().unwrap(), UrlStyle::Path, BUCKET, "us-east-1").unwrap();
    for (prefix, status) in [(KEY, 200), ("k", 403)] {
        let keys = Credentials::new_with_token(&*keys[0].id, &*keys[0].secret, &*keys[0].token);
        // To read an object without a name is to list the bucket.
        let mut list = bucket.get_object(Some(&keys), "");
        list.query_mut().insert("prefix", prefix);
        let url = list.sign(Duration::from_secs(60));
        let request = ureq::get(url.as_str()).config().http_status_as_error(false).build();
        assert_eq!(request.call().unwrap().status(), status, "{prefix}");
    }
}
