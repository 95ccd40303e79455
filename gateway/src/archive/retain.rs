//! Letting hours go: those that are too old, and the oldest where there is no room. Pins go, the list stays as it is.

use std::sync::Arc;

use meshlive_protocol::archive::HOUR;

use super::{Archive, Keep, OWNER, start};
use crate::store::Store;

/// The hours to let go of those held: older than `keep` (µs), seen from the newest. The newest itself stays.
pub(super) fn too_old(held: impl Iterator<Item = u64>, newest: u64, keep: u64) -> Vec<u64> {
    held.filter(|hour| start(hour + 1).saturating_add(keep) < start(newest))
        .collect()
}

impl Archive {
    /// Lets go what is older than is to be kept. Age is told against the newest hour, not against a clock that may be wrong.
    pub(super) fn let_go_of_the_old(&self) {
        let Keep::For(keep) = self.keep else { return };
        let Some(newest) = self.list().catalogue.hours().keys().next_back().copied() else {
            return;
        };
        let keep = u64::try_from(keep.as_micros()).unwrap_or(u64::MAX);
        for hour in too_old(self.held().into_iter(), newest, keep) {
            self.release(hour);
        }
    }

    /// The oldest hour held here that is closed.
    fn oldest(&self) -> Option<u64> {
        let held = self.held();
        let state = self.state();
        held.into_iter().find(|hour| !state.open.contains_key(hour))
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
            .filter_map(|archive| Some((archive.oldest()?, archive)));
        let Some((hour, archive)) = oldest.min_by_key(|(hour, _)| *hour) else {
            return;
        };
        tracing::warn!(hours = start(hour) / HOUR, "the store is full");
        archive.release(hour);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
