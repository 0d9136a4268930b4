//! The hosts file on disk: the only code that locks, reads and writes it.

mod attributes;
mod in_place;
mod lock;
mod replace;
mod text;

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read, Seek};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use rustix::fs::OFlags;

use crate::console::Console;
use crate::failure::Failure;
use crate::file::flags;
use crate::hosts::{Prefix, lines_with};

pub use lock::Lock;
pub use text::Text;

/// How long an empty file is looked at again, because an editor may have cut it off and be about to write.
const EMPTY_FOR: Duration = Duration::from_secs(1);

/// How much is read at once where the whole text is not needed.
const BLOCK: usize = 128 * 1024;

/// A hosts file, by the path to which symbolic links lead.
pub struct HostsFile {
    path: PathBuf,
    console: Console,
}

/// The file's text at one moment, and the inode that held it.
pub struct Snapshot {
    /// All its bytes.
    pub text: Text,
    file: File,
    metadata: Metadata,
}

impl HostsFile {
    /// Follows `path` to the real file.
    ///
    /// # Errors
    /// 74 where nothing is there, 77 where this user may not look.
    pub fn find(path: &Path, console: Console) -> Result<Self> {
        let failed = |error| fault("find", path, &error);
        let real = fs::canonicalize(path).map_err(failed)?;
        if real != path {
            // That has read each link itself. The kernel knows better: it follows none that another user put into a folder
            // that all may write, such as /tmp.
            path.metadata().map_err(failed)?;
        }
        Ok(Self { path: real, console })
    }

    /// The real path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the lines in which the prefix stands: all that it takes to find that nothing has to change. The memory for a
    /// large file would cost more than the reading.
    ///
    /// # Errors
    /// As for [`HostsFile::read`].
    pub fn lines_with(&self, prefix: &Prefix) -> Result<Vec<u8>> {
        self.believed(|| {
            let (mut file, _) = self.open_regular()?;
            let (mut lines, mut buffer, mut filled) = (Vec::new(), vec![0; BLOCK], 0);
            loop {
                let count = read_some(&mut file, &mut buffer[filled..])?;
                filled += count;
                let text = &buffer[..filled];
                // The last line may be cut.
                let end =
                    if count == 0 { filled } else { memchr::memrchr(b'\n', text).map_or(0, |newline| newline + 1) };
                for line in lines_with(&text[..end], prefix) {
                    reserve(&mut lines, line.len())?;
                    lines.extend_from_slice(&text[line]);
                }
                if count == 0 {
                    return Ok((lines, file.stream_position()? == 0));
                }
                buffer.copy_within(end..filled, 0);
                filled -= end;
                if filled == buffer.len() {
                    reserve(&mut buffer, filled)?;
                    buffer.resize(2 * filled, 0);
                }
            }
        })
    }

    /// Reads the whole file.
    ///
    /// # Errors
    /// 74 where it is missing, not a regular file or unreadable; 77 where this user may not read it.
    pub fn read(&self) -> Result<Snapshot> {
        self.believed(|| {
            let (mut file, metadata) = self.open_regular()?;
            let text = Text::read(&mut file, metadata.len())?;
            let is_empty = text.is_empty();
            Ok((Snapshot { text, file, metadata }, is_empty))
        })
    }

    /// Reads until the file is not empty, or has been for long enough: `read` gives what it read, and whether that is all
    /// of an empty file.
    fn believed<T>(&self, read: impl Fn() -> io::Result<(T, bool)>) -> Result<T> {
        let until = Instant::now() + EMPTY_FOR;
        loop {
            let (read, is_empty) = read().map_err(|error| fault("read", &self.path, &error))?;
            if !is_empty || Instant::now() >= until {
                return Ok(read);
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn open_regular(&self) -> io::Result<(File, Metadata)> {
        let file = self.open(OpenOptions::new().read(true))?;
        let metadata = file.metadata()?;
        if metadata.is_file() { Ok((file, metadata)) } else { Err(io::Error::other("not a regular file")) }
    }

    /// Opens the path itself: never through a symbolic link put there since, never waiting for a FIFO's other end.
    fn open(&self, options: &mut OpenOptions) -> io::Result<File> {
        options.custom_flags(flags(OFlags::NOFOLLOW | OFlags::NONBLOCK)).open(&self.path)
    }

    /// Whether the path still leads to the inode and the bytes of `old`, with the attributes that they had.
    fn is_still(&self, old: &Snapshot) -> Result<bool> {
        let ctime = |metadata: &Metadata| (metadata.ctime(), metadata.ctime_nsec());
        let is_same = || -> io::Result<bool> {
            let (file, now) = self.open_regular()?;
            let is_same = is_same_inode(&now, &old.metadata) && ctime(&now) == ctime(&old.metadata);
            Ok(is_same && holds(file, &old.text)?)
        };
        match is_same() {
            Ok(is_same) => Ok(is_same),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(fault("read again", &self.path, &error)),
        }
    }
}

/// Whether a file's bytes are just these.
fn holds(mut file: File, mut text: &[u8]) -> io::Result<bool> {
    let mut buffer = vec![0; BLOCK];
    loop {
        let count = read_some(&mut file, &mut buffer)?;
        match text.split_at_checked(count) {
            Some((same, rest)) if *same == buffer[..count] => text = rest,
            _ => return Ok(false),
        }
        if count == 0 {
            return Ok(text.is_empty());
        }
    }
}

/// A read that no signal ends, as those of std that read everything are.
fn read_some(file: &mut File, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match file.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// Room for what grows with the file, of whatever size somebody has made that.
fn reserve(bytes: &mut Vec<u8>, more: usize) -> io::Result<()> {
    bytes
        .try_reserve(more)
        .map_err(|_| io::Error::new(io::ErrorKind::OutOfMemory, "it is too large for this machine's memory"))
}

pub(crate) fn is_same_inode(one: &Metadata, other: &Metadata) -> bool {
    (one.dev(), one.ino()) == (other.dev(), other.ino())
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
