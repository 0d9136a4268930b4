//! `--metrics-file`, judged by Prometheus's own tools: promtool, and a `node_exporter` that collects it.

mod fixture;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use fixture::answers::{answer, serve};
use fixture::namespace::{FOLDER, Namespace, pass};
use fixture::weed::free_ports;
use fixture::{BINARY, Bench, NEW, OLD, Run, bench, clean, registry, run, tool, wait_until, zk_hosts};
use jiff::{SignedDuration, Timestamp};

type Metrics = BTreeMap<String, f64>;

/// The metrics in a text, by name and labels. promtool must find nothing wrong with them.
fn metrics(text: &str) -> Metrics {
    let mut promtool = clean("promtool");
    promtool.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut promtool = promtool.spawn().expect("promtool is missing: tests/run unpacks it");
    promtool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let judged = Run::from(promtool.wait_with_output().unwrap());
    assert_eq!(judged.all(), "0\n\n", "{text}");
    samples(text)
}

fn samples(text: &str) -> Metrics {
    let lines = text.lines().filter(|line| !line.starts_with('#')).map(|line| line.rsplit_once(' ').unwrap());
    lines.map(|(name, value)| (name.to_owned(), value.parse().unwrap())).collect()
}

/// A call with these words in the folder, which writes its metrics to `out.prom` there.
fn call(bench: &Bench, words: &str) -> Command {
    let mut command = zk_hosts();
    let words = format!("{words} --metrics-file /srv/out.prom").replace("/srv", bench.folder.to_str().unwrap());
    command.args(words.split(' ')).current_dir(&bench.folder).env("HOME", &bench.folder);
    command
}

/// Runs it and gives what it wrote, without what each call writes: that it is there is seen to here.
fn written(bench: &Bench, words: &str, code: i32) -> String {
    let _ = fs::remove_file(bench.path("out.prom"));
    let began = Timestamp::now().as_second();
    let run = run(&mut call(bench, words));
    assert_eq!(run.code, code, "{words}: {}", run.all());
    assert!(!bench.names().iter().any(|name| name.ends_with("-new")), "{:?}", bench.names());

    let label = format!("{{command=\"{}\"}}", words.split(' ').next().unwrap());
    let plain = |name: &str| name.strip_prefix("zk_hosts_").unwrap().strip_suffix(&label).unwrap().to_owned();
    let mut found: Metrics =
        metrics(&bench.read("out.prom")).iter().map(|(name, value)| (plain(name), *value)).collect();
    let seconds = |time: i64| f64::from(i32::try_from(time).unwrap());
    let last = found.remove("last_run_timestamp_seconds").unwrap();
    assert!(last >= seconds(began) && last <= seconds(Timestamp::now().as_second()), "{words}: {last}");
    assert!((0.0..60.0).contains(&found.remove("duration_seconds").unwrap()), "{words}");
    assert_eq!(found.remove("exit_code"), Some(f64::from(code)), "{words}");
    if let Some(offset) = found.get_mut("clock_offset_seconds") {
        // The test's store says an hour, and dates have whole seconds.
        assert!((*offset + 3600.0).abs() < 60.0, "{words}: {offset}");
        *offset = -3600.0;
    }
    let found: Vec<String> = found.iter().map(|(name, value)| format!("{name}={value}")).collect();
    found.join(" ")
}

/// The URL of a store whose clock is an hour behind.
fn behind(status: &str, body: &str) -> String {
    let then = Timestamp::now() - SignedDuration::from_hours(1);
    let date = then.strftime("Date: %a, %d %b %Y %H:%M:%S GMT").to_string();
    serve(vec![answer(status, &[&date], body)]).url()
}

#[test]
fn every_outcome_is_written() {
    let (bench, url) = bench();
    bench.write("refused", "{}");
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    bench.write("local.json", registry(&[("zoov1", "127.0.0.1")]));
    let sync = |registry: &str, more: &str| format!("sync --registry {registry} --hosts-file /srv/{more}");
    let register = |registry: &str, more: &str| format!("register --registry {registry} --timeout 2s {more}");
    let is = |words: &str, code, expected: &str| assert_eq!(written(&bench, words, code), expected, "{words}");
    let (failed, known) = ("success=0", "generation=7 members=1 success=0");
    let off = "clock_offset_seconds=-3600 success=0";

    is(&sync(&url, "hosts"), 2, "changes=1 generation=7 members=1 success=1");
    is(&sync(&url, "hosts"), 0, "changes=0 generation=7 members=1 success=1");
    bench.write("hosts", OLD);
    is(&sync(&url, "hosts --changed-exit-code 9"), 9, "changes=1 generation=7 members=1 success=1");
    let far = behind("200 OK", &registry(&[("zoov1", "10.0.9.1"), ("zoov2", "10.0.9.2")]));
    is(&sync(&far, "hosts"), 2, "changes=1 clock_offset_seconds=-3600 generation=7 members=2 success=1");
    is(&sync("file:///srv/refused", "hosts"), 65, failed);
    is(&sync("file:///srv/none", "hosts"), 66, failed);
    is(&sync("http://127.0.0.1:1/k", "hosts --timeout 1s"), 69, failed);
    is(&sync(&url, "none"), 74, known);
    bench.write("hosts", OLD);
    let lock = File::create(bench.path("hosts.lock")).unwrap();
    fs2::FileExt::lock_exclusive(&lock).unwrap();
    is(&sync(&url, "hosts --lock-timeout 0"), 75, known);
    is(&sync(&behind("403 Forbidden", ""), "hosts"), 77, off);
    is(&sync("@/srv/none", "hosts"), 78, failed);

    is(&register("file:///srv/new.json", "--id 1 --ip 10.0.0.1"), 0, "changes=1 generation=1 members=1 success=1");
    is(&register("file:///srv/new.json", "--id 1 --ip 10.0.0.1"), 0, "changes=0 generation=1 members=1 success=1");
    is(&register("file:///srv/new.json", "--id 2 --ip 10.0.0.2"), 0, "changes=1 generation=2 members=2 success=1");
    is(&register("file:///srv/refused", "--id 1 --ip 10.0.0.1"), 65, failed);
    is(&register(&url, "--myid-file /srv/none --ip 10.0.0.1"), 74, failed);
    let port = holder.local_addr().unwrap().port();
    let taken = format!("--id 1 --ip 127.0.0.9 --allow-loopback --client-port 1 --probe-port {port}");
    is(&register("file:///srv/local.json", &taken), 75, known);
    is(&register(&url, "--id 1"), 78, failed);
    let s3 = |url: &str, code, expected: &str| {
        let endpoint = url.split("/bucket").next().unwrap();
        let config = format!("[default]\nendpoint_url = {endpoint}\nregion = r\naws_access_key_id = a\n");
        fs::create_dir_all(bench.path(".aws")).unwrap();
        bench.write(".aws/config", config + "aws_secret_access_key = s\n");
        is(&register("s3://bucket/zk.json", "--id 1 --ip 10.0.0.1"), code, expected);
    };
    s3(&behind("404 Not Found", "<Code>NoSuchBucket</Code>"), 66, off);
    s3(&behind("403 Forbidden", "<Code>SignatureDoesNotMatch</Code>"), 77, off);
    s3("http://127.0.0.1:1", 69, failed);
}

#[test]
fn a_dry_run_a_wrong_call_and_the_other_commands_write_none() {
    let (bench, url) = bench();
    bench.write("out.prom", "before");
    let words = format!("sync --registry {url} --hosts-file /srv/hosts");
    assert_eq!(run(call(&bench, &words).arg("--dry-run")).code, 2);
    assert_eq!(run(call(&bench, &words).arg("--nonsense")).code, 64);
    for command in ["status", "unregister --id 1"] {
        let words = format!("{command} --registry {url}");
        assert_eq!(run(&mut call(&bench, &words)).code, 64, "{command} takes no --metrics-file");
        let words = format!("{command} --registry file:///srv/none").replace("/srv", bench.folder.to_str().unwrap());
        let mut command = zk_hosts();
        command.args(words.split(' ')).env("ZK_HOSTS_METRICS_FILE", bench.path("out.prom"));
        assert_eq!(run(&mut command).code, 66);
    }
    assert_eq!(bench.read("out.prom"), "before");
}

#[test]
fn the_file_is_replaced_whole_and_everybody_may_read_it() {
    let (bench, url) = bench();
    let words = format!("sync --registry {url} --hosts-file /srv/hosts");
    let pass = || {
        let call = call(&bench, &words);
        let mut masked = clean("sh");
        assert!(run(masked.args(["-c", "umask 077; exec \"$@\"", "sh", BINARY]).args(call.get_args())).code % 2 == 0);
    };
    pass();
    let path = bench.path("out.prom");
    let (mut old, before) = (File::open(&path).unwrap(), path.metadata().unwrap());
    assert_eq!(before.permissions().mode() & 0o7777, 0o644);
    let names = |text: &str| samples(text).into_keys().collect::<Vec<_>>();
    let expected = names(&bench.read("out.prom"));

    // What a killed call has left is in nobody's way.
    bench.write("out.prom.zk-hosts-new", "half");
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut reads = 0;
            while !done.load(Ordering::Relaxed) {
                assert_eq!(names(&bench.read("out.prom")), expected);
                reads += 1;
            }
            reads
        });
        (0..20).for_each(|_| pass());
        done.store(true, Ordering::Relaxed);
        assert!(reader.join().unwrap() > 20);
    });
    let after = path.metadata().unwrap();
    assert!(after.ino() != before.ino() && after.permissions().mode() & 0o7777 == 0o644);
    // Who has the old one open reads it to its end.
    let mut text = String::new();
    old.read_to_string(&mut text).unwrap();
    assert_eq!(names(&text), expected);
    assert_eq!(bench.names(), ["hosts", "hosts.lock", "out.prom", "zk.json"]);
}

/// A pass that is in step, and writes nothing but its metrics.
fn in_step() -> (Bench, impl Fn(&Bench) -> Command) {
    let (bench, url) = bench();
    bench.write("hosts", NEW);
    (bench, move |bench: &Bench| call(bench, &format!("sync --registry {url} --hosts-file /srv/hosts")))
}

#[test]
fn of_passes_at_once_one_writes_and_all_are_silent() {
    let (bench, pass) = in_step();
    assert_eq!(run(&mut pass(&bench)).all(), "0\n\n");
    let names = |text: &str| samples(text).into_keys().collect::<Vec<_>>();
    let (expected, done) = (names(&bench.read("out.prom")), AtomicBool::new(false));
    let runs = thread::scope(|scope| {
        let reader = scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                assert_eq!(names(&bench.read("out.prom")), expected);
            }
        });
        let mut runs: Vec<Run> = Vec::new();
        for _ in 0..4 {
            let start = |mut pass: Command| pass.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
            let passes: Vec<Child> = (0..32).map(|_| start(pass(&bench))).collect();
            runs.extend(passes.into_iter().map(|pass| Run::from(pass.wait_with_output().unwrap())));
        }
        done.store(true, Ordering::Relaxed);
        reader.join().map(|()| runs)
    });
    let runs = runs.unwrap();
    assert!(runs.iter().all(|run| run.all() == "0\n\n"), "{runs:?}");
    assert_eq!(bench.names(), ["hosts", "out.prom", "zk.json"]);
}

/// With the new file before it has the lock on it, or before it writes to it.
#[test]
fn a_pass_that_is_slow_to_write_is_left_alone() {
    for call in ["flock", "write"] {
        let (bench, pass) = in_step();
        let mut slow = clean("strace");
        slow.args(["-f", "-o", "/dev/null", "-e", &format!("inject={call}:delay_enter=1500000:when=1"), BINARY]);
        slow.args(pass(&bench).get_args()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let slow = slow.spawn().expect("strace is missing: tests/run installs it");
        wait_until("its new file is there", || bench.path("out.prom.zk-hosts-new").exists());
        assert_eq!(run(&mut pass(&bench)).all(), "0\n\n", "{call}");
        assert_eq!(Run::from(slow.wait_with_output().unwrap()).all(), "0\n\n", "{call}");
        metrics(&bench.read("out.prom"));
        assert_eq!(bench.names(), ["hosts", "out.prom", "zk.json"], "{call}");
    }
}

#[test]
fn who_has_the_new_file_has_it_until_he_ends() {
    let (bench, pass) = in_step();
    let new = File::create(bench.write("out.prom.zk-hosts-new", "half")).unwrap();
    fs2::FileExt::lock_exclusive(&new).unwrap();
    assert_eq!(run(&mut pass(&bench)).all(), "0\n\n");
    assert!(!bench.path("out.prom").exists() && bench.path("out.prom.zk-hosts-new").exists());
    fs2::FileExt::unlock(&new).unwrap();
    assert_eq!(run(&mut pass(&bench)).all(), "0\n\n");
    metrics(&bench.read("out.prom"));
    assert_eq!(bench.names(), ["hosts", "out.prom", "zk.json"]);
}

#[test]
fn a_file_that_cannot_be_written_is_a_warning_and_no_other_code() {
    let (bench, url) = bench();
    fs::create_dir_all(bench.path("folder.prom/in")).unwrap();
    for (path, why) in [("none/out.prom", "No such file or directory"), ("folder.prom", "directory")] {
        for (registry, code, code_after) in [(url.as_str(), 2, 0), ("file:///none", 66, 66)] {
            bench.write("hosts", OLD);
            for code in [code, code_after] {
                let run = bench.sync(registry, &["--metrics-file", path]);
                assert_eq!(run.code, code, "{}", run.all());
                let warning = run.stderr.lines().last().unwrap();
                let begin = format!("zk-hosts: warning: write the metrics to {path}: ");
                assert!(warning.starts_with(&begin) && warning.contains(why), "{warning}");
                assert_eq!(run.stderr.lines().count(), 1 + usize::from(code == 66), "{}", run.all());
            }
        }
    }
    assert!(bench.path("folder.prom/in").is_dir());
    assert_eq!(bench.names(), ["folder.prom", "hosts", "hosts.lock", "zk.json"]);
    assert_eq!(bench.sync(&url, &["-q", "--metrics-file", "none/out.prom"]).all(), "2\n\n");

    // A user without rights in a folder of root's.
    let namespace = Namespace::new(&bench);
    let metrics_file = format!("{FOLDER}/out.prom");
    let run = run(namespace.nobody().args(pass("hosts")).args(["--metrics-file", &metrics_file]));
    assert_eq!(run.code, 0, "{}", run.all());
    assert!(run.stderr.contains("warning: write the metrics to /srv/bench/out.prom: "), "{}", run.all());
    assert!(run.stderr.contains("Permission denied"), "{}", run.all());
}

/// `node_exporter` with its textfile collector alone; it ends with this value.
struct Exporter {
    process: Child,
    port: u16,
}

impl Exporter {
    fn start(bench: &Bench) -> Self {
        let port = free_ports(1)[0];
        let mut command = clean("prometheus-node-exporter");
        command.args(["--collector.disable-defaults", "--collector.textfile", "--log.level=error"]);
        command.arg(format!("--collector.textfile.directory={}", bench.folder.display()));
        command.arg(format!("--web.listen-address=127.0.0.1:{port}"));
        let process = command.spawn().expect("prometheus-node-exporter is missing: tests/run unpacks it");
        let exporter = Self { process, port };
        wait_until("node_exporter serves", || exporter.scrape().is_some());
        exporter
    }

    fn scrape(&self) -> Option<String> {
        let mut answer = ureq::get(format!("http://127.0.0.1:{}/metrics", self.port)).call().ok()?;
        answer.body_mut().read_to_string().ok()
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn node_exporter_collects_both_commands_files() {
    let (bench, url) = bench();
    let url = url.as_str();
    let exporter = Exporter::start(&bench);
    let calls: [(&[&str], i32); 2] =
        [(&["sync", "--hosts-file", "hosts"], 2), (&["register", "--id", "2", "--ip", "10.0.9.2"], 0)];
    for (words, code) in calls {
        let file = format!("zk-hosts-{}.prom", words[0]);
        let mut command = zk_hosts();
        command.args(words).args(["--registry", url, "--metrics-file", &file]).current_dir(&bench.folder);
        assert_eq!(run(&mut command).code, code);
    }
    // What a killed call leaves is not collected.
    bench.write("zk-hosts-sync.prom.zk-hosts-new", "zk_hosts_half{");

    let scraped = exporter.scrape().unwrap();
    let found = samples(&scraped);
    assert!(scraped.contains("\nnode_textfile_scrape_error 0\n"), "{scraped}");
    let of_files = metrics(&(bench.read("zk-hosts-sync.prom"))).into_iter();
    let expected: Metrics = of_files.chain(metrics(&bench.read("zk-hosts-register.prom"))).collect();
    let ours: Metrics = found.clone().into_iter().filter(|(name, _)| name.starts_with("zk_hosts_")).collect();
    assert_eq!((ours.len(), &ours), (14, &expected), "{scraped}");
    for file in ["zk-hosts-sync.prom", "zk-hosts-register.prom"] {
        let path = bench.path(file);
        let name = format!("node_textfile_mtime_seconds{{file={path:?}}}");
        let modified = f64::from(i32::try_from(path.metadata().unwrap().mtime()).unwrap());
        assert!((found[&name] - modified).abs() < 1.0, "{scraped}");
    }
    for line in bench.read("zk-hosts-sync.prom").lines().filter(|line| line.starts_with('#')) {
        assert_eq!(scraped.matches(&format!("{line}\n")).count(), 1, "{line}: {scraped}");
    }

    // The rules ask for what is there.
    for word in include_str!("../examples/alerts.yaml").split(|c: char| !c.is_ascii_alphanumeric() && c != '_') {
        let is_asked = word.starts_with("zk_hosts_") || word.starts_with("node_textfile_");
        assert!(
            !is_asked || word == "zk_hosts_clock_offset_seconds" || scraped.contains(&format!("\n{word}{{")),
            "{word}"
        );
    }
}

#[test]
fn the_rules_are_valid_and_fire_when_they_should() {
    let promtool = |words: &[&str]| tool(clean("promtool").args(words).current_dir(env!("CARGO_MANIFEST_DIR")));
    assert!(
        promtool(&["check", "rules", "--lint=all", "--lint-fatal", "examples/alerts.yaml"]).contains("4 rules found")
    );
    assert!(promtool(&["test", "rules", "tests/alerts.test.yaml"]).contains("SUCCESS"));
}
