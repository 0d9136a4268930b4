//! A registry in a local file.

use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::Result;
use rustix::fs::OFlags;

use crate::failure::Failure;
use crate::registry::MAX_BYTES;

/// Reads the file, up to one byte more than a registry may have.
pub fn get(path: &Path) -> Result<Vec<u8>> {
    read(path).map_err(|error| {
        let failure = match error.kind() {
            io::ErrorKind::NotFound => Failure::NoObject,
            io::ErrorKind::PermissionDenied => Failure::NotPermitted,
            io::ErrorKind::InvalidInput => Failure::BadSetting,
            _ => Failure::StoreFault,
        };
        failure.because(error)
    })
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    // Without NONBLOCK a FIFO would be waited for without end.
    let file = OpenOptions::new().read(true).custom_flags(OFlags::NONBLOCK.bits().cast_signed()).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    let mut bytes = Vec::new();
    file.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}
