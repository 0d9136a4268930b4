//! The service and the timer that ship, run by a systemd of the test's own. Its root holds nothing but the machine's /usr,
//! read only, and no units but these: nothing that a real boot does happens to the machine.

mod fixture;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use fixture::{BINARY, Bench, NEW, OLD, Run, clean, registry, run, shell, tool, wait_until};

const SERVICE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/systemd/zk-hosts.service");
const TIMER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/systemd/zk-hosts.timer");

/// Makes a control group by a mount that nobody else sees, then a root to leave the machine's for, and boots.
const BOOT: &str = r#"
mkdir cgroup root
mount -t cgroup2 none cgroup
mkdir "cgroup/$1"
echo $$ > "cgroup/$1/cgroup.procs"
umount cgroup
exec unshare --pid --fork --kill-child --net --uts --ipc --cgroup --mount --propagation private sh -euc '
    mount -t tmpfs -o mode=755 none root
    cp -a etc root/etc
    cd root
    mkdir -p usr proc sys dev run tmp var root old
    for link in bin sbin lib lib64; do ln -s usr/$link $link; done
    mount -o bind,ro /usr usr
    mount -t tmpfs none usr/lib/systemd/system
    mount -t tmpfs none usr/lib/systemd/system-generators
    mount -t tmpfs none usr/local
    mkdir usr/local/bin
    cp "$1" usr/local/bin/zk-hosts
    mount -t proc none proc
    mount -o bind,ro proc/sys proc/sys
    mount -t sysfs -o ro none sys
    mount -t cgroup2 none sys/fs/cgroup
    mount -t tmpfs -o mode=755 none dev
    for device in null:1:3 zero:1:5 full:1:7 random:1:8 urandom:1:9 tty:5:0; do
        IFS=:; set -- $device; mknod -m 666 dev/$1 c $2 $3
    done
    mkdir dev/pts dev/shm
    mount -t devpts -o newinstance,ptmxmode=666 none dev/pts
    ln -s pts/ptmx dev/ptmx
    mount -t tmpfs none dev/shm
    mount -t tmpfs none run
    pivot_root . old
    umount -l old
    exec env -i PATH=/usr/bin:/usr/sbin container=test /usr/lib/systemd/systemd --unit=basic.target --log-target=null
' sh "$2"
"#;

/// What the units name, without what a boot hangs on them.
const TARGETS: [&str; 4] = ["sysinit", "basic", "shutdown", "timers"];

struct Machine {
    unshare: Child,
    init: String,
    cgroup: String,
    bench: Bench,
}

impl Machine {
    fn boot() -> Self {
        assert_eq!(
            run(clean("sh").args(["-c", "command -v systemctl"])).code,
            0,
            "systemd is missing: tests/run installs it"
        );
        let bench = Bench::new();
        shell(&bench.folder, "mkdir -p etc/default etc/systemd/system");
        for (name, text) in [
            ("machine-id", "0123456789abcdef0123456789abcdef\n"),
            ("passwd", "root:x:0:0::/root:/bin/sh\n"),
            ("group", "root:x:0:\n"),
            ("nsswitch.conf", "hosts: files\n"),
            ("default/zk-hosts", "ZK_HOSTS_REGISTRY=file:///etc/zk.json\n"),
            ("zk.json", &registry(&[("zoov1", "10.0.9.1")])),
            ("hosts", OLD),
        ] {
            bench.write(&format!("etc/{name}"), text);
        }
        for target in TARGETS {
            bench.write(&format!("etc/systemd/system/{target}.target"), "[Unit]\nDefaultDependencies=no\n");
        }
        for unit in [SERVICE, TIMER] {
            let name = Path::new(unit).file_name().unwrap().display();
            fs::copy(unit, bench.path(&format!("etc/systemd/system/{name}"))).unwrap();
        }
        // An owner, a mode and an ACL that the service must keep.
        let hosts = bench.path("etc/hosts");
        chown(&hosts, Some(4242), Some(4243)).unwrap();
        tool(clean("setfacl").args(["-m", "u:4244:r"]).arg(&hosts));

        let cgroup = format!("zk-hosts-{}", bench.folder.file_name().unwrap().display());
        let mut unshare = clean("unshare");
        unshare.args(["--mount", "--propagation", "private", "sh", "-euc", BOOT, "sh", &cgroup, BINARY]);
        let unshare = unshare.current_dir(&bench.folder).stdout(Stdio::null()).spawn().expect("unshare is missing");
        let mut machine = Self { unshare, init: String::new(), cgroup, bench };
        wait_until("systemd boots", || {
            assert!(machine.unshare.try_wait().unwrap().is_none(), "systemd did not boot");
            let id = machine.unshare.id();
            let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap_or_default();
            children.trim().clone_into(&mut machine.init);
            !machine.init.is_empty() && machine.call(&["systemctl", "is-system-running"]).stdout == "running\n"
        });
        machine
    }

    /// A program in there.
    fn command(&self, words: &[&str]) -> Command {
        let mut command = clean("nsenter");
        command
            .args(["--target", &self.init, "--mount", "--pid", "--net", "--ipc", "--uts", "--cgroup", "--"])
            .args(words);
        command
    }

    fn call(&self, words: &[&str]) -> Run {
        run(&mut self.command(words))
    }

    fn write(&self, path: &str, text: &str) {
        fs::write(self.path(path), text).unwrap();
    }

    fn path(&self, path: &str) -> String {
        format!("/proc/{}/root{path}", self.init)
    }

    fn hosts(&self) -> String {
        fs::read_to_string(self.path("/etc/hosts")).unwrap()
    }

    /// Whether a start of the service counts as a success.
    fn pass(&self) -> bool {
        self.call(&["systemctl", "start", "zk-hosts.service"]).code == 0
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.unshare.kill();
        let _ = self.unshare.wait();
        let script = "
            mount -t cgroup2 none cgroup
            until find cgroup/$1 -depth -type d -exec rmdir {} + 2>/dev/null; do :; done";
        let mut unshare = clean("unshare");
        unshare.args([
            "--mount",
            "--propagation",
            "private",
            "timeout",
            "20",
            "sh",
            "-euc",
            script,
            "sh",
            &self.cgroup,
        ]);
        let _ = unshare.current_dir(&self.bench.folder).status();
    }
}

#[test]
fn the_service_keeps_a_hosts_file_in_step_under_its_restrictions() {
    let machine = Machine::boot();

    // The pass exits with 2.
    assert!(machine.pass());
    assert_eq!(machine.hosts(), NEW);
    let is = fs::metadata(machine.path("/etc/hosts")).unwrap();
    assert_eq!((is.uid(), is.gid(), is.permissions().mode() & 0o7777), (4242, 4243, 0o644));
    let acl = tool(&mut machine.command(&["getfacl", "--numeric", "/etc/hosts"]));
    assert!(acl.contains("user:4244:r--"), "{acl}");

    assert!(machine.pass());
    assert_eq!(fs::metadata(machine.path("/etc/hosts")).unwrap().ino(), is.ino());

    // Over the network, by a name.
    machine.write("/etc/zk.json", &registry(&[("zoov1", "10.0.9.2")]));
    machine.write("/etc/default/zk-hosts", "ZK_HOSTS_REGISTRY=http://localhost:8000/zk.json\n");
    let words = ["/usr/bin/python3", "-m", "http.server", "-b", "127.0.0.1", "-d", "/etc", "8000"];
    let mut server = machine.command(&words).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait_until("the server is reached by the service", || machine.pass());
    assert!(machine.hosts().contains("10.0.9.2 zoov1"));
    let _ = server.kill();
    let _ = server.wait();

    machine.write("/etc/default/zk-hosts", "ZK_HOSTS_REGISTRY=file:///etc/none.json\n");
    let before = machine.hosts();
    assert!(!machine.pass());
    assert_eq!(machine.hosts(), before);
}

#[test]
fn the_service_writes_in_etc_and_nowhere_else() {
    let machine = Machine::boot();
    let metrics = |path: &str| {
        let registry = "ZK_HOSTS_REGISTRY=file:///etc/zk.json";
        machine.write("/etc/default/zk-hosts", &format!("{registry}\nZK_HOSTS_METRICS_FILE={path}\n"));
        assert!(machine.pass());
        Path::new(&machine.path(path)).exists()
    };
    assert!(metrics("/etc/zk.prom"));
    for path in ["/var/zk.prom", "/root/zk.prom", "/run/zk.prom", "/dev/zk.prom", "/tmp/zk.prom"] {
        assert!(!metrics(path), "{path}");
    }

    fs::create_dir(machine.path("/etc/systemd/system/zk-hosts.service.d")).unwrap();
    machine.write("/etc/systemd/system/zk-hosts.service.d/metrics.conf", "[Service]\nReadWritePaths=/var\n");
    tool(&mut machine.command(&["systemctl", "daemon-reload"]));
    assert!(metrics("/var/zk.prom"));
}

#[test]
fn the_timer_starts_the_service_within_the_minute_and_its_splay() {
    let machine = Machine::boot();
    tool(&mut machine.command(&["systemctl", "enable", "--now", "--quiet", "zk-hosts.timer"]));
    assert!(Path::new(&machine.path("/etc/systemd/system/timers.target.wants")).join("zk-hosts.timer").is_symlink());
    let show = |property: &str| {
        let words = ["systemctl", "show", "--value", "--timestamp=unix", "--property", property, "zk-hosts.timer"];
        tool(&mut machine.command(&words)).trim().to_owned()
    };
    assert_eq!((show("Unit").as_str(), show("ActiveState").as_str()), ("zk-hosts.service", "active"));
    // The whole minute, and the splay after it.
    let calendar = show("TimersCalendar");
    let (minutely, minute) = calendar.split_once(" ; next_elapse=@").unwrap();
    assert_eq!(minutely, "{ OnCalendar=*-*-* *:*:00");
    let minute: u64 = minute.trim_end_matches(" }").parse().unwrap();
    let next = tool(clean("date").args(["+%s", "-d", &show("NextElapseUSecRealtime")]));
    let splay = next.trim().parse::<u64>().unwrap() - minute;
    assert!(minute.is_multiple_of(60) && splay <= 25, "{minute} + {splay} s");
}

#[test]
fn the_line_for_a_reboot_registers() {
    let line = include_str!("../README.md").lines().find(|line| line.starts_with("@reboot root ")).unwrap();
    let command =
        line.trim_start_matches("@reboot root ").replace("zk-hosts register", "\"$0\" register --ip 10.0.9.2");
    let bench = Bench::new();
    let url = bench.registry(&[("zoov1", "10.0.9.1")]);
    let run =
        run(clean("sh").args(["-c", &command, BINARY]).env("ZK_HOSTS_REGISTRY", url).env("ZK_HOSTS_TIMEOUT", "20s"));
    assert_eq!((run.code, run.stdout.as_str()), (0, ""), "{}", run.stderr);
    assert!(bench.read("zk.json").contains("10.0.9.2"), "{}", bench.read("zk.json"));
}

#[test]
fn the_service_is_hardened() {
    let mut analyze = clean("systemd-analyze");
    let done = run(analyze.args(["security", "--offline=true", "--no-pager", "--threshold=25", SERVICE]));
    println!("{}", done.stdout.lines().find(|line| line.contains("exposure level")).unwrap_or_default());
    assert_eq!(done.code, 0, "{}", done.all());
}
