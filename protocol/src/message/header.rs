//! What stands before the bytes of a part (README §8): sixteen bytes, big-endian.

use super::Place;
use crate::{
    manifest::{MAX_NUMBER, MAX_PARTS_PER_SEGMENT, MAX_RENDITIONS, Rejected},
    part::MAX_PART_BYTES,
};

/// Length of every header: rendition (1), zero (1), part (2), size (4), segment (8).
pub const PART_HEADER_BYTES: usize = 16;

/// Which part follows, and how long it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartHeader {
    /// Where it belongs.
    pub place: Place,
    /// Bytes that follow, 1 to [`MAX_PART_BYTES`].
    pub size: u32,
}

impl PartHeader {
    /// The sixteen bytes. A place beyond the limits of a manifest is the caller's bug, and its reader refuses it.
    pub fn encode(&self) -> [u8; PART_HEADER_BYTES] {
        let mut out = [0; PART_HEADER_BYTES];
        out[0] = self.place.rendition;
        out[2..4].copy_from_slice(&(self.place.part as u16).to_be_bytes());
        out[4..8].copy_from_slice(&self.size.to_be_bytes());
        out[8..].copy_from_slice(&self.place.msn.to_be_bytes());
        out
    }

    /// Reads what a peer sent: nothing of `size` is to be allocated before this is `Ok`.
    pub fn decode(bytes: &[u8; PART_HEADER_BYTES]) -> Result<Self, Rejected> {
        let number = |range: std::ops::Range<usize>| {
            bytes[range]
                .iter()
                .fold(0, |value, byte| value << 8 | u64::from(*byte))
        };
        let bounded = |what, value: u64, max: u64| {
            if value <= max {
                Ok(value)
            } else {
                Err(Rejected::TooBig { what, value, max })
            }
        };
        let rendition = bounded("rendition", number(0..1), MAX_RENDITIONS as u64 - 1)?;
        if bytes[1] != 0 {
            return Err(Rejected::Malformed("a reserved byte that is not zero"));
        }
        let part = bounded("part", number(2..4), MAX_PARTS_PER_SEGMENT as u64 - 1)?;
        let size = bounded("part bytes", number(4..8), MAX_PART_BYTES as u64)?;
        if size == 0 {
            return Err(Rejected::Malformed("a part without bytes"));
        }
        let msn = bounded("msn", number(8..16), MAX_NUMBER)?;
        Ok(Self {
            place: Place {
                msn,
                part: part as u32,
                rendition: rendition as u8,
            },
            size: size as u32,
        })
    }
}
