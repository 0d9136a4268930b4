//! What holds for every hosts file and every registry, judged by the oracle. Random inputs and fuzzed ones are held to it.

#![allow(dead_code, reason = "each target uses a part of it")]

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use zk_hosts::hosts::{Number, Plan, Prefix, lines_with, plan, unified};

use crate::oracle::{FAMILIES, Hosts, Input, Line, Registry, is_owned, lines};

fn planned(input: &Input, text: &[u8]) -> Plan {
    let prefix = Prefix::parse("zoov").unwrap();
    let number = |name: &String| prefix.number(name.as_bytes()).unwrap();
    let wanted: BTreeMap<Number, IpAddr> = input.registry.iter().map(|(name, to)| (number(name), *to)).collect();
    plan(text, &prefix, &wanted, input.prune)
}

fn after(input: &Input) -> Vec<u8> {
    planned(input, &input.text).apply(&input.text)
}

/// All of them.
pub fn all(input: &Input) {
    a_second_pass_does_nothing(input);
    the_lines_with_the_prefix_tell_what_changes(input);
    only_owned_names_and_their_addresses_change(input);
    a_wanted_name_has_one_line_and_its_address(input);
    every_name_resolves_as_predicted(input);
    prune_alone_decides_over_names_that_the_registry_lacks(input);
    the_diff_is_the_plan(input);
}

pub fn a_second_pass_does_nothing(input: &Input) {
    let first = planned(input, &input.text);
    assert_eq!(first.edits.is_empty(), first.changes.is_empty());
    let text = first.apply(&input.text);
    assert_eq!(first.edits.is_empty(), text == input.text);
    let second = planned(input, &text);
    assert!(second.edits.is_empty() && second.changes.is_empty(), "{second:?}");
}

pub fn the_lines_with_the_prefix_tell_what_changes(input: &Input) {
    let prefix = Prefix::parse("zoov").unwrap();
    let lines: Vec<&[u8]> = lines_with(&input.text, &prefix).map(|line| &input.text[line]).collect();
    let (all, picked) = (planned(input, &input.text), planned(input, &lines.concat()));
    assert_eq!((all.changes, all.kept), (picked.changes, picked.kept));
}

pub fn only_owned_names_and_their_addresses_change(input: &Input) {
    let after = after(input);
    assert!(in_line(input, &after), "{}", after.escape_ascii());
}

pub fn a_wanted_name_has_one_line_and_its_address(input: &Input) {
    let after = Hosts::read(&after(input));
    for (name, to) in &input.registry {
        assert_eq!(after.lines_with(name.as_bytes()), 1);
        let alone = Hosts::read(format!("{to} {name}").as_bytes());
        for family in FAMILIES {
            let found = after.resolve(name.as_bytes(), family);
            assert_eq!(found, alone.resolve(name.as_bytes(), family), "{name} {family:?}");
        }
    }
}

pub fn every_name_resolves_as_predicted(input: &Input) {
    let before = Hosts::read(&input.text);
    let after = Hosts::read(&after(input));
    let predicted = before.predicted(&input.registry, input.prune);
    for name in before.names().union(&after.names()) {
        for family in FAMILIES {
            let (found, predicted) = (after.resolve(name, family), predicted.resolve(name, family));
            assert_eq!(found, predicted, "{} {family:?}", name.escape_ascii());
        }
    }
}

pub fn prune_alone_decides_over_names_that_the_registry_lacks(input: &Input) {
    let lacking = |text: &[u8]| -> BTreeSet<String> {
        let owned = Hosts::read(text).names().into_iter().filter(|name| is_owned(name));
        let names = owned.map(|name| String::from_utf8(name).unwrap());
        names.filter(|name| !input.registry.contains_key(name)).collect()
    };
    let before = lacking(&input.text);
    let kept = if input.prune { BTreeSet::new() } else { before };
    assert_eq!(lacking(&after(input)), kept);
    assert_eq!(planned(input, &input.text).kept.into_iter().collect::<BTreeSet<_>>(), kept);
}

pub fn the_diff_is_the_plan(input: &Input) {
    let plan = planned(input, &input.text);
    let diff = unified(b"/etc/hosts", &input.text, &plan.edits);
    let patched = patched(&input.text, &diff);
    assert!(patched == plan.apply(&input.text), "{}", diff.escape_ascii());
    assert_eq!(diff.is_empty(), plan.edits.is_empty());
}

/// Whether the new text can be read as the old lines in their order, of which those with owned names may have lost
/// some, or moved, or gone whole, with new lines in between.
fn in_line(input: &Input, after: &[u8]) -> bool {
    let (old, new) = (lines(&input.text), lines(after));
    // How many of the new lines may be accounted for by the old lines so far.
    let mut reached = past_added_lines(&BTreeSet::from([0]), &new, &input.registry);
    for line in old {
        // A last line without an ending may get one.
        let endings: &[&[u8]] = if line.ends_with(b"\n") { &[b""] } else { &[b"", b"\n", b"\r\n"] };
        let mut next = BTreeSet::new();
        for at in reached {
            let comes_from = |ending: &&[u8]| descends(&[line, ending].concat(), new[at], &input.registry);
            if at < new.len() && endings.iter().any(comes_from) {
                next.insert(at + 1);
            }
            if Line::read(line)
                .is_some_and(|line| line.has_owned_name() && line.names().iter().all(|name| is_owned(name)))
            {
                next.insert(at);
            }
        }
        reached = past_added_lines(&next, &new, &input.registry);
    }
    reached.contains(&new.len())
}

fn past_added_lines(reached: &BTreeSet<usize>, new: &[&[u8]], registry: &Registry) -> BTreeSet<usize> {
    let added = |line: &[u8]| {
        registry
            .iter()
            .any(|(name, to)| ["", "\n", "\r\n"].iter().any(|end| format!("{to}\t{name}{end}").as_bytes() == line))
    };
    let mut all = reached.clone();
    for (at, line) in new.iter().enumerate() {
        if all.contains(&at) && added(line) {
            all.insert(at + 1);
        }
    }
    all
}

/// Whether a line is another one without some of its owned names, its address perhaps moved with the first name.
fn descends(old: &[u8], new: &[u8], registry: &Registry) -> bool {
    let (Some(before), Some(after)) = (Line::read(old), Line::read(new)) else { return old == new };
    if !before.has_owned_name() || after.fields.len() < 2 {
        return old == new;
    }
    let first = String::from_utf8_lossy(before.fields[1].1).to_ascii_lowercase();
    let moved = registry.get(&first).map(|to| (before.fields[0].0.to_vec(), to.to_string().into_bytes()));
    let is_moved = moved.is_some_and(|(space, to)| (&space[..], &to[..]) == after.fields[0]);

    let mut left = after.fields[1..].iter().peekable();
    let lost: Vec<_> = before.fields[1..].iter().filter(|field| left.next_if_eq(field).is_none()).collect();
    (is_moved || before.fields[0] == after.fields[0])
        && before.rest == after.rest
        && left.next().is_none()
        && lost.iter().all(|(_, name)| is_owned(name))
}

/// Applies a unified diff as strictly as can be: every line and every number in it must be right.
fn patched(text: &[u8], diff: &[u8]) -> Vec<u8> {
    let old = lines(text);
    let mut diff = lines(diff).into_iter().peekable();
    let Some(header) = diff.next() else { return text.to_vec() };
    assert_eq!(header, b"--- /etc/hosts\n");
    assert_eq!(diff.next().unwrap(), b"+++ /etc/hosts\n");
    let (mut new, mut at) = (Vec::<Vec<u8>>::new(), 0);
    while let Some(header) = diff.next() {
        let header = str::from_utf8(header).unwrap();
        let numbers: Vec<usize> =
            header.split(|c: char| !c.is_ascii_digit()).filter_map(|number| number.parse().ok()).collect();
        let [old_start, old_count, new_start, new_count] = numbers[..] else { panic!("{header}") };
        assert_eq!(header, format!("@@ -{old_start},{old_count} +{new_start},{new_count} @@\n"));
        // A side without lines is named by the line before it.
        let start = old_start - usize::from(old_count > 0);
        new.extend(old[at..start].iter().map(|line| line.to_vec()));
        at = start;
        assert_eq!(new.len(), new_start - usize::from(new_count > 0));

        let (mut left_old, mut left_new, mut marks) = (old_count, new_count, Vec::new());
        while left_old + left_new > 0 {
            let line = diff.next().unwrap();
            assert!(line.ends_with(b"\n"));
            let (mark, line) = line.split_first().unwrap();
            marks.push(*mark);
            let unfinished = diff.next_if(|line| line == b"\\ No newline at end of file\n").is_some();
            let line = if unfinished { &line[..line.len() - 1] } else { line };
            if *mark != b'+' {
                assert_eq!(old[at], line);
                (at, left_old) = (at + 1, left_old - 1);
            }
            if *mark != b'-' {
                new.push(line.to_vec());
                left_new -= 1;
            }
            assert!(b" +-".contains(mark));
        }
        // Patch takes less context than usual for an end of the file.
        let is_context = |mark: &&u8| **mark == b' ';
        let above = marks.iter().take_while(is_context).count();
        let below = marks.iter().rev().take_while(is_context).count();
        assert!(above == 3 || above < 3 && start == 0, "{header}");
        assert!(below == 3 || below < 3 && at == old.len(), "{header}");
    }
    new.extend(old[at..].iter().map(|line| line.to_vec()));
    new.concat()
}
