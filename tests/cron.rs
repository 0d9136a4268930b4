//! The cron file that ships, run by Debian's own cron daemon.

mod fixture;

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::process::{Child, Stdio};
use std::time::Duration;

use fixture::{BINARY, Bench, clean, run, shell};

const FILE: &str = include_str!("../cron/zk-hosts");
const SETTING: &str = "ZK_HOSTS_REGISTRY=\"\"";

/// A mount namespace with its own /etc, /dev, /run and crontabs, in which cron is the first process.
struct Cron(Child);

impl Cron {
    fn start(bench: &Bench) -> Self {
        let script = "
            mount --bind etc /etc
            mount --bind dev /dev
            mount --bind bin /usr/local/bin
            mount -t tmpfs none /run
            mount -t tmpfs none /var/spool/cron
            mkdir -m 1730 /var/spool/cron/crontabs
            exec cron -f";
        let mut command = clean("unshare");
        command.args(["--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-euc", script]);
        Self(command.current_dir(&bench.folder).stdout(Stdio::null()).spawn().expect("unshare is missing"))
    }
}

impl Drop for Cron {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Waits for a line in syslog that contains one of the texts; cron itself needs up to a minute, and the splay 25 s.
fn wait_for_line(syslog: &UnixDatagram, texts: &[&str]) -> String {
    syslog.set_read_timeout(Some(Duration::from_secs(180))).unwrap();
    let mut line = [0; 4096];
    loop {
        let length = syslog.recv(&mut line).expect("syslog stays silent: is cron, or logger of bsdutils, missing?");
        let line = String::from_utf8_lossy(&line[..length]).into_owned();
        if texts.iter().any(|text| line.contains(text)) {
            return line;
        }
    }
}

#[test]
fn the_cron_file_keeps_a_hosts_file_in_step() {
    assert_eq!(run(clean("sh").args(["-c", "command -v cron"])).code, 0, "cron is missing: tests/run installs it");
    let bench = Bench::new();
    let registry = bench.registry(&[("zoov1", "10.0.9.1")]);
    shell(
        &bench.folder,
        "cp -a /etc etc
         rm -f etc/cron.d/* etc/crontab
         printf '127.0.0.1 localhost\\n10.0.0.1 zoov1\\n' > etc/hosts
         mkdir dev bin
         for device in null zero full random urandom tty; do cp -a /dev/$device dev/; done",
    );
    fs::copy(BINARY, bench.path("bin/zk-hosts")).unwrap();
    let file = FILE.replace(SETTING, &format!("ZK_HOSTS_REGISTRY=\"{registry}\""));
    assert_ne!(file, FILE);
    bench.write("etc/cron.d/zk-hosts", file);
    let syslog = UnixDatagram::bind(bench.path("dev/log")).unwrap();

    let cron = Cron::start(&bench);
    // cron says so where a command printed something that it would have to mail.
    let line = wait_for_line(&syslog, &["zoov1", "MTA", "zk-hosts:"]);
    assert!(line.contains("zk-hosts: zoov1 10.0.0.1 -> 10.0.9.1"), "{line}");
    assert_eq!(bench.read("etc/hosts"), "127.0.0.1 localhost\n10.0.9.1 zoov1\n");
    drop(cron);
}

#[test]
fn the_cron_file_does_nothing_until_a_registry_is_set() {
    assert!(FILE.contains(SETTING));
    let line = FILE.lines().last().unwrap();
    let command = line.strip_prefix("* * * * * root ").unwrap();
    // With an empty PATH any program that it started would be an error.
    let run = run(clean("/bin/sh").args(["-c", command]).env("PATH", "").env("ZK_HOSTS_REGISTRY", ""));
    assert_eq!((run.code, run.stdout.as_str(), run.stderr.as_str()), (0, "", ""));
}
