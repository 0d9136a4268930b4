//! `register` and `unregister`, alone and in a race, on a real S3 server and on files.

mod fixture;

use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::io::{BufRead, BufReader, ErrorKind};
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use fixture::proxy::{self, What};
use fixture::weed::{command, content, tells_no_secret};
use fixture::{BINARY, Bench, Run, clean, registry, run, weed, zk_hosts};

/// A registry with unknown fields at both levels, in which zoov1 is to be replaced and zoov2 is right already.
const SEED: &str = r#"{"z": 12345678901234567890123, "members": {"web": [1.50, 1E+2],
    "zoov1": {"rack": "b", "ip": "127.0.0.9", "weight": 2.50}, "zoov2": "10.0.0.2"}, "generation": 41, "a": null}"#;

/// What must be in it, in this order, once all are registered.
const KEPT: [&str; 6] = [
    "{\n  \"z\": 12345678901234567890123,\n  \"members\": {\n    \"web\": [1.50, 1E+2],\n",
    r#""zoov1": { "rack": "b", "ip": "10.0.0.1", "weight": 2.50, "registered_at": "2"#,
    r#""zoov2": "10.0.0.2","#,
    r#": { "ip": "10.0.0."#,
    "\n  },\n  \"generation\": ",
    ",\n  \"a\": null,\n  \"updated_at\": \"2",
];

/// A registry that many write.
struct Arena<'a> {
    /// Begins it anew, with this text or with none.
    begin: &'a dyn Fn(Option<&str>),
    /// The command by which this number registers 10.0.0.number.
    register: &'a dyn Fn(usize) -> Command,
    /// Its text.
    read: &'a (dyn Fn() -> Option<String> + Sync),
}

impl Arena<'_> {
    /// 1 to `count` at once, each killed after a random part of `killed_within`. A killed run has the code -1.
    fn race(&self, count: usize, killed_within: Option<Duration>) -> Vec<Run> {
        let one = |mut command: Command| {
            let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
            if let Some(within) = killed_within {
                let micros = (u128::from(RandomState::new().hash_one(())) * within.as_micros()) >> 64;
                thread::sleep(Duration::from_micros(micros.try_into().unwrap()));
                child.kill().unwrap();
            }
            Run::from(child.wait_with_output().unwrap())
        };
        let commands = (1..=count).map(|number| (self.register)(number));
        thread::scope(|scope| {
            let runs: Vec<_> = commands.map(|command| scope.spawn(move || one(command))).collect();
            runs.into_iter().map(|run| run.join().unwrap()).collect()
        })
    }

    /// All register at once, by turns in a registry that exists and in one that does not.
    fn nobody_is_lost(&self, count: usize, rounds: usize) {
        for round in 0..rounds {
            let seed = (round % 2 == 0).then_some(SEED);
            (self.begin)(seed);
            let mut created = 0;
            for (run, number) in self.race(count, None).iter().zip(1..) {
                let change = match (seed, number) {
                    (Some(_), 1) => Some("zoov1 127.0.0.9 -> 10.0.0.1".to_owned()),
                    (Some(_), 2) => None,
                    _ => Some(format!("zoov{number} added 10.0.0.{number}")),
                };
                let is_first = usize::from(run.stdout.starts_with("created "));
                assert!(run.stdout.lines().skip(is_first).map(str::to_owned).eq(change), "{}", run.all());
                assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{}", run.all());
                created += is_first;
                tells_no_secret(run);
            }
            assert_eq!(created, usize::from(seed.is_none()));
            self.all_are_there(count, seed);
        }
    }

    /// The same with kills, under the eyes of an observer.
    fn the_killed_do_no_harm(&self, count: usize, rounds: usize) {
        (self.begin)(None);
        let began = Instant::now();
        self.race(count, None);
        let race = began.elapsed();
        let (mut killed, mut survived) = (0, 0);
        for round in 0..rounds {
            let seed = (round % 2 == 0).then_some(SEED);
            (self.begin)(seed);
            let is_over = AtomicBool::new(false);
            let runs = thread::scope(|scope| {
                let observer = scope.spawn(|| observe(self.read, &is_over));
                let runs = self.race(count, Some(race));
                is_over.store(true, Ordering::Relaxed);
                observer.join().unwrap();
                runs
            });
            let text = (self.read)().unwrap_or_else(|| r#"{"members": {}}"#.to_owned());
            for (run, number) in runs.iter().zip(1..) {
                assert!(matches!(run.code, 0 | -1), "{}", run.all());
                assert!(run.code == -1 || is_there(&text, number), "{number}: {text}");
            }
            killed += runs.iter().filter(|run| run.code == -1).count();
            survived += runs.iter().filter(|run| run.code == 0).count();
            writes_are_counted(&text, count, seed);
            assert!(self.race(count, None).iter().all(|run| run.code == 0));
            self.all_are_there(count, seed);
        }
        assert!(killed > 0 && survived > 0, "{killed} were killed, {survived} survived");
    }

    fn all_are_there(&self, count: usize, seed: Option<&str>) {
        let text = (self.read)().unwrap();
        assert!((1..=count).all(|number| is_there(&text, number)), "{text}");
        writes_are_counted(&text, count, seed);
        let mut rest = text.as_str();
        for part in KEPT.iter().filter(|_| seed.is_some()) {
            (_, rest) = rest.split_once(part).unwrap_or_else(|| panic!("{part} is missing or displaced: {text}"));
        }
    }
}

/// Reads until it is over: once there is a registry there always is one, and its generation never falls.
fn observe(read: &dyn Fn() -> Option<String>, is_over: &AtomicBool) {
    let mut last = None;
    while !is_over.load(Ordering::Relaxed) {
        let now = read().map(|text| content(&text).0);
        assert!(now >= last, "{last:?}, then {now:?}");
        last = now;
    }
}

fn is_there(text: &str, number: usize) -> bool {
    content(text).1.get(&format!("zoov{number}")) == Some(&format!("10.0.0.{number}"))
}

/// Each write sets one member right, so that the generation tells how many are, besides the one that was from the start.
fn writes_are_counted(text: &str, count: usize, seed: Option<&str>) {
    let right = (1..=count).filter(|number| is_there(text, *number)).count();
    let before = seed.map_or(0, |seed| content(seed).0 - 1);
    assert_eq!(content(text).0, before + right as u64, "{text}");
}

/// `register` where loopback is taken, and whoever has the slot is replaced.
fn arguments(number: &str, ip: &str) -> Vec<String> {
    let line = format!("--timeout 2m --allow-loopback --force --id {number} --ip {ip}");
    line.split(' ').map(str::to_owned).collect()
}

/// `register` in the bench's zk.json.
fn in_file(bench: &Bench) -> Command {
    let mut command = zk_hosts();
    command.args(["register", "--registry", &format!("file://{}", bench.path("zk.json").display())]);
    command
}

fn on_s3(act: impl Fn(&Arena)) {
    let weed = weed::start();
    act(&Arena {
        begin: &|text| match text {
            Some(text) => weed.put("zk.json", text),
            None => weed.remove("zk.json"),
        },
        register: &|number| {
            let mut command = command("register", &weed.endpoint(), "zk.json");
            command.args(arguments(&number.to_string(), &format!("10.0.0.{number}")));
            command
        },
        read: &|| weed.get("zk.json"),
    });
}

#[test]
fn thirty_two_at_once_on_s3_lose_nobody() {
    on_s3(|arena| arena.nobody_is_lost(32, 20));
}

#[test]
fn thirty_two_at_once_on_s3_some_of_them_killed() {
    on_s3(|arena| arena.the_killed_do_no_harm(32, 6));
}

#[test]
fn sixteen_at_once_in_a_file() {
    let bench = Bench::new();
    let path = bench.path("zk.json");
    let arena = Arena {
        begin: &|text| match text {
            Some(text) => fs::write(&path, text).unwrap(),
            None => drop(fs::remove_file(&path)),
        },
        register: &|number| {
            let mut command = in_file(&bench);
            command.args(arguments(&number.to_string(), &format!("10.0.0.{number}")));
            command
        },
        read: &|| fs::read_to_string(&path).ok(),
    };
    arena.nobody_is_lost(16, 5);
    assert_eq!(bench.names(), ["zk.json", "zk.json.lock"]);
    arena.the_killed_do_no_harm(16, 10);
    // One that surely writes removes what the killed have left.
    assert_eq!(run(&mut (arena.register)(99)).code, 0);
    assert_eq!(bench.names(), ["zk.json", "zk.json.lock"]);
}

#[test]
fn each_change_is_printed_once_and_where_there_is_none_nothing_is_written() {
    let weed = weed::start();
    let proxy = proxy::start(&weed.endpoint(), Vec::new());
    // What was printed, and how many writes it took.
    let call = |name: &str, more: &[String]| {
        let before = [What::Read, What::Test, What::Write].map(|what| proxy.count(what));
        let run = run(command(name, &proxy.endpoint(), "zk.json").args(more));
        tells_no_secret(&run);
        assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{}", run.all());
        let after = [What::Read, What::Test, What::Write].map(|what| proxy.count(what));
        let [reads, tests, writes] = [0, 1, 2].map(|index| after[index] - before[index]);
        assert_eq!((reads, tests), (1, writes));
        (run.stdout, writes)
    };
    let register = |ip: &str| call("register", &arguments("2", ip));
    let unregister = || call("unregister", &["--allow-loopback".to_owned(), "--id=2".to_owned()]);
    let written = |stdout: &str| (stdout.to_owned(), 1);
    let condition = |name: &str| proxy.requests(What::Write).last().unwrap().header(name).map(str::to_owned);
    let nothing = (String::new(), 0);

    assert_eq!(register("127.0.0.5"), written("created s3://ensemble/zk.json\nzoov2 added 127.0.0.5\n"));
    assert_eq!((condition("if-none-match").as_deref(), condition("if-match")), (Some("*"), None));
    assert_eq!(register("127.0.0.5"), nothing);
    assert_eq!(register("127.0.0.6"), written("zoov2 127.0.0.5 -> 127.0.0.6\n"));
    assert!(condition("if-match").is_some_and(|version| version.len() > 2 && version.starts_with('"')));
    assert_eq!(unregister(), written("zoov2 removed (was 127.0.0.6)\n"));
    assert_eq!(unregister(), nothing);
    assert_eq!(register("10.0.0.2"), written("zoov2 added 10.0.0.2\n"));
    assert_eq!(call("unregister", &["--id=2".to_owned(), "-q".to_owned()]), written(""));
    assert_eq!(content(&weed.get("zk.json").unwrap()).0, 5);

    for test in proxy.requests(What::Test) {
        assert_eq!((test.header("if-match"), test.header("content-length")), (Some("\"0\""), Some("0")));
    }
    assert_eq!(weed.get("zk.json.probe"), None);
}

#[test]
fn what_is_not_there_is_not_unregistered_and_a_bucket_is_not_made() {
    let weed = weed::start();
    let fails = |name: &str, arguments: &[&str], says: [&str; 2]| {
        let run = run(command(name, &weed.endpoint(), "zk.json").args(arguments));
        assert_eq!((run.code, run.stdout.as_str(), run.stderr.lines().count()), (66, "", 1), "{}", run.all());
        assert!(says.iter().all(|part| run.stderr.contains(part)), "{}", run.all());
        tells_no_secret(&run);
    };
    fails("unregister", &["--id=2"], ["NoSuchKey", "check the key"]);
    weed.remove_bucket();
    fails("unregister", &["--id=2"], ["NoSuchBucket", "check the bucket"]);
    fails("register", &["--id=2", "--ip=10.0.0.2"], ["NoSuchBucket", "check the bucket"]);
    fails("register", &["--id=2", "--ip=10.0.0.2", "--force", "--unsafe-store"], ["NoSuchBucket", "check the bucket"]);
}

#[test]
fn a_live_holder_is_replaced_when_it_ends_or_by_force() {
    let bench = Bench::new();
    let holder = TcpListener::bind("127.0.0.7:0").unwrap();
    let port = holder.local_addr().unwrap().port().to_string();
    let begin = || bench.write("zk.json", registry(&[("zoov2", "127.0.0.7")]));
    // Its data makes a quorum needless.
    fs::create_dir_all(bench.path("data/version-2")).unwrap();
    bench.write("data/version-2/currentEpoch", "1");
    let register = |ip: &str, more: &[&str]| {
        let mut command = in_file(&bench);
        command.arg("--myid-file").arg(bench.path("data/myid"));
        command.args(["--allow-loopback", "--probe-port", &port, "--id=2", "--ip", ip]).args(more);
        command
    };
    begin();
    let refused = run(&mut register("10.0.0.2", &["--timeout=1500ms"]));
    assert_eq!((refused.code, refused.stdout.as_str(), refused.stderr.lines().count()), (75, "", 1));
    assert!(refused.stderr.contains("zoov2 is 127.0.0.7, which accepts"), "{}", refused.all());
    assert!(refused.stderr.contains("--force"), "{}", refused.all());
    assert_eq!(bench.read("zk.json"), registry(&[("zoov2", "127.0.0.7")]));
    assert_eq!(bench.names(), ["data", "zk.json"]);
    drop(holder.accept().unwrap());

    // Neither the holder itself nor force asks whether it is alive.
    holder.set_nonblocking(true).unwrap();
    while holder.accept().is_ok() {}
    assert_eq!(run(&mut register("127.0.0.7", &["--timeout=1m"])).all(), "0\n\n");
    assert_eq!(run(&mut register("10.0.0.2", &["--force", "--timeout=1m"])).stdout, "zoov2 127.0.0.7 -> 10.0.0.2\n");
    assert_eq!(holder.accept().unwrap_err().kind(), ErrorKind::WouldBlock);

    begin();
    let mut patient =
        register("10.0.0.2", &["-v", "--timeout=1m"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(patient.stderr.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("waiting: zoov2 is 127.0.0.7")));
    drop(holder);
    assert!(lines.all(|line| line.is_ok()));
    assert_eq!(Run::from(patient.wait_with_output().unwrap()).all(), "0\nzoov2 127.0.0.7 -> 10.0.0.2\n\n");
}

#[test]
fn the_address_is_given_or_the_only_one_of_an_interface() {
    let bench = Bench::new();
    // An interface with these addresses in a network namespace of the call's own, besides the link-local one.
    let on = |addresses: &str, name: &str, more: &[&str]| {
        let _ = fs::remove_file(bench.path("zk.json"));
        let script = format!(
            "ip link set lo up
             ip link add one type veth peer name other
             for address in {addresses}; do ip address add $address dev one; done
             ip link set one up
             exec \"$0\" \"$@\""
        );
        let mut command = clean("unshare");
        command.args(["--net", "sh", "-euc", &script, BINARY, "register", "--id=1", "--interface", name]).args(more);
        run(command.args(["--registry", &format!("file://{}", bench.path("zk.json").display())]))
    };
    for (addresses, ip) in [
        ("10.0.5.7/24", "10.0.5.7"),
        ("2001:db8::7/64", "2001:db8::7"),
        ("10.0.5.7/24 169.254.3.3/16 127.0.0.9/8", "10.0.5.7"),
    ] {
        let run = on(addresses, "one", &[]);
        assert!(run.code == 0 && run.stdout.ends_with(&format!("\nzoov1 added {ip}\n")), "{}", run.all());
    }
    let several = [("10.0.5.7/24 10.0.5.8/24", "10.0.5.8"), ("10.0.5.7/24 2001:db8::7/64", "2001:db8::7")];
    let none = "it has no global address";
    let fails = |run: Run, says: &[&str]| {
        assert_eq!((run.code, run.stdout.as_str(), run.stderr.lines().count()), (78, "", 1), "{}", run.all());
        assert!(says.iter().all(|part| run.stderr.contains(part)), "{}", run.all());
        assert!(!bench.path("zk.json").exists());
    };
    for (addresses, second) in several {
        fails(on(addresses, "one", &[]), &["the interface one: it has several", "10.0.5.7", second, "--ip"]);
    }
    for (addresses, name) in [("", "one"), ("169.254.3.3/16", "one"), ("10.0.5.7/24", "lo"), ("10.0.5.7/24", "on")] {
        fails(on(addresses, name, &["--allow-loopback"]), &[none, "--interface"]);
    }

    for ip in
        ["127.0.0.1", "::1", "0.0.0.0", "169.254.1.1", "fe80::1", "224.0.0.1", "255.255.255.255", "::ffff:10.0.0.1"]
    {
        fails(run(in_file(&bench).args(["--id=1", "--ip", ip])), &[&format!("publish {ip}: it is "), "--ip"]);
    }
    fails(run(in_file(&bench).arg("--id=1")), &["no --ip, no --interface, no EC2 metadata service"]);
    let both = run(in_file(&bench).args(["--id=1", "--ip=10.0.0.1", "--interface=lo"]));
    assert_eq!(both.code, 64, "{}", both.all());
    let loopback = run(in_file(&bench).args(["--id=1", "--ip=::1", "--allow-loopback"]));
    assert!(loopback.code == 0 && loopback.stdout.ends_with("\nzoov1 added ::1\n"), "{}", loopback.all());
}

#[test]
fn the_number_is_given_or_that_of_myid_and_the_two_agree() {
    let bench = Bench::new();
    let with = |myid: Option<&[u8]>, id: &[&str]| {
        let path = bench.path("myid");
        match myid {
            Some(myid) => fs::write(&path, myid).unwrap(),
            None => drop(fs::remove_file(&path)),
        }
        run(in_file(&bench).arg("--ip=10.0.0.1").args(id).env("ZK_HOSTS_MYID_FILE", &path))
    };
    for (myid, id, code, says) in [
        (Some(&b"3"[..]), &["--id=2"][..], 78, "--id is 2"),
        (Some(b"zoov2"), &["--id=2"], 78, "holds no number"),
        (Some(b""), &[], 78, "holds no number"),
        (Some(b"3 4\n"), &[], 78, "holds no number"),
        (Some(b"0\n"), &[], 78, "holds no number"),
        (Some(b"\xff"), &[], 78, "holds no number"),
        (None, &[], 74, "there is none"),
    ] {
        let run = with(myid, id);
        assert_eq!((run.code, run.stdout.as_str(), run.stderr.lines().count()), (code, "", 1), "{}", run.all());
        assert!(run.stderr.contains(says) && run.stderr.contains("myid"), "{}", run.all());
    }
    assert!(!bench.names().contains(&"zk.json".to_owned()));
    assert!(with(Some(b" 3\n"), &[]).stdout.ends_with("\nzoov3 added 10.0.0.1\n"));
    assert_eq!(with(Some(b"4\n"), &["--id=4"]).stdout, "zoov4 added 10.0.0.1\n");
    assert_eq!(with(None, &["--id=5"]).stdout, "zoov5 added 10.0.0.1\n");
    let text = bench.read("zk.json");
    let neither = run(in_file(&bench).arg("--ip=10.0.0.1"));
    assert_eq!((neither.code, bench.read("zk.json")), (64, text), "{}", neither.all());
}

#[test]
fn a_url_is_read_only() {
    for (name, more) in [("register", &["--id=1", "--ip=10.0.0.1"][..]), ("unregister", &["--id=1"])] {
        for scheme in ["https", "http"] {
            let url = format!("{scheme}://127.0.0.1:1/k?X-Amz-Signature=5ec2e7");
            let run = run(zk_hosts().args([name, "--registry", &url]).args(more));
            assert_eq!((run.code, run.stdout.as_str()), (64, ""), "{}", run.all());
            assert!(run.stderr.contains("read only") && !run.stderr.contains("5ec2e7"), "{}", run.all());
        }
    }
}
