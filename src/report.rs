//! What a call found and did: for a person, for a script, for monitoring.

use std::net::IpAddr;
use std::time::Instant;

use anyhow::Error;
use jiff::{SignedDuration, Timestamp};
use serde::{Serialize, Serializer};

use crate::console::{escaped, redacted};
use crate::failure::Failure;
use crate::hosts::{Change, What};
use crate::registry::Registry;
use crate::status::Status;
use crate::store::Store;

/// Filled as a call goes on, so that an error leaves what was known before it.
#[derive(Debug, Serialize)]
pub struct Report {
    /// What was called.
    pub command: &'static str,
    /// The code with which the call ends.
    pub exit_code: u8,
    /// Where the registry is, without what is secret in it.
    pub registry: Option<String>,
    /// How many writes the registry has seen.
    pub generation: Option<u64>,
    /// How many owned members it has.
    pub member_count: Option<usize>,
    /// How far the store's clock is ahead of this machine's.
    pub clock_offset_seconds: Option<f64>,
    /// What only this command tells.
    #[serde(flatten)]
    pub done: Done,
    /// Why it failed.
    pub error: Option<Fault>,
    /// When the work began: after the splay.
    #[serde(skip)]
    pub began: Instant,
}

/// What only one command tells.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Done {
    /// Of a pass.
    Sync {
        /// What changed; with `--dry-run` what would.
        #[serde(serialize_with = "each_change")]
        changes: Vec<Change>,
        /// Owned names in the hosts file that the registry lacks.
        kept: Vec<String>,
        /// The unified diff of `--dry-run`.
        diff: Option<Diff>,
    },
    /// Of a change to the registry.
    Member {
        /// The owned name.
        name: Option<String>,
        /// The address that is published, or was.
        address: Option<IpAddr>,
        /// What changed.
        #[serde(serialize_with = "each_change")]
        changes: Vec<Change>,
        /// Whether there was no registry before.
        created: bool,
    },
    /// Of a look at all there is.
    Status(Status),
}

/// Why a call failed.
#[derive(Debug, Serialize)]
pub struct Fault {
    /// The exit code.
    pub code: u8,
    /// What scripts know it by.
    pub kind: &'static str,
    /// Operation, object and cause.
    pub message: String,
    /// What to do about it.
    pub way_out: String,
}

impl Report {
    /// The report of a call that has done nothing yet.
    #[must_use]
    pub fn new(command: &'static str, done: Done) -> Self {
        Self {
            command,
            exit_code: 0,
            registry: None,
            generation: None,
            member_count: None,
            clock_offset_seconds: None,
            done,
            error: None,
            began: Instant::now(),
        }
    }

    /// Notes the store's clock.
    pub fn note_clock(&mut self, store: &Store) {
        self.clock_offset_seconds = store.ahead().map(|ahead| ahead.as_secs_f64());
    }

    /// The store's time, as far as it has told it.
    #[must_use]
    pub fn store_time(&self) -> Timestamp {
        let ahead = self.clock_offset_seconds.map(SignedDuration::from_secs_f64);
        Timestamp::now() + ahead.unwrap_or_default()
    }

    /// Notes what the registry is now.
    pub fn note_registry(&mut self, registry: &Registry) {
        (self.generation, self.member_count) = (Some(registry.generation), Some(registry.addresses.len()));
    }

    /// How the call ended.
    pub fn end(&mut self, result: &Result<u8, Error>) {
        match result {
            Ok(code) => self.exit_code = *code,
            Err(error) => {
                let fault = Fault::from(error);
                self.exit_code = fault.code;
                self.error = Some(fault);
            }
        }
    }

    /// What a person reads on stdout.
    #[must_use]
    pub fn text(&self) -> Vec<u8> {
        let lines = |changes: &[Change]| {
            let lines: Vec<String> = changes.iter().map(|change| format!("{change}\n")).collect();
            lines.concat()
        };
        match &self.done {
            Done::Sync { diff: Some(Diff(diff)), .. } => diff.clone(),
            Done::Sync { changes, .. } => lines(changes).into_bytes(),
            Done::Member { changes, created, .. } => {
                let registry = self.registry.as_deref().filter(|_| *created);
                let created = registry.map(|registry| format!("created {registry}\n")).unwrap_or_default();
                (created + &lines(changes)).into_bytes()
            }
            Done::Status(status) => status.to_string().into_bytes(),
        }
    }

    /// What a script reads on stdout: one object, in one line.
    #[must_use]
    pub fn json(&self) -> Vec<u8> {
        let mut text = serde_json::to_vec(self).unwrap_or_default();
        text.push(b'\n');
        text
    }
}

impl From<&Error> for Fault {
    fn from(error: &Error) -> Self {
        let failure = error.downcast_ref::<Failure>();
        let causes: Vec<String> = error.chain().map(ToString::to_string).collect();
        // The root of the chain is the way out.
        let message = causes.split_last().map(|(_, causes)| causes.join(": ")).unwrap_or_default();
        Self {
            code: failure.map_or(1, |failure| failure.code()),
            kind: failure.map_or("bug", |failure| failure.kind()),
            message: redacted(&escaped(&message)),
            way_out: failure.map(ToString::to_string).unwrap_or_default(),
        }
    }
}

#[derive(Serialize)]
struct ChangeObject<'a> {
    name: &'a str,
    change: &'static str,
    from: Option<IpAddr>,
    to: Option<IpAddr>,
}

fn each_change<S: Serializer>(changes: &[Change], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(changes.iter().map(|Change { name, what }| {
        let (change, from, to) = match *what {
            What::Readdressed(from, to) => ("readdressed", Some(from), Some(to)),
            What::Added(to) => ("added", None, Some(to)),
            What::Removed(from) => ("removed", Some(from), None),
            What::DuplicateRemoved(from) => ("duplicate_removed", Some(from), None),
            What::TakenOff(from) => ("taken_off", Some(from), None),
        };
        ChangeObject { name, change, from, to }
    }))
}

/// A diff of bytes that need not be text.
#[derive(Debug)]
pub struct Diff(pub Vec<u8>);

impl Serialize for Diff {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&String::from_utf8_lossy(&self.0))
    }
}
