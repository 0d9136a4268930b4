//! The bytes of a file in memory.

use std::fs::File;
use std::io::{self, Read};
use std::ops::Deref;

use memmap2::{Advice, MmapMut};

use super::{read_some, reserve};

/// From here on the page faults of a `Vec` would cost more than the reading: the memory is asked for in large pages.
const LARGE: u64 = 4 << 20;

/// All bytes of a file.
pub enum Text {
    /// Of a file as nearly all are.
    Small(Vec<u8>),
    /// Of a large one: the first bytes of an anonymous map.
    Large(MmapMut, usize),
}

impl Text {
    /// Reads to the end; `length` is what the file has, or had.
    pub(super) fn read(file: &mut File, length: u64) -> io::Result<Self> {
        let mut text = Vec::new();
        if length < LARGE {
            file.read_to_end(&mut text)?;
            return Ok(Self::Small(text));
        }
        let mut map = MmapMut::map_anon(usize::try_from(length).map_err(io::Error::other)? + 1)?;
        // A kernel without large pages does without.
        let _ = map.advise(Advice::HugePage);
        let mut filled = 0;
        while filled < map.len() {
            match read_some(file, &mut map[filled..])? {
                0 => return Ok(Self::Large(map, filled)),
                count => filled += count,
            }
        }
        // It has grown since.
        reserve(&mut text, map.len())?;
        text.extend_from_slice(&map);
        file.read_to_end(&mut text)?;
        Ok(Self::Small(text))
    }
}

impl Deref for Text {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Small(text) => text,
            Self::Large(map, length) => &map[..*length],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Seek, Write};

    #[test]
    fn a_file_is_read_whole_whatever_length_it_was_said_to_have() {
        let path = std::env::temp_dir().join(format!("zk-hosts-text-{}", std::process::id()));
        let mut file = File::options().read(true).write(true).create_new(true).open(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let bytes: Vec<u8> = (0..6 << 20_u32).map(|at: u32| at.to_le_bytes()[1]).collect();
        file.write_all(&bytes).unwrap();
        for length in [0, LARGE - 1, LARGE, bytes.len() as u64 - 1, bytes.len() as u64, bytes.len() as u64 + 1] {
            file.rewind().unwrap();
            assert!(*Text::read(&mut file, length).unwrap() == *bytes, "{length}");
        }
    }
}
