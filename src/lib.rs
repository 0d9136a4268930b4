//! The parts of `zk-hosts`, open to its tests, fuzz targets and examples. No public API: any of it may change at any time.

pub mod hosts;
pub mod registry;
