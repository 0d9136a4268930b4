//! 32 passes at once, a registry that changes under them, and an editor that knows no lock: what was written before a pass
//! made sure that the file is still the one that it read, is not lost, and nobody sees a mixture.

mod fixture;

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fixture::{Bench, Run, clean, registry, run};

const PASSES: usize = 32;
const ROUNDS: usize = 20;

/// States of the ensemble, with addresses of several lengths.
const STATES: [[&str; 3]; 3] = [
    ["10.0.0.1", "10.0.0.2", "10.0.0.3"],
    ["10.100.100.101", "10.100.100.102", "2001:db8::103"],
    ["2001:db8:aaaa:bbbb:cccc:dddd:eeee:201", "10.0.0.202", "10.20.20.203"],
];

/// A stretch of time, in seconds.
type Span = (f64, f64);

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64()
}

fn text(state: &[&str; 3], edits: &[usize]) -> String {
    let foreign = "10.7.7.7 foreign.example # which everybody keeps\n".repeat(50);
    let members: Vec<String> = (1..).zip(state).map(|(n, ip)| format!("{ip} zoov{n}\n")).collect();
    let edits: Vec<String> = edits.iter().map(|edit| format!("# edit {edit}\n")).collect();
    format!("# begin\n{}{foreign}{}# end\n", members.concat(), edits.concat())
}

/// The edits in a text that is whole: one of the states, everything foreign, and edits in their order.
fn edits(read: &str) -> Vec<usize> {
    let edits = read.lines().filter_map(|line| line.strip_prefix("# edit ")).map(|edit| edit.parse().unwrap());
    let edits: Vec<usize> = edits.collect();
    assert!(edits.is_sorted(), "{read}");
    assert!(STATES.iter().any(|state| read == text(state, &edits)), "{read}");
    edits
}

fn write_by_rename(bench: &Bench, name: &str, text: &str) {
    let new = format!("{name}.edited");
    fs::rename(bench.write(&new, text), bench.path(name)).unwrap();
}

fn put_registry(bench: &Bench, count: usize) {
    let state = STATES[count % 3];
    let members = [("zoov1", state[0]), ("zoov2", state[1]), ("zoov3", state[2])];
    write_by_rename(bench, "zk.json", &registry(&members));
}

/// A pass that notes when it opened what, and when it renamed.
fn traced(bench: &Bench, trace: &str) -> Run {
    let mut command: Command = clean("strace");
    command.args(["-f", "-T", "--absolute-timestamps=precision:ns,format:unix", "-e", "trace=openat,rename", "-o"]);
    command.arg(bench.path(trace)).args([fixture::BINARY, "sync", "--lock-timeout=2m", "--registry"]);
    command.arg(format!("file://{}", bench.path("zk.json").display())).arg("--hosts-file").arg(bench.path("hosts"));
    run(&mut command)
}

/// From the start of the check that each rename follows, when the new file was there already, to the end of the rename.
fn commits(trace: &str) -> Vec<Span> {
    let (mut check, mut commits) = (None, Vec::new());
    for line in trace.lines() {
        let Some((_, line)) = line.split_once(' ') else { continue };
        let Some((time, call)) = line.trim_start().split_once(' ') else { continue };
        let Ok(time) = time.parse::<f64>() else { continue };
        if call.starts_with("openat(") && call.contains("/hosts.zk-hosts-new\"") {
            check = None;
        } else if call.starts_with("openat(") && call.contains("/hosts\", O_RDONLY") {
            check = Some(time);
        } else if call.starts_with("rename(") && call.contains(" = 0 <") {
            let (_, took) = call.rsplit_once('<').unwrap();
            commits.push((check.unwrap(), time + took.trim_end_matches('>').parse::<f64>().unwrap()));
        }
    }
    commits
}

/// Writes edit after edit until the passes are done: by rename, and by truncation, which `cut` tells by being odd. Gives
/// when each edit began and was complete.
fn edit(bench: &Bench, done: &AtomicBool, cut: &AtomicU64) -> Vec<Span> {
    let mut spans = Vec::new();
    while !done.load(Ordering::Relaxed) {
        let read = bench.read("hosts");
        edits(&read);
        let text = read.replace("# end\n", &format!("# edit {}\n# end\n", spans.len()));
        let began = now();
        if spans.len().is_multiple_of(2) {
            write_by_rename(bench, "hosts", &text);
        } else {
            cut.fetch_add(1, Ordering::SeqCst);
            bench.write("hosts", &text);
            cut.fetch_add(1, Ordering::SeqCst);
        }
        spans.push((began, now()));
        // Of uneven length, so that the edits fall on all parts of a pass, some of which come to an end.
        thread::sleep(Duration::from_millis([3, 41, 17, 8, 29][spans.len() % 5]));
    }
    spans
}

#[test]
fn no_edit_is_lost_that_was_complete_before_the_check() {
    let bench = Bench::new();
    bench.write("hosts", text(&STATES[0], &[]));
    put_registry(&bench, 0);
    let (done, cut) = (AtomicBool::new(false), AtomicU64::new(0));
    let (codes, spans, reads) = thread::scope(|scope| {
        let editor = scope.spawn(|| edit(&bench, &done, &cut));
        let reader = scope.spawn(|| {
            let mut reads = 0;
            while !done.load(Ordering::Relaxed) {
                let before = cut.load(Ordering::SeqCst);
                let read = bench.read("hosts");
                if before % 2 == 0 && before == cut.load(Ordering::SeqCst) {
                    edits(&read);
                    reads += 1;
                }
                thread::yield_now();
            }
            reads
        });
        scope.spawn(|| {
            for count in 0.. {
                if done.load(Ordering::Relaxed) {
                    break;
                }
                put_registry(&bench, count);
                thread::sleep(Duration::from_millis(10));
            }
        });
        let passes: Vec<_> = (0..PASSES)
            .map(|pass| {
                let bench = &bench;
                scope.spawn(move || -> Vec<Run> {
                    (0..ROUNDS).map(|round| traced(bench, &format!("trace-{pass}-{round}"))).collect()
                })
            })
            .collect();
        let runs: Vec<_> = passes.into_iter().map(thread::ScopedJoinHandle::join).collect();
        done.store(true, Ordering::Relaxed);
        let runs: Vec<Run> = runs.into_iter().flat_map(Result::unwrap).collect();
        let is_quiet = |run: &Run| [0, 2].contains(&run.code) && run.stderr.is_empty();
        let gave_up = |run: &Run| run.code == 75 && run.stderr.contains("it changed under each of 3 attempts");
        assert!(runs.iter().all(|run| is_quiet(run) || gave_up(run)), "{runs:?}");
        let codes = [0, 2, 75].map(|code| runs.iter().filter(|run| run.code == code).count());
        (codes, editor.join().unwrap(), reader.join().unwrap())
    });

    let traces = bench.names().into_iter().filter(|name| name.starts_with("trace-"));
    let commits: Vec<Span> = traces.flat_map(|name| commits(&bench.read(&name))).collect();
    assert_eq!(commits.len(), codes[1]);
    let kept: BTreeSet<usize> = edits(&bench.read("hosts")).into_iter().collect();
    let lost: Vec<usize> = (0..spans.len()).filter(|edit| !kept.contains(edit)).collect();
    for edit in &lost {
        let (began, complete) = spans[*edit];
        let in_between = commits.iter().any(|(check, renamed)| *check <= complete && began <= *renamed);
        assert!(in_between, "edit {edit}, complete at {complete}, is lost: {commits:?}");
    }
    println!("{} passes: {codes:?} ended with 0, 2, 75; {reads} reads, none of a mixture", PASSES * ROUNDS);
    println!("{} edits, {} of them lost between a check and its rename", spans.len(), lost.len());
    assert!(codes[1] > 0 && !kept.is_empty() && reads > 0);

    let url = format!("file://{}", bench.path("zk.json").display());
    let finally = bench.sync(&url, &[]);
    assert!([0, 2].contains(&finally.code) && finally.stderr.is_empty(), "{}", finally.all());
    let addresses = bench.read("zk.json");
    let state = STATES.iter().find(|state| state.iter().all(|ip| addresses.contains(&format!("{ip:?}")))).unwrap();
    assert_eq!(bench.read("hosts"), text(state, &kept.into_iter().collect::<Vec<_>>()));
    assert_eq!(bench.sync(&url, &[]).code, 0);
    let left: Vec<String> = bench.names().into_iter().filter(|name| !name.starts_with("trace-")).collect();
    assert_eq!(left, ["hosts", "hosts.lock", "zk.json"]);
}
