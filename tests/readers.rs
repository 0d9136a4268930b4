//! Programs that resolve names while the file is rewritten without pause: by rename none of a million look-ups fails. In
//! place some may; how many is measured beside a plain truncate-and-write.

mod fixture;

use std::fmt;
use std::fs;
use std::process::{Child, Stdio};

use fixture::namespace::{FOLDER, Namespace};
use fixture::{Bench, Run, registry, run, shell};

/// Two states of the ensemble whose texts differ in length.
const STATES: [[(&str, &str); 3]; 2] = [
    [("zoov1", "10.0.0.1"), ("zoov2", "10.0.0.2"), ("zoov3", "10.0.0.3")],
    [("zoov1", "10.100.100.101"), ("zoov2", "10.100.100.102"), ("zoov3", "10.100.100.103")],
];

/// What a row of look-ups came to.
struct Seen {
    lookups: u32,
    rewrites: u32,
    failed: u32,
    wrong: u32,
}

impl Seen {
    /// Look-ups that went wrong, to a thousand rewrites.
    fn rate(&self) -> f64 {
        f64::from(self.failed + self.wrong) * 1000.0 / f64::from(self.rewrites)
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { lookups, rewrites, failed, wrong } = self;
        let rate = self.rate();
        write!(
            f,
            "{lookups} look-ups, {rewrites} rewrites: {failed} failed, {wrong} wrong, {rate:.1} a thousand rewrites"
        )
    }
}

/// A machine with an /etc of its own, where names are looked up in the hosts file alone.
struct Machine {
    bench: Bench,
    namespace: Namespace,
}

impl Machine {
    /// With so many lines of other hosts between the members and the last line.
    fn new(foreign: usize) -> Self {
        let bench = Bench::new();
        fs::copy(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/lookups.c"), bench.path("lookups.c")).unwrap();
        shell(&bench.folder, "cc -O2 -o lookups lookups.c");
        for (name, state) in ["a.json", "b.json"].iter().zip(STATES) {
            bench.write(name, registry(&state));
        }
        let members: Vec<String> = STATES[0].iter().map(|(name, ip)| format!("{ip} {name}\n")).collect();
        let foreign: Vec<String> =
            (0..foreign).map(|n| format!("10.7.{}.{} host{n}.example\n", n / 250, n % 250)).collect();
        bench.write("real", format!("{}{}10.9.9.9 last.example\n", members.concat(), foreign.concat()));
        let namespace = Namespace::new(&bench);
        namespace.shell(
            "mkdir etc; mount -t tmpfs none etc; cp -a /etc/. etc; mount --bind etc /etc
             echo 'hosts: files' > /etc/nsswitch.conf; cp real /etc/hosts",
        );
        Self { bench, namespace }
    }

    /// A pass from or to the second state.
    fn pass(&self, count: u32, more: &[&str]) -> Run {
        let url = format!("file://{FOLDER}/{}.json", if count.is_multiple_of(2) { "b" } else { "a" });
        run(self.namespace.root().args(["/srv/zk-hosts", "sync", "--registry", &url]).args(more))
    }

    fn look_up(&self, lookups: u32) -> Child {
        let of = |index: usize| format!("{}={},{},", STATES[0][index].0, STATES[0][index].1, STATES[1][index].1);
        let mut command = self.namespace.root();
        command.arg(format!("{FOLDER}/lookups")).arg(lookups.to_string());
        command.args([of(0), of(1), of(2), "last.example=10.9.9.9,".to_owned()]);
        command.stdout(Stdio::piped()).spawn().unwrap()
    }

    /// Rewrites the file without pause until so many look-ups are done.
    fn measure(&self, lookups: u32, rewrite: impl Fn(u32)) -> Seen {
        let mut readers = self.look_up(lookups);
        let mut rewrites = 0;
        while readers.try_wait().unwrap().is_none() {
            rewrite(rewrites);
            rewrites += 1;
        }
        let run: Run = readers.wait_with_output().unwrap().into();
        assert_eq!(run.code, 0, "{}", run.all());
        let (failed, wrong) = run.stdout.trim().split_once(' ').unwrap();
        Seen { lookups, rewrites, failed: failed.parse().unwrap(), wrong: wrong.parse().unwrap() }
    }

    fn changes(&self, count: u32) {
        let run = self.pass(count, &[]);
        assert_eq!((run.code, run.stdout.lines().count()), (2, 3), "{}", run.all());
    }
}

#[test]
fn no_look_up_fails_while_the_file_is_replaced() {
    let machine = Machine::new(40);
    let seen = machine.measure(1_000_000, |count| machine.changes(count));
    println!("by rename: {seen}");
    assert_eq!((seen.failed, seen.wrong), (0, 0));
    assert!(seen.rewrites > 100);
}

#[test]
fn fewer_look_ups_fail_in_place_than_where_the_file_is_truncated_first() {
    for foreign in [40, 400] {
        let machine = Machine::new(foreign);
        machine.namespace.shell("mount --bind real /etc/hosts");
        let texts = [1, 0].map(|count| {
            machine.pass(count, &[]);
            machine.bench.read("real")
        });
        let [short, long] = &texts;
        assert!(short.len() < long.len());
        machine.changes(1);

        let in_place = machine.measure(200_000, |count| machine.changes(count));
        // At the same pace.
        machine.bench.write("real", short);
        let truncated = machine.measure(200_000, |count| {
            assert_eq!(machine.pass(count, &["--dry-run", "-q"]).code, 2);
            machine.bench.write("real", if count.is_multiple_of(2) { long } else { short });
        });
        println!("{} bytes in place: {in_place}", long.len());
        println!("{} bytes truncated, then written: {truncated}", long.len());
        assert!(10.0 * in_place.rate() < truncated.rate());
    }
}
