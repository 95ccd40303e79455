//! What hls.js does, as far as an engine can tell: it asks for one part after another, shows what it has, and stalls.

use super::publisher::{PART, START};
use crate::{
    manifest::Manifest,
    message::Place,
    scheduler::{Input, Micros},
};

/// How much it loads ahead.
const AHEAD: u64 = 8_000_000;
/// It begins, and goes on after a stall, with so much.
const ENOUGH: u64 = 1_000_000;
/// How often the page says where playback is.
pub(super) const TOLD: Micros = 250_000;

/// One viewer's.
#[derive(Debug)]
pub struct Player {
    /// What is asked for from the next segment on.
    pub rendition: u8,
    /// Behind the live edge when it begins, microseconds.
    latency: u64,
    enough: u64,
    /// The part that is asked for, or is asked for next.
    next: Option<Place>,
    asked: bool,
    /// Program date time on screen, and up to where there is something to show.
    shown: u64,
    buffered: u64,
    playing: bool,
    started: bool,
    ticked: Micros,
    told: Micros,
    /// How often it had nothing to show.
    pub stalls: u32,
    /// For how long altogether.
    pub stalled: Micros,
    /// How long it played.
    pub played: Micros,
    /// Parts that were shown.
    pub parts: u64,
}

impl Player {
    /// Plays this rendition, `latency` microseconds behind what is published.
    pub fn new(rendition: u8, latency: u64) -> Self {
        Self {
            rendition,
            latency,
            enough: ENOUGH,
            next: None,
            asked: false,
            shown: 0,
            buffered: 0,
            playing: false,
            started: false,
            ticked: 0,
            told: 0,
            stalls: 0,
            stalled: 0,
            played: 0,
            parts: 0,
        }
    }

    /// Begins, and goes on after a stall, with so much, microseconds; without: one second.
    pub fn with_enough(mut self, micros: u64) -> Self {
        self.enough = micros;
        self
    }

    /// Whether it plays, or has.
    pub fn has_begun(&self) -> bool {
        self.started
    }

    /// Behind the stream's clock, microseconds.
    pub fn behind(&self, now: Micros) -> u64 {
        (START + now).saturating_sub(self.shown)
    }

    /// Time passes; what it says to the engine.
    pub(super) fn tick(&mut self, manifest: Option<&Manifest>, now: Micros) -> Vec<Input<'static>> {
        let passed = now - self.ticked;
        self.ticked = now;
        if self.playing {
            let left = self.buffered.saturating_sub(self.shown);
            self.shown += passed.min(left);
            self.played += passed.min(left);
            if left < passed {
                self.playing = false;
                self.stalls += 1;
                self.stalled += passed - left;
            }
        } else if self.buffered >= self.shown + self.enough {
            self.playing = true;
            self.started = true;
        } else if self.started {
            self.stalled += passed;
        }
        let mut inputs = Vec::new();
        let Some(manifest) = manifest else {
            return inputs;
        };
        self.begin(manifest);
        if self.started && now >= self.told + TOLD {
            self.told = now;
            inputs.push(Input::Playhead {
                micros: self.shown,
                moving: self.playing,
            });
        }
        if let Some(place) = self.next
            && !self.asked
            && self.buffered < self.shown + AHEAD
        {
            self.asked = true;
            inputs.push(Input::Demand {
                place,
                first: place.part,
            });
        }
        inputs
    }

    /// Chooses where to begin.
    fn begin(&mut self, manifest: &Manifest) {
        if self.next.is_some() {
            return;
        }
        let back = (self.latency / PART) as usize;
        let Some(last) = manifest.segments().next_back() else {
            return;
        };
        let places = manifest.segments().flat_map(|segment| {
            let parts = segment.parts(self.rendition.into()).len() as u32;
            (0..parts).map(|part| (segment.start, segment.msn, part))
        });
        let places: Vec<_> = places.collect();
        let at = places.len().saturating_sub(back);
        let (start, msn, part) = places.get(at).copied().unwrap_or((last.start, last.msn, 0));
        self.shown = start + u64::from(part) * PART;
        self.buffered = self.shown;
        self.next = Some(Place {
            msn,
            part,
            rendition: self.rendition,
        });
    }

    /// Another rendition is loaded from the next segment on.
    pub fn switch(&mut self, rendition: u8) {
        self.rendition = rendition;
    }

    /// A part is there, or is not to be had: true if it was waited for.
    pub(super) fn got(&mut self, place: Place, manifest: &Manifest, there: bool) -> bool {
        if self.next != Some(place) || !self.asked {
            return false;
        }
        self.asked = false;
        if there {
            self.parts += 1;
            let start = manifest
                .segment(place.msn)
                .map_or(self.buffered, |segment| {
                    segment.start + u64::from(place.part) * PART
                });
            if start > self.buffered + PART {
                self.shown = self.shown.max(start); // a discontinuity: it shows what comes next
            }
            self.buffered = start + PART;
            let mut next = following(place, manifest);
            if next.part == 0 {
                next.rendition = self.rendition;
            }
            self.next = Some(next);
        } else {
            let segments = manifest.segments();
            let next = segments
                .map(|segment| segment.msn)
                .find(|msn| *msn > place.msn);
            self.next = Some(Place {
                msn: next.unwrap_or(manifest.next_msn()),
                part: 0,
                rendition: self.rendition,
            });
        }
        true
    }
}

/// The part behind this one; of the next segment where this one's is closed.
fn following(place: Place, manifest: &Manifest) -> Place {
    let segment = manifest.segment(place.msn);
    let strand = segment.map(|segment| segment.strand(place.rendition.into()));
    let last = strand.is_some_and(|strand| {
        strand.root.is_some() && place.part as usize + 1 >= strand.parts.len()
    });
    if last {
        Place {
            msn: place.msn + 1,
            part: 0,
            ..place
        }
    } else {
        Place {
            part: place.part + 1,
            ..place
        }
    }
}
