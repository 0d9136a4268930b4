//! A user without rights who can make files beside the hosts file, as in /tmp, and hosts files that are none: an error that
//! says what is in the way, and nothing of anybody else's is read, written, locked or followed.

mod fixture;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;

use fixture::namespace::{FOLDER, Holder, Namespace, pass};
use fixture::{Bench, NEW, OLD, Run, bench, registry, run, shell, tool};

/// A file of root's, which a trap leads to.
const VICTIM: &str = "a file of root's\n";

/// A file of root's that all may write, and so link to.
const SHARED: &str = "a file of everybody's\n";

/// A folder as /tmp is, with a hosts file, a registry and a file of root's, in a namespace where a user sets traps.
struct Square {
    bench: Bench,
    namespace: Namespace,
}

impl Square {
    fn new(mode: &str, trap: &str) -> Self {
        let (bench, _) = bench();
        bench.write("victim", VICTIM);
        bench.write("shared", SHARED);
        shell(&bench.folder, &format!("chmod 600 victim; chmod 666 shared; chmod {mode} ."));
        let namespace = Namespace::new(&bench);
        let square = Self { bench, namespace };
        tool(square.namespace.nobody().args(["sh", "-euc", &format!("cd {FOLDER}\n{trap}")]));
        square
    }

    fn sync(&self) -> Run {
        run(self.namespace.root().args(pass("hosts")))
    }

    fn register(&self) -> Run {
        let url = format!("file://{FOLDER}/zk.json");
        let words = ["/srv/zk-hosts", "register", "--registry", &url, "--id=2", "--ip=10.0.0.2", "--timeout=2s"];
        run(self.namespace.root().args(words))
    }

    /// Whether root's files are as they were.
    fn is_whole(&self) -> bool {
        let mode = |name: &str| self.bench.path(name).metadata().unwrap().mode() & 0o777;
        (self.bench.read("victim").as_str(), mode("victim")) == (VICTIM, 0o600)
            && (self.bench.read("shared").as_str(), mode("shared")) == (SHARED, 0o666)
    }

    /// All that a call could change of the user's and of the victim, the hosts file's and the registry's text.
    fn state(&self) -> String {
        let of_files = "find . ! -name . -printf '%p %y %m %U %n %s %i %T@ %C@ %l\\n' | grep -v 'hosts.lock f 600 0\\|zk.json.lock f 600 0' | sort";
        format!("{}{}{}", shell(&self.bench.folder, of_files), self.bench.read("hosts"), self.bench.read("zk.json"))
    }
}

fn assert_error(run: &Run, codes: &[i32], parts: &[&str]) {
    let is_line = run.stdout.is_empty() && run.stderr.lines().count() == 1 && run.stderr.starts_with("zk-hosts: ");
    assert!(codes.contains(&run.code) && is_line, "{parts:?}: {}", run.all());
    assert!(parts.iter().all(|part| run.stderr.contains(part)), "{parts:?}: {}", run.stderr);
}

/// All may write there. In a folder as /tmp is, the kernel does not let root open or follow what a user put there
/// (`fs.protected_symlinks`, `_regular`, `_fifos`), or may not; in the other one nothing but the program itself is careful.
const FOLDERS: [(&str, &[i32]); 2] = [("1777", &[74, 77]), ("777", &[74])];

/// What a user can put where a lock should be.
const LOCKS: &[&str] = &[
    "touch TRAP",
    "touch TRAP; chmod 666 TRAP",
    "ln -s victim TRAP",
    "ln -s nowhere TRAP",
    "ln -s TRAP TRAP",
    "ln -s hosts TRAP",
    "ln shared TRAP",
    "mkdir TRAP",
    "mkfifo TRAP; chmod 666 TRAP",
    "perl -MSocket -e 'socket S, AF_UNIX, SOCK_STREAM, 0 and bind S, sockaddr_un(\"TRAP\") or die'",
];

type Folder = (&'static str, &'static [i32]);

fn in_each_folder(traps: &[&'static str]) -> Vec<(Folder, &'static str)> {
    FOLDERS.into_iter().flat_map(|folder| traps.iter().map(move |trap| (folder, *trap))).collect()
}

#[test]
fn what_a_user_puts_in_the_locks_place_is_an_error_that_names_it() {
    for ((mode, codes), trap) in in_each_folder(LOCKS) {
        let square = Square::new(mode, &trap.replace("TRAP", "hosts.lock"));
        let before = square.state();
        assert_error(&square.sync(), codes, &["hosts.lock: "]);
        assert_eq!(square.state(), before, "{trap}");

        let square = Square::new(mode, &trap.replace("TRAP", "zk.json.lock"));
        let before = square.state();
        assert_error(&square.register(), codes, &["zk.json.lock: "]);
        assert_eq!(square.state(), before, "{trap}");
    }
}

/// What can be removed is, whoever made it; what cannot is an error. Nothing is written through it.
#[test]
fn what_a_user_puts_in_the_new_files_place_goes() {
    for ((mode, _), trap) in in_each_folder(LOCKS) {
        for (name, makes_way) in [("hosts", Square::sync as fn(&Square) -> Run), ("zk.json", Square::register)] {
            let square = Square::new(mode, &trap.replace("TRAP", &format!("{name}.zk-hosts-new")));
            let before = square.state();
            let run = makes_way(&square);
            if trap.starts_with("mkdir") {
                assert_error(&run, &[74], &[".zk-hosts-new: ", "directory"]);
                assert_eq!(square.state(), before, "{trap}");
                continue;
            }
            assert!([0, 2].contains(&run.code) && run.stderr.is_empty(), "{trap}: {}", run.all());
            let metadata = square.bench.path(name).symlink_metadata().unwrap();
            let is = (metadata.is_file(), metadata.uid(), metadata.nlink(), metadata.mode() & 0o777);
            assert_eq!(is, (true, 0, 1, 0o644), "{trap}");
            assert!(square.is_whole(), "{trap}");
            assert!(!square.bench.names().contains(&format!("{name}.zk-hosts-new")), "{trap}");
            assert!(!square.bench.names().contains(&"nowhere".to_owned()), "{trap}");
        }
    }
}

#[test]
fn metrics_are_not_written_through_what_a_user_made() {
    for ((mode, _), trap) in in_each_folder(LOCKS) {
        for name in ["metrics.prom", "metrics.prom.zk-hosts-new"] {
            let square = Square::new(mode, &trap.replace("TRAP", name));
            let file = format!("{FOLDER}/metrics.prom");
            let run = run(square.namespace.root().args(pass("hosts")).args(["--metrics-file", &file]));
            assert_eq!((run.code, square.bench.read("hosts").as_str()), (2, NEW), "{trap}: {}", run.all());
            assert_eq!(
                (square.is_whole(), run.stderr.is_empty()),
                (true, trap != "mkdir TRAP"),
                "{trap}: {}",
                run.all()
            );
            if run.stderr.is_empty() {
                let metadata = square.bench.path("metrics.prom").symlink_metadata().unwrap();
                assert_eq!((metadata.is_file(), metadata.uid(), metadata.mode() & 0o777), (true, 0, 0o644), "{trap}");
            } else {
                assert!(run.stderr.starts_with("zk-hosts: warning: write the metrics to "), "{}", run.stderr);
            }
        }
    }
}

/// Where a user has the registry's or the hosts file's own place, or a link in it.
#[test]
fn a_registry_that_a_user_can_swap_is_still_only_a_registry() {
    let codes = BTreeMap::from([
        ("ln -s victim TRAP", 65),
        ("ln -s TRAP TRAP", 69),
        ("ln -s /dev/zero TRAP", 78),
        ("mkfifo TRAP", 78),
        ("mkdir TRAP", 78),
    ]);
    for ((mode, _), trap) in in_each_folder(&codes.keys().copied().collect::<Vec<_>>()) {
        let square = Square::new(mode, &trap.replace("TRAP", "other.json"));
        let before = square.state();
        let url = format!("file://{FOLDER}/other.json");
        let words = ["/srv/zk-hosts", "sync", "--registry", &url, "--hosts-file", &format!("{FOLDER}/hosts")];
        let run = run(square.namespace.root().args(words));
        let by_kernel = (trap.starts_with("ln") && mode == "1777").then_some(77);
        assert_error(&run, &[codes[trap], by_kernel.unwrap_or(codes[trap])], &["other.json: "]);
        assert!(!run.stderr.contains(VICTIM.trim()), "{}", run.stderr);
        assert_eq!(square.state(), before, "{trap}");
    }
}

/// A process of a user that does something to a file, and holds that until it is dropped.
fn holding(namespace: &Namespace, name: &str, perl: &str) -> Holder {
    let script = format!("open F, '{FOLDER}/{name}' or die; {perl} or die; $| = 1; print \"held\\n\"; <STDIN>");
    Holder::start(namespace.nobody().args(["perl", "-MFcntl=:DEFAULT,:flock", "-e", &script]))
}

/// Any lock that a user may have on a file that he may only read: flock, and POSIX. None binds a call.
#[test]
fn no_lock_of_a_user_stops_a_pass_or_a_registration() {
    for lock in
        ["flock F, LOCK_EX", "flock F, LOCK_SH", "my $l = pack 'ssx4qqix4', F_RDLCK, 0, 0, 0, 0; fcntl F, F_SETLK, $l"]
    {
        let square = Square::new("1777", "");
        let _holders = ["hosts", "zk.json"].map(|name| holding(&square.namespace, name, lock));
        let run = square.sync();
        assert_eq!((run.code, square.bench.read("hosts").as_str()), (2, NEW), "{lock}: {}", run.all());
        let run = square.register();
        assert_eq!((run.code, run.stdout.as_str()), (0, "zoov2 added 10.0.0.2\n"), "{lock}: {}", run.all());
    }
}

/// Whoever opens a file that its owner has a lease on waits for him; a pass does not.
#[test]
fn a_lease_on_a_users_own_file_is_an_error_at_once() {
    for (name, hosts) in [("own", "own"), ("hosts.lock", "hosts")] {
        let square = Square::new("777", "cp hosts own; touch hosts.lock");
        // F_SETLEASE; whom the kernel asks to give it up, it tells by a signal.
        let lease = "$SIG{IO} = 'IGNORE'; fcntl F, 1024, F_WRLCK";
        let _holder = holding(&square.namespace, name, lease);
        let run = run(square.namespace.root().args(pass(hosts)));
        assert_error(&run, &[74], &[&format!("/{name}: Resource temporarily unavailable")]);
    }
}

/// tests/cli.rs, tests/hostsfile.rs and tests/mounts.rs have the rest: missing, a link to nowhere, a loop, a directory, a
/// FIFO, immutable, unreadable, 100 MB.
#[test]
fn hosts_files_that_are_none() {
    for (make, says) in [
        ("ln -s /dev/null other", "/dev/null: not a regular file"),
        ("ln -s /dev/zero other", "/dev/zero: not a regular file"),
        ("ln -s one other; ln -s other one", "other: Too many levels of symbolic links"),
        ("ln -s hosts/x other", "other: Not a directory"),
        ("perl -MSocket -e 'socket S, AF_UNIX, SOCK_STREAM, 0 and bind S, sockaddr_un(\"other\") or die'", "other: "),
    ] {
        let (bench, _) = bench();
        shell(&bench.folder, make);
        let names = bench.names();
        let namespace = Namespace::new(&bench);
        for more in [&[][..], &["--dry-run"]] {
            assert_error(&run(namespace.root().args(pass("other")).args(more)), &[74], &[says]);
        }
        assert_eq!((bench.read("hosts").as_str(), bench.names()), (OLD, names), "{make}");
    }
}

#[test]
fn a_hosts_file_of_another_user_is_kept_his_and_one_in_a_users_folder_is_not_followed_away() {
    let square = Square::new("1777", "");
    shell(&square.bench.folder, "chown 65534:65534 hosts; chmod 600 hosts");
    assert_eq!(square.sync().code, 2);
    let metadata = square.bench.path("hosts").metadata().unwrap();
    assert_eq!((metadata.uid(), metadata.gid(), metadata.mode() & 0o777), (65534, 65534, 0o600));

    // A link that he puts there leads to a file of root's: the kernel does not follow it, or it is what root was told.
    let square = Square::new("1777", "ln -s victim mine");
    let run = run(square.namespace.root().args(pass("mine")));
    let protects = fs::read_to_string("/proc/sys/fs/protected_symlinks").unwrap().trim() != "0";
    assert_eq!(run.code, if protects { 77 } else { 2 }, "{}", run.all());
    assert!(!protects || square.bench.read("victim") == VICTIM);
}

#[test]
fn a_registry_that_only_root_may_read_shows_nothing_to_others() {
    let (bench, _) = bench();
    bench.write("zk.json", registry(&[("zoov1", "10.0.9.1")]));
    shell(&bench.folder, "chmod 600 zk.json");
    let namespace = Namespace::new(&bench);
    let run = run(namespace.nobody().args(pass("hosts")).arg("--dry-run"));
    assert_error(&run, &[77], &["zk.json: Permission denied"]);
    assert!(!run.stderr.contains("10.0.9.1"));
}
