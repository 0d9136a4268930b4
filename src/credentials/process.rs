//! `credential_process`: a command of the profile that prints credentials.

use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use rusty_s3::Credentials;

use super::from_json;
use crate::failure::Failure;
use crate::store::Client;

/// The longest that a command may print, in bytes.
const MAX_BYTES: u64 = 65_536;

/// How long its output may take to be read once it has ended.
const OUTPUT: Duration = Duration::from_secs(1);

/// Runs the command by the shell until it ends, at the longest until the client's deadline. What it prints on stderr is
/// not shown: it may hold what must not be.
pub fn run(command: &str, client: &Client) -> Result<Credentials> {
    let failed = |cause: String| Failure::BadCredentials.because(format!("the profile's credential_process {cause}"));
    let mut child = Command::new("sh")
        .args(["-c", command])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .map_err(|error| failed(format!("cannot be started: {error}")))?;
    let output = output(&mut child);
    let status = if output.is_ok() { exit(&mut child, client.left()) } else { Ok(None) };
    // What is left of it, its own children too: then nobody holds its output open.
    let group = rustix::process::Pid::from_child(&child);
    let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    // It may have left its group.
    let _ = child.kill();
    let status = status.and_then(|status| child.wait().map(|_| status));
    let output = output.map_err(|error| failed(format!("cannot be read: {error}")))?;
    let status = match status {
        Ok(Some(status)) => status,
        Ok(None) => return Err(failed("does not end within --timeout".to_owned())),
        Err(error) => return Err(failed(format!("cannot be waited for: {error}"))),
    };
    let Ok(Ok(json)) = output.recv_timeout(OUTPUT) else {
        return Err(failed("leaves its output open".to_owned()));
    };
    if !status.success() {
        return Err(failed(format!("fails ({status})")));
    }
    from_json("the profile's credential_process", "SessionToken", &json)
}

/// How it ended; None where it did not in time.
fn exit(child: &mut Child, timeout: Duration) -> io::Result<Option<ExitStatus>> {
    let until = Instant::now() + timeout;
    loop {
        match child.try_wait()? {
            None if Instant::now() < until => thread::sleep(Duration::from_millis(5)),
            status => return Ok(status),
        }
    }
}

/// All that it prints, once it has closed its output.
fn output(child: &mut Child) -> io::Result<mpsc::Receiver<io::Result<Vec<u8>>>> {
    let (sender, receiver) = mpsc::channel();
    let stdout = child.stdout.take();
    thread::Builder::new().spawn(move || {
        let mut bytes = Vec::new();
        let read = stdout.map_or(Ok(0), |stdout| stdout.take(MAX_BYTES).read_to_end(&mut bytes));
        // Nobody may be there to take it.
        let _ = sender.send(read.map(|_| bytes));
    })?;
    Ok(receiver)
}
