//! PURE: the registry's bytes in; the addresses of its owned members out, or the one fault for which it is refused whole;
//! and the registry with one member changed.

mod object;
mod update;

use std::collections::BTreeMap;
use std::net::IpAddr;

use anyhow::{Context, Error, Result, bail, ensure};
use serde_json::value::RawValue;

use crate::failure::Failure;
use crate::hosts::{Number, Prefix};

use object::Object;

/// How many shared addresses are named: a broken registry may have tens of thousands, at each pass.
const SHARED: usize = 5;
pub use update::{Holder, Member, first};

/// The largest registry that is read, in bytes.
pub const MAX_BYTES: usize = 1 << 20;

/// A registry that was read and found valid.
#[derive(Debug)]
pub struct Registry<'a> {
    /// How many writes it has seen.
    pub generation: u64,
    /// The address of each owned member.
    pub addresses: BTreeMap<Number, IpAddr>,
    top: Object<'a>,
    members: Object<'a>,
}

impl<'a> Registry<'a> {
    /// Reads and validates a registry that must have an owned member. Members whose name is not owned are ignored, whatever
    /// they hold.
    ///
    /// # Errors
    /// The JSON path of the first fault, and what is wrong there.
    pub fn parse(bytes: &'a [u8], prefix: &Prefix, allow_loopback: bool) -> Result<Self> {
        let registry = Self::parse_to_write(bytes, prefix, allow_loopback)?;
        if registry.addresses.is_empty() {
            let fault =
                format!("$.members: no member is named {prefix} and a number: the --prefix or the key is wrong");
            return Err(Failure::Refused.because(fault));
        }
        Ok(registry)
    }

    /// Reads and validates a registry that may have no owned member yet.
    ///
    /// # Errors
    /// As for [`Registry::parse`].
    pub fn parse_to_write(bytes: &'a [u8], prefix: &Prefix, allow_loopback: bool) -> Result<Self> {
        Self::validated(bytes, prefix, allow_loopback).map_err(|fault| refused(&fault))
    }

    fn validated(bytes: &'a [u8], prefix: &Prefix, allow_loopback: bool) -> Result<Self> {
        ensure!(bytes.len() <= MAX_BYTES, "$: larger than 1 MiB");
        ensure!(!bytes.starts_with(b"\xef\xbb\xbf"), "$: it begins with a byte order mark");
        let top: Object = serde_json::from_slice(bytes).map_err(without_content).context("$: not a JSON object")?;
        top.refuse_duplicates("$")?;

        if let Some(schema) = top.get("schema") {
            ensure!(schema.get() == "1", "$.schema: {}; this version reads schema 1", shown(schema.get()));
        }
        let generation = match top.get("generation") {
            Some(raw) => raw.get().parse().ok().filter(|generation| *generation < u64::MAX),
            None => Some(0),
        };
        let generation = generation.context("$.generation: not a number from 0 to 2^64 - 2")?;

        let members = top.get("members").context("$.members: missing")?;
        let members: Object = serde_json::from_str(members.get()).ok().context("$.members: not an object")?;
        members.refuse_duplicates("$.members")?;

        let mut addresses = BTreeMap::new();
        for (name, value) in &members.0 {
            if let Some(number) = prefix.number(name.as_bytes()) {
                let address = member_address(value, &format!("$.members.{name}"), allow_loopback)?;
                let first = addresses.insert(number, address).is_none();
                ensure!(first, "$.members.{name}: this name stands twice, in another case");
            }
        }
        Ok(Self { generation, addresses, top, members })
    }

    /// What is to be said of the addresses that several names have: some lines, however many there are.
    #[must_use]
    pub fn shared_addresses(&self, prefix: &Prefix) -> Vec<String> {
        // By address, the first name that has it, the second, and how many there are.
        let mut names: BTreeMap<IpAddr, (Number, Number, usize)> = BTreeMap::new();
        for (number, address) in &self.addresses {
            let (_, second, count) = names.entry(*address).or_insert((*number, *number, 0));
            *count += 1;
            if *count == 2 {
                *second = *number;
            }
        }
        let mut shared = names.iter().filter(|(_, (.., count))| *count > 1);
        let said = |(address, (first, second, count)): (&IpAddr, &(Number, Number, usize))| {
            let (first, second) = (prefix.name(*first), prefix.name(*second));
            match count {
                2 => format!("{first} and {second} have one address, {address}"),
                count => format!("{first}, {second} and {} more have one address, {address}", count - 2),
            }
        };
        let mut lines: Vec<String> = shared.by_ref().take(SHARED).map(said).collect();
        match shared.count() {
            0 => {}
            more => lines.push(format!("{more} more addresses are shared")),
        }
        lines
    }
}

fn refused(fault: &Error) -> Error {
    Failure::Refused.because(format!("{fault:#}"))
}

fn member_address(value: &RawValue, path: &str, allow_loopback: bool) -> Result<IpAddr> {
    let text = value.get();
    if text.starts_with('"') {
        return address(text, path, allow_loopback);
    }
    let member: Option<Object> = serde_json::from_str(text).ok();
    let member = member.with_context(|| format!("{path}: neither an address nor an object with ip"))?;
    member.refuse_duplicates(path)?;
    let ip = member.get("ip").with_context(|| format!("{path}.ip: missing"))?;
    address(ip.get(), &format!("{path}.ip"), allow_loopback)
}

fn address(json: &str, path: &str, allow_loopback: bool) -> Result<IpAddr> {
    let text: String =
        serde_json::from_str(json).with_context(|| format!("{path}: {} is not a string", shown(json)))?;
    let address: IpAddr = text.parse().with_context(|| format!("{path}: {}", shown(&text)))?;
    match unusable(address, allow_loopback) {
        Some(kind) => bail!("{path}: {address} is {kind}"),
        None => Ok(address),
    }
}

/// Why no other host could reach a member at this address.
#[must_use]
pub fn unusable(address: IpAddr, allow_loopback: bool) -> Option<&'static str> {
    let link_local = match address {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    };
    match address {
        IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some() => Some("an IPv4-mapped address"),
        IpAddr::V4(v4) if v4.is_broadcast() => Some("the broadcast address"),
        _ if address.is_unspecified() => Some("the unspecified address"),
        _ if address.is_loopback() && !allow_loopback => Some("a loopback address"),
        _ if address.is_multicast() => Some("a multicast address"),
        _ if link_local => Some("a link-local address"),
        _ => None,
    }
}

/// Where the JSON is broken. Of a wrong type the parser's message would repeat the whole value.
fn without_content(error: serde_json::Error) -> Error {
    if error.is_data() { Error::msg("it is of another type") } else { error.into() }
}

/// Text of the registry as it may stand in a message: short, without control characters.
fn shown(text: &str) -> String {
    let start: String = text.chars().take(60).collect();
    start.escape_debug().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Registry<'_>> {
        Registry::parse(text.as_bytes(), &Prefix::parse("zoov").unwrap(), false)
    }

    fn addresses(text: &str) -> String {
        let registry = parse(text).unwrap();
        registry.addresses.iter().map(|(number, address)| format!("{number}={address}")).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn what_is_taken() {
        let table = [
            (r#"{"members":{"zoov1":"10.0.0.1"}}"#, "1=10.0.0.1"),
            (
                r#"{"members":{"zoov2":{"ip":"2001:db8::2","x":[1e400]},"zoov1":"10.0.0.1"}}"#,
                "1=10.0.0.1 2=2001:db8::2",
            ),
            (r#"{"schema":1,"generation":18446744073709551614,"members":{"ZOOV3":"10.0.0.3"}}"#, "3=10.0.0.3"),
            (
                r#"{"schema": 1 , "members":{"zoov1":"10.0.0.1","zoov01":7,"web":{"a":1,"a":2},"zoov0":null}}"#,
                "1=10.0.0.1",
            ),
            (r#"{"members":{"zoov\u0031":"10.0.0.1"},"later":{"deep":[[[{}]]]}}"#, "1=10.0.0.1"),
            (r#"{"members":{"zoov1":"10.0.0.1","zoov2":"10.0.0.1"}}"#, "1=10.0.0.1 2=10.0.0.1"),
            (r#"{"members":{"zoov99999":"240.0.0.1"}}"#, "99999=240.0.0.1"),
        ];
        for (text, expected) in table {
            assert_eq!(addresses(text), expected, "{text}");
        }
        assert_eq!(parse(r#"{"members":{"zoov1":"10.0.0.1"}}"#).unwrap().generation, 0);
        assert_eq!(parse(r#"{"generation":42,"members":{"zoov1":"10.0.0.1"}}"#).unwrap().generation, 42);
    }

    #[test]
    fn what_is_refused_and_where() {
        let table = [
            ("", "$: not a JSON object"),
            ("[]", "$: not a JSON object"),
            ("{", "$: not a JSON object"),
            (r#"{"members":{"zoov1":"10.0.0.1"}} x"#, "$: not a JSON object"),
            ("\u{feff}{}", "$: it begins with a byte order mark"),
            ("{}", "$.members: missing"),
            (r#"{"members":[]}"#, "$.members: not an object"),
            (r#"{"members":null}"#, "$.members: not an object"),
            (r#"{"members":{}}"#, "$.members: no member is named zoov"),
            (r#"{"members":{"web1":"10.0.0.1"}}"#, "$.members: no member is named zoov"),
            (r#"{"schema":2,"members":{"zoov1":"10.0.0.1"}}"#, "$.schema: 2"),
            (r#"{"schema":null,"members":{"zoov1":"10.0.0.1"}}"#, "$.schema: null"),
            (r#"{"schema":"1","members":{"zoov1":"10.0.0.1"}}"#, "$.schema: "),
            (r#"{"generation":-1,"members":{"zoov1":"10.0.0.1"}}"#, "$.generation: "),
            (r#"{"generation":1.5,"members":{"zoov1":"10.0.0.1"}}"#, "$.generation: "),
            (r#"{"generation":"7","members":{"zoov1":"10.0.0.1"}}"#, "$.generation: "),
            (r#"{"generation":null,"members":{"zoov1":"10.0.0.1"}}"#, "$.generation: "),
            (r#"{"generation":18446744073709551615,"members":{"zoov1":"10.0.0.1"}}"#, "$.generation: "),
            (r#"{"members":{"zoov1":"10.0.0.1"},"x":1,"x":2}"#, "$: the key x stands twice"),
            (r#"{"members":{"zoov1":"10.0.0.1"},"members":{}}"#, "$: the key members stands twice"),
            (r#"{"members":{"zoov1":"10.0.0.1","zoov1":"10.0.0.1"}}"#, "$.members: the key zoov1 stands twice"),
            (r#"{"members":{"zoov1":"10.0.0.1","w":1,"w":1}}"#, "$.members: the key w stands twice"),
            (r#"{"members":{"zoov1":"10.0.0.1","ZOOV1":"10.0.0.1"}}"#, "$.members.ZOOV1: this name stands twice"),
            (r#"{"members":{"zoov1":{"ip":"10.0.0.1","ip":"10.0.0.2"}}}"#, "$.members.zoov1: the key ip stands twice"),
            (r#"{"members":{"zoov1":{}}}"#, "$.members.zoov1.ip: missing"),
            (r#"{"members":{"zoov1":{"ip":7}}}"#, "$.members.zoov1.ip: 7 is not a string"),
            (r#"{"members":{"zoov1":null}}"#, "$.members.zoov1: neither"),
            (r#"{"members":{"zoov1":["10.0.0.1"]}}"#, "$.members.zoov1: neither"),
            (r#"{"members":{"zoov1":167772161}}"#, "$.members.zoov1: neither"),
            (r#"{"members":{"zoov1":""}}"#, "$.members.zoov1: "),
            (r#"{"members":{"zoov1":"10.0.0"}}"#, "$.members.zoov1: 10.0.0"),
            (r#"{"members":{"zoov1":"10.0.0.01"}}"#, "$.members.zoov1: 10.0.0.01"),
            (r#"{"members":{"zoov1":" 10.0.0.1"}}"#, "$.members.zoov1:  10.0.0.1"),
            (r#"{"members":{"zoov1":"10.0.0.1\n6.6.6.6 bank"}}"#, "$.members.zoov1: 10.0.0.1\\n6.6.6.6 bank"),
            (r#"{"members":{"zoov1":"zoo.internal"}}"#, "$.members.zoov1: zoo.internal"),
            (r#"{"members":{"zoov1":"fe80::1%eth0"}}"#, "$.members.zoov1: fe80::1%eth0"),
            (r#"{"members":{"zoov1":"0.0.0.0"}}"#, "0.0.0.0 is the unspecified address"),
            (r#"{"members":{"zoov1":"::"}}"#, ":: is the unspecified address"),
            (r#"{"members":{"zoov1":"127.0.0.1"}}"#, "127.0.0.1 is a loopback address"),
            (r#"{"members":{"zoov1":"::1"}}"#, "::1 is a loopback address"),
            (r#"{"members":{"zoov1":"224.0.0.1"}}"#, "224.0.0.1 is a multicast address"),
            (r#"{"members":{"zoov1":"ff02::1"}}"#, "ff02::1 is a multicast address"),
            (r#"{"members":{"zoov1":"255.255.255.255"}}"#, "255.255.255.255 is the broadcast address"),
            (r#"{"members":{"zoov1":"169.254.1.1"}}"#, "169.254.1.1 is a link-local address"),
            (r#"{"members":{"zoov1":"fe80::1"}}"#, "fe80::1 is a link-local address"),
            (r#"{"members":{"zoov1":"::ffff:10.0.0.1"}}"#, "::ffff:10.0.0.1 is an IPv4-mapped address"),
        ];
        for (text, expected) in table {
            let error = format!("{:#}", parse(text).expect_err(text));
            assert!(error.contains(expected), "{text}\n{error}");
            assert!(!error.contains('\n'), "{error}");
        }
    }

    #[test]
    fn one_mebibyte_is_read_and_a_byte_more_is_not() {
        let mut text = r#"{"members":{"zoov1":"10.0.0.1"}}"#.to_owned();
        text.push_str(&" ".repeat(MAX_BYTES - text.len()));
        assert!(parse(&text).is_ok());
        text.push(' ');
        assert!(format!("{:#}", parse(&text).unwrap_err()).contains("larger than 1 MiB"));
    }

    #[test]
    fn loopback_is_taken_where_it_is_allowed() {
        let text = br#"{"members":{"zoov1":"127.0.0.1","zoov2":"::1"}}"#;
        assert!(Registry::parse(text, &Prefix::parse("zoov").unwrap(), true).is_ok());
        let mapped = br#"{"members":{"zoov1":"::ffff:127.0.0.1"}}"#;
        assert!(Registry::parse(mapped, &Prefix::parse("zoov").unwrap(), true).is_err());
    }

    #[test]
    fn shared_addresses_are_named() {
        let shared = |members: usize, addresses: usize| {
            let member = |n| format!(r#""zoov{n}":"10.0.0.{}""#, (n - 1) % addresses);
            let text = format!(r#"{{"members":{{{}}}}}"#, (1..=members).map(member).collect::<Vec<_>>().join(","));
            parse(&text).unwrap().shared_addresses(&Prefix::parse("zoov").unwrap())
        };
        assert_eq!(shared(3, 3), Vec::<String>::new());
        assert_eq!(shared(4, 3), ["zoov1 and zoov4 have one address, 10.0.0.0"]);
        assert_eq!(
            shared(4, 2),
            ["zoov1 and zoov3 have one address, 10.0.0.0", "zoov2 and zoov4 have one address, 10.0.0.1"]
        );
        assert_eq!(shared(40_000, 1), ["zoov1, zoov2 and 39998 more have one address, 10.0.0.0"]);
        let many = shared(400, 200);
        assert_eq!((many.len(), many[5].as_str()), (6, "195 more addresses are shared"));
        assert_eq!(shared(10, 5).len(), 5);
    }

    #[test]
    fn an_object_that_is_no_registry_is_not_repeated() {
        let long = format!("\"{}\"", "s3cr3t".repeat(1000));
        for text in [
            long.clone(),
            format!("{{\"members\":{long}}}"),
            format!("{{\"members\":{{\"zoov1\":{{\"ip\":[{long}]}}}}}}"),
        ] {
            let error = format!("{:#}", parse(&text).unwrap_err());
            assert!(error.len() < 300, "{error}");
        }
        assert!(!format!("{:#}", parse(&long).unwrap_err()).contains("s3cr3t"));
    }

    #[test]
    fn deep_nesting_neither_hurts_nor_matters() {
        let deep = "[".repeat(200_000) + &"]".repeat(200_000);
        assert_eq!(addresses(&format!(r#"{{"members":{{"zoov1":"10.0.0.1"}},"x":{deep}}}"#)), "1=10.0.0.1");
    }
}
