//! What a store, or whatever stands in its place, can answer: each row of the table against a pass, which must end with
//! its code and its message, within `--timeout` and a second more, in less than 32 MiB, and with the hosts file untouched.

mod bad;
mod fixture;

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use bad::server::{self, Wire};
use bad::table::{self, Row};
use fixture::{BINARY, Bench, Run, clean};
use rustix::process::{Pid, Signal, kill_process_group};

const HOSTS: &str = "127.0.0.1 localhost\n10.0.0.1 zoov1\n";

/// 32 MiB, in KiB.
const MEMORY: u64 = 32 << 10;

/// What a pass may take beyond `--timeout`.
const GRACE: Duration = Duration::from_secs(1);

/// More would only slow each other down; most of them wait.
const AT_ONCE: usize = 4;

#[test]
fn each_answer_has_its_code_its_message_its_time_and_its_memory() {
    let certificates = server::certificates();
    let table = table::all();
    assert!(table.len() >= 50);
    let rows = Mutex::new(table.iter());
    let (faults, most) = (Mutex::new(Vec::new()), Mutex::new((0, "")));
    let work = || {
        while let Some(row) = { rows.lock().unwrap().next() } {
            let (memory, fault) = tried(row, &certificates);
            faults.lock().unwrap().extend(fault.map(|fault| format!("{}: {fault}", row.name)));
            let mut most = most.lock().unwrap();
            *most = (*most).max((memory, row.name));
        }
    };
    thread::scope(|scope| (0..AT_ONCE).for_each(|_| drop(scope.spawn(work))));
    let (faults, (memory, name)) = (faults.into_inner().unwrap(), most.into_inner().unwrap());
    assert!(faults.is_empty(), "{} of {} answers:\n{}", faults.len(), table.len(), faults.join("\n"));
    println!("{} answers; the most memory: {memory} KiB, for {name}", table.len());
}

/// The memory that a pass took, and what was wrong with it.
fn tried(row: &Row, certificates: &Bench) -> (u64, Option<String>) {
    let bench = Bench::new();
    let before = bench.write("hosts", HOSTS).metadata().unwrap();
    let server = server::serve(&row.wire, row.answers.clone(), certificates);
    // The table's answers are final, or it goes on until the timeout.
    let timeout = Duration::from_secs(if row.code == 69 { 2 } else { 20 });

    let mut command = clean("/usr/bin/time");
    command.args(["-q", "-f", "%M", "-o"]).arg(bench.path("memory")).arg(BINARY);
    command.args(["sync", "--registry", &server.registry, "--hosts-file"]).arg(bench.path("hosts"));
    command.arg(format!("--timeout={}s", timeout.as_secs()));
    if matches!(row.wire, Wire::Tls(_) | Wire::NoTls) {
        command.arg("--ca-file").arg(certificates.path("ca.pem"));
    }
    for (name, value) in server.environment() {
        command.env(name, value);
    }
    let Some(run) = ended(&mut command, timeout + GRACE) else {
        return (0, Some(format!("killed: it did not end within {timeout:?} and {GRACE:?}")));
    };
    let memory = bench.read("memory").trim().parse().unwrap();
    let fault = wrong(row, &run, memory).or_else(|| misdone(&bench, &run, &before));
    (memory, fault.map(|fault| format!("{fault}; {memory} KiB, {}", run.all().chars().take(600).collect::<String>())))
}

/// Runs to the end; None where it had to be killed.
fn ended(command: &mut Command, within: Duration) -> Option<Run> {
    let until = Instant::now() + within;
    let child = command.process_group(0).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let child = child.expect("/usr/bin/time is missing: tests/run installs it");
    let group = Pid::from_child(&child);
    let output = thread::spawn(move || Child::wait_with_output(child).unwrap());
    while !output.is_finished() && Instant::now() < until {
        thread::sleep(Duration::from_millis(5));
    }
    if output.is_finished() {
        return Some(output.join().unwrap().into());
    }
    let _ = kill_process_group(group, Signal::KILL);
    output.join().unwrap();
    None
}

fn wrong(row: &Row, run: &Run, memory: u64) -> Option<String> {
    if run.code != row.code {
        return Some(format!("not {}", row.code));
    }
    if !run.all().contains(row.says) {
        return Some(format!("does not say {:?}", row.says));
    }
    (memory > MEMORY).then(|| format!("more than {MEMORY} KiB"))
}

/// What no answer may bring about.
fn misdone(bench: &Bench, run: &Run, before: &Metadata) -> Option<String> {
    if run.all().contains("5ec2e7") {
        return Some("tells a secret".to_owned());
    }
    if run.all().chars().any(|c| c.is_control() && c != '\n') {
        return Some("prints control characters".to_owned());
    }
    if run.code == 2 {
        return None;
    }
    let after = bench.path("hosts").metadata().unwrap();
    if (after.ino(), after.mtime_nsec(), after.ctime_nsec()) != (before.ino(), before.mtime_nsec(), before.ctime_nsec())
    {
        return Some("touches the hosts file".to_owned());
    }
    if bench.names() != ["hosts", "memory"] {
        return Some("leaves something beside it".to_owned());
    }
    let silent = run.code == 0 && run.stderr.is_empty();
    let line = run.stderr.lines().count() == 1 && run.stderr.chars().count() < 800;
    (!run.stdout.is_empty() || !silent && !line).then(|| "is not one line of error".to_owned())
}
