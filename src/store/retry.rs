//! PURE: how long to wait before the next attempt.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(8);

/// The wait after `failed` failed attempts (1 and more): full jitter under an exponential bound, so that a fleet which
/// failed together does not return together; on top of it what the store asked for. `random` is uniform.
#[must_use]
pub fn pause(failed: u32, retry_after: Option<Duration>, random: u64) -> Duration {
    let bound = FIRST.saturating_mul(2_u32.saturating_pow(failed.saturating_sub(1))).min(LONGEST);
    let nanos = (bound.as_nanos() * u128::from(random)) >> 64;
    // The store's number may be any.
    let jitter = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
    retry_after.unwrap_or_default().saturating_add(jitter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_doubles_up_to_the_longest() {
        let longest = |failed| pause(failed, None, u64::MAX).as_millis();
        assert_eq!([1, 2, 3, 4, 5, 6, 1000].map(longest), [499, 999, 1999, 3999, 7999, 7999, 7999]);
        assert_eq!(pause(3, None, 0), Duration::ZERO);
    }

    #[test]
    fn what_the_store_asks_for_comes_on_top() {
        let asked = Duration::from_secs(7);
        assert_eq!(pause(1, Some(asked), 0), asked);
        assert!(pause(1, Some(asked), u64::MAX) > asked);
        assert_eq!(pause(3, Some(Duration::MAX), u64::MAX), Duration::MAX);
    }
}
