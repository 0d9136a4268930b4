//! A registry in a local file. It is written as a hosts file is: under a lock, whole under another name first.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use jiff::Timestamp;

use super::{Condition, Object, Verdict, Written};
use crate::console::Console;
use crate::failure::Failure;
use crate::file::{self, NEW, beside, read_regular};
use crate::hostsfile::{HostsFile, Lock, fault};
use crate::registry::MAX_BYTES;

const LOCK_TIMEOUT: Duration = Duration::from_secs(5);

/// Reads the file, up to one byte more than a registry may have.
pub fn read(path: &Path) -> Verdict<Object> {
    match read_regular(path, MAX_BYTES as u64 + 1) {
        Ok(bytes) => Verdict::Done(Object { version: bytes.clone(), bytes }),
        Err(error) => {
            let failure = match error.kind() {
                io::ErrorKind::NotFound => Failure::NoObject,
                io::ErrorKind::PermissionDenied => Failure::NotPermitted,
                io::ErrorKind::InvalidInput => Failure::BadSetting,
                _ => Failure::StoreFault,
            };
            Verdict::Failed(failure, error.to_string())
        }
    }
}

/// Writes the file if it holds the bytes of the condition, or is absent, as that says.
pub fn write(path: &Path, bytes: &[u8], condition: Condition) -> Result<Written> {
    let old = match condition {
        Condition::Is(old) => old,
        Condition::IsAbsent => return create(path, bytes),
    };
    let file = HostsFile::find(path, Console { verbose: false, quiet: true })?;
    let lock = file.lock(LOCK_TIMEOUT)?;
    let now = file.read()?;
    let landed = *now.text == *old && file.replace(&lock, &now, &[bytes])?;
    Ok(if landed { Written::Landed } else { Written::Collided })
}

/// Makes the file whole under another name and gives it its own, which fails where one is there.
fn create(path: &Path, bytes: &[u8]) -> Result<Written> {
    if path.is_symlink() {
        return Err(Failure::BadSetting.because(format!("create {}: it is a link that leads nowhere", path.display())));
    }
    let _lock = Lock::beside(path, LOCK_TIMEOUT)?;
    match file::create(path, bytes) {
        Ok(()) => Ok(Written::Landed),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(Written::Collided),
        Err(error) => Err(fault("create", path, &error)),
    }
}

/// The file system's time: that of a file made now.
pub fn time(path: &Path) -> Result<Timestamp> {
    let _lock = Lock::beside(path, LOCK_TIMEOUT)?;
    let new = beside(path, NEW);
    let modified = file::make(&new).and_then(|file| file.metadata()?.modified());
    let _ = fs::remove_file(&new);
    let time = modified.and_then(|time| Timestamp::try_from(time).map_err(io::Error::other));
    time.map_err(|error| fault("tell the time of", path, &error))
}
