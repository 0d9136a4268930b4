//! A registry in a local file. It is written as a hosts file is: under a lock, whole under another name first.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use jiff::Timestamp;

use super::{Condition, Object, Verdict, Written};
use crate::console::Console;
use crate::failure::Failure;
use crate::file::{self, read_regular};
use crate::hostsfile::{HostsFile, Lock, fault};
use crate::registry::MAX_BYTES;

/// The part of one attempt: who does not have the lock by then tries again, as after any collision, until `--timeout`.
const LOCK_TIMEOUT: Duration = Duration::from_millis(250);

const QUIET: Console = Console { verbose: false, quiet: true };

/// Reads the file, up to one byte more than a registry may have.
pub fn read(path: &Path) -> Verdict<Object> {
    match read_regular(path, MAX_BYTES as u64 + 1) {
        Ok(bytes) => Verdict::Done(Object { version: bytes.clone(), bytes }),
        Err(error) => {
            let failure = match error.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Failure::NoObject,
                io::ErrorKind::PermissionDenied => Failure::NotPermitted,
                io::ErrorKind::InvalidInput => Failure::BadSetting,
                _ => Failure::StoreFault,
            };
            Verdict::Failed(failure, error.to_string())
        }
    }
}

/// Writes the file if it holds the bytes of the condition, or is absent, as that says.
pub fn write(path: &Path, bytes: &[u8], condition: Condition) -> Result<Verdict<Written>> {
    let written = match condition {
        Condition::Is(old) => replace(path, old, bytes),
        Condition::IsAbsent => create(&real(path)?, bytes),
    };
    match written {
        Err(error) if error.downcast_ref() == Some(&Failure::Locked) => {
            Ok(Verdict::Again(Failure::Locked, error.to_string(), None))
        }
        written => written.map(Verdict::Done),
    }
}

fn replace(path: &Path, old: &[u8], new: &[u8]) -> Result<Written> {
    let file = HostsFile::find(path, QUIET)?;
    let lock = file.lock(LOCK_TIMEOUT)?;
    let now = file.read()?;
    let landed = *now.text == *old && file.replace(&lock, &now, &[new])?;
    Ok(if landed { Written::Landed } else { Written::Collided })
}

/// Makes the file whole under another name and gives it its own, which fails where one is there.
fn create(path: &Path, bytes: &[u8]) -> Result<Written> {
    let _lock = Lock::beside(path, LOCK_TIMEOUT)?;
    match file::create(path, bytes) {
        Ok(()) => Ok(Written::Landed),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(Written::Collided),
        Err(error) => Err(fault("create", path, &error)),
    }
}

/// The file system's time, as it gives it to the lock file.
pub fn time(path: &Path) -> Result<Timestamp> {
    let path = real(path)?;
    let time = Timestamp::try_from(Lock::touch(&path)?).map_err(io::Error::other);
    time.map_err(|error| fault("tell the time of", &path, &error))
}

/// Where a link leads: a lock beside the link itself would be another one.
fn real(path: &Path) -> Result<PathBuf> {
    if !path.is_symlink() {
        return Ok(path.to_owned());
    }
    if let Ok(false) = path.try_exists() {
        return Err(Failure::BadSetting.because(format!("create {}: it is a link that leads nowhere", path.display())));
    }
    Ok(HostsFile::find(path, QUIET)?.path().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn below_a_file_there_is_none() {
        for path in ["/dev/null/zk.json", "/nowhere/zk.json"] {
            assert!(matches!(read(Path::new(path)), Verdict::Failed(Failure::NoObject, _)), "{path}");
        }
    }
}
