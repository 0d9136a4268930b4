//! The lines of a hosts file that the C library reads as an address and its names.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::ops::Range;

use super::name::{Number, Prefix};

/// A line with an address and at least one owned name. All ranges are offsets into the whole text.
pub struct Entry {
    /// The line with its ending.
    pub line: Range<usize>,
    pub address: IpAddr,
    pub address_at: Range<usize>,
    /// All names of the line, first name first.
    pub names: Vec<Name>,
}

/// A name of an entry.
pub struct Name {
    /// The name and the white space before it.
    pub at: Range<usize>,
    /// Its number, where the name is an owned one.
    pub owned: Option<Number>,
}

impl Entry {
    /// Reads a line as glibc's `nss_files` does: `#` and NUL end it, fields are parted by white space (a carriage return
    /// is white space), the first field must be an address without a zone, leading zeros or missing parts.
    /// None where the line is no entry or has no owned name.
    fn parse(text: &[u8], line: Range<usize>, prefix: &Prefix) -> Option<Self> {
        let content = &text[line.clone()];
        let end = content.iter().position(|byte| matches!(byte, b'#' | b'\0' | b'\n')).unwrap_or(content.len());
        let mut fields = Fields { text: &text[..line.start + end], from: line.start };

        let address_at = fields.next()?;
        let address = str::from_utf8(&text[address_at.clone()]).ok()?.parse().ok()?;
        let mut before = address_at.end;
        let names: Vec<Name> = fields
            .map(|field| {
                let name = Name { owned: prefix.number(&text[field.clone()]), at: before..field.end };
                before = field.end;
                name
            })
            .collect();
        names.iter().any(|name| name.owned.is_some()).then_some(Self { line, address, address_at, names })
    }

    /// Whether the address is of this machine alone.
    pub fn is_loopback(&self) -> bool {
        is_loopback(self.address)
    }

    /// The number of the first name, where that is an owned name.
    pub fn first(&self) -> Option<Number> {
        self.names.first().and_then(|name| name.owned)
    }
}

/// Whether an address is of this machine alone, an IPv4-mapped one included.
#[must_use]
pub fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

impl Name {
    /// Whether this is an owned name with one of these numbers.
    pub fn is_in(&self, numbers: &BTreeSet<Number>) -> bool {
        self.owned.is_some_and(|number| numbers.contains(&number))
    }
}

/// The fields of a line, as offsets.
struct Fields<'a> {
    text: &'a [u8],
    from: usize,
}

impl Iterator for Fields<'_> {
    type Item = Range<usize>;

    fn next(&mut self) -> Option<Range<usize>> {
        let is_space = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\x0b' | b'\x0c');
        let start = self.from + self.text[self.from..].iter().position(|byte| !is_space(byte))?;
        let length = self.text[start..].iter().position(is_space).unwrap_or(self.text.len() - start);
        self.from = start + length;
        Some(start..self.from)
    }
}

/// The entries of `text` that hold an owned name, in order. Lines in which the prefix does not stand are not read.
pub fn entries(text: &[u8], prefix: &Prefix) -> Vec<Entry> {
    lines_with(text, prefix).filter_map(|line| Entry::parse(text, line, prefix)).collect()
}

/// The lines of `text` in which the prefix stands, with their endings, as offsets. All others may be left out of a text
/// without changing what a pass would do about its owned names.
pub fn lines_with<'a>(text: &'a [u8], prefix: &'a Prefix) -> impl Iterator<Item = Range<usize>> + 'a {
    let mut from = 0;
    std::iter::from_fn(move || {
        let hit = prefix.find(text, from)?;
        let start = memchr::memrchr(b'\n', &text[from..hit]).map_or(from, |newline| from + newline + 1);
        from = memchr::memchr(b'\n', &text[hit..]).map_or(text.len(), |newline| hit + newline + 1);
        Some(start..from)
    })
}
