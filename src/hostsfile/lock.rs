//! One pass at a time.

use std::fs::{File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use anyhow::Result;
use rustix::fs::OFlags;

use super::{HostsFile, cannot_create, fault, is_same_inode};
use crate::failure::Failure;
use crate::file::{beside, flags, is_own};

/// Held until it is dropped.
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Waits up to `timeout` for the lock file beside `path`.
    ///
    /// # Errors
    /// 75 where another process holds it for that long; 74 where it is not one of ours; 74 or 77 where none can be made.
    pub fn beside(path: &Path, timeout: Duration) -> Result<Self> {
        match Self::take(path, Instant::now() + timeout)? {
            Ok(lock) => Ok(lock),
            Err(error) => Err(fault("lock", &beside(path, ".lock"), &error)),
        }
    }

    /// The file system's time, which it gives to the lock file beside `path`. That need not be held, so nobody is waited for.
    ///
    /// # Errors
    /// As for [`Lock::beside`], but for 75.
    pub fn touch(path: &Path) -> Result<SystemTime> {
        let touched = Self::open(path)?.and_then(|file| {
            // To set the length is a change, also to the one that it has.
            file.set_len(file.metadata()?.len())?;
            file.metadata()?.modified()
        });
        touched.map_err(|error| fault("tell the time of", &beside(path, ".lock"), &error))
    }

    /// The inner error says that no file can be made there.
    fn take(path: &Path, until: Instant) -> Result<io::Result<Self>> {
        let file = match Self::open(path)? {
            Ok(file) => file,
            Err(error) => return Ok(Err(error)),
        };
        wait(&file, &beside(path, ".lock"), until)?;
        Ok(Ok(Self { _file: file }))
    }

    /// The inner error says that no file can be made there.
    fn open(path: &Path) -> Result<io::Result<File>> {
        let path = beside(path, ".lock");
        let options = flags(OFlags::NOFOLLOW | OFlags::NONBLOCK);
        // A file of our own that is never replaced: a lock on the hosts file ends with its inode at the next rename, and
        // any user who may read it could hold it.
        match OpenOptions::new().read(true).write(true).create(true).mode(0o600).custom_flags(options).open(&path) {
            Ok(file) => take_ownership(&file, &path).map(|()| Ok(file)),
            // One that is there and that this user may not open is held by those who may: no other lock is as good.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied && path.symlink_metadata().is_ok() => {
                Err(fault("lock", &path, &error))
            }
            Err(error) if cannot_create(&error) => Ok(Err(error)),
            Err(error) => Err(fault("lock", &path, &error)),
        }
    }
}

impl HostsFile {
    /// Waits up to `timeout` for the lock file beside the hosts file; where none can be made, for a lock on the hosts file.
    ///
    /// # Errors
    /// 75 where another process holds it for that long; 74 where the lock file is not one of ours, 77 where it is another's.
    pub fn lock(&self, timeout: Duration) -> Result<Lock> {
        let until = Instant::now() + timeout;
        match Lock::take(&self.path, until)? {
            Ok(lock) => Ok(lock),
            Err(error) => {
                let path = beside(&self.path, ".lock");
                let made = format!("no lock file can be made ({}: {error})", path.display());
                self.console.note(format!("{made}: locking the hosts file"));
                self.lock_itself(until)
            }
        }
    }

    fn lock_itself(&self, until: Instant) -> Result<Lock> {
        let failed = |error| fault("lock", &self.path, &error);
        loop {
            let file = self.open(OpenOptions::new().read(true)).map_err(failed)?;
            wait(&file, &self.path, until)?;
            let now = self.path.symlink_metadata().map_err(failed)?;
            if is_same_inode(&file.metadata().map_err(failed)?, &now) {
                return Ok(Lock { _file: file });
            }
        }
    }
}

/// Makes sure that nobody else can open the lock file, and so hold the lock.
fn take_ownership(file: &File, path: &Path) -> Result<()> {
    let failed = |error| fault("lock", path, &error);
    let metadata = file.metadata().map_err(failed)?;
    if !is_own(&metadata) {
        return Err(failed(io::Error::other("not a regular file of this user; remove it")));
    }
    // Then it may be a link to another file of ours: its mode is not for us to change, and whoever has that open can hold it.
    if metadata.nlink() != 1 {
        return Err(failed(io::Error::other("a file that has other names too; remove it")));
    }
    if metadata.mode() & 0o077 != 0 {
        file.set_permissions(Permissions::from_mode(0o600)).map_err(failed)?;
    }
    Ok(())
}

fn wait(file: &File, path: &Path, until: Instant) -> Result<()> {
    loop {
        match fs2::FileExt::try_lock_exclusive(file) {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.raw_os_error() != fs2::lock_contended_error().raw_os_error() => {
                return Err(fault("lock", path, &error));
            }
            Err(_) if Instant::now() >= until => {
                return Err(Failure::Locked.because(format!("lock {}: another process holds it", path.display())));
            }
            Err(_) => thread::sleep(Duration::from_millis(20)),
        }
    }
}
