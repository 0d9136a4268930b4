//! A call in which the kernel refuses something: each system call from the first that is the program's own fails once, and
//! from then on, with each error that it can have. Either the work is done in another way, or one line says what failed and
//! the file holds the old text.

mod fixture;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::unix::fs::MetadataExt;

use fixture::answers::{answer, serve};
use fixture::stage::{Stage, grown, name, replaced, shrunk};
use fixture::{NEW, OLD, Run, registry, run};
use rustix::fs::getxattr;
use rustix::io::Errno;

/// An error as strace calls it, and as the system does.
type Fault = (&'static str, Errno);

const IO: Fault = ("EIO", Errno::IO);
const NO_SPACE: Fault = ("ENOSPC", Errno::NOSPC);
const QUOTA: Fault = ("EDQUOT", Errno::DQUOT);
const READ_ONLY: Fault = ("EROFS", Errno::ROFS);
const DENIED: Fault = ("EACCES", Errno::ACCESS);
const NOT_OURS: Fault = ("EPERM", Errno::PERM);
const TOO_MANY: Fault = ("EMFILE", Errno::MFILE);
const INTERRUPTED: Fault = ("EINTR", Errno::INTR);
const BUSY: Fault = ("EBUSY", Errno::BUSY);
const NO_LOCKS: Fault = ("ENOLCK", Errno::NOLCK);
const NOT_KNOWN: Fault = ("EOPNOTSUPP", Errno::OPNOTSUPP);
const REFUSED: Fault = ("ECONNREFUSED", Errno::CONNREFUSED);
const RESET: Fault = ("ECONNRESET", Errno::CONNRESET);
const UNREACHABLE: Fault = ("ENETUNREACH", Errno::NETUNREACH);

/// What the call in a line of strace can fail with.
fn faults(line: &str) -> Vec<Fault> {
    let writes = ["O_WRONLY", "O_RDWR", "O_CREAT"].iter().any(|flag| line.contains(flag));
    match name(line).unwrap_or_default() {
        "openat" if line.contains("O_CREAT") => vec![IO, NO_SPACE, QUOTA, READ_ONLY, DENIED, TOO_MANY, INTERRUPTED],
        "openat" if writes => vec![IO, READ_ONLY, DENIED, TOO_MANY, INTERRUPTED],
        "openat" => vec![IO, DENIED, TOO_MANY, INTERRUPTED],
        "read" => vec![IO, INTERRUPTED],
        "write" | "pwrite64" | "ftruncate" => vec![IO, NO_SPACE, QUOTA, INTERRUPTED],
        "fsync" => vec![IO, NO_SPACE, QUOTA, READ_ONLY, INTERRUPTED],
        "statx" | "readlink" => vec![IO, DENIED],
        "rename" => vec![IO, NO_SPACE, QUOTA, READ_ONLY, DENIED, BUSY],
        "renameat2" => vec![IO, NO_SPACE, QUOTA, READ_ONLY, DENIED],
        "unlink" => vec![IO, READ_ONLY, DENIED, BUSY],
        "flock" => vec![IO, NO_LOCKS, INTERRUPTED],
        "fchown" | "fchmod" => vec![IO, QUOTA, READ_ONLY, NOT_OURS],
        "flistxattr" | "fgetxattr" => vec![IO, DENIED, NOT_KNOWN],
        "fsetxattr" | "fremovexattr" => vec![IO, NO_SPACE, QUOTA, READ_ONLY, DENIED, NOT_OURS, NOT_KNOWN],
        "socket" => vec![DENIED, TOO_MANY],
        "connect" => vec![DENIED, REFUSED, UNREACHABLE, INTERRUPTED],
        "sendto" | "recvfrom" => vec![IO, RESET, INTERRUPTED],
        _ => Vec::new(),
    }
}

/// A call that fails: which one, with what, and whether those of its name after it do as well.
struct Point<'a> {
    name: &'a str,
    line: &'a str,
    when: usize,
    fault: Fault,
    lasts: bool,
}

impl Point<'_> {
    fn injection(&self) -> String {
        let lasts = if self.lasts { "+" } else { "" };
        format!("inject={}:error={}:when={}{lasts}", self.name, self.fault.0, self.when)
    }

    /// Whether the work can be done without this call. A full disk, and what is not known to be on it, are no reason to
    /// write in place.
    fn has_another_way(&self) -> bool {
        let cannot_create = [DENIED, READ_ONLY].contains(&self.fault);
        self.fault == INTERRUPTED
            || match self.name {
                // The runtime has an older call for it.
                "statx" => true,
                // Of stdout.
                "write" => self.line.starts_with("write(1<"),
                "openat" => cannot_create && self.line.contains("O_CREAT"),
                // At the end nothing depends on it.
                "unlink" => cannot_create || self.line.ends_with(" = 0"),
                "rename" => self.fault == BUSY,
                name => name.contains("xattr") && self.fault == NOT_KNOWN,
            }
    }
}

/// Lets each call of the stage fail, and counts how that ended.
fn sweep(stage: &Stage, first: &str, takes: impl Fn(&str) -> bool, judge: impl Fn(&Point, &Run)) {
    let lines = stage.lines();
    let begin = lines.iter().position(|line| line.starts_with(first)).unwrap();
    let (mut count, mut points, mut found) = (BTreeMap::<&str, usize>::new(), 0, BTreeMap::<i32, usize>::new());
    for (at, line) in lines.iter().enumerate() {
        let Some(name) = name(line) else { continue };
        let when = count.entry(name).or_default();
        *when += 1;
        for fault in faults(line).into_iter().filter(|_| at >= begin && takes(name)) {
            // One that is interrupted for ever, waits for ever.
            for lasts in [false, true].into_iter().take(if fault == INTERRUPTED { 1 } else { 2 }) {
                let point = Point { name, line, when: *when, fault, lasts };
                stage.reset();
                let mut call = stage.strace(&["-e", &point.injection()]);
                let run = run(if lasts { call.arg("--timeout=1s") } else { &mut call });
                let trace = stage.trace();
                let injected = trace.iter().position(|line| line.ends_with("(INJECTED)"));
                // The runtime's last act before main.
                let main = trace.iter().rposition(|line| line.contains("/maps>"));
                assert!(injected > main && main.is_some(), "{}: {trace:#?}", point.injection());
                judge(&point, &run);
                points += 1;
                *found.entry(run.code).or_default() += 1;
                // What cannot be removed stays until the next write.
                let text = if name == "unlink" { stage.again() } else { stage.clean_up() };
                assert_eq!(text, stage.new, "{}", point.injection());
            }
        }
    }
    println!("{points} faults in {} calls, exit codes {found:?}", lines.len() - begin);
}

/// What holds however the kernel refuses.
fn is_clear(stage: &Stage, point: &Point, run: &Run) {
    let place = format!("{} ({}): {}", point.injection(), point.line, run.all());
    assert!(!run.stderr.contains("panicked"), "{place}");
    let text = stage.text();
    if run.code == stage.code {
        assert!(text == stage.new && run.stderr.is_empty(), "{place}: {text:?}");
        return;
    }
    assert!([69, 74, 75, 77].contains(&run.code), "{place}");
    // Where stderr is what fails, it says nothing.
    if point.name == "write" && point.lasts {
        assert_eq!(text, stage.old, "{place}");
        return;
    }
    let cause = io::Error::from(point.fault.1).to_string();
    let is_line = run.stderr.starts_with("zk-hosts: ") && run.stderr.lines().count() == 1;
    assert!(is_line && run.stderr.contains(&cause), "{place}");
    let expected = if run.stderr.contains("not known to be on disk") { &stage.new } else { &stage.old };
    assert_eq!(text, *expected, "{place}");
}

/// A file and a registry on file systems that fail.
fn each_call_fails(stage: &Stage) {
    let attributes = || {
        let metadata = stage.bench.path(stage.file).metadata().unwrap();
        let mut value = [0; 9];
        let noted = getxattr(stage.bench.path(stage.file), "user.note", &mut value[..]).is_ok();
        (metadata.mode(), metadata.uid(), metadata.gid(), noted)
    };
    stage.lines();
    let dressed = attributes();
    sweep(
        stage,
        "openat(AT_FDCWD</>, \"/srv/bench/zk.json\"",
        |_| true,
        |point, run| {
            is_clear(stage, point, run);
            let (place, fault) = (format!("{} ({}): {}", point.injection(), point.line, run.all()), point.fault);
            let has_failed = run.code != stage.code;
            assert!(if has_failed { fault != INTERRUPTED } else { point.has_another_way() }, "{place}");
            if has_failed {
                let of_registry = point.line.contains("/zk.json") && stage.file != "zk.json" && !point.lasts;
                let expected = match fault {
                    DENIED | NOT_OURS => &[77][..],
                    _ if of_registry => &[69],
                    // Of the registry's file, which is read, or of the file that is written.
                    _ => &[69, 74],
                };
                assert!(expected.contains(&run.code), "{place}");
            }
            // A file system that says it has no attributes, has none.
            if stage.text() == stage.new && fault != NOT_KNOWN {
                assert_eq!(attributes(), dressed, "{place}");
            }
        },
    );
}

const DRESSED: &str = "chown 65534:4242 hosts; chmod 640 hosts; setfattr -n user.note -v 'a note' hosts";

#[test]
fn each_call_of_a_replacement_fails() {
    each_call_fails(&replaced().dressed(DRESSED));
}

#[test]
fn each_call_of_growing_in_place_fails() {
    each_call_fails(&grown());
}

#[test]
fn each_call_of_shrinking_in_place_fails() {
    each_call_fails(&shrunk());
}

#[test]
fn each_call_of_a_registration_fails() {
    each_call_fails(&Stage::register());
}

#[test]
fn each_call_of_the_first_registration_fails() {
    each_call_fails(&Stage::create());
}

/// Of a file that is read block by block.
#[test]
fn no_signal_ends_a_read_of_a_large_file() {
    let foreign = "# a line of somebody's\n".repeat(300_000);
    let stage = Stage::sync(&format!("{foreign}{OLD}"), &format!("{foreign}{NEW}"), &[("zoov1", "10.0.9.1")]);
    let lines = stage.lines();
    let own = lines.iter().position(|line| line.contains("\"/srv/bench/zk.json\"")).unwrap();
    let reads = |lines: &[String]| lines.iter().filter(|line| name(line) == Some("read")).count();
    let before = reads(&lines[..own]);
    stage.reset();
    let run = run(&mut stage.strace(&["-e", &format!("inject=read:error=EINTR:when={}+2", before + 1)]));
    assert_eq!((run.code, run.stderr.as_str()), (2, ""));
    assert!(stage.text() == stage.new);
    assert!(reads(&stage.trace()) - before >= 2 * (reads(&lines) - before) - 1 && reads(&lines) - before > 100);
}

/// What fails once is tried again; what goes on failing is over within the time that was given.
#[test]
fn each_call_to_a_server_fails() {
    let server = serve(vec![answer("200 OK", &[], &registry(&[("zoov1", "10.0.9.1")]))]);
    let stage = Stage::fetching(&server.url());
    let is_of_network = |name: &str| ["socket", "connect", "sendto", "recvfrom"].contains(&name);
    sweep(&stage, "socket(", is_of_network, |point, run| {
        let place = format!("{}: {}", point.injection(), run.all());
        let is_over = (69, stage.old.as_str(), 1);
        let is_done = (2, stage.new.as_str(), 0);
        let ended = (run.code, stage.text(), run.stderr.lines().count());
        let expected = if point.lasts { is_over } else { is_done };
        assert_eq!((ended.0, ended.1.as_str(), ended.2), expected, "{place}");
        assert!(!point.lasts || run.stderr.contains("; attempts within --timeout: "), "{place}");
    });
}

/// The calls of Linux 4.4 that a pass may make.
const OLD_CALLS: &str = "access arch_prctl brk clock_nanosleep clone close connect dup execve exit exit_group fchmod fchown \
    fcntl fgetxattr flistxattr flock fremovexattr fsetxattr fstat fsync ftruncate futex getdents64 geteuid getrandom \
    getsockopt gettid ioctl lgetxattr linkat lseek madvise mmap mprotect mremap munmap nanosleep newfstatat openat poll \
    ppoll pread64 prlimit64 pwrite64 read readlink recvfrom rename renameat2 restart_syscall rt_sigaction \
    rt_sigprocmask sched_getaffinity sched_yield sendto set_robust_list set_tid_address setsockopt shutdown sigaltstack \
    socket stat uname unlink unlinkat write writev";

#[test]
fn calls_that_linux_4_4_does_not_have_are_not_needed() {
    let server = serve(vec![answer("200 OK", &[], &registry(&[("zoov1", "10.0.9.1")]))]);
    let by_name = server.url().replace("127.0.0.1", "localhost");
    let old: BTreeSet<&str> = OLD_CALLS.split(' ').collect();
    for stage in
        [replaced().dressed(DRESSED), grown(), shrunk(), Stage::register(), Stage::create(), Stage::fetching(&by_name)]
    {
        let (_, names) = stage.calls();
        let new: Vec<&str> = names.iter().map(String::as_str).filter(|name| !old.contains(name)).collect();
        assert!(new.contains(&"statx"), "{new:?}");
        stage.reset();
        let run = run(&mut stage.strace(&["-e", &format!("inject={}:error=ENOSYS", new.join(","))]));
        assert_eq!((run.code, stage.text(), run.stderr.as_str()), (stage.code, stage.new.clone(), ""), "{new:?}");
        println!("done without {new:?}");
    }
}

/// Before it was known, and where a file system does not know it.
#[test]
fn a_file_system_that_renames_over_anything_gets_its_first_registry_by_a_link() {
    for error in ["EINVAL", "ENOSYS"] {
        let stage = Stage::create();
        let run = run(&mut stage.strace(&["-e", &format!("inject=renameat2:error={error}")]));
        assert_eq!((run.code, stage.text()), (0, stage.new.clone()), "{}", run.all());
        assert_eq!(stage.bench.names(), ["zk.json", "zk.json.lock"]);
    }
}
