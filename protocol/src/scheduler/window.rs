//! What the stream's key has signed: the newest window, announcements that came too early, and the envelopes of
//! both for whoever lost them.

use std::collections::VecDeque;

use bytes::Bytes;

use super::{Micros, Scheduler, checks::Checks};
use crate::{
    manifest::{Announcement, Manifest, Opened, PartEntry, Rejected},
    message::Place,
    name::StreamName,
    sorted::SortedMap,
};

/// Announcements held back until those before them are here.
const MAX_EARLY: usize = 32;
/// Announcements kept behind a signed manifest; with more, the manifest is forgotten.
const MAX_SINCE: usize = 64;
/// Their bytes.
const MAX_SINCE_BYTES: usize = 1 << 20;
/// Announcements that are always kept: whoever brings one of them again is not verified again.
const REMEMBERED: usize = 16;

/// One stream's.
#[derive(Debug)]
pub(super) struct Window {
    stream: StreamName,
    checks: Checks,
    manifest: Option<Manifest>,
    /// Of the manifest's epoch or a later one, by (epoch, sequence).
    early: SortedMap<(u64, u64), (Announcement, Bytes)>,
    /// A signed manifest that is newest but for `since`.
    whole: Option<Bytes>,
    /// Announcements by sequence, without a gap, up to the newest.
    since: VecDeque<(u64, Bytes)>,
    since_bytes: usize,
}

/// What an envelope changed.
#[derive(Debug, PartialEq)]
pub(super) enum Accepted {
    /// It is genuine but tells nothing new; an announcement's (epoch, sequence).
    Old(Option<(u64, u64)>),
    /// The window moved; `told` are the announcements that did it, in order (none: it was a manifest).
    Moved { anew: bool, told: Vec<Bytes> },
}

/// For a mirror, which tells others what the key signed.
impl Scheduler {
    /// The newest signed manifest, where it is still kept, and the newest announcements, by sequence: those behind it, at
    /// least the last 16.
    pub fn signed(&self) -> (Option<&Bytes>, impl Iterator<Item = (u64, &Bytes)>) {
        let since = self.window.since.iter();
        let since = since.map(|(at, envelope)| (*at, envelope));
        (self.window.whole.as_ref(), since)
    }

    /// Asks a peer for the whole window, signed as it is now: then [`Self::signed`] has it.
    pub fn renew(&mut self, now: Micros) {
        self.now = self.now.max(now);
        self.ask_manifest();
    }
}

impl Window {
    pub(super) fn new(stream: StreamName, checks: Checks) -> Self {
        Self {
            stream,
            checks,
            manifest: None,
            early: SortedMap::new(),
            whole: None,
            since: VecDeque::new(),
            since_bytes: 0,
        }
    }

    #[cfg(any(test, feature = "sim"))]
    pub(super) fn check_by(&mut self, checks: Checks) {
        self.checks = checks;
    }

    pub(super) fn manifest(&self) -> Option<&Manifest> {
        self.manifest.as_ref()
    }

    /// (epoch, sequence) of the newest announcement.
    pub(super) fn at(&self) -> Option<(u64, u64)> {
        let manifest = self.manifest.as_ref()?;
        Some((manifest.epoch(), manifest.sequence()))
    }

    /// The announcements behind this one, if they are still kept, with their (epoch, sequence).
    pub(super) fn behind(&self, (epoch, sequence): (u64, u64)) -> Vec<((u64, u64), Bytes)> {
        let same = self.at().is_some_and(|at| at.0 == epoch);
        let since = self.since.iter().filter(|(at, _)| same && *at > sequence);
        let since: Vec<_> = since.map(|(at, e)| ((epoch, *at), e.clone())).collect();
        let follows = since.first().is_some_and(|(at, _)| at.1 == sequence + 1);
        if follows { since } else { Vec::new() }
    }

    /// None came yet, or something is missing before what came.
    pub(super) fn needs_manifest(&self) -> bool {
        self.manifest.is_none() || !self.early.is_empty()
    }

    pub(super) fn part(&self, place: Place) -> Option<&PartEntry> {
        let segment = self.manifest.as_ref()?.segment(place.msn)?;
        segment
            .parts(place.rendition.into())
            .get(usize::try_from(place.part).ok()?)
    }

    /// Program date time of a part's first frame, microseconds.
    pub(super) fn start(&self, place: Place) -> Option<u64> {
        let segment = self.manifest.as_ref()?.segment(place.msn)?;
        let parts = segment.parts(place.rendition.into());
        let before = parts.get(..usize::try_from(place.part).ok()?)?;
        let micros: u64 = before.iter().map(|part| u64::from(part.duration)).sum();
        Some(segment.start + micros)
    }

    /// Number of the first segment and of the one that comes next; an empty window has both alike.
    pub(super) fn range(&self) -> Option<(u64, u64)> {
        let manifest = self.manifest.as_ref()?;
        let next = manifest.next_msn();
        let first = manifest.segments().next().map_or(next, |first| first.msn);
        Some((first, next))
    }

    /// Whether a part may appear at this place soon: it is behind all there are, by two segments at most.
    pub(super) fn is_ahead(&self, place: Place) -> bool {
        let Some(manifest) = &self.manifest else {
            return true;
        };
        let next = manifest.next_msn();
        let latest = manifest.latest_at(place.rendition.into());
        place.msn < next + 2
            && latest.is_none_or(|(msn, part)| (place.msn, place.part) > (msn, part))
    }

    /// Whether the announcements that are told behind a window may lead to a place.
    pub(super) fn may_reach(&self, place: Place) -> bool {
        let next = self.manifest.as_ref().map_or(u64::MAX, Manifest::next_msn);
        place.msn <= next.saturating_add(MAX_SINCE as u64)
    }

    /// Verifies an envelope and takes it in. After an error all is as before, but that an announcement that came
    /// too early is kept.
    pub(super) fn accept(&mut self, envelope: &Bytes) -> Result<Accepted, Rejected> {
        let mut again = self.since.iter().rev().take(REMEMBERED);
        if let Some((sequence, _)) = again.find(|(_, known)| known == envelope) {
            let epoch = self.manifest.as_ref().map_or(0, Manifest::epoch);
            return Ok(Accepted::Old(Some((epoch, *sequence))));
        }
        if self.whole.as_ref() == Some(envelope) {
            return Ok(Accepted::Old(None));
        }
        match (self.checks.open)(&self.stream, envelope)? {
            Opened::Manifest(new) => Ok(self.replace(new, envelope.clone())),
            Opened::Announcement(announcement) => self.follow(announcement, envelope.clone()),
        }
    }

    /// Takes what the publisher itself has announced.
    pub(super) fn publish(&mut self, manifest: &Manifest, envelope: Bytes) {
        self.remember(manifest.sequence(), envelope);
        self.manifest = Some(manifest.clone());
    }

    /// A signed manifest and all announcements since, if they are at hand.
    pub(super) fn history(&self) -> Option<(&Bytes, impl Iterator<Item = &Bytes>)> {
        let whole = self.whole.as_ref()?;
        Some((whole, self.since.iter().map(|(_, envelope)| envelope)))
    }

    fn replace(&mut self, new: Manifest, envelope: Bytes) -> Accepted {
        let at = (new.epoch(), new.sequence());
        let known = self.manifest.as_ref().map(|m| (m.epoch(), m.sequence()));
        if known.is_some_and(|known| at.0 == known.0 && at.1 <= known.1) {
            // Not newer than what is known; but with the announcements since, it tells all to others.
            if self.since.front().is_none_or(|first| first.0 <= at.1 + 1) {
                self.since.retain(|(sequence, _)| *sequence > at.1);
                self.recount();
                self.whole = Some(envelope);
            }
            return Accepted::Old(None);
        }
        if known.is_some_and(|known| at < known) {
            return Accepted::Old(None);
        }
        let anew = self.manifest.as_ref().is_none_or(|old| {
            let first = new.segments().next().map(|first| first.msn);
            old.epoch() != new.epoch() || first.is_none_or(|first| first > old.next_msn())
        });
        self.manifest = Some(new);
        self.whole = Some(envelope);
        self.since.clear();
        self.since_bytes = 0;
        self.early.retain(|key, _| *key > at);
        let told = self.catch_up();
        Accepted::Moved { anew, told }
    }

    fn follow(&mut self, new: Announcement, envelope: Bytes) -> Result<Accepted, Rejected> {
        let got = (new.epoch, new.sequence);
        let Some(manifest) = &mut self.manifest else {
            return Err(Rejected::Gap { got, known: (0, 0) });
        };
        match manifest.apply(&new) {
            Ok(()) => {
                self.remember(got.1, envelope.clone());
                self.early.retain(|key, _| *key > got);
                let mut told = vec![envelope];
                told.extend(self.catch_up());
                Ok(Accepted::Moved { anew: false, told })
            }
            Err(Rejected::Old { .. }) => Ok(Accepted::Old(Some(got))),
            Err(error) => {
                if matches!(error, Rejected::Gap { .. }) {
                    self.early.insert(got, (new, envelope));
                    if self.early.len() > MAX_EARLY {
                        self.early.pop_last();
                    }
                }
                Err(error)
            }
        }
    }

    /// Applies what came too early and fits now.
    fn catch_up(&mut self) -> Vec<Bytes> {
        let mut told = Vec::new();
        while let (Some(manifest), Some((at, (announcement, _)))) =
            (&mut self.manifest, self.early.first())
        {
            if manifest.apply(announcement).is_err() {
                if *at == (manifest.epoch(), manifest.sequence() + 1) {
                    self.early.pop_first(); // signed, next, and against the rules: nothing can follow it
                }
                break;
            }
            if let Some(((_, sequence), (_, envelope))) = self.early.pop_first() {
                self.remember(sequence, envelope.clone());
                told.push(envelope);
            }
        }
        told
    }

    fn remember(&mut self, sequence: u64, envelope: Bytes) {
        if self.since.back().is_some_and(|last| last.0 + 1 != sequence) {
            self.since.clear();
            self.whole = None;
        }
        self.since.push_back((sequence, envelope));
        self.recount();
        if self.since.len() > MAX_SINCE || self.since_bytes > MAX_SINCE_BYTES {
            self.whole = None;
        }
        if self.whole.is_none() && self.since.len() > REMEMBERED {
            let drop = self.since.len() - REMEMBERED;
            self.since.drain(..drop);
            self.recount();
        }
    }

    fn recount(&mut self) {
        self.since_bytes = self.since.iter().map(|(_, envelope)| envelope.len()).sum();
    }
}
