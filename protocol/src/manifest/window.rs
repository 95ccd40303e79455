//! The live window: what a manifest holds and how it is asked (README §5).

use std::{collections::VecDeque, sync::Arc};

use super::{
    InitEntry, MAX_INITS, MAX_PARTS, MAX_SEGMENTS, MAX_TARGET_SECONDS, MAX_WINDOW_MICROS,
    PartEntry, RenditionEntry, Segment, Strand,
};

/// What the publisher decides once for a stream; the same for all who render its playlists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How much stays in the window, microseconds, at most [`MAX_WINDOW_MICROS`].
    pub window: u64,
    /// EXT-X-TARGETDURATION, seconds, 1 to [`MAX_TARGET_SECONDS`]: no segment is longer, rounded.
    pub target_duration: u32,
    /// PART-HOLD-BACK, microseconds; playlists say three times PART-TARGET where that is longer.
    pub hold_back: u64,
}

impl Default for Settings {
    /// One minute; segments of up to 6 s, which fits key frames 4 s apart; one second of hold back.
    fn default() -> Self {
        Self {
            window: 60_000_000,
            target_duration: 6,
            hold_back: 1_000_000,
        }
    }
}

impl Settings {
    fn within_limits(self) -> Self {
        Self {
            window: self.window.min(MAX_WINDOW_MICROS),
            target_duration: self.target_duration.clamp(1, MAX_TARGET_SECONDS),
            hold_back: self.hold_back.min(MAX_WINDOW_MICROS),
        }
    }
}

/// The live window of a stream. A clone is cheap: segments are shared.
#[derive(Clone, Debug, PartialEq)]
pub struct Manifest {
    pub(super) epoch: u64,
    pub(super) sequence: u64,
    pub(super) clock: u64,
    pub(super) settings: Settings,
    pub(super) ended: bool,
    /// Number of the next segment.
    pub(super) next_msn: u64,
    /// Discontinuities in segments that have left the window.
    pub(super) discontinuities: u64,
    pub(super) renditions: Arc<Vec<RenditionEntry>>,
    pub(super) segments: VecDeque<Arc<Segment>>,
    /// Parts in `segments`, of all renditions.
    pub(super) parts: usize,
}

impl Manifest {
    /// An empty window at epoch 0, sequence 0. Settings beyond their limits are cut to them.
    pub fn new(settings: Settings) -> Self {
        Self {
            epoch: 0,
            sequence: 0,
            clock: 0,
            settings: settings.within_limits(),
            ended: false,
            next_msn: 0,
            discontinuities: 0,
            renditions: Arc::default(),
            segments: VecDeque::new(),
            parts: 0,
        }
    }

    /// Begins an epoch, at each start of a publisher: `epoch` must be higher than any before, also those that a
    /// lost journal knew (seconds since 1970 are a good choice). The first announcement has sequence 1.
    /// Viewers enter it by the signed manifest.
    pub fn begin_epoch(&mut self, epoch: u64, clock: u64) {
        self.epoch = epoch;
        self.sequence = 0;
        self.clock = clock;
    }

    /// The publisher's alone, before an epoch's first announcement: viewers learn of it by the manifest. Settings
    /// beyond their limits are cut to them; the target duration stays long enough for every segment that is kept.
    pub fn configure(&mut self, settings: Settings) {
        self.settings = settings.within_limits();
        self.drop_old();
        let longest = self
            .segments
            .iter()
            .map(|segment| segment.duration())
            .max()
            .unwrap_or(0);
        let rounded =
            u32::try_from((longest + 500_000) / 1_000_000).expect("a segment lasts 60.5 s at most");
        self.settings.target_duration = self.settings.target_duration.max(rounded);
    }

    /// Highest epoch seen.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Of the last announcement in this epoch; 0 before the first.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// The stream's clock at that announcement, microseconds since the Unix epoch.
    pub fn clock(&self) -> u64 {
        self.clock
    }

    /// Whether the stream has ended.
    pub fn ended(&self) -> bool {
        self.ended
    }

    /// What the publisher decided.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// All renditions, also withdrawn ones; the position is the index that news use.
    pub fn renditions(&self) -> &[RenditionEntry] {
        &self.renditions
    }

    /// The index of a rendition.
    pub fn rendition_index(&self, id: &str) -> Option<usize> {
        self.renditions
            .iter()
            .position(|entry| entry.rendition.id == id)
    }

    /// Oldest first, numbers without gaps.
    pub fn segments(&self) -> impl DoubleEndedIterator<Item = &Segment> + ExactSizeIterator {
        self.segments.iter().map(|segment| &**segment)
    }

    /// A segment by its number.
    pub fn segment(&self, msn: u64) -> Option<&Segment> {
        let first = self.segments.front()?.msn;
        self.segments
            .get(usize::try_from(msn.checked_sub(first)?).ok()?)
            .map(|segment| &**segment)
    }

    /// Number of the segment that comes next.
    pub fn next_msn(&self) -> u64 {
        self.next_msn
    }

    /// A rendition's share of a segment, if it has any.
    pub fn find_strand(&self, rendition_id: &str, msn: u64) -> Option<&Strand> {
        let strand = self
            .segment(msn)?
            .strand(self.rendition_index(rendition_id)?);
        (!strand.parts.is_empty()).then_some(strand)
    }

    /// A part by its numbers.
    pub fn find_part(&self, rendition_id: &str, msn: u64, part: u32) -> Option<&PartEntry> {
        self.find_strand(rendition_id, msn)?
            .parts
            .get(usize::try_from(part).ok()?)
    }

    /// An init segment by its number.
    pub fn find_init(&self, rendition_id: &str, number: u32) -> Option<&InitEntry> {
        let entry = &self.renditions[self.rendition_index(rendition_id)?];
        entry.inits.iter().find(|init| init.number == number)
    }

    /// The newest part of any rendition: (msn, part).
    pub fn latest(&self) -> Option<(u64, u32)> {
        (0..self.renditions.len())
            .filter_map(|index| self.latest_at(index))
            .max()
    }

    /// Whether the window holds this segment, and of no rendition that has parts of it others will follow.
    pub fn is_closed(&self, msn: u64) -> bool {
        self.segment(msn).is_some_and(|segment| {
            let mut strands = (0..self.renditions.len()).map(|index| segment.strand(index));
            strands.all(|strand| strand.root.is_some() || strand.parts.is_empty())
        })
    }

    /// The newest part of this rendition: (msn, part).
    pub fn latest_of(&self, rendition_id: &str) -> Option<(u64, u32)> {
        self.latest_at(self.rendition_index(rendition_id)?)
    }

    /// The newest part of the rendition of this index: (msn, part).
    pub(crate) fn latest_at(&self, index: usize) -> Option<(u64, u32)> {
        let segment = self
            .segments
            .iter()
            .rev()
            .find(|segment| !segment.parts(index).is_empty())?;
        Some((segment.msn, segment.parts(index).len() as u32 - 1))
    }

    /// Discontinuities before the first segment of the window.
    pub fn discontinuity_sequence(&self) -> u64 {
        self.discontinuities
    }

    /// A number that no init segment of this window has or had.
    pub fn next_init(&self) -> u32 {
        let inits = self
            .renditions
            .iter()
            .filter_map(|entry| Some(entry.inits.last()?.number));
        inits.max().map_or(0, |last| last + 1)
    }

    /// Drops what the window no longer needs: the same for all who applied the same announcements.
    pub(super) fn drop_old(&mut self) {
        let mut behind: u64 = self.segments.iter().map(|segment| segment.duration()).sum();
        while let Some(first) = self.segments.front() {
            behind -= first.duration();
            let crowded = self
                .renditions
                .iter()
                .any(|entry| entry.inits_from(first.init).count() >= MAX_INITS);
            let fits = self.segments.len() <= MAX_SEGMENTS && self.parts <= MAX_PARTS && !crowded;
            if fits && behind < self.settings.window || self.segments.len() == 1 {
                break;
            }
            self.parts -= first.part_count();
            self.discontinuities += u64::from(first.discontinuity);
            self.segments.pop_front();
        }
        let Some(first) = self.segments.front().map(|segment| segment.init) else {
            return;
        };
        if self
            .renditions
            .iter()
            .any(|entry| entry.inits.len() > entry.inits_from(first).count())
        {
            for entry in Arc::make_mut(&mut self.renditions) {
                entry.inits = entry.inits_from(first).copied().collect();
            }
        }
    }
}
