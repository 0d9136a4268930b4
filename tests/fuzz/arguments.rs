//! Durations, numbers, prefixes, the place of the registry, and what is printed of it.

#![no_main]

use std::collections::BTreeSet;
use std::sync::LazyLock;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use zk_hosts::cli::values::{duration, number, timeout};
use zk_hosts::console::{escaped, redacted};
use zk_hosts::hosts::Prefix;
use zk_hosts::store::Location;

/// All that is said of a place that is refused.
static REFUSALS: LazyLock<BTreeSet<String>> = LazyLock::new(|| {
    let long = format!("s3://b/{}", "k".repeat(1025));
    let refused =
        ["", "https:///k", "https://u:p@h/", "https://h/#", "http://h/", "file://h/k", "s3://", "s3://b/", &long];
    refused.map(|place| format!("{:#}", Location::read(place).unwrap_err())).into()
});

fuzz_target!(|data: &[u8]| {
    let Ok(text) = str::from_utf8(data) else { return };
    durations(text);
    numbers_and_prefixes(text);
    // A file would be read.
    if !text.starts_with('@') {
        places(text);
    }
    what_is_printed(text);
});

fn durations(text: &str) {
    let number = |unit| text.strip_suffix(unit).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
    let millis = [("ms", 1), ("s", 1000), ("m", 60_000)]
        .into_iter()
        .find_map(|(unit, factor)| Some(number(unit)?.parse::<u64>().ok()?.checked_mul(factor)?));
    let millis = if text == "0" { Some(0) } else { millis }.filter(|millis| *millis <= 86_400_000);
    assert_eq!(duration(text).ok(), millis.map(Duration::from_millis));
    assert_eq!(timeout(text).ok(), millis.filter(|millis| *millis > 0).map(Duration::from_millis));
}

fn numbers_and_prefixes(text: &str) {
    let value = text.parse::<u32>().ok().filter(|value| (1..=99_999).contains(value) && value.to_string() == text);
    assert_eq!(number(text).ok().map(|number| number.to_string()), value.map(|value| value.to_string()));
    if let Ok(prefix) = Prefix::parse(text) {
        let name = prefix.name(number("99999").unwrap());
        assert!(name.len() <= 63 && name.parse::<std::net::IpAddr>().is_err());
        assert!(!name.contains(|c: char| c.is_whitespace() || c.is_control() || c == '#'));
        assert_eq!(prefix.number(name.to_ascii_uppercase().as_bytes()), number("99999").ok());
        assert_eq!(prefix.number(text.as_bytes()), None);
    }
}

fn places(text: &str) {
    let location = match Location::read(text) {
        Ok(location) => location,
        // What was refused may be a secret: it is not repeated.
        Err(error) => return assert!(REFUSALS.contains(&format!("{error:#}")), "{error:#}"),
    };
    let shown = location.to_string();
    let _ = location.ends();
    match &location {
        Location::S3 { bucket, key } => {
            assert_eq!(text, format!("s3://{bucket}/{key}"));
            assert_eq!(shown, text);
            assert!(!bucket.is_empty() && !bucket.contains('/') && !key.contains(char::is_control));
            let url = format!("https://h/{key}");
            let parts = key.split('/').all(|part| !part.is_empty() && part != "." && part != "..");
            assert!(parts && key.len() <= 1024, "{url}");
        }
        Location::Url(_) => {
            let place = text.split('?').next().unwrap();
            assert_eq!(shown, if text.contains('?') { format!("{place}?...") } else { place.to_owned() });
            assert_eq!(format!("{location:?}"), format!("Url({shown})"));
            assert!(!place["https".len()..].split('/').nth(2).unwrap_or_default().contains('@'));
            if text.contains('?') && !place.contains("5ec2e7") {
                let printed = redacted(&format!("fetch '{text}5ec2e7': refused"));
                assert!(!printed.contains("5ec2e7"), "{printed}");
            }
        }
        Location::File(path) => {
            assert!(path.is_absolute());
            assert_eq!(shown, text);
        }
    }
}

fn what_is_printed(text: &str) {
    assert!(!escaped(text).contains(char::is_control));
    let printed = redacted(text);
    assert_eq!(redacted(&printed), printed);
    assert!(printed.len() <= text.len() + 3 * text.matches("://").count());
    if !text.contains("://") {
        assert_eq!(printed, text);
    }
}
