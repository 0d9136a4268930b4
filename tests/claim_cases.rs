//! The choice of a slot, by the table in `claim.cases`, which says how to read it.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use zk_hosts::claim::{self, Ask, Choice, Liveness, Seen};
use zk_hosts::hosts::{Number, Prefix};
use zk_hosts::registry::{Holder, Member};

/// The store's time in all cases.
const NOW: &str = "2026-11-22T03:31:00Z";

fn seconds(text: &str) -> u64 {
    let (number, unit) = text.split_at(text.len() - 1);
    number.parse::<u64>().unwrap() * if unit == "m" { 60 } else { 1 }
}

fn number(text: &str) -> Number {
    Number::parse(text.as_bytes()).unwrap()
}

fn holder(text: &str) -> (Number, Holder) {
    let (slot, rest) = text.split_once(':').unwrap();
    let (mut parts, now) = (rest.split(','), NOW.parse::<Timestamp>().unwrap());
    let mut holder = Holder { ip: parts.next().unwrap().parse().unwrap(), instance_id: None, registered_at: None };
    for part in parts {
        match part.strip_prefix('-') {
            _ if part.starts_with("i-") => holder.instance_id = Some(part.to_owned()),
            Some(ahead) => holder.registered_at = Some(now + Duration::from_secs(seconds(ahead))),
            None => holder.registered_at = Some(now - Duration::from_secs(seconds(part))),
        }
    }
    (number(slot), holder)
}

fn seen(text: &str, holders: &BTreeMap<Number, Holder>) -> Seen {
    let mut seen = Seen::default();
    for word in text.split_whitespace() {
        let (slot, what) = word.split_once('=').unwrap();
        let ip = holders[&number(slot)].ip;
        let (what, lasted) = what.split_once(':').unwrap_or((what, "0s"));
        let liveness = match what {
            "alive" => Liveness::Alive,
            "silent" => Liveness::Silent,
            "refused" => Liveness::Refused,
            "unknown" => Liveness::Unknown,
            "serves" => {
                seen.serving.insert(ip);
                continue;
            }
            other => panic!("{other}"),
        };
        for at in 0..=seconds(lasted) {
            seen.watch(ip, liveness, Duration::from_secs(at));
        }
    }
    seen
}

fn chosen(asked: &str, members: &str, looks: &str) -> String {
    let words: Vec<&str> = asked.split(' ').collect();
    let instance_id = words.iter().find(|word| word.starts_with("i-")).map(|id| (*id).to_owned());
    let me = Member { ip: words[0].parse().unwrap(), instance_id };
    let option = |name: &str| words.iter().find_map(|word| word.strip_prefix(name)).map(number);
    let of_a_claim = |length| Duration::from_secs(if option("size=").is_some() { length } else { 0 });
    let ask = Ask {
        me: &me,
        prefix: &Prefix::parse("zoov").unwrap(),
        number: option("number="),
        size: option("size=").or(option("of=")),
        is_claim: option("size=").is_some(),
        grace: of_a_claim(600),
        silence: of_a_claim(60),
        has_data: words.contains(&"data"),
        force: words.contains(&"force"),
    };
    let holders: BTreeMap<Number, Holder> = members.split_whitespace().map(holder).collect();
    let choice = match claim::own_or_free(&ask, &holders) {
        Some(choice) => choice,
        None if looks.is_empty() => return "look".to_owned(),
        None => claim::held(&ask, &holders, &seen(looks, &holders), NOW.parse().unwrap()),
    };
    match choice {
        Choice::Take(slot) => format!("take {slot}"),
        Choice::Replace(slot) => format!("replace {slot}"),
        Choice::Wait(failure, cause) => format!("{failure:?}: {cause}"),
    }
}

#[test]
fn who_may_take_which_place() {
    let (mut named, mut count) = (BTreeMap::new(), 0);
    for line in include_str!("claim.cases").lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let columns: Vec<&str> = line.split('|').map(str::trim).collect();
        let [asked, members, looks, expected] = columns[..] else {
            let (name, members) = line.split_once(" = ").unwrap_or_else(|| panic!("{line}"));
            named.insert(name, members);
            continue;
        };
        let chosen = chosen(asked, named.get(members).unwrap_or(&members), looks);
        let is_choice = ["take ", "replace ", "look"].iter().any(|choice| expected.starts_with(choice));
        let agrees = if is_choice { chosen == expected } else { chosen.contains(expected) };
        assert!(agrees && !expected.is_empty(), "{line}\nfound: {chosen}");
        count += 1;
    }
    assert_eq!(count, 69);
}
