//! When the oldest hours will have to go because there is no room for more: from what the last day took. Pure.

use std::time::Duration;

use super::{Keep, Rule};

/// Hours that the pace is taken from.
const PACE: u64 = 24;
const HOUR: Duration = Duration::from_secs(3600);

/// What one stream's archive takes and is to keep.
pub struct Growth<'a> {
    /// Hours (counted from 1970) that are held, oldest first, and their bytes.
    pub held: &'a [(u64, u64)],
    /// How long an hour is kept; `None` as long as there is room.
    pub keep: Option<Duration>,
}

impl<'a> Growth<'a> {
    /// That of a stream with these hours.
    pub fn of(held: &'a [(u64, u64)], rule: &Rule) -> Self {
        let keep = match rule.keep {
            Keep::For(keep) => Some(keep),
            _ => None,
        };
        Self { held, keep }
    }
}

/// What is to be expected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Forecast {
    /// Bytes that all streams together take in a day on air as the last one was.
    pub a_day: u64,
    /// How long there is room for that; `None` where what is kept will always fit.
    pub full_in: Option<Duration>,
}

/// What is to be expected where so many bytes are still free.
pub fn forecast(streams: &[Growth<'_>], free: u64) -> Forecast {
    // What a stream adds in an hour, and how many hours until it lets go as much as it adds.
    let (mut a_day, mut growing) = (0, Vec::new());
    for stream in streams {
        let Some((newest, _)) = stream.held.last() else {
            continue;
        };
        let first = newest.saturating_sub(PACE - 1);
        let recent = stream.held.iter().filter(|(hour, _)| *hour >= first);
        let (hours, bytes) =
            recent.fold((0, 0), |(hours, sum), (_, bytes)| (hours + 1, sum + bytes));
        // Less than a day was held: as if it went on like this.
        let since = stream
            .held
            .first()
            .map_or(0, |(oldest, _)| newest - oldest + 1);
        let hour = bytes / since.clamp(hours, PACE).max(1);
        a_day += hour * PACE;
        let oldest = stream.held.first().map_or(*newest, |(hour, _)| *hour);
        let until = stream.keep.map(|keep| {
            let kept = keep.as_secs().div_ceil(3600);
            kept.saturating_sub(newest - oldest + 1)
        });
        growing.push((hour, until));
    }
    // From one that stops to grow to the next.
    let (mut at, mut left) = (0_u64, free);
    growing.sort_by_key(|(_, until)| until.unwrap_or(u64::MAX));
    for stopped in 0..=growing.len() {
        let rate: u64 = growing[stopped..].iter().map(|(hour, _)| hour).sum();
        let until = growing.get(stopped).and_then(|(_, until)| *until);
        let hours = left.checked_div(rate);
        match (hours, until) {
            (None, _) => break,
            (Some(hours), Some(until)) if at.saturating_add(hours) >= until => {
                left -= rate.saturating_mul(until.saturating_sub(at)).min(left);
                at = at.max(until);
            }
            (Some(hours), _) => {
                let hours = u32::try_from(at.saturating_add(hours)).unwrap_or(u32::MAX);
                let full_in = Some(HOUR * hours);
                return Forecast { a_day, full_in };
            }
        }
    }
    Forecast {
        a_day,
        full_in: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    fn hours(from: u64, count: u64, bytes: u64) -> Vec<(u64, u64)> {
        (from..from + count).map(|hour| (hour, bytes)).collect()
    }

    fn of(held: &[(u64, u64)], keep: Option<Duration>, free: u64) -> Forecast {
        forecast(&[Growth { held, keep }], free)
    }

    #[test]
    fn what_is_never_let_go_fills_the_disk() {
        let found = of(&hours(100, 48, 10), None, 480);
        assert_eq!(found.a_day, 240);
        assert_eq!(found.full_in, Some(DAY * 2));
        // On air for six hours a day.
        let some: Vec<_> = [100, 124, 148]
            .iter()
            .flat_map(|from| hours(*from, 6, 40))
            .collect();
        let found = of(&some, None, 480);
        assert_eq!((found.a_day, found.full_in), (240, Some(DAY * 2)));
    }

    #[test]
    fn what_is_let_go_in_time_fits() {
        let held = hours(100, 48, 10);
        assert_eq!(of(&held, Some(DAY * 3), 240).full_in, None);
        assert_eq!(
            of(&held, Some(DAY * 3), 239).full_in,
            Some(Duration::from_secs(23 * 3600))
        );
        assert_eq!(
            of(&held, Some(DAY), 0).full_in,
            None,
            "it does not grow any more"
        );
        assert_eq!(of(&[], None, 0), Forecast::default());
    }

    #[test]
    fn streams_share_what_is_free() {
        let (one, other) = (hours(100, 24, 10), hours(110, 24, 10));
        let both = |keep, free| {
            let all = [
                Growth {
                    held: &one,
                    keep: None,
                },
                Growth { held: &other, keep },
            ];
            forecast(&all, free)
        };
        assert_eq!(
            both(None, 480),
            Forecast {
                a_day: 480,
                full_in: Some(DAY)
            }
        );
        // The other grows for a day more, the one goes on.
        assert_eq!(both(Some(DAY * 2), 480 + 240).full_in, Some(DAY * 2));
    }
}
