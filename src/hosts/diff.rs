//! The plan as a unified diff, for `--dry-run`.

use super::plan::Edit;

const CONTEXT: usize = 3;

/// What `edits` do to `text`, in the form that `patch` reads, both files named `path`. Empty where there are no edits.
#[must_use]
pub fn unified(path: &[u8], text: &[u8], edits: &[Edit]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut edits = edits;
    let (mut seen, mut old_line, mut new_line) = (0, 1, 1);
    while let Some(first) = edits.first() {
        if out.is_empty() {
            out.extend([b"--- ", path, b"\n+++ ", path, b"\n"].concat());
        }
        let start = lines_back(text, first.at.start);
        let mut end = lines_on(text, first.at.end);
        let mut count = 1;
        while let Some(next) = edits.get(count)
            && lines_back(text, next.at.start) <= end
        {
            end = lines_on(text, next.at.end);
            count += 1;
        }
        let unchanged = lines(&text[seen..start]).count();
        (old_line, new_line) = (old_line + unchanged, new_line + unchanged);

        let hunk = Hunk::new(text, start, end, &edits[..count]);
        hunk.print(&mut out, old_line, new_line);
        (old_line, new_line) = (old_line + hunk.old, new_line + hunk.new);
        (seen, edits) = (end, &edits[count..]);
    }
    out
}

/// The lines of a hunk, and how many of them each file has.
struct Hunk {
    body: Vec<u8>,
    old: usize,
    new: usize,
}

impl Hunk {
    fn new(text: &[u8], start: usize, end: usize, edits: &[Edit]) -> Self {
        let mut hunk = Self { body: Vec::new(), old: 0, new: 0 };
        let mut from = start;
        for edit in edits {
            hunk.add(b' ', &text[from..edit.at.start]);
            hunk.add(b'-', &text[edit.at.clone()]);
            hunk.add(b'+', &edit.with);
            from = edit.at.end;
        }
        hunk.add(b' ', &text[from..end]);
        hunk
    }

    fn add(&mut self, mark: u8, text: &[u8]) {
        for line in lines(text) {
            self.body.push(mark);
            self.body.extend_from_slice(line);
            if !line.ends_with(b"\n") {
                self.body.extend_from_slice(b"\n\\ No newline at end of file\n");
            }
            self.old += usize::from(mark != b'+');
            self.new += usize::from(mark != b'-');
        }
    }

    fn print(&self, out: &mut Vec<u8>, old_line: usize, new_line: usize) {
        // A side without lines is named by the line before it. No pass leaves the new one without: a registry has members.
        let old_line = old_line - usize::from(self.old == 0);
        let header = format!("@@ -{old_line},{} +{new_line},{} @@\n", self.old, self.new);
        out.extend_from_slice(header.as_bytes());
        out.extend_from_slice(&self.body);
    }
}

fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split_inclusive(|byte| *byte == b'\n')
}

/// The start of the context before the line boundary `at`.
fn lines_back(text: &[u8], at: usize) -> usize {
    memchr::memrchr_iter(b'\n', &text[..at]).nth(CONTEXT).map_or(0, |newline| newline + 1)
}

/// The end of the context after the line boundary `at`.
fn lines_on(text: &[u8], at: usize) -> usize {
    memchr::memchr_iter(b'\n', &text[at..]).nth(CONTEXT - 1).map_or(text.len(), |newline| at + newline + 1)
}
