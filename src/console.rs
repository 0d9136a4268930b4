//! What a call prints: results on stdout, the rest on stderr. A closed stream is no error.

use std::fmt::Display;
use std::io::Write;

/// Where a call prints, and how much.
#[derive(Clone, Copy, Debug, Default)]
pub struct Console {
    /// `-v`
    pub verbose: bool,
    /// `-q`
    pub quiet: bool,
}

impl Console {
    /// Prints a result on stdout, unless `-q` was given.
    pub fn result(self, text: &[u8]) {
        if !self.quiet {
            stdout(text);
        }
    }

    /// Prints a line on stderr if `-v` was given.
    pub fn note(self, line: impl Display) {
        if self.verbose {
            stderr(&line.to_string());
        }
    }

    /// Prints a warning on stderr, unless `-q` was given.
    pub fn warn(self, line: impl Display) {
        if !self.quiet {
            stderr(&format!("warning: {line}"));
        }
    }
}

/// Prints on stdout, `-q` or not.
pub fn stdout(text: &[u8]) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text).and_then(|()| out.flush());
}

/// Prints an error, in one line.
pub fn error(error: &anyhow::Error) {
    stderr(&format!("{error:#}"));
}

fn stderr(line: &str) {
    let _ = writeln!(std::io::stderr(), "zk-hosts: {}", redacted(&escaped(line)));
}

/// The text with its control characters written out, and those that end lines or turn their direction.
#[must_use]
pub fn escaped(text: &str) -> String {
    let turns = |c| matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars().flat_map(|c| if c.is_control() || turns(c) { c.escape_debug().collect() } else { vec![c] }).collect()
}

/// The text without what URLs in it may hide: user, password and query. The last of several guards, not the only one.
#[must_use]
pub fn redacted(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (head, url) = rest.split_at(at + 3);
        out.push_str(head);
        let (url, tail) = url.split_at(end_of_url(url));
        let (place, query) = url.split_at(url.find(['?', '#']).unwrap_or(url.len()));
        // Its path may be a URL again.
        for (nested, place) in place.split("://").enumerate() {
            let (authority, path) = place.split_at(place.find('/').unwrap_or(place.len()));
            out.push_str(if nested > 0 { "://" } else { "" });
            out.push_str(authority.rsplit('@').next().unwrap_or_default());
            out.push_str(path);
        }
        out.push_str(if query.is_empty() { "" } else { "?..." });
        // The colon of the sentence in which the URL stands.
        out.push_str(if query.ends_with(':') { ":" } else { "" });
        rest = tail;
    }
    out + rest
}

/// Where the URL ends that the text begins with: a quote may be a part of it, or close it as the word ends.
fn end_of_url(text: &str) -> usize {
    let word = text.split(|c: char| c.is_ascii_whitespace()).next().unwrap_or_default();
    let punctuation = word.trim_end_matches(|c: char| !c.is_alphanumeric()).len();
    word[punctuation..].rfind(['\'', '"']).map_or(word.len(), |quote| punctuation + quote)
}

#[cfg(test)]
mod tests {
    use super::{escaped, redacted};

    #[test]
    fn nothing_moves_the_cursor_or_turns_the_text() {
        assert_eq!(escaped("a\x1b\n\u{9b}\u{202e}\u{2028}\"é\\"), "a\\u{1b}\\n\\u{9b}\\u{202e}\\u{2028}\"é\\");
    }

    #[test]
    fn urls_lose_their_secrets() {
        let table = [
            ("no url", "no url"),
            ("https://h/k", "https://h/k"),
            ("a 'https://h/k?X-Amz-Signature=s' b", "a 'https://h/k?...' b"),
            ("https://user:pass@h:8443/k?x https://b/c#d.", "https://h:8443/k?... https://b/c?..."),
            ("http://u:p@h", "http://h"),
            ("http://u:p@h/https://u:p@h/k?x", "http://h/https://h/k?..."),
            ("'https://h/k?a='5ec2e7&b=\"5ec2e7\"': no", "'https://h/k?...': no"),
            ("'https://h/k' and \"https://h/k?a\", b", "'https://h/k' and \"https://h/k?...\", b"),
            ("fetch https://h/k?...: denied", "fetch https://h/k?...: denied"),
            ("s3://bucket/key: denied", "s3://bucket/key: denied"),
        ];
        for (text, expected) in table {
            assert_eq!(redacted(text), expected);
        }
    }
}
