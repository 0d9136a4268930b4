//! `credential_process`: a command of the profile that prints credentials.

use std::io::Read;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anyhow::Result;
use rusty_s3::Credentials;

use super::from_json;
use crate::failure::Failure;
use crate::store::Client;

/// The longest that a command may print, in bytes.
const MAX_BYTES: u64 = 65_536;

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
    let output = output(&mut child, client.left());
    // What is left of it, its own children too.
    let group = rustix::process::Pid::from_child(&child);
    let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    let status = child.wait().map_err(|error| failed(format!("cannot be waited for: {error}")))?;
    let Some(output) = output else {
        return Err(failed("does not end within --timeout".to_owned()));
    };
    let json = output.map_err(|error| failed(format!("cannot be read: {error}")))?;
    if json.is_empty() {
        return Err(failed(format!("prints nothing ({status})")));
    }
    from_json("the profile's credential_process", "SessionToken", &json)
}

/// All that it prints; None where it does not close its output in time.
fn output(child: &mut Child, timeout: Duration) -> Option<std::io::Result<Vec<u8>>> {
    let (sender, receiver) = mpsc::channel();
    let stdout = child.stdout.take()?;
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let read = stdout.take(MAX_BYTES).read_to_end(&mut bytes);
        // The receiver may have gone at its timeout.
        let _ = sender.send(read.map(|_| bytes));
    });
    receiver.recv_timeout(timeout).ok()
}
