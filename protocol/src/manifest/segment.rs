//! Segments and parts as the window holds them.

use cid::Cid;

/// A segment of all renditions.
#[derive(Clone, Debug, PartialEq)]
pub struct Segment {
    /// Media sequence number.
    pub msn: u64,
    /// Program date time of its first frame, microseconds since the Unix epoch.
    pub start: u64,
    /// Whether it does not join what came before.
    pub discontinuity: bool,
    /// Number of the init segments it needs.
    pub init: u32,
    pub(super) strands: Vec<Strand>,
}

/// One rendition's share of a segment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Strand {
    /// In order; the index is the part's number.
    pub parts: Vec<PartEntry>,
    /// The segment file, once the segment is complete.
    pub root: Option<Cid>,
}

/// A part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartEntry {
    /// Of its bytes.
    pub cid: Cid,
    /// Bytes.
    pub size: u32,
    /// Microseconds.
    pub duration: u32,
    /// Whether decoding can start from its first frame.
    pub independent: bool,
}

/// What a rendition without parts has of a segment.
static NOTHING: Strand = Strand {
    parts: Vec::new(),
    root: None,
};

impl Segment {
    /// What the rendition of this index has of it.
    pub fn strand(&self, rendition: usize) -> &Strand {
        self.strands.get(rendition).unwrap_or(&NOTHING)
    }

    /// The parts that the rendition of this index has of it, in order.
    pub fn parts(&self, rendition: usize) -> &[PartEntry] {
        &self.strand(rendition).parts
    }

    /// Microseconds: that of the longest rendition.
    pub fn duration(&self) -> u64 {
        self.strands.iter().map(Strand::duration).max().unwrap_or(0)
    }

    pub(super) fn part_count(&self) -> usize {
        self.strands.iter().map(|strand| strand.parts.len()).sum()
    }
}

impl Strand {
    /// Microseconds.
    pub fn duration(&self) -> u64 {
        self.parts.iter().map(|part| u64::from(part.duration)).sum()
    }

    /// Bytes.
    pub fn size(&self) -> u64 {
        self.parts.iter().map(|part| u64::from(part.size)).sum()
    }
}
