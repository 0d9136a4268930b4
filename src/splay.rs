//! PURE: how long a host waits before its pass, so that a fleet whose crons fire together does not ask together.

use std::time::Duration;

/// A delay from 0 to `splay` that is the same at each call of one host and differs between hosts.
#[must_use]
pub fn delay(splay: Duration, machine_id: &[u8], host_name: &[u8]) -> Duration {
    let mut hash = fnv1a(0xcbf2_9ce4_8422_2325, machine_id);
    hash = fnv1a(fnv1a(hash, b"\0"), host_name);
    // FNV leaves the high bits of short texts alike; this finalizer (of MurmurHash3) spreads them.
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^= hash >> 33;
    let nanos = (splay.as_nanos() * u128::from(hash)) >> 64;
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

fn fnv1a(seed: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(seed, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPLAY: Duration = Duration::from_secs(25);

    #[test]
    fn one_host_always_waits_the_same() {
        assert_eq!(delay(SPLAY, b"0123", b"zk1"), delay(SPLAY, b"0123", b"zk1"));
        assert_eq!(delay(Duration::ZERO, b"0123", b"zk1"), Duration::ZERO);
    }

    /// As FNV-1a and the finalizer say, reckoned elsewhere: another version moves no host of a fleet to another moment.
    #[test]
    fn each_host_keeps_its_moment() {
        assert_eq!(delay(SPLAY, b"0123", b"zk1"), Duration::from_nanos(19_364_333_540));
        assert_eq!(delay(SPLAY, b"0123", b"zk2"), Duration::from_nanos(16_048_361_123));
        assert_eq!(delay(SPLAY, b"", b"ip-10-0-0-1"), Duration::from_nanos(1_407_861_241));
    }

    #[test]
    fn hosts_spread_evenly_over_the_splay() {
        for clones_of_one_image in [false, true] {
            let mut seconds = [0u32; 25];
            for host in 0..25_000 {
                let id = if clones_of_one_image { String::new() } else { format!("{host:032x}") };
                let wait = delay(SPLAY, id.as_bytes(), format!("ip-10-0-{}-{}", host / 250, host % 250).as_bytes());
                assert!(wait < SPLAY);
                seconds[usize::try_from(wait.as_secs()).unwrap()] += 1;
            }
            assert!(seconds.iter().all(|hosts| (850..=1150).contains(hosts)), "{seconds:?}");
        }
    }
}
