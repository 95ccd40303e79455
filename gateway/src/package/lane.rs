//! One track's frames on their way into parts.

use std::collections::VecDeque;

use super::{codecs, fmp4::Frame};
use crate::ingest::media::{Codec, Kind, Sample, Track};

/// A nominal frame rate outside of these is not believed.
const FRAME_RATES: std::ops::RangeInclusive<f64> = 0.1..=300.0;
const ASSUMED_FRAME_RATE: f64 = 30.0;
/// Timestamps of different tracks are compared with this much tolerance.
const TOLERANCE_MICROS: i64 = 2_000;

/// A track and what waits in it.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) track: Track,
    /// Nominal duration of a frame, in ticks.
    pub(super) frame: i64,
    /// It is in the renditions of the open segment, or was in the last one's without a discontinuity since.
    pub(super) carried: bool,
    /// Parts wait for it; a lane that lags is not waited for and leaves with the next segment.
    pub(super) awaited: bool,
    /// Not before this time (µs of the gateway's clock) does a lane that lagged come back.
    pub(super) back_at: u64,
    /// How long it is left out the next time it lags, in µs.
    pub(super) penalty: u64,
    waiting: VecDeque<Sample>,
    bytes: usize,
    newest: Option<(i64, i64)>,
}

impl Lane {
    pub(super) fn new(track: Track) -> Self {
        let frame = nominal_frame(&track);
        Self {
            track,
            frame,
            carried: false,
            awaited: true,
            back_at: 0,
            penalty: 4_000_000,
            waiting: VecDeque::new(),
            bytes: 0,
            newest: None,
        }
    }

    pub(super) fn is_video(&self) -> bool {
        matches!(self.track.kind, Kind::Video { .. })
    }

    /// Ticks of this track at `micros` of the timeline, rounded down.
    pub(super) fn ticks(&self, micros: i64) -> i64 {
        scale(micros, self.track.timescale, 1_000_000)
    }

    /// Microseconds of the timeline at `ticks`, rounded down.
    pub(super) fn micros(&self, ticks: i64) -> i64 {
        scale(ticks, 1_000_000, self.track.timescale)
    }

    /// Bytes that wait.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The end of the newest sample, in µs of the timeline.
    pub(super) fn end(&self) -> Option<i64> {
        self.newest
            .map(|(dts, duration)| self.micros(dts + duration))
    }

    /// Takes a sample; false when its decode time goes back, which ingest never sends.
    pub(super) fn push(&mut self, sample: Sample) -> bool {
        if sample.dts < 0 || self.newest.is_some_and(|(dts, _)| sample.dts < dts) {
            return false;
        }
        let duration = if sample.duration > 0 {
            i64::from(sample.duration)
        } else {
            0
        };
        // Audio without a duration lasts its nominal one; of video nothing is known until the next.
        let known = if duration == 0 && !self.is_video() {
            self.frame
        } else {
            duration
        };
        self.newest = Some((sample.dts, known));
        self.bytes += sample.data.len();
        self.waiting.push_back(sample);
        true
    }

    /// Whether nothing before `at` (µs of the timeline) can still come.
    pub(super) fn reaches(&self, at: i64) -> bool {
        self.end().is_some_and(|end| end + TOLERANCE_MICROS >= at)
    }

    /// Forgets what begins before `at` (µs of the timeline).
    pub(super) fn drop_before(&mut self, at: i64) {
        let count = self.count_before(at);
        self.take(count);
    }

    /// How many samples begin before `at` (µs of the timeline).
    pub(super) fn count_before(&self, at: i64) -> usize {
        let tolerance = if self.is_video() { self.frame / 4 } else { 0 };
        let at = self.ticks(at) - tolerance;
        self.waiting
            .iter()
            .take_while(|sample| sample.dts < at)
            .count()
    }

    /// Takes the first `count` samples as frames. Each lasts until the next; the last one as long as it says, or until
    /// the next that waits.
    pub(super) fn take(&mut self, count: usize) -> Vec<Frame> {
        let samples: Vec<_> = self
            .waiting
            .drain(..count.min(self.waiting.len()))
            .collect();
        let behind = self.waiting.front().map(|sample| sample.dts);
        let ends: Vec<_> = samples
            .iter()
            .skip(1)
            .map(|sample| Some(sample.dts))
            .chain([behind])
            .collect();
        let frame = |(sample, next): (Sample, Option<i64>)| {
            let said = if sample.duration > 0 {
                i64::from(sample.duration)
            } else {
                self.frame
            };
            let duration = next.map_or(said, |next| next - sample.dts);
            Frame {
                dts: sample.dts as u64,
                offset: (sample.pts - sample.dts).clamp(i64::from(i32::MIN), i64::from(i32::MAX))
                    as i32,
                duration: duration.clamp(0, i64::from(u32::MAX)) as u32,
                key: sample.key || !self.is_video(),
                data: sample.data,
            }
        };
        let frames: Vec<_> = samples.into_iter().zip(ends).map(frame).collect();
        self.bytes -= frames.iter().map(|frame| frame.data.len()).sum::<usize>();
        frames
    }

    /// Forgets everything that waits.
    pub(super) fn clear(&mut self) {
        self.waiting.clear();
        self.bytes = 0;
        self.newest = None;
    }
}

/// `value * to / from`, rounded down.
fn scale(value: i64, to: u32, from: u32) -> i64 {
    let scaled = (i128::from(value) * i128::from(to)).div_euclid(i128::from(from.max(1)));
    i64::try_from(scaled).unwrap_or(i64::MAX)
}

fn nominal_frame(track: &Track) -> i64 {
    let timescale = f64::from(track.timescale);
    let frame = match (&track.kind, &track.codec) {
        (Kind::Video { frame_rate, .. }, _) => timescale / rate(*frame_rate),
        // SBR doubles the 1024 samples of a frame (ISO/IEC 14496-3 §4.6.18); the sample rate is the doubled one.
        (Kind::Audio { sample_rate, .. }, Codec::Aac { config }) => {
            let sbr = matches!(codecs::aac_object_type(config), Ok(5 | 29));
            (if sbr { 2048.0 } else { 1024.0 }) * timescale / f64::from((*sample_rate).max(1))
        }
        (Kind::Audio { .. }, _) => timescale / 50.0, // Opus: 20 ms
    };
    (frame.round() as i64).max(1)
}

/// Frames per second that can be believed.
pub(super) fn rate((numerator, denominator): (u32, u32)) -> f64 {
    let rate = f64::from(numerator) / f64::from(denominator);
    if FRAME_RATES.contains(&rate) {
        rate
    } else {
        ASSUMED_FRAME_RATE
    }
}
