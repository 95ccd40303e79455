//! What may be given up, and in which order. Pure: packs and windows in, the next pack to drop out.

use std::{collections::HashMap, sync::Arc};

use super::key::{HOUR, PackKey};

/// How long a window outlasts what was stored last, in µs: more than any window is long.
const OVER: u64 = HOUR;

/// What a stream needs of its past: the time from the first frame that its live window shows to the newest stored in this run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Window {
    /// µs since the Unix epoch.
    pub(crate) from: u64,
    /// µs since the Unix epoch; `None` before anything was stored: what follows is needed, whenever it is.
    pub(crate) to: Option<u64>,
}

/// The live windows of all streams, from which the age of everything else is told too.
///
/// A stream that stores nothing for [`OVER`] while others do has ended, and its window is a past like any other.
///
/// Age is measured against the newest time stored in this run, not against a wall clock: a machine without a clock
/// chip starts a run days off, and packs from a future that has not come yet are neither old nor live.
#[derive(Debug, Default, Clone)]
pub(crate) struct Windows {
    windows: HashMap<Arc<str>, Window>,
    now: u64,
}

impl Windows {
    /// Something of this time was stored.
    pub(crate) fn stored(&mut self, stream: &Arc<str>, start: u64) {
        self.now = self.now.max(start);
        let window = self.windows.entry(stream.clone()).or_insert(Window {
            from: start,
            to: None,
        });
        window.to = window.to.max(Some(start));
    }

    /// The stream's live window begins here.
    pub(crate) fn needed_since(&mut self, stream: &Arc<str>, from: u64) {
        self.windows
            .entry(stream.clone())
            .or_insert(Window { from, to: None })
            .from = from;
    }

    pub(crate) fn is_live(&self, pack: &PackKey) -> bool {
        self.windows.get(&pack.stream).is_some_and(|window| {
            window.to.unwrap_or(window.from).saturating_add(OVER) >= self.now
                && window.from < pack.end()
                && window.to.is_none_or(|to| pack.hour * HOUR <= to)
        })
    }

    /// Whether the pack is older than `keep` (µs).
    fn is_old(&self, pack: &PackKey, keep: u64) -> bool {
        pack.end().saturating_add(keep) < self.now
    }
}

/// The oldest pack that neither a live window nor a pin holds; with `older_than` (µs) only one that is older than that.
pub(crate) fn next<'a>(
    packs: impl Iterator<Item = &'a PackKey>,
    windows: &Windows,
    is_pinned: impl Fn(&PackKey) -> bool,
    older_than: Option<u64>,
) -> Option<PackKey> {
    packs
        .filter(|pack| !windows.is_live(pack) && !is_pinned(pack))
        .filter(|pack| older_than.is_none_or(|keep| windows.is_old(pack, keep)))
        .min()
        .cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pack(stream: &str, hour: u64) -> PackKey {
        PackKey::new(stream, "v", hour * HOUR).unwrap()
    }

    fn order(
        packs: &[PackKey],
        windows: &Windows,
        pinned: &[PackKey],
        keep: Option<u64>,
    ) -> Vec<(String, u64)> {
        let mut left = packs.to_vec();
        let mut dropped = Vec::new();
        while let Some(key) = next(left.iter(), windows, |key| pinned.contains(key), keep) {
            left.retain(|other| *other != key);
            dropped.push((key.stream.to_string(), key.hour));
        }
        dropped
    }

    #[test]
    fn oldest_first_over_all_streams_and_never_live_or_pinned() {
        let packs = [
            pack("a", 5),
            pack("b", 3),
            pack("a", 4),
            pack("b", 1),
            pack("a", 3),
            pack("b", 2),
        ];
        let mut windows = Windows::default();
        windows.stored(&"a".into(), 4 * HOUR);
        windows.stored(&"a".into(), 5 * HOUR + 1);
        windows.needed_since(&"a".into(), 5 * HOUR - 1);
        let found = order(&packs, &windows, &[pack("b", 2)], None);
        assert_eq!(found, [("b".into(), 1), ("a".into(), 3), ("b".into(), 3)]);
    }

    #[test]
    fn the_window_of_a_stream_that_has_ended_is_a_past_like_any_other() {
        let packs = [pack("ended", 4), pack("resumed", 4), pack("live", 6)];
        let mut windows = Windows::default();
        windows.stored(&"ended".into(), 5 * HOUR - 1);
        windows.needed_since(&"ended".into(), 5 * HOUR - 60);
        // By a restart, before anything was stored again.
        windows.needed_since(&"resumed".into(), 5 * HOUR - 60);
        windows.stored(&"live".into(), 6 * HOUR - 60);
        windows.needed_since(&"live".into(), 6 * HOUR - 60);
        assert_eq!(order(&packs[..2], &windows, &[], None), []);
        windows.stored(&"live".into(), 6 * HOUR + 1);
        assert_eq!(
            order(&packs, &windows, &[], None),
            [("ended".into(), 4), ("resumed".into(), 4)]
        );
        windows.stored(&"ended".into(), 6 * HOUR + 2);
        assert_eq!(order(&packs[..1], &windows, &[], None), []);
    }

    #[test]
    fn by_age_only_what_is_older() {
        let packs = [pack("a", 1), pack("a", 2), pack("a", 3), pack("a", 4)];
        let mut windows = Windows::default();
        windows.stored(&"a".into(), 4 * HOUR + 1);
        windows.needed_since(&"a".into(), 4 * HOUR);
        assert_eq!(
            order(&packs, &windows, &[], Some(HOUR)),
            [("a".into(), 1), ("a".into(), 2)]
        );
    }

    #[test]
    fn a_clock_that_went_back_makes_nothing_old_and_frees_the_future_by_size() {
        let packs = [pack("a", 1), pack("a", 900)];
        let mut windows = Windows::default();
        windows.needed_since(&"a".into(), HOUR);
        assert_eq!(
            order(&packs, &windows, &[], None),
            [],
            "before the first append all that follows is needed"
        );
        windows.stored(&"a".into(), HOUR + 5);
        assert_eq!(order(&packs, &windows, &[], Some(0)), []);
        assert_eq!(order(&packs, &windows, &[], None), [("a".into(), 900)]);
    }
}
