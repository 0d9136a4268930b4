//! `--output json`: an object for each command, held by `output.golden`.

mod fixture;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpListener;

use fixture::answers::{answer, serve};
use fixture::{Bench, run, zk_hosts};
use serde_json::Value;

const GOLDEN: &str = include_str!("output.golden");
const README: &str = include_str!("../README.md");

const HOSTS: &str = "127.0.0.1 localhost\n127.0.1.1 host-a zoov1\n10.0.1.12 zoov1\n10.0.1.13 zoov2\n10.0.1.99 zoov2\n\
                     10.0.0.8 zoov8\n";

const REGISTRY: &str = r#"{"generation": 42, "members":
    {"zoov1": "10.0.1.12", "zoov2": "10.0.9.7", "zoov3": "2001:db8::14"}}"#;

const LOCAL: &str = r#"{"generation": 42, "updated_at": "2026-11-22T03:31:00Z", "members": {
    "zoov1": {"ip": "127.0.0.1", "instance_id": "i-0ab", "registered_at": "2026-11-22T03:31:00Z"},
    "zoov2": "127.0.0.2", "zoov3": "127.0.0.2"}}"#;

/// The words after each `$`, and the object that belongs to them.
fn golden() -> Vec<(&'static str, &'static str)> {
    GOLDEN.split("\n$ ").skip(1).map(|section| section.split_once('\n').unwrap()).collect()
}

/// JSON without the white space between its parts, and with 0 for the numbers that no two runs have in common. No string in
/// it may hold a quotation mark.
fn shape(json: &str) -> String {
    let mut parts: Vec<String> = json.split('"').map(str::to_owned).collect();
    parts.iter_mut().step_by(2).for_each(|part| part.retain(|c| !c.is_whitespace()));
    for index in 1..parts.len() {
        let is_volatile = ["age_seconds", "latency_ms", "clock_offset_seconds"].contains(&parts[index - 1].as_str());
        let number = |part: &str| part.strip_prefix(':')?.split([',', '}']).next().map(str::to_owned);
        if let Some(number) = number(&parts[index]).filter(|number| is_volatile && number != "null") {
            assert!(number.parse::<f64>().is_ok(), "{json}");
            parts[index] = parts[index].replacen(&number, "0", 1);
        }
    }
    parts.join("\"")
}

/// Without what this machine's own files make `status` warn of.
fn without_this_machines_warnings(json: &str) -> String {
    let mut json = json.to_owned();
    for kind in ["files_not_first", "cloud_init"] {
        if let Some(at) = json.find(&format!("{{\"kind\":\"{kind}\"")) {
            let end = at + json[at..].find('}').unwrap() + 1;
            let end = end + usize::from(json[end..].starts_with(','));
            json.replace_range(at..end, "");
        }
    }
    json.replace(",]", "]")
}

/// A ZooKeeper that leads.
fn leader() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            stream.read_exact(&mut [0; 4]).unwrap();
            let text = "Zookeeper version: 3.8.0-5a02a05eddb59aee6ac762f7ea82e92a68eb9c0f, built on x\nMode: leader\n";
            stream.write_all(text.as_bytes()).unwrap();
        }
    });
    port
}

#[test]
fn each_command_prints_what_the_golden_file_shows() {
    let (zookeeper, store) = (
        leader(),
        serve(vec![answer(
            "403 Forbidden",
            &["Date: Sun, 22 Nov 2026 03:31:00 GMT"],
            "<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>",
        )]),
    );
    let mut seen = BTreeMap::new();
    for (words, expected) in golden() {
        let bench = Bench::new();
        bench.write("hosts", HOSTS);
        bench.write("zk.json", REGISTRY);
        bench.write("local.json", LOCAL);
        bench.write("local.hosts", "127.0.1.1 host-a zoov1\n10.0.1.12 zoov1\n127.0.0.2 zoov2\n10.0.1.99 zoov3\n");
        let here = |text: &str| {
            let text = text.replace("/srv", bench.folder.to_str().unwrap());
            text.replace("PORT", &zookeeper.to_string()).replace("STORE", &store.port.to_string())
        };
        let run = run(zk_hosts().args(here(words).split(' ')).args(["--output", "json"]));
        assert_eq!(run.stdout.matches('\n').count(), 1, "{words}: {}", run.all());
        let found = without_this_machines_warnings(&run.stdout);
        assert_eq!(shape(&found), shape(&here(expected)), "{words}: {found}");
        let object: Value = serde_json::from_str(&run.stdout).unwrap();
        assert_eq!(object["exit_code"], run.code, "{words}");
        note(&object, &mut seen);
    }
    // A key that is null each time would be of no known type; and README names each.
    for (key, has_value) in seen {
        assert!(has_value, "{key}: the golden file shows no value");
        assert!(README.contains(&format!("`{key}`")), "README does not name {key}");
    }
}

/// Notes which keys have a value.
fn note(value: &Value, seen: &mut BTreeMap<String, bool>) {
    match value {
        Value::Object(object) => {
            for (key, value) in object {
                *seen.entry(key.clone()).or_default() |= !value.is_null();
                note(value, seen);
            }
        }
        Value::Array(values) => values.iter().for_each(|value| note(value, seen)),
        _ => {}
    }
}

#[test]
fn quiet_and_a_closed_stdout_change_no_object_and_no_code() {
    let (bench, url) = fixture::bench();
    let loud = bench.sync(&url, &["--output", "json", "--dry-run"]);
    let quiet = bench.sync(&url, &["--output", "json", "--dry-run", "-q"]);
    assert_eq!((loud.code, quiet.all()), (2, loud.all()));
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = bench.command(&url).args(["--output", "json"]).stdout(writer).output().unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(2), &b""[..]));
}

#[test]
fn wrong_usage_is_text() {
    for words in
        [&["sync", "--output", "json"][..], &["nonsense"], &["sync", "--output", "yaml", "--registry", "s3://b/k"]]
    {
        let run = run(zk_hosts().args(words).env("ZK_HOSTS_OUTPUT", "json"));
        assert_eq!((run.code, run.stdout.as_str()), (64, ""), "{words:?}");
        assert!(run.stderr.starts_with("error: "), "{}", run.stderr);
    }
}
