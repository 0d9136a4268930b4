//! examples/registry.schema.json and the parser judge alike: the cases of `registry.cases`, and addresses of all shapes.

use zk_hosts::hosts::Prefix;
use zk_hosts::registry::{MAX_BYTES, Registry};

/// Each case: what is said of it, and the registry.
fn cases() -> Vec<(&'static str, String)> {
    let lines = include_str!("registry.cases").lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let mut cases: Vec<_> = lines
        .map(|line| {
            let (verdict, text) = line.split_once(" | ").unwrap_or_else(|| panic!("{line}"));
            (verdict.trim_end(), text.to_owned())
        })
        .collect();
    // What would be no line to read.
    let mut large = r#"{"members":{"zoov1":"10.0.0.1"}}"#.to_owned();
    large.push_str(&" ".repeat(MAX_BYTES - large.len()));
    cases.push(("taken", large.clone()));
    large.push(' ');
    cases.push(("parser only", large));
    cases
}

fn takes(text: &str) -> bool {
    Registry::parse(text.as_bytes(), &Prefix::parse("zoov").unwrap(), false).is_ok()
}

#[test]
fn the_parser_judges_as_the_table_says() {
    let cases = cases();
    assert!(cases.len() >= 90, "{}", cases.len());
    for (verdict, text) in cases {
        assert!(matches!(verdict, "taken" | "refused" | "parser only"), "{verdict}");
        assert_eq!(takes(&text), verdict == "taken", "{verdict}: {text:.200}");
    }
}

#[cfg(feature = "system")]
mod schema {
    use std::io::Write;
    use std::process::{Command, Stdio};

    use super::{cases, takes};

    const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/schema.py");
    const SCHEMA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/registry.schema.json");

    /// Groups that are much like those that make an address unusable.
    const GROUPS: [&str; 16] = [
        "0", "00", "0000", "1", "01", "0001", "ffff", "FFFF", "fffe", "fe80", "FEbf", "fec0", "ff02", "a", "00000", "g",
    ];
    const NUMBERS: [&str; 12] = ["0", "1", "10", "127", "169", "224", "239", "240", "254", "255", "256", "01"];

    /// The same at each run: a linear congruential generator.
    struct Dice(u64);

    impl Dice {
        fn below(&mut self, sides: usize) -> usize {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            usize::try_from(self.0 >> 33).unwrap() % sides
        }

        fn one_of<'a>(&mut self, all: &[&'a str]) -> &'a str {
            all[self.below(all.len())]
        }

        fn joined(&mut self, all: &[&str], count: usize, by: &str) -> String {
            (0..count).map(|_| self.one_of(all)).collect::<Vec<_>>().join(by)
        }

        fn v4(&mut self) -> String {
            let parts = [4, 4, 4, 4, 4, 4, 3, 5][self.below(8)];
            self.joined(&NUMBERS, parts, ".")
        }

        /// Groups, with or without `::`, with or without dotted numbers at the end; often zeros, as the unusable ones have.
        fn v6(&mut self) -> String {
            let groups: &[&str] = if self.below(2) == 0 { &GROUPS } else { &["0", "0000", "0", "ffff", "1"] };
            let (head, tail) = (self.below(9), self.below(9));
            let mut text = self.joined(groups, head, ":");
            if self.below(3) > 0 {
                text += "::";
            } else if head > 0 && tail > 0 {
                text += ":";
            }
            text += &self.joined(groups, tail.min(9 - head), ":");
            if self.below(4) == 0 {
                if !text.is_empty() && !text.ends_with(':') {
                    text += ":";
                }
                text += &self.v4();
            }
            text
        }

        fn address(&mut self) -> String {
            match self.below(4) {
                0 => self.v4(),
                _ => self.v6(),
            }
        }
    }

    #[test]
    fn the_schema_judges_as_the_parser_does() {
        let mut lines: Vec<(String, String)> =
            cases().into_iter().map(|(verdict, text)| (verdict.to_owned(), text)).collect();
        let mut dice = Dice(7);
        for _ in 0..20_000 {
            let text = format!("{{\"members\":{{\"zoov1\":{:?}}}}}", dice.address());
            lines.push((if takes(&text) { "taken" } else { "refused" }.to_owned(), text));
        }
        let taken = lines.iter().filter(|(verdict, _)| verdict == "taken").count();
        assert!(taken > 2000, "only {taken} addresses are any");

        let mut python = Command::new("python3");
        let python = python.args([SCRIPT, SCHEMA]).stdin(Stdio::piped()).spawn();
        let mut python = python.expect("python3 is missing: tests/run installs it");
        let judged = serde_json::to_vec(&lines).unwrap();
        python.stdin.take().unwrap().write_all(&judged).expect("tests/schema.py ended too early");
        assert!(python.wait().unwrap().success());
    }
}
