//! The registry's parser, and a change of one member there and back.
//!
//! The first byte chooses the member; up to the first NUL the text is its instance id, and what follows the registry.

#![no_main]

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;
use zk_hosts::hosts::{Number, Prefix};
use zk_hosts::registry::{Member, Registry, unusable};

const NOW: &str = "2026-11-22T03:31:00Z";

fuzz_target!(|data: &[u8]| {
    let Some((first, rest)) = data.split_first() else { return };
    let Some(end) = rest.iter().position(|byte| *byte == 0) else { return };
    let (id, text) = (&rest[..end], &rest[end + 1..]);
    let (prefix, loopback) = (Prefix::parse("zoov").unwrap(), first & 1 == 1);
    match Registry::parse_to_write(text, &prefix, loopback) {
        Ok(registry) => {
            says_what_stands_there(text, &registry, &prefix, loopback);
            let address = if first & 2 == 0 { "10.0.9.7" } else { "2001:db8::9" };
            let instance_id = (!id.is_empty()).then(|| String::from_utf8_lossy(id).into_owned());
            let member = Member { ip: address.parse().unwrap(), instance_id };
            let number = Number::parse([&b"1"[..], b"2", b"10", b"99999"][usize::from(first >> 2 & 3)]).unwrap();
            is_changed_in_one_member(text, &registry, &prefix, number, &member, loopback);
        }
        Err(error) => {
            let said = format!("{error:#}");
            assert!(said.starts_with('$') && said.len() < 2000 && !said.contains('\n'), "{said}");
        }
    }
});

/// Against another reader of JSON, where that can read the text at all.
fn says_what_stands_there(text: &[u8], registry: &Registry, prefix: &Prefix, loopback: bool) {
    assert!(registry.generation < u64::MAX);
    assert!(registry.addresses.values().all(|address| unusable(*address, loopback).is_none()));
    let Ok(value) = serde_json::from_slice::<Value>(text) else { return };
    let mut expected = BTreeMap::new();
    for (name, member) in value["members"].as_object().unwrap() {
        if let Some(number) = prefix.number(name.as_bytes()) {
            let ip = member.as_str().or_else(|| member["ip"].as_str()).unwrap();
            expected.insert(number, ip.parse::<IpAddr>().unwrap());
        }
    }
    assert_eq!(registry.addresses, expected);
    assert_eq!(registry.generation, value.get("generation").map_or(0, |generation| generation.as_u64().unwrap()));
    assert_eq!(value.get("schema").map_or(1, |schema| schema.as_u64().unwrap()), 1);
}

fn is_changed_in_one_member(
    text: &[u8],
    registry: &Registry,
    prefix: &Prefix,
    number: Number,
    member: &Member,
    loopback: bool,
) {
    let now: Timestamp = NOW.parse().unwrap();
    let Ok(with) = registry.with_member(prefix, number, member, now) else {
        assert!(registry.generation == u64::MAX - 1 || text.len() > 1 << 19);
        return;
    };
    let after = Registry::parse(&with, prefix, loopback).unwrap();
    let mut addresses = registry.addresses.clone();
    addresses.insert(number, member.ip);
    assert_eq!(after.addresses, addresses);
    assert_eq!((after.generation, after.updated_at()), (registry.generation + 1, Some(now)));
    let holders = after.holders(prefix);
    assert!(holders[&number].is(member) && holders[&number].registered_at == Some(now));
    assert_eq!(others(&with, prefix, number), others(text, prefix, number));

    let Ok(without) = after.without_member(prefix, number, now) else {
        assert_eq!(after.generation, u64::MAX - 1);
        return;
    };
    let back = Registry::parse_to_write(&without, prefix, loopback).unwrap();
    addresses.remove(&number);
    assert_eq!((back.addresses, back.generation), (addresses, registry.generation + 2));
    let of_it = |(place, ..): &(Place, String, String)| *place != Place::Member;
    let kept = |text| others(text, prefix, number).into_iter().filter(of_it).collect::<Vec<_>>();
    assert_eq!(kept(&without), kept(text));
}

#[derive(Debug, PartialEq)]
enum Place {
    Top,
    Members,
    Member,
}

/// All that a change of this member must leave alone: keys and the text of their values, in their order.
fn others(text: &[u8], prefix: &Prefix, number: Number) -> Vec<(Place, String, String)> {
    let top: Pairs = serde_json::from_slice(text).unwrap();
    let mut all = Vec::new();
    for (key, value) in &top.0 {
        match key.as_str() {
            "generation" | "updated_at" => {}
            "members" => {
                let members: Pairs = serde_json::from_str(value.get()).unwrap();
                for (name, value) in members.0 {
                    if prefix.number(name.as_bytes()) == Some(number) {
                        let own = serde_json::from_str::<Pairs>(value.get()).map(|pairs| pairs.0).unwrap_or_default();
                        let own = own
                            .into_iter()
                            .filter(|(key, _)| !["ip", "instance_id", "registered_at"].contains(&key.as_str()));
                        all.extend(own.map(|(key, value)| (Place::Member, key, value.get().to_owned())));
                    } else {
                        all.push((Place::Members, name, value.get().to_owned()));
                    }
                }
            }
            _ => all.push((Place::Top, key.clone(), value.get().to_owned())),
        }
    }
    all
}

/// An object's keys and values, each as it stands there.
struct Pairs(Vec<(String, Box<RawValue>)>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Each;
        impl<'de> Visitor<'de> for Each {
            type Value = Pairs;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(Each)
    }
}
