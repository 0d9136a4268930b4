//! The command line: clap types only.

pub mod values;

use std::ffi::OsString;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::builder::BoolishValueParser;
use clap::error::ErrorKind;
use clap::{Args, FromArgMatches, ValueEnum};

use crate::hosts::{Number, Prefix};
use crate::report::{Done, Report};

use values::{duration, number, timeout};

/// What to do, and how.
#[derive(Debug)]
pub enum Command {
    /// One pass.
    Sync(Sync),
    /// Publish this host.
    Register(Register),
    /// Take a member out.
    Unregister(Unregister),
    /// Look at all there is.
    Status(Status),
}

impl Command {
    /// The report of the call before it has done anything.
    #[must_use]
    pub fn report(&self) -> Report {
        let member = || Done::Member { name: None, address: None, changes: Vec::new(), created: false };
        match self {
            Self::Sync(_) => Report::new("sync", Done::Sync { changes: Vec::new(), kept: Vec::new(), diff: None }),
            Self::Register(_) => Report::new("register", member()),
            Self::Unregister(_) => Report::new("unregister", member()),
            Self::Status(_) => Report::new("status", Done::Status(crate::status::Status::default())),
        }
    }

    /// Where metrics are written; a dry run writes nothing.
    #[must_use]
    pub fn metrics_file(&self) -> Option<&Path> {
        match self {
            Self::Sync(options) if !options.dry_run => options.metrics_file.as_deref(),
            Self::Register(options) => options.metrics_file.as_deref(),
            _ => None,
        }
    }

    /// What each command takes.
    #[must_use]
    pub fn common(&self) -> &Common {
        match self {
            Self::Sync(options) => &options.common,
            Self::Register(options) => &options.common,
            Self::Unregister(options) => &options.common,
            Self::Status(options) => &options.common,
        }
    }
}

const EXIT_CODES: &str = "\
Exit codes:
  0   in step, nothing changed
  2   the hosts file was changed (--dry-run: would be); see --changed-exit-code
  64  wrong usage
  65  the registry's content was refused
  66  the registry does not exist
  69  the registry could not be had in time; the next pass tries again
  74  the hosts file could not be read or written
  75  try again: the lock is held, or another program keeps on writing the file
  77  not allowed
  78  configuration: credentials, region, endpoint, CA file

An option's environment variable counts where the option is not given; an empty one counts as not set.";

const REGISTRY: &str = "Where the registry is: s3://bucket/key, https://... (a presigned or public URL, read only), \
file:///path, or @PATH to read one of these from a file [required]";

const REGISTER_CODES: &str = "\
Exit codes:
  0   done, or already so
  64  wrong usage
  65  the registry's content was refused
  66  the registry, or its bucket, does not exist or was deleted
  69  the registry could not be had in time
  74  the myid file could not be read or written, or a file:// registry could not be written
  75  try again: the name's holder is alive, no slot is free, no quorum serves, or writers kept colliding
  77  not allowed
  78  configuration: credentials, region, endpoint, address, a store that ignores conditions

An option's environment variable counts where the option is not given; an empty one counts as not set.";

const STATUS_CODES: &str = "\
Exit codes:
  0   the hosts file is in step with the registry
  2   it is not; zk-hosts sync patches it
  64  wrong usage
  65  the registry's content was refused
  66  the registry does not exist
  69  the registry could not be had in time
  74  the hosts file could not be read
  77  not allowed
  78  configuration: credentials, region, endpoint, CA file

An option's environment variable counts where the option is not given; an empty one counts as not set.";

/// What each command takes.
#[derive(Debug, Args)]
pub struct Common {
    /// Where the registry is.
    // Not parsed here: clap prints the values that it refuses, and this one may be a secret.
    #[arg(long, value_name = "URL", env = "ZK_HOSTS_REGISTRY", help = REGISTRY)]
    pub registry: String,

    /// The owned names are NAME and a number from 1 to 99999, in any case
    #[arg(long, value_name = "NAME", env = "ZK_HOSTS_PREFIX", default_value = "zoov", value_parser = Prefix::parse)]
    pub prefix: Prefix,

    /// text for people, json for scripts: one object for every outcome
    #[arg(long, value_name = "FORM", env = "ZK_HOSTS_OUTPUT", default_value = "text")]
    pub output: Output,

    /// Bound on all network work of the call, retries included: 500ms, 20s, 2m, at most 1440m
    /// [default: 20s; register: 10m]
    #[arg(long, value_name = "DUR", env = "ZK_HOSTS_TIMEOUT", value_parser = timeout)]
    pub timeout: Option<Duration>,

    /// Trust the authorities in this file in place of the built-in ones
    /// [default: the file that AWS_CA_BUNDLE or SSL_CERT_FILE names, else the built-in ones]
    #[arg(long, value_name = "PEM", env = "ZK_HOSTS_CA_FILE")]
    pub ca_file: Option<PathBuf>,

    /// Take loopback addresses from the registry: for a test bench [default: off]
    #[arg(long)]
    pub allow_loopback: bool,

    /// Say on stderr what is done [default: off]
    #[arg(short)]
    pub verbose: bool,

    /// Print nothing but errors [default: off]
    #[arg(short, conflicts_with = "verbose")]
    pub quiet: bool,
}

/// What is printed on stdout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// Lines.
    Text,
    /// One JSON object.
    Json,
}

/// `zk-hosts sync`
#[derive(Debug, Args)]
pub struct Sync {
    /// What each command takes.
    #[command(flatten)]
    pub common: Common,

    /// The hosts file; a symbolic link is followed
    #[arg(long, value_name = "PATH", env = "ZK_HOSTS_HOSTS_FILE", default_value = "/etc/hosts")]
    pub hosts_file: PathBuf,

    /// Print what would change as a unified diff, and change nothing; needs no root [default: off]
    #[arg(long)]
    pub dry_run: bool,

    /// Remove owned names that the registry does not have; in the environment 1, 0, true, false, yes or no
    /// [default: off]
    #[arg(long, env = "ZK_HOSTS_PRUNE", value_parser = BoolishValueParser::new())]
    pub prune: bool,

    /// Wait up to this long before the pass, always the same on one host, another on the next: 500ms, 20s, 2m, at most
    /// 1440m
    #[arg(long, value_name = "DUR", env = "ZK_HOSTS_SPLAY", default_value = "0", value_parser = duration)]
    pub splay: Duration,

    /// How long to wait for another pass that holds the lock: 500ms, 20s, 2m, at most 1440m
    #[arg(long, value_name = "DUR", env = "ZK_HOSTS_LOCK_TIMEOUT", default_value = "5s", value_parser = duration)]
    pub lock_timeout: Duration,

    /// Write metrics for Prometheus (the textfile collector of its node exporter) to this file, NAME.prom
    /// [default: none]
    #[arg(long, value_name = "PATH", env = "ZK_HOSTS_METRICS_FILE")]
    pub metrics_file: Option<PathBuf>,

    /// Exit with N, 0 to 63, where the hosts file was changed
    #[arg(long, value_name = "N", env = "ZK_HOSTS_CHANGED_EXIT_CODE", default_value = "2",
        value_parser = clap::value_parser!(u8).range(0..=63))]
    pub changed_exit_code: u8,
}

/// `zk-hosts register`
#[derive(Debug, Args)]
pub struct Register {
    /// What each command takes.
    #[command(flatten)]
    pub common: Common,

    /// The number of this host's name, 1 to 99999
    /// [default: the one in --myid-file; required without that and without --claim]
    #[arg(long, value_name = "N", value_parser = number, required_unless_present_any = ["myid_file", "claim"])]
    pub id: Option<Number>,

    /// Take a number from 1 to --size: this instance's own, else a free one, else that of a holder that is gone
    /// [default: off]
    #[arg(long, requires = "size", conflicts_with = "id")]
    pub claim: bool,

    /// How many servers the ensemble has, 1 to 99999
    /// [default: as many as the registry has members; required with --claim]
    #[arg(long, value_name = "N", value_parser = number)]
    pub size: Option<Number>,

    /// ZooKeeper's myid file. Alone it gives the number; beside --id it must not say another; with --claim a number in
    /// it is the only one that will do, and where there is none, the claimed one is written
    /// [default: none]
    #[arg(long, value_name = "PATH", env = "ZK_HOSTS_MYID_FILE")]
    pub myid_file: Option<PathBuf>,

    /// The address to publish [default: the EC2 metadata service's local-ipv4, else ipv6]
    #[arg(long, value_name = "ADDR", conflicts_with = "interface")]
    pub ip: Option<IpAddr>,

    /// Publish the only global address of this interface [default: none, see --ip]
    #[arg(long, value_name = "NAME")]
    pub interface: Option<String>,

    /// The TCP port, 1 to 65535, by which a holder of the name counts as alive: its election port
    #[arg(long, value_name = "PORT", env = "ZK_HOSTS_PROBE_PORT", default_value = "3888",
        value_parser = clap::value_parser!(u16).range(1..))]
    pub probe_port: u16,

    /// The TCP port, 1 to 65535, by which the other members tell whether they serve: the clients' port
    #[arg(long, value_name = "PORT", env = "ZK_HOSTS_CLIENT_PORT", default_value = "2181",
        value_parser = clap::value_parser!(u16).range(1..))]
    pub client_port: u16,

    /// With --claim: how old a holder must be before it is replaced: 500ms, 20s, 2m, at most 1440m
    #[arg(long, value_name = "DUR", env = "ZK_HOSTS_CLAIM_GRACE", default_value = "10m", value_parser = duration)]
    pub claim_grace: Duration,

    /// With --claim: how long a holder must have been silent, three times that where its host refuses connections:
    /// 500ms, 20s, 2m, at most 1440m
    #[arg(long, value_name = "DUR", env = "ZK_HOSTS_CLAIM_SILENCE", default_value = "60s", value_parser = duration)]
    pub claim_silence: Duration,

    /// Replace a holder that is alive (not with --claim), one where no quorum serves, and a registry that was deleted
    /// [default: off]
    #[arg(long)]
    pub force: bool,

    /// Write metrics for Prometheus (the textfile collector of its node exporter) to this file, NAME.prom
    /// [default: none]
    #[arg(long, value_name = "PATH", env = "ZK_HOSTS_METRICS_FILE")]
    pub metrics_file: Option<PathBuf>,

    /// Write to a store that ignores conditions: two writers at once lose members [default: off]
    #[arg(long)]
    pub unsafe_store: bool,
}

/// `zk-hosts status`
#[derive(Debug, Args)]
pub struct Status {
    /// What each command takes.
    #[command(flatten)]
    pub common: Common,

    /// The hosts file; a symbolic link is followed
    #[arg(long, value_name = "PATH", env = "ZK_HOSTS_HOSTS_FILE", default_value = "/etc/hosts")]
    pub hosts_file: PathBuf,

    /// Ask each member's ZooKeeper (by srvr) for its mode, version and latency [default: off]
    #[arg(long)]
    pub probe: bool,

    /// The TCP port, 1 to 65535, by which the members are asked
    #[arg(long, value_name = "PORT", env = "ZK_HOSTS_CLIENT_PORT", default_value = "2181",
        value_parser = clap::value_parser!(u16).range(1..))]
    pub client_port: u16,
}

/// `zk-hosts unregister`
#[derive(Debug, Args)]
pub struct Unregister {
    /// What each command takes.
    #[command(flatten)]
    pub common: Common,

    /// The number of the name to remove.
    #[arg(long, value_name = "N", value_parser = number, help = "The number of the name to remove, 1 to 99999 [required]")]
    pub id: Number,

    /// Write to a store that ignores conditions: two writers at once lose members [default: off]
    #[arg(long)]
    pub unsafe_store: bool,
}

/// All commands. What one takes is only made when it is called: that halves what the command line costs a pass. Who
/// wants to see all of it calls `build()`.
#[must_use]
pub fn commands() -> clap::Command {
    let command = |name: &'static str, about: &'static str| clap::Command::new(name).about(about);
    clap::Command::new("zk-hosts")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Keeps the names of a ZooKeeper ensemble in the hosts file in step with a registry in S3")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .after_help(EXIT_CODES)
        .subcommand(
            command("sync", "Fetch the registry and patch the hosts file: one pass, made for a crontab")
                .defer(|command| complete(command, Sync::augment_args, EXIT_CODES)),
        )
        .subcommand(
            command("register", "Publish this host's address in the registry: made for an instance's user-data")
                .defer(|command| complete(command, Register::augment_args, REGISTER_CODES)),
        )
        .subcommand(
            command("unregister", "Take a member out of the registry")
                .defer(|command| complete(command, Unregister::augment_args, REGISTER_CODES)),
        )
        .subcommand(
            command("status", "Show members, hosts file and what is wrong: made for a person at 3 a.m.")
                .defer(|command| complete(command, Status::augment_args, STATUS_CODES)),
        )
}

/// The command with what it takes. An empty variable counts as not set, and no variable's value is printed.
fn complete(
    command: clap::Command,
    augment: fn(clap::Command) -> clap::Command,
    exit_codes: &'static str,
) -> clap::Command {
    let about = command.get_about().cloned().unwrap_or_default();
    augment(command).about(about).after_help(exit_codes).mut_args(|arg| {
        let arg = arg.hide_env_values(true);
        let is_empty = arg.get_env().and_then(std::env::var_os).is_some_and(|value| value.is_empty());
        if is_empty { arg.env(None) } else { arg }
    })
}

/// Reads the command line and the environment.
///
/// # Errors
/// clap's own, help and version among them.
pub fn parse() -> Result<Command, clap::Error> {
    read(std::env::args_os())
}

/// Reads these words, of which the first is the program, and the environment.
///
/// # Errors
/// As for [`parse`].
pub fn read<T: Into<OsString> + Clone>(words: impl IntoIterator<Item = T>) -> Result<Command, clap::Error> {
    let matches = commands().try_get_matches_from(words)?;
    match matches.subcommand() {
        Some(("register", matches)) => Register::from_arg_matches(matches).map(Command::Register),
        Some(("status", matches)) => Status::from_arg_matches(matches).map(Command::Status),
        Some(("unregister", matches)) => Unregister::from_arg_matches(matches).map(Command::Unregister),
        Some((_, matches)) => Sync::from_arg_matches(matches).map(Command::Sync),
        None => Err(clap::Error::new(ErrorKind::MissingSubcommand)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        commands().debug_assert();
    }
}
