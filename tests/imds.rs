//! What EC2's metadata service gives: addresses, the region and a role, from boot on, and where it is not there.

mod fixture;

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use fixture::answers::{answer, serve};
use fixture::metadata::{self, Fault, Metadata, inside};
use fixture::weed::BUCKET;
use fixture::{BINARY, Bench, Run, clean, registry, run, shell, sts, wait_until, zk_hosts};

const ROLE: &str = "iam/security-credentials/";

/// What a service has to say of each machine.
const PLACE: &[(&str, &str)] =
    &[("local-ipv4", "10.0.9.2"), ("instance-id", "i-0abc"), ("placement/region", "eu-south-2")];

/// Registers zoov2 in the bench's file.
fn register(bench: &Bench) -> Command {
    let mut command = zk_hosts();
    command.args(["register", "--id=2", "--registry"]).env("ZK_HOSTS_TIMEOUT", "20s");
    command.arg(format!("file://{}", bench.path("zk.json").display()));
    command
}

/// The same on a machine where this service is.
fn register_with(bench: &Bench, metadata: &Metadata) -> Command {
    let mut command = register(bench);
    command.env("AWS_EC2_METADATA_DISABLED", "false").env("AWS_EC2_METADATA_SERVICE_ENDPOINT", metadata.endpoint());
    command
}

fn bench() -> Bench {
    let bench = Bench::new();
    bench.registry(&[("zoov1", "10.0.9.1")]);
    bench
}

fn service() -> Metadata {
    metadata::start("127.0.0.1:0", PLACE)
}

/// What the registry has of zoov2.
fn member(bench: &Bench) -> Value {
    serde_json::from_str::<Value>(&bench.read("zk.json")).unwrap()["members"]["zoov2"].clone()
}

/// Runs a call that has to fail in one line and to leave the registry as it was.
fn fails(bench: &Bench, command: &mut Command, code: i32, says: &str) {
    let before = bench.read("zk.json");
    let run = run(command);
    assert!(run.code == code && run.stderr.contains(says), "{code} {says}: {}", run.all());
    assert_eq!((run.stdout.as_str(), run.stderr.lines().count()), ("", 1), "{}", run.all());
    assert!(!run.stderr.contains("m3tadata"), "{}", run.all());
    assert_eq!(bench.read("zk.json"), before);
}

#[test]
fn the_address_and_the_instance() {
    for (path, address) in [("local-ipv4", "10.0.9.2"), ("ipv6", "2001:db8::2")] {
        for fault in [Fault::None, Fault::ForgetsOnce] {
            let (bench, metadata) =
                (bench(), metadata::start("127.0.0.1:0", &[(path, address), ("instance-id", "i-0abc")]));
            metadata.fault(fault);
            let run = run(&mut register_with(&bench, &metadata));
            let expected = (0, format!("zoov2 added {address}\n"), String::new());
            assert_eq!((run.code, run.stdout, run.stderr), expected, "{path} {fault:?}");
            let member = member(&bench);
            assert_eq!((&member["ip"], &member["instance_id"]), (&address.into(), &"i-0abc".into()));
        }
    }
    // Where a machine has both.
    let (bench, metadata) = (bench(), service());
    metadata.has("ipv6", "2001:db8::2");
    assert_eq!(run(&mut register_with(&bench, &metadata)).stdout, "zoov2 added 10.0.9.2\n");
    // What is given by hand is not asked for.
    let asked = metadata.asked().len();
    let run = run(register_with(&bench, &metadata).args(["--ip=10.0.9.3", "--force"]));
    assert_eq!((run.code, metadata.asked().len()), (0, asked), "{}", run.all());
    assert_eq!(member(&bench)["ip"], "10.0.9.3");
}

#[test]
fn a_service_that_gives_no_address() {
    let bench = bench();
    let metadata = service();
    let fails = |command: &mut Command, code, says| fails(&bench, command, code, says);
    let way_out = "give --ip ADDR or --interface NAME";
    fails(register_with(&bench, &metadata).env("AWS_EC2_METADATA_DISABLED", "true"), 78, way_out);
    fails(register_with(&bench, &metadata).env("AWS_EC2_METADATA_DISABLED", "True"), 78, way_out);
    assert_eq!(metadata.asked(), Vec::<String>::new());

    metadata.fault(Fault::Refuses);
    fails(
        &mut register_with(&bench, &metadata),
        77,
        "local-ipv4: it answered 403: enable the instance's metadata service",
    );
    assert!(metadata.asked().iter().all(|line| line == "PUT /latest/api/token"), "{:?}", metadata.asked());
    metadata.fault(Fault::Redirects);
    fails(&mut register_with(&bench, &metadata), 78, "local-ipv4: it answered 302");
    assert!(!metadata.asked().contains(&"GET /elsewhere".to_owned()));
    metadata.fault(Fault::Silent);
    fails(register_with(&bench, &metadata).arg("--timeout=3s"), 69, "local-ipv4: no answer in time");
    metadata.fault(Fault::None);

    for refused in ["127.0.0.1", "169.254.1.1", "0.0.0.0", "::1", "10.0.9", "<html>", ""] {
        metadata.has("local-ipv4", refused);
        fails(&mut register_with(&bench, &metadata), 78, way_out);
    }
    let nothing = metadata::start("127.0.0.1:0", &[]);
    fails(&mut register_with(&bench, &nothing), 78, way_out);
    assert_eq!(nothing.asked_for("ipv6"), 1);
}

#[test]
fn the_region_where_none_is_set() {
    let bench = bench();
    bench.write("hosts", "");
    let store = serve(vec![answer("200 OK", &["ETag: \"1\""], &registry(&[("zoov1", "10.0.9.1")]))]);
    let metadata = service();
    let sync = |region: &str| {
        let mut command = bench.command(&format!("s3://{BUCKET}/zk.json"));
        command.args(["--dry-run", "--timeout=5s"]).env("AWS_REGION", region);
        command.env("AWS_ACCESS_KEY_ID", "a").env("AWS_SECRET_ACCESS_KEY", "s");
        command.env("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{}", store.port));
        command.env("AWS_EC2_METADATA_DISABLED", "false");
        command.env("AWS_EC2_METADATA_SERVICE_ENDPOINT", metadata.endpoint());
        run(&mut command)
    };
    for (region, signed) in [("", "%2Feu-south-2%2Fs3"), ("us-east-1", "%2Fus-east-1%2Fs3")] {
        let run = sync(region);
        assert_eq!(run.code, 2, "{}", run.all());
        assert!(store.asked().last().unwrap().contains(signed), "{:?}", store.asked());
    }
    assert_eq!(metadata.asked_for("placement/region"), 1);
    metadata.has("placement/region", "evil.example/");
    assert_eq!((sync("").code, store.asked().len()), (78, 2));
}

/// A command on an object of a real server, with nothing set but where that is.
fn s3_register(endpoint: &str, more: &[&str]) -> Command {
    let mut command = zk_hosts();
    command.args(["register", "--id=2", "--registry", &format!("s3://{BUCKET}/zk.json")]).args(more);
    command.env("AWS_ENDPOINT_URL_S3", endpoint).env_remove("AWS_EC2_METADATA_DISABLED");
    command
}

#[test]
fn a_role_that_does_not_come_or_gives_no_keys() {
    let bench = bench();
    let role = format!("{ROLE}zk");
    let named: (&str, &str) = (ROLE, "zk");
    let fails = |texts: &[(&str, &str)], code, says| {
        let metadata = metadata::start("127.0.0.1:0", &[PLACE, texts].concat());
        let mut command = s3_register("http://127.0.0.1:1", &["--timeout=2m"]);
        fails(&bench, command.env("AWS_EC2_METADATA_SERVICE_ENDPOINT", metadata.endpoint()), code, says);
        metadata.asked_for(ROLE)
    };
    let waits = |texts: &[(&str, &str)], code, says| assert!(fails(texts, code, says) > 1, "{says}");
    std::thread::scope(|scope| {
        scope.spawn(|| waits(&[], 78, "no credentials"));
        scope.spawn(|| waits(&[named], 78, "no credentials"));
        let refused = (role.as_str(), r#"{"Code": "AssumeRoleUnauthorizedAccess"}"#);
        let says = "the instance role \"zk\": the metadata service says \"AssumeRoleUnauthorizedAccess\"";
        scope.spawn(move || waits(&[named, refused], 77, says));
        let half = (role.as_str(), r#"{"Code": "Success", "AccessKeyId": "m3tadata"}"#);
        assert_eq!(fails(&[named, half], 78, "the instance role is half set: SecretAccessKey"), 1);
    });

    // A pass does not wait.
    bench.write("hosts", "");
    let nothing = metadata::start("127.0.0.1:0", &[]);
    let mut sync = bench.command(&format!("s3://{BUCKET}/zk.json"));
    sync.env("AWS_EC2_METADATA_DISABLED", "false").env("AWS_EC2_METADATA_SERVICE_ENDPOINT", nothing.endpoint());
    let run = run(&mut sync);
    assert!(run.code == 78 && run.stderr.contains("no credentials"), "{}", run.all());
    assert_eq!(nothing.asked_for(ROLE), 1);
}

#[test]
fn register_starts_before_the_network_the_service_and_the_role() {
    if !inside("register_starts_before_the_network_the_service_and_the_role") {
        return;
    }
    let (bench, sts) = (Bench::new(), sts::start());
    // strace tells each try and how it ended; the kernel's counters would have SeaweedFS's in them.
    let mut command = clean("strace");
    command.args(["-f", "-qq", "-e", "trace=connect", "-o", "connects", BINARY]).current_dir(&bench.folder);
    command.args(s3_register("", &["--timeout=60s"]).get_args());
    command.env("AWS_ENDPOINT_URL_S3", sts.weed.endpoint()).env_remove("AWS_EC2_METADATA_DISABLED");
    let tries = |is_there: bool| {
        let text = fs::read_to_string(bench.path("connects")).unwrap_or_default();
        let tries = text.lines().filter(|line| line.contains("169.254.169.254") && line.contains(") = "));
        tries.filter(|line| line.contains("ENETUNREACH") != is_there).count()
    };
    shell(&bench.folder, "mkdir -p /sys/class/dmi/id; echo Amazon EC2 > /sys/class/dmi/id/sys_vendor");
    let register = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();

    wait_until("it tries without a network", || tries(false) > 1);
    shell(&bench.folder, "ip address add 169.254.169.254 dev lo");
    wait_until("it tries without a service", || tries(true) > 1);
    let metadata = metadata::start("169.254.169.254:80", PLACE);
    wait_until("it asks for the role", || metadata.asked_for(ROLE) > 1);
    metadata.has(ROLE, "zk");
    let role = format!("{ROLE}zk");
    wait_until("it asks for the role's keys", || metadata.asked_for(&role) > 0);
    metadata.has(&role, r#"{"Code": "Failed"}"#);
    let asked = metadata.asked_for(&role);
    wait_until("it asks again", || metadata.asked_for(&role) > asked);
    metadata.has(&role, &sts.keys("admin").json("Token"));

    let run = Run::from(register.wait_with_output().unwrap());
    let expected = (0, format!("created s3://{BUCKET}/zk.json\nzoov2 added 10.0.9.2\n"), String::new());
    assert_eq!((run.code, run.stdout, run.stderr), expected);
    let registry: Value = serde_json::from_str(&sts.weed.get("zk.json").unwrap()).unwrap();
    let member = &registry["members"]["zoov2"];
    assert_eq!((&member["ip"], &member["instance_id"]), (&"10.0.9.2".into(), &"i-0abc".into()));
}

#[test]
fn a_machine_that_is_none_of_ec2() {
    if !inside("a_machine_that_is_none_of_ec2") {
        return;
    }
    let bench = bench();
    bench.write("hosts", "");
    let soon = |command: &mut Command, says: &str| {
        let begun = Instant::now();
        fails(&bench, command.env_remove("AWS_EC2_METADATA_DISABLED"), 78, says);
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    };
    let all = || {
        soon(&mut register(&bench), "give --ip ADDR or --interface NAME");
        let sync = &mut bench.command(&format!("s3://{BUCKET}/zk.json"));
        soon(sync.env("AWS_REGION", "us-east-1"), "no credentials");
        soon(sync.env("AWS_REGION", "").env("AWS_ACCESS_KEY_ID", "a").env("AWS_SECRET_ACCESS_KEY", "s"), "AWS_REGION");
    };
    // No way to the service, then one on which all is lost, then nobody there.
    all();
    shell(
        &bench.folder,
        "ip link add v0 type veth peer name v1
         ip link set v0 up
         ip link set v1 up
         ip address add 10.9.9.1/24 dev v0
         ip neighbour add 10.9.9.2 lladdr 02:00:00:00:00:02 dev v0
         ip route add default via 10.9.9.2",
    );
    all();
    shell(&bench.folder, "ip address add 169.254.169.254 dev lo");
    all();
    // A service that is like it is as good.
    let metadata = metadata::start("169.254.169.254:80", PLACE);
    let run = run(register(&bench).env_remove("AWS_EC2_METADATA_DISABLED"));
    assert_eq!((run.code, run.stdout.as_str()), (0, "zoov2 added 10.0.9.2\n"), "{}", run.all());
    assert_eq!(metadata.asked_for("local-ipv4"), 1);
    // Something else that answers there is none.
    for fault in [Fault::Refuses, Fault::Silent, Fault::Redirects] {
        metadata.fault(fault);
        all();
    }
}
