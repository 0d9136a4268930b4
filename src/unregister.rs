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
    let mut state = State { tested: options.unsafe_store, unanswered: String::new() };
    let lines = client.retried(|| attempt(options, &store, &mut state)).with_context(doing)?;
    store.note_clock(console);
    console.result(lines.as_bytes());
    Ok(0)
}

/// What this call has come to so far.
struct State {
    /// The store was found to keep conditions, or is trusted to.
    tested: bool,
    /// What to print of a write whose answer did not come: it may have landed.
    unanswered: String,
}

/// Reads, decides, writes on the condition that nobody wrote in between. Gives what there is to print.
fn attempt(options: &Unregister, store: &Store, state: &mut State) -> Result<Verdict<String>> {
    let prefix = &options.common.prefix;
    let object = match store.read()? {
        Verdict::Done(object) => object,
        verdict => return Ok(verdict.and_then(|_| Verdict::Done(String::new()))),
    };
    let registry = Registry::parse_to_write(&object.bytes, prefix, options.common.allow_loopback)?;
    let Some(ip) = registry.addresses.get(&options.id) else {
        return Ok(Verdict::Done(std::mem::take(&mut state.unanswered)));
    };
    if !state.tested {
        match store.test()? {
            Verdict::Done(()) => state.tested = true,
            verdict => return Ok(verdict.and_then(|()| Verdict::Done(String::new()))),
        }
    }
    let bytes = registry.without_member(prefix, options.id, store.time()?)?;
    let lines = format!("{}\n", Change { name: prefix.name(options.id), what: What::Removed(*ip) });
    Ok(match store.write(&bytes, Condition::Is(&object.version))? {
        Verdict::Done(Written::Landed) => Verdict::Done(lines),
        Verdict::Done(Written::Collided) => {
            Verdict::Again(Failure::Collided, "others wrote it in between".to_owned(), None)
        }
        verdict => {
            // It may have landed all the same.
            state.unanswered = lines;
            verdict.and_then(|_| Verdict::Done(String::new()))
        }
    })
}
