//! The hosts file is replaced by rename, so that at every instant it holds the old text or the new text.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::PathBuf;

use anyhow::Result;
use rustix::fs::OFlags;

use super::attributes::copy_attributes;
use super::{HostsFile, Lock, Snapshot, cannot_create, fault};
use crate::file::{NEW, beside, flags, sync_directory};

/// How a replacement ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The new text is there, and on disk.
    Replaced,
    /// The file is not the one that was read any more, and was left alone.
    Outdated,
    /// A mount point, or a directory in which no file can be made.
    CannotRename,
}

impl HostsFile {
    /// Puts `new`, which is given in pieces, in the place of `old`, under the lock. False where the file is no longer what
    /// was read.
    ///
    /// # Errors
    /// 74 where it cannot be written, 77 where this user may not. The file holds the old text then, unless the error says
    /// that it was replaced.
    pub fn replace(&self, _lock: &Lock, old: &Snapshot, new: &[&[u8]]) -> Result<bool> {
        match self.by_rename(old, new)? {
            Outcome::Replaced => Ok(true),
            Outcome::Outdated => Ok(false),
            Outcome::CannotRename => {
                self.console.note(format!("{} cannot be renamed over: writing in place", self.path.display()));
                self.write_in_place(old, new)
            }
        }
    }

    fn by_rename(&self, old: &Snapshot, new: &[&[u8]]) -> Result<Outcome> {
        let Some(mut beside) = NewFile::create(beside(&self.path, NEW))? else {
            return Ok(Outcome::CannotRename);
        };
        beside.fill(old, new).map_err(|error| fault("write", &beside.path, &error))?;
        if !self.is_still(old)? {
            return Ok(Outcome::Outdated);
        }
        match fs::rename(&beside.path, &self.path) {
            Ok(()) => beside.renamed = true,
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => return Ok(Outcome::CannotRename),
            Err(error) => return Err(fault("replace", &self.path, &error)),
        }
        sync_directory(&self.path)
            .map_err(|error| fault("replaced, but not known to be on disk,", &self.path, &error))?;
        if old.metadata.nlink() > 1 {
            let links = old.metadata.nlink() - 1;
            self.console.warn(format!("{} has {links} more hard links, which keep the old text", self.path.display()));
        }
        Ok(Outcome::Replaced)
    }
}

/// The new file beside the old one; removed unless it was renamed.
struct NewFile {
    path: PathBuf,
    file: File,
    renamed: bool,
}

impl NewFile {
    /// None where no file can be made in the directory.
    fn create(path: PathBuf) -> Result<Option<Self>> {
        // A pass that was killed leaves one; under the lock nobody else uses it.
        match fs::remove_file(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) if cannot_create(&error) => return Ok(None),
            result => result.map_err(|error| fault("remove", &path, &error))?,
        }
        let options = flags(OFlags::NOFOLLOW);
        match OpenOptions::new().write(true).create_new(true).mode(0o600).custom_flags(options).open(&path) {
            Ok(file) => Ok(Some(Self { path, file, renamed: false })),
            Err(error) if cannot_create(&error) => Ok(None),
            Err(error) => Err(fault("create", &path, &error)),
        }
    }

    fn fill(&mut self, old: &Snapshot, new: &[&[u8]]) -> io::Result<()> {
        let mut writer = BufWriter::new(&self.file);
        new.iter().try_for_each(|piece| writer.write_all(piece))?;
        writer.flush()?;
        drop(writer);
        copy_attributes(&old.file, &old.metadata, &self.file)?;
        self.file.sync_all()
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if !self.renamed {
            let _ = fs::remove_file(&self.path);
        }
    }
}
