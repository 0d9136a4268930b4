//! The packages, the man pages and the completions, made by README's own commands.

mod fixture;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use fixture::{Bench, Run, clean, run, shell, tool};

const README: &str = include_str!("../README.md");
const CRON_FILE: &str = "/etc/cron.d/zk-hosts";
const COMMANDS: [&str; 4] = ["sync", "register", "unregister", "status"];

/// Where README's commands put things: made once, by the first test that wants one.
static TARGET: LazyLock<PathBuf> = LazyLock::new(|| {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let tools = root.join("target/tools/cargo/bin");
    let path = format!("{}:{}", tools.display(), std::env::var("PATH").unwrap());
    let script = README.split("## Packages\n").nth(1).and_then(|rest| rest.split("```sh\n").nth(1)).unwrap();
    let script = script.split("```").next().unwrap();
    assert!(script.contains("cargo deb") && script.contains("cargo generate-rpm"), "{script}");
    for folder in ["debian", "generate-rpm", "manual"] {
        let _ = fs::remove_dir_all(root.join("target").join(folder));
    }
    // With the environment of whoever called cargo, in which cargo finds itself.
    tool(Command::new("sh").args(["-euc", script]).current_dir(root).env("PATH", path));
    root.join("target")
});

/// The only file in a folder of the target.
fn package(folder: &str) -> PathBuf {
    let mut entries = fs::read_dir(TARGET.join(folder)).unwrap().map(|entry| entry.unwrap().path());
    let package = entries.next().unwrap();
    assert_eq!(entries.next(), None);
    package
}

fn manual(name: &str) -> String {
    TARGET.join("manual").join(name).display().to_string()
}

/// A root that has nothing but the C library, and a dpkg that knows of nothing else.
struct Root(Bench);

impl Root {
    fn new() -> Self {
        let bench = Bench::new();
        shell(
            &bench.folder,
            "mkdir -p usr/bin usr/lib usr/lib64 etc var/lib/dpkg/info var/lib/dpkg/updates
             ln -s usr/lib lib
             ln -s usr/lib64 lib64
             touch etc/passwd usr/bin/env
             cp --parents -L $(ldd /bin/true | grep -o '/[^ ]*') .
             dpkg-query --status libc6 > var/lib/dpkg/status
             : > \"var/lib/dpkg/info/libc6:$(dpkg --print-architecture).list\"",
        );
        Self(bench)
    }

    fn dpkg(&self, words: &[&str]) -> Run {
        let mut dpkg = clean("dpkg");
        // Images of containers leave documents out.
        dpkg.args(["--root", &self.0.folder.display().to_string(), "--log=/dev/null", "--path-include=/usr/*"]);
        run(dpkg.args(words))
    }

    /// All there is, without what dpkg knows.
    fn names(&self) -> BTreeSet<String> {
        let names = shell(&self.0.folder, "find . -path ./var/lib/dpkg -prune -o -printf '/%P\\n'");
        names.lines().map(str::to_owned).collect()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path(name.trim_start_matches('/'))
    }
}

fn done(run: &Run) {
    assert_eq!(run.code, 0, "{}", run.all());
}

#[test]
fn the_deb_is_installed_works_and_goes() {
    let deb = package("debian").display().to_string();
    let root = Root::new();
    let before = root.names();
    done(&root.dpkg(&["--install", &deb]));

    let version = run(clean("chroot").arg(&root.0.folder).args(["/usr/bin/zk-hosts", "--version"]));
    assert_eq!(version.all(), concat!("0\nzk-hosts ", env!("CARGO_PKG_VERSION"), "\n\n"));
    for (path, of) in [
        (CRON_FILE, "cron/zk-hosts"),
        ("/usr/lib/systemd/system/zk-hosts.service", "examples/systemd/zk-hosts.service"),
        ("/usr/lib/systemd/system/zk-hosts.timer", "examples/systemd/zk-hosts.timer"),
        ("/usr/share/doc/zk-hosts/README.md", "README.md"),
        ("/usr/share/doc/zk-hosts/examples/iam-sync.json", "examples/iam-sync.json"),
        ("/usr/share/bash-completion/completions/zk-hosts", "target/manual/zk-hosts.bash"),
        ("/usr/share/zsh/vendor-completions/_zk-hosts", "target/manual/_zk-hosts"),
        ("/usr/share/fish/vendor_completions.d/zk-hosts.fish", "target/manual/zk-hosts.fish"),
        ("/usr/share/man/man1/zk-hosts.1.gz", "target/manual/zk-hosts.1.gz"),
    ] {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(of);
        assert!(fs::read(root.path(path)).expect(path) == fs::read(source).unwrap(), "{path} is not {of}");
    }
    for command in COMMANDS {
        assert!(root.path(&format!("/usr/share/man/man1/zk-hosts-{command}.1.gz")).is_file(), "{command}");
    }
    let copyright = fs::read_to_string(root.path("/usr/share/doc/zk-hosts/copyright")).unwrap();
    assert!(copyright.contains("Apache License"), "{copyright}");

    // What a person set in the cron file stays, over an upgrade and a removal.
    let set = fs::read_to_string(root.path(CRON_FILE)).unwrap().replace("REGISTRY=\"\"", "REGISTRY=\"s3://b/k\"");
    fs::write(root.path(CRON_FILE), &set).unwrap();
    done(&root.dpkg(&["--install", &deb]));
    done(&root.dpkg(&["--remove", "zk-hosts"]));
    assert_eq!(fs::read_to_string(root.path(CRON_FILE)).unwrap(), set);
    let left: Vec<_> = root.names().difference(&before).cloned().collect();
    assert_eq!(left, ["/etc/cron.d", CRON_FILE]);
    done(&root.dpkg(&["--purge", "zk-hosts"]));
    assert_eq!(root.names(), before);
}

#[test]
fn systemd_finds_no_fault_in_the_installed_units() {
    let root = Root::new();
    done(&root.dpkg(&["--install", &package("debian").display().to_string()]));
    // What the units hang on, from this machine's systemd.
    shell(
        &root.0.folder,
        "cp -a /usr/lib/systemd/system/*.target /usr/lib/systemd/system/*.slice usr/lib/systemd/system/",
    );
    let verify = || {
        let mut analyze = clean("systemd-analyze");
        analyze.args(["verify", "--recursive-errors=no", "--man=no", "--root"]).arg(&root.0.folder);
        run(analyze.args(["zk-hosts.service", "zk-hosts.timer"]))
    };
    assert_eq!(verify().all(), "0\n\n");
    // It looks for the program that the package brings.
    fs::remove_file(root.path("/usr/bin/zk-hosts")).unwrap();
    assert_ne!(verify().code, 0);
}

#[test]
fn the_rpm_brings_the_same() {
    let rpm = package("generate-rpm");
    let query = |what: &str| tool(clean("rpm").args(["--query", "--package", what]).arg(&rpm));
    let of_deb = tool(clean("sh").args(["-euc", "dpkg-deb --fsys-tarfile $1 | tar -t", "sh"]).arg(package("debian")));
    let files = of_deb.lines().filter(|name| !name.ends_with('/')).map(|name| {
        let name = name.trim_start_matches('.');
        match name {
            "/usr/share/doc/zk-hosts/copyright" => "/usr/share/licenses/zk-hosts/LICENSE".to_owned(),
            _ => name.replace("/zsh/vendor-completions/", "/zsh/site-functions/"),
        }
    });
    let listed = query("--list");
    assert_eq!(listed.lines().map(str::to_owned).collect::<BTreeSet<_>>(), files.collect::<BTreeSet<_>>());
    assert_eq!(query("--configfiles"), format!("{CRON_FILE}\n"));
    assert_eq!(query("--scripts"), "");
    let flags = query("--queryformat=[%{FILENAMES} %{FILEFLAGS:fflags} %{FILEMODES:perms}\n]");
    assert!(flags.contains(&format!("{CRON_FILE} cn -rw-r--r--\n")), "{flags}");
    assert!(flags.contains("/usr/bin/zk-hosts  -rwxr-xr-x\n"), "{flags}");
}

#[test]
fn the_man_pages_say_what_help_says() {
    let read = |name: &str| {
        let mut man = clean("man");
        man.args(["--warnings", "--nh", "--nj", "--local-file"]).arg(manual(name));
        let page = run(man.env("MANWIDTH", "500").env("LC_ALL", "C.UTF-8"));
        assert_eq!((page.code, page.stderr.as_str()), (0, ""), "{name}");
        let words: Vec<&str> = page.stdout.split_whitespace().collect();
        words.join(" ")
    };
    for command in COMMANDS {
        let page = read(&format!("zk-hosts-{command}.1.gz"));
        let help = tool(fixture::zk_hosts().args([command, "--help"]));
        assert!(page.contains(" EXIT STATUS ") && page.contains(" ENVIRONMENT "), "{page}");
        let (options, codes) = help.split_once("Exit codes:\n").unwrap();
        for line in codes.lines().take_while(|line| !line.is_empty()) {
            let line: Vec<&str> = line.split_whitespace().collect();
            assert!(page.contains(&line.join(" ")), "{command}: {line:?}\n{page}");
        }
        let words = options.split(|c: char| c.is_whitespace() || "[]:,;".contains(c));
        for word in words.filter(|word| word.starts_with("--") || word.starts_with("ZK_HOSTS_")) {
            assert!(page.contains(word), "{command}: {word}\n{page}");
        }
    }
    let page = read("zk-hosts.1.gz");
    assert!(COMMANDS.iter().all(|command| page.contains(&format!("zk-hosts-{command}(1)"))), "{page}");
}

#[test]
fn each_shell_completes_commands_and_options() {
    let bash = "
        source $1
        COMP_WORDS=(zk-hosts reg); COMP_CWORD=1; _zk__hosts zk-hosts reg zk-hosts; echo ${COMPREPLY[*]}
        COMP_WORDS=(zk-hosts sync --spl); COMP_CWORD=2; _zk__hosts zk-hosts --spl sync; echo ${COMPREPLY[*]}";
    let done = tool(clean("bash").args(["-euc", bash, "bash", &manual("zk-hosts.bash")]));
    assert_eq!(done, "register\n--splay\n");

    let fish = "source $argv[1]; complete -C 'zk-hosts reg'; complete -C 'zk-hosts sync --spl'";
    let bench = Bench::new();
    let done = tool(clean("fish").args(["-N", "-c", fish, &manual("zk-hosts.fish")]).env("HOME", &bench.folder));
    let words: Vec<_> = done.lines().map(|line| line.split('\t').next().unwrap()).collect();
    assert_eq!(words, ["register", "--splay"]);

    // Only a terminal has zsh complete: zpty is one. What it would put on the line is what it prints.
    let zsh = "
        zmodload zsh/zpty
        zpty shell zsh -f -i
        zpty -w shell \"PS1=; fpath=(${1:h} \\$fpath); autoload -Uz compinit; compinit -D -u; echo be''gin\"
        zpty -r shell out '*begin*'
        zpty -n -w shell $'zk-hosts sync --spl\\t'
        zpty -r shell out '*--splay*'
        zpty -n -w shell $'\\C-uzk-hosts regi\\t'
        zpty -r shell out '*register*'";
    // One that completes nothing would be waited for without end.
    let mut timeout = clean("timeout");
    tool(timeout.args(["60", "zsh", "-f", "-c", zsh, "zsh", &manual("_zk-hosts")]).env("HOME", &bench.folder));
}
