//! ZooKeeper's myid file, and the data beside it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::failure::Failure;
use crate::hosts::Number;
use crate::hostsfile::{NEW, beside, fault, sync_directory};
use crate::store::read_regular;

/// More than any number and the white space around it take.
const LIMIT: u64 = 4096;

/// The number in the file; None where there is no file.
///
/// # Errors
/// 78 where it holds no number from 1 to 99999; 74 and 77 where it cannot be read.
pub fn read(path: &Path) -> Result<Option<Number>> {
    let text = match read_regular(path, LIMIT) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(fault("read the myid file", path, &error)),
    };
    let none = || format!("read the myid file {}: it holds no number from 1 to 99999", path.display());
    Number::parse(text.trim_ascii()).map(Some).ok_or_else(|| Failure::BadSetting.because(none()))
}

/// Makes the file, whole and on disk, with mode 0644. A symbolic link that leads nowhere yet is followed, unless it is
/// another user's.
///
/// # Errors
/// 74 and 77 where it cannot be written.
pub fn write(path: &Path, number: Number) -> Result<()> {
    let written = target(path).and_then(|path| {
        let new = beside(&path, NEW);
        let renamed = fill(&new, number).and_then(|()| fs::rename(&new, &path));
        if renamed.is_err() {
            let _ = fs::remove_file(&new);
        }
        renamed.and_then(|()| sync_directory(&path))
    });
    written.map_err(|error| fault("write the myid file", path, &error))
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
            Ok(_) => return Ok(path),
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(path),
            Err(error) => return Err(error),
        };
        if metadata.uid() != 0 && metadata.uid() != rustix::process::geteuid().as_raw() {
            return Err(io::Error::other(format!("the symbolic link {} is another user's", path.display())));
        }
        let link = fs::read_link(&path)?;
        path = path.parent().unwrap_or(Path::new("/")).join(link);
    }
    Err(io::Error::other("too many symbolic links"))
}

fn fill(path: &Path, number: Number) -> io::Result<()> {
    // A call that was killed leaves one.
    let _ = fs::remove_file(path);
    let mut file: File = OpenOptions::new().write(true).create_new(true).mode(0o644).open(path)?;
    file.set_permissions(fs::Permissions::from_mode(0o644))?;
    file.write_all(format!("{number}\n").as_bytes())?;
    file.sync_all()
}
