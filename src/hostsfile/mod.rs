//! The hosts file on disk: the only code that locks, reads and writes it.

mod attributes;
mod in_place;
mod lock;
mod replace;

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use rustix::fs::OFlags;

use crate::console::Console;
use crate::failure::Failure;

pub use lock::Lock;

/// How long an empty file is looked at again, because an editor may have cut it off and be about to write.
const EMPTY_FOR: Duration = Duration::from_secs(1);

/// A hosts file, by the path to which symbolic links lead.
pub struct HostsFile {
    path: PathBuf,
    console: Console,
}

/// The file's text at one moment, and the inode that held it.
pub struct Snapshot {
    /// All its bytes.
    pub text: Vec<u8>,
    file: File,
    metadata: Metadata,
}

impl HostsFile {
    /// Follows `path` to the real file.
    ///
    /// # Errors
    /// 74 where nothing is there, 77 where this user may not look.
    pub fn find(path: &Path, console: Console) -> Result<Self> {
        let path = fs::canonicalize(path).map_err(|error| fault("find", path, &error))?;
        Ok(Self { path, console })
    }

    /// The real path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the whole file.
    ///
    /// # Errors
    /// 74 where it is missing, not a regular file or unreadable; 77 where this user may not read it.
    pub fn read(&self) -> Result<Snapshot> {
        let believed = Instant::now() + EMPTY_FOR;
        loop {
            let snapshot = self.read_once().map_err(|error| fault("read", &self.path, &error))?;
            if !snapshot.text.is_empty() || Instant::now() >= believed {
                return Ok(snapshot);
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn read_once(&self) -> io::Result<Snapshot> {
        let mut file = self.open(OpenOptions::new().read(true))?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::other("not a regular file"));
        }
        let mut text = Vec::new();
        file.read_to_end(&mut text)?;
        Ok(Snapshot { text, file, metadata })
    }

    /// Opens the path itself: never through a symbolic link put there since, never waiting for a FIFO's other end.
    fn open(&self, options: &mut OpenOptions) -> io::Result<File> {
        options.custom_flags(flags(OFlags::NOFOLLOW | OFlags::NONBLOCK)).open(&self.path)
    }

    /// Whether the path still leads to the inode and the bytes of `old`, with the attributes that they had.
    fn is_still(&self, old: &Snapshot) -> Result<bool> {
        match self.read_once() {
            Ok(now) => {
                let ctime = |of: &Snapshot| (of.metadata.ctime(), of.metadata.ctime_nsec());
                Ok(is_same_inode(&now.metadata, &old.metadata) && ctime(&now) == ctime(old) && now.text == old.text)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(fault("read again", &self.path, &error)),
        }
    }
}

fn is_same_inode(one: &Metadata, other: &Metadata) -> bool {
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

fn flags(flags: OFlags) -> i32 {
    // The bits of open(2) are an int.
    flags.bits().cast_signed()
}

/// The error of an operation on the hosts file or a file beside it.
pub(crate) fn fault(operation: &str, path: &Path, error: &io::Error) -> anyhow::Error {
    let failure = match error.kind() {
        io::ErrorKind::PermissionDenied => Failure::NotPermitted,
        _ => Failure::HostsFile,
    };
    failure.because(format!("{operation} {}: {error}", path.display()))
}

/// Whether nothing can be made in the directory at all, as in a container. A full disk is not that.
fn cannot_create(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem)
}
