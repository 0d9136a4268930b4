//! Small files that are read whole and made whole.

use std::fs::{self, File, Metadata, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, OFlags, RenameFlags, makedev, renameat_with};
use rustix::io::Errno;

/// What a new file's name ends with, until it is the file.
pub const NEW: &str = ".zk-hosts-new";

/// The most that a file of settings, or a token, may hold.
pub const SETTINGS: u64 = 1 << 20;

/// Reads a regular file, up to `limit` bytes.
///
/// # Errors
/// Those of the system, and `InvalidInput` where it is no regular file.
pub fn read_regular(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let (file, metadata) = open(path)?;
    read(file, &metadata, limit)
}

/// Reads a file that somebody's settings name, which must not hold more than `limit` bytes, some MiB. `/dev/null`, by which
/// one says that there is none, is empty.
///
/// # Errors
/// Those of the system, and `InvalidInput` where it is no regular file or too large.
pub fn read_settings(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let (file, metadata) = open(path)?;
    if metadata.file_type().is_char_device() && metadata.rdev() == makedev(1, 3) {
        return Ok(Vec::new());
    }
    let bytes = read(file, &metadata, limit + 1)?;
    if bytes.len() as u64 > limit {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("larger than {} MiB", limit >> 20)));
    }
    Ok(bytes)
}

fn open(path: &Path) -> io::Result<(File, Metadata)> {
    // Without NONBLOCK a FIFO would be waited for without end.
    let file = OpenOptions::new().read(true).custom_flags(flags(OFlags::NONBLOCK)).open(path)?;
    let metadata = file.metadata()?;
    Ok((file, metadata))
}

fn read(file: File, metadata: &Metadata, limit: u64) -> io::Result<Vec<u8>> {
    if !metadata.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    // With room for the end too, it is found by one read more.
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len().min(limit)).unwrap_or(0) + 1);
    file.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Makes a file with mode 0644, whole and on disk.
///
/// # Errors
/// Those of the system, `AlreadyExists` where something has the name.
pub fn create(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let new = beside(path, NEW);
    let filled = make(&new, 0o644).and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()));
    let created = filled.and_then(|()| name(&new, path));
    if created.is_err() {
        let _ = fs::remove_file(&new);
    }
    created.and_then(|()| sync_directory(path).map_err(|error| unsure(&error)))
}

/// Renames a file, unless something has the name.
fn name(new: &Path, path: &Path) -> io::Result<()> {
    match renameat_with(CWD, new, CWD, path, RenameFlags::NOREPLACE) {
        // What file systems say that do not know how to. A kill between the two calls leaves both names.
        Err(Errno::INVAL | Errno::NOSYS) => fs::hard_link(new, path).and_then(|()| fs::remove_file(new)),
        result => result.map_err(io::Error::from),
    }
}

/// Makes an empty file with this mode, in the place of what a killed call has left.
///
/// # Errors
/// Those of the system, with the path.
pub fn make(path: &Path, mode: u32) -> io::Result<File> {
    let open = || {
        match fs::remove_file(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            result => result?,
        }
        let file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
        file.set_permissions(Permissions::from_mode(mode))?;
        Ok(file)
    };
    open().map_err(|error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
}

/// Whether it is a regular file of this user's.
#[must_use]
pub fn is_own(metadata: &Metadata) -> bool {
    metadata.is_file() && metadata.uid() == rustix::process::geteuid().as_raw()
}

/// As `custom_flags` takes them.
#[must_use]
pub fn flags(flags: OFlags) -> i32 {
    // The bits of open(2) are an int.
    flags.bits().cast_signed()
}

/// The path of a file beside another one.
#[must_use]
pub fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(suffix);
    path.into()
}

/// The error of a file that is written, and may be lost with the power.
#[must_use]
pub fn unsure(error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("it is written, but not known to be on disk: {error}"))
}

/// Makes sure that the name of a new file is on disk.
///
/// # Errors
/// Those of the system.
pub fn sync_directory(path: &Path) -> io::Result<()> {
    let Some(directory) = path.parent() else { return Ok(()) };
    // A bare name's is empty.
    let directory = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
    match File::open(directory)?.sync_all() {
        // What file systems say that do not know how to.
        Err(error) if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) => Ok(()),
        result => result,
    }
}
