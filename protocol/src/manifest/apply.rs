//! The rules by which news changes the window (README §4). A manifest that is read goes through them as well.

use std::sync::Arc;

use cid::Cid;

use super::{
    Announcement, InitEntry, MAX_NEWS, MAX_NUMBER, MAX_PARTS_PER_SEGMENT, Manifest, News,
    PartEntry, Rejected, Segment, Strand,
};
use crate::{dag, part::MAX_PART_BYTES};

impl Manifest {
    /// Takes in the next announcement, or says why not and stays as it is.
    ///
    /// Its sequence must be one more than the last in the same epoch. [`Rejected::Gap`] means that a manifest is
    /// needed; so does a new epoch, because what it begins with may differ from what is known here.
    pub fn apply(&mut self, announcement: &Announcement) -> Result<(), Rejected> {
        let got = (announcement.epoch, announcement.sequence);
        let known = (self.epoch, self.sequence);
        if got <= known {
            return Err(Rejected::Old { got, known });
        }
        if got != (known.0, known.1 + 1) {
            return Err(Rejected::Gap { got, known });
        }
        bounded("sequence", announcement.sequence, MAX_NUMBER)?;
        bounded("clock", announcement.clock, MAX_NUMBER)?;
        bounded("news", announcement.news.len() as u64, MAX_NEWS as u64)?;
        let mut next = self.clone();
        for news in &announcement.news {
            next.learn(news)?;
        }
        next.sequence = announcement.sequence;
        next.clock = announcement.clock;
        next.drop_old();
        *self = next;
        Ok(())
    }

    fn learn(&mut self, news: &News) -> Result<(), Rejected> {
        match news {
            News::Rendition(rendition) => self.add_rendition(rendition.clone()),
            News::Init {
                rendition,
                number,
                cid,
                size,
            } => self.add_init(
                *rendition,
                InitEntry {
                    number: *number,
                    cid: *cid,
                    size: *size,
                },
            ),
            News::Segment {
                msn,
                start,
                discontinuity,
                init,
            } => self.begin_segment(*msn, *start, *discontinuity, *init),
            News::Part {
                rendition,
                msn,
                part,
                cid,
                size,
                duration,
                independent,
            } => {
                let entry = PartEntry {
                    cid: *cid,
                    size: *size,
                    duration: *duration,
                    independent: *independent,
                };
                self.add_part(*rendition, *msn, *part, entry)
            }
            News::Closed {
                rendition,
                msn,
                cid,
            } => self.close(*rendition, *msn, Some(cid)),
            News::End => {
                self.ended = true;
                Ok(())
            }
            News::Withdrawn { rendition } => self.withdraw(*rendition),
        }
    }

    pub(super) fn begin_segment(
        &mut self,
        msn: u64,
        start: u64,
        discontinuity: bool,
        init: u32,
    ) -> Result<(), Rejected> {
        let broken = |why| Err(Rejected::rule("segment", msn, why));
        if msn < self.next_msn || (msn > self.next_msn && !self.segments.is_empty()) {
            return broken("its number is not the next");
        }
        if msn >= MAX_NUMBER || start > MAX_NUMBER {
            return broken("its number or start is beyond 2^53 - 1");
        }
        if self.ended && !discontinuity {
            return broken("only a discontinuity goes on behind the end");
        }
        if self.segments.back().is_some_and(|last| last.init > init) {
            return broken("its init number goes back");
        }
        if self.segments.back().is_some_and(|last| last.init != init) && !discontinuity {
            return broken("only a discontinuity changes the init segment");
        }
        self.segments.push_back(Arc::new(Segment {
            msn,
            start,
            discontinuity,
            init,
            strands: Vec::new(),
        }));
        self.next_msn = msn + 1;
        self.ended = false;
        Ok(())
    }

    pub(super) fn add_part(
        &mut self,
        rendition: u8,
        msn: u64,
        part: u32,
        entry: PartEntry,
    ) -> Result<(), Rejected> {
        let index = usize::from(rendition);
        let broken = |why| Err(Rejected::rule("part", part, why));
        let known = self.entry(rendition)?;
        let target_micros = (u64::from(self.settings.target_duration) * 2 + 1) * 500_000;
        if self.ended {
            return broken("the stream has ended");
        }
        if known.withdrawn {
            return broken("its rendition is withdrawn");
        }
        if !is_block(&entry.cid, entry.size) {
            return broken(NOT_A_BLOCK);
        }
        if entry.duration == 0 || entry.duration > known.rendition.part_target {
            return broken("its duration is 0 or above the part target");
        }
        let Some(segment) = self.segment(msn) else {
            return broken("its segment is not in the window");
        };
        if known.inits.iter().all(|init| init.number != segment.init) {
            return broken("its init segment is not known");
        }
        let strand = segment.strand(index);
        if strand.root.is_some() {
            return broken("its segment is closed");
        }
        if strand.parts.len() as u64 != u64::from(part) {
            return broken("its number is not the next");
        }
        let count = strand.parts.len() as u64 + 1;
        bounded("parts of a segment", count, MAX_PARTS_PER_SEGMENT as u64)?;
        // RFC 8216bis §4.4.3.1: a segment's duration, rounded to the nearest second, is at most the target.
        if strand.duration() + u64::from(entry.duration) >= target_micros {
            return broken("its segment would last longer than the target duration");
        }
        let first = self.segments[0].msn;
        let at = (msn - first) as usize;
        if self
            .segments
            .iter()
            .skip(at + 1)
            .any(|later| !later.parts(index).is_empty())
        {
            return broken("a later segment of its rendition has begun");
        }
        if part == 0 {
            let before = self
                .segments
                .iter()
                .take(at)
                .rev()
                .find(|earlier| !earlier.parts(index).is_empty());
            if before.is_some_and(|earlier| earlier.strand(index).root.is_none()) {
                return broken("the segment before of its rendition is not closed");
            }
        }
        let segment = Arc::make_mut(&mut self.segments[at]);
        if segment.strands.len() <= index {
            segment.strands.resize(index + 1, Strand::default());
        }
        segment.strands[index].parts.push(entry);
        self.parts += 1;
        Ok(())
    }

    /// Closes a rendition's segment; `root`, where it is given, must be the segment file of its parts.
    pub(super) fn close(
        &mut self,
        rendition: u8,
        msn: u64,
        root: Option<&Cid>,
    ) -> Result<(), Rejected> {
        let index = usize::from(rendition);
        let broken = |why| Err(Rejected::rule("segment", msn, why));
        self.entry(rendition)?;
        let Some(segment) = self.segment(msn) else {
            return broken("it is not in the window");
        };
        let strand = segment.strand(index);
        if strand.parts.is_empty() {
            return broken("it has no parts");
        }
        if strand.root.is_some() {
            return broken("it is closed already");
        }
        let leaves: Vec<_> = strand
            .parts
            .iter()
            .map(|part| (part.cid, u64::from(part.size)))
            .collect();
        let (file, _) = dag::segment_file(&leaves);
        if root.is_some_and(|root| *root != file) {
            return broken("its CID is not that of the segment file over its parts");
        }
        let at = (msn - self.segments[0].msn) as usize;
        Arc::make_mut(&mut self.segments[at]).strands[index].root = Some(file);
        Ok(())
    }
}

pub(super) fn bounded(what: &'static str, value: u64, max: u64) -> Result<(), Rejected> {
    if value <= max {
        Ok(())
    } else {
        Err(Rejected::TooBig { what, value, max })
    }
}

/// What [`is_block`] refuses.
pub(super) const NOT_A_BLOCK: &str = "it is not a raw block that every IPFS implementation carries";

/// Whether a part or init segment is one raw block that IPFS carries.
pub(super) fn is_block(cid: &Cid, size: u32) -> bool {
    let raw = cid.version() == cid::Version::V1
        && cid.codec() == dag::RAW
        && cid.hash().code() == dag::SHA2_256;
    raw && cid.hash().size() == 32 && (1..=MAX_PART_BYTES as u32).contains(&size)
}
