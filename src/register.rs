//! `zk-hosts register`: publishes this host's address, so that nobody else's is lost.

use std::fs;
use std::net::IpAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Error, Result};

use crate::address;
use crate::cli::Register;
use crate::console::Console;
use crate::failure::Failure;
use crate::hosts::{Change, Number, What};
use crate::imds;
use crate::probe::{self, Liveness};
use crate::registry::{self, Member, Registry};
use crate::store::{Client, Condition, Location, Store, Verdict, Written, random, retry};

/// The default of `--timeout`.
const TIMEOUT: Duration = Duration::from_secs(600);

/// How long a role and its rights may take to be there after boot.
const RIGHTS: Duration = Duration::from_secs(30);

/// How long credentials are used before they are asked for again: a call may outlive them.
const CREDENTIALS: Duration = Duration::from_secs(60);

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

    let pass = Pass { options, console, location: &location, client: &client, number, member };
    let mut state = State::default();
    loop {
        let doing = || format!("register {name} in {location}");
        match pass.attempt(&mut state).with_context(doing)? {
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

/// What this call has come to so far.
#[derive(Default)]
struct State<'a> {
    /// The store, and since when.
    store: Option<(Store<'a>, Instant)>,
    /// When the store, or a source of credentials, first refused.
    refused: Option<Instant>,
    /// The store was found to keep conditions, or is trusted to.
    tested: bool,
    /// What to print of a write whose answer did not come: it may have landed.
    unanswered: String,
    /// Attempts that ended without a result, for the pause.
    failed: u32,
}

/// What this call is about.
struct Pass<'a> {
    options: &'a Register,
    console: Console,
    location: &'a Location,
    client: &'a Client,
    number: Number,
    member: Member,
}

impl<'a> Pass<'a> {
    /// Asks the store, with credentials that are neither old nor refused.
    fn attempt(&self, state: &mut State<'a>) -> Result<Attempt> {
        let (store, since) = match state.store.take() {
            Some((store, since)) if since.elapsed() < CREDENTIALS => (store, since),
            _ => match Store::open(self.location, self.client) {
                Ok(store) => (store, Instant::now()),
                Err(error) => return state.refused(error),
            },
        };
        let attempt = self.publish(&store, state);
        if state.refused.is_none() {
            state.store = Some((store, since));
        }
        attempt
    }

    /// Reads, decides, and writes on the condition that nobody wrote in between.
    fn publish(&self, store: &Store, state: &mut State) -> Result<Attempt> {
        let (object, hidden) = match store.read()? {
            Verdict::Done(object) => (Some(object), false),
            Verdict::Failed(Failure::NoObject, _) => (None, false),
            Verdict::Failed(Failure::Deleted, _) if self.options.force => (None, false),
            // Without the right to list, a missing object is refused just so: a creation tells.
            Verdict::Failed(Failure::Denied, _) => (None, true),
            verdict => return state.unresolved(verdict),
        };
        store.note_clock(self.console);
        let common = &self.options.common;
        let old = match &object {
            Some(object) => {
                let parsed = Registry::parse_to_write(&object.bytes, &common.prefix, common.allow_loopback);
                Some((parsed?, object.version.as_slice()))
            }
            None => None,
        };
        let registry = old.as_ref().map(|(registry, _)| registry);
        if registry.is_some_and(|registry| registry.has(&common.prefix, self.number, &self.member)) {
            return Ok(Attempt::Done(std::mem::take(&mut state.unanswered)));
        }
        let holder = registry.and_then(|registry| registry.addresses.get(&self.number).copied());
        if let Some(error) = holder.and_then(|ip| self.live_holder(ip)) {
            return Ok(Attempt::Wait(error, HOLDER));
        }
        if !state.tested && !self.options.unsafe_store {
            match store.test()? {
                Verdict::Done(()) => state.tested = true,
                verdict => return state.unresolved(verdict),
            }
        }

        let lines = self.lines(holder, old.is_none());
        match self.write(store, old)? {
            Verdict::Done(Written::Landed) => Ok(Attempt::Done(lines)),
            // It exists: created by another host in between, or the right to read it came just now, or it never will.
            Verdict::Done(Written::Collided) if hidden => match store.read()? {
                Verdict::Failed(Failure::Denied, _) => {
                    Err(Failure::Denied.because("the registry exists, and may not be read"))
                }
                _ => Ok(state.collided()),
            },
            Verdict::Done(Written::Collided) => Ok(state.collided()),
            verdict => {
                // It may have landed all the same.
                state.unanswered = lines;
                state.unresolved(verdict)
            }
        }
    }

    /// Why the holder of the name is not replaced now, where that is so.
    fn live_holder(&self, ip: IpAddr) -> Option<Error> {
        if ip == self.member.ip || self.options.force {
            return None;
        }
        let (name, port) = (self.options.common.prefix.name(self.number), self.options.probe_port);
        let what = match probe::probe(ip, port, self.client.left()) {
            Liveness::Dead => return None,
            Liveness::Alive => format!("which accepts connections on port {port}"),
            Liveness::Unknown => format!("and --timeout leaves no time to try its port {port}"),
        };
        Some(Failure::HolderAlive.because(format!("{name} is {ip}, {what}")))
    }

    fn write(&self, store: &Store, old: Option<(Registry, &[u8])>) -> Result<Verdict<Written>> {
        let (prefix, now) = (&self.options.common.prefix, store.time()?);
        match old {
            Some((registry, version)) => {
                let bytes = registry.with_member(prefix, self.number, &self.member, now)?;
                store.write(&bytes, Condition::Is(version))
            }
            None => store.write(&registry::first(&prefix.name(self.number), &self.member, now), Condition::IsAbsent),
        }
    }

    fn lines(&self, holder: Option<IpAddr>, is_new: bool) -> String {
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

impl State<'_> {
    /// What a verdict comes to that is not done.
    fn unresolved<T>(&mut self, verdict: Verdict<T>) -> Result<Attempt> {
        match verdict {
            Verdict::Failed(failure, cause) => self.refused(failure.because(cause)),
            Verdict::Again(failure, cause, after) => Ok(self.again(failure.because(cause), after)),
            // None of the callers' own: what was done is found out by reading again.
            Verdict::Done(_) => Ok(self.collided()),
        }
    }

    /// After boot a role, and what it may do, need some seconds to be known everywhere; other failures are final.
    fn refused(&mut self, error: Error) -> Result<Attempt> {
        let may_pass = match error.downcast_ref::<Failure>() {
            Some(Failure::NoCredentials) => imds::is_expected(),
            Some(failure) => failure.is_about_rights(),
            None => false,
        };
        if may_pass && self.refused.get_or_insert_with(Instant::now).elapsed() < RIGHTS {
            return Ok(self.again(error, None));
        }
        Err(error)
    }

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
        Failure::BadSetting
            .because(format!("read the myid file {}: it holds no number from 1 to 99999", path.display()))
    })
}
