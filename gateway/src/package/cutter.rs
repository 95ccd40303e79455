//! Where parts and segments end, decided on the leader's frames alone.
//!
//! **Parts.** PART-TARGET is fixed from the nominal frame rate: as many whole frames as come nearest to 200 ms, and
//! 2 ms for timestamps that were rounded to milliseconds (RTMP). A part takes the next frame as long as it stays within
//! that. At a steady frame rate every part is therefore the same number of frames.
//! Where the rate wavers (a dropped frame, a camera in the dark) a part may end early, or its last frame may stay on
//! screen beyond the target. RFC 8216bis §4.4.4.9 wants every part ≤ the target and ≥ 85 % of it. The first is kept
//! always: a part announces at most the target, while the media carries the true times, so nothing is missing on screen
//! and the next segment's program date time is right again. The second can be missed by a part before such a gap;
//! players do not check it (hls.js 1.7 reads PART-TARGET for its hold back and reload interval alone).
//!
//! **Segments** start on a key frame: the first at or after the segment target (2 s), or an earlier one when waiting for
//! the next could exceed the target duration. What the next gap may be is taken from the last eight; before two are
//! known the longest allowed is assumed. When gaps grow all of a sudden, the segment ends at the target duration all the same
//! (§4.4.3.1 is a MUST) and the next one begins without a key frame, once.

use std::{collections::VecDeque, time::Duration};

use super::Settings;

/// For timestamps rounded to milliseconds, at both ends of a part.
const SLACK_MICROS: i64 = 2_000;
/// `EXTINF` is rounded before it is compared with the target duration (§4.4.3.1).
const ROUNDING_MICROS: i64 = 450_000;
/// A gap between frames longer than this is a discontinuity.
const LONGEST_FRAME_MICROS: i64 = 1_000_000;
/// Gaps between key frames, and steps between frames, that are remembered.
const REMEMBERED_GAPS: usize = 8;
const REMEMBERED_STEPS: usize = 5;

/// The end of a part, of a segment, or of both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cut {
    /// In ticks of the leader: nothing from here on belongs to what ends.
    pub(super) at: i64,
    /// In ticks of the leader: where the part began.
    pub(super) from: i64,
    /// Leader frames in the part that ends; 0 when a segment ends behind a part that ended already.
    pub(super) frames: usize,
    /// The segment ends as well, and the next one begins at `at` with a key frame.
    pub(super) segment: bool,
}

/// Cuts one run of frames without discontinuity.
#[derive(Debug)]
pub(super) struct Cutter {
    /// All in ticks of the leader.
    target: i64,
    segment_target: i64,
    longest_segment: i64,
    longest_gap: i64,
    longest_frame: i64,
    nominal: i64,
    steps: VecDeque<i64>,
    gaps: VecDeque<i64>,
    started: Option<Progress>,
}

#[derive(Clone, Copy, Debug)]
struct Progress {
    segment: i64,
    key: i64,
    part: i64,
    frames: usize,
    last: i64,
    last_duration: i64,
}

impl Cutter {
    /// `frame` is the nominal duration of a frame and `timescale` the ticks per second.
    pub(super) fn new(settings: &Settings, frame: i64, timescale: u32) -> Self {
        let ticks = |micros: i64| micros * i64::from(timescale) / 1_000_000;
        let longest_gap = ticks(micros(settings.longest_key_frame_gap));
        Self {
            target: target(settings, frame, timescale),
            segment_target: ticks(micros(settings.segment)),
            longest_segment: longest_gap.max(ticks(micros(settings.segment)))
                + ticks(ROUNDING_MICROS),
            longest_gap,
            longest_frame: ticks(LONGEST_FRAME_MICROS).max(3 * frame),
            nominal: frame,
            steps: VecDeque::new(),
            gaps: VecDeque::new(),
            started: None,
        }
    }

    /// Whether a frame at `dts` can go on from the last, or is too far away.
    pub(super) fn joins(&self, dts: i64) -> bool {
        self.started
            .is_none_or(|p| dts - p.last <= self.longest_frame)
    }

    /// Whether a segment has begun.
    pub(super) fn has_started(&self) -> bool {
        self.started.is_some()
    }

    /// The leader's next frame; returns what ends before it (at most one) and right behind it (at most one).
    ///
    /// `duration` is 0 where it is not known; then what ends is known only with the next frame. Frames before the
    /// first key frame are not for the cutter.
    pub(super) fn frame(&mut self, dts: i64, duration: i64, key: bool) -> [Option<Cut>; 2] {
        let Some(mut p) = self.started else {
            let frames = 1;
            self.started = Some(Progress {
                segment: dts,
                key: dts,
                part: dts,
                frames,
                last: dts,
                last_duration: duration,
            });
            return [None, self.cut_behind(duration)];
        };
        if dts > p.last {
            remember(&mut self.steps, dts - p.last, REMEMBERED_STEPS);
        }
        let mut before = None;
        let expected = if duration > 0 { duration } else { self.step() };
        let segment = (key && self.ends_segment(dts - p.segment))
            || dts + expected - p.segment > self.longest_segment;
        if key {
            remember(&mut self.gaps, dts - p.key, REMEMBERED_GAPS);
            p.key = dts;
        }
        if segment || (p.frames > 0 && dts + expected - p.part > self.target) {
            before = Some(Cut {
                at: dts,
                from: p.part,
                frames: p.frames,
                segment,
            });
            p.frames = 0;
        }
        if segment {
            p.segment = dts;
        }
        if p.frames == 0 {
            p.part = dts;
        }
        p.frames += 1;
        p.last = dts;
        p.last_duration = duration;
        self.started = Some(p);
        [before, self.cut_behind(duration)]
    }

    /// What is still open, up to the end of the last frame.
    pub(super) fn rest(&self) -> Option<Cut> {
        let p = self.started.filter(|p| p.frames > 0)?;
        let last = if p.last_duration > 0 {
            p.last_duration
        } else {
            self.step()
        };
        Some(Cut {
            at: p.last + last,
            from: p.part,
            frames: p.frames,
            segment: true,
        })
    }

    /// A part that is full with a frame of known duration ends at once, unless the segment may end there too.
    fn cut_behind(&mut self, duration: i64) -> Option<Cut> {
        let p = self.started.filter(|_| duration > 0)?;
        let end = p.last + duration;
        if end + self.step() - p.part <= self.target || self.ends_segment(end - p.segment) {
            return None;
        }
        self.started = Some(Progress { frames: 0, ..p });
        Some(Cut {
            at: end,
            from: p.part,
            frames: p.frames,
            segment: false,
        })
    }

    /// Whether a key frame so long after the segment's start ends it.
    fn ends_segment(&self, elapsed: i64) -> bool {
        let gap = if self.gaps.len() < 2 {
            self.longest_gap
        } else {
            *self.gaps.iter().max().unwrap_or(&0)
        };
        elapsed + self.nominal / 2 >= self.segment_target || elapsed + gap > self.longest_segment
    }

    /// How long a frame lasts, by the last few; robust against a single dropped one.
    fn step(&self) -> i64 {
        let mut steps: Vec<_> = self.steps.iter().copied().collect();
        steps.sort_unstable();
        if steps.len() < REMEMBERED_STEPS {
            self.nominal
        } else {
            steps[steps.len() / 2]
        }
    }
}

/// PART-TARGET of the leader in ticks.
pub(super) fn target(settings: &Settings, frame: i64, timescale: u32) -> i64 {
    let part = micros(settings.part) * i64::from(timescale) / 1_000_000;
    let frames = ((part + frame / 2) / frame.max(1)).max(1);
    frames * frame + slack(timescale)
}

/// PART-TARGET, in ticks of its own, of a track that is cut where a leader with `leader` µs is cut: as many whole frames
/// as can begin in such a part. A tenth of a frame beyond a whole number is rounding, or too rare to make all parts look
/// short beside their target.
pub(super) fn follower_target(leader: i64, frame: i64, timescale: u32) -> i64 {
    let leader = (leader - SLACK_MICROS) * i64::from(timescale) / 1_000_000;
    let frame = frame.max(1);
    ((leader - frame / 10 + frame - 1) / frame).max(1) * frame + slack(timescale)
}

/// A setting, which is a few seconds at most.
fn micros(setting: Duration) -> i64 {
    setting.as_micros() as i64
}

fn slack(timescale: u32) -> i64 {
    SLACK_MICROS * i64::from(timescale) / 1_000_000
}

fn remember(values: &mut VecDeque<i64>, value: i64, most: usize) {
    if values.len() == most {
        values.pop_front();
    }
    values.push_back(value);
}
