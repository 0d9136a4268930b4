//! `zk-hosts status` where it takes root, a terminal or ZooKeeper: on files of distributions, and on real servers.

mod fixture;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Command;

use fixture::metadata::inside;
use fixture::namespace::{FOLDER, Namespace};
use fixture::{BINARY, Bench, Run, bench, clean, registry, run, tool, zk_hosts, zookeeper};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

/// The files of a distribution, and the kinds of warnings there.
struct Distribution<'a> {
    title: &'a str,
    files: Vec<(&'a str, &'a str)>,
    warnings: Vec<&'a str>,
}

fn distributions() -> impl Iterator<Item = Distribution<'static>> {
    include_str!("distributions.cases").split("\n### ").skip(1).map(|text| {
        let (files, warnings) = text.split_once("\n== warnings\n").expect(text);
        let (title, files) = files.split_once("\n== ").unwrap_or((files, ""));
        let files = files.split("\n== ").filter_map(|file| file.split_once('\n')).collect();
        Distribution { title, files, warnings: warnings.split_whitespace().collect() }
    })
}

#[test]
fn what_distributions_ship() {
    let (bench, _) = bench();
    fs::write(bench.path("hosts"), fixture::NEW).unwrap();
    let mut count = 0;
    for (index, Distribution { title, files, warnings }) in distributions().enumerate() {
        let root = format!("root{index}");
        for folder in ["etc", "var/lib"] {
            fs::create_dir_all(bench.path(&root).join(folder)).unwrap();
        }
        for (path, text) in &files {
            let path = bench.path(&root).join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, format!("{text}\n")).unwrap();
        }
        let namespace = Namespace::new(&bench);
        namespace.shell(&format!("mount --bind {root}/var/lib /var/lib; mount --bind {root}/etc /etc"));
        let look = |more: &str| {
            let words = format!("status --registry file://{FOLDER}/zk.json --hosts-file {FOLDER}/hosts {more}");
            run(namespace.root().arg("/srv/zk-hosts").args(words.split_whitespace()))
        };
        let (text, json) = (look(""), look("--output json"));
        assert_eq!((text.code, json.code), (0, 0), "{title}: {}", text.all());
        let object: Value = serde_json::from_str(&json.stdout).unwrap();
        let found: Vec<_> =
            object["warnings"].as_array().unwrap().iter().map(|warning| warning["kind"].as_str().unwrap()).collect();
        assert_eq!(found, warnings, "{title}: {}", text.stdout);
        for (kind, says) in [
            ("files_not_first", "put files first in its line hosts:"),
            ("cloud_init", "set manage_etc_hosts: false in /etc/cloud/cloud.cfg.d, or in the"),
        ] {
            assert_eq!(text.stdout.contains(says), warnings.contains(&kind), "{title}: {}", text.stdout);
        }
        count += 1;
    }
    assert!(count > 12);
}

/// The command on a terminal.
fn on_a_terminal(command: &Command) -> Command {
    let words: Vec<String> = command.get_args().map(|word| format!("'{}'", word.display())).collect();
    let mut script = clean("script");
    script.args(["--quiet", "--return", "--command", &format!("{BINARY} {}", words.join(" ")), "/dev/null"]);
    script.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?)))).current_dir("/");
    script
}

#[test]
fn colours_are_for_terminals() {
    let bench = Bench::new();
    bench.write("zk.json", registry(&[("zoov1", "10.0.9.1"), ("zoov2", "10.0.9.2")]));
    bench.write("hosts", "10.0.9.1 zoov1\n10.0.0.2 zoov2\n127.0.1.1 zoov2\n");
    let look = |registry: &str, variable: Option<(&str, &str)>, is_terminal: bool| {
        let mut command = zk_hosts();
        command.args(["status", "--registry", &format!("file://{}", bench.path(registry).display()), "--hosts-file"]);
        command.arg(bench.path("hosts")).envs(variable);
        let seen = if is_terminal { run(&mut on_a_terminal(&command)) } else { run(&mut command) };
        Run { stdout: seen.stdout.replace('\r', ""), ..seen }
    };
    let plain = look("zk.json", None, false);
    assert!(plain.code == 2 && !plain.stdout.contains('\x1b'), "{}", plain.all());
    let terminal = look("zk.json", None, true);
    assert_eq!(terminal.code, 2);
    for coloured in ["  \x1b[32min step\x1b[0m\n", "  \x1b[31m10.0.0.2\x1b[0m\n", "  \x1b[31m127.0.1.1\x1b[0m\n"] {
        assert!(terminal.stdout.contains(coloured), "{:?}", terminal.stdout);
    }
    let bare = terminal.stdout.replace("\x1b[32m", "").replace("\x1b[31m", "").replace("\x1b[0m", "");
    assert_eq!(bare, plain.stdout);
    assert_eq!(look("zk.json", Some(("NO_COLOR", "1")), true).stdout, plain.stdout);
    assert_eq!(look("zk.json", Some(("NO_COLOR", "")), true).stdout, terminal.stdout);
    assert!(!look("zk.json", Some(("ZK_HOSTS_OUTPUT", "json")), true).stdout.contains('\x1b'));
    // What was not compared is neither right nor wrong.
    assert!(!look("none.json", None, true).stdout.contains('\x1b'));
}

/// A ZooKeeper as far as `srvr` goes.
fn stub(address: &str, mode: &'static str) {
    let listener = TcpListener::bind(address).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            stream.read_exact(&mut [0; 4]).unwrap();
            let answer = format!("Zookeeper version: 3.8.0-5a02a05, built on 2022-02-25 08:49 UTC\nMode: {mode}\n");
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
}

/// Text without the number before each ` ms`.
fn untimed(text: &str) -> String {
    let parts = text.split(" ms").map(|part| part.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.'));
    parts.collect::<Vec<_>>().join(" ms")
}

#[test]
fn the_picture_in_readme() {
    if !inside("the_picture_in_readme") {
        return;
    }
    for ip in ["10.0.1.12", "10.0.1.14"] {
        tool(clean("ip").args(["address", "add", &format!("{ip}/32"), "dev", "lo"]));
    }
    stub("10.0.1.12:2181", "leader");
    stub("10.0.1.14:2181", "follower");
    let bench = Bench::new();
    let ago = |duration: SignedDuration| Timestamp::now() - duration;
    let (now, before) = (ago(SignedDuration::from_secs(21 * 60 + 5)), ago(SignedDuration::from_hours(75)));
    let member = |ip: &str, at: Timestamp| format!(r#"{{"ip": "{ip}", "registered_at": "{at}"}}"#);
    let [one, two, three] =
        [("10.0.1.12", before), ("10.0.9.7", now), ("10.0.1.14", before)].map(|(ip, at)| member(ip, at));
    let members = format!(r#"{{"zoov1": {one}, "zoov2": {two}, "zoov3": {three}}}"#);
    let text = format!(r#"{{"generation": 42, "updated_at": "{now}", "members": {members}}}"#);
    let url = format!("file://{}", bench.write("zk.json", text).display());
    let hosts = bench.write("hosts", "127.0.1.1 a zoov1\n10.0.1.12 zoov1\n10.0.1.13 zoov2\n10.0.1.14 zoov3\n");
    let seen = run(zk_hosts().args(["status", "--probe", "--registry", &url, "--hosts-file"]).arg(&hosts));
    assert_eq!((seen.code, seen.stderr.as_str()), (2, ""));

    let shown = include_str!("../README.md").split("## At 3 a.m.\n").nth(1).unwrap();
    let shown = shown.split("```\n").nth(2).unwrap();
    let here = shown.replace("s3://BUCKET/zk.json", &url).replace("/etc/hosts is", &format!("{} is", hosts.display()));
    // What this machine's own files add comes after it.
    let seen: String = seen.stdout.split("\nwarning: ").take(2).collect::<Vec<_>>().join("\nwarning: ");
    assert_eq!(untimed(&seen), untimed(&here));
}

#[test]
fn real_servers_that_lead_follow_are_dead_or_frozen() {
    if !inside("real_servers_that_lead_follow_are_dead_or_frozen") {
        return;
    }
    let mut ensemble = zookeeper::start(&["127.0.0.11", "127.0.0.12", "127.0.0.13"], &["127.0.0.14"]);
    let bench = Bench::new();
    let members: Vec<(String, String)> =
        ensemble.servers.iter().zip(1..).map(|(server, number)| (format!("zoov{number}"), server.ip.clone())).collect();
    let pairs: Vec<_> = members.iter().map(|(name, ip)| (name.as_str(), ip.as_str())).collect();
    let url = bench.registry(&pairs);
    let lines: Vec<_> = members.iter().map(|(name, ip)| format!("{ip} {name}\n")).collect();
    let path = bench.write("hosts", lines.concat());
    let probes = || {
        let look = |more: &[&str]| {
            let mut command = zk_hosts();
            command.args(["status", "--registry", &url, "--probe", "--allow-loopback", "--hosts-file"]).arg(&path);
            run(command.args(more))
        };
        let (text, json) = (look(&[]), look(&["--output=json"]));
        assert_eq!((text.code, json.code), (0, 0), "{}", text.all());
        let object: Value = serde_json::from_str(&json.stdout).unwrap();
        let cells =
            text.stdout.lines().skip(4).take(4).map(|line| line.split("in step     ").nth(1).unwrap().to_owned());
        let members = object["members"].as_array().unwrap().clone();
        members.into_iter().map(|member| member["probe"].clone()).zip(cells).collect::<Vec<_>>()
    };
    let modes = |probes: &[(Value, String)]| {
        let mut modes: Vec<_> =
            probes.iter().map(|(probe, _)| probe["mode"].as_str().unwrap_or("-").to_owned()).collect();
        modes[..3].sort();
        modes
    };

    let all = probes();
    assert_eq!(modes(&all), ["follower", "follower", "leader", "observer"]);
    let package = tool(clean("dpkg-query").args(["--show", "--showformat=${Version}", "zookeeper"]));
    let version = package.split('-').next().unwrap();
    for (probe, cell) in &all {
        assert_eq!(probe["version"], version);
        assert!(probe["latency_ms"].as_f64().unwrap() > 0.0);
        let expected = format!("{} {version}, ", probe["mode"].as_str().unwrap());
        assert!(cell.starts_with(&expected) && cell.ends_with(" ms"), "{cell}");
    }

    // The leader is dead and a follower frozen, so the last of three serves nobody; and the observer has nobody to observe.
    let leader = all.iter().position(|(probe, _)| probe["mode"] == "leader").unwrap();
    let [frozen, left] = [1, 2].map(|step| (leader + step) % 3);
    ensemble.servers[leader].kill();
    ensemble.servers[frozen].freeze();
    fixture::wait_until("the others notice", || {
        ensemble.servers[left].mode().is_none() && ensemble.servers[3].mode().is_none()
    });
    let rest = probes();
    for index in [leader, frozen] {
        assert_eq!(rest[index].1, "no answer");
        assert!(rest[index].0["latency_ms"].is_null() && rest[index].0["version"].is_null(), "{rest:?}");
    }
    for index in [left, 3] {
        assert!(rest[index].1.starts_with("serves nobody, "), "{rest:?}");
        assert!(rest[index].0["latency_ms"].is_number() && rest[index].0["mode"].is_null(), "{rest:?}");
    }
    ensemble.servers[frozen].wake();
    ensemble.serves(&[frozen, left]);
    assert_eq!(modes(&probes())[..3], ["-", "follower", "leader"]);
}
