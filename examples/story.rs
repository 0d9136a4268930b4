//! What the program is for, in under a screen and without root, S3 or ZooKeeper: a member's machine vanishes, its
//! replacement has another address, and the next pass of another host heals that host's file.

use std::fs;
use std::path::Path;

use anyhow::Result;
use zk_hosts::cli::{self, Command};
use zk_hosts::console::Console;
use zk_hosts::sync;

const HOSTS: &str = "\
127.0.0.1  localhost
127.0.1.1  host-a
10.0.1.12  zoov1
10.0.1.13  zoov2 queue   # the second of three
10.0.1.14  zoov3
";

fn main() -> Result<()> {
    let folder = std::env::temp_dir().join(format!("zk-hosts-story-{}", std::process::id()));
    fs::create_dir(&folder)?;
    let told = tell(&folder);
    fs::remove_dir_all(&folder)?;
    told
}

fn tell(folder: &Path) -> Result<()> {
    let registry =
        |second: &str| format!(r#"{{"members": {{"zoov1": "10.0.1.12", "zoov2": "{second}", "zoov3": "10.0.1.14"}}}}"#);
    fs::write(folder.join("hosts"), HOSTS)?;
    println!("The hosts file of a ZooKeeper server, in step with the registry:\n\n{HOSTS}");

    println!("The machine of zoov2 vanishes. Its replacement has another address, and the registry says so:\n");
    fs::write(folder.join("zk.json"), registry("10.0.9.7"))?;
    println!("{}\n", registry("10.0.9.7"));

    println!("One pass, as cron runs it each minute:\n");
    pass(folder)?;
    println!("\n{}", fs::read_to_string(folder.join("hosts"))?);
    println!("One more, a minute later:\n");
    pass(folder)
}

fn pass(folder: &Path) -> Result<()> {
    let (registry, hosts) = (format!("file://{}/zk.json", folder.display()), folder.join("hosts"));
    println!("$ zk-hosts sync --registry file://$PWD/zk.json --hosts-file hosts; echo \"exit $?\"");
    let call = ["zk-hosts", "sync", "--registry", &registry, "--hosts-file", &hosts.to_string_lossy()];
    let command = cli::read(call)?;
    let mut report = command.report();
    let Command::Sync(options) = &command else { unreachable!("the call says sync") };
    let code = sync::run(options, Console::default(), &mut report)?;
    println!("{}exit {code}", String::from_utf8_lossy(&report.text()));
    Ok(())
}
