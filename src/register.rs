//! `zk-hosts register`: publishes this host's address, so that nobody else's is lost.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Error, Result};

use crate::address;
use crate::cli::Register;
use crate::console::Console;
use crate::failure::Failure;
use crate::hosts::{Change, Number, What};
use crate::imds;
use crate::probe;
use crate::registry::{self, Member, Registry};
use crate::store::{Client, Condition, Location, Store, Verdict, Written, random, retry};

/// The default of `--timeout`.
const TIMEOUT: Duration = Duration::from_secs(600);

/// How long a role and its rights may take to be there after boot.
const RIGHTS: Duration = Duration::from_secs(30);

/// How long a live holder is left alone between two looks at it.
const HOLDER: Duration = Duration::from_secs(1);

/// How an attempt ended.
enum Attempt {
    /// It is published; what there is to print.
    Done(String),
    /// Not now; after the pause, or else with the error.
    Wait(Error, Duration),
}

/// Publishes this host. Gives the exit code, 0.
///
/// # Errors
/// Any of [`Failure`].
pub fn run(options: &Register, console: Console) -> Result<u8> {
    let common = &options.common;
    let location = Location::read(&common.registry)?.writable()?;
    let client = Client::new(common.timeout.unwrap_or(TIMEOUT), common.ca_file.clone());
    let number = number(options)?;
    let member = address::find(options.ip, options.interface.as_deref(), common.allow_loopback, &client)?;
    let name = common.prefix.name(number);
    console.note(format!("{name} is {}", member.ip));

    let pass = Pass { options, console, location: &location, client: &client, number, member, began: Instant::now() };
    let mut writes = Writes::default();
    loop {
        let doing = || format!("register {name} in {location}");
        match pass.attempt(&mut writes).with_context(doing)? {
            Attempt::Done(lines) => {
                console.result(lines.as_bytes());
                return Ok(0);
            }
            Attempt::Wait(error, pause) => {
                console.note(format!("waiting: {error:#}"));
                if !client.pause(pause) {
                    return Err(error.context(doing()));
                }
            }
        }
    }
}

/// What this call has done to the store so far.
#[derive(Default)]
struct Writes {
    /// The store was found to keep conditions, or is trusted to.
    tested: bool,
    /// What to print of a write whose answer did not come: it may have landed.
    unanswered: String,
    /// Attempts that ended without a result, for the pause.
    failed: u32,
}

/// One call.
struct Pass<'a> {
    options: &'a Register,
    console: Console,
    location: &'a Location,
    client: &'a Client,
    number: Number,
    member: Member,
    began: Instant,
}

impl Pass<'_> {
    /// Reads, decides, writes on the condition that nobody wrote in between.
    fn attempt(&self, writes: &mut Writes) -> Result<Attempt> {
        let store = match Store::open(self.location, self.client) {
            Ok(store) => store,
            Err(error) => return self.wait_for_rights(error, writes),
        };
        let mut hidden = false;
        let object = match store.read()? {
            Verdict::Done(object) => Some(object),
            Verdict::Failed(Failure::NoObject, _) => None,
            Verdict::Failed(Failure::Deleted, _) if self.options.force => None,
            // Without the right to list, a missing object is refused just so: a creation tells.
            Verdict::Failed(Failure::Denied, _) => {
                hidden = true;
                None
            }
            Verdict::Failed(failure, cause) => return self.wait_for_rights(failure.because(cause), writes),
            Verdict::Again(failure, cause, after) => return Ok(writes.again(failure.because(cause), after)),
        };
        store.note_clock(self.console);

        let prefix = &self.options.common.prefix;
        let refused = |fault: Error| Failure::Refused.because(format!("{fault:#}"));
        let registry = object.as_ref().map(|object| {
            Registry::parse_to_write(&object.bytes, prefix, self.options.common.allow_loopback).map_err(refused)
        });
        let registry = registry.transpose()?;
        if registry.as_ref().is_some_and(|registry| registry.has(prefix, self.number, &self.member)) {
            return Ok(Attempt::Done(std::mem::take(&mut writes.unanswered)));
        }
        let holder = registry.as_ref().and_then(|registry| registry.addresses.get(&self.number).copied());
        if let Some(ip) = holder.filter(|ip| *ip != self.member.ip)
            && !self.options.force
            && probe::accepts(ip, self.options.probe_port)
        {
            let name = prefix.name(self.number);
            let cause = format!("{name} is {ip}, which accepts connections on port {}", self.options.probe_port);
            return Ok(Attempt::Wait(Failure::HolderAlive.because(cause), HOLDER));
        }
        if !writes.tested && !self.options.unsafe_store {
            match store.test()? {
                Verdict::Done(()) => writes.tested = true,
                Verdict::Failed(failure, cause) => return self.wait_for_rights(failure.because(cause), writes),
                Verdict::Again(failure, cause, after) => return Ok(writes.again(failure.because(cause), after)),
            }
        }

        let now = store.time()?;
        let (bytes, condition) = match (&registry, &object) {
            (Some(registry), Some(object)) => {
                let bytes = registry.with_member(prefix, self.number, &self.member, now).map_err(refused)?;
                (bytes, Condition::Is(&object.version))
            }
            _ => (registry::first(&prefix.name(self.number), &self.member, now), Condition::IsAbsent),
        };
        let lines = self.lines(holder, object.is_none());
        match store.write(&bytes, condition)? {
            Verdict::Done(Written::Landed) => Ok(Attempt::Done(lines)),
            Verdict::Done(Written::Collided) if hidden => {
                Err(Failure::Denied.because("the registry exists, and may not be read"))
            }
            Verdict::Done(Written::Collided) => Ok(writes.collided()),
            Verdict::Failed(failure, cause) => self.wait_for_rights(failure.because(cause), writes),
            Verdict::Again(failure, cause, after) => {
                writes.unanswered = lines;
                Ok(writes.again(failure.because(cause), after))
            }
        }
    }

    /// After boot a role, and what it may do, need some seconds to be known everywhere.
    fn wait_for_rights(&self, error: Error, writes: &mut Writes) -> Result<Attempt> {
        let is_right = match error.downcast_ref::<Failure>() {
            Some(Failure::NoCredentials) => imds::is_expected(),
            Some(failure) => failure.is_about_rights(),
            None => false,
        };
        if is_right && self.began.elapsed() < RIGHTS {
            return Ok(writes.again(error, None));
        }
        Err(error)
    }

    fn lines(&self, holder: Option<std::net::IpAddr>, is_new: bool) -> String {
        let name = self.options.common.prefix.name(self.number);
        let what = match holder {
            Some(ip) if ip == self.member.ip => return String::new(),
            Some(ip) => What::Readdressed(ip, self.member.ip),
            None => What::Added(self.member.ip),
        };
        let created = if is_new { format!("created {}\n", self.location) } else { String::new() };
        format!("{created}{}\n", Change { name, what })
    }
}

impl Writes {
    fn again(&mut self, error: Error, after: Option<Duration>) -> Attempt {
        self.failed += 1;
        Attempt::Wait(error, retry::pause(self.failed, after, random()))
    }

    /// Others wrote; some of them are done now, so it is soon worth trying again.
    fn collided(&mut self) -> Attempt {
        self.failed += 1;
        let error = Failure::Collided.because("others wrote it in between");
        Attempt::Wait(error, retry::pause(self.failed, None, random()) / 8)
    }
}

/// The number by `--id`, or by ZooKeeper's own myid file; the two must not differ.
fn number(options: &Register) -> Result<Number> {
    let in_file = match (&options.myid_file, options.id) {
        (Some(path), Some(_)) if !path.exists() => None,
        (Some(path), _) => Some((path, myid(path)?)),
        (None, _) => None,
    };
    match (options.id, in_file) {
        (Some(id), Some((path, found))) if id != found => {
            let cause = format!("--id is {id}, and {} says {found}", path.display());
            Err(Failure::BadSetting.because(cause))
        }
        (Some(number), _) | (None, Some((_, number))) => Ok(number),
        (None, None) => Err(Failure::Usage.because("register: give --id N or --myid-file PATH")),
    }
}

fn myid(path: &Path) -> Result<Number> {
    let text = fs::read(path)
        .map_err(|error| Failure::HostsFile.because(format!("read the myid file {}: {error}", path.display())))?;
    let number = Number::parse(text.trim_ascii());
    number.ok_or_else(|| {
        Failure::BadSetting.because(format!("read the myid file {}: it holds no number", path.display()))
    })
}
