//! One timeline for all streams of a source: pure, time is an argument.
//!
//! A source's timestamps start anywhere, wrap (33 bits of 90 kHz in MPEG-TS, 32 bits of milliseconds in RTMP), jump and
//! go back. Here each packet gets a place in microseconds on a timeline that only goes forward, and the timeline an
//! anchor on the gateway's clock. All streams are moved by the same amount, so sound and picture stay together.
//!
//! A break (a jump, a return of the publisher, a clock that has drifted from ours by more than a second) moves the
//! anchor; the timeline itself goes on without a hole. Whoever reads it says so downstream at the next key frame.

use super::media::Packet;

/// Steps beyond this, in microseconds, are jumps. Architecture §3 "One clock".
const JUMP: i64 = 1_000_000;
/// What a source may say at all, in microseconds either way (285 years): cameras count from 1970.
const FAR: i64 = 1 << 53;
/// Steps back up to this are bad rounding and are straightened; beyond, they are jumps.
const STUMBLE: i64 = 100_000;
/// How far apart two streams may begin and still be believed.
const APART: i64 = 10_000_000;
/// After a jump of one stream, how long another may go on with the old timestamps before it is taken on its own.
const STRAY: i64 = 2_000_000;
/// The first packet's place; what belongs a little before it still has a place ≥ 0.
const START: i64 = 10_000_000;
/// Left free at a restart, for a stream that begins a little before the first packet.
const HEADROOM: i64 = 500_000;
/// Over how long the drift is watched.
const WINDOW: i64 = 5_000_000;
/// How far a drift may go.
const DRIFT: i64 = 1_000_000;
/// After how much of its range, in microseconds, a timestamp begins at 0 again: MPEG-TS; RTMP; encoders that count
/// milliseconds in 31 or 24 bits.
const WRAPS: [i64; 4] = [
    (1 << 33) * 100 / 9,
    (1 << 32) * 1000,
    (1 << 31) * 1000,
    (1 << 24) * 1000,
];

/// Where a packet belongs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Placed {
    /// Microseconds on the timeline; never goes back within a stream.
    pub(crate) dts: i64,
    /// Microseconds on the timeline.
    pub(crate) pts: i64,
    /// Why this packet does not join what came before, where it does not.
    pub(crate) broke: Option<String>,
}

/// A source's own time; so wide that no sequence of jumps overflows it.
type Raw = i128;

#[derive(Clone, Debug, Default)]
struct Track {
    /// Timestamp of the newest packet, unwrapped.
    raw: Option<Raw>,
    /// Added to the source's timestamps because they have wrapped.
    wrapped: Raw,
    /// Added to this stream alone, because its timestamps have nothing to do with the others'.
    own: Raw,
    /// Place of the newest packet.
    dts: i64,
    /// Distance of the two newest packets.
    step: i64,
    /// The run of timestamps this stream has reached.
    run: u64,
    /// Since when, by its own timestamps, it has gone on with those of an older run.
    stray: Option<Raw>,
}

/// See the module's head.
#[derive(Debug)]
pub(crate) struct Timeline {
    tracks: Vec<Track>,
    /// Added to unwrapped timestamps; None before the first packet and after [`Timeline::restart`].
    shift: Option<Raw>,
    /// Counts the runs of timestamps that belong together.
    run: u64,
    /// The end of everything placed so far.
    end: i64,
    /// Nothing after a restart is placed before this.
    floor: i64,
    /// Microseconds since the Unix epoch at place 0.
    at: i64,
    restart: Option<String>,
    drift: Option<Drift>,
}

/// How far packets were ahead of the gateway's clock since `since`, at least and at most.
#[derive(Clone, Copy, Debug)]
struct Drift {
    since: i64,
    least: i64,
    most: i64,
}

impl Default for Timeline {
    fn default() -> Self {
        Self {
            tracks: Vec::new(),
            shift: None,
            run: 0,
            end: START,
            floor: 0,
            at: 0,
            restart: None,
            drift: None,
        }
    }
}

impl Timeline {
    /// Microseconds since the Unix epoch at place 0, as of the newest packet.
    pub(crate) fn at(&self) -> u64 {
        u64::try_from(self.at).unwrap_or(0)
    }

    /// What comes next has timestamps of its own, for the readable `reason`.
    pub(crate) fn restart(&mut self, reason: &str) {
        if self.shift.take().is_some() {
            self.restart = Some(reason.into());
            self.floor = self.end;
            self.end += HEADROOM;
        }
        self.tracks.clear();
        self.drift = None;
    }

    /// Places `packet`, which arrived at `now` (microseconds since the Unix epoch); None where it must be dropped.
    pub(crate) fn place(&mut self, packet: &Packet, now: u64) -> Option<Placed> {
        if self.tracks.len() <= packet.stream {
            self.tracks.resize(packet.stream + 1, Track::default());
        }
        let (dts, offset) = self.completed(packet);
        let raw = self.unwrapped(packet.stream, dts);
        let now = i64::try_from(now).unwrap_or(i64::MAX);
        let mut broke = self.restart.take();
        let shift = match self.shift {
            Some(shift) => shift,
            None => self.begin(raw, now),
        };
        let (end, run) = (Raw::from(self.end), self.run);
        let track = &mut self.tracks[packet.stream];
        let place = raw + shift + track.own;
        let step = place - Raw::from(track.dts);
        let place = match track.raw {
            Some(last) if track.run != run => {
                if near(raw, last, JUMP) {
                    // Still the timestamps from before the jump of another stream.
                    let since = *track.stray.get_or_insert(raw);
                    track.raw = Some(raw);
                    if raw - since < Raw::from(STRAY) {
                        return None;
                    }
                    track.own = end - raw - shift;
                } else if !near(place, end, APART) {
                    track.own = end - raw - shift;
                }
                raw + shift + track.own
            }
            Some(_) if (-Raw::from(STUMBLE)..=Raw::from(JUMP)).contains(&step) => place,
            // It was silent for a while, and the others went on.
            Some(_) if step > 0 && near(place, end, JUMP) => place,
            Some(_) => {
                let way = if step > 0 { "forward" } else { "back" };
                let size = step.abs() as f64 / 1e6;
                broke = Some(format!(
                    "the source's timestamps jumped {way} by {size:.1} s"
                ));
                self.run += 1;
                let place = end.max(Raw::from(track.dts + track.step.clamp(1, JUMP)));
                self.shift = Some(place - raw - track.own);
                place
            }
            None if near(place, end, APART) => place,
            None => {
                track.own = end - raw - shift;
                end
            }
        };
        let place = i64::try_from(place).unwrap_or(self.end);
        let track = &mut self.tracks[packet.stream];
        track.run = self.run;
        track.stray = None;
        let place = if track.raw.is_some() && place <= track.dts {
            track.dts + 1
        } else {
            place.max(self.floor)
        };
        if track.raw.replace(raw).is_some() {
            track.step = place - track.dts;
        }
        track.dts = place;
        self.end = self
            .end
            .max(place.saturating_add(packet.duration.clamp(0, JUMP)));
        if broke.is_some() {
            self.at = now - place;
            self.drift = None;
        } else if let Some(reason) = self.watch(place, now) {
            broke = Some(reason);
        }
        Some(Placed {
            dts: place,
            pts: place.saturating_add(offset),
            broke,
        })
    }

    /// The packet's dts, guessed where it is missing, and the distance to its pts.
    fn completed(&self, packet: &Packet) -> (i64, i64) {
        let track = &self.tracks[packet.stream];
        let next = track
            .raw
            .map(|raw| raw - track.wrapped + Raw::from(track.step.max(1)));
        let next = next
            .and_then(|next| i64::try_from(next).ok())
            .map(|next| next.clamp(-FAR, FAR));
        let known = |time: i64| (time != Packet::UNKNOWN).then(|| time.clamp(-FAR, FAR));
        match (known(packet.dts), known(packet.pts)) {
            (Some(dts), Some(pts)) => {
                let offset = pts - dts;
                (dts, if offset.abs() > APART { 0 } else { offset })
            }
            (Some(dts), None) => (dts, 0),
            (None, Some(pts)) => match next {
                Some(next) if (pts - next).abs() <= JUMP => (next.min(pts), (pts - next).max(0)),
                _ => (pts, 0),
            },
            (None, None) => (next.unwrap_or(0), 0),
        }
    }

    /// The timestamp as if the source's counter had no end.
    fn unwrapped(&mut self, stream: usize, dts: i64) -> Raw {
        let others = self
            .tracks
            .iter()
            .filter(|track| track.run == self.run)
            .find_map(|track| track.raw);
        let track = &mut self.tracks[stream];
        let raw = Raw::from(dts) + track.wrapped;
        let Some(reference) = track.raw.or(others) else {
            return raw;
        };
        if !near(raw, reference, JUMP) {
            let wraps = WRAPS
                .map(Raw::from)
                .into_iter()
                .flat_map(|wrap| [wrap, -wrap]);
            if let Some(by) = wraps.into_iter().find(|by| near(raw + by, reference, JUMP)) {
                track.wrapped += by;
                return raw + by;
            }
        }
        raw
    }

    /// The first packet of all, or after a restart.
    fn begin(&mut self, raw: Raw, now: i64) -> Raw {
        let shift = Raw::from(self.end) - raw;
        self.shift = Some(shift);
        self.at = now - self.end;
        self.run += 1;
        for track in &mut self.tracks {
            track.run = self.run;
        }
        shift
    }

    /// Compares the timeline with the gateway's clock, and anchors it anew when they have come apart for a whole window.
    fn watch(&mut self, place: i64, now: i64) -> Option<String> {
        let ahead = self.at + place - now;
        let drift = self.drift.get_or_insert(Drift {
            since: now,
            least: ahead,
            most: ahead,
        });
        drift.least = drift.least.min(ahead);
        drift.most = drift.most.max(ahead);
        if now - drift.since < WINDOW {
            return None;
        }
        let Drift { least, most, .. } = self.drift.take()?;
        if least <= DRIFT && most >= -DRIFT {
            return None;
        }
        self.at -= most;
        let way = if most > 0 { "ahead of" } else { "behind" };
        let size = most.abs() as f64 / 1e6;
        Some(format!(
            "the source is {size:.1} s {way} the gateway's clock"
        ))
    }
}

fn near(one: Raw, other: Raw, by: i64) -> bool {
    (one - other).abs() <= Raw::from(by)
}

#[cfg(test)]
mod tests;
