//! The parts of `zk-hosts`, open to its tests, fuzz targets and examples. No public API: any of it may change at any time.

#![warn(clippy::unwrap_used)]

pub mod address;
pub mod claim;
pub mod cli;
pub mod console;
pub mod credentials;
pub mod failure;
pub mod file;
pub mod hosts;
pub mod hostsfile;
pub mod imds;
pub mod metrics;
pub mod myid;
pub mod probe;
pub mod register;
pub mod registry;
pub mod report;
pub mod splay;
pub mod status;
pub mod store;
pub mod sync;
pub mod unregister;
