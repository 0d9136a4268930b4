//! The C library as judge: in a private mount namespace, what getaddrinfo finds before and after a real pass differs in
//! nothing but what the oracle predicts, and the oracle reads a hosts file as the C library does.
//!
//! Needs root, unshare and python3.

mod cases;
mod generator;
mod oracle;

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::iter;
use std::net::IpAddr;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use generator::{Input, input};
use oracle::{FAMILIES, Hosts, is_owned, lines};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Value, json};

const GENERATED: usize = 1000;
const SEED: [u8; 32] = *b"the C library judges zk-hosts...";

/// A pass to be judged.
struct Trial {
    name: String,
    input: Input,
    members: Vec<(String, String)>,
    args: Vec<&'static str>,
    /// The hosts file after it, where that is known to the byte.
    after: Option<Vec<u8>>,
    stdout: String,
}

#[test]
fn golden_cases() {
    let trials = cases::all().into_iter().map(|case| {
        let owned = case.registry.iter().filter(|(name, _)| is_owned(name.as_bytes()));
        let registry = owned.map(|(name, to)| (name.to_ascii_lowercase(), to.parse().unwrap())).collect();
        let flags = [(case.prune, "--prune"), (case.allow_loopback, "--allow-loopback")];
        Trial {
            name: case.name,
            input: Input { text: case.before, registry, prune: case.prune },
            members: case.registry,
            args: flags.into_iter().filter_map(|(given, flag)| given.then_some(flag)).collect(),
            after: Some(case.after),
            stdout: case.changes.iter().flat_map(|change| [change, "\n"]).collect(),
        }
    });
    Judge::start("golden").judge(trials);
}

#[test]
fn generated_files() {
    println!("{GENERATED} files from seed {:?}", SEED.escape_ascii().to_string());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &SEED);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let inputs = iter::repeat_with(|| input().new_tree(&mut runner).unwrap().current());
    let inputs = inputs.filter(|input| !is_misread(&input.text)).take(GENERATED);
    let trials = inputs.zip(1..).map(|(input, number)| {
        let prune = if input.prune { vec!["--prune"] } else { Vec::new() };
        Trial {
            name: format!("file {number}: {input:?}"),
            members: input.registry.iter().map(|(name, to)| (name.clone(), to.to_string())).collect(),
            args: [prune, vec!["--allow-loopback", "-q"]].concat(),
            input,
            after: None,
            stdout: String::new(),
        }
    });
    Judge::start("generated").judge(trials);
}

/// Whether glibc misreads a line: taking the indentation away, recent versions leave as many bytes of the line's end
/// standing twice, unless a newline or a comment cuts them off. ` 10.0.0.1 zoov1` at the end of a file is zoov11.
fn is_misread(text: &[u8]) -> bool {
    lines(text).into_iter().any(|line| {
        let end = line.iter().find(|byte| b"\n#\0".contains(byte));
        b" \t\r\x0b\x0c".contains(&line[0]) && end.is_none_or(|byte| *byte == 0)
    })
}

/// A process that looks names up and runs passes in a namespace of its own; it ends with its standard input.
struct Judge {
    child: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Judge {
    fn start(name: &str) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&folder).unwrap();
        let mut child = Command::new("unshare")
            .args(["--mount", "--propagation", "private", "python3"])
            .args([concat!(env!("CARGO_MANIFEST_DIR"), "/tests/judge.py"), env!("CARGO_BIN_EXE_zk-hosts")])
            .arg(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (questions, answers) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Self { child, questions, answers: BufReader::new(answers) }
    }

    fn judge(mut self, trials: impl Iterator<Item = Trial>) {
        let mut faults = Vec::new();
        for trial in trials {
            let names = words(&trial);
            let answer = self.ask(&trial, &names);
            let found = verdict(&trial, &names, &answer);
            if !found.is_empty() {
                faults.push(format!("{:.2000}\n  {}\n  {}", trial.name, found.join("\n  "), answer["stderr"]));
            }
        }
        drop(self.questions);
        assert!(self.child.wait().unwrap().success());
        assert!(
            faults.is_empty(),
            "{} faults, the first of them:\n{}",
            faults.len(),
            faults[..faults.len().min(5)].join("\n")
        );
    }

    fn ask(&mut self, trial: &Trial, names: &[Vec<u8>]) -> Value {
        let question = json!({
            "text": latin1(&trial.input.text),
            "registry": cases::registry_json(&trial.members),
            "args": trial.args,
            "names": names.iter().map(|name| latin1(name)).collect::<Vec<_>>(),
        });
        writeln!(self.questions, "{question}").unwrap();
        let mut answer = String::new();
        self.answers.read_line(&mut answer).unwrap();
        serde_json::from_str(&answer).expect("the judge ended early")
    }
}

/// What a pass did that it must not, or left undone.
fn verdict(trial: &Trial, names: &[Vec<u8>], answer: &Value) -> Vec<String> {
    let text: Vec<u8> = answer["text"].as_str().unwrap().chars().map(|char| u8::try_from(char).unwrap()).collect();
    let before = Hosts::read(&trial.input.text);
    let predicted = before.predicted(&trial.input.registry, trial.input.prune);
    let after = Hosts::read(&text);

    let mut faults = Vec::new();
    let code = if text == trial.input.text { 0 } else { 2 };
    if answer["code"] != code {
        faults.push(format!("exit code {} instead of {code}", answer["code"]));
    }
    if answer["stdout"] != trial.stdout {
        faults.push(format!("it printed {}", answer["stdout"]));
    }
    if trial.after.as_ref().is_some_and(|expected| *expected != text) {
        faults.push(format!("it wrote {}", text.escape_ascii()));
    }
    for (index, name) in names.iter().enumerate() {
        for (when, model, what) in [
            ("before", &before, "the oracle misreads the old file"),
            ("after", &after, "the oracle misreads the new file"),
            ("after", &predicted, "not as predicted"),
        ] {
            // No answer: getaddrinfo reads the name as an address and looks nothing up.
            let Some(answers) = answer[when][index].as_array() else { continue };
            for (family, found) in FAMILIES.into_iter().zip(answers) {
                let mut found: Vec<IpAddr> = serde_json::from_value(found.clone()).unwrap();
                found.sort();
                let expected = model.resolve(name, family);
                if found != expected {
                    let name = name.escape_ascii();
                    faults.push(format!("{what}: {name} {family:?} {when} {found:?}, expected {expected:?}"));
                }
            }
        }
    }
    faults
}

/// All words of the file, in comments and broken lines too, and the names of the registry.
fn words(trial: &Trial) -> Vec<Vec<u8>> {
    let words = trial.input.text.split(|byte| b" \t\r\n\x0b\x0c\0#".contains(byte)).map(<[u8]>::to_vec);
    let members = trial.members.iter().map(|(name, _)| name.clone().into_bytes());
    let all: BTreeSet<_> = words.chain(members).filter(|word| !word.is_empty()).collect();
    all.into_iter().collect()
}

/// Bytes as a string of U+0000 to U+00FF.
fn latin1(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}
