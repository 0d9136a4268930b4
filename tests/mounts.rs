//! Hosts files that cannot be renamed over, and file systems that do not take a new one. Everything is mounted in a
//! namespace of the test's own.

mod fixture;

use std::fs;
use std::os::unix::fs::MetadataExt;

use fixture::namespace::{FOLDER, Namespace, pass};
use fixture::{Bench, Run, run, shell};

const OLD: &str = "127.0.0.1 localhost\n10.0.0.1 zoov1 # one\n10.0.0.99 zoov1\n10.0.0.2 zoov2\n";

fn bench() -> (Bench, Namespace) {
    let bench = Bench::new();
    bench.write("hosts", OLD);
    let namespace = Namespace::new(&bench);
    (bench, namespace)
}

/// A pass as root over a hosts file in the namespace.
fn sync(namespace: &Namespace, hosts: &str) -> Run {
    run(namespace.root().args(pass(hosts)).arg("-v"))
}

/// What a pass that may rename makes of a text.
fn by_rename(bench: &Bench, text: &str) -> (Run, String) {
    let other = Bench::new();
    other.write("hosts", text);
    let run = other.sync(&format!("file://{}", bench.path("zk.json").display()), &[]);
    (run, other.read("hosts"))
}

/// Members that need so many bytes more than a page.
fn many_members(bench: &Bench) {
    let members: Vec<(String, String)> =
        (1..=800).map(|n| (format!("zoov{n}"), format!("10.1.{}.1", n % 256))).collect();
    let members: Vec<(&str, &str)> = members.iter().map(|(name, ip)| (name.as_str(), ip.as_str())).collect();
    bench.registry(&members);
}

fn assert_error(run: &Run, code: i32, part: &str) {
    let errors: Vec<&str> = run.stderr.lines().filter(|line| line.contains(part)).collect();
    assert_eq!((run.code, run.stdout.as_str(), errors.len()), (code, "", 1), "{part}: {}", run.all());
}

#[test]
fn a_mounted_file_is_written_in_place_and_comes_out_as_by_rename() {
    for (old, members) in [
        (OLD, &[("zoov1", "10.0.9.1"), ("zoov2", "10.0.0.2")][..]),
        (OLD, &[("zoov1", "10.0.0.3"), ("zoov2", "10.0.9.2")]),
        (OLD, &[("zoov1", "2001:db8::aaaa:bbbb:cccc:dddd"), ("zoov2", "10.0.0.2"), ("zoov3", "10.0.0.3")]),
        (OLD, &[("zoov3", "10.0.0.3"), ("zoov4", "10.0.0.4"), ("zoov5", "10.0.0.5"), ("zoov1", "10.0.0.1")]),
        ("2001:db8::aaaa:bbbb:cccc:dddd zoov1\n", &[("zoov1", "1.2.3.4")]),
        ("10.0.0.9\tzoov1\n10.0.0.9 zoov1", &[("zoov1", "10.0.0.10")]),
        ("# no final newline", &[("zoov1", "10.0.0.10")]),
        ("10.0.0.1 zoov1\n10.0.0.2 zoov1\n10.0.0.3 zoov1\n", &[("zoov1", "10.0.0.1")]),
    ] {
        let (bench, namespace) = bench();
        bench.registry(members);
        bench.write("real", old);
        namespace.shell("chmod 640 real; mount --bind real hosts");
        let before = bench.path("real").metadata().unwrap();
        let (expected, text) = by_rename(&bench, old);
        let run = sync(&namespace, "hosts");
        assert_eq!((run.code, &run.stdout, &bench.read("real")), (2, &expected.stdout, &text), "{}", run.all());
        let said = format!("{FOLDER}/hosts cannot be renamed over: writing in place\n");
        assert!(run.stderr.contains(&said), "{}", run.stderr);
        let after = bench.path("real").metadata().unwrap();
        assert_eq!((after.ino(), after.mode()), (before.ino(), before.mode()));
        assert_eq!(bench.read("hosts"), OLD);
        assert_eq!(bench.names(), ["hosts", "hosts.lock", "real", "zk.json"]);
        assert_eq!(sync(&namespace, "hosts").code, 0);
    }
}

#[test]
fn a_mounted_file_with_attributes_that_the_folder_cannot_have() {
    let (bench, namespace) = bench();
    bench.registry(&[("zoov1", "10.0.9.1"), ("zoov2", "10.0.0.2")]);
    // Its own file system takes attributes of users; a ramfs does not.
    let set_up = "setfattr -n user.origin -v x hosts; mkdir plain; mount -t ramfs none plain; touch plain/hosts;
                  mount --bind hosts plain/hosts";
    namespace.shell(set_up);
    let run = sync(&namespace, "plain/hosts");
    assert_eq!(run.code, 2, "{}", run.all());
    assert!(bench.read("hosts").contains("10.0.9.1 zoov1 # one\n"));
    assert!(namespace.shell("getfattr -n user.origin plain/hosts; ls plain").ends_with("hosts\nhosts.lock\n"));
}

#[test]
fn pages_of_growth_and_of_shrinking_in_place() {
    let (bench, namespace) = bench();
    many_members(&bench);
    bench.write("real", OLD);
    namespace.shell("mount --bind real hosts");
    let (_, long) = by_rename(&bench, OLD);
    assert_eq!((sync(&namespace, "hosts").code, bench.read("real") == long, long.len() > 3 * 4096), (2, true, true));

    bench.registry(&[("zoov1", "10.0.0.1"), ("zoov2", "10.0.0.2")]);
    let run = run(namespace.root().args(pass("hosts")).arg("--prune"));
    assert_eq!(
        (run.code, bench.read("real").as_str()),
        (2, "127.0.0.1 localhost\n10.0.0.1 zoov1 # one\n10.0.0.2 zoov2\n")
    );
}

#[test]
fn a_mounted_file_in_a_folder_that_is_read_only() {
    let (bench, namespace) = bench();
    bench.registry(&[("zoov1", "10.0.9.1"), ("zoov2", "10.0.0.2")]);
    let set_up = "mkdir closed; touch closed/hosts; mount --bind closed closed; mount -o remount,bind,ro closed;
                  mount --bind hosts closed/hosts";
    namespace.shell(set_up);
    let inode = bench.path("hosts").metadata().unwrap().ino();
    let (_, text) = by_rename(&bench, OLD);
    let run = sync(&namespace, "closed/hosts");
    assert_eq!((run.code, bench.read("hosts")), (2, text), "{}", run.all());
    let said =
        ["Read-only file system (os error 30)): locking the hosts file\n", "hosts cannot be renamed over: writing"];
    assert!(said.iter().all(|said| run.stderr.contains(said)), "{}", run.stderr);
    assert_eq!(bench.path("hosts").metadata().unwrap().ino(), inode);
    assert_eq!(bench.names(), ["closed", "hosts", "zk.json"]);
    assert_eq!(shell(&bench.path("closed"), "ls"), "hosts\n");
}

/// A full disk at `disk` with a text in it and so many pages free.
fn fill_a_disk(namespace: &Namespace, file: &str, text: &str, free: u32) {
    namespace.shell("mkdir -p disk; mount -t tmpfs -o size=64k none disk");
    fs::write(namespace.path(file), text).unwrap();
    namespace.shell(&format!("! cat /dev/zero > disk/fill; truncate --size -$(({free} * 4096)) disk/fill"));
}

#[test]
fn a_full_disk_leaves_the_old_text() {
    let old = format!("{}{OLD}", "# foreign\n".repeat(1000));
    for free in 0..3 {
        let (bench, namespace) = bench();
        bench.registry(&[("zoov1", "10.0.9.1"), ("zoov2", "10.0.0.2")]);
        fill_a_disk(&namespace, "disk/hosts", &old, free);
        let inode = namespace.shell("stat -c '%i %y' disk/hosts");
        assert_error(&sync(&namespace, "disk/hosts"), 74, "disk/hosts.zk-hosts-new: No space left on device");
        assert_eq!(fs::read_to_string(namespace.path("disk/hosts")).unwrap(), old);
        assert_eq!(namespace.shell("stat -c '%i %y' disk/hosts; ls disk"), format!("{inode}fill\nhosts\nhosts.lock\n"));
        namespace.shell("rm disk/fill");
        assert_eq!(sync(&namespace, "disk/hosts").code, 2);
    }
}

#[test]
fn a_full_disk_in_place_leaves_the_old_text_or_needs_no_room() {
    let old = format!("{}{OLD}", "# foreign\n".repeat(1000));
    for free in 0..3 {
        let (bench, namespace) = bench();
        fill_a_disk(&namespace, "disk/real", &old, free);
        namespace.shell("mount --bind disk/real hosts");
        let read = || fs::read_to_string(namespace.path("disk/real")).unwrap();

        many_members(&bench);
        assert_error(&sync(&namespace, "hosts"), 74, "write in place /srv/bench/hosts: No space left on device");
        assert!(read() == old, "{}", read());

        for address in ["10.0.0.3", "1.0.0.3"] {
            bench.registry(&[("zoov1", address), ("zoov2", "10.0.0.2")]);
            let (_, expected) = by_rename(&bench, &old);
            assert_eq!((sync(&namespace, "hosts").code, read() == expected), (2, true));
        }
        assert_eq!(bench.names(), ["disk", "hosts", "hosts.lock", "zk.json"]);
    }
}

#[test]
fn a_read_only_file_system_is_an_error() {
    let (bench, namespace) = bench();
    bench.registry(&[("zoov1", "10.0.9.1"), ("zoov2", "10.0.0.2")]);
    namespace.shell("mkdir disk; mount -t tmpfs none disk; cp hosts disk; mount -o remount,ro disk");
    let before = namespace.shell("stat -c '%i %y %z' disk/hosts");
    assert_error(&sync(&namespace, "disk/hosts"), 74, "disk/hosts: Read-only file system");
    assert_eq!(run(namespace.root().args(pass("disk/hosts")).arg("--dry-run")).code, 2);
    assert_eq!(namespace.shell("stat -c '%i %y %z' disk/hosts; ls disk"), format!("{before}hosts\n"));
    bench.registry(&[("zoov2", "10.0.0.2")]);
    assert_eq!(sync(&namespace, "disk/hosts").code, 0);
}

/// On a tmpfs, which takes these flags since Linux 6.0: what a test that was killed leaves immutable goes all the same.
#[test]
fn immutable_files_and_folders() {
    for (flags, code) in [("+i disk/hosts", 77), ("+a disk/hosts", 77), ("+i disk", 2)] {
        let (bench, namespace) = bench();
        bench.registry(&[("zoov1", "10.0.9.1"), ("zoov2", "10.0.0.2")]);
        namespace.shell(&format!("mkdir disk; mount -t tmpfs none disk; cp hosts disk; chattr {flags}"));
        let before = namespace.shell("stat -c %i disk/hosts; lsattr -d disk disk/hosts");
        let run = sync(&namespace, "disk/hosts");
        assert_eq!(namespace.shell("stat -c %i disk/hosts; lsattr -d disk disk/hosts"), before, "{flags}");
        if code == 77 {
            assert_error(&run, 77, "replace /srv/bench/disk/hosts: Operation not permitted");
            assert!(run.stderr.contains("(lsattr)"), "{}", run.stderr);
            assert_eq!(namespace.shell("ls disk; cat disk/hosts"), format!("hosts\nhosts.lock\n{OLD}"), "{flags}");
        } else {
            let (_, text) = by_rename(&bench, OLD);
            assert_eq!(
                (run.code, namespace.shell("ls disk; cat disk/hosts")),
                (2, format!("hosts\n{text}")),
                "{flags}"
            );
        }
    }
}
