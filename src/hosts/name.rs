//! The names that this program owns: a prefix and a number, such as `zoov3`.

use std::fmt;

/// The number of an owned name: 1 to 99999, written without leading zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Number(u32);

impl Number {
    /// Reads `[1-9][0-9]{0,4}`, and nothing else.
    #[must_use]
    pub fn parse(digits: &[u8]) -> Option<Self> {
        let plain = digits.len() <= 5 && digits.iter().all(u8::is_ascii_digit);
        if !plain || *digits.first()? == b'0' {
            return None;
        }
        let value = digits.iter().fold(0, |n, digit| n * 10 + u32::from(digit - b'0'));
        Some(Self(value))
    }

    /// The numbers from 1 to this one.
    pub fn up_to(self) -> impl Iterator<Item = Self> {
        (1..=self.0).map(Self)
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What the owned names begin with. Compared without regard to case, printed as it was given.
#[derive(Clone, Debug)]
pub struct Prefix(String);

impl Prefix {
    /// Takes a letter, then letters, digits, `-`, `_` and `.`, 58 characters at most, so that no owned name reads
    /// as an address.
    ///
    /// # Errors
    /// Says which of these does not hold.
    pub fn parse(text: &str) -> Result<Self, String> {
        if !text.starts_with(|first: char| first.is_ascii_alphabetic()) {
            return Err("it must begin with a letter".to_owned());
        }
        if !text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)) {
            return Err("it may hold letters, digits, '-', '_' and '.' only".to_owned());
        }
        if text.len() > 58 {
            return Err("it may have 58 characters at most".to_owned());
        }
        Ok(Self(text.to_owned()))
    }

    /// The number of `name` where it is an owned name.
    #[must_use]
    pub fn number(&self, name: &[u8]) -> Option<Number> {
        let (head, digits) = name.split_at_checked(self.0.len())?;
        if !head.eq_ignore_ascii_case(self.0.as_bytes()) {
            return None;
        }
        Number::parse(digits)
    }

    /// The owned name with this number.
    #[must_use]
    pub fn name(&self, number: Number) -> String {
        format!("{}{number}", self.0)
    }

    /// The next place in `text`, from `from` on, where the prefix stands.
    pub(super) fn find(&self, text: &[u8], mut from: usize) -> Option<usize> {
        let prefix = self.0.as_bytes();
        let first = *prefix.first()?;
        let (lower, upper) = (first.to_ascii_lowercase(), first.to_ascii_uppercase());
        loop {
            let hit = from + memchr::memchr2(lower, upper, text.get(from..)?)?;
            let candidate = text.get(hit..hit + prefix.len())?;
            if candidate.eq_ignore_ascii_case(prefix) {
                return Some(hit);
            }
            from = hit + 1;
        }
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_one_to_99999_without_leading_zeros() {
        let value = |text: &str| Number::parse(text.as_bytes()).map(|number| number.0);
        assert_eq!(value("1"), Some(1));
        assert_eq!(value("10"), Some(10));
        assert_eq!(value("99999"), Some(99_999));
        for refused in ["", "0", "01", "100000", "1a", "+1", "1.", " 1", "²"] {
            assert_eq!(value(refused), None, "{refused}");
        }
    }

    #[test]
    fn owned_names_are_the_prefix_and_a_number() {
        let prefix = Prefix::parse("zoov").unwrap();
        assert_eq!(prefix.number(b"zoov1"), prefix.number(b"ZooV1"));
        assert!(prefix.number(b"zoov10").is_some());
        for foreign in ["zoov", "zoo", "xzoov1", "zoov01", "zoov1.internal", "zoov1x", "zoov-1", "zoov 1", ""] {
            assert_eq!(prefix.number(foreign.as_bytes()), None, "{foreign}");
        }
        assert_eq!(prefix.name(Number(7)), "zoov7");
    }

    #[test]
    fn a_prefix_never_reads_as_an_address() {
        for refused in ["", "1", "10.0.0.", "-a", "a b", "a#", "a\n", "ü", &"a".repeat(59)] {
            assert!(Prefix::parse(refused).is_err(), "{refused}");
        }
        for taken in ["z", "zk-", "Node_", "zk.eu.", &"a".repeat(58)] {
            assert!(Prefix::parse(taken).is_ok(), "{taken}");
        }
    }

    #[test]
    fn the_prefix_is_found_in_any_case() {
        let prefix = Prefix::parse("Zo").unwrap();
        assert_eq!(prefix.find(b"z zzO zo", 0), Some(3));
        assert_eq!(prefix.find(b"z zzO zo", 4), Some(6));
        assert_eq!(prefix.find(b"z zzO zo", 7), None);
        assert_eq!(prefix.find(b"z", 0), None);
        assert_eq!(prefix.find(b"", 0), None);
    }
}
