//! ZooKeeper's myid file, and the data beside it.

use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::failure::Failure;
use crate::file::{create, read_regular};
use crate::hosts::Number;

/// More than any number and the white space around it take.
const LIMIT: u64 = 4096;

/// The number in the file; None where there is no file.
///
/// # Errors
/// 78 where it holds no number from 1 to 99999, 74 where it cannot be read.
pub fn read(path: &Path) -> Result<Option<Number>> {
    let text = match read_regular(path, LIMIT) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(fault("read", path, &error)),
    };
    // Debian's package brings one that says "replace this text".
    let none = || {
        let what = "it holds no number from 1 to 99999; write one, or remove it, and --claim writes it";
        format!("read the myid file {}: {what}", path.display())
    };
    Number::parse(text.trim_ascii()).map(Some).ok_or_else(|| Failure::BadSetting.because(none()))
}

/// Makes the file where there is none. A symbolic link that leads nowhere yet is followed, unless it is another user's.
///
/// # Errors
/// 74 where it cannot be written, or is there.
pub fn write(path: &Path, number: Number) -> Result<()> {
    let written = target(path).and_then(|path| create(&path, format!("{number}\n").as_bytes()));
    written.map_err(|error| fault("write", path, &error))
}

/// Whether the folder of the file, as it is named, holds what a ZooKeeper has agreed on: an epoch above 0.
#[must_use]
pub fn has_data(path: &Path) -> bool {
    let epoch = path.parent().map(|folder| folder.join("version-2/currentEpoch"));
    let text = epoch.and_then(|path| read_regular(&path, LIMIT).ok()).unwrap_or_default();
    std::str::from_utf8(text.trim_ascii()).is_ok_and(|text| text.parse().is_ok_and(|epoch: u64| epoch > 0))
}

/// Where the links lead; Debian's myid is one into /etc.
fn target(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_path_buf();
    // As many as the kernel follows.
    for _ in 0..40 {
        let metadata = match path.symlink_metadata() {
            Ok(metadata) if metadata.is_symlink() => metadata,
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => return Ok(path),
        };
        if metadata.uid() != 0 && metadata.uid() != rustix::process::geteuid().as_raw() {
            return Err(io::Error::other(format!("the symbolic link {} is another user's", path.display())));
        }
        let link = path.read_link()?;
        path = path.parent().unwrap_or(Path::new("/")).join(link);
    }
    Err(io::Error::other("too many symbolic links"))
}

fn fault(operation: &str, path: &Path, error: &io::Error) -> anyhow::Error {
    Failure::HostsFile.because(format!("{operation} the myid file {}: {error}", path.display()))
}
