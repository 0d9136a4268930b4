//! What a call found and did, for the textfile collector of Prometheus's node exporter.

use std::fmt::Write;
use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

use jiff::Timestamp;

use crate::file::{NEW, beside, make};
use crate::report::{Done, Report};

/// Replaces the file by rename, so that the collector never reads half of it. It is not worth a wait for the disk.
///
/// # Errors
/// Those of the system.
pub fn write(path: &Path, report: &Report) -> io::Result<()> {
    let new = beside(path, NEW);
    let written = make(&new).and_then(|mut file| file.write_all(text(report, Timestamp::now()).as_bytes()));
    let renamed = written.and_then(|()| fs::rename(&new, path));
    if renamed.is_err() {
        let _ = fs::remove_file(&new);
    }
    renamed
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
