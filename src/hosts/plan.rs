//! What a pass does to a hosts file.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;
use std::ops::Range;

use super::entry::{Entry, entries};
use super::name::{Number, Prefix};

/// One thing that a pass changes, as it is printed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The owned name.
    pub name: String,
    /// What happens to it.
    pub what: What,
}

/// What happens to an owned name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// Its line has the second address now.
    Readdressed(IpAddr, IpAddr),
    /// It has a new line.
    Added(IpAddr),
    /// The registry does not have it, and `--prune` was given.
    Removed(IpAddr),
    /// Another line of it went whole.
    DuplicateRemoved(IpAddr),
    /// It was taken off a line of another address that stays, or off a loopback line.
    TakenOff(IpAddr),
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.name;
        match &self.what {
            What::Readdressed(from, to) => write!(f, "{name} {from} -> {to}"),
            What::Added(to) => write!(f, "{name} added {to}"),
            What::Removed(from) => write!(f, "{name} removed (was {from})"),
            What::DuplicateRemoved(from) => write!(f, "{name} duplicate removed ({from})"),
            What::TakenOff(from) => write!(f, "{name} taken off {from}"),
        }
    }
}

/// Whole lines of the old text, and the lines that take their place.
#[derive(Debug, PartialEq, Eq)]
pub struct Edit {
    /// Offsets into the old text; empty where lines are only added.
    pub at: Range<usize>,
    /// The new lines; empty where lines are only removed.
    pub with: Vec<u8>,
}

/// The decision of a pass.
#[derive(Debug, PartialEq, Eq)]
pub struct Plan {
    /// In the order of the text, without overlap. Empty where the file is in step.
    pub edits: Vec<Edit>,
    /// What the edits do, by number of the name. Empty exactly where `edits` is.
    pub changes: Vec<Change>,
    /// Owned names in the file that the registry does not have and that are left alone.
    pub kept: Vec<String>,
}

impl Plan {
    /// The new text.
    #[must_use]
    pub fn apply(&self, text: &[u8]) -> Vec<u8> {
        self.pieces(text).concat()
    }

    /// The new text, in the pieces of which it is made.
    #[must_use]
    pub fn pieces<'a>(&'a self, text: &'a [u8]) -> Vec<&'a [u8]> {
        let mut pieces = Vec::with_capacity(2 * self.edits.len() + 1);
        let mut from = 0;
        for edit in &self.edits {
            pieces.push(&text[from..edit.at.start]);
            pieces.push(&edit.with);
            from = edit.at.end;
        }
        pieces.push(&text[from..]);
        pieces
    }
}

/// Decides how `text` becomes a hosts file in which each name of `wanted` has exactly its address.
#[must_use]
pub fn plan(text: &[u8], prefix: &Prefix, wanted: &BTreeMap<Number, IpAddr>, prune: bool) -> Plan {
    let entries = entries(text, prefix);
    let survivors = survivors(&entries, wanted);

    let mut edits = Vec::new();
    let mut changes: Vec<(Number, What)> = Vec::new();
    let mut kept = BTreeSet::new();
    for (index, entry) in entries.iter().enumerate() {
        let lives = |number: &Number| match wanted.get(number) {
            Some(_) => survivors.get(number) == Some(&index),
            None => !prune,
        };
        let owned = || entry.names.iter().filter_map(|name| name.owned);
        let goes: BTreeSet<Number> = owned().filter(|number| !lives(number)).collect();
        let stays = entry.names.iter().any(|name| !name.is_in(&goes));
        let address = address_after(index, entry, &survivors, wanted);

        if let Some(number) = entry.first()
            && address != entry.address
        {
            changes.push((number, What::Readdressed(entry.address, address)));
        }
        for number in &goes {
            let what = if !wanted.contains_key(number) {
                What::Removed
            } else if !stays && !entry.is_loopback() && survivors.contains_key(number) {
                What::DuplicateRemoved
            } else {
                What::TakenOff
            };
            changes.push((*number, what(entry.address)));
        }
        if !stays {
            edits.push(Edit { at: entry.line.clone(), with: Vec::new() });
        } else if address != entry.address || !goes.is_empty() {
            edits.push(Edit { at: entry.line.clone(), with: rewritten(text, entry, address, &goes) });
        }
        kept.extend(owned().filter(|number| !prune && !wanted.contains_key(number)));
    }

    let missing = || wanted.iter().filter(|(number, _)| !survivors.contains_key(number));
    if missing().next().is_some() {
        let at = survivors.values().max().map_or(text.len(), |last| entries[*last].line.end);
        insert(text, &mut edits, at, missing().map(|(number, to)| format!("{to}\t{}", prefix.name(*number))));
        changes.extend(missing().map(|(number, to)| (*number, What::Added(*to))));
    }
    changes.sort_by_key(|(number, _)| *number);
    Plan {
        edits,
        changes: changes.into_iter().map(|(number, what)| Change { name: prefix.name(number), what }).collect(),
        kept: kept.into_iter().map(|number| prefix.name(number)).collect(),
    }
}

/// The addresses that the owned names have, each line's once.
#[must_use]
pub fn addresses(text: &[u8], prefix: &Prefix) -> BTreeMap<Number, Vec<IpAddr>> {
    let mut addresses: BTreeMap<Number, Vec<IpAddr>> = BTreeMap::new();
    for entry in entries(text, prefix) {
        let owned: BTreeSet<Number> = entry.names.iter().filter_map(|name| name.owned).collect();
        for number in owned {
            addresses.entry(number).or_default().push(entry.address);
        }
    }
    addresses
}

/// The entry that each wanted name keeps, by index; names without one get a new line.
fn survivors(entries: &[Entry], wanted: &BTreeMap<Number, IpAddr>) -> BTreeMap<Number, usize> {
    let mut by_first_name = BTreeMap::new();
    for (index, entry) in entries.iter().enumerate() {
        if let Some(number) = entry.first()
            && let Some(to) = wanted.get(&number)
            && (!entry.is_loopback() || entry.address == *to)
        {
            by_first_name.entry(number).or_insert(index);
        }
    }
    // An alias cannot move its line, so it survives only where the line's address is right once the first names have
    // moved theirs.
    let mut survivors = by_first_name.clone();
    for (index, entry) in entries.iter().enumerate() {
        let address = address_after(index, entry, &by_first_name, wanted);
        for number in entry.names.iter().filter_map(|name| name.owned) {
            if wanted.get(&number) == Some(&address) {
                survivors.entry(number).or_insert(index);
            }
        }
    }
    survivors
}

/// The address that an entry has after the pass: it moves with its first name, where that survives here.
fn address_after(
    index: usize,
    entry: &Entry,
    survivors: &BTreeMap<Number, usize>,
    wanted: &BTreeMap<Number, IpAddr>,
) -> IpAddr {
    match entry.first() {
        Some(number) if survivors.get(&number) == Some(&index) => wanted[&number],
        _ => entry.address,
    }
}

/// The line of `entry` with its address and without the names that go, each with the white space before it.
fn rewritten(text: &[u8], entry: &Entry, address: IpAddr, goes: &BTreeSet<Number>) -> Vec<u8> {
    let mut line = text[entry.line.start..entry.address_at.start].to_vec();
    if address == entry.address {
        line.extend_from_slice(&text[entry.address_at.clone()]);
    } else {
        line.extend_from_slice(address.to_string().as_bytes());
    }
    let mut from = entry.address_at.end;
    for name in &entry.names {
        if !name.is_in(goes) {
            line.extend_from_slice(&text[name.at.clone()]);
        }
        from = name.at.end;
    }
    line.extend_from_slice(&text[from..entry.line.end]);
    line
}

/// Adds new lines at the line boundary `at`, in the line ending of the line that stands before it after the other edits.
fn insert(text: &[u8], edits: &mut Vec<Edit>, at: usize, lines: impl Iterator<Item = String>) {
    let mut position = edits.partition_point(|edit| edit.at.end <= at);
    let mut before_end = at;
    for edit in edits[..position].iter().rev() {
        if edit.at.end != before_end || !edit.with.is_empty() {
            break;
        }
        before_end = edit.at.start;
    }
    let ending = line_ending(&text[..before_end]);
    let unfinished = before_end == at && at > 0 && text[at - 1] != b'\n';
    if unfinished {
        // The missing newline belongs to the line before, which may be one that is edited already.
        if position == 0 || edits[position - 1].at.end != at {
            let start = memchr::memrchr(b'\n', &text[..at]).map_or(0, |newline| newline + 1);
            edits.insert(position, Edit { at: start..at, with: text[start..at].to_vec() });
            position += 1;
        }
        edits[position - 1].with.extend_from_slice(ending);
    }
    let mut with = Vec::new();
    for line in lines {
        with.extend_from_slice(line.as_bytes());
        with.extend_from_slice(ending);
    }
    if unfinished {
        with.truncate(with.len() - ending.len());
    }
    edits.insert(position, Edit { at: at..at, with });
}

/// The ending of the last finished line.
fn line_ending(text: &[u8]) -> &'static [u8] {
    match memchr::memrchr(b'\n', text) {
        Some(newline) if text[..newline].ends_with(b"\r") => b"\r\n",
        _ => b"\n",
    }
}
