//! A slot changes hands only while a majority of the other members serves: real ZooKeeper servers that die, freeze, wake, or
//! never were part of a quorum, on a real S3 server.

mod fixture;

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use fixture::metadata::inside;
use fixture::weed::{self, Weed, content};
use fixture::zookeeper::{self, Machine, gives_up, machine};
use fixture::{Bench, Run, registry, run, shell, wait_until};

const VOTERS: [&str; 3] = ["127.0.9.1", "127.0.9.2", "127.0.9.3"];

/// One look is enough to find somebody dead.
const AT_ONCE: [(&str, &str); 2] = [("ZK_HOSTS_CLAIM_GRACE", "0"), ("ZK_HOSTS_CLAIM_SILENCE", "0")];

/// Where the registries are.
struct Place {
    weed: Weed,
    count: AtomicU32,
}

/// How a new machine asks for a slot, in a registry of its own.
struct Try<'a> {
    weed: &'a Weed,
    key: String,
    /// zoov1 and so on.
    members: &'a [&'a str],
    before: String,
    machine: Machine,
    command: Command,
}

impl Place {
    fn new() -> Self {
        Self { weed: weed::start(), count: AtomicU32::new(0) }
    }

    fn machine<'a>(&'a self, members: &'a [&str], words: &str) -> Try<'a> {
        let (key, machine) = (format!("zk{}.json", self.count.fetch_add(1, Ordering::Relaxed)), machine(1));
        let names: Vec<String> = (1..=members.len()).map(|number| format!("zoov{number}")).collect();
        let pairs: Vec<(&str, &str)> = names.iter().map(String::as_str).zip(members.iter().copied()).collect();
        let before = registry(&pairs);
        self.weed.put(&key, &before);
        let mut command = machine.register(&self.weed.endpoint(), &key, words);
        command.envs(AT_ONCE);
        Try { weed: &self.weed, key, members, before, machine, command }
    }

    /// The guard holds, whether the slot is claimed or asked for by number, until it is told not to.
    fn guard_holds(&self, members: &[&str], slot: usize, says: &[&str]) {
        let words = ["--claim --size=3".to_owned(), format!("--id={slot}")];
        let by = |words: &String| {
            self.machine(members, words).gets_none(&[says, &["--force"]].concat());
            self.machine(members, &format!("{words} --force")).takes(slot);
        };
        thread::scope(|scope| words.iter().for_each(|words| drop(scope.spawn(move || by(words)))));
    }
}

impl Try<'_> {
    /// With the disk of another.
    fn with_disk(mut self, folder: &Path) -> Self {
        self.command.env("ZK_HOSTS_MYID_FILE", folder.join("myid"));
        self
    }

    fn takes(mut self, slot: usize) {
        let change = match self.members.get(slot - 1) {
            Some(old) => format!("zoov{slot} {old} -> {}", self.machine.ip),
            None => format!("zoov{slot} added {}", self.machine.ip),
        };
        assert_eq!(run(&mut self.command).all(), format!("0\n{change}\n\n"), "{:?}", self.command.get_args());
        self.has(slot);
    }

    /// This slot is the machine's, and all else is as it was.
    fn has(&self, slot: usize) {
        let (generation, mut expected) = content(&self.before);
        expected.insert(format!("zoov{slot}"), self.machine.ip.clone());
        assert_eq!(content(&self.weed.get(&self.key).unwrap()), (generation + 1, expected));
    }

    fn gets_none(mut self, says: &[&str]) {
        let cause = gives_up(&mut self.command);
        assert!(says.iter().all(|part| cause.contains(part)), "{says:?}: {cause}");
        assert_eq!((self.weed.get(&self.key), self.machine.myid()), (Some(self.before), None));
    }
}

#[test]
fn two_dead_of_three_or_one_dead_and_one_frozen() {
    if !inside("two_dead_of_three_or_one_dead_and_one_frozen") {
        return;
    }
    let (place, mut ensemble) = (Place::new(), zookeeper::start(&VOTERS, &[]));
    ensemble.servers[2].kill();
    place.machine(&VOTERS, "--claim --size=3").takes(3);
    place.machine(&VOTERS, "--id=3").takes(3);

    // What is frozen still accepts connections, and does not serve.
    ensemble.servers[1].freeze();
    let two_needed = "to replace zoov3, 2 of the other members must answer srvr as leader or follower, and ";
    thread::scope(|scope| {
        scope.spawn(|| place.guard_holds(&VOTERS, 3, &[two_needed]));
        // It is no dead one, and force makes it none.
        let no_slot = || place.machine(&VOTERS[..2], "--claim --size=2 --force");
        scope.spawn(move || no_slot().gets_none(&["; zoov2 is 127.0.9.2, which accepts connections"]));
    });

    let mut patient = place.machine(&VOTERS, "--claim --size=3 -v");
    let mut waiting = patient.command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(waiting.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.any(|line| line.contains("waiting: ") && line.contains(two_needed)));
    assert_eq!(place.weed.get(&patient.key).as_ref(), Some(&patient.before));
    ensemble.servers[1].wake();
    lines.for_each(drop);
    assert_eq!(Run::from(waiting.wait_with_output().unwrap()).all(), "0\nzoov3 127.0.9.3 -> 127.0.7.1\n\n");
    assert_eq!(patient.machine.myid().as_deref(), Some("3\n"));
    patient.has(3);

    // Two are dead, and so the third does not serve, though it runs.
    ensemble.servers[1].kill();
    wait_until("the last one sees that it is alone", || ensemble.servers[0].mode().is_none());
    let none_serves = "to replace zoov2, 2 of the other members must answer srvr as leader or follower, and 0 do: ";
    place.guard_holds(&VOTERS, 2, &[none_serves, "replace one machine at a time"]);
    // Nobody is replaced where a slot is free.
    place.machine(&VOTERS[..2], "--claim --size=3").takes(3);
    place.machine(&VOTERS[..2], "--id=3").takes(3);

    // A disk with what they agreed on is as good, in the folder where it is named.
    let (disk, bench) = (ensemble.servers[1].path("."), Bench::new());
    let epoch = fs::read_to_string(disk.join("version-2/currentEpoch")).unwrap();
    assert!(epoch.trim().parse::<u64>().unwrap() > 0);
    for words in ["--claim --size=3", "--id=2"] {
        place.machine(&VOTERS, words).with_disk(&disk).takes(2);
    }
    shell(&bench.folder, "mkdir etc lib; echo 2 > number; ln -s ../number lib/myid");
    symlink(disk.join("version-2"), bench.path("lib/version-2")).unwrap();
    symlink(disk.join("myid"), bench.path("etc/myid")).unwrap();
    place.machine(&VOTERS, "--claim --size=3").with_disk(&bench.path("lib")).takes(2);
    place.machine(&VOTERS, "--claim --size=3").with_disk(&bench.path("etc")).gets_none(&[none_serves]);
}

#[test]
fn who_is_part_of_no_quorum() {
    if !inside("who_is_part_of_no_quorum") {
        return;
    }
    let place = Place::new();
    let (dead, observer, alone) = ("127.0.8.8", "127.0.9.4", "127.0.9.5");
    let mut new = zookeeper::settings(&["127.0.9.6", "127.0.9.7", "127.0.9.8"], &[]);
    // A server that never was in a quorum has a folder, and nothing in it that they agreed on.
    new.servers[0].start();
    let (ensemble, single) = (zookeeper::start(&VOTERS, &[observer]), zookeeper::start(&[alone], &[]));
    assert_eq!(ensemble.servers[3].mode().as_deref(), Some("observer"));
    assert_eq!(single.servers[0].mode().as_deref(), Some("standalone"));
    let epoch = new.servers[0].path("version-2/currentEpoch");
    wait_until("it has an epoch", || fs::read_to_string(&epoch).is_ok_and(|text| text.trim() == "0"));
    new.servers[0].kill();

    let [first, second, third] = VOTERS;
    let one = "2 of the other members must answer srvr as leader or follower, and 1 do (127.0.9.1)";
    let two = "an ensemble of 2 has no majority besides zoov1, so that nothing tells whether its data is elsewhere";
    let members = [dead, first, alone];
    let held: [(&[&str], &str, &[&str]); 7] = [
        // Two of four are no majority.
        (&[dead, first, second, alone], "--claim --size=4", &["3 of the other", "and 2 do (127.0.9.1, 127.0.9.2)"]),
        (&[dead, first, second], "--id=1 --size=4", &["3 of the other", "and 2 do (127.0.9.1, 127.0.9.2)"]),
        // Nor is one that serves beyond the size, or that stands twice.
        (&[dead, first, alone, second], "--claim --size=3", &[one]),
        (&[dead, first, first], "--claim --size=3", &[one]),
        // Under three nobody can tell.
        (&[dead, first], "--claim --size=2", &[two, "--force"]),
        (&[dead, first], "--id=1", &[two, "--force"]),
        (&[dead], "--id=1", &["an ensemble of 1 has no majority besides zoov1", "--force"]),
    ];
    thread::scope(|scope| {
        for other in [observer, alone] {
            let place = &place;
            scope.spawn(move || place.guard_holds(&[dead, first, other], 1, &["to replace zoov1", one]));
        }
        for (members, words, says) in held {
            let try_it = place.machine(members, words);
            scope.spawn(move || try_it.gets_none(says));
        }
        for disk in [&new.servers[0], &single.servers[0]].map(|server| server.path(".")) {
            assert!(disk.join("version-2").is_dir());
            let try_it = place.machine(&members, "--id=1").with_disk(&disk);
            scope.spawn(move || try_it.gets_none(&[one]));
        }
    });
    place.machine(&[dead, first, second, third], "--claim --size=4").takes(1);
    place.machine(&[dead, first], "--claim --size=2 --force").takes(1);
    place.machine(&[dead, first], "--id=3").takes(3);
}
