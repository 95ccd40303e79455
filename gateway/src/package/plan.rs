//! Which renditions a segment has, and the making of its parts.

use meshlive_protocol::part::MAX_PART_BYTES;

use super::{
    Packaged, Part, Rendition,
    cutter::{self, Cut},
    fmp4::{self, Frame, Run},
    packager::Books,
    stage::Stage,
};

/// A rendition of the open segment.
#[derive(Debug)]
pub(super) struct Plan {
    /// Index in the format's renditions.
    index: usize,
    /// Indexes of its lanes, video first.
    pub(super) lanes: Vec<usize>,
    rendition: Rendition,
    /// What the parts of the open segment may still last, µs: the target duration, rounded down to it.
    left: i64,
}

/// Decides which renditions a segment from `from` (ticks of the leader) has. Lanes that are in step again come back.
pub(super) fn make(stage: &mut Stage, from: i64, now: u64, out: &mut Vec<Packaged>) -> Vec<Plan> {
    let from = stage.lanes[stage.leader].micros(from);
    let patience = stage.settings.patience.as_micros() as i64;
    let own_leads = stage.index_of(stage.format.leader) == Some(stage.leader);
    for lane in &mut stage.lanes {
        let in_step = lane.end().is_some_and(|end| end + patience >= from);
        lane.awaited |= in_step && now >= lane.back_at && (own_leads || !lane.is_video());
    }
    stage.lanes[stage.leader].awaited = true;
    let mut plans = plans(stage, false, out);
    if plans.is_empty() {
        plans = self::plans(stage, true, out); // better sound alone than nothing
    }
    for (index, lane) in stage.lanes.iter_mut().enumerate() {
        if !lane.carried {
            lane.drop_before(from);
        }
        lane.carried = plans.iter().any(|plan| plan.lanes.contains(&index));
    }
    plans
}

fn plans(stage: &mut Stage, without_picture: bool, out: &mut Vec<Packaged>) -> Vec<Plan> {
    let leader = &stage.lanes[stage.leader];
    let target = leader.micros(cutter::target(
        &stage.settings,
        leader.frame,
        leader.track.timescale,
    )) + 1;
    let left = i64::from(stage.settings.target_duration()) * 1_000_000 + 499_999;
    let mut plans = Vec::new();
    for (index, format) in stage.format.renditions.iter().enumerate() {
        let known = format.tracks.iter().filter_map(|id| stage.index_of(*id));
        let (mut lanes, missing): (Vec<_>, Vec<_>) =
            known.partition(|&lane| stage.lanes[lane].awaited);
        let blind = missing.iter().any(|&lane| stage.lanes[lane].is_video());
        if stage.refused[index] || lanes.is_empty() || (blind && !without_picture) {
            continue;
        }
        lanes.sort_by_key(|&lane| !stage.lanes[lane].is_video());
        let of: Vec<_> = lanes.iter().map(|&lane| &stage.lanes[lane]).collect();
        match Rendition::new(format, &of, target, lanes[0] == stage.leader) {
            Ok(rendition) => plans.push(Plan {
                index,
                lanes,
                rendition,
                left,
            }),
            Err(unfit) => {
                stage.refused[index] = true;
                out.push(Packaged::Notice(format!(
                    "rendition {} refused: {unfit}",
                    format.id
                )));
            }
        }
    }
    plans
}

impl Stage {
    /// Ends a part, a segment, or both.
    pub(super) fn cut(&mut self, cut: Cut, books: &mut Books, out: &mut Vec<Packaged>) {
        if cut.frames > 0 {
            self.part(cut, books, out);
        }
        if cut.segment {
            if let Some((segment, _)) = self.open.take() {
                out.push(Packaged::Closed { segment });
            }
            self.plans = None;
        }
    }

    fn part(&mut self, cut: Cut, books: &mut Books, out: &mut Vec<Packaged>) {
        let frames = self.take(cut);
        let leader = &self.lanes[self.leader];
        let (from, at) = (leader.micros(cut.from), leader.micros(cut.at));
        let mut plans = self.plans.take().unwrap_or_default();
        let mut parts = Vec::with_capacity(plans.len());
        let mut too_big = false;
        plans.retain_mut(|plan| {
            let part = self.assemble(plan, &frames, from, at, books.sequence);
            let fits = part.data.len() <= MAX_PART_BYTES;
            plan.left -= i64::from(part.duration);
            if fits {
                parts.push(part);
            } else {
                too_big = true;
                self.refused[plan.index] = true;
                out.push(Packaged::Notice(refusal(&plan.rendition, part.data.len())));
            }
            fits
        });
        if too_big && let Some((segment, _)) = self.open.take() {
            // The others go on from the next key frame; here the open segment's renditions cannot change.
            out.push(Packaged::Closed { segment });
            self.abandon(books);
            return;
        }
        if !plans.is_empty() {
            let (segment, part) = self
                .open
                .unwrap_or_else(|| (open(&plans, from, books, out), 0));
            self.open = Some((segment, part + 1));
            books.sequence = books.sequence.wrapping_add(1);
            books.published = true;
            out.push(Packaged::Parts {
                segment,
                part,
                parts,
            });
        }
        self.plans = Some(plans);
    }

    /// The frames of every lane up to the cut.
    fn take(&mut self, cut: Cut) -> Vec<Vec<Frame>> {
        let at = self.lanes[self.leader].micros(cut.at);
        let leader = self.leader;
        let take = |(index, lane): (usize, &mut super::lane::Lane)| {
            let count = if index == leader {
                cut.frames
            } else {
                lane.count_before(at)
            };
            lane.take(count)
        };
        self.lanes.iter_mut().enumerate().map(take).collect()
    }

    fn assemble(
        &self,
        plan: &Plan,
        frames: &[Vec<Frame>],
        from: i64,
        at: i64,
        sequence: u32,
    ) -> Part {
        let runs: Vec<_> = (1..)
            .zip(&plan.lanes)
            .map(|(track, &lane)| Run {
                track,
                frames: &frames[lane],
            })
            .collect();
        let first = plan.lanes[0];
        let own = &frames[first];
        let duration = match (own.first(), own.last()) {
            (Some(start), Some(end)) if first != self.leader => {
                let lane = &self.lanes[first];
                lane.micros((end.dts + u64::from(end.duration)) as i64)
                    - lane.micros(start.dts as i64)
            }
            _ => at - from,
        };
        Part {
            data: fmp4::part(sequence, &runs, self.lanes[first].ticks(from).max(0) as u64),
            duration: duration
                .min(plan.left)
                .clamp(1, i64::from(plan.rendition.part_target)) as u32,
            independent: own.first().is_some_and(|frame| frame.key),
        }
    }
}

/// Tells the renditions where they have changed, opens a segment and returns its number.
fn open(plans: &[Plan], from: i64, books: &mut Books, out: &mut Vec<Packaged>) -> u64 {
    let same = books
        .told
        .as_ref()
        .is_some_and(|(_, told)| told.iter().eq(plans.iter().map(|plan| &plan.rendition)));
    let init = match &books.told {
        Some((number, _)) if same => *number,
        _ => {
            let renditions: Vec<_> = plans.iter().map(|plan| plan.rendition.clone()).collect();
            let number = books.numbers.init;
            books.numbers.init += 1;
            books.numbers.discontinuity |= books.published;
            books.told = Some((number, renditions.clone()));
            out.push(Packaged::Renditions { number, renditions });
            number
        }
    };
    let segment = books.numbers.segment;
    books.numbers.segment += 1;
    let discontinuity = std::mem::take(&mut books.numbers.discontinuity);
    let start = books.anchor.saturating_add_signed(from);
    out.push(Packaged::Opened {
        segment,
        start,
        discontinuity,
        init,
    });
    segment
}

/// What to say of a part that is too big, with the bit rate at which it would not be.
fn refusal(rendition: &Rendition, bytes: usize) -> String {
    let fits = u64::from(rendition.bandwidth) * MAX_PART_BYTES as u64 / bytes as u64 * 9 / 10;
    format!(
        "rendition {} refused: a part of {bytes} bytes; parts hold {MAX_PART_BYTES}. Publish it at {} kbit/s or less",
        rendition.id,
        fits / 1000
    )
}
