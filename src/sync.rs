//! `zk-hosts sync`: one pass.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::cli::Sync;
use crate::console::Console;
use crate::failure::Failure;
use crate::hosts;
use crate::hostsfile::HostsFile;
use crate::registry::Registry;
use crate::report::{Diff, Done, Report};
use crate::splay;
use crate::store::{self, Client, Location};

/// The default of `--timeout`.
const TIMEOUT: Duration = Duration::from_secs(20);

/// How often a pass decides again because somebody else wrote the file in between.
const ATTEMPTS: u32 = 3;

/// Fetches the registry and brings the hosts file in step. Gives the exit code: 0 where nothing had to change.
///
/// # Errors
/// Any of [`Failure`]; the hosts file is as it was.
pub fn run(options: &Sync, console: Console, report: &mut Report) -> Result<u8> {
    let common = &options.common;
    let location = Location::read(&common.registry)?;
    report.registry = Some(location.to_string());
    if !options.dry_run && !options.splay.is_zero() {
        thread::sleep(splay_of_this_host(options.splay));
        report.began = Instant::now();
    }
    let client = Client::new(common.timeout.unwrap_or(TIMEOUT), common.ca_file.clone());
    let bytes = store::fetch(&location, &client, report, console)?;
    let registry = read(&bytes, &location, options, console)?;
    report.note_registry(&registry);
    let decide = |text: &[u8]| hosts::plan(text, &common.prefix, &registry.addresses, options.prune);

    let file = HostsFile::find(&options.hosts_file, console)?;
    let plan = decide(&file.lines_with(&common.prefix)?);
    report.done = Done::Sync { changes: Vec::new(), kept: plan.kept.clone(), diff: None };
    for name in &plan.kept {
        console.note(format!("{name} kept: the registry does not have it; --prune removes it"));
    }
    if plan.edits.is_empty() {
        return Ok(0);
    }
    if options.dry_run {
        let snapshot = file.read()?;
        let plan = decide(&snapshot.text);
        let path = options.hosts_file.as_os_str().as_encoded_bytes();
        let diff = Some(Diff(hosts::unified(path, &snapshot.text, &plan.edits)));
        report.done = Done::Sync { changes: plan.changes, kept: plan.kept, diff };
        return Ok(options.changed_exit_code);
    }

    let lock = file.lock(options.lock_timeout)?;
    for _ in 0..ATTEMPTS {
        let snapshot = file.read()?;
        let plan = decide(&snapshot.text);
        if plan.edits.is_empty() {
            return Ok(0);
        }
        if file.replace(&lock, &snapshot, &plan.pieces(&snapshot.text))? {
            report.done = Done::Sync { changes: plan.changes, kept: plan.kept, diff: None };
            return Ok(options.changed_exit_code);
        }
    }
    Err(Failure::Changing
        .because(format!("replace {}: it changed under each of {ATTEMPTS} attempts", file.path().display())))
}

fn read<'a>(bytes: &'a [u8], location: &Location, options: &Sync, console: Console) -> Result<Registry<'a>> {
    let common = &options.common;
    let registry =
        Registry::parse(bytes, &common.prefix, common.allow_loopback).with_context(|| format!("read {location}"))?;

    let (generation, members) = (registry.generation, registry.addresses.len());
    console.note(format!("{location}: generation {generation}, {members} members"));
    for shared in registry.shared_addresses(&common.prefix) {
        console.warn(format!("{location}: {shared}"));
    }
    Ok(registry)
}

fn splay_of_this_host(splay: Duration) -> Duration {
    let machine_id = fs::read("/etc/machine-id").unwrap_or_default();
    splay::delay(splay, &machine_id, rustix::system::uname().nodename().to_bytes())
}
