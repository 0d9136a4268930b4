//! A call that is killed, at each of its system calls and at any microsecond: the file holds the old text or the new one,
//! and the next call finds nothing in its way.

mod fixture;

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use fixture::run;
use fixture::stage::{Stage, grown, replaced, shrunk};

fn kinds(stage: &Stage) -> Vec<&'static str> {
    stage.killed_before_each_call().into_keys().collect()
}

#[test]
fn killed_before_each_call_of_a_replacement() {
    assert_eq!(kinds(&replaced()), ["new", "old"]);
}

#[test]
fn killed_before_each_call_of_growing_in_place() {
    assert_eq!(kinds(&grown()), ["new", "old", "old and blank lines"]);
}

#[test]
fn killed_before_each_call_of_shrinking_in_place() {
    assert_eq!(kinds(&shrunk()), ["new", "new and blank lines", "old"]);
}

#[test]
fn killed_before_each_call_of_a_registration() {
    assert_eq!(kinds(&Stage::register()), ["new", "old"]);
}

#[test]
fn killed_before_each_call_of_the_first_registration() {
    assert_eq!(kinds(&Stage::create()), ["new", "old"]);
}

/// Numbers that look random and are the same in each run.
struct Random(u64);

impl Random {
    fn below(&mut self, end: Duration) -> Duration {
        // Xorshift.
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        let end = u64::try_from(end.as_nanos()).unwrap().max(1);
        Duration::from_nanos(self.0 % end)
    }
}

/// A thousand kills: each second one at any time of the pass, the others from when the pass has found that it must write
/// in place, which is when the file that it made beside goes.
fn killed_at_any_time(stage: &Stage, seed: u64) {
    let mut random = Random(seed);
    let new_file = stage.bench.path("hosts.zk-hosts-new");
    let mut times: Vec<Duration> = (0..21)
        .map(|_| {
            stage.reset();
            let began = Instant::now();
            assert_eq!(run(&mut stage.command()).code, 2);
            began.elapsed()
        })
        .collect();
    times.sort();
    let length = times[times.len() / 2];

    let mut found: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    let mut killed = 0;
    for count in 0_u32.. {
        if killed == 1000 {
            break;
        }
        stage.reset();
        let began = Instant::now();
        let mut pass = stage.command().stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let aim = if count.is_multiple_of(2) {
            thread::sleep(random.below(length).saturating_sub(began.elapsed()));
            "any time"
        } else {
            let mut wait_while = |exists: bool| {
                while new_file.exists() == exists && pass.try_wait().unwrap().is_none() {
                    thread::yield_now();
                }
            };
            wait_while(false);
            wait_while(true);
            let (gone, delay) = (Instant::now(), random.below(Duration::from_micros(200)));
            while gone.elapsed() < delay {}
            "the writing"
        };
        pass.kill().unwrap();
        let ended = pass.wait().unwrap();
        let kind = stage.kind().unwrap_or_else(|| panic!("kill {count}: {:?}", stage.text()));
        match (ended.signal(), ended.code()) {
            (Some(9), _) => {
                killed += 1;
                *found.entry((aim, kind)).or_default() += 1;
            }
            (_, Some(2)) => *found.entry((aim, "ended before")).or_default() += 1,
            _ => panic!("kill {count}: {ended}"),
        }
        stage.clean_up_after(kind, &format!("kill {count}"));
    }
    println!("{killed} kills of a pass of {length:?}, seed {seed}: {found:?}");
    let kinds: Vec<&str> = found.keys().map(|(_, kind)| *kind).collect();
    assert!(kinds.contains(&"old") && kinds.contains(&"new"), "{found:?}");
}

#[test]
fn killed_at_any_time_while_it_grows_in_place() {
    killed_at_any_time(&grown(), 1);
}

#[test]
fn killed_at_any_time_while_it_shrinks_in_place() {
    killed_at_any_time(&shrunk(), 2);
}
