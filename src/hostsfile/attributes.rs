//! What the new file takes over from the old one besides its text.

use std::ffi::{CStr, CString};
use std::fs::{File, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};

use rustix::fs::{XattrFlags, fgetxattr, flistxattr, fremovexattr, fsetxattr};
use rustix::io::Errno;

const ACL: &CStr = c"system.posix_acl_access";
const SELINUX: &CStr = c"security.selinux";

/// The kernel's limit for a value and for a list of names, in bytes.
const XATTR_MAX: usize = 65_536;

/// Copies owner, mode, ACL, `SELinux` label and `user.*` attributes.
pub fn copy_attributes(old: &File, was: &Metadata, new: &File) -> io::Result<()> {
    let is = new.metadata()?;
    if (was.uid(), was.gid()) != (is.uid(), is.gid()) {
        fchown(new, Some(was.uid()), Some(was.gid()))?;
    }
    let names = attribute_names(old)?;
    if !names.iter().any(|name| name.as_c_str() == ACL) {
        // One that the directory's default ACL gave to the new file.
        match fremovexattr(new, ACL) {
            Ok(()) | Err(Errno::NODATA | Errno::NOTSUP) => {}
            Err(error) => return Err(error.into()),
        }
    }
    new.set_permissions(Permissions::from_mode(was.mode() & 0o7777))?;
    for name in &names {
        if name.as_c_str() == ACL || name.as_c_str() == SELINUX || name.as_bytes().starts_with(b"user.") {
            copy_attribute(old, new, name)?;
        }
    }
    Ok(())
}

fn attribute_names(file: &File) -> io::Result<Vec<CString>> {
    let mut list = vec![0; XATTR_MAX];
    let length = match flistxattr(file, &mut list[..]) {
        Ok(length) => length,
        Err(Errno::NOTSUP) => 0,
        Err(error) => return Err(error.into()),
    };
    let names = list[..length].split_inclusive(|byte| *byte == 0);
    Ok(names.filter_map(|name| CStr::from_bytes_with_nul(name).ok()).map(CStr::to_owned).collect())
}

fn copy_attribute(old: &File, new: &File, name: &CStr) -> io::Result<()> {
    let Some(value) = attribute(old, name)? else { return Ok(()) };
    // A label that is right already need not be set, which a policy may forbid.
    if attribute(new, name)?.as_ref() == Some(&value) {
        return Ok(());
    }
    match fsetxattr(new, name, &value, XattrFlags::empty()) {
        // On the old file's own file system that is not so for an attribute that it has; on another one the file is a mount
        // point, and is written in place.
        Err(Errno::NOTSUP) => Ok(()),
        result => result.map_err(|error| {
            io::Error::new(io::Error::from(error).kind(), format!("set {}: {error}", name.to_string_lossy()))
        }),
    }
}

fn attribute(file: &File, name: &CStr) -> io::Result<Option<Vec<u8>>> {
    let mut value = vec![0; XATTR_MAX];
    match fgetxattr(file, name, &mut value[..]) {
        Ok(length) => {
            value.truncate(length);
            Ok(Some(value))
        }
        Err(Errno::NODATA | Errno::NOTSUP) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
