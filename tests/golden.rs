//! The golden cases, each against the pure core, and held to the laws of every file.

mod cases;
mod laws;
mod oracle;

use zk_hosts::hosts::{Prefix, plan};
use zk_hosts::registry::Registry;

#[test]
fn each_case_gives_its_text_and_its_changes() {
    let prefix = Prefix::parse("zoov").unwrap();
    let cases = cases::all();
    assert!(cases.len() >= 55);
    let mut faults = Vec::new();
    for case in &cases {
        let json = cases::registry_json(&case.registry);
        let registry = Registry::parse(json.as_bytes(), &prefix, case.allow_loopback).unwrap();
        let pass = |text: &[u8]| plan(text, &prefix, &registry.addresses, case.prune);

        let named = registry.addresses.iter().map(|(number, address)| (prefix.name(*number), *address));
        laws::all(&oracle::Input { text: case.before.clone(), registry: named.collect(), prune: case.prune });

        let first = pass(&case.before);
        let after = first.apply(&case.before);
        let changes: Vec<_> = first.changes.iter().map(ToString::to_string).collect();
        let second = pass(&after);

        let mut expect = |holds: bool, what: &str, got: String| {
            if !holds {
                faults.push(format!("{}\n  {what}; got {got:.2000}", case.name));
            }
        };
        expect(after == case.after, "another text", after.escape_ascii().to_string());
        expect(changes == case.changes, "other changes", format!("{changes:#?}"));
        expect(first.edits.is_empty() == changes.is_empty(), "edits without changes", format!("{:?}", first.edits));
        expect(second.edits.is_empty(), "a second pass edits", format!("{:?}", second.edits));
        expect(second.changes.is_empty(), "a second pass prints", format!("{:?}", second.changes));
    }
    assert!(faults.is_empty(), "{} of {} cases:\n{}", faults.len(), cases.len(), faults.join("\n"));
}
