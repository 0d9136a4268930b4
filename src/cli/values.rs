//! PURE: the values of options.

use std::time::Duration;

use crate::hosts::Number;

/// Reads `500ms`, `20s`, `2m` or `0`: a day at most.
///
/// # Errors
/// What to give in its place.
pub fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let factor = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "" if number == "0" => 1,
        _ => return Err("give a whole number and ms, s or m, such as 500ms, 20s or 2m".to_owned()),
    };
    let millis = number.parse::<u64>().ok().and_then(|number| number.checked_mul(factor));
    match millis {
        Some(millis) if millis <= 86_400_000 => Ok(Duration::from_millis(millis)),
        _ => Err("a number of a day (1440m) at most is needed".to_owned()),
    }
}

/// Reads the number of an owned name.
///
/// # Errors
/// What to give in its place.
pub fn number(text: &str) -> Result<Number, String> {
    Number::parse(text.as_bytes()).ok_or_else(|| "give a number from 1 to 99999".to_owned())
}

/// Reads a duration longer than 0.
///
/// # Errors
/// What to give in its place.
pub fn timeout(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        Duration::ZERO => Err("it must be longer than 0".to_owned()),
        timeout => Ok(timeout),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, millis) in
            [("0", 0), ("0s", 0), ("500ms", 500), ("20s", 20_000), ("2m", 120_000), ("1440m", 86_400_000)]
        {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for refused in ["", "5", "s", "-1s", "1.5s", "1 s", "1h", "1S", "+1s", "1441m", "99999999999999999999s", "１s"]
        {
            assert!(duration(refused).is_err(), "{refused}");
        }
        assert!(timeout("0").is_err() && timeout("1ms").is_ok());
    }
}
