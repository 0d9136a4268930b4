//! `register --claim` on a real S3 server, each machine with its own metadata service; who is dead is judged in a network of
//! the test's own, beside real ZooKeeper servers.

mod fixture;

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::thread;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use fixture::metadata::inside;
use fixture::proxy::{self, Proxy, What};
use fixture::weed::{Weed, content, tells_no_secret};
use fixture::zookeeper::{self, Machine, gives_up, machine};
use fixture::{BINARY, Run, at, clean, registry, run, shell, wait_until, weed, zk_hosts};

const KEY: &str = "zk.json";

/// Nothing is too young, and one look is enough.
const AT_ONCE: [(&str, &str); 2] = [("ZK_HOSTS_CLAIM_GRACE", "0"), ("ZK_HOSTS_CLAIM_SILENCE", "0")];

/// All of them at once.
fn race(commands: Vec<Command>) -> Vec<Run> {
    thread::scope(|scope| {
        let runs: Vec<_> =
            commands.into_iter().map(|mut command| scope.spawn(move || Run::from(command.output().unwrap()))).collect();
        runs.into_iter().map(|run| run.join().unwrap()).collect()
    })
}

/// How many registries were read, tests made and registries written.
fn requests(proxy: &Proxy) -> [usize; 3] {
    let written = proxy.requests(What::Write).iter().filter(|request| request.status == 200).count();
    [proxy.count(What::Read), proxy.count(What::Test), written]
}

/// Eight machines claim five slots in this registry, of this generation, which is not there yet where that is 0.
fn one_race(weed: &Weed, machines: &[Machine], key: &str, before: u64) {
    if before > 0 {
        weed.put(key, &format!(r#"{{"generation": {before}, "members": {{"web": 7, "zoov6": "127.0.8.6"}}}}"#));
    }
    let proxy = proxy::start(&weed.endpoint(), Vec::new());
    let claim = |machine: &Machine| {
        let mut command = machine.register(&proxy.endpoint(), key, "--claim --size=5");
        command.env("ZK_HOSTS_TIMEOUT", "10s");
        command
    };
    let runs = race(machines.iter().map(claim).collect());

    let text = weed.get(key).unwrap();
    let registry: Value = serde_json::from_str(&text).unwrap();
    let (mut slots, mut created, mut without) = (BTreeSet::new(), 0, 0);
    for (machine, run) in machines.iter().zip(&runs) {
        tells_no_secret(run);
        if run.code == 0 {
            let id = machine.myid().unwrap_or_else(|| panic!("{}", run.all()));
            let member = &registry["members"][format!("zoov{}", id.trim())];
            assert_eq!(
                (&member["ip"], &member["instance_id"]),
                (&json!(machine.ip), &json!(machine.instance)),
                "{text}"
            );
            let change = format!("zoov{} added {}\n", id.trim(), machine.ip);
            assert!(run.stdout.ends_with(&change) && run.stderr.is_empty(), "{}", run.all());
            created += usize::from(run.stdout.starts_with("created "));
            slots.insert(id);
            fs::remove_file(machine.bench.path("myid")).unwrap();
        } else {
            without += 1;
            assert_eq!((run.code, run.stdout.as_str(), run.stderr.lines().count()), (75, "", 1), "{}", run.all());
            for (slot, ip) in content(&text).1.iter().filter(|(slot, _)| *slot != "zoov6") {
                let holder = format!("{slot} is {ip}, which registered ");
                assert!(run.stderr.contains(&holder), "{holder}: {}", run.all());
            }
            assert_eq!(machine.bench.names(), Vec::<String>::new());
        }
    }
    assert!(slots.iter().map(String::as_str).eq(["1\n", "2\n", "3\n", "4\n", "5\n"]), "{slots:?}: {text}");
    assert_eq!((without, created), (3, usize::from(before == 0)));
    assert_eq!((requests(&proxy)[2], content(&text).0), (5, before + 5));
    assert!(before == 0 || (registry["members"]["web"] == 7 && registry["members"]["zoov6"] == "127.0.8.6"));
}

#[test]
fn eight_machines_race_for_five_slots() {
    if !inside("eight_machines_race_for_five_slots") {
        return;
    }
    let weed = weed::start();
    // Those that find no slot look again: the rounds wait side by side.
    let two_rounds = |lane: u64| {
        let machines: Vec<Machine> = (1..=8).map(machine).collect();
        for round in 0..2 {
            one_race(&weed, &machines, &format!("zk{lane}-{round}.json"), round * 41);
        }
    };
    thread::scope(|scope| (0..10).for_each(|lane| drop(scope.spawn(move || two_rounds(lane)))));
}

#[test]
fn a_machine_that_boots_again_has_its_own_slot() {
    if !inside("a_machine_that_boots_again_has_its_own_slot") {
        return;
    }
    let (weed, machines) = (weed::start(), [1, 2, 3, 4].map(machine));
    let proxy = proxy::start(&weed.endpoint(), Vec::new());
    let claim = |machine: &Machine| machine.register(&proxy.endpoint(), KEY, "--claim --size=3");
    for (machine, id) in machines.iter().zip(1..=3) {
        assert!(run(&mut claim(machine)).stdout.ends_with(&format!("zoov{id} added {}\n", machine.ip)));
    }
    let (text, second) = (weed.get(KEY).unwrap(), &machines[1]);
    let writes_nothing = |mut command: Command| {
        let [reads, tests, writes] = requests(&proxy);
        assert_eq!(run(&mut command).all(), "0\n\n");
        assert_eq!((requests(&proxy), weed.get(KEY)), ([reads + 1, tests, writes], Some(text.clone())));
        assert_eq!(second.myid().as_deref(), Some("2\n"));
    };
    writes_nothing(claim(second));
    fs::remove_file(second.bench.path("myid")).unwrap();
    writes_nothing(claim(second));
    // One that does not know its instance has its address.
    fs::remove_file(second.bench.path("myid")).unwrap();
    let mut without = claim(second);
    without.args(["--ip", &second.ip]).env("AWS_EC2_METADATA_DISABLED", "true");
    writes_nothing(without);

    // A fourth finds no slot, however silent the holders are, and whatever force is there.
    let told = machines[..3].iter().map(|holder| format!(" is {}, which registered ", holder.ip)).collect::<Vec<_>>();
    thread::scope(|scope| {
        for more in ["--claim-grace=10m", "--force", "--claim-silence=0"] {
            let (mut command, told) = (claim(&machines[3]), &told);
            scope.spawn(move || {
                let cause = gives_up(command.arg(more));
                assert!(told.iter().all(|holder| cause.contains(holder)), "{cause}");
                assert_eq!(cause.matches("within the grace of 600").count(), 3, "{cause}");
            });
        }
    });
    // A flag goes before the environment.
    let cause = gives_up(claim(&machines[3]).args(["--force", "--claim-grace=20m"]).envs(AT_ONCE));
    assert_eq!(cause.matches("within the grace of 1200").count(), 3, "{cause}");
    assert_eq!((weed.get(KEY), machines[3].bench.names()), (Some(text), Vec::new()));

    // With a new address the slot is still its own, though somebody answers at the old one.
    let _answers = TcpListener::bind((second.ip.as_str(), 3888)).unwrap();
    second.metadata.has("local-ipv4", "127.0.7.22");
    assert_eq!(run(&mut claim(second)).all(), "0\nzoov2 127.0.7.2 -> 127.0.7.22\n\n");
    let (generation, members) = content(&weed.get(KEY).unwrap());
    assert!(generation == 4 && members.values().eq(["127.0.7.1", "127.0.7.22", "127.0.7.3"]), "{members:?}");
    assert_eq!(second.myid().as_deref(), Some("2\n"));
    // Once the grace is over, the dead make room: the first of them.
    assert_eq!(run(claim(&machines[3]).arg("--force").envs(AT_ONCE)).all(), "0\nzoov1 127.0.7.1 -> 127.0.7.4\n\n");
    assert_eq!(machines[3].myid().as_deref(), Some("1\n"));
}

/// A member that registered so many minutes ago.
fn aged(ip: &str, minutes: i64) -> Value {
    let then = Timestamp::now() - SignedDuration::from_mins(minutes);
    json!({"ip": ip, "instance_id": format!("i-{ip}"), "registered_at": then.to_string()})
}

const LIVE: [&str; 3] = ["127.0.9.1", "127.0.9.2", "127.0.9.3"];

/// Where nobody is: what is sent there is lost; nobody says that the address is its own; there is no way; and no network.
const SILENT: [&str; 4] = ["10.9.9.2", "10.9.9.3", "10.8.0.1", "10.7.0.1"];

/// Where a host is without ZooKeeper.
const REFUSING: &str = "127.0.8.8";

/// Where one accepts connections and is in no quorum.
const ALIVE: &str = "127.0.9.9";

/// Who holds zoov3 and zoov4 beside three that live, and what comes of it.
struct Case {
    third: Value,
    fourth: Value,
    silence: &'static str,
    /// By how much the machine's clock is off.
    offset: &'static str,
    /// Who is replaced, or why no one.
    expected: Result<&'static str, &'static str>,
}

#[test]
fn the_dead_and_old_are_replaced_whatever_the_clock_and_the_live_never() {
    if !inside("the_dead_and_old_are_replaced_whatever_the_clock_and_the_live_never") {
        return;
    }
    let (weed, ensemble) = (weed::start(), zookeeper::start(&LIVE, &[]));
    shell(
        &ensemble.servers[0].path("."),
        "ip link add v0 type veth peer name v1
         ip link set v0 up
         ip link set v1 up
         ip address add 10.9.9.1/24 dev v0
         ip neighbour add 10.9.9.2 lladdr 02:00:00:00:00:02 dev v0
         ip route add unreachable 10.8.0.0/16",
    );
    let _alive = TcpListener::bind((ALIVE, 3888)).unwrap();
    let [_, _, gone, gone_too] = SILENT;
    let case = |third, fourth, silence, offset, expected| Case { third, fourth, silence, offset, expected };
    let dead = SILENT.iter().chain(&[REFUSING]);
    let mut cases: Vec<Case> = dead.map(|ip| case(aged(ip, 65), aged(ALIVE, 65), "1s", "+0", Ok("zoov3"))).collect();
    // It has to refuse for three times as long.
    cases.push(case(aged(REFUSING, 65), aged(gone, 65), "2s", "+0", Ok("zoov4")));
    // By its own clock an old one would be young, or a young one old or yet to come.
    for offset in ["+0", "-1h", "+1h"] {
        cases.push(case(aged(gone, 5), aged(gone_too, 65), "0", offset, Ok("zoov4")));
        cases.push(case(aged(gone, 5), aged(gone_too, 9), "0", offset, Err("within the grace of 600")));
    }
    let unreadable = json!({"ip": gone, "registered_at": "yesterday"});
    for of_no_age in [unreadable, aged(gone, -60), json!(gone)] {
        cases.push(case(of_no_age, aged(gone_too, 5), "0", "+0", Ok("zoov3")));
    }

    thread::scope(|scope| {
        for (Case { third, fourth, silence, offset, expected }, number) in cases.into_iter().zip(1..) {
            let weed = &weed;
            scope.spawn(move || {
                let (key, machine) = (format!("zk{number}.json"), machine(number));
                let [one, two, five] = LIVE.map(|ip| aged(ip, 65));
                let members = json!({"zoov1": one, "zoov2": two, "zoov3": third, "zoov4": fourth, "zoov5": five});
                let before = json!({"generation": 7, "members": members}).to_string();
                weed.put(&key, &before);
                let mut claim = machine.register(&weed.endpoint(), &key, "--claim --size=5");
                let mut claim = at(offset, claim.env("ZK_HOSTS_CLAIM_SILENCE", silence));
                let says = match expected {
                    Ok(slot) => {
                        let (_, mut members) = content(&before);
                        let old = members.insert(slot.to_owned(), machine.ip.clone()).unwrap();
                        let run = run(&mut claim);
                        let expected = format!("0\n{slot} {old} -> {}\n\n", machine.ip);
                        assert_eq!((run.all(), number), (expected, number), "{before}");
                        assert_eq!(content(&weed.get(&key).unwrap()), (8, members));
                        slot.strip_prefix("zoov").map(|id| format!("{id}\n"))
                    }
                    Err(says) => {
                        let why = gives_up(&mut claim);
                        assert_eq!(why.matches(says).count(), 2, "{why}");
                        assert_eq!(why.matches("which accepts connections").count(), 3, "{why}");
                        assert_eq!(weed.get(&key), Some(before));
                        None
                    }
                };
                assert_eq!(machine.myid(), says);
            });
        }
    });
}

#[test]
fn a_zookeeper_that_restarts_within_the_silence_keeps_its_slot() {
    if !inside("a_zookeeper_that_restarts_within_the_silence_keeps_its_slot") {
        return;
    }
    let (weed, mut ensemble, machine) = (weed::start(), zookeeper::start(&LIVE, &[]), machine(1));
    weed.put(KEY, &registry(&[("zoov1", LIVE[0]), ("zoov2", LIVE[1]), ("zoov3", LIVE[2])]));
    let before = weed.get(KEY);
    let claim = |silence: &str| {
        let mut command = machine.register(&weed.endpoint(), KEY, "--claim --size=3 -v");
        command.env("ZK_HOSTS_CLAIM_SILENCE", silence);
        command
    };
    // Three times the silence is more than a restart takes on any machine.
    let mut patient = claim("15s").stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(patient.stderr.take().unwrap()).lines().map(Result::unwrap);
    // What it says next of the third, from the first time that it says this.
    let mut says = |what: &str| {
        lines
            .find_map(|line| {
                line.split_once("zoov3 is 127.0.9.3, which ")?.1.split_once(what).map(|(_, rest)| rest.to_owned())
            })
            .unwrap()
    };
    let seconds = |rest: &str| rest.split(' ').next().unwrap().parse::<u32>().unwrap();
    says("accepts connections");
    ensemble.servers[2].kill();
    while seconds(&says("refuses connections for ")) < 2 {}
    ensemble.servers[2].start();
    says("accepts connections");
    // It was seen again, so that the silence begins anew.
    ensemble.servers[2].kill();
    assert_eq!(seconds(&says("refuses connections for ")), 0);
    ensemble.servers[2].start();
    says("accepts connections");
    patient.kill().unwrap();
    patient.wait().unwrap();
    assert_eq!((weed.get(KEY), machine.myid()), (before, None));

    ensemble.servers[2].kill();
    let run = run(&mut claim("1s"));
    assert_eq!((run.code, run.stdout.as_str()), (0, "zoov3 127.0.9.3 -> 127.0.7.1\n"), "{}", run.all());
    let (_, members) = content(&weed.get(KEY).unwrap());
    assert!(members.values().eq([LIVE[0], LIVE[1], "127.0.7.1"]), "{members:?}");
}

#[test]
fn a_holder_that_comes_back_right_before_the_write_keeps_its_slot() {
    if !inside("a_holder_that_comes_back_right_before_the_write_keeps_its_slot") {
        return;
    }
    let (weed, machine) = (weed::start(), machine(1));
    let proxy = proxy::start(&weed.endpoint(), Vec::new());
    let before = registry(&[("zoov1", REFUSING), ("zoov2", ALIVE)]);
    weed.put(KEY, &before);
    let claim = machine.register(&proxy.endpoint(), KEY, "--claim --size=2 --force");
    let mut traced = clean("strace");
    traced.args(["-ff", "-qq", "-e", "trace=connect", "-o", "connects", BINARY]).args(claim.get_args());
    traced.envs(claim.get_envs().filter_map(|(name, value)| Some((name, value?)))).envs(AT_ONCE);
    let bench = &machine.bench;
    traced.current_dir(&bench.folder);
    let is_try = |line: &str| line.contains("htons(3888)") && line.contains(REFUSING) && line.contains(") = ");
    let is_tried = || bench.names().iter().any(|name| bench.read(name).lines().any(is_try));
    // The first look lasts until the second member answers: then the first one has refused once, and is back.
    let (second, _alive) = (TcpListener::bind((ALIVE, 2181)).unwrap(), TcpListener::bind((ALIVE, 3888)).unwrap());
    let comes_back = || {
        let asked = second.accept().unwrap();
        wait_until("it has refused", is_tried);
        let back = TcpListener::bind((REFUSING, 3888)).unwrap();
        drop(asked);
        back
    };
    thread::scope(|scope| {
        let first = scope.spawn(comes_back);
        let cause = gives_up(&mut traced);
        drop(first.join().unwrap());
        assert!(cause.contains("zoov1 is 127.0.8.8, which accepts connections"), "{cause}");
    });
    assert_eq!((requests(&proxy)[1..] == [0, 0], weed.get(KEY), machine.myid()), (true, Some(before), None));
}

#[test]
fn what_a_claim_takes() {
    let bench = fixture::Bench::new();
    let url = bench.registry(&[("zoov1", "127.0.8.1")]);
    let before = bench.read("zk.json");
    for (words, settings, says) in [
        ("--claim", ("", ""), "--size"),
        ("--claim --size=3 --id=1", ("", ""), "--id"),
        ("--claim --size=0", ("", ""), "1 to 99999"),
        ("--claim --size=100000", ("", ""), "1 to 99999"),
        ("--claim --size=3 --claim-grace=5", ("", ""), "--claim-grace"),
        ("--claim --size=3", ("ZK_HOSTS_CLAIM_GRACE", "1h"), "--claim-grace"),
        ("--claim --size=3", ("ZK_HOSTS_CLAIM_SILENCE", "5"), "--claim-silence"),
        ("--claim --size=3", ("ZK_HOSTS_PROBE_PORT", "0"), "--probe-port"),
        ("--claim --size=3", ("ZK_HOSTS_CLIENT_PORT", "65536"), "--client-port"),
    ] {
        let mut command = zk_hosts();
        command.args(["register", "--allow-loopback", "--ip=127.0.8.9", "--timeout=5s", "--registry", &url]);
        let run =
            run(command.args(words.split(' ')).envs([settings].iter().filter(|(name, _)| !name.is_empty()).copied()));
        assert!(run.code == 64 && run.stderr.contains(says), "{words} {settings:?}: {}", run.all());
        assert_eq!((run.stdout.as_str(), bench.read("zk.json")), ("", before.clone()));
    }
}
