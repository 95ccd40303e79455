//! Parts and init segments: what is stored, sent and verified as one (README §2).
//!
//! A part is one LL-HLS partial segment: one `moof` and one `mdat` of fragmented MP4, with all tracks of its
//! rendition. It is one IPFS block of codec `raw`; its name is its [CID](crate::dag::cid_of).

/// No part and no init segment is longer, in bytes: every IPFS implementation carries blocks of this size.
pub const MAX_PART_BYTES: usize = 1024 * 1024;

/// No part lasts longer, in microseconds.
pub const MAX_PART_MICROS: u32 = 10_000_000;
