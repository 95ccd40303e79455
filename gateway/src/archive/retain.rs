//! Letting hours go: those that are too old, and the oldest where there is no room. Pins go, the list stays as it is.

use std::sync::Arc;

use meshlive_protocol::archive::HOUR;

use super::{
    Archive, Keep, OWNER,
    forecast::{Forecast, Growth, forecast},
    start,
};
use crate::store::Store;

/// The hours to let go of those held: older than `keep` (µs), seen from the newest. The newest itself stays.
pub(super) fn too_old(held: impl Iterator<Item = u64>, newest: u64, keep: u64) -> Vec<u64> {
    held.filter(|hour| start(hour + 1).saturating_add(keep) < start(newest))
        .collect()
}

/// The oldest of hours (with their bytes, oldest first) that take more than `most` together. The newest stays.
fn too_much(held: &[(u64, u64)], most: u64) -> Vec<u64> {
    let mut sum: u64 = held.iter().map(|(_, bytes)| bytes).sum();
    let mut going = Vec::new();
    for (hour, bytes) in held.iter().take(held.len().saturating_sub(1)) {
        if sum <= most {
            break;
        }
        sum -= bytes;
        going.push(*hour);
    }
    going
}

impl Archive {
    /// Lets go what is older than is to be kept, and the oldest where it is more. Age is told against the newest hour, not
    /// against a clock that may be wrong.
    pub(super) fn let_go_of_the_old(&self) {
        let mut going = Vec::new();
        let newest = self.list().catalogue.hours().keys().next_back().copied();
        if let (Keep::For(keep), Some(newest)) = (self.rule.keep, newest) {
            let keep = u64::try_from(keep.as_micros()).unwrap_or(u64::MAX);
            going = too_old(self.pinned().into_iter(), newest, keep);
        }
        if self.rule.max_bytes > 0 {
            let mut sizes = self.sizes();
            sizes.retain(|(hour, _)| !self.rule.days.have(*hour));
            going.extend(too_much(&sizes, self.rule.max_bytes));
        }
        going.retain(|hour| !self.rule.days.have(*hour));
        going.sort_unstable();
        going.dedup();
        for hour in going {
            self.release(hour);
        }
    }

    /// The hour that goes first of those held here that are closed: the oldest, of a day that is to stay only where there is
    /// no other. Not one that a live window needs: letting go of that makes no room.
    fn first_to_go(&self) -> Option<(bool, u64)> {
        let held = self.pinned();
        let state = self.state();
        let closed = held.into_iter();
        let closed = closed.filter(|hour| !state.open.contains_key(hour));
        let closed = closed.filter(|hour| !self.store.is_live(&self.stream, start(*hour)));
        closed.map(|hour| (self.rule.days.have(hour), hour)).min()
    }

    /// Lets an hour go: the store may then give up its packs.
    pub(super) fn release(&self, hour: u64) {
        let pinned = self.store.pinned(OWNER, &self.stream);
        let mut of_hour = pinned.iter().filter(|(_, other)| *other == hour);
        let released = of_hour.try_for_each(|(rendition, _)| {
            self.store
                .unpin(OWNER, &self.stream, rendition, start(hour))
        });
        match released {
            Ok(()) => tracing::info!(stream = %self.stream, hour, "an hour is no longer kept"),
            Err(error) => {
                tracing::error!(stream = %self.stream, hour, %error, "an hour cannot be let go")
            }
        }
    }
}

/// Lets the oldest hour of all streams go as long as the store holds more than it may, or its disk is full.
pub(super) fn make_room(store: &Store, archives: &[Arc<Archive>]) {
    // Each round gives up what it can before the next hour is looked at.
    for _ in 0..=24 {
        if store.is_crowded() {
            store.give_up_oldest();
        }
        if !store.is_crowded() {
            return;
        }
        let oldest = archives
            .iter()
            .filter_map(|archive| Some((archive.first_to_go()?, archive)));
        let Some(((_, hour), archive)) = oldest.min_by_key(|(first, _)| *first) else {
            return;
        };
        tracing::warn!(hours = start(hour) / HOUR, "the store is full");
        archive.release(hour);
    }
}

/// What is to be expected of all streams together.
pub(super) fn expected(store: &Store, archives: &[Arc<Archive>]) -> Forecast {
    let sizes: Vec<_> = archives.iter().map(|archive| archive.sizes()).collect();
    let streams = archives.iter().zip(&sizes);
    let streams = streams.map(|(archive, held)| Growth::of(held, &archive.rule));
    forecast(&streams.collect::<Vec<_>>(), store.free())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_go_until_the_rest_fits_and_the_newest_stays() {
        let held = [(1, 10), (2, 10), (5, 10)];
        assert_eq!(too_much(&held, 30), [0; 0]);
        assert_eq!(too_much(&held, 29), [1]);
        assert_eq!(too_much(&held, 10), [1, 2]);
        assert_eq!(too_much(&held, 1), [1, 2]);
        assert_eq!(too_much(&[], 1), [0; 0]);
    }

    #[test]
    fn what_is_older_than_is_kept_goes_and_the_newest_stays() {
        let held = [10, 33, 34, 57, 58];
        assert_eq!(too_old(held.into_iter(), 58, 24 * HOUR), [10]);
        assert_eq!(too_old(held.into_iter(), 59, 24 * HOUR), [10, 33]);
        assert_eq!(too_old(held.into_iter(), 58, 0), [10, 33, 34]);
        assert_eq!(too_old([58].into_iter(), 58, 0), [0; 0]);
        assert_eq!(too_old(held.into_iter(), 58, u64::MAX), [0; 0]);
    }
}
