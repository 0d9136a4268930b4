//! One member changed. Keys that are not known stay, in their order, with the text of their values.

use std::collections::BTreeMap;
use std::net::IpAddr;

use anyhow::Result;
use jiff::Timestamp;
use serde_json::value::RawValue;

use super::object::Object;
use super::{MAX_BYTES, Registry};
use crate::failure::Failure;
use crate::hosts::{Number, Prefix};

/// What a host publishes of itself.
#[derive(Clone, Debug)]
pub struct Member {
    /// Its address.
    pub ip: IpAddr,
    /// The instance that it runs on, where that is known.
    pub instance_id: Option<String>,
}

/// Who has a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Its address.
    pub ip: IpAddr,
    /// The instance that it runs on, where that is told.
    pub instance_id: Option<String>,
    /// Since when, by the store's clock, where that is told and can be read.
    pub registered_at: Option<Timestamp>,
}

impl Holder {
    /// Whether it is this member already. An instance that is not known is not compared.
    #[must_use]
    pub fn is(&self, member: &Member) -> bool {
        self.ip == member.ip && (member.instance_id.is_none() || self.instance_id == member.instance_id)
    }
}

/// Keys, and the JSON text of their values.
type Pairs = Vec<(String, String)>;

/// The first registry of all, with one member.
#[must_use]
pub fn first(name: &str, member: &Member, now: Timestamp) -> Vec<u8> {
    let members = vec![(name.to_owned(), one_line(&published(Pairs::new(), member, now)))];
    let mut top = vec![("schema".to_owned(), "1".to_owned())];
    set(&mut top, "generation", "1".to_owned());
    set(&mut top, "updated_at", time(now));
    set(&mut top, "members", indented(&members, "  "));
    let mut text = indented(&top, "");
    text.push('\n');
    text.into_bytes()
}

impl Registry<'_> {
    /// The holders of the slots.
    #[must_use]
    pub fn holders(&self, prefix: &Prefix) -> BTreeMap<Number, Holder> {
        let holder = |(name, value): &(String, &RawValue)| {
            let number = prefix.number(name.as_bytes())?;
            let member: Option<Object> = serde_json::from_str(value.get()).ok();
            let text = |key| -> Option<String> { serde_json::from_str(member.as_ref()?.get(key)?.get()).ok() };
            let registered_at = text("registered_at").and_then(|time| time.parse().ok());
            Some((
                number,
                Holder { ip: *self.addresses.get(&number)?, instance_id: text("instance_id"), registered_at },
            ))
        };
        self.members.0.iter().filter_map(holder).collect()
    }

    /// When it was written last, where that is told and can be read.
    #[must_use]
    pub fn updated_at(&self) -> Option<Timestamp> {
        let text: String = serde_json::from_str(self.top.get("updated_at")?.get()).ok()?;
        text.parse().ok()
    }

    /// The registry in which the member is published under this number.
    ///
    /// # Errors
    /// Where no further generation, or no further byte, would be read by anybody.
    pub fn with_member(&self, prefix: &Prefix, number: Number, member: &Member, now: Timestamp) -> Result<Vec<u8>> {
        let mut members = pairs(&self.members);
        match members.iter_mut().find(|(name, _)| prefix.number(name.as_bytes()) == Some(number)) {
            Some((_, value)) => {
                let old = serde_json::from_str(value).map(|old: Object| pairs(&old)).unwrap_or_default();
                *value = one_line(&published(old, member, now));
            }
            None => members.push((prefix.name(number), one_line(&published(Pairs::new(), member, now)))),
        }
        self.with_members(&members, now)
    }

    /// The registry without the member of this number.
    ///
    /// # Errors
    /// As for [`Registry::with_member`].
    pub fn without_member(&self, prefix: &Prefix, number: Number, now: Timestamp) -> Result<Vec<u8>> {
        let mut members = pairs(&self.members);
        members.retain(|(name, _)| prefix.number(name.as_bytes()) != Some(number));
        self.with_members(&members, now)
    }

    fn with_members(&self, members: &Pairs, now: Timestamp) -> Result<Vec<u8>> {
        let generation = self.generation + 1;
        if generation == u64::MAX {
            return Err(Failure::Refused.because("$.generation: it is at its end"));
        }
        let mut top = pairs(&self.top);
        set(&mut top, "generation", generation.to_string());
        set(&mut top, "updated_at", time(now));
        set(&mut top, "members", indented(members, "  "));
        let mut text = indented(&top, "");
        text.push('\n');
        if text.len() > MAX_BYTES {
            return Err(Failure::Refused.because("$: with this change it would be larger than 1 MiB"));
        }
        Ok(text.into_bytes())
    }
}

/// A member's object: what it had, with the address, the instance and the time of now.
fn published(mut pairs: Pairs, member: &Member, now: Timestamp) -> Pairs {
    set(&mut pairs, "ip", quoted(&member.ip.to_string()));
    match &member.instance_id {
        Some(instance_id) => set(&mut pairs, "instance_id", quoted(instance_id)),
        // That of an earlier holder would be wrong.
        None => pairs.retain(|(key, _)| key != "instance_id"),
    }
    set(&mut pairs, "registered_at", time(now));
    pairs
}

fn pairs(object: &Object) -> Pairs {
    object.0.iter().map(|(key, value)| (key.clone(), value.get().to_owned())).collect()
}

fn set(pairs: &mut Pairs, key: &str, value: String) {
    match pairs.iter_mut().find(|(name, _)| name == key) {
        Some((_, old)) => *old = value,
        None => pairs.push((key.to_owned(), value)),
    }
}

fn time(now: Timestamp) -> String {
    // To the second, as S3 tells it.
    quoted(&format!("{now:.0}"))
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn one_line(pairs: &Pairs) -> String {
    format!("{{ {} }}", lines(pairs).join(", "))
}

fn indented(pairs: &Pairs, indent: &str) -> String {
    if pairs.is_empty() {
        return "{}".to_owned();
    }
    format!("{{\n{indent}  {}\n{indent}}}", lines(pairs).join(&format!(",\n{indent}  ")))
}

fn lines(pairs: &Pairs) -> Vec<String> {
    pairs.iter().map(|(key, value)| format!("{}: {value}", quoted(key))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "2026-11-22T03:31:00.123Z";

    fn prefix() -> Prefix {
        Prefix::parse("zoov").unwrap()
    }

    fn member(ip: &str, instance_id: Option<&str>) -> Member {
        Member { ip: ip.parse().unwrap(), instance_id: instance_id.map(str::to_owned) }
    }

    fn number(number: &str) -> Number {
        Number::parse(number.as_bytes()).unwrap()
    }

    fn with(text: &str, id: &str, member: &Member) -> String {
        let registry = Registry::parse_to_write(text.as_bytes(), &prefix(), false).unwrap();
        let bytes = registry.with_member(&prefix(), number(id), member, NOW.parse().unwrap()).unwrap();
        let written = Registry::parse(&bytes, &prefix(), false).unwrap();
        assert!(written.holders(&prefix())[&number(id)].is(member));
        assert_eq!(written.generation, registry.generation + 1);
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn the_first_registry() {
        let text = String::from_utf8(first("zoov2", &member("10.0.9.7", Some("i-1")), NOW.parse().unwrap())).unwrap();
        let expected = r#"{
  "schema": 1,
  "generation": 1,
  "updated_at": "2026-11-22T03:31:00Z",
  "members": {
    "zoov2": { "ip": "10.0.9.7", "instance_id": "i-1", "registered_at": "2026-11-22T03:31:00Z" }
  }
}
"#;
        assert_eq!(text, expected);
    }

    #[test]
    fn what_is_not_known_stays_as_it_was() {
        let old = r#"{"z":12345678901234567890123,"members":{"web":[1e400],"ZOOV2":{"rack":"b\u0031","ip":"10.0.0.2",
            "instance_id":"i-0","x":{"a":1.0}},"zoov1":"10.0.0.1"},"generation":41,"a":null}"#;
        let expected = r#"{
  "z": 12345678901234567890123,
  "members": {
    "web": [1e400],
    "ZOOV2": { "rack": "b\u0031", "ip": "10.0.9.7", "x": {"a":1.0}, "registered_at": "2026-11-22T03:31:00Z" },
    "zoov1": "10.0.0.1"
  },
  "generation": 42,
  "a": null,
  "updated_at": "2026-11-22T03:31:00Z"
}
"#;
        assert_eq!(with(old, "2", &member("10.0.9.7", None)), expected);
    }

    #[test]
    fn a_member_that_was_an_address_becomes_an_object() {
        let text = with(r#"{"members":{"zoov1":"10.0.0.1"}}"#, "1", &member("2001:db8::1", Some("i-\"7")));
        let line =
            r#""zoov1": { "ip": "2001:db8::1", "instance_id": "i-\"7", "registered_at": "2026-11-22T03:31:00Z" }"#;
        assert!(text.contains(line), "{text}");
    }

    #[test]
    fn who_is_published_already() {
        let text = br#"{"members":{"zoov1":"10.0.0.1","zoov2":{"ip":"10.0.0.2","instance_id":"i-2"}}}"#;
        let registry = Registry::parse(text, &prefix(), false).unwrap();
        let holders = registry.holders(&prefix());
        let has = |id, ip, instance| holders.get(&number(id)).is_some_and(|holder| holder.is(&member(ip, instance)));
        assert!(has("1", "10.0.0.1", None) && has("2", "10.0.0.2", None) && has("2", "10.0.0.2", Some("i-2")));
        assert!(!has("1", "10.0.0.2", None) && !has("3", "10.0.0.2", None));
        assert!(!has("1", "10.0.0.1", Some("i-1")) && !has("2", "10.0.0.2", Some("i-3")));
    }

    #[test]
    fn a_member_is_removed_in_any_case() {
        let text = br#"{"generation":3,"members":{"ZOOV1":"10.0.0.1","zoov10":"10.0.0.2","web":0}}"#;
        let registry = Registry::parse(text, &prefix(), false).unwrap();
        let bytes = registry.without_member(&prefix(), number("1"), NOW.parse().unwrap()).unwrap();
        let text = String::from_utf8(bytes).unwrap();
        assert!(
            !text.contains("ZOOV1") && text.contains("zoov10") && text.contains("\"web\": 0") && text.contains("4,")
        );
    }

    #[test]
    fn a_registry_of_just_a_mebibyte_is_written() {
        let written = |padding: usize| {
            let text = format!(r#"{{"x":"{}","members":{{"zoov1":"10.0.0.1"}}}}"#, "x".repeat(padding));
            let registry = Registry::parse(text.as_bytes(), &prefix(), false).unwrap();
            registry.with_member(&prefix(), number("1"), &member("10.0.0.1", None), NOW.parse().unwrap())
        };
        let most = MAX_BYTES - written(0).unwrap().len();
        assert_eq!(written(most).unwrap().len(), MAX_BYTES);
        assert!(written(most + 1).is_err());
    }

    #[test]
    fn nothing_is_written_that_would_not_be_read() {
        let last = format!(r#"{{"generation":{},"members":{{"zoov1":"10.0.0.1"}}}}"#, u64::MAX - 1);
        let large = format!(r#"{{"x":"{}","members":{{"zoov1":"10.0.0.1"}}}}"#, "x".repeat(MAX_BYTES - 50));
        for text in [last, large] {
            let registry = Registry::parse(text.as_bytes(), &prefix(), false).unwrap();
            assert!(
                registry.with_member(&prefix(), number("2"), &member("10.0.0.2", None), NOW.parse().unwrap()).is_err()
            );
        }
    }
}
