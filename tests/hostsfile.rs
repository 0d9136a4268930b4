//! What a replaced hosts file keeps, and what may stand in the way.

mod fixture;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::MetadataExt;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use fixture::namespace::{Namespace, pass};
use fixture::{BINARY, Bench, NEW, OLD, Run, bench, clean, run, shell};
use zk_hosts::console::Console;
use zk_hosts::hostsfile::{HostsFile, Lock, Snapshot};

fn assert_one_error(run: &Run, code: i32, parts: &[&str]) {
    assert_eq!((run.code, run.stdout.as_str(), run.stderr.lines().count()), (code, "", 1), "{}", run.all());
    assert!(parts.iter().all(|part| run.stderr.contains(part)), "{parts:?}: {}", run.stderr);
}

/// Mode, owner, ACL and attributes of the folder's `hosts`, those of the kernel's own among them.
fn attributes(bench: &Bench) -> String {
    shell(
        &bench.folder,
        "stat -c '%a %u %g' hosts; getfacl --omit-header --numeric hosts; getfattr --dump --match - hosts | sort",
    )
}

#[test]
fn owner_mode_acl_label_and_attributes_survive() {
    for set_up in [
        "chmod 600 hosts",
        "chmod 640 hosts; chown 65534:4242 hosts",
        "chmod 444 hosts",
        "chown :4242 hosts; chmod 2664 hosts",
        "chown 65534:4242 hosts; chmod 7777 hosts",
        "setfacl --modify user:65534:rw,group:4242:r,mask::rw hosts",
        "setfacl --modify user:65534:rw hosts; chown 4242 hosts; chmod 2604 hosts",
        "setfattr --name user.note --value 'a note' hosts; setfattr --name user.empty hosts; chmod 400 hosts",
        "setfattr --name security.selinux --value system_u:object_r:net_conf_t:s0 hosts",
        "setfacl --modify user:1:r hosts; setfattr --name user.a --value b hosts; chown 1:2 hosts;
         setfattr --name security.selinux --value system_u:object_r:net_conf_t:s0 hosts",
    ] {
        let (bench, url) = bench();
        shell(&bench.folder, set_up);
        let (before, inode) = (attributes(&bench), bench.path("hosts").metadata().unwrap().ino());
        let run = bench.sync(&url, &[]);
        assert_eq!((run.code, bench.read("hosts").as_str()), (2, NEW), "{set_up}: {}", run.all());
        assert_ne!(bench.path("hosts").metadata().unwrap().ino(), inode);
        assert_eq!(attributes(&bench), before, "{set_up}");
    }
}

#[test]
fn nothing_else_is_given_to_the_new_file() {
    let (bench, url) = bench();
    shell(&bench.folder, "setfacl --default --modify user:65534:rwx,group:4242:rwx,mask::rwx .");
    let before = attributes(&bench);
    shell(&bench.folder, "setfattr --name trusted.note --value secret hosts");
    assert_ne!(attributes(&bench), before);
    assert_eq!(bench.sync(&url, &[]).code, 2);
    assert_eq!(attributes(&bench), before);
}

#[test]
fn a_symbolic_link_stays_and_its_target_is_replaced() {
    for link in [
        "ln -s real/target hosts",
        "ln -s \"$PWD/real/target\" hosts",
        "ln -s real/two hosts; ln -s ../one real/two; ln -s \"$PWD/real/target\" one",
        "ln -s real hosts-dir; ln -s hosts-dir/target hosts",
    ] {
        let (bench, url) = bench();
        let look = |bench: &Bench| shell(&bench.folder, "find . -type l -printf '%p %l %i\n' | sort; cat zk.json");
        shell(&bench.folder, &format!("mkdir real; mv hosts real/target; {link}"));
        let (before, names) = (look(&bench), bench.names());
        let run = bench.sync(&url, &[]);
        assert_eq!((run.code, run.stderr.as_str()), (2, ""), "{link}");
        assert_eq!((look(&bench), bench.names(), bench.read("real/target").as_str()), (before, names, NEW), "{link}");
        assert!(bench.path("real/target.lock").exists(), "{link}");
        assert_eq!(bench.sync(&url, &[]).code, 0);
    }
}

#[test]
fn another_name_of_the_file_keeps_the_old_text_and_is_warned_of() {
    let (bench, url) = bench();
    fs::hard_link(bench.path("hosts"), bench.path("twin")).unwrap();
    let run = bench.sync(&url, &[]);
    let hosts = bench.path("hosts").display().to_string();
    assert_eq!(run.stderr, format!("zk-hosts: warning: {hosts} has 1 more hard links, which keep the old text\n"));
    assert_eq!((run.code, bench.read("hosts").as_str(), bench.read("twin").as_str()), (2, NEW, OLD));
}

#[test]
fn what_stands_in_the_new_files_place_is_removed_and_never_followed() {
    for left in [
        "echo half > hosts.zk-hosts-new; chmod 600 hosts.zk-hosts-new",
        "echo half > hosts.zk-hosts-new; chown 65534 hosts.zk-hosts-new; chmod 666 hosts.zk-hosts-new",
        "ln -s victim hosts.zk-hosts-new",
        "ln -s nowhere hosts.zk-hosts-new",
        "ln victim hosts.zk-hosts-new",
        "mkfifo hosts.zk-hosts-new",
    ] {
        let (bench, url) = bench();
        bench.write("victim", "a file of somebody's\n");
        shell(&bench.folder, left);
        let attributes_before = attributes(&bench);
        let run = bench.sync(&url, &[]);
        assert_eq!((run.code, bench.read("hosts").as_str()), (2, NEW), "{left}: {}", run.all());
        assert_eq!(attributes(&bench), attributes_before, "{left}");
        assert_eq!(bench.read("victim"), "a file of somebody's\n");
        assert_eq!(bench.names(), ["hosts", "hosts.lock", "victim", "zk.json"], "{left}");
    }
}

#[test]
fn a_directory_in_the_new_files_place_is_an_error() {
    let (bench, url) = bench();
    shell(&bench.folder, "mkdir hosts.zk-hosts-new");
    assert_one_error(&bench.sync(&url, &[]), 74, &["hosts.zk-hosts-new: ", "directory"]);
    assert_eq!(bench.read("hosts"), OLD);
    assert_eq!(bench.names(), ["hosts", "hosts.lock", "hosts.zk-hosts-new", "zk.json"]);
}

#[test]
fn a_user_without_rights_may_look_but_not_write() {
    let (bench, _) = bench();
    let namespace = Namespace::new(&bench);
    let before = bench.path("hosts").metadata().unwrap();
    assert_one_error(&run(namespace.nobody().args(pass("hosts"))), 77, &["hosts: Permission denied", "run it as root"]);
    let dry = run(namespace.nobody().args(pass("hosts")).arg("--dry-run"));
    assert_eq!((dry.code, dry.stderr.as_str()), (2, ""));
    assert!(dry.stdout.contains("-10.0.0.1 zoov1\n+10.0.9.1 zoov1\n"), "{}", dry.stdout);
    let after = bench.path("hosts").metadata().unwrap();
    assert_eq!(
        (bench.read("hosts").as_str(), after.ino(), after.ctime_nsec()),
        (OLD, before.ino(), before.ctime_nsec())
    );
    assert_eq!(bench.names(), ["hosts", "zk.json"]);

    shell(&bench.folder, "chmod 600 hosts");
    assert_one_error(&run(namespace.nobody().args(pass("hosts"))), 77, &["hosts: Permission denied"]);
    shell(&bench.folder, "mkdir closed; mv hosts closed; chmod 700 closed");
    assert_one_error(&run(namespace.nobody().args(pass("closed/hosts"))), 77, &["hosts: Permission denied"]);
    assert_eq!(bench.read("closed/hosts"), OLD);
}

#[test]
fn a_user_who_cannot_give_the_new_file_the_old_owner_changes_nothing() {
    let (bench, _) = bench();
    let namespace = Namespace::new(&bench);
    shell(&bench.folder, "mkdir own; mv hosts own; chmod 666 own/hosts; chown 65534 own");
    assert_one_error(&run(namespace.nobody().args(pass("own/hosts"))), 77, &["Operation not permitted"]);
    assert_eq!(bench.read("own/hosts"), OLD);
    assert_eq!(shell(&bench.path("own"), "ls"), "hosts\nhosts.lock\n");

    shell(&bench.folder, "chown 65534:65534 own/hosts; chmod 400 own/hosts");
    assert_eq!(run(namespace.nobody().args(pass("own/hosts"))).code, 2);
    assert_eq!(
        shell(&bench.path("own"), "ls; stat -c '%a %u %g' hosts; cat hosts"),
        format!("hosts\nhosts.lock\n400 65534 65534\n{NEW}")
    );
}

/// An edit between the check and the rename, some microseconds, is lost: tests/trace.rs goes through all the moments.
#[test]
fn nobody_reads_a_mixture_while_an_editor_is_at_work() {
    let (bench, url) = bench();
    let text = |edit: u32, address: &str| {
        format!("# edit {edit}\n{address} zoov1\n{}# end {edit}\n", "# foreign\n".repeat(2000))
    };
    let is_whole = |read: &str| {
        let edit: u32 = read.lines().next().unwrap().strip_prefix("# edit ").unwrap().parse().unwrap();
        ["10.0.0.1", "10.0.9.1"].iter().any(|address| read == text(edit, address))
    };
    bench.write("hosts", text(0, "10.0.0.1"));
    let done = AtomicBool::new(false);
    let (codes, edits) = thread::scope(|scope| {
        let editor = scope.spawn(|| {
            let mut edit = 0;
            while !done.load(Ordering::Relaxed) {
                edit += 1;
                shell(
                    &bench.folder,
                    &format!(
                        "sed -i 's/^10.0.9.1 /10.0.0.1 /; s/^# edit .*/# edit {edit}/; s/^# end .*/# end {edit}/' hosts"
                    ),
                );
            }
            edit
        });
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                assert!(is_whole(&bench.read("hosts")), "{}", bench.read("hosts"));
            }
        });
        let passes = scope.spawn(|| (0..100).map(|_| bench.sync(&url, &[]).code).collect::<Vec<i32>>()).join();
        done.store(true, Ordering::Relaxed);
        (passes.unwrap(), editor.join().unwrap())
    });
    println!("{edits} edits, exit codes {codes:?}");
    assert!(codes.contains(&2) && codes.iter().all(|code| [0, 2, 75].contains(code)), "{codes:?}");
    bench.sync(&url, &[]);
    assert!(is_whole(&bench.read("hosts")) && bench.read("hosts").contains("\n10.0.9.1 zoov1\n"));
    assert_eq!(bench.names(), ["hosts", "hosts.lock", "zk.json"]);
}

#[test]
fn a_file_that_memory_does_not_hold_is_an_error() {
    let (bench, url) = bench();
    for line in ["", "10.0.0.1 zoov1 "] {
        bench.write("hosts", line);
        shell(&bench.folder, "truncate --size 1G hosts");
        for more in [&[][..], &["--dry-run"]] {
            let mut limited = clean("sh");
            limited.args(["-c", "ulimit -v 200000; exec \"$0\" \"$@\"", BINARY]);
            let run = run(limited.args(bench.command(&url).get_args()).args(more));
            assert_one_error(&run, 74, &["hosts: it is too large for this machine's memory"]);
        }
        assert_eq!(bench.names(), ["hosts", "zk.json"]);
    }
}

#[test]
fn a_hundred_megabytes_are_patched() {
    let (bench, url) = bench();
    let foreign =
        "10.1.2.3\tanother.name.example another # and a comment that makes the line longer\n".repeat(1_300_000);
    bench.write("hosts", [&foreign, OLD, &foreign].concat());
    assert_eq!(bench.sync(&url, &[]).stdout, "zoov1 10.0.0.1 -> 10.0.9.1\n");
    assert!(foreign.len() > 100 << 20);
    assert!(bench.read("hosts") == [&foreign, NEW, &foreign].concat());
}

fn read(bench: &Bench) -> (HostsFile, Lock, Snapshot) {
    let file = HostsFile::find(&bench.path("hosts"), Console { verbose: false, quiet: true }).unwrap();
    let lock = file.lock(Duration::from_secs(5)).unwrap();
    let snapshot = file.read().unwrap();
    (file, lock, snapshot)
}

/// Reads the file, lets somebody else do this, and replaces it then; whether that was still done.
fn is_replaced_after(edit: impl FnOnce(&Bench)) -> bool {
    let bench = Bench::new();
    bench.write("hosts", OLD);
    let (file, lock, snapshot) = read(&bench);
    edit(&bench);
    let text = || fs::read_to_string(bench.path("hosts")).ok();
    let left = text();
    let is_replaced = file.replace(&lock, &snapshot, &[NEW.as_bytes()]).unwrap();
    assert_eq!(text(), if is_replaced { Some(NEW.to_owned()) } else { left });
    is_replaced
}

#[test]
fn a_file_that_is_not_what_was_read_is_left_alone() {
    assert!(is_replaced_after(|_| {}));
    for edit in ["chmod 640 hosts", "cp -a hosts other; mv other hosts", "rm hosts", "echo 10.7.7.7 mine >> hosts"] {
        assert!(!is_replaced_after(|bench| drop(shell(&bench.folder, edit))), "{edit}");
    }
}

/// Whose page is written to already writes more to it without a new time.
#[test]
fn bytes_that_changed_without_a_new_time_are_seen() {
    let edit = "import mmap, sys
with open('hosts', 'r+b') as file, mmap.mmap(file.fileno(), 0) as text:
    text[:1] = text[:1]
    print(flush=True)
    sys.stdin.readline()
    text[:1] = b'#'
    print(flush=True)
    sys.stdin.readline()";
    let bench = Bench::new();
    bench.write("hosts", OLD);
    let mut python = clean("python3");
    python.args(["-c", edit]).current_dir(&bench.folder).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut editor = python.spawn().unwrap();
    let mut said = BufReader::new(editor.stdout.take().unwrap()).lines();
    assert_eq!(said.next().unwrap().unwrap(), "");

    let (file, lock, snapshot) = read(&bench);
    editor.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
    assert_eq!(said.next().unwrap().unwrap(), "");
    assert!(!file.replace(&lock, &snapshot, &[NEW.as_bytes()]).unwrap());
    assert!(bench.read("hosts").starts_with('#'));
    drop(editor.stdin.take());
    assert!(editor.wait().unwrap().success());
}
