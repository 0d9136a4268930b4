//! ZooKeeper's myid file beside `register --claim`: a number in it is a wish, and the claimed one is written to it.

mod fixture;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use fixture::metadata::inside;
use fixture::weed::content;
use fixture::zookeeper::{Machine, machine};
use fixture::{BINARY, OLD, bench, clean, run, shell, weed, zk_hosts};

const KEY: &str = "zk.json";

#[test]
fn a_number_that_is_there_already_is_a_wish() {
    if !inside("a_number_that_is_there_already_is_a_wish") {
        return;
    }
    let (weed, [first, second]) = (weed::start(), [1, 2].map(machine));
    let claim = |machine: &Machine, myid: &str| {
        machine.bench.write("myid", myid);
        machine.register(&weed.endpoint(), KEY, "--claim --size=5")
    };
    assert!(run(&mut claim(&first, "4")).stdout.ends_with("zoov4 added 127.0.7.1\n"));
    assert_eq!(first.myid().as_deref(), Some("4"));
    let text = weed.get(KEY);
    for (machine, myid, code, says) in [
        (&second, "4\n", 75, "zoov4 is 127.0.7.1, which registered "),
        (&second, "6\n", 75, "which is more than --size"),
        (&first, "2\n", 75, "this instance holds zoov4"),
        (&second, "4 5\n", 78, "holds no number"),
        (&second, "replace this text with the cluster-unique zookeeper's instance id (1-255)\n", 78, "holds no number"),
    ] {
        let run = run(claim(machine, myid).env("ZK_HOSTS_TIMEOUT", "4s"));
        assert_eq!((run.code, run.stdout.as_str(), run.stderr.lines().count()), (code, "", 1), "{}", run.all());
        let path = machine.bench.path("myid").display().to_string();
        assert!(run.stderr.contains(says) && run.stderr.contains(&path), "{myid:?}: {}", run.all());
        assert_eq!((weed.get(KEY), machine.myid().as_deref()), (text.clone(), Some(myid)));
    }
    // The rules are the same: the holder is dead and old.
    let run = run(claim(&second, "4").args(["--force", "--claim-grace=0", "--claim-silence=0"]));
    assert_eq!(run.all(), "0\nzoov4 127.0.7.1 -> 127.0.7.2\n\n");
    assert_eq!(second.myid().as_deref(), Some("4"));
}

#[test]
fn the_claimed_number_is_written_after_the_registry() {
    if !inside("the_claimed_number_is_written_after_the_registry") {
        return;
    }
    let (weed, machine) = (weed::start(), machine(1));
    let bench = &machine.bench;
    let claim = |path: &str| {
        let register = machine.register(&weed.endpoint(), KEY, "--claim --size=5 --myid-file");
        let mut command = clean("sh");
        command.args(["-c", "umask 077; exec \"$0\" \"$@\"", BINARY]).args(register.get_args()).arg(bench.path(path));
        command.envs(register.get_envs().filter_map(|(name, value)| Some((name, value?))));
        run(&mut command)
    };
    let held = || content(&weed.get(KEY).unwrap()).1;
    let expected = BTreeMap::from([("zoov1".to_owned(), "127.0.7.1".to_owned())]);
    shell(&bench.folder, "mkdir lib etc read-only; mount -t tmpfs -o ro none read-only");
    for path in ["missing/myid", "read-only/myid"] {
        weed.remove(KEY);
        let run = claim(path);
        assert!(run.code == 74 && run.stderr.contains(path) && run.stderr.lines().count() == 1, "{}", run.all());
        assert_eq!(held(), expected, "{path}");
    }
    // Once that is mended, the slot is its own.
    shell(&bench.folder, "umount read-only; mkdir missing");
    for (path, target) in [("missing/myid", None), ("lib/myid", Some("../etc/myid")), ("lib/one", Some("two"))] {
        let target = target.inspect(|target| symlink(target, bench.path(path)).unwrap());
        assert_eq!(claim(path).all(), "0\n\n");
        assert_eq!(fs::read_link(bench.path(path)).ok().as_deref().and_then(|path| path.to_str()), target);
        assert_eq!(bench.read(path), "1\n");
        assert_eq!(fs::metadata(bench.path(path)).unwrap().permissions().mode() & 0o7777, 0o644, "{path}");
    }
    assert_eq!(held(), expected);
    assert_eq!(shell(&bench.folder, "find . -type f | sort"), "./etc/myid\n./lib/two\n./missing/myid\n");
}

#[test]
fn a_path_is_of_the_working_directory() {
    for before in ["", "./", "../in/", "../in/../in/"] {
        let (bench, url) = bench();
        shell(&bench.folder, "mkdir in; mv hosts in");
        let call = |words: String| run(zk_hosts().args(words.split(' ')).current_dir(bench.path("in")));
        let metrics = format!("--metrics-file {before}out.prom");
        let path = |name: &str| bench.path("in").join(name);
        let claim = format!("--claim --size 3 --ip 10.0.0.2 --myid-file {before}myid --timeout 5s {metrics}");
        let claimed = call(format!("register --registry {url} {claim}"));
        assert_eq!(claimed.all(), "0\nzoov2 added 10.0.0.2\n\n", "{before}");
        assert_eq!(fs::read_to_string(path("myid")).unwrap(), "2\n");
        fs::remove_file(path("out.prom")).unwrap();

        assert_eq!(fs::read_to_string(path("hosts")).unwrap(), OLD);
        let pass = call(format!("sync --registry {url} --hosts-file {before}hosts {metrics}"));
        assert_eq!((pass.code, pass.stderr.as_str()), (2, ""), "{before}: {}", pass.all());
        assert_eq!(shell(&bench.path("in"), "ls"), "hosts\nhosts.lock\nmyid\nout.prom\n", "{before}");
    }
}
