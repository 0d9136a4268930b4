//! PURE: which slot a host may take, of the registry's members, what was seen of them, and the store's time.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use jiff::Timestamp;

use crate::failure::Failure;
use crate::hosts::{Number, Prefix};
use crate::registry::{Holder, Member};

/// What a connection tells of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Liveness {
    /// It accepts connections.
    Alive,
    /// Its host is there and refuses them.
    Refused,
    /// Nothing answers, or nothing leads there.
    Silent,
    /// It could not be tried, or not for long enough.
    Unknown,
}

/// After so long without a look nothing is known any more.
const GAP: Duration = Duration::from_secs(30);

/// How many holders are named in the reason why no slot can be had.
const DOUBTS: usize = 9;

/// What a host asks for.
#[derive(Debug)]
pub struct Ask<'a> {
    /// The host.
    pub me: &'a Member,
    /// What the slots' names begin with.
    pub prefix: &'a Prefix,
    /// The only slot that will do, where the host knows it.
    pub number: Option<Number>,
    /// How many servers the ensemble has; where that is not known, as many as the registry has members.
    pub size: Option<Number>,
    /// Any slot of the ensemble will do, or the one that the host's own data is of.
    pub is_claim: bool,
    /// How old a holder must be before it is replaced.
    pub grace: Duration,
    /// How long it must have been silent.
    pub silence: Duration,
    /// The host brought the data of the ensemble along.
    pub has_data: bool,
    /// No quorum is needed.
    pub force: bool,
}

/// What was seen of the members.
#[derive(Debug, Default)]
pub struct Seen {
    /// Each holder, over all looks of this call.
    pub watches: BTreeMap<IpAddr, Watch>,
    /// The members that serve as leader or follower.
    pub serving: BTreeSet<IpAddr>,
}

impl Seen {
    /// Adds one more look at a holder.
    pub fn watch(&mut self, ip: IpAddr, liveness: Liveness, at: Duration) {
        self.watches.insert(ip, Watch::after(self.watches.get(&ip).copied(), liveness, at));
    }
}

/// How long a holder has been without a sign of life. Times are those since the call began.
#[derive(Clone, Copy, Debug)]
pub struct Watch {
    liveness: Liveness,
    at: Duration,
    failed_since: Duration,
    silent_since: Duration,
}

impl Watch {
    fn after(old: Option<Self>, liveness: Liveness, at: Duration) -> Self {
        let mut watch = Self { liveness, at, failed_since: at, silent_since: at };
        let is_dead = |liveness| matches!(liveness, Liveness::Silent | Liveness::Refused);
        if let Some(old) =
            old.filter(|old| is_dead(old.liveness) && is_dead(liveness) && at.saturating_sub(old.at) <= GAP)
        {
            watch.failed_since = old.failed_since;
            if liveness == Liveness::Silent && old.liveness == Liveness::Silent {
                watch.silent_since = old.silent_since;
            }
        }
        watch
    }

    /// Why the holder may be alive.
    fn doubt(&self, silence: Duration) -> Option<String> {
        let (failed, silent) = (self.at.saturating_sub(self.failed_since), self.at.saturating_sub(self.silent_since));
        let thrice = silence.saturating_mul(3);
        match self.liveness {
            Liveness::Alive => Some("accepts connections".to_owned()),
            Liveness::Unknown => Some("could not be tried".to_owned()),
            Liveness::Silent if silent >= silence => None,
            _ if failed >= thrice => None,
            Liveness::Silent => Some(format!("is silent for {} s, of {}", silent.as_secs(), silence.as_secs())),
            Liveness::Refused => {
                Some(format!("refuses connections for {} s, of {}", failed.as_secs(), thrice.as_secs()))
            }
        }
    }
}

/// What the host may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// Take this slot: it is the host's own, or nobody's.
    Take(Number),
    /// Take this slot from its holder.
    Replace(Number),
    /// Nothing now, and why.
    Wait(Failure, String),
}

/// The choice, where it does not depend on how the members are: a slot of the host's own, or a free one.
#[must_use]
pub fn own_or_free(ask: &Ask, holders: &BTreeMap<Number, Holder>) -> Option<Choice> {
    if let (Some(number), false, true) = (ask.number, ask.is_claim, ask.force) {
        return Some(Choice::Take(number));
    }
    if let Some(other) = ask.other_slot(holders) {
        return Some(Choice::Wait(Failure::NoSlot, format!("this instance holds {}", ask.prefix.name(other))));
    }
    let find = |is: &dyn Fn(&Holder) -> bool| ask.find(holders, |holder| holder.is_some_and(is));
    let own = find(&|holder| ask.is_mine(holder)).or_else(|| find(&|holder| ask.may_be_me(holder)));
    // A free slot beside one with the same address would give that address two names.
    let is_left_here = || find(&|holder| holder.ip == ask.me.ip).is_some();
    let free = || ask.find(holders, |holder| holder.is_none());
    own.or_else(|| if is_left_here() { None } else { free() }).map(Choice::Take)
}

/// The choice where others hold all slots that would do; `now` is the store's time.
#[must_use]
pub fn held(ask: &Ask, holders: &BTreeMap<Number, Holder>, seen: &Seen, now: Timestamp) -> Choice {
    // Nobody else is where this host is now.
    if let Some(slot) = ask.find(holders, |holder| holder.is_some_and(|holder| holder.ip == ask.me.ip)) {
        return ask.replace(slot, holders, seen);
    }
    let latest = latest(holders);
    let mut doubts = Vec::new();
    for slot in ask.slots() {
        let Some(holder) = holders.get(&slot) else { continue };
        match ask.doubt(holder, &latest, seen, now) {
            None => return ask.replace(slot, holders, seen),
            Some(doubt) => doubts.push(format!("{} is {}, which {doubt}", ask.prefix.name(slot), holder.ip)),
        }
    }
    let failure = if ask.is_claim { Failure::NoSlot } else { Failure::HolderAlive };
    let unsaid = doubts.len().saturating_sub(DOUBTS);
    doubts.truncate(DOUBTS);
    let more = if unsaid > 0 { format!("; and {unsaid} more") } else { String::new() };
    Choice::Wait(failure, doubts.join("; ") + &more)
}

/// When each address was registered last.
fn latest(holders: &BTreeMap<Number, Holder>) -> BTreeMap<IpAddr, Timestamp> {
    let mut latest = BTreeMap::new();
    for holder in holders.values() {
        let Some(then) = holder.registered_at else { continue };
        let last = latest.entry(holder.ip).or_insert(then);
        *last = then.max(*last);
    }
    latest
}

impl Ask<'_> {
    /// The slots that will do.
    #[must_use]
    pub fn slots(&self) -> BTreeSet<Number> {
        match self.number {
            Some(number) => BTreeSet::from([number]),
            None => self.size.iter().flat_map(|size| size.up_to()).collect(),
        }
    }

    /// Whether the slot is one of the ensemble's; where its size is not known, each is.
    #[must_use]
    pub fn is_in_ensemble(&self, slot: Number) -> bool {
        self.size.is_none_or(|size| slot <= size)
    }

    /// The first slot that will do and whose holder, or lack of one, is as wanted.
    fn find(&self, holders: &BTreeMap<Number, Holder>, is: impl Fn(Option<&Holder>) -> bool) -> Option<Number> {
        self.slots().into_iter().find(|slot| is(holders.get(slot)))
    }

    fn is_mine(&self, holder: &Holder) -> bool {
        holder.instance_id.is_some() && holder.instance_id == self.me.instance_id
    }

    /// Whether it is at this address, and not known to be another instance.
    fn may_be_me(&self, holder: &Holder) -> bool {
        let is_another = self.me.instance_id.is_some() && holder.instance_id.is_some();
        holder.ip == self.me.ip && !is_another
    }

    /// Another slot of the ensemble that this instance holds, where it asks for one by number.
    fn other_slot(&self, holders: &BTreeMap<Number, Holder>) -> Option<Number> {
        let (number, size) = (self.number.filter(|_| self.is_claim)?, self.size?);
        let mine = holders.iter().filter(|(_, holder)| self.is_mine(holder)).map(|(slot, _)| *slot);
        let mut mine = mine.filter(|slot| *slot <= size).peekable();
        let first = *mine.peek()?;
        mine.all(|slot| slot != number).then_some(first)
    }

    /// Why the holder may be alive.
    fn doubt(
        &self,
        holder: &Holder,
        latest: &BTreeMap<IpAddr, Timestamp>,
        seen: &Seen,
        now: Timestamp,
    ) -> Option<String> {
        // Its address was recycled: whoever answers there is the later one.
        if holder.registered_at.is_some_and(|then| latest.get(&holder.ip).is_some_and(|last| *last > then)) {
            return None;
        }
        // A time that cannot be read, or that is yet to come, says nothing: it is old.
        let age = holder.registered_at.and_then(|then| Duration::try_from(now.duration_since(then)).ok());
        if let Some(age) = age.filter(|age| *age < self.grace) {
            return Some(format!("registered {} s ago, within the grace of {}", age.as_secs(), self.grace.as_secs()));
        }
        match seen.watches.get(&holder.ip) {
            Some(watch) => watch.doubt(self.silence),
            None => Some("was not tried".to_owned()),
        }
    }

    /// A majority of the ensemble must serve besides the member that is replaced: a majority of empty machines would throw
    /// away what the others know.
    fn replace(&self, slot: Number, holders: &BTreeMap<Number, Holder>, seen: &Seen) -> Choice {
        if self.force || self.has_data {
            return Choice::Replace(slot);
        }
        let size = self.size.map_or(holders.len(), |size| size.up_to().count());
        let others = holders.iter().filter(|(number, _)| **number != slot && self.is_in_ensemble(**number));
        let others: BTreeSet<IpAddr> = others.map(|(_, holder)| holder.ip).collect();
        let counts = |ip: &&IpAddr| seen.serving.contains(ip) && **ip != self.me.ip;
        let serving: Vec<String> = others.iter().filter(counts).map(IpAddr::to_string).collect();
        if serving.len() * 2 > size {
            return Choice::Replace(slot);
        }
        let name = self.prefix.name(slot);
        let cause = if size < 3 {
            format!(
                "an ensemble of {size} has no majority besides {name}, so that nothing tells whether its data is elsewhere"
            )
        } else {
            let (needed, found) = (size / 2 + 1, serving.len());
            let who = if serving.is_empty() { String::new() } else { format!(" ({})", serving.join(", ")) };
            format!(
                "to replace {name}, {needed} of the other members must answer srvr as leader or follower, and {found} do{who}"
            )
        };
        Choice::Wait(Failure::NoQuorum, cause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_a_few_holders() {
        let prefix = Prefix::parse("zoov").unwrap();
        let number = |n: u32| Number::parse(n.to_string().as_bytes()).unwrap();
        let text: Vec<_> = (1..=3000).map(|n| format!(r#""zoov{n}":"10.0.{}.{}""#, n / 250, n % 250)).collect();
        let text = format!(r#"{{"members":{{{}}}}}"#, text.join(","));
        let holders = crate::registry::Registry::parse(text.as_bytes(), &prefix, false).unwrap().holders(&prefix);
        let me = Member { ip: "10.9.9.9".parse().unwrap(), instance_id: None };
        let refusal = |size| {
            let (grace, silence) = (Duration::ZERO, Duration::ZERO);
            let (number, size, has_data, force) = (None, Some(number(size)), false, false);
            let ask = Ask { me: &me, prefix: &prefix, number, size, is_claim: true, grace, silence, has_data, force };
            match held(&ask, &holders, &Seen::default(), Timestamp::UNIX_EPOCH) {
                Choice::Wait(Failure::NoSlot, cause) => cause,
                other => panic!("{other:?}"),
            }
        };
        assert!(refusal(9).ends_with("; zoov9 is 10.0.0.9, which was not tried"), "{}", refusal(9));
        assert!(
            refusal(3000).ends_with("; zoov9 is 10.0.0.9, which was not tried; and 2991 more"),
            "{}",
            refusal(3000)
        );
    }

    #[test]
    fn a_sign_of_life_begins_the_silence_anew() {
        use Liveness::{Alive, Refused, Silent, Unknown};
        // Looks and their times in seconds; whether they are enough for a silence of 10 s.
        let table: [(&[(Liveness, u64)], bool); 11] = [
            (&[(Silent, 0), (Silent, 9)], false),
            (&[(Silent, 0), (Silent, 10)], true),
            (&[(Silent, 0), (Alive, 5), (Silent, 6), (Silent, 15)], false),
            (&[(Silent, 0), (Alive, 5), (Silent, 6), (Silent, 16)], true),
            (&[(Silent, 0), (Unknown, 5), (Silent, 6), (Silent, 15)], false),
            (&[(Silent, 0), (Silent, 31)], false),
            (&[(Refused, 0), (Refused, 15), (Refused, 29)], false),
            (&[(Refused, 0), (Refused, 15), (Refused, 30)], true),
            (&[(Refused, 0), (Silent, 5), (Silent, 14)], false),
            (&[(Refused, 0), (Silent, 5), (Silent, 15)], true),
            (&[(Silent, 0), (Silent, 20), (Refused, 25)], false),
        ];
        for (looks, expected) in table {
            let mut watch = None;
            for (liveness, at) in looks {
                watch = Some(Watch::after(watch, *liveness, Duration::from_secs(*at)));
            }
            assert_eq!(watch.unwrap().doubt(Duration::from_secs(10)).is_none(), expected, "{looks:?}");
        }
    }
}
