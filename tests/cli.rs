//! The program as one calls it: options, environment, output and exit codes, on the embedded registry.

mod fixture;

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::process::Stdio;

use fixture::{Bench, run, zk_hosts};

const HOSTS: &str = "127.0.0.1 localhost\n10.0.0.1 zoov1\n10.0.0.8 zoov8 # kept\n";

/// A folder whose hosts file lacks zoov2 and has another zoov1 than the registry.
fn bench() -> (Bench, String) {
    let bench = Bench::new();
    bench.write("hosts", HOSTS);
    let url = bench.registry(&[("zoov1", "10.0.9.1"), ("zoov2", "2001:db8::2")]);
    (bench, url)
}

#[test]
fn a_pass_prints_its_changes_and_the_next_one_nothing() {
    let (bench, url) = bench();
    let first = bench.sync(&url, &[]);
    assert_eq!((first.code, first.stderr.as_str()), (2, ""));
    assert_eq!(first.stdout, "zoov1 10.0.0.1 -> 10.0.9.1\nzoov2 added 2001:db8::2\n");
    let expected = "127.0.0.1 localhost\n10.0.9.1 zoov1\n2001:db8::2\tzoov2\n10.0.0.8 zoov8 # kept\n";
    assert_eq!(bench.read("hosts"), expected);

    let inode = |bench: &Bench| {
        let metadata = bench.path("hosts").metadata().unwrap();
        (metadata.ino(), metadata.mtime_nsec(), metadata.ctime_nsec())
    };
    let before = inode(&bench);
    let second = bench.sync(&url, &[]);
    assert_eq!((second.code, second.stdout.as_str(), second.stderr.as_str()), (0, "", ""));
    assert_eq!(inode(&bench), before);
    assert_eq!(bench.names(), ["hosts", "hosts.lock", "zk.json"]);
}

#[test]
fn a_dry_run_prints_a_diff_and_leaves_no_trace() {
    let (bench, url) = bench();
    let dry = bench.sync(&url, &["--dry-run", "--splay", "1440m"]);
    assert_eq!((dry.code, dry.stderr.as_str()), (2, ""));
    let path = bench.path("hosts").display().to_string();
    let expected = format!(
        "--- {path}\n+++ {path}\n@@ -1,3 +1,4 @@\n 127.0.0.1 localhost\n-10.0.0.1 zoov1\n+10.0.9.1 zoov1\n\
         +2001:db8::2\tzoov2\n 10.0.0.8 zoov8 # kept\n"
    );
    assert_eq!(dry.stdout, expected);
    assert_eq!(bench.read("hosts"), HOSTS);
    assert_eq!(bench.names(), ["hosts", "zk.json"]);
    assert_eq!(bench.sync(&url, &["--dry-run", "--changed-exit-code", "0"]).code, 0);
    bench.sync(&url, &[]);
    let dry = bench.sync(&url, &["--dry-run"]);
    assert_eq!((dry.code, dry.stdout.as_str()), (0, ""));
}

#[test]
fn prune_removes_what_the_registry_lacks_and_verbose_says_what_is_kept() {
    let (bench, url) = bench();
    let kept = bench.sync(&url, &["-v"]);
    assert_eq!(kept.code, 2);
    assert!(kept.stderr.contains("generation 7, 2 members\n"), "{}", kept.stderr);
    assert!(kept.stderr.contains("zoov8 kept: the registry does not have it"), "{}", kept.stderr);
    let pruned = bench.sync(&url, &["--prune"]);
    assert_eq!((pruned.code, pruned.stdout.as_str()), (2, "zoov8 removed (was 10.0.0.8)\n"));
}

#[test]
fn quiet_prints_nothing_but_errors() {
    let (bench, url) = bench();
    let quiet = bench.sync(&url, &["-q", "--prune"]);
    assert_eq!((quiet.code, quiet.stdout.as_str(), quiet.stderr.as_str()), (2, "", ""));
    assert!(!bench.sync("file:///nonexistent", &["-q"]).stderr.is_empty());
}

#[test]
fn two_names_with_one_address_are_a_warning() {
    let (bench, _) = bench();
    let url = bench.registry(&[("zoov1", "10.0.0.1"), ("zoov3", "10.0.0.1")]);
    let run = bench.sync(&url, &[]);
    assert_eq!(run.code, 2);
    assert!(run.stderr.contains("warning: ") && run.stderr.contains("zoov1 and zoov3 have one address, 10.0.0.1"));
}

#[test]
fn the_environment_sets_what_the_command_line_does_not() {
    let (bench, url) = bench();
    let with = |variables: &[(&str, &str)], arguments: &[&str]| {
        bench.write("hosts", HOSTS);
        run(zk_hosts().arg("sync").args(arguments).envs(variables.iter().copied()).current_dir(&bench.folder))
    };
    let base = [("ZK_HOSTS_REGISTRY", url.as_str()), ("ZK_HOSTS_HOSTS_FILE", "hosts")];
    let and = |more: &[(&'static str, &'static str)]| [&base, more].concat();

    assert_eq!(with(&base, &[]).code, 2);
    assert_eq!(with(&and(&[("ZK_HOSTS_CHANGED_EXIT_CODE", "7")]), &[]).code, 7);
    assert_eq!(with(&and(&[("ZK_HOSTS_CHANGED_EXIT_CODE", "7")]), &["--changed-exit-code", "63"]).code, 63);
    assert_eq!(with(&and(&[("ZK_HOSTS_CHANGED_EXIT_CODE", "64")]), &[]).code, 64);
    let prefix = with(&and(&[("ZK_HOSTS_PREFIX", "other")]), &[]);
    assert_eq!(prefix.code, 65, "{}", prefix.stderr);
    assert_eq!(
        with(&and(&[("ZK_HOSTS_PREFIX", "ZOOV")]), &[]).stdout.lines().next(),
        Some("ZOOV1 10.0.0.1 -> 10.0.9.1")
    );
    for (value, pruned) in [("1", true), ("yes", true), ("true", true), ("0", false), ("no", false), ("false", false)] {
        let run = with(&[&base[..], &[("ZK_HOSTS_PRUNE", value)]].concat(), &[]);
        assert_eq!(run.stdout.contains("zoov8 removed"), pruned, "{value}");
    }
    assert!(with(&and(&[("ZK_HOSTS_PRUNE", "0")]), &["--prune"]).stdout.contains("zoov8 removed"));
    assert_eq!(with(&and(&[("ZK_HOSTS_PRUNE", "perhaps")]), &[]).code, 64);
    for (name, value) in [("ZK_HOSTS_TIMEOUT", "x"), ("ZK_HOSTS_SPLAY", "-1s"), ("ZK_HOSTS_LOCK_TIMEOUT", "5")] {
        assert_eq!(with(&[&base[..], &[(name, value)]].concat(), &[]).code, 64, "{name}");
    }

    let empty = ["PREFIX", "TIMEOUT", "CA_FILE", "PRUNE", "SPLAY", "LOCK_TIMEOUT", "CHANGED_EXIT_CODE"];
    let empty: Vec<(String, &str)> = empty.iter().map(|name| (format!("ZK_HOSTS_{name}"), "")).collect();
    let empty: Vec<(&str, &str)> = empty.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    assert_eq!(with(&[&base[..], &empty].concat(), &[]).code, 2);
    assert_eq!(with(&[("ZK_HOSTS_REGISTRY", "")], &["--hosts-file", "hosts"]).code, 64);
}

#[test]
fn the_registry_may_be_named_in_a_file() {
    let (bench, url) = bench();
    bench.write("url", format!("{url}\n"));
    assert_eq!(bench.sync("@url", &[]).code, 2);

    bench.write("url", "ftp://host/key?X-Amz-Signature=5ec2e7\n");
    fixture::tool(fixture::clean("mkfifo").arg(bench.path("fifo")));
    for (value, code) in [("@url", 78), ("@missing", 78), ("@fifo", 78), ("ftp://host/k?X-Amz-Signature=5ec2e7", 64)] {
        let run = bench.sync(value, &["-v"]);
        assert_eq!(run.code, code, "{}", run.all());
        assert!(!run.all().contains("5ec2e7"), "{}", run.all());
    }
}

#[test]
fn wrong_usage_is_64_and_repeats_no_secret() {
    let secret = "https://host/k?X-Amz-Signature=5ec2e7";
    let calls: [&[&str]; 9] = [
        &[],
        &["sync"],
        &["nonsense"],
        &["sync", secret],
        &["sync", "--nonsense", "--registry", secret],
        &["sync", "--registry", secret, "--timeout", "0"],
        &["sync", "--registry", secret, "--prefix", "1"],
        &["sync", "--registry", secret, "-v", "-q"],
        &["sync", "--registry", "http://example.com/k?X-Amz-Signature=5ec2e7"],
    ];
    for call in calls {
        let run = run(zk_hosts().args(call));
        assert_eq!((run.code, run.stdout.as_str()), (64, ""), "{call:?}");
        assert!(!run.stderr.is_empty() && !run.stderr.contains("5ec2e7"), "{}", run.stderr);
    }
}

#[test]
fn help_and_version_are_results() {
    for call in ["--help", "--version", "-V", "-h"] {
        let run = run(zk_hosts().arg(call));
        assert_eq!((run.code, run.stderr.as_str()), (0, ""));
        assert!(run.stdout.contains("zk-hosts"));
    }
    let help = run(zk_hosts().args(["sync", "--help"]));
    assert_eq!(help.code, 0);
    for option in ["REGISTRY", "PREFIX", "TIMEOUT", "CA_FILE", "HOSTS_FILE", "PRUNE", "SPLAY", "LOCK_TIMEOUT"] {
        assert!(help.stdout.contains(&format!("[env: ZK_HOSTS_{option}]")), "{option}");
    }
}

#[test]
fn a_closed_stdout_changes_nothing() {
    let (bench, url) = bench();
    for arguments in [&["--dry-run"][..], &[]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = bench.command(&url).args(arguments).stdout(writer).stderr(Stdio::piped()).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        assert_eq!(output.stderr, b"");
    }
    let full = File::options().write(true).open("/dev/full").unwrap();
    bench.write("hosts", HOSTS);
    assert_eq!(bench.command(&url).stdout(full).status().unwrap().code(), Some(2));
}

#[test]
fn a_registry_file_that_cannot_be_read() {
    let (bench, _) = bench();
    let url = |name: &str| format!("file://{}", bench.path(name).display());
    bench.write("html", "<html>");
    bench.write("half", r#"{"members":{"zoov1":"10.0.0.1""#);
    bench.write("large", vec![b' '; (1 << 20) + 1]);
    fixture::tool(fixture::clean("mkfifo").arg(bench.path("fifo")));
    for (name, code) in
        [("missing", 66), ("html", 65), ("half", 65), ("large", 65), ("fifo", 78), (".", 78), ("html/x", 66)]
    {
        let run = bench.sync(&url(name), &[]);
        assert_eq!(run.code, code, "{}", run.all());
        assert_eq!(run.stderr.lines().count(), 1, "{}", run.stderr);
        assert!(run.stderr.starts_with("zk-hosts: "), "{}", run.stderr);
    }
    assert_eq!(bench.read("hosts"), HOSTS);
}

#[test]
fn a_hosts_file_that_cannot_be_read() {
    let (bench, url) = bench();
    std::fs::remove_file(bench.path("hosts")).unwrap();
    let code = || {
        let run = bench.sync(&url, &[]);
        assert_eq!(run.stderr.lines().count(), 1, "{}", run.stderr);
        assert_eq!(bench.sync(&url, &["--dry-run"]).code, run.code);
        run.code
    };
    assert_eq!(code(), 74);
    fixture::shell(&bench.folder, "ln -s nowhere hosts");
    assert_eq!(code(), 74);
    fixture::shell(&bench.folder, "ln -sf hosts hosts");
    assert_eq!(code(), 74);
    fixture::shell(&bench.folder, "rm hosts; mkdir hosts");
    assert_eq!(code(), 74);
    fixture::shell(&bench.folder, "rmdir hosts; mkfifo hosts");
    assert_eq!(code(), 74);
}

#[test]
fn an_empty_file_is_believed_after_a_second_look() {
    let (bench, url) = bench();
    bench.write("hosts", "");
    assert_eq!(bench.sync(&url, &[]).code, 2);
    assert_eq!(bench.read("hosts"), "10.0.9.1\tzoov1\n2001:db8::2\tzoov2\n");
}

#[test]
fn an_editor_that_cuts_the_file_off_before_it_writes_loses_nothing() {
    let (bench, url) = bench();
    bench.write("hosts", "");
    let pass = bench.command(&url).arg("-v").stderr(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    fixture::wait_until("the pass has the hosts file open", || {
        let open = std::fs::read_dir(format!("/proc/{}/fd", pass.id())).unwrap();
        open.flatten().any(|fd| fd.path().read_link().is_ok_and(|target| target == bench.path("hosts")))
    });
    bench.write("hosts", HOSTS);
    let run: fixture::Run = pass.wait_with_output().unwrap().into();
    assert_eq!(run.stdout, "zoov1 10.0.0.1 -> 10.0.9.1\nzoov2 added 2001:db8::2\n");
    assert!(bench.read("hosts").starts_with("127.0.0.1 localhost\n"));
}

#[test]
fn a_link_that_leads_nowhere_is_no_registry_to_create() {
    let bench = Bench::new();
    fixture::shell(&bench.folder, "ln -s nowhere zk.json");
    let url = format!("file://{}", bench.path("zk.json").display());
    let run = run(zk_hosts().args(["register", "--registry", &url, "--id", "1", "--ip", "10.0.0.1"]));
    assert!(run.code == 78 && run.stderr.contains("a link that leads nowhere"), "{}", run.all());
    assert_eq!(bench.names(), ["zk.json"]);
}

/// A pass reads 128 KiB at a time before it knows that anything has to change.
#[test]
fn a_line_is_read_whole_wherever_it_stands() {
    let bench = Bench::new();
    let url = bench.registry(&[("zoov1", "10.0.9.1"), ("zoov2", "10.0.9.2")]);
    let block = 128 * 1024;
    for before in (block - 30..=block).chain(2 * block - 30..=2 * block) {
        for (line, code) in [("10.0.9.1 zoov1", 0), ("10.0.0.1 zoov1", 2)] {
            let filler = format!("# {}\n", "x".repeat(before - 3));
            bench.write("hosts", format!("{filler}{line}\n10.0.9.2 zoov2"));
            let run = bench.sync(&url, &["--dry-run"]);
            assert_eq!(run.code, code, "{before}: {}", run.all());
        }
    }
    let names = "x ".repeat(300_000);
    for (address, code) in [("10.0.9.1", 0), ("10.0.0.1", 2)] {
        bench.write("hosts", format!("10.0.9.2 zoov2\n{address} {names}zoov1"));
        assert_eq!(bench.sync(&url, &["--dry-run"]).code, code);
    }
}
