//! What is wanted, by when: parts that were announced and are not here, nearest deadline first.

use libp2p_identity::PeerId;

use super::Micros;
use crate::{
    manifest::{Manifest, PartEntry},
    message::Place,
    sorted::{SortedMap, SortedSet},
};

/// Announced parts that are wanted at a time; the oldest that the player did not ask for go first.
pub(super) const MAX_WANTED: usize = 512;
/// Parts that the player asks for before they are announced.
const MAX_AWAITED: usize = 64;
/// A part without a playhead to measure by is needed so long after it was announced.
const NEEDED_AFTER: Micros = 1_000_000;

/// A playhead that rests this near before what the player asks for waits for it. (If it is paused, it is farther.)
const STALLED: Micros = 1_000_000;
/// What the player asks for is there after this, however far ahead it is.
const LONGEST: Micros = 4_000_000;

/// A neighbour was asked for a part.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    pub(super) peer: PeerId,
    pub(super) at: Micros,
    /// When it is likely to be here.
    pub(super) likely: Micros,
    /// Another is asked if it has not begun to come by then.
    pub(super) until: Micros,
}

/// A part that is wanted.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) entry: PartEntry,
    /// Program date time at which it is needed, microseconds: of its first frame, or of what the player gets it with.
    pub(super) start: u64,
    pub(super) since: Micros,
    /// When its announcement should have come: as soon after the gateway made it as is usual.
    pub(super) announced: Micros,
    /// The player asked for it, and waits.
    pub(super) demanded: bool,
    /// A push of it is likely to come before, from one of these.
    pub(super) pushed_until: Micros,
    pub(super) pushers: Vec<PeerId>,
    pub(super) asked: Option<Asked>,
    /// It is on its way over HTTP since.
    pub(super) fetch: Option<Micros>,
    /// Not over HTTP again before.
    pub(super) refetch: Micros,
    /// Those who did not give it, and when they may be asked again.
    pub(super) tried: SortedMap<PeerId, Micros>,
    /// How often one of them had too much to give.
    pub(super) refused: u32,
    /// When to look at it again.
    pub(super) next: Micros,
}

/// Where playback is.
#[derive(Clone, Copy, Debug)]
struct Playhead {
    micros: u64,
    moving: bool,
    at: Micros,
}

#[derive(Debug, Default)]
pub(super) struct Demand {
    pub(super) wanted: SortedMap<Place, Wanted>,
    awaited: SortedSet<Place>,
    playhead: Option<Playhead>,
    /// Where the window's timeline jumps: program date time behind the gap, and its length. Players jump, too.
    gaps: Vec<(u64, u64)>,
    /// Bit n: rendition n is wanted as it appears.
    pub(super) selected: u16,
}

impl Demand {
    pub(super) fn selects(&self, rendition: u8) -> bool {
        self.selected >> rendition & 1 == 1
    }

    pub(super) fn place_playhead(&mut self, micros: u64, moving: bool, now: Micros) {
        self.playhead = Some(Playhead {
            micros,
            moving,
            at: now,
        });
    }

    /// Program date time on screen.
    pub(super) fn playhead(&self, now: Micros) -> Option<u64> {
        self.playhead.map(|playhead| {
            let moved = now.saturating_sub(playhead.at);
            playhead.micros + if playhead.moving { moved } else { 0 }
        })
    }

    /// Program date time of what is to be shown next: where playback is, or where it is to begin.
    pub(super) fn next_start(&self, now: Micros) -> u64 {
        self.playhead(now).unwrap_or_else(|| {
            let demanded = self.wanted.values().filter(|wanted| wanted.demanded);
            demanded.map(|wanted| wanted.start).min().unwrap_or(0)
        })
    }

    /// When its first frame is due on screen.
    pub(super) fn deadline(&self, wanted: &Wanted, now: Micros) -> Micros {
        match self.playhead(now) {
            Some(playhead) => {
                let gaps = self.gaps.iter();
                let between = gaps.filter(|(at, _)| playhead < *at && *at <= wanted.start);
                let skipped: u64 = between.map(|(_, length)| length).sum();
                let ahead = wanted.start.saturating_sub(playhead + skipped);
                let moves = self.playhead.is_some_and(|playhead| playhead.moving);
                match wanted.demanded {
                    true if !moves && ahead < STALLED => now,
                    true => (now + ahead).min((wanted.since + LONGEST).max(now)),
                    false => now + ahead,
                }
            }
            None if wanted.demanded => now,
            None => wanted.since + NEEDED_AFTER,
        }
    }

    /// Learns where the timeline jumps.
    pub(super) fn place_gaps(&mut self, manifest: &Manifest) {
        let mut end = None;
        self.gaps.clear();
        for segment in manifest.segments() {
            let gap = segment.start.saturating_sub(end.unwrap_or(segment.start));
            if segment.discontinuity && gap > 0 {
                self.gaps.push((segment.start, gap));
            }
            end = Some(segment.start + segment.duration());
        }
    }

    /// Wants a part. Another gives way where there are too many: the oldest that the player does not wait for.
    pub(super) fn want(&mut self, place: Place, wanted: Wanted) -> Option<(Place, Wanted)> {
        self.wanted.insert(place, wanted);
        if self.wanted.len() <= MAX_WANTED {
            return None;
        }
        let idle = self.wanted.iter().find(|(_, wanted)| !wanted.demanded);
        let oldest = *idle.map_or(&place, |(place, _)| place);
        self.wanted.remove(&oldest).map(|wanted| (oldest, wanted))
    }

    /// The player waits for a part that is not announced yet; false if it waits for too many.
    pub(super) fn wait_for(&mut self, place: Place) -> bool {
        if self.awaited.len() == MAX_AWAITED {
            return self.awaited.contains(&place);
        }
        self.awaited.insert(place);
        true
    }

    #[cfg(test)]
    pub(super) fn awaits(&self, place: Place) -> bool {
        self.awaited.contains(&place)
    }

    /// Those that the player waits for and that are announced now.
    pub(super) fn announced(&mut self, is_known: impl Fn(Place) -> bool) -> Vec<Place> {
        self.take_awaited(is_known)
    }

    /// Those that the player waits for and that can no longer be announced.
    pub(super) fn overtaken(&mut self, is_ahead: impl Fn(Place) -> bool) -> Vec<Place> {
        self.take_awaited(|place| !is_ahead(place))
    }

    fn take_awaited(&mut self, which: impl Fn(Place) -> bool) -> Vec<Place> {
        let taken = self.awaited.iter().filter(|place| which(**place));
        let taken: Vec<_> = taken.copied().collect();
        self.awaited.retain(|place| !taken.contains(place));
        taken
    }

    /// Looks at all of them again.
    pub(super) fn touch_all(&mut self) {
        for wanted in self.wanted.values_mut() {
            wanted.next = 0;
        }
    }

    pub(super) fn touch(&mut self, place: Place) {
        if let Some(wanted) = self.wanted.get_mut(&place) {
            wanted.next = 0;
        }
    }
}
