//! One pass at a time, and nobody else in the way.

mod fixture;

use std::fs::{self, File, Permissions};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, chown};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use fixture::namespace::{FOLDER, Holder, Namespace, pass};
use fixture::{Bench, NEW, OLD, Run, bench, registry, run, shell, wait_until, zk_hosts};

/// Opens the file, making it where there is none, and locks it.
fn locked(path: &Path) -> File {
    let file = File::options().read(true).append(true).create(true).mode(0o600).open(path).unwrap();
    fs2::FileExt::lock_exclusive(&file).unwrap();
    file
}

/// Not by closing it, because a process that another test is about to start may have it open too.
fn release(file: &File) {
    fs2::FileExt::unlock(file).unwrap();
}

fn start(command: &mut Command) -> Child {
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn finish(pass: Child) -> Run {
    pass.wait_with_output().unwrap().into()
}

/// How many times a process has this very inode open.
fn times_open(pass: &Child, file: &File) -> usize {
    let inode = file.metadata().unwrap().ino();
    let open = fs::read_dir(format!("/proc/{}/fd", pass.id())).unwrap();
    open.flatten().filter(|fd| fd.path().metadata().is_ok_and(|metadata| metadata.ino() == inode)).count()
}

fn is_busy(run: &Run, path: &str) -> bool {
    let expected = format!("{path}: another process holds it: ");
    run.code == 75 && run.stdout.is_empty() && run.stderr.lines().count() == 1 && run.stderr.contains(&expected)
}

#[test]
fn a_pass_that_does_not_get_the_lock_gives_up() {
    let (bench, url) = bench();
    let lock = locked(&bench.path("hosts.lock"));
    let before = bench.path("hosts").metadata().unwrap();
    for timeout in ["0", "300ms"] {
        let run = bench.sync(&url, &["--lock-timeout", timeout]);
        assert!(is_busy(&run, &bench.path("hosts.lock").display().to_string()), "{}", run.all());
    }
    assert_eq!(bench.sync(&url, &["--lock-timeout", "0", "--dry-run"]).code, 2);
    let after = bench.path("hosts").metadata().unwrap();
    assert_eq!(
        (bench.read("hosts").as_str(), after.ino(), after.ctime_nsec()),
        (OLD, before.ino(), before.ctime_nsec())
    );
    assert_eq!(bench.names(), ["hosts", "hosts.lock", "zk.json"]);
    release(&lock);
    assert_eq!(bench.sync(&url, &["--lock-timeout", "0"]).code, 2);
}

#[test]
fn a_pass_that_waited_decides_by_what_it_finds_then() {
    for (meanwhile, code, after) in [
        (OLD.to_owned(), 2, NEW.to_owned()),
        (format!("{OLD}# more\n"), 2, format!("{NEW}# more\n")),
        (NEW.to_owned(), 0, NEW.to_owned()),
    ] {
        let (bench, url) = bench();
        let lock = locked(&bench.path("hosts.lock"));
        let pass = start(bench.command(&url).args(["--lock-timeout", "1m"]));
        wait_until("the pass has the lock file open", || times_open(&pass, &lock) == 1);
        bench.write("hosts", meanwhile);
        release(&lock);
        let run = finish(pass);
        assert_eq!((run.code, bench.read("hosts")), (code, after), "{}", run.all());
        assert_eq!(run.stdout.is_empty(), code == 0);
    }
}

#[test]
fn thirty_two_passes_at_once_leave_a_whole_file() {
    let (bench, _) = bench();
    let valid: Vec<String> = ["10.0.0.1", "10.0.9.1", "2001:db8::1"]
        .map(|address| format!("{}{address} zoov1\n", "# a line that all of them keep\n".repeat(400)))
        .into();
    bench.write("hosts", &valid[0]);
    bench.write("a.json", registry(&[("zoov1", "10.0.9.1")]));
    bench.write("b.json", registry(&[("zoov1", "2001:db8::1")]));
    let url = |name| format!("file://{}", bench.path(name).display());

    let done = AtomicBool::new(false);
    let runs = thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                assert!(valid.contains(&bench.read("hosts")), "{}", bench.read("hosts"));
            }
        });
        let passes = scope.spawn(|| {
            let urls = [url("a.json"), url("b.json")];
            let passes: Vec<Child> =
                (0..32).map(|count| start(bench.command(&urls[count % 2]).args(["--lock-timeout", "1m"]))).collect();
            passes.into_iter().map(finish).collect::<Vec<Run>>()
        });
        let runs = passes.join();
        done.store(true, Ordering::Relaxed);
        runs.unwrap()
    });
    assert!(runs.iter().all(|run| [0, 2].contains(&run.code) && run.stderr.is_empty()), "{runs:?}");
    assert!(runs.iter().any(|run| run.code == 2));
    assert!(valid[1..].contains(&bench.read("hosts")));
    assert_eq!(bench.names(), ["a.json", "b.json", "hosts", "hosts.lock", "zk.json"]);
}

#[test]
fn a_lock_on_the_hosts_file_held_by_any_user_stops_nothing() {
    let (bench, url) = bench();
    let namespace = Namespace::new(&bench);
    let hosts = format!("{FOLDER}/hosts");
    let words = ["flock", "--no-fork", &hosts, "sh", "-c", "echo held && exec cat"];
    let _holder = Holder::start(namespace.nobody().args(words));
    let file = File::open(bench.path("hosts")).unwrap();
    assert!(fs2::FileExt::try_lock_exclusive(&file).is_err());

    let run = bench.sync(&url, &["--lock-timeout", "0"]);
    assert_eq!((run.code, bench.read("hosts").as_str()), (2, NEW), "{}", run.all());
}

#[test]
fn nobody_else_can_open_the_lock_file() {
    let (bench, url) = bench();
    shell(&bench.folder, "setfacl --default --modify user:65534:rwx .");
    let namespace = Namespace::new(&bench);
    let lock = format!("{FOLDER}/hosts.lock");
    for given in [None, Some(0o644), Some(0o666), Some(0o700)] {
        bench.write("hosts", OLD);
        if let Some(mode) = given {
            fs::set_permissions(bench.path("hosts.lock"), Permissions::from_mode(mode)).unwrap();
        }
        assert_eq!(bench.sync(&url, &[]).code, 2);
        let metadata = bench.path("hosts.lock").metadata().unwrap();
        assert_eq!((metadata.mode() & 0o077, metadata.uid()), (0, 0), "{given:?}");
        let other = run(namespace.nobody().args(["cat", &lock]));
        assert!(other.stderr.contains("Permission denied"), "{given:?}: {}", other.all());
    }
}

#[test]
fn a_lock_file_that_is_not_ours_is_an_error() {
    for (what, reason) in [
        ("ln -s victim hosts.lock", "symbolic links"),
        ("ln -s nowhere hosts.lock", "symbolic links"),
        ("mkdir hosts.lock", "directory"),
        ("mkfifo hosts.lock", "not a regular file of this user; remove it"),
        ("touch hosts.lock; chown 65534 hosts.lock", "not a regular file of this user; remove it"),
    ] {
        let (bench, url) = bench();
        bench.write("victim", "a file of somebody's\n");
        shell(&bench.folder, what);
        let state = "stat -c '%n %F %a %u %i %s %y' *";
        let before = shell(&bench.folder, state);
        let run = bench.sync(&url, &[]);
        assert_eq!((run.code, run.stdout.as_str(), run.stderr.lines().count()), (74, "", 1), "{what}: {}", run.all());
        assert!(run.stderr.contains("hosts.lock: ") && run.stderr.contains(reason), "{what}: {}", run.stderr);
        assert_eq!(shell(&bench.folder, state), before, "{what}");
        assert_eq!(bench.read("victim"), "a file of somebody's\n");
    }
}

#[test]
fn a_lock_file_that_only_another_user_can_open_is_not_passed_by() {
    let (bench, _) = bench();
    shell(&bench.folder, "install -m 600 /dev/null hosts.lock; chown 65534 . hosts");
    let namespace = Namespace::new(&bench);
    let run = run(namespace.nobody().args(pass("hosts")));
    assert_eq!((run.code, run.stdout.as_str(), bench.read("hosts").as_str()), (77, "", OLD), "{}", run.all());
    assert!(run.stderr.contains("hosts.lock: Permission denied"), "{}", run.stderr);
}

/// A folder in which nobody can make a file, but may write into the hosts file.
fn closed_bench() -> (Bench, Namespace) {
    let (bench, _) = bench();
    chown(bench.path("hosts"), Some(65534), None).unwrap();
    let namespace = Namespace::new(&bench);
    (bench, namespace)
}

#[test]
fn where_no_file_can_be_made_the_hosts_file_itself_is_locked() {
    let (bench, namespace) = closed_bench();
    let before = bench.path("hosts").metadata().unwrap();
    let lock = locked(&bench.path("hosts"));
    let busy = run(namespace.nobody().args(pass("hosts")).args(["--lock-timeout", "300ms"]));
    assert!(is_busy(&busy, &format!("{FOLDER}/hosts")), "{}", busy.all());
    assert_eq!(bench.read("hosts"), OLD);
    release(&lock);

    let patched = run(namespace.nobody().args(pass("hosts")).arg("-v"));
    assert_eq!((patched.code, patched.stdout.as_str()), (2, "zoov1 10.0.0.1 -> 10.0.9.1\n"), "{}", patched.all());
    let made = format!(
        "no lock file can be made ({FOLDER}/hosts.lock: Permission denied (os error 13)): locking the hosts file\n"
    );
    let written = format!("{FOLDER}/hosts cannot be renamed over: writing in place\n");
    assert!(patched.stderr.contains(&made) && patched.stderr.contains(&written), "{}", patched.stderr);
    let after = bench.path("hosts").metadata().unwrap();
    assert_eq!((bench.read("hosts").as_str(), after.ino(), after.uid()), (NEW, before.ino(), 65534));
    assert_eq!(bench.names(), ["hosts", "zk.json"]);
}

#[test]
fn a_lock_on_a_hosts_file_that_was_replaced_meanwhile_is_taken_again() {
    let (bench, namespace) = closed_bench();
    let first = locked(&bench.path("hosts"));
    let mut pass = start(namespace.nobody().args(pass("hosts")).args(["-v", "--lock-timeout", "1m"]));
    // After that the pass has the file open for the lock alone.
    let mut notes = BufReader::new(pass.stderr.take().unwrap()).lines();
    assert!(notes.any(|line| line.unwrap().ends_with("locking the hosts file")));
    wait_until("the pass waits for the lock", || times_open(&pass, &first) == 1);

    let second = locked(&bench.write("next", format!("{OLD}# next\n")));
    chown(bench.path("next"), Some(65534), None).unwrap();
    fs::rename(bench.path("next"), bench.path("hosts")).unwrap();
    release(&first);
    wait_until("the pass waits for the other inode's lock", || times_open(&pass, &second) == 1);
    bench.write("hosts", format!("{OLD}# last\n"));
    release(&second);
    let run = finish(pass);
    assert_eq!((run.code, bench.read("hosts")), (2, format!("{NEW}# last\n")), "{}", run.all());
}

/// `register` of zoov2 in a registry of the folder.
fn register(bench: &Bench, name: &str, timeout: &str) -> Command {
    let mut command = zk_hosts();
    let url = format!("file://{}", bench.path(name).display());
    command.args(["register", "--registry", &url, "--id=2", "--ip=10.0.0.2", "--timeout", timeout]);
    command
}

#[test]
fn a_registrys_lock_is_waited_for_until_the_timeout() {
    for begin in ["true", "rm zk.json"] {
        let (bench, _) = bench();
        shell(&bench.folder, begin);
        let lock = locked(&bench.path("zk.json.lock"));
        let busy = run(&mut register(&bench, "zk.json", "300ms"));
        assert_eq!((busy.code, busy.stdout.as_str(), busy.stderr.lines().count()), (75, "", 1), "{}", busy.all());

        let mut waiting = start(register(&bench, "zk.json", "2m").arg("-v"));
        let mut notes = BufReader::new(waiting.stderr.take().unwrap()).lines();
        assert!(notes.any(|line| line.unwrap().starts_with("zk-hosts: waiting: ")), "{begin}");
        release(&lock);
        // Whoever writes to a pipe that nobody reads is stopped.
        assert!(notes.all(|line| line.is_ok()));
        let run = finish(waiting);
        assert!(run.code == 0 && run.stdout.ends_with("zoov2 added 10.0.0.2\n"), "{begin}: {}", run.all());
    }
}

#[test]
fn a_registry_behind_a_link_has_one_lock() {
    let (bench, _) = bench();
    shell(
        &bench.folder,
        "mkdir real; mv zk.json real; ln -s real/zk.json one; ln -s \"$PWD/one\" two; ln -s nowhere none",
    );
    let names = bench.names();
    assert_eq!(run(&mut register(&bench, "two", "2s")).all(), "0\nzoov2 added 10.0.0.2\n\n");
    assert_eq!(shell(&bench.path("real"), "ls"), "zk.json\nzk.json.lock\n");
    let nowhere = run(&mut register(&bench, "none", "2s"));
    assert!(nowhere.code == 78 && nowhere.stderr.contains("a link that leads nowhere"), "{}", nowhere.all());
    assert_eq!(bench.names(), names);
}
