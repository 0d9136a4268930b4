//! `zk-hosts status`: what it shows, and what it warns of.

mod fixture;

use std::fmt::Write as _;
use std::io::{Read, Write as _};
use std::net::TcpListener;
use std::sync::{Arc, Barrier};

use fixture::answers::{answer, serve};
use fixture::weed::free_ports;
use fixture::{Bench, Run, metadata, registry, run, zk_hosts};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

/// A look at the folder's `hosts`.
fn status(bench: &Bench, url: &str, more: &[&str]) -> Run {
    run(zk_hosts().args(["status", "--registry", url, "--hosts-file", "hosts"]).args(more).current_dir(&bench.folder))
}

/// The same for a script, beside what a person is shown: both must know the same.
fn object(bench: &Bench, url: &str, more: &[&str]) -> Value {
    let (text, json) = (status(bench, url, more), status(bench, url, &[more, &["--output=json"]].concat()));
    let said = |run: &Run| run.stderr.split("; attempts").next().map(str::to_owned);
    assert_eq!((text.code, said(&text)), (json.code, said(&json)));
    let object: Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(object["exit_code"], json.code);
    let words = text.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    // Seconds go by between the two.
    let timeless = |text: &str| text.replace(|c: char| c.is_ascii_digit(), "");
    for warning in object["warnings"].as_array().unwrap() {
        for key in ["message", "way_out"] {
            assert!(timeless(&words).contains(&timeless(warning[key].as_str().unwrap())), "{warning}: {}", text.stdout);
        }
    }
    for member in object["members"].as_array().unwrap() {
        for fact in [&member["name"], &member["address"], &member["probe"]["mode"], &member["probe"]["version"]] {
            assert!(fact.as_str().is_none_or(|fact| words.contains(fact)), "{fact}: {}", text.stdout);
        }
    }
    for key in ["hosts_file", "registry"] {
        assert!(text.stdout.is_empty() || object["error"].is_object() || words.contains(object[key].as_str().unwrap()));
    }
    object
}

/// The kinds of its warnings, without those of this machine's own files, each with a part of its message.
fn warnings(object: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let all = object["warnings"].as_array().unwrap().iter();
    let all = all.map(|warning| (text(&warning["kind"]), text(&warning["message"])));
    all.filter(|(kind, _)| !matches!(kind.as_str(), "files_not_first" | "cloud_init")).collect()
}

fn warns(object: &Value, expected: &[(&str, &str)]) {
    let found = warnings(object);
    assert_eq!(found.len(), expected.len(), "{object}");
    for ((kind, message), (expected, part)) in found.iter().zip(expected) {
        assert!(kind == expected && message.contains(part), "{object}");
    }
}

/// What a person sees, without the warnings.
fn table(run: &Run) -> String {
    run.stdout.split("\nwarning: ").next().unwrap().trim_end().to_owned()
}

fn ago(duration: SignedDuration) -> Timestamp {
    Timestamp::now() - duration
}

/// A registry whose members were registered so long ago, or at no known time.
fn aged(members: &[(&str, &str, Option<SignedDuration>)]) -> String {
    let mut text = String::new();
    for (name, ip, age) in members {
        let at = age.map(|age| format!(", \"registered_at\": \"{}\"", ago(age))).unwrap_or_default();
        let _ = write!(text, "{}{name:?}: {{\"ip\": {ip:?}{at}}}", if text.is_empty() { "" } else { ", " });
    }
    let updated_at = ago(SignedDuration::from_mins(21));
    format!("{{\"generation\": 42, \"updated_at\": \"{updated_at}\", \"members\": {{{text}}}}}")
}

#[test]
fn a_person_reads_it_in_eighty_columns() {
    let bench = Bench::new();
    let members = [
        ("zoov1", "10.0.1.12", Some(SignedDuration::from_hours(72))),
        ("zoov2", "10.0.9.7", Some(SignedDuration::from_mins(21))),
        ("zoov3", "10.0.1.14", None),
        ("zoov4", "10.0.1.15", Some(SignedDuration::from_mins(-5))),
    ];
    let url = format!("file://{}", bench.write("zk.json", aged(&members)).display());
    bench.write("hosts", "127.0.1.1 a zoov1\n10.0.1.12 zoov1\n10.0.1.13 zoov2\n10.0.1.14 zoov3\n10.0.0.8 zoov8\n");
    let seen = status(&bench, &url, &[]);
    let expected = "NAME   REGISTRY   AGE            HOSTS FILE
zoov1  10.0.1.12  3 d            127.0.1.1
                                 10.0.1.12
zoov2  10.0.9.7   21 min         10.0.1.13
zoov3  10.0.1.14  -              in step
zoov4  10.0.1.15  in the future  missing
zoov8  -          -              10.0.0.8 (kept)";
    let head = format!("{url}: generation 42, written 21 min ago\nhosts is not in step: zk-hosts sync patches it\n");
    assert_eq!((seen.code, seen.stderr.as_str()), (2, ""));
    assert_eq!(table(&seen), format!("{head}\n{expected}"));
    assert!(!seen.stdout.contains('\x1b'), "{}", seen.stdout);
    assert!(seen.stdout.lines().skip(1).all(|line| line.chars().count() <= 80), "{}", seen.stdout);

    // Of IPv6 two addresses would not fit side by side.
    let long = "2001:db8:1234:5678:9abc:def0:1234:5678";
    let url = format!("file://{}", bench.write("zk.json", aged(&[("zoov1", long, None), members[1]])).display());
    bench.write("hosts", "2001:db8:1234:5678:9abc:def0:1234:9999 zoov1\n10.0.9.7 zoov1\n10.0.9.7 zoov2\n");
    let seen = status(&bench, &url, &[]);
    let expected = "NAME   REGISTRY                                AGE
       HOSTS FILE
zoov1  2001:db8:1234:5678:9abc:def0:1234:5678  -
       2001:db8:1234:5678:9abc:def0:1234:9999
       10.0.9.7
zoov2  10.0.9.7                                21 min
       in step";
    assert!(table(&seen).ends_with(&format!("it\n\n{expected}")), "{}", seen.stdout);

    let in_step = format!("{long} zoov1\n10.0.9.7 zoov2\n");
    bench.write("hosts", in_step);
    let seen = status(&bench, &url, &[]);
    assert_eq!(seen.code, 0, "{}", seen.all());
    assert!(table(&seen).contains("hosts is in step\n"), "{}", seen.stdout);
    assert_eq!(status(&bench, &url, &["-q"]).all(), "0\n\n");
    assert_eq!(bench.names(), ["hosts", "zk.json"]);
}

#[test]
fn a_clock_that_is_off_is_warned_of_and_ages_are_the_stores() {
    let bench = Bench::new();
    bench.write("hosts", "10.0.1.12 zoov1\n");
    let members = aged(&[("zoov1", "10.0.1.12", Some(SignedDuration::from_hours(84)))]);
    let day = SignedDuration::from_hours(24);
    let cases = [
        (SignedDuration::ZERO, None, "3 d"),
        (day, Some("this machine's clock is 86"), "4 d"),
        (-day, Some("s ahead of the store's"), "2 d"),
        (-(day * 4), Some("s ahead of the store's"), "in the future"),
    ];
    for (off, expected, age) in cases {
        let members = members.clone();
        let store = metadata::serve("127.0.0.1:0", move |_| {
            let date = (Timestamp::now() + off).strftime("Date: %a, %d %b %Y %H:%M:%S GMT").to_string();
            Some(answer("200 OK", &[&date], &members))
        });
        let url = store.url("/zk.json");
        let object = object(&bench, &url, &[]);
        let expected: Vec<_> = expected.map(|message| ("clock_off", message)).into_iter().collect();
        warns(&object, &expected);
        let offset = object["clock_offset_seconds"].as_f64().unwrap();
        // Dates have whole seconds, and an answer may be on its way for some more.
        assert!((offset - off.as_secs_f64()).abs() < 60.0, "{object}");
        let seen = status(&bench, &url, &[]);
        assert!(table(&seen).contains(&format!("  {age}")), "{}", seen.stdout);
        assert_eq!(seen.code, 0);
    }
}

/// A presigned URL on `server`, signed so long ago and good for so long.
fn presigned(url: &str, signed: SignedDuration, good_for: SignedDuration) -> String {
    let date = ago(signed).strftime("%Y%m%dT%H%M%SZ").to_string();
    url.replace('?', &format!("?X-Amz-Date={date}&X-Amz-Expires={}&", good_for.as_secs()))
}

#[test]
fn a_presigned_url_that_ends_is_warned_of_before_and_after() {
    let bench = Bench::new();
    bench.write("hosts", "10.0.1.12 zoov1\n");
    let server = serve(vec![answer("200 OK", &[], &registry(&[("zoov1", "10.0.1.12")]))]);
    let hours = SignedDuration::from_hours;
    let week = hours(168);
    for (signed, good_for, message) in [
        (hours(1), week, None),
        (hours(143), week, None),
        (hours(145), week, Some("the presigned URL ends in 22 h")),
        (SignedDuration::from_mins(20), hours(1), Some("the presigned URL ends in 39 min")),
        (hours(169), week, Some("the presigned URL has ended")),
    ] {
        let object = object(&bench, &presigned(&server.url(), signed, good_for), &[]);
        let expected: Vec<_> = message.map(|message| ("url_ends", message)).into_iter().collect();
        warns(&object, &expected);
        assert!(!object.to_string().contains("5ec2e7"), "{object}");
    }

    // Judged by the store's clock, which its refusal tells.
    let date = ago(hours(-12)).strftime("Date: %a, %d %b %Y %H:%M:%S GMT").to_string();
    let body = "<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>";
    let refusing = serve(vec![answer("403 Forbidden", &[&date], body)]);
    let object = object(&bench, &presigned(&refusing.url(), hours(1), hours(6)), &[]);
    assert_eq!(object["error"]["kind"], "expired");
    warns(&object, &[("clock_off", "behind the store's"), ("url_ends", "the presigned URL has ended")]);
}

#[test]
fn names_on_loopback_lines_and_shared_addresses_are_warned_of() {
    let bench = Bench::new();
    let url = bench.registry(&[("zoov1", "10.0.1.12"), ("zoov2", "10.0.1.12"), ("zoov3", "10.0.1.14")]);
    bench.write("hosts", "127.0.1.1 a zoov1\n::1 ZOOV2\n10.0.1.12 zoov1 zoov2\n10.0.1.14 zoov3\n127.0.0.1 localhost\n");
    let object = object(&bench, &url, &[]);
    warns(
        &object,
        &[
            ("loopback", "zoov1 stands on a line of 127.0.1.1"),
            ("loopback", "zoov2 stands on a line of ::1"),
            ("shared_address", "zoov1 and zoov2 have one address, 10.0.1.12"),
        ],
    );
    assert_eq!(object["in_step"], false);
}

/// A ZooKeeper that answers this to `srvr`; one without words accepts and says nothing.
fn zookeeper(address: &str, answer: &'static str) {
    let listener = TcpListener::bind(address).unwrap();
    std::thread::spawn(move || {
        let mut silent = Vec::new();
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read_exact(&mut [0; 4]);
            match answer {
                "" => silent.push(stream),
                answer => stream.write_all(answer.as_bytes()).unwrap(),
            }
        }
    });
}

#[test]
fn what_servers_answer_and_which_are_too_old() {
    let bench = Bench::new();
    let free = free_ports(1)[0].to_string();
    let answers = [
        "Zookeeper version: 3.4.6-1569965, built on 02/20/2014 09:09 GMT\nLatency min/avg/max: 0/0/0\nMode: leader\n",
        "Zookeeper version: 3.5.2-alpha-1750793, built on 06/30/2016 13:15 GMT\nMode: follower\n",
        "Zookeeper version: 3.8.0-5a02a05eddb59aee6ac762f7ea82e92a68eb9c0f, built on 2022-02-25 08:49 UTC\nMode: observer\n",
        "This ZooKeeper instance is not currently serving requests\n",
        "srvr is not executed because it is not in the whitelist.\n",
        "",
        "\x1b[2J\x07Zookeeper version: 3.9.1\x1b[31m-x\nMode: stand\x1balone\n",
    ];
    let mut members = Vec::new();
    for (answer, number) in answers.into_iter().zip(1..) {
        let ip = format!("127.0.3.{number}");
        zookeeper(&format!("{ip}:{free}"), answer);
        members.push((format!("zoov{number}"), ip));
    }
    members.push(("zoov8".to_owned(), "127.0.3.8".to_owned()));
    let pairs: Vec<_> = members.iter().map(|(name, ip)| (name.as_str(), ip.as_str())).collect();
    let url = bench.registry(&pairs);
    bench.write("hosts", members.iter().map(|(name, ip)| format!("{ip} {name}\n")).collect::<Vec<_>>().concat());
    let object = object(&bench, &url, &["--probe", "--allow-loopback", "--client-port", &free]);
    warns(
        &object,
        &[
            ("zookeeper_too_old", "zoov1 runs ZooKeeper 3.4.6, which keeps the addresses of its peers for ever"),
            ("zookeeper_too_old", "zoov2 runs ZooKeeper 3.5.2"),
        ],
    );
    let seen = status(&bench, &url, &["--probe", "--allow-loopback", "--client-port", &free]);
    let ends = [
        "leader 3.4.6, ",
        "follower 3.5.2, ",
        "observer 3.8.0, ",
        "serves nobody, ",
        "serves nobody, ",
        "no answer",
        "standalone, ",
        "no answer",
    ];
    for (line, end) in table(&seen).lines().skip(4).zip(ends) {
        assert!(line.contains(&format!("in step     {end}")), "{end}: {}", seen.stdout);
    }
    assert!(!seen.stdout.contains(['\x1b', '\x07']), "{}", seen.stdout);
    // Without a registry those are asked that the hosts file names.
    let alone = status(&bench, "file:///nonexistent", &["--probe", "--client-port", &free]);
    let lines: Vec<_> = table(&alone).lines().skip(1).map(str::to_owned).collect();
    assert!(
        alone.code == 66 && lines[0].starts_with("zoov1  -         -    127.0.3.1   leader 3.4.6, "),
        "{}",
        alone.all()
    );
    for (member, answers) in
        object["members"].as_array().unwrap().iter().zip([true, true, true, true, true, false, true, false])
    {
        assert_eq!(member["probe"]["latency_ms"].is_number(), answers, "{object}");
    }
}

#[test]
fn servers_are_asked_side_by_side_and_not_without_end() {
    let bench = Bench::new();
    let members: Vec<_> = (1..=4).map(|number| (format!("zoov{number}"), format!("127.0.4.{number}"))).collect();
    let pairs: Vec<_> = members.iter().map(|(name, ip)| (name.as_str(), ip.as_str())).collect();
    let url = bench.registry(&pairs);
    bench.write("hosts", "");
    let look = |port: u16, timeout: &str| {
        let port = port.to_string();
        let seen = status(&bench, &url, &["--probe", "--allow-loopback", "--client-port", &port, "--timeout", timeout]);
        let count = |text: &str| seen.stdout.matches(text).count();
        (count("follower"), count("no answer"))
    };

    // None of them answers before all are asked.
    let (port, barrier) = (free_ports(1)[0], Arc::new(Barrier::new(members.len())));
    for (_, ip) in &members {
        let (listener, barrier) = (TcpListener::bind((ip.as_str(), port)).unwrap(), Arc::clone(&barrier));
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.read_exact(&mut [0; 4]).unwrap();
            barrier.wait();
            stream.write_all(b"Mode: follower\n").unwrap();
        });
    }
    assert_eq!(look(port, "60s"), (4, 0));

    // That this ends is the test.
    let port = free_ports(1)[0];
    for (_, ip) in &members {
        zookeeper(&format!("{ip}:{port}"), "");
    }
    assert_eq!(look(port, "60s"), (0, 4));
    assert_eq!(look(port, "1ms"), (0, 4));
}

#[test]
fn without_the_registry_it_shows_what_the_hosts_file_says() {
    let bench = Bench::new();
    bench.write("hosts", "10.0.1.12 zoov1\n127.0.1.1 zoov2\n10.0.1.13 zoov2\n");
    let expected = "NAME   REGISTRY  AGE  HOSTS FILE
zoov1  -         -    10.0.1.12
zoov2  -         -    127.0.1.1
                      10.0.1.13";
    bench.write("refused", "{}");
    let refused = format!("file://{}", bench.path("refused").display());
    for (url, code) in [("file:///nonexistent", 66), ("http://127.0.0.1:1/k", 69), (refused.as_str(), 65)] {
        let seen = status(&bench, url, &["--timeout=1s"]);
        assert_eq!((seen.code, table(&seen).as_str()), (code, expected), "{}", seen.all());
        assert_eq!(seen.stderr.lines().count(), 1, "{}", seen.stderr);
        let object = object(&bench, url, &["--timeout=1s"]);
        warns(&object, &[("loopback", "zoov2")]);
        assert!(object["in_step"].is_null() && object["members"][0]["in_step"].is_null(), "{object}");
        assert_eq!(object["members"][1]["hosts_file"][1], "10.0.1.13");
    }

    // And the other way round.
    let url = bench.registry(&[("zoov1", "10.0.1.12")]);
    std::fs::remove_file(bench.path("hosts")).unwrap();
    let seen = status(&bench, &url, &[]);
    assert_eq!(seen.code, 74);
    assert!(
        table(&seen)
            .ends_with("hosts could not be read\n\nNAME   REGISTRY   AGE  HOSTS FILE\nzoov1  10.0.1.12  -    unknown")
    );
    let object = object(&bench, &url, &[]);
    assert!(object["in_step"].is_null() && object["members"][0]["in_step"].is_null(), "{object}");
    let neither = status(&bench, "file:///nonexistent", &[]);
    assert_eq!((neither.code, table(&neither).as_str()), (74, ""), "{}", neither.all());
}

#[test]
fn a_store_that_hangs_leaves_time_to_ask_the_members() {
    let bench = Bench::new();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free_ports(1)[0].to_string();
    zookeeper(&format!("127.0.3.9:{port}"), "Zookeeper version: 3.8.0-5a02a05\nMode: leader\n");
    bench.write("hosts", "127.0.3.9 zoov1\n");
    let url = format!("http://{}/k", silent.local_addr().unwrap());
    let seen = status(&bench, &url, &["--probe", "--timeout=4s", "--client-port", &port]);
    assert!(seen.code == 69 && table(&seen).contains("leader 3.8.0, "), "{}", seen.all());
}
