//! `zk-hosts status`: the registry, the hosts file and the members, for a person at 3 a.m.

mod system;
mod table;

use std::collections::BTreeMap;
use std::fs;
use std::io::IsTerminal;
use std::net::IpAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::cli;
use crate::console::Console;
use crate::hosts::{self, Number, Prefix, is_loopback};
use crate::hostsfile::HostsFile;
use crate::probe::{self, Answer};
use crate::registry::{Holder, Registry};
use crate::report::{Done, Report};
use crate::store::{self, CLOCK_OFFSET, Client, Location, environment};

use system::{asked_before_files, manages_hosts, never_resolves_again};

/// The default of `--timeout`.
const TIMEOUT: Duration = Duration::from_secs(20);

/// How much of `--timeout` is kept for the members.
const PROBES: Duration = Duration::from_secs(2);

/// A presigned URL that ends sooner is worth a word.
const URL_ENDS: SignedDuration = SignedDuration::from_hours(24);

/// All there is to tell.
#[derive(Debug, Default, Serialize)]
pub struct Status {
    /// The hosts file.
    pub hosts_file: String,
    /// Whether a pass would change nothing; null where that could not be found out.
    pub in_step: Option<bool>,
    /// When the registry was written, by the store's clock.
    pub updated_at: Option<String>,
    /// The names, by number.
    pub members: Vec<Row>,
    /// What is wrong besides.
    pub warnings: Vec<Warning>,
    /// The first line that a person reads.
    #[serde(skip)]
    pub summary: Option<String>,
    /// Whether a person reads it on a terminal that shows colours.
    #[serde(skip)]
    pub colours: bool,
}

/// An owned name.
#[derive(Debug, Serialize)]
pub struct Row {
    /// The name.
    pub name: String,
    /// Its address in the registry.
    pub address: Option<IpAddr>,
    /// The instance that is published with it.
    pub instance_id: Option<String>,
    /// How long ago it was registered, by the store's clock.
    pub age_seconds: Option<i64>,
    /// Its addresses in the hosts file.
    pub hosts_file: Vec<IpAddr>,
    /// Whether the hosts file has just what the registry has; a name that the registry lacks is kept. Null where one of
    /// them could not be had.
    pub in_step: Option<bool>,
    /// What its ZooKeeper answers; null without `--probe`.
    pub probe: Option<Probe>,
}

/// What a ZooKeeper answers.
#[derive(Debug, Serialize)]
pub struct Probe {
    /// leader, follower, observer or standalone; null where it serves nobody, or does not answer.
    pub mode: Option<String>,
    /// Its version.
    pub version: Option<String>,
    /// How long the answer took; null where there was none.
    pub latency_ms: Option<f64>,
}

/// Something that is wrong, or will be.
#[derive(Debug, Serialize)]
pub struct Warning {
    /// What scripts know it by.
    pub kind: &'static str,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub way_out: &'static str,
}

/// Looks at all there is, and tells what is known even where a part of it cannot be had. Gives the exit code: 0 where the
/// hosts file is in step.
///
/// # Errors
/// Any of [`crate::failure::Failure`].
pub fn run(options: &cli::Status, console: Console, report: &mut Report) -> Result<u8> {
    let common = &options.common;
    let location = Location::read(&common.registry)?;
    report.registry = Some(location.to_string());
    let (timeout, began) = (common.timeout.unwrap_or(TIMEOUT), Instant::now());
    // A store that hangs leaves time to ask the members.
    let reserved = if options.probe { PROBES.min(timeout / 4) } else { Duration::ZERO };
    let client = Client::new(timeout.saturating_sub(reserved), common.ca_file.clone());

    let text = HostsFile::find(&options.hosts_file, console).and_then(|file| file.read()).map(|file| file.text);
    let fetched = store::fetch(&location, &client, report, console);
    let registry = fetched.and_then(|bytes| Seen::new(&bytes, &location, options, report));

    let in_file = text.as_ref().ok().map(|text| hosts::addresses(text, &common.prefix));
    let in_registry = registry.as_ref().ok();
    let mut members = rows(&common.prefix, in_registry, in_file.as_ref());
    if options.probe {
        ask(&mut members, options.client_port, timeout.saturating_sub(began.elapsed()));
    }
    let in_step = match (&text, in_registry) {
        (Ok(text), Some(seen)) => Some(hosts::plan(text, &common.prefix, &seen.addresses(), false).edits.is_empty()),
        _ => None,
    };
    let shared = in_registry.map(|seen| seen.shared.as_slice()).unwrap_or_default();
    let warnings = warnings(&location, report, &members, shared, Path::new("/"));
    let hosts_file = options.hosts_file.display().to_string();
    report.done = Done::Status(Status {
        summary: in_registry.map(|seen| seen.summary(&location, &hosts_file, in_step)),
        updated_at: in_registry.and_then(|seen| seen.updated_at).map(|time| time.to_string()),
        colours: std::io::stdout().is_terminal() && environment("NO_COLOR").is_none(),
        hosts_file,
        in_step,
        members,
        warnings,
    });
    text?;
    registry?;
    Ok(if in_step == Some(true) { 0 } else { 2 })
}

/// The registry as it was found, and when, by the store's clock.
struct Seen {
    now: Timestamp,
    generation: u64,
    updated_at: Option<Timestamp>,
    holders: BTreeMap<Number, Holder>,
    shared: Vec<String>,
}

impl Seen {
    fn new(bytes: &[u8], location: &Location, options: &cli::Status, report: &mut Report) -> Result<Self> {
        let common = &options.common;
        let registry = Registry::parse(bytes, &common.prefix, common.allow_loopback)
            .with_context(|| format!("read {location}"))?;
        report.note_registry(&registry);
        let now = report.store_time();
        Ok(Self {
            now,
            generation: registry.generation,
            updated_at: registry.updated_at(),
            holders: registry.holders(&common.prefix),
            shared: registry.shared_addresses(&common.prefix),
        })
    }

    fn addresses(&self) -> BTreeMap<Number, IpAddr> {
        self.holders.iter().map(|(number, holder)| (*number, holder.ip)).collect()
    }

    fn since(&self, then: Option<Timestamp>) -> Option<i64> {
        then.map(|then| self.now.duration_since(then).as_secs())
    }

    fn summary(&self, location: &Location, hosts_file: &str, in_step: Option<bool>) -> String {
        let written = self.since(self.updated_at).map(|seconds| {
            let ago = if seconds < 0 { "" } else { " ago" };
            format!(", written {}{ago}", table::age(seconds))
        });
        let step = match in_step {
            Some(true) => "is in step",
            Some(false) => "is not in step: zk-hosts sync patches it",
            None => "could not be read",
        };
        let generation = self.generation;
        format!("{location}: generation {generation}{}\n{hosts_file} {step}\n", written.unwrap_or_default())
    }
}

fn rows(prefix: &Prefix, seen: Option<&Seen>, in_file: Option<&BTreeMap<Number, Vec<IpAddr>>>) -> Vec<Row> {
    let mut numbers: Vec<Number> = in_file.iter().flat_map(|in_file| in_file.keys()).copied().collect();
    numbers.extend(seen.iter().flat_map(|seen| seen.holders.keys()));
    numbers.sort_unstable();
    numbers.dedup();
    let row = |number: Number| {
        let holder = seen.and_then(|seen| seen.holders.get(&number));
        let address = holder.map(|holder| holder.ip);
        let hosts_file = in_file.and_then(|in_file| in_file.get(&number)).cloned().unwrap_or_default();
        let is_right = address.is_none_or(|address| hosts_file == [address]);
        Row {
            name: prefix.name(number),
            address,
            instance_id: holder.and_then(|holder| holder.instance_id.clone()),
            age_seconds: seen.and_then(|seen| seen.since(holder?.registered_at)),
            in_step: seen.and(in_file).map(|_| is_right),
            hosts_file,
            probe: None,
        }
    };
    numbers.into_iter().map(row).collect()
}

/// Asks the servers side by side: where the registry says that they are, else where the hosts file does.
fn ask(members: &mut [Row], port: u16, left: Duration) {
    let address = |row: &Row| row.address.or_else(|| row.hosts_file.first().copied());
    let addresses: Vec<IpAddr> = members.iter().filter_map(address).collect();
    let answers: BTreeMap<IpAddr, Option<Answer>> = probe::ask(&addresses, port, left).into_iter().collect();
    for row in members {
        let answer = address(row).and_then(|address| answers.get(&address)?.as_ref());
        row.probe = Some(Probe {
            mode: answer.and_then(|answer| answer.mode.clone()),
            version: answer.and_then(|answer| answer.version.clone()),
            latency_ms: answer.map(|answer| answer.latency.as_secs_f64() * 1_000.0),
        });
    }
}

/// What is wrong. `root` is where the system's files are.
fn warnings(location: &Location, report: &Report, members: &[Row], shared: &[String], root: &Path) -> Vec<Warning> {
    let mut warnings = Vec::new();
    let mut warn = |kind, message, way_out| warnings.push(Warning { kind, message, way_out });
    if let Some(offset) = report.clock_offset_seconds.filter(|offset| offset.abs() > CLOCK_OFFSET.as_secs_f64()) {
        let way = if offset > 0.0 { "behind" } else { "ahead of" };
        let message = format!("this machine's clock is {:.0} s {way} the store's", offset.abs());
        warn(
            "clock_off",
            message,
            "set it (chronyc tracking, timedatectl); until then requests are signed by the store's",
        );
    }
    let read = |path: &str| fs::read_to_string(root.join(path)).unwrap_or_default();
    if let Some(service) = asked_before_files(&read("etc/nsswitch.conf")) {
        let message = format!("/etc/nsswitch.conf asks {service} before files for host names");
        warn(
            "files_not_first",
            message,
            "put files first in its line hosts:, or what the hosts file says may not count",
        );
    }
    for row in members {
        for address in row.hosts_file.iter().filter(|address| is_loopback(**address) && row.address != Some(**address))
        {
            let message = format!("{} stands on a line of {address} in the hosts file", row.name);
            warn(
                "loopback",
                message,
                "zk-hosts sync takes it off; a ZooKeeper that starts with that under its own name never joins",
            );
        }
        if let Some(version) = row
            .probe
            .as_ref()
            .and_then(|probe| probe.version.as_deref())
            .filter(|version| never_resolves_again(version))
        {
            let message =
                format!("{} runs ZooKeeper {version}, which keeps the addresses of its peers for ever", row.name);
            warn("zookeeper_too_old", message, "upgrade it to 3.4.7 or newer, or from 3.5 to 3.5.4 or newer");
        }
    }
    let files = cloud_config_files(root);
    if files.iter().filter_map(|path| manages_hosts(&fs::read_to_string(path).ok()?)).next_back() == Some(true) {
        let message = "cloud-init writes /etc/hosts anew at each boot (manage_etc_hosts)".to_owned();
        warn(
            "cloud_init",
            message,
            "set manage_etc_hosts: false in /etc/cloud/cloud.cfg.d, or in the user-data where that sets it",
        );
    }
    // By the store's clock, which it may have told with its refusal.
    let now = report.store_time();
    if let Some(left) = location.ends().map(|end| end.duration_since(now)).filter(|left| *left < URL_ENDS) {
        let message = if left.is_negative() {
            "the presigned URL has ended".to_owned()
        } else {
            format!("the presigned URL ends in {}", table::age(left.as_secs()))
        };
        warn(
            "url_ends",
            message,
            "make a new one (aws s3 presign), or give the instance a role and name s3://bucket/key",
        );
    }
    for shared in shared {
        let way_out = "unregister the one whose machine is gone, or let its replacement register";
        warn("shared_address", shared.clone(), way_out);
    }
    warnings
}

/// What cloud-init reads, in its order: later files count.
fn cloud_config_files(root: &Path) -> Vec<std::path::PathBuf> {
    let folder = fs::read_dir(root.join("etc/cloud/cloud.cfg.d"));
    let mut files: Vec<_> = folder.into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "cfg"));
    files.sort();
    files.insert(0, root.join("etc/cloud/cloud.cfg"));
    // That of the user-data.
    files.push(root.join("var/lib/cloud/instance/cloud-config.txt"));
    files
}
