//! What a call found and did, for the textfile collector of Prometheus's node exporter.

use std::fmt::Write;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use jiff::Timestamp;
use rustix::fs::OFlags;

use crate::file::{NEW, beside, flags, is_own, make};
use crate::hostsfile::is_same_inode;
use crate::report::{Done, Report};

/// Replaces the file by rename, so that the collector never reads half of it. It is not worth a wait, for the disk or for
/// another call that is about to replace it: that one's figures are as new.
///
/// # Errors
/// Those of the system.
pub fn write(path: &Path, report: &Report) -> io::Result<()> {
    let new = beside(path, NEW);
    let Some(file) = take(&new)? else { return Ok(()) };
    let written = fill(&file, text(report, Timestamp::now()).as_bytes());
    let renamed = written.and_then(|()| fs::rename(&new, path));
    if renamed.is_err() {
        let _ = fs::remove_file(&new);
    }
    renamed
}

/// The new file, locked: who has the lock while the file has the name may write and rename it. None where another call has.
fn take(new: &Path) -> io::Result<Option<File>> {
    let file = own(new).map_or_else(|| make(new, 0o600), Ok)?;
    match fs2::FileExt::try_lock_exclusive(&file) {
        Err(error) if error.raw_os_error() == fs2::lock_contended_error().raw_os_error() => return Ok(None),
        result => result?,
    }
    // Another call may have renamed it since it was opened.
    let is_there =
        new.symlink_metadata().is_ok_and(|named| file.metadata().is_ok_and(|file| is_same_inode(&file, &named)));
    Ok(is_there.then_some(file))
}

/// One that there is, of another call or left by a killed one; none that somebody else has put there.
fn own(new: &Path) -> Option<File> {
    let flags = flags(OFlags::NOFOLLOW | OFlags::NONBLOCK);
    let file =
        OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).custom_flags(flags).open(new).ok()?;
    let metadata = file.metadata().ok()?;
    (is_own(&metadata) && metadata.nlink() <= 1).then_some(file)
}

fn fill(mut file: &File, text: &[u8]) -> io::Result<()> {
    file.set_len(0)?;
    file.write_all(text)?;
    // Only now, because whoever can open it can hold the lock.
    file.set_permissions(Permissions::from_mode(0o644))
}

/// The metrics in the text format; `now` is this machine's time. What is not known is left out.
#[must_use]
fn text(report: &Report, now: Timestamp) -> String {
    let changes = match &report.done {
        Done::Sync { changes, .. } | Done::Member { changes, .. } if report.error.is_none() => Some(changes.len()),
        _ => None,
    };
    let of = |number: Option<usize>| number.map(|number| number.to_string());
    let table = [
        ("last_run_timestamp_seconds", "When the last call ended, in Unix time.", Some(now.as_second().to_string())),
        ("success", "Whether the last call did its work.", Some(u8::from(report.error.is_none()).to_string())),
        ("exit_code", "The exit code of the last call.", Some(report.exit_code.to_string())),
        ("duration_seconds", "How long the last call took, without its splay.", {
            Some(format!("{:.6}", report.began.elapsed().as_secs_f64()))
        }),
        ("generation", "The generation of the registry.", report.generation.map(|generation| generation.to_string())),
        ("members", "The owned members of the registry.", of(report.member_count)),
        ("changes", "How many changes the last call made.", of(changes)),
        ("clock_offset_seconds", "How far the store's clock is ahead of this machine's.", {
            report.clock_offset_seconds.map(|offset| format!("{offset:.3}"))
        }),
    ];
    let mut text = String::new();
    for (name, help, value) in table {
        if let Some(value) = value {
            let (name, command) = (format!("zk_hosts_{name}"), report.command);
            let _ =
                writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge\n{name}{{command=\"{command}\"}} {value}");
        }
    }
    text
}
