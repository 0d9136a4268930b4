//! Reads `tests/golden.cases`; how it is written is said there.

use std::collections::BTreeSet;

/// A hosts file and a registry, and what a pass makes of them.
pub struct Case {
    pub name: String,
    pub before: Vec<u8>,
    /// Names and addresses, as they stand in the registry.
    pub registry: Vec<(String, String)>,
    pub prune: bool,
    pub allow_loopback: bool,
    pub after: Vec<u8>,
    /// The printed lines.
    pub changes: Vec<String>,
}

/// The registry as it lies in the store.
pub fn registry_json(members: &[(String, String)]) -> String {
    let members: Vec<_> = members.iter().map(|(name, address)| format!("{name:?}:{address:?}")).collect();
    format!("{{\"members\":{{{}}}}}", members.join(","))
}

/// All cases, in the order of the file.
///
/// # Panics
/// Where the file is not written as it should be.
pub fn all() -> Vec<Case> {
    let text = include_str!("../golden.cases");
    let cases: Vec<_> = text.split("\n### ").skip(1).map(case).collect();
    let names: BTreeSet<_> = cases.iter().map(|case| &case.name).collect();
    assert_eq!(names.len(), cases.len(), "two cases have one name");
    cases
}

fn case(text: &str) -> Case {
    let (title, sections) = text.split_once("\n== before\n").expect(text);
    let (before, rest) = sections.split_once("== registry\n").expect(title);
    let (rest, changes) = rest.split_once("== changes").expect(title);
    let (registry, after) = rest.split_once("== after\n").map_or((rest, before), |(registry, after)| (registry, after));
    assert!(title.contains(": "), "{title}: a case says why it is there");

    let mut case = Case {
        name: title.to_owned(),
        before: unescape(before),
        registry: Vec::new(),
        prune: false,
        allow_loopback: false,
        after: unescape(after),
        changes: filled(changes).map(str::to_owned).collect(),
    };
    for line in filled(registry) {
        match line {
            "--prune" => case.prune = true,
            "--allow-loopback" => case.allow_loopback = true,
            _ => {
                let (name, address) = line.split_once(' ').expect(title);
                case.registry.push((name.to_owned(), address.to_owned()));
            }
        }
    }
    case
}

fn filled(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter(|line| !line.is_empty())
}

fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some((plain, escape)) = rest.split_once('\\') {
        bytes.extend_from_slice(plain.as_bytes());
        let kind = escape.chars().next().expect(text);
        rest = &escape[1..];
        match kind {
            't' => bytes.push(b'\t'),
            'r' => bytes.push(b'\r'),
            'f' => bytes.push(b'\x0c'),
            'v' => bytes.push(b'\x0b'),
            '0' => bytes.push(0),
            '\\' => bytes.push(b'\\'),
            'x' => {
                let (digits, after) = rest.split_at(2);
                bytes.push(u8::from_str_radix(digits, 16).expect(digits));
                rest = after;
            }
            '{' => {
                let (count, after) = rest.split_once('*').expect(rest);
                let (repeated, after) = after.split_once('}').expect(rest);
                bytes.extend_from_slice(repeated.repeat(count.parse().expect(count)).as_bytes());
                rest = after;
            }
            'c' => rest = rest.strip_prefix('\n').expect("\\c stands at the end of a line"),
            _ => panic!("\\{kind} is no escape"),
        }
    }
    bytes.extend_from_slice(rest.as_bytes());
    bytes
}
