//! AWS's two files: `~/.aws/config` says `[profile NAME]`, `~/.aws/credentials` says `[NAME]`.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use anyhow::Result;

use crate::failure::Failure;
use crate::file::{SETTINGS, read_settings};
use crate::store::environment;

/// Keys and values. The indented lines under `s3 =` are keys such as `s3.endpoint_url`.
pub type Section = BTreeMap<String, String>;

/// The text of the file that the variable names, else of the one in the home directory. One that does not exist is empty.
///
/// # Errors
/// 78 where it cannot be read.
pub fn read(variable: &str, name: &str) -> Result<String> {
    let at_home = || environment("HOME").map(|home| PathBuf::from(home).join(".aws").join(name));
    let Some(path) = environment(variable).map(PathBuf::from).or_else(at_home) else {
        return Ok(String::new());
    };
    match read_settings(&path, SETTINGS) {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(String::new())
        }
        Err(error) => Err(Failure::BadCredentials.because(format!("read {}: {error}", path.display()))),
    }
}

/// The sections of a file by name: white space in it is one space, quotes are left out. Of two equal keys the last counts.
#[must_use]
pub fn sections(text: &str) -> BTreeMap<String, Section> {
    let mut sections = BTreeMap::new();
    let mut section: &mut Section = &mut Section::new();
    let mut parent = String::new();
    for line in text.lines() {
        let trimmed = line.trim();
        if trimmed.is_empty() || trimmed.starts_with(['#', ';']) {
            continue;
        }
        if let Some((name, _)) = trimmed.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            let name = name.replace(['"', '\''], " ").split_whitespace().collect::<Vec<_>>().join(" ");
            section = sections.entry(name).or_default();
            parent.clear();
        } else if let Some((key, value)) = trimmed.split_once('=') {
            let key = key.trim().to_ascii_lowercase();
            let value = without_comment(value.trim()).to_owned();
            if line.starts_with([' ', '\t']) && !parent.is_empty() {
                section.insert(format!("{parent}.{key}"), value);
            } else if value.is_empty() {
                parent = key;
            } else {
                section.insert(key, value);
                parent.clear();
            }
        }
    }
    sections
}

/// A value ends where white space and `#` or `;` follow.
fn without_comment(value: &str) -> &str {
    let is_comment = |at: &usize| value[*at..].trim_start().starts_with(['#', ';']);
    let end = value.match_indices([' ', '\t']).map(|(at, _)| at).find(is_comment);
    end.map_or(value, |end| value[..end].trim_end())
}
