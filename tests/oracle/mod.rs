//! What glibc's `nss_files` makes of a hosts file, and what a pass may change about that. Naive on purpose, and without
//! a line of the code under test; `tests/judge.rs` holds it against the C library itself.

#![allow(dead_code, reason = "each test target uses a part of it")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

/// Which addresses a look-up asks for: `AF_INET`, `AF_INET6`, `AF_UNSPEC`.
#[derive(Clone, Copy, Debug)]
pub enum Family {
    V4,
    V6,
    Any,
}

pub const FAMILIES: [Family; 3] = [Family::V4, Family::V6, Family::Any];

/// The owned names of a registry, in lower case, and their addresses.
pub type Registry = BTreeMap<String, IpAddr>;

/// What a pass is given.
#[derive(Clone)]
pub struct Input {
    pub text: Vec<u8>,
    pub registry: Registry,
    pub prune: bool,
}

impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = self.text.split_inclusive(|byte| *byte == b'\n').map(|line| line.escape_ascii().to_string());
        f.debug_list().entries(lines).finish()?;
        write!(f, " {:?} prune {}", self.registry, self.prune)
    }
}

/// A line that the C library reads, cut into its parts.
pub struct Line<'a> {
    pub address: IpAddr,
    /// The address, then the names: the white space before each, and the word.
    pub fields: Vec<(&'a [u8], &'a [u8])>,
    /// What is behind the last field: white space, a comment, the line ending.
    pub rest: &'a [u8],
}

impl<'a> Line<'a> {
    pub fn read(line: &'a [u8]) -> Option<Self> {
        let is_space = |byte: &u8| b" \t\r\x0b\x0c".contains(byte);
        let ends = |byte: &u8| b"#\0\n".contains(byte);
        let mut fields = Vec::new();
        let mut rest = line;
        loop {
            let (space, after) = rest.split_at(rest.iter().take_while(|byte| is_space(byte)).count());
            let (word, after) = after.split_at(after.iter().take_while(|byte| !is_space(byte) && !ends(byte)).count());
            if word.is_empty() {
                break;
            }
            fields.push((space, word));
            rest = after;
        }
        let address = str::from_utf8(fields.first()?.1).ok()?.parse().ok()?;
        Some(Self { address, fields, rest })
    }

    pub fn names(&self) -> Vec<Vec<u8>> {
        self.fields[1..].iter().map(|(_, name)| name.to_ascii_lowercase()).collect()
    }

    pub fn has_owned_name(&self) -> bool {
        self.names().iter().any(|name| is_owned(name))
    }
}

/// Whether a name is `zoov` and one of 1 to 99999.
pub fn is_owned(name: &[u8]) -> bool {
    let text = String::from_utf8_lossy(name).to_ascii_lowercase();
    let number = text.strip_prefix("zoov").and_then(|digits| digits.parse::<u32>().ok());
    number.is_some_and(|number| (1..=99_999).contains(&number) && text == format!("zoov{number}"))
}

/// The text cut after each newline.
pub fn lines(text: &[u8]) -> Vec<&[u8]> {
    text.split_inclusive(|byte| *byte == b'\n').collect()
}

/// A hosts file as look-ups see it: an address and the names in lower case, line by line.
pub struct Hosts(Vec<(IpAddr, Vec<Vec<u8>>)>);

impl Hosts {
    pub fn read(text: &[u8]) -> Self {
        let entries = lines(text).into_iter().filter_map(Line::read);
        Self(entries.map(|line| (line.address, line.names())).collect())
    }

    /// All names, in lower case.
    pub fn names(&self) -> BTreeSet<Vec<u8>> {
        self.0.iter().flat_map(|(_, names)| names.clone()).collect()
    }

    /// The number of lines that have a name.
    pub fn lines_with(&self, name: &[u8]) -> usize {
        self.0.iter().filter(|(_, names)| names.contains(&name.to_ascii_lowercase())).count()
    }

    /// The addresses of all lines that have the name, sorted.
    pub fn resolve(&self, name: &[u8], family: Family) -> Vec<IpAddr> {
        let name = name.to_ascii_lowercase();
        let lines = self.0.iter().filter(|(_, names)| names.contains(&name));
        let mut addresses: Vec<_> = lines.filter_map(|(address, _)| answer(*address, family)).collect();
        addresses.sort();
        addresses
    }

    /// What the file must look like to look-ups after a pass: lines move with a first name that survives on them; the
    /// names of the registry are on one line of their own; with `prune` the other owned names are nowhere.
    pub fn predicted(&self, registry: &Registry, prune: bool) -> Self {
        let wanted = |name: &[u8]| registry.get(str::from_utf8(name).ok()?).copied();
        let mut moved = BTreeSet::new();
        let mut lines: Vec<_> = registry.iter().map(|(name, to)| (*to, vec![name.clone().into_bytes()])).collect();
        for (address, names) in &self.0 {
            let mut address = *address;
            if let Some(first) = names.first()
                && let Some(to) = wanted(first)
                && (!is_loopback(address) || address == to)
                && moved.insert(first)
            {
                address = to;
            }
            let goes = |name: &Vec<u8>| wanted(name).is_some() || prune && is_owned(name);
            lines.push((address, names.iter().filter(|name| !goes(name)).cloned().collect()));
        }
        Self(lines)
    }
}

/// What a line with this address answers: a mapped one is asked as IPv4 too, and so is `::1`, as 127.0.0.1.
fn answer(address: IpAddr, family: Family) -> Option<IpAddr> {
    match (family, address) {
        (Family::Any, _) | (Family::V4, IpAddr::V4(_)) | (Family::V6, IpAddr::V6(_)) => Some(address),
        (Family::V6, IpAddr::V4(_)) => None,
        (Family::V4, IpAddr::V6(v6)) if v6.is_loopback() => Some(Ipv4Addr::LOCALHOST.into()),
        (Family::V4, IpAddr::V6(v6)) => v6.to_ipv4_mapped().map(IpAddr::V4),
    }
}

fn is_loopback(address: IpAddr) -> bool {
    answer(address, Family::V4).is_some_and(|v4| v4.is_loopback())
}
