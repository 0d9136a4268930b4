//! What README shows is what one sees.

mod fixture;

use std::path::Path;

use fixture::{BINARY, run};
use zk_hosts::hosts::Prefix;
use zk_hosts::registry::Registry;

const README: &str = include_str!("../README.md");

#[test]
fn the_first_command_prints_what_readme_shows() {
    // cargo builds the examples before it runs the tests.
    let story = Path::new(BINARY).parent().unwrap().join("examples/story");
    let story = run(&mut fixture::clean(story.to_str().unwrap()));
    assert_eq!((story.code, story.stderr.as_str()), (0, ""));
    let shown = README.split("```text\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    assert_eq!(shown, story.stdout);
}

#[test]
fn the_registry_that_readme_shows_is_valid() {
    let shown = README.split("```json\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let registry = Registry::parse(shown.as_bytes(), &Prefix::parse("zoov").unwrap(), false).unwrap();
    assert_eq!(registry.addresses.len(), 3);
}

#[test]
fn every_exit_code_and_every_option_is_explained() {
    let help = |command| run(fixture::zk_hosts().args([command, "--help"])).stdout;
    let every = ["register", "unregister", "sync", "status"].map(help).concat();
    let help = help("sync");
    let codes = help.lines().skip_while(|line| *line != "Exit codes:").filter_map(|line| line.trim().split(' ').next());
    for code in codes.filter(|word| word.parse::<u8>().is_ok()) {
        assert!(README.contains(&format!("| {code} |")), "{code}");
    }
    for word in every.split_whitespace().filter(|word| word.starts_with("--") || word.starts_with("ZK_HOSTS_")) {
        let word = word.trim_end_matches([']', ',', '.', ';', ')', ':']);
        assert!(README.contains(&format!("`{word}")), "{word}");
    }
}

#[test]
fn every_error_is_in_the_table_of_trouble() {
    // The rows of the table in the source: (code, "kind", "way out").
    let rows = include_str!("../src/failure.rs").lines().filter_map(|line| line.trim().split_once(" => ("));
    let rows: Vec<(&str, &str)> = rows.filter(|(variant, _)| variant.starts_with("Self::")).collect();
    assert!(rows.len() > 30, "{rows:?}");
    for (_, row) in rows {
        let parts: Vec<&str> = row.trim_end_matches("),").splitn(3, ", ").collect();
        let (code, kind, way_out) = (parts[0], parts[1].trim_matches('"'), parts[2].trim_matches('"'));
        let line = README.lines().find(|line| line.starts_with(&format!("| `{kind}` | {code} | ")));
        assert!(line.is_some_and(|line| line.ends_with(&format!(" | {way_out} |"))), "{kind} {code}: {way_out}");
    }
}
