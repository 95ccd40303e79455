//! The tracks of one format, kept in step.
//!
//! A part ends for all renditions together, once every track has come as far as the leader's cut. A track that keeps the
//! others waiting longer than the patience is no longer waited for: until the segment ends parts go without it, or
//! with what comes late; the next segment begins without it behind a discontinuity. It comes back at the start of a
//! segment when it is in step again, each time after a longer while. When it is the leader that falls silent while audio
//! goes on, the audio leads until the next key frame.

use std::collections::VecDeque;

use super::{
    Packaged, Settings, cutter::Cut, cutter::Cutter, lane::Lane, packager::Books, plan, plan::Plan,
};
use crate::ingest::media::{Format, Sample, TrackId};

/// More than this never waits in all tracks together.
const MAX_WAITING_BYTES: usize = 32 << 20;
/// How much media is kept of tracks that are there before the leader's first key frame, µs.
const EARLY_MICROS: i64 = 2_000_000;
/// A track that lags again and again stays away at most this long, µs.
const LONGEST_PENALTY: u64 = 64_000_000;

#[derive(Debug)]
pub(super) struct Stage {
    pub(super) settings: Settings,
    pub(super) format: Format,
    /// As in the format's tracks.
    pub(super) lanes: Vec<Lane>,
    /// Index of the lane that cuts at the moment.
    pub(super) leader: usize,
    /// The format's renditions that have been refused, by their index.
    pub(super) refused: Vec<bool>,
    /// The renditions of the open segment, or of the one that is about to open.
    pub(super) plans: Option<Vec<Plan>>,
    /// Number of the open segment and of its next part.
    pub(super) open: Option<(u64, u32)>,
    cutter: Cutter,
    /// What has been decided and waits for the other tracks, with the time of the decision.
    cuts: VecDeque<(Cut, u64)>,
    leader_seen: u64,
}

impl Stage {
    pub(super) fn new(settings: Settings, format: Format, now: u64) -> Self {
        let lanes: Vec<_> = format.tracks.iter().cloned().map(Lane::new).collect();
        let leader = lanes
            .iter()
            .position(|lane| lane.track.id == format.leader)
            .unwrap_or(0);
        let cutter = lanes.get(leader).map_or_else(
            || Cutter::new(&settings, 1, 1),
            |lane| Cutter::new(&settings, lane.frame, lane.track.timescale),
        );
        let refused = vec![false; format.renditions.len()];
        Self {
            settings,
            format,
            lanes,
            leader,
            refused,
            plans: None,
            open: None,
            cutter,
            cuts: VecDeque::new(),
            leader_seen: now,
        }
    }

    /// So many seconds in the ticks of a track.
    pub(super) fn ticks(&self, track: TrackId, seconds: u64) -> i64 {
        let lane = self.lanes.iter().find(|lane| lane.track.id == track);
        let timescale = lane.map_or(0, |lane| u64::from(lane.track.timescale));
        i64::try_from(seconds.saturating_mul(timescale)).unwrap_or(i64::MAX)
    }

    pub(super) fn sample(
        &mut self,
        sample: Sample,
        now: u64,
        books: &mut Books,
        out: &mut Vec<Packaged>,
    ) {
        let Some(index) = self
            .lanes
            .iter()
            .position(|lane| lane.track.id == sample.track)
        else {
            return;
        };
        self.change_leader(index, &sample, now, books, out);
        if index == self.leader {
            self.leader_seen = now;
            self.leader_sample(sample, now, books, out);
        } else {
            self.lanes[index].push(sample);
            if !self.cutter.has_started()
                && let Some(end) = self.lanes[index].end()
            {
                self.lanes[index].drop_before(end - EARLY_MICROS);
            }
        }
        if self.lanes.iter().map(Lane::bytes).sum::<usize>() > MAX_WAITING_BYTES {
            out.push(Packaged::Notice(format!(
                "more than {MAX_WAITING_BYTES} bytes waited for a track that does not come: begun anew; check the publisher"
            )));
            self.interrupt(now, books, out);
        }
        self.drain(Some(now), books, out);
    }

    /// Ends the open segment with what there is; what comes next is behind a discontinuity.
    pub(super) fn interrupt(&mut self, now: u64, books: &mut Books, out: &mut Vec<Packaged>) {
        self.cuts.extend(self.cutter.rest().map(|cut| (cut, now)));
        self.drain(None, books, out);
        if let Some((segment, _)) = self.open.take() {
            out.push(Packaged::Closed { segment });
        }
        self.abandon(books);
    }

    /// Leaves the rest of this group of pictures out: the next segment begins at the next key frame.
    pub(super) fn abandon(&mut self, books: &mut Books) {
        self.plans = None;
        for lane in &mut self.lanes {
            lane.clear();
            lane.carried = false;
        }
        self.restart(self.leader);
        books.numbers.discontinuity |= books.published;
    }

    fn restart(&mut self, leader: usize) {
        self.leader = leader;
        self.cuts.clear();
        if let Some(lane) = self.lanes.get(leader) {
            self.cutter = Cutter::new(&self.settings, lane.frame, lane.track.timescale);
        }
    }

    fn leader_sample(
        &mut self,
        sample: Sample,
        now: u64,
        books: &mut Books,
        out: &mut Vec<Packaged>,
    ) {
        let key = sample.key || !self.lanes[self.leader].is_video();
        if !self.cutter.joins(sample.dts) {
            self.interrupt(now, books, out);
        }
        // What other tracks have from before the first key frame is left out when the segment is planned.
        if !self.cutter.has_started() && !key {
            return;
        }
        let (dts, duration) = (sample.dts, i64::from(sample.duration));
        if self.lanes[self.leader].push(sample) {
            let cuts = self.cutter.frame(dts, duration, key);
            self.cuts
                .extend(cuts.into_iter().flatten().map(|cut| (cut, now)));
        }
    }

    /// Another lane leads when the leader has been silent for long, and the format's own leads again from a key frame.
    fn change_leader(
        &mut self,
        index: usize,
        sample: &Sample,
        now: u64,
        books: &mut Books,
        out: &mut Vec<Packaged>,
    ) {
        let own = self.index_of(self.format.leader);
        let silence = 2 * self.settings.patience.as_micros() as u64;
        if self.leader == index {
            return;
        }
        let lane = &self.lanes[index];
        if own == Some(index) {
            if sample.key && now >= lane.back_at {
                self.interrupt(now, books, out);
                for lane in &mut self.lanes {
                    (lane.awaited, lane.back_at) = (true, 0);
                }
                self.lanes[index].back_at = now + lane_penalty(&mut self.lanes[index].penalty);
                self.restart(index);
            }
        } else if !lane.is_video() && now.saturating_sub(self.leader_seen) > silence {
            let id = self.lanes[self.leader].track.id;
            self.interrupt(now, books, out);
            out.push(Packaged::Notice(format!(
                "track {id} has been silent for {} s: going on with sound alone until it returns",
                silence / 1_000_000
            )));
            for lane in self.lanes.iter_mut().filter(|lane| lane.is_video()) {
                lane.awaited = false;
            }
            self.lanes[index].awaited = true;
            self.leader_seen = now;
            self.restart(index);
        }
    }

    /// Makes the parts whose tracks are all there; with `now` None all that have been decided.
    fn drain(&mut self, now: Option<u64>, books: &mut Books, out: &mut Vec<Packaged>) {
        while let Some((cut, since)) = self.cuts.front().copied() {
            if cut.frames > 0 {
                if self.plans.is_none() {
                    self.plans = Some(plan::make(self, cut.from, now.unwrap_or(since), out));
                }
                if let Some(now) = now
                    && let Some(late) = self.awaits(self.lanes[self.leader].micros(cut.at))
                {
                    if now.saturating_sub(since) < self.settings.patience.as_micros() as u64 {
                        return;
                    }
                    self.give_up(late, now, out);
                    continue;
                }
            }
            self.cuts.pop_front();
            self.cut(cut, books, out);
        }
    }

    /// A lane of the planned renditions that has not come as far as `at` (µs of the timeline).
    fn awaits(&self, at: i64) -> Option<usize> {
        let planned = self.plans.iter().flatten().flat_map(|plan| &plan.lanes);
        planned.copied().find(|&index| {
            index != self.leader && self.lanes[index].awaited && !self.lanes[index].reaches(at)
        })
    }

    fn give_up(&mut self, index: usize, now: u64, out: &mut Vec<Packaged>) {
        let lane = &mut self.lanes[index];
        lane.awaited = false;
        lane.back_at = now + lane_penalty(&mut lane.penalty);
        let what = if lane.is_video() {
            "the picture"
        } else {
            "the sound"
        };
        let ids: Vec<_> = self
            .format
            .renditions
            .iter()
            .filter(|r| r.tracks.contains(&lane.track.id))
            .map(|r| &*r.id)
            .collect();
        out.push(Packaged::Notice(format!(
            "{what} of {} lags by more than {:?}: going on without it until it is in step again",
            ids.join(", "),
            self.settings.patience
        )));
        if self.open.is_none() {
            self.plans = None; // not begun yet: plan without it
        }
    }

    pub(super) fn index_of(&self, track: TrackId) -> Option<usize> {
        self.lanes.iter().position(|lane| lane.track.id == track)
    }
}

/// How long a lane stays away this time; longer the next.
fn lane_penalty(penalty: &mut u64) -> u64 {
    let this = *penalty;
    *penalty = (this * 2).min(LONGEST_PENALTY);
    this
}
