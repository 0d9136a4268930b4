//! A pass, system call by system call, under strace: what it calls in which order, and with an editor at work after each
//! call. tests/kills.rs kills it at each, tests/faults.rs lets each fail.

mod fixture;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::process::{Child, Stdio};

use fixture::namespace::FOLDER;
use fixture::stage::{READ, Stage, grown, name, replaced, shrunk};
use fixture::{Run, run, wait_until};
use rustix::process::{Pid, Signal, kill_process};

/// How the names of calls begin that change a file, or take a lock.
const CHANGING: &str = "rename unlink link symlink mk rmdir chmod fchmod chown fchown lchown fsync fdatasync sync truncate \
    ftruncate fallocate setxattr fsetxattr removexattr fremovexattr utime flock write pwrite sendfile copy_file creat";

#[test]
fn a_pass_without_a_change_writes_nothing() {
    for stage in [replaced(), grown()] {
        stage.bench.write(stage.file, &stage.new);
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

/// Nothing that another put in its place in the meantime is written to, or followed.
#[test]
fn a_file_that_is_made_is_one_that_was_not_there() {
    for stage in [replaced(), grown(), Stage::register(), Stage::create()] {
        let lines = stage.lines();
        let opened: Vec<&String> = lines.iter().filter(|line| line.contains("O_CREAT")).collect();
        for line in &opened {
            let says = if line.contains(".lock\"") { "O_NOFOLLOW" } else { "O_EXCL" };
            assert!(line.contains(says), "{line}");
        }
        assert!(opened.len() > 1);
    }
}

/// A pass that a signal stops after a call; strace runs on.
struct Stopped<'a> {
    stage: &'a Stage,
    strace: Option<Child>,
    times: usize,
}

impl<'a> Stopped<'a> {
    fn start(stage: &'a Stage, inject: &str) -> Self {
        stage.forget();
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
        let trace = self.stage.raw_trace();
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
        (stage.new.as_str(), 0o600)
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
