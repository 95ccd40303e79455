//! The bytes of a manifest (README §5). Reading one replays it through the rules of `apply`, so that no manifest
//! holds what announcements could not have led to.

use super::{
    InitEntry, MAX_INITS, MAX_NUMBER, MAX_PARTS_PER_SEGMENT, MAX_RENDITIONS, MAX_SEGMENTS,
    MAX_TARGET_SECONDS, MAX_WINDOW_MICROS, Manifest, PartEntry, Rejected, Rendition, Settings,
};
use crate::{
    cbor::{Reader, Writer},
    part::{MAX_PART_BYTES, MAX_PART_MICROS},
};

impl Manifest {
    /// The payload: `[reserved, epoch, sequence, clock, window, target, hold back, ended, first msn,
    /// discontinuities, [rendition…], [segment…]]`.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Writer::default();
        out.array(12)
            .null()
            .number(self.epoch)
            .number(self.sequence)
            .number(self.clock);
        let Settings {
            window,
            target_duration,
            hold_back,
        } = self.settings;
        out.number(window)
            .number(target_duration)
            .number(hold_back)
            .boolean(self.ended);
        out.number(self.next_msn - self.segments.len() as u64)
            .number(self.discontinuities);
        out.array(self.renditions.len());
        for entry in &*self.renditions {
            out.array(10);
            entry.rendition.encode(&mut out);
            out.boolean(entry.withdrawn).array(entry.inits.len());
            for init in &entry.inits {
                out.array(3)
                    .number(init.number)
                    .link(&init.cid)
                    .number(init.size);
            }
        }
        out.array(self.segments.len());
        for segment in &self.segments {
            out.array(4)
                .number(segment.start)
                .boolean(segment.discontinuity)
                .number(segment.init);
            out.array(segment.strands.len());
            for strand in &segment.strands {
                out.array(2)
                    .boolean(strand.root.is_some())
                    .array(strand.parts.len());
                for part in &strand.parts {
                    out.array(4)
                        .link(&part.cid)
                        .number(part.size)
                        .number(part.duration)
                        .boolean(part.independent);
                }
            }
        }
        out.into_bytes()
    }

    pub(crate) fn decode(payload: &[u8]) -> Result<Self, Rejected> {
        let mut from = Reader::new(payload);
        from.tuple(12)?;
        from.null()?;
        let (epoch, sequence) = (
            from.number("epoch", MAX_NUMBER)?,
            from.number("sequence", MAX_NUMBER)?,
        );
        let clock = from.number("clock", MAX_NUMBER)?;
        let settings = Settings {
            window: from.number("window", MAX_WINDOW_MICROS)?,
            target_duration: from.number("target duration", MAX_TARGET_SECONDS)?,
            hold_back: from.number("hold back", MAX_WINDOW_MICROS)?,
        };
        if settings.target_duration == 0 {
            return Err(Rejected::rule("target duration", 0u8, "it is 0"));
        }
        let mut manifest = Manifest::new(settings);
        let ended = from.boolean()?;
        manifest.next_msn = from.number("first msn", MAX_NUMBER)?;
        let discontinuities = from.number("discontinuities", MAX_NUMBER)?;
        let withdrawn = manifest.read_renditions(&mut from)?;
        for _ in 0..from.array("segments", MAX_SEGMENTS)? {
            manifest.read_segment(&mut from)?;
        }
        from.finish()?;
        for rendition in withdrawn {
            manifest.withdraw(rendition)?;
        }
        let held = (manifest.segments.len(), manifest.renditions.clone());
        manifest.drop_old();
        if held != (manifest.segments.len(), manifest.renditions.clone()) {
            return Err(Rejected::Malformed(
                "a manifest that holds more than its window",
            ));
        }
        Ok(Self {
            epoch,
            sequence,
            clock,
            ended,
            discontinuities,
            ..manifest
        })
    }

    /// Reads all renditions; gives the indices of those that are withdrawn.
    fn read_renditions(&mut self, from: &mut Reader) -> Result<Vec<u8>, Rejected> {
        let mut withdrawn = Vec::new();
        for index in 0..from.array("renditions", MAX_RENDITIONS)? as u8 {
            from.tuple(10)?;
            self.add_rendition(Rendition::decode(from)?)?;
            if self.renditions.len() != usize::from(index) + 1 {
                return Err(Rejected::rule("rendition", index, "its id is not unique"));
            }
            if from.boolean()? {
                withdrawn.push(index);
            }
            for _ in 0..from.array("init segments", MAX_INITS)? {
                from.tuple(3)?;
                let number = from.number("init number", u32::MAX)?;
                let cid = from.link()?;
                self.add_init(
                    index,
                    InitEntry {
                        number,
                        cid,
                        size: from.number("init bytes", MAX_PART_BYTES as u32)?,
                    },
                )?;
            }
        }
        Ok(withdrawn)
    }

    fn read_segment(&mut self, from: &mut Reader) -> Result<(), Rejected> {
        from.tuple(4)?;
        let start = from.number("start", MAX_NUMBER)?;
        let discontinuity = from.boolean()?;
        let init = from.number("init number", u32::MAX)?;
        let msn = self.next_msn;
        self.begin_segment(msn, start, discontinuity, init)?;
        let strands = from.array("renditions of a segment", self.renditions.len())?;
        for rendition in 0..strands as u8 {
            from.tuple(2)?;
            let closed = from.boolean()?;
            for part in 0..from.array("parts of a segment", MAX_PARTS_PER_SEGMENT)? as u32 {
                from.tuple(4)?;
                let entry = PartEntry {
                    cid: from.link()?,
                    size: from.number("part bytes", MAX_PART_BYTES as u32)?,
                    duration: from.number("part duration", MAX_PART_MICROS)?,
                    independent: from.boolean()?,
                };
                self.add_part(rendition, msn, part, entry)?;
            }
            if closed {
                self.close(rendition, msn, None)?;
            }
        }
        // The last rendition named has parts, or the same window could be written in two ways.
        if self
            .segments
            .back()
            .is_some_and(|segment| segment.strands.len() != strands)
        {
            return Err(Rejected::Malformed(
                "a segment that ends with a rendition without parts",
            ));
        }
        Ok(())
    }
}
