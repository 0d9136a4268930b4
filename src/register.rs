//! `zk-hosts register`: publishes this host's address, so that nobody else's is lost.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Error, Result};
use jiff::Timestamp;

use crate::address;
use crate::claim::{self, Ask, Choice, Seen};
use crate::cli::Register;
use crate::console::Console;
use crate::failure::Failure;
use crate::hosts::{Change, Number, What};
use crate::probe;
use crate::registry::{self, Holder, Member, Registry};
use crate::report::{Done, Report};
use crate::store::{Client, Condition, Location, Object, Store, Verdict, Written, random, retry};
use crate::{imds, myid};

/// The default of `--timeout`.
const TIMEOUT: Duration = Duration::from_secs(600);

/// How long a role and its rights may take to be there after boot.
const RIGHTS: Duration = Duration::from_secs(30);

/// How long credentials are used before they are asked for again: a call may outlive them.
const CREDENTIALS: Duration = Duration::from_secs(60);

/// How long the holders of slots are left alone between two looks at them: ZooKeeper logs each.
const LOOKS: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(5)];

/// How an attempt ended.
enum Attempt {
    /// This number is published.
    Done(Number, Published),
    /// Not now; after the pause, or else with the error.
    Wait(Error, Duration),
}

/// What a write does.
#[derive(Default)]
struct Published {
    change: Option<Change>,
    /// There was no registry.
    is_new: bool,
}

/// Publishes this host. Gives the exit code, 0.
///
/// # Errors
/// Any of [`Failure`].
pub fn run(options: &Register, console: Console, report: &mut Report) -> Result<u8> {
    let common = &options.common;
    let location = Location::read(&common.registry)?.writable()?;
    report.registry = Some(location.to_string());
    let client = Client::new(common.timeout.unwrap_or(TIMEOUT), common.ca_file.clone());
    let number = number(options)?;
    let member = member(options, &client)?;
    let name = number.map_or_else(|| "a claimed slot".to_owned(), |number| common.prefix.name(number));
    console.note(format!("this host is {}, for {name}", member.ip));

    let ask = Ask {
        me: &member,
        prefix: &common.prefix,
        number,
        size: options.size,
        is_claim: options.claim,
        grace: if options.claim { options.claim_grace } else { Duration::ZERO },
        silence: if options.claim { options.claim_silence } else { Duration::ZERO },
        has_data: options.myid_file.as_deref().is_some_and(myid::has_data),
        force: options.force,
    };
    let pass = Pass { options, console, location: &location, client: &client, ask, began: Instant::now() };
    let mut state = State::default();
    loop {
        let doing = || format!("register {name} in {location}");
        match pass.attempt(&mut state, report).with_context(doing)? {
            Attempt::Done(number, published) => {
                report.done = Done::Member {
                    name: Some(common.prefix.name(number)),
                    address: Some(member.ip),
                    changes: published.change.into_iter().collect(),
                    created: published.is_new,
                };
                return pass.write_myid(number).map(|()| 0);
            }
            Attempt::Wait(error, pause) => {
                console.note(format!("waiting: {error:#}"));
                if !client.pause(pause) {
                    return Err(pass.named_by_file(error).context(doing()));
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
    /// A write whose answer did not come: it may have landed.
    unanswered: Published,
    /// Attempts that ended without a result, for the pause.
    failed: u32,
    /// What was seen of the members.
    seen: Seen,
    /// Why no slot could be had at the last look.
    waiting: Option<Choice>,
}

/// What this call is about.
struct Pass<'a> {
    options: &'a Register,
    console: Console,
    location: &'a Location,
    client: &'a Client,
    ask: Ask<'a>,
    began: Instant,
}

impl<'a> Pass<'a> {
    /// Asks the store, with credentials that are neither old nor refused.
    fn attempt(&self, state: &mut State<'a>, report: &mut Report) -> Result<Attempt> {
        let (store, since) = match state.store.take() {
            Some((store, since)) if since.elapsed() < CREDENTIALS => (store, since),
            _ => match Store::open(self.location, self.client) {
                Ok(store) => (store, Instant::now()),
                Err(error) => return state.refused(error),
            },
        };
        let attempt = self.publish(&store, state, report);
        report.note_clock(&store);
        if state.refused.is_none() {
            state.store = Some((store, since));
        }
        attempt
    }

    /// Reads, decides, and writes on the condition that nobody wrote in between.
    fn publish(&self, store: &Store, state: &mut State, report: &mut Report) -> Result<Attempt> {
        let (object, is_hidden) = match self.read(store)? {
            Verdict::Done(read) => read,
            verdict => return state.unresolved(verdict),
        };
        store.note_clock(self.console);
        let common = &self.options.common;
        let old = match &object {
            Some(object) => {
                let registry = Registry::parse_to_write(&object.bytes, &common.prefix, common.allow_loopback)?;
                report.note_registry(&registry);
                Some((registry, object.version.as_slice()))
            }
            None => None,
        };
        let holders = old.as_ref().map(|(registry, _)| registry.holders(&common.prefix)).unwrap_or_default();
        let number = match self.choose(&holders, store, state)? {
            Choice::Take(number) | Choice::Replace(number) => number,
            Choice::Wait(failure, cause) => {
                state.refused = None;
                return Ok(Attempt::Wait(failure.because(cause), self.between_looks()));
            }
        };
        let holder = holders.get(&number);
        if holder.is_some_and(|holder| holder.is(self.ask.me)) {
            return Ok(Attempt::Done(number, std::mem::take(&mut state.unanswered)));
        }
        if !state.tested && !self.options.unsafe_store {
            match store.test()? {
                Verdict::Done(()) => state.tested = true,
                verdict => return state.unresolved(verdict),
            }
        }
        let published = Published { change: self.change(number, holder), is_new: old.is_none() };
        match self.write(store, number, old)? {
            Verdict::Done(Written::Landed) => {
                report.generation = Some(report.generation.unwrap_or(0) + 1);
                report.member_count = Some(holders.len() + usize::from(holder.is_none()));
                Ok(Attempt::Done(number, published))
            }
            Verdict::Done(Written::Collided) if is_hidden => state.found_hidden(store),
            Verdict::Done(Written::Collided) => Ok(state.collided()),
            verdict => {
                // It may have landed all the same.
                state.unanswered = published;
                state.unresolved(verdict)
            }
        }
    }

    /// The registry, or None where there is none; true where that is only likely.
    fn read(&self, store: &Store) -> Result<Verdict<(Option<Object>, bool)>> {
        Ok(match store.read()? {
            Verdict::Failed(Failure::NoObject, _) => Verdict::Done((None, false)),
            Verdict::Failed(Failure::Deleted, _) if self.options.force => Verdict::Done((None, false)),
            // Without the right to list, a missing object is refused just so: a creation tells.
            Verdict::Failed(Failure::Denied, _) => Verdict::Done((None, true)),
            verdict => verdict.and_then(|object| Verdict::Done((Some(object), false))),
        })
    }

    /// Chooses a slot, after looks at the members where it depends on them.
    fn choose(&self, holders: &BTreeMap<Number, Holder>, store: &Store, state: &mut State) -> Result<Choice> {
        if let Some(choice) = claim::own_or_free(&self.ask, holders) {
            return Ok(choice);
        }
        let seen = &mut state.seen;
        self.look(holders, seen);
        // Without a grace no age matters, and asking a file system for its time makes a file.
        let now = if self.ask.grace.is_zero() { Timestamp::UNIX_EPOCH } else { store.time()? };
        let mut choice = claim::held(&self.ask, holders, seen, now);
        // One more probe before the write.
        if let Choice::Replace(number) = choice
            && let Some(ip) = holders.get(&number).map(|holder| holder.ip).filter(|ip| *ip != self.ask.me.ip)
        {
            let liveness = probe::probe(ip, self.options.probe_port, self.client.left());
            seen.watch(ip, liveness, self.began.elapsed());
            choice = claim::held(&self.ask, holders, seen, now);
        }
        if let Choice::Wait(..) = &choice {
            // A look that the deadline cuts off tells less than the one before it.
            if self.client.left().is_zero()
                && let Some(before) = state.waiting.take()
            {
                return Ok(before);
            }
            state.waiting = Some(choice.clone());
        }
        Ok(choice)
    }

    /// Looks at the members: at those whose slot would do for a sign of life, at all of the ensemble for a quorum.
    fn look(&self, holders: &BTreeMap<Number, Holder>, seen: &mut Seen) {
        let (at, slots) = (self.began.elapsed(), self.ask.slots());
        let matters = |slot: &Number| self.ask.is_in_ensemble(*slot) || slots.contains(slot);
        let others = holders.iter().filter(|(slot, holder)| matters(slot) && holder.ip != self.ask.me.ip);
        let others: Vec<_> = others.map(|(number, holder)| (holder.ip, slots.contains(number))).collect();
        let (probe_port, client_port) = (self.options.probe_port, self.options.client_port);
        seen.serving.clear();
        for look in probe::look(&others, probe_port, client_port, self.client.left()) {
            if let Some(liveness) = look.liveness {
                seen.watch(look.ip, liveness, at);
            }
            if look.serves {
                seen.serving.insert(look.ip);
            }
        }
    }

    fn between_looks(&self) -> Duration {
        (self.ask.silence / 12).clamp(LOOKS[0], LOOKS[1])
    }

    fn write(&self, store: &Store, number: Number, old: Option<(Registry, &[u8])>) -> Result<Verdict<Written>> {
        let (prefix, now) = (self.ask.prefix, store.time()?);
        match old {
            Some((registry, version)) => {
                let bytes = registry.with_member(prefix, number, self.ask.me, now)?;
                store.write(&bytes, Condition::Is(version))
            }
            None => store.write(&registry::first(&prefix.name(number), self.ask.me, now), Condition::IsAbsent),
        }
    }

    fn change(&self, number: Number, holder: Option<&Holder>) -> Option<Change> {
        let what = match holder {
            Some(holder) if holder.ip == self.ask.me.ip => return None,
            Some(holder) => What::Readdressed(holder.ip, self.ask.me.ip),
            None => What::Added(self.ask.me.ip),
        };
        Some(Change { name: self.ask.prefix.name(number), what })
    }

    /// Writes a claimed number to the myid file, where there is none yet.
    fn write_myid(&self, number: Number) -> Result<()> {
        match &self.options.myid_file {
            Some(path) if self.ask.number.is_none() => myid::write(path, number)
                .with_context(|| format!("{} is registered, but", self.ask.prefix.name(number))),
            _ => Ok(()),
        }
    }

    /// The error, with the file that asks for the number.
    fn named_by_file(&self, error: Error) -> Error {
        match (&self.options.myid_file, self.options.id, self.ask.number) {
            (Some(path), None, Some(number)) => {
                error.context(format!("take the number {number} of {}", path.display()))
            }
            _ => error,
        }
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

    /// What seemed missing exists: another host has created it, or the right to read it came just now, or it never will.
    fn found_hidden(&mut self, store: &Store) -> Result<Attempt> {
        match store.read()? {
            Verdict::Failed(Failure::Denied, _) => {
                Err(Failure::Denied.because("the registry exists, and may not be read"))
            }
            _ => Ok(self.collided()),
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

/// The number by `--id`, or by ZooKeeper's own myid file; the two must not differ. None where a claim finds it.
fn number(options: &Register) -> Result<Option<Number>> {
    let Some(path) = &options.myid_file else { return Ok(options.id) };
    let found = myid::read(path)?;
    let says = |number: Number| format!("{} says {number}", path.display());
    match (options.id, found) {
        (Some(id), Some(found)) if id != found => {
            Err(Failure::BadSetting.because(format!("--id is {id}, and {}", says(found))))
        }
        (None, Some(found)) if options.size.is_some_and(|size| found > size) => {
            Err(Failure::NoSlot.because(format!("{}, which is more than --size", says(found))))
        }
        (None, None) if !options.claim => {
            Err(Failure::HostsFile.because(format!("read the myid file {}: there is none", path.display())))
        }
        (id, found) => Ok(id.or(found)),
    }
}

/// This host. A claim wants to know its instance, by which a slot stays its own when its address changes.
fn member(options: &Register, client: &Client) -> Result<Member> {
    let loopback = options.common.allow_loopback;
    let mut member = address::find(options.ip, options.interface.as_deref(), loopback, client)?;
    if options.claim && member.instance_id.is_none() {
        member.instance_id = imds::get(client, "instance-id")?;
    }
    Ok(member)
}
