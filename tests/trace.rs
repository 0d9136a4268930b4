//! A pass, system call by system call, under strace: what it calls in which order, killed at each call, and with an editor
//! at work after each call.

mod fixture;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};

use fixture::namespace::{FOLDER, Namespace, pass};
use fixture::{Bench, Run, run, wait_until};
use rustix::process::{Pid, Signal, kill_process};

/// Where strace writes, in the namespace and as seen from the folder.
const TRACE: [&str; 2] = ["/srv/trace", "../trace"];

/// A folder with one hosts file, and what a pass makes of it.
struct Stage {
    namespace: Namespace,
    bench: Bench,
    /// The file that holds the text: `hosts`, or `real` where that is mounted over `hosts`.
    file: &'static str,
    old: &'static str,
    new: &'static str,
}

impl Stage {
    fn new(old: &'static str, new: &'static str, members: &[(&str, &str)]) -> Self {
        let bench = Bench::new();
        bench.registry(members);
        let namespace = Namespace::new(&bench);
        let stage = Self { namespace, bench, file: "hosts", old, new };
        stage.reset();
        stage
    }

    /// The same with a hosts file that cannot be renamed over.
    fn mounted(self) -> Self {
        self.namespace.shell("touch real; mount --bind real hosts");
        let stage = Self { file: "real", ..self };
        stage.reset();
        stage
    }

    /// The old text, and nothing left of an earlier pass.
    fn reset(&self) {
        let _ = fs::remove_file(self.bench.path("hosts.lock"));
        self.bench.write(self.file, self.old);
    }

    fn text(&self) -> String {
        self.bench.read(self.file)
    }

    /// A pass under strace.
    fn strace(&self, options: &[&str]) -> Command {
        let mut command = self.namespace.root();
        command.args(["strace", "-f", "-y", "-o", TRACE[0]]).args(options).args(pass("hosts"));
        command
    }

    /// What strace has written, without the process ids.
    fn trace(&self) -> Vec<String> {
        let trace = fs::read_to_string(self.namespace.path(TRACE[1])).unwrap_or_default();
        trace.lines().filter_map(|line| Some(line.split_once(' ')?.1.trim_start().to_owned())).collect()
    }

    /// The calls of a pass that is left alone. strace counts the calls of each name by themselves, hence the names.
    fn calls(&self) -> (usize, BTreeSet<String>) {
        self.reset();
        let run = run(&mut self.strace(&[]));
        assert_eq!((run.code, self.text().as_str()), (2, self.new), "{}", run.all());
        let trace = self.trace();
        let names: Vec<&str> = trace.iter().filter_map(|line| name(line)).collect();
        (names.len(), names.into_iter().map(str::to_owned).collect())
    }

    /// An ordinary pass that finds whatever was left, and has to leave the folder in order.
    fn clean_up(&self) -> String {
        let run = run(self.namespace.root().args(pass("hosts")));
        assert!([0, 2].contains(&run.code) && run.stderr.is_empty(), "{}", run.all());
        let names: BTreeSet<&str> = ["hosts", "hosts.lock", self.file, "zk.json"].into();
        let found = self.bench.names();
        assert!(found.iter().all(|name| names.contains(name.as_str())), "{found:?}");
        self.text()
    }
}

/// The name of the call in a line of strace.
fn name(line: &str) -> Option<&str> {
    let (name, _) = line.split_once('(')?;
    name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_').then_some(name)
}

/// By rename, grown and shrunk in place.
fn replaced() -> Stage {
    let old = "127.0.0.1 localhost\n10.0.0.1 zoov1\n";
    Stage::new(old, "127.0.0.1 localhost\n10.0.9.1 zoov1\n", &[("zoov1", "10.0.9.1")])
}

fn grown() -> Stage {
    let new = "10.100.100.100 zoov1\n10.0.0.2\tzoov2\n127.0.0.1 localhost\n";
    Stage::new("10.0.0.1 zoov1\n127.0.0.1 localhost\n", new, &[("zoov1", "10.100.100.100"), ("zoov2", "10.0.0.2")])
        .mounted()
}

fn shrunk() -> Stage {
    let old = "10.0.0.1 zoov1\n10.0.0.9 zoov1\n127.0.0.1 localhost\n";
    Stage::new(old, "10.0.0.2 zoov1\n127.0.0.1 localhost\n", &[("zoov1", "10.0.0.2")]).mounted()
}

/// How the names of calls begin that change a file, or take a lock.
const CHANGING: &str = "rename unlink link symlink mk rmdir chmod fchmod chown fchown lchown fsync fdatasync sync truncate \
    ftruncate fallocate setxattr fsetxattr removexattr fremovexattr utime flock write pwrite sendfile copy_file creat";

#[test]
fn a_pass_without_a_change_writes_nothing() {
    for stage in [replaced(), grown()] {
        stage.bench.write(stage.file, stage.new);
        let state = || {
            let metadata = stage.bench.path(stage.file).metadata().unwrap();
            (metadata.ino(), metadata.mtime_nsec(), metadata.ctime_nsec(), stage.bench.names())
        };
        let before = state();
        let run = run(&mut stage.strace(&[]));
        assert_eq!((run.code, run.all().as_str()), (0, "0\n\n"));
        assert_eq!(state(), before);

        let trace = stage.trace();
        assert!(trace.iter().any(|line| READ.iter().all(|part| line.contains(part))), "{trace:#?}");
        for line in &trace {
            let Some(name) = name(line) else { continue };
            let may_write = ["O_WRONLY", "O_RDWR", "O_CREAT", "O_TRUNC"].iter().any(|flag| line.contains(flag));
            assert!(!may_write || line.contains("\"/dev/null\""), "{line}");
            assert!(!CHANGING.split(' ').any(|prefix| name.starts_with(prefix)), "{line}");
        }
    }
}

const READ: &[&str] = &["openat(", "/hosts\", O_RDONLY", "O_NOFOLLOW"];

/// Lock, read again, write beside, sync.
const BEGINNING: [&[&str]; 9] = [
    READ,
    &["openat(", "/hosts.lock\", O_RDWR|O_CREAT", "O_NOFOLLOW", "0600) = "],
    &["flock(", "/hosts.lock>, LOCK_EX", ") = 0"],
    READ,
    &["unlink", "/hosts.zk-hosts-new\""],
    &["openat(", "/hosts.zk-hosts-new\", O_WRONLY|O_CREAT|O_EXCL", "O_NOFOLLOW", "0600) = "],
    &["write(", "/hosts.zk-hosts-new>"],
    &["fremovexattr(", "/hosts.zk-hosts-new>, \"system.posix_acl_access\""],
    &["fchmod(", "/hosts.zk-hosts-new>"],
];

#[test]
fn the_order_of_calls() {
    const SYNCED: &[&str] = &["fsync(", "/hosts.zk-hosts-new>)", " = 0"];
    const RENAME: &str = "/hosts.zk-hosts-new\", ";
    let by_rename: &[&[&str]] = &[
        SYNCED,
        READ,
        &["rename", RENAME, "/hosts\") = 0"],
        &["openat(", "/bench\", O_RDONLY"],
        &["fsync(", "/bench>)", " = 0"],
    ];
    let in_place: &[&[&str]] = &[
        SYNCED,
        READ,
        &["rename", RENAME, "EBUSY"],
        &["unlink", "/hosts.zk-hosts-new\") = 0"],
        &["openat(", "/hosts\", O_WRONLY|O_NONBLOCK|O_NOFOLLOW|O_CLOEXEC)"],
        READ,
    ];
    let growing: &[&[&str]] = &[
        &["pwrite64(", "/hosts>, \"\\n\\n\\n"],
        &["pwrite64(", "/hosts>, \"100.100"],
        &["fsync(", "/hosts>)", " = 0"],
    ];
    let shrinking: &[&[&str]] =
        &[&["pwrite64(", "/hosts>"], &["ftruncate(", "/hosts>"], &["fsync(", "/hosts>)", " = 0"]];
    for (stage, expected) in [
        (replaced(), [&BEGINNING[..], by_rename].concat()),
        (grown(), [&BEGINNING, in_place, growing].concat()),
        (shrunk(), [&BEGINNING, in_place, shrinking].concat()),
    ] {
        stage.calls();
        let trace = stage.trace();
        let shown = |line: &&String| {
            let name = name(line).unwrap_or_default();
            let opens_or_changes = name == "openat" || CHANGING.split(' ').any(|prefix| name.starts_with(prefix));
            opens_or_changes && line.contains(FOLDER) && !line.contains("/zk.json")
        };
        let lines: Vec<&String> = trace.iter().filter(shown).collect();
        assert_eq!(lines.len(), expected.len(), "{lines:#?}");
        for (line, parts) in lines.iter().zip(expected) {
            assert!(parts.iter().all(|part| line.contains(part)), "{parts:?}: {line}\n{lines:#?}");
        }
    }
}

/// Kills a pass before each of its calls, and counts the texts that this left.
fn killed_before_each_call(stage: &Stage) -> BTreeMap<&'static str, usize> {
    let (calls, names) = stage.calls();
    let registry = stage.bench.read("zk.json");
    let blank_after =
        |text: &str, end: &str| text.strip_prefix(end).is_some_and(|rest| rest.bytes().all(|byte| byte == b'\n'));
    let mut found = BTreeMap::new();
    let mut points = 0;
    for name in names {
        for when in 1.. {
            stage.reset();
            let killed = stage.strace(&["-e", &format!("inject={name}:signal=SIGKILL:when={when}")]).output().unwrap();
            if killed.status.code() == Some(2) {
                break;
            }
            let place = format!("{name} {when}");
            assert_eq!(killed.status.signal(), Some(9), "{place}");
            points += 1;
            let text = stage.text();
            let kind = match &text {
                text if text == stage.old => "old",
                text if text == stage.new => "new",
                text if blank_after(text, stage.old) => "old and blank lines",
                text if blank_after(text, stage.new) => "new and blank lines",
                _ => panic!("{place}: {text:?}"),
            };
            *found.entry(kind).or_default() += 1;
            let after = stage.clean_up();
            assert!(
                after == stage.new || kind.contains("blank") && blank_after(&after, stage.new),
                "{place}: {after:?}"
            );
            assert_eq!(stage.bench.read("zk.json"), registry, "{place}");
        }
    }
    println!("killed at {points} points of {calls} calls: {found:?}");
    // The first execve is strace's own, and how often the runtime reads its memory map depends on where things lie.
    assert!(points + 4 > calls);
    found
}

#[test]
fn killed_before_each_call_of_a_replacement() {
    let found = killed_before_each_call(&replaced());
    assert_eq!(found.into_keys().collect::<Vec<_>>(), ["new", "old"]);
}

#[test]
fn killed_before_each_call_of_growing_in_place() {
    let found = killed_before_each_call(&grown());
    assert_eq!(found.into_keys().collect::<Vec<_>>(), ["new", "old", "old and blank lines"]);
}

#[test]
fn killed_before_each_call_of_shrinking_in_place() {
    let found = killed_before_each_call(&shrunk());
    assert_eq!(found.into_keys().collect::<Vec<_>>(), ["new", "new and blank lines", "old"]);
}

/// A pass that a signal stops after a call; strace runs on.
struct Stopped<'a> {
    stage: &'a Stage,
    strace: Option<Child>,
    times: usize,
}

impl<'a> Stopped<'a> {
    fn start(stage: &'a Stage, inject: &str) -> Self {
        let _ = fs::remove_file(stage.namespace.path(TRACE[1]));
        let mut command = stage.strace(&["-e", &format!("inject={inject}")]);
        let strace = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        Self { stage, strace: Some(strace), times: 0 }
    }

    /// Waits for the next stop; false where the pass came to its end first.
    fn stops(&mut self) -> bool {
        self.times += 1;
        let stops = || self.stage.trace().iter().filter(|line| *line == "--- stopped by SIGSTOP ---").count();
        let ended = || self.stage.trace().iter().any(|line| line.starts_with("+++ "));
        wait_until("the pass stops or ends", || stops() == self.times || ended());
        stops() == self.times
    }

    /// To the pass itself: each line of the trace begins with its id.
    fn signal(&self, signal: Signal) {
        let trace = fs::read_to_string(self.stage.namespace.path(TRACE[1])).unwrap_or_default();
        if let Some(pid) = trace.split_once(' ').and_then(|(pid, _)| Pid::from_raw(pid.parse().ok()?)) {
            let _ = kill_process(pid, signal);
        }
    }

    fn finish(mut self) -> Run {
        self.strace.take().unwrap().wait_with_output().unwrap().into()
    }
}

impl Drop for Stopped<'_> {
    fn drop(&mut self) {
        // What a failed assertion leaves behind.
        if let Some(mut strace) = self.strace.take() {
            self.signal(Signal::KILL);
            let _ = strace.wait();
        }
    }
}

const EDITED: &str = "# edited\n10.0.0.1 zoov1\n";

/// Lets an editor work after each call of a pass. What it writes is lost only between the check that the file is still the
/// one that was read and the calls that commit the new text.
fn edited_after_each_call(stage: &Stage, edit: impl Fn(), commit: &[&str], expected: &str) {
    let (calls, names) = stage.calls();
    let (mut points, mut between) = (0, 0);
    for name in names {
        for when in 1.. {
            stage.reset();
            let mut pass = Stopped::start(stage, &format!("{name}:signal=SIGSTOP:when={when}"));
            let stops = pass.stops();
            if stops {
                edit();
                pass.signal(Signal::CONT);
            }
            let run = pass.finish();
            assert_eq!((run.code, run.stderr.as_str()), (2, ""), "{name} {when}");
            if !stops {
                break;
            }
            points += 1;

            let trace = stage.trace();
            let commits = |line: &String| commit.iter().any(|call| line.starts_with(call));
            let checks = |line: &String| READ.iter().all(|part| line.contains(part));
            let stop = trace.iter().position(|line| line.starts_with("--- SIGSTOP")).unwrap();
            let last = trace.iter().rposition(commits).unwrap();
            let check = trace[..trace.iter().position(commits).unwrap()].iter().rposition(checks).unwrap();
            let text = stage.clean_up();
            if check < stop && stop < last {
                between += 1;
            } else {
                assert_eq!(text, expected, "{name} {when}: {trace:#?}");
            }
        }
    }
    println!("edited after {points} of {calls} calls, {between} of them between the check and the commit");
    // The check itself: open, two times statx, lseek, two times read, fcntl, close.
    assert!((1..=8).contains(&between), "{between}");
}

#[test]
fn edited_after_each_call_of_a_replacement() {
    let stage = replaced();
    let edit = || fs::rename(stage.bench.write("hosts.edited", EDITED), stage.bench.path("hosts")).unwrap();
    edited_after_each_call(&stage, edit, &["rename"], "# edited\n10.0.9.1 zoov1\n");
}

#[test]
fn edited_after_each_call_in_place() {
    let stage = shrunk();
    let edit = || drop(stage.bench.write("real", EDITED));
    edited_after_each_call(&stage, edit, &["pwrite64", "ftruncate"], "# edited\n10.0.0.2 zoov1\n");
}

#[test]
fn another_file_with_the_same_text_is_not_taken_for_the_old_one() {
    let stage = replaced();
    let mut pass = Stopped::start(&stage, "fsync:signal=SIGSTOP:when=1");
    assert!(pass.stops());
    stage.namespace.shell("cp hosts next; chmod 600 next; mv next hosts");
    pass.signal(Signal::CONT);
    assert_eq!(pass.finish().code, 2);
    assert_eq!(
        (stage.text().as_str(), stage.bench.path("hosts").metadata().unwrap().mode() & 0o777),
        (stage.new, 0o600)
    );
}

#[test]
fn a_file_that_changes_under_each_attempt_is_left_to_the_next_pass() {
    let stage = replaced();
    let mut pass = Stopped::start(&stage, "fsync:signal=SIGSTOP");
    let mut edits = 0;
    while pass.stops() {
        edits += 1;
        fs::rename(stage.bench.write("edited", format!("{EDITED}# {edits}\n")), stage.bench.path("hosts")).unwrap();
        pass.signal(Signal::CONT);
    }
    let run = pass.finish();
    assert_eq!((run.code, edits, run.stdout.as_str(), run.stderr.lines().count()), (75, 3, "", 1), "{}", run.all());
    assert!(run.stderr.contains("/hosts: it changed under each of 3 attempts: "), "{}", run.stderr);
    assert_eq!(stage.text(), format!("{EDITED}# 3\n"));
    assert_eq!(stage.bench.names(), ["hosts", "hosts.lock", "zk.json"]);
    assert_eq!(stage.clean_up(), "# edited\n10.0.9.1 zoov1\n# 3\n");
}
