//! Writing into the inode, where it cannot be replaced: each state is the old text, the old text and blank lines, the new
//! text and blank lines, or the new text. That holds for a kill while the span lies within one page.

use std::fs::{File, OpenOptions};
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use anyhow::Result;

use super::{HostsFile, Snapshot, fault, is_same_inode, reserve};
use crate::file::unsure;

impl HostsFile {
    /// Writes `new`, which is given in pieces, over `old`. False where the file is no longer what was read.
    pub(super) fn write_in_place(&self, old: &Snapshot, new: &[&[u8]]) -> Result<bool> {
        let failed = |error| fault("write in place", &self.path, &error);
        let new = joined(new).map_err(failed)?;
        let file = self.open(OpenOptions::new().write(true)).map_err(failed)?;
        if !is_same_inode(&file.metadata().map_err(failed)?, &old.metadata) || !self.is_still(old)? {
            return Ok(false);
        }
        overwrite(&file, &old.text, &new).map_err(failed)?;
        Ok(true)
    }
}

fn overwrite(file: &File, old: &[u8], new: &[u8]) -> io::Result<()> {
    let (old_length, new_length) = (old.len() as u64, new.len() as u64);
    let length = old.len().max(new.len());
    let (from, to) = (padded(old, length)?, padded(new, length)?);
    let span = differing(&from, &to);
    let at = span.start as u64;
    let written = || {
        // Room first, so that no byte of the old text goes before there is place for all of the new one.
        file.write_all_at(&from[old.len()..], old_length)?;
        file.write_all_at(&to[span.clone()], at)?;
        if new_length < old_length { file.set_len(new_length) } else { Ok(()) }
    };
    if let Err(error) = written() {
        let _ = file.write_all_at(&old[span.start.min(old.len())..span.end.min(old.len())], at);
        let _ = file.set_len(old_length);
        return Err(error);
    }
    file.sync_all().map_err(|error| unsure(&error))
}

fn joined(pieces: &[&[u8]]) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    reserve(&mut text, pieces.iter().map(|piece| piece.len()).sum())?;
    for piece in pieces {
        text.extend_from_slice(piece);
    }
    Ok(text)
}

/// The text and blank lines up to `length` bytes.
fn padded(text: &[u8], length: usize) -> io::Result<Vec<u8>> {
    let mut padded = Vec::new();
    reserve(&mut padded, length)?;
    padded.extend_from_slice(text);
    padded.resize(length, b'\n');
    Ok(padded)
}

/// From the first to the last byte in which two texts of one length differ.
fn differing(one: &[u8], other: &[u8]) -> Range<usize> {
    let differs = |(a, b): (&u8, &u8)| a != b;
    let start = one.iter().zip(other).position(differs).unwrap_or(one.len());
    let end = one.iter().zip(other).rposition(differs).map_or(start, |last| last + 1);
    start..end
}
