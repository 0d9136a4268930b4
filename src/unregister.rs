//! `zk-hosts unregister`: takes a member out of the registry.

use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::cli::Unregister;
use crate::console::Console;
use crate::failure::Failure;
use crate::hosts::{Change, What};
use crate::registry::Registry;
use crate::report::{Done, Report};
use crate::store::{Client, Condition, Location, Store, Verdict, Written};

/// The default of `--timeout`.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Removes the member, or finds that it is not there. Gives the exit code, 0.
///
/// # Errors
/// Any of [`Failure`].
pub fn run(options: &Unregister, console: Console, report: &mut Report) -> Result<u8> {
    let common = &options.common;
    let location = Location::read(&common.registry)?.writable()?;
    report.registry = Some(location.to_string());
    let client = Client::new(common.timeout.unwrap_or(TIMEOUT), common.ca_file.clone());
    let doing = || format!("unregister {} in {location}", common.prefix.name(options.id));

    let store = Store::open(&location, &client, options.unsafe_store).with_context(doing)?;
    let mut pass = Pass { options, store: &store, report, tested: options.unsafe_store, unanswered: None };
    let removed = client.retried(|| pass.attempt()).with_context(doing);
    report.note_clock(&store);
    store.note_clock(console);
    let removed = removed?;
    report.done = Done::Member {
        name: Some(common.prefix.name(options.id)),
        address: removed,
        changes: removed
            .map(|ip| Change { name: common.prefix.name(options.id), what: What::Removed(ip) })
            .into_iter()
            .collect(),
        created: false,
    };
    Ok(0)
}

/// What this call is about, and has come to so far.
struct Pass<'a> {
    options: &'a Unregister,
    store: &'a Store<'a>,
    report: &'a mut Report,
    /// The store was found to keep conditions, or is trusted to.
    tested: bool,
    /// The address in a write whose answer did not come: it may have landed.
    unanswered: Option<IpAddr>,
}

impl Pass<'_> {
    /// Reads, decides, writes on the condition that nobody wrote in between. Gives the address that was removed.
    fn attempt(&mut self) -> Result<Verdict<Option<IpAddr>>> {
        let prefix = &self.options.common.prefix;
        let object = match self.store.read()? {
            Verdict::Done(object) => object,
            verdict => return Ok(verdict.and_then(|_| Verdict::Done(None))),
        };
        let registry = Registry::parse_to_write(&object.bytes, prefix, self.options.common.allow_loopback)?;
        self.report.note_registry(&registry);
        let Some(ip) = registry.addresses.get(&self.options.id) else {
            return Ok(Verdict::Done(self.unanswered));
        };
        if !self.tested {
            match self.store.test()? {
                Verdict::Done(()) => self.tested = true,
                verdict => return Ok(verdict.and_then(|()| Verdict::Done(None))),
            }
        }
        let bytes = registry.without_member(prefix, self.options.id, self.store.time()?)?;
        Ok(match self.store.write(&bytes, Condition::Is(&object.version))? {
            Verdict::Done(Written::Landed) => {
                self.report.generation = Some(registry.generation + 1);
                self.report.member_count = Some(registry.addresses.len() - 1);
                Verdict::Done(Some(*ip))
            }
            Verdict::Done(Written::Collided) => {
                Verdict::Again(Failure::Collided, "others wrote it in between".to_owned(), None)
            }
            verdict => {
                // It may have landed all the same.
                self.unanswered = Some(*ip);
                verdict.and_then(|_| Verdict::Done(None))
            }
        })
    }
}
