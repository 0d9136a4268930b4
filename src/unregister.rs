//! `zk-hosts unregister`: takes a member out of the registry.

use std::time::Duration;

use anyhow::{Context, Result};

use crate::cli::Unregister;
use crate::console::Console;
use crate::failure::Failure;
use crate::hosts::{Change, What};
use crate::registry::Registry;
use crate::store::{Client, Condition, Location, Store, Verdict, Written};

/// The default of `--timeout`.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Removes the member, or finds that it is not there. Gives the exit code, 0.
///
/// # Errors
/// Any of [`Failure`].
pub fn run(options: &Unregister, console: Console) -> Result<u8> {
    let common = &options.common;
    let location = Location::read(&common.registry)?.writable()?;
    let client = Client::new(common.timeout.unwrap_or(TIMEOUT), common.ca_file.clone());
    let doing = || format!("unregister {} in {location}", common.prefix.name(options.id));

    let store = Store::open(&location, &client).with_context(doing)?;
    let mut tested = options.unsafe_store;
    let lines = client.retried(|| attempt(options, &store, &mut tested)).with_context(doing)?;
    store.note_clock(console);
    console.result(lines.as_bytes());
    Ok(0)
}

/// Reads, decides, writes on the condition that nobody wrote in between. Gives what there is to print.
fn attempt(options: &Unregister, store: &Store, tested: &mut bool) -> Result<Verdict<String>> {
    let prefix = &options.common.prefix;
    let object = match store.read()? {
        Verdict::Done(object) => object,
        verdict => return Ok(verdict.and_then(|_| Verdict::Done(String::new()))),
    };
    let registry = Registry::parse_to_write(&object.bytes, prefix, options.common.allow_loopback)?;
    let Some(ip) = registry.addresses.get(&options.id) else {
        return Ok(Verdict::Done(String::new()));
    };
    if !*tested {
        match store.test()? {
            Verdict::Done(()) => *tested = true,
            verdict => return Ok(verdict.and_then(|()| Verdict::Done(String::new()))),
        }
    }
    let bytes = registry.without_member(prefix, options.id, store.time()?)?;
    let written = store.write(&bytes, Condition::Is(&object.version))?;
    let change = Change { name: prefix.name(options.id), what: What::Removed(*ip) };
    Ok(written.and_then(|written| match written {
        Written::Landed => Verdict::Done(format!("{change}\n")),
        Written::Collided => Verdict::Again(Failure::Collided, "others wrote it in between".to_owned(), None),
    }))
}
