//! HEVC bytes: from Annex B to lengths and an HEVCDecoderConfigurationRecord.
//!
//! Pure, and safe against hostile bytes.

use bytes::{BufMut, Bytes, BytesMut};

use super::{
    bits::{Bits, unescape},
    h264,
};

/// NAL unit types (ITU-T H.265 table 7-1) that matter here.
const VPS: u8 = 32;
const SPS: u8 = 33;
const PPS: u8 = 34;
const DELIMITER: u8 = 35;
/// Parameter sets of one kind that are kept; a stream has one, seldom more.
const MAX_SETS: usize = 16;

fn kind(unit: &[u8]) -> u8 {
    unit[0] >> 1 & 63
}

/// What an SPS says of the picture, and what a record repeats of it.
pub(crate) struct Sps {
    /// Pixels after cropping.
    pub(crate) width: u32,
    /// Pixels after cropping.
    pub(crate) height: u32,
    temporal_layers: u8,
    nested: u8,
    chroma_format: u8,
    luma_depth: u8,
    chroma_depth: u8,
    /// As they stand in the SPS.
    profile_tier_level: [u8; 12],
}

impl Sps {
    /// Reads an SPS with its NAL header (H.265 §7.3.2.2).
    pub(crate) fn parse(unit: &[u8]) -> Option<Self> {
        let plain = unescape(unit.get(2..)?);
        let profile_tier_level = *plain.get(1..)?.first_chunk::<12>()?;
        let bits = &mut Bits::new(&plain);
        bits.skip(4)?;
        let (layers, nested) = (bits.take(3)?, bits.take(1)?);
        bits.skip(96)?;
        let mut skipped = if layers > 0 { 2 * (8 - layers) } else { 0 };
        for _ in 0..layers {
            skipped += if bits.flag()? { 88 } else { 0 };
            skipped += if bits.flag()? { 8 } else { 0 };
        }
        bits.skip(skipped)?;
        bits.exp_golomb()?; // id
        let chroma = bits.exp_golomb()?;
        bits.skip(u32::from(chroma == 3))?;
        let (width, height) = (bits.exp_golomb()?, bits.exp_golomb()?);
        let (across, down) = bits.crop(chroma)?;
        let depths = [bits.exp_golomb()?, bits.exp_golomb()?];
        let sane = chroma <= 3 && depths.iter().all(|depth| *depth <= 8);
        sane.then_some(Self {
            width: width.checked_sub(across)?,
            height: height.checked_sub(down)?,
            temporal_layers: layers as u8 + 1,
            nested: nested as u8,
            chroma_format: chroma as u8,
            luma_depth: depths[0] as u8,
            chroma_depth: depths[1] as u8,
            profile_tier_level,
        })
    }
}

/// The HEVCDecoderConfigurationRecord (ISO/IEC 14496-15 §8.3.3.1) of the parameter sets in an Annex B byte stream; None
/// where one kind is missing.
pub(crate) fn hvcc(bytes: &[u8]) -> Option<Bytes> {
    let sets = |wanted: u8| {
        let mut sets: Vec<&[u8]> = Vec::new();
        for unit in h264::annex_b(bytes).filter(|unit| kind(unit) == wanted) {
            if !sets.contains(&unit) && sets.len() < MAX_SETS {
                sets.push(unit);
            }
        }
        (wanted, sets)
    };
    let sets = [VPS, SPS, PPS].map(sets);
    let info = Sps::parse(sets[1].1.first()?)?;
    let mut out = BytesMut::new();
    out.put_u8(1);
    out.put_slice(&info.profile_tier_level);
    out.put_u16(0xf000); // spatial segmentation is not told
    out.put_u8(0xfc); // nor is parallelism
    out.put_slice(&[
        0xfc | info.chroma_format,
        0xf8 | info.luma_depth,
        0xf8 | info.chroma_depth,
    ]);
    out.put_u16(0); // nor is the frame rate
    // NAL units have lengths of four bytes.
    out.put_u8((info.temporal_layers << 3) | (info.nested << 2) | 3);
    out.put_u8(3);
    for (kind, sets) in sets {
        if sets.is_empty() {
            return None;
        }
        out.put_u8(0x80 | kind); // all of this kind are here
        out.put_u16(u16::try_from(sets.len()).ok()?);
        for set in sets {
            out.put_u16(u16::try_from(set.len()).ok()?);
            out.put_slice(set);
        }
    }
    Some(out.freeze())
}

/// The first SPS of an HEVCDecoderConfigurationRecord.
pub(crate) fn hvcc_sps(record: &[u8]) -> Option<&[u8]> {
    let mut rest = record.get(23..)?;
    for _ in 0..*record.get(22)? {
        let (&[kind, high, low], mut units) = rest.split_first_chunk()?;
        for _ in 0..u16::from_be_bytes([high, low]) {
            let (length, behind) = units.split_first_chunk()?;
            let (unit, behind) = behind.split_at_checked(u16::from_be_bytes(*length).into())?;
            if kind & 63 == SPS {
                return Some(unit);
            }
            units = behind;
        }
        rest = units;
    }
    None
}

/// The same picture with 4-byte lengths instead of start codes, without access unit delimiters and parameter sets.
pub(crate) fn length_prefixed(bytes: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(bytes.len() + 16);
    for unit in h264::annex_b(bytes) {
        if !matches!(kind(unit), VPS | SPS | PPS | DELIMITER) {
            h264::put_unit(&mut out, unit);
        }
    }
    out.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 320 × 180, Main, level 2: as x265 wrote them.
    const SETS: &[u8] = &[
        0, 0, 0, 1, 0x40, 1, 0xc, 1, 0xff, 0xff, 1, 0x60, 0, 0, 3, 0, 0x90, 0, 0, 3, 0, 0, 3, 0,
        0x3c, 0x95, 0x94, 9, 0, 0, 0, 1, 0x42, 1, 1, 1, 0x60, 0, 0, 3, 0, 0x90, 0, 0, 3, 0, 0, 3,
        0, 0x3c, 0xa0, 0xa, 8, 0xc, 0x1f, 0x3e, 0x59, 0x59, 0x52, 0x93, 0xb, 0xc0, 0x5a, 2, 0, 0,
        3, 0, 2, 0, 0, 3, 0, 0x3c, 0x10, 0, 0, 0, 1, 0x44, 1, 0xc0, 0x73, 0xc1, 0x89,
    ];
    /// The fixed part of the record that FFmpeg writes of them.
    const RECORD: [u8; 23] = [
        1, 1, 0x60, 0, 0, 0, 0x90, 0, 0, 0, 0, 0, 0x3c, 0xf0, 0, 0xfc, 0xfd, 0xf8, 0xf8, 0, 0, 0xf,
        3,
    ];

    #[test]
    fn a_record_is_made_of_all_three_parameter_sets_or_not_at_all() {
        let record = hvcc(SETS).unwrap();
        assert_eq!(record[..23], RECORD);
        for cut in 0..SETS.len() {
            let _ = hvcc(&SETS[..cut]);
            let _ = hvcc(&SETS[cut..]);
        }
    }
}
