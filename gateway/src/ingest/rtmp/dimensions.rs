//! Picture size and frame rate from the parameter sets in a decoder configuration.
//!
//! Only what stands before and in those fields is read; `None` means that the bytes say nothing sensible.

use super::bits::{Bits, unescape};
use crate::ingest::media::Codec;

/// No encoder in use makes larger pictures.
const MAX_SIDE: u32 = 16_384;

/// What a picture looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dimensions {
    /// Pixels, after cropping.
    pub width: u32,
    /// Pixels, after cropping.
    pub height: u32,
    /// Frames per second as a fraction, where the stream says it.
    pub frame_rate: Option<(u32, u32)>,
}

/// Reads the dimensions of what `codec` decodes to.
pub fn dimensions(codec: &Codec) -> Option<Dimensions> {
    let found = match codec {
        Codec::H264 { avcc } => h264(avcc),
        Codec::Hevc { hvcc } => hevc(hvcc),
        Codec::Av1 { av1c } => av1(av1c),
        _ => None,
    }?;
    let sane = |side| (1..=MAX_SIDE).contains(&side);
    (sane(found.width) && sane(found.height)).then_some(found)
}

/// AVCDecoderConfigurationRecord (ISO/IEC 14496-15 §5.3.3.1) → first SPS (H.264 §7.3.2.1.1).
fn h264(avcc: &[u8]) -> Option<Dimensions> {
    let length = usize::from(u16::from_be_bytes([*avcc.get(6)?, *avcc.get(7)?]));
    let sps = unescape(avcc.get(8..8 + length)?.get(1..)?);
    let bits = &mut Bits::new(&sps);
    let profile = bits.take(8)?;
    bits.skip(16)?; // constraints, level
    bits.exp_golomb()?; // id
    let mut chroma = 1;
    if [100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135].contains(&profile) {
        chroma = bits.exp_golomb()?;
        bits.skip(u32::from(chroma == 3))?;
        bits.exp_golomb()?; // bit depths
        bits.exp_golomb()?;
        bits.skip(1)?;
        if bits.flag()? {
            for list in 0..if chroma == 3 { 12 } else { 8 } {
                if bits.flag()? {
                    skip_scaling_list(bits, if list < 6 { 16 } else { 64 })?;
                }
            }
        }
    }
    bits.exp_golomb()?; // frame number length
    match bits.exp_golomb()? {
        0 => drop(bits.exp_golomb()?),
        1 => {
            bits.skip(1)?;
            bits.exp_golomb()?;
            bits.exp_golomb()?;
            for _ in 0..bits.exp_golomb()?.min(255) {
                bits.exp_golomb()?;
            }
        }
        _ => {}
    }
    bits.exp_golomb()?; // reference frames
    bits.skip(1)?;
    let width = bits.exp_golomb()?.checked_add(1)?.checked_mul(16)?;
    let rows = bits.exp_golomb()?.checked_add(1)?;
    let frames_only = bits.take(1)?;
    bits.skip(1 - frames_only)?;
    bits.skip(1)?;
    let height = rows.checked_mul(16)?.checked_mul(2 - frames_only)?;
    // In units of chroma samples (table 6-1), of two rows where fields are coded.
    let (unit_x, unit_y) = match chroma {
        1 => (2, 2),
        2 => (2, 1),
        _ => (1, 1),
    };
    let (crop_x, crop_y) = crop(bits, unit_x, unit_y * (2 - frames_only))?;
    Some(Dimensions {
        width: width.checked_sub(crop_x)?,
        height: height.checked_sub(crop_y)?,
        frame_rate: h264_frame_rate(bits),
    })
}

/// Video usability information (H.264 §E.1.1) as far as the timing.
fn h264_frame_rate(bits: &mut Bits<'_>) -> Option<(u32, u32)> {
    if !bits.flag()? {
        return None;
    }
    if bits.flag()? && bits.take(8)? == 255 {
        bits.skip(32)?; // aspect ratio
    }
    if bits.flag()? {
        bits.skip(1)?; // overscan
    }
    if bits.flag()? {
        bits.skip(4)?; // video format, range
        if bits.flag()? {
            bits.skip(24)?; // colours
        }
    }
    if bits.flag()? {
        bits.exp_golomb()?; // chroma location
        bits.exp_golomb()?;
    }
    if !bits.flag()? {
        return None;
    }
    let (units, scale) = (bits.take(32)?, bits.take(32)?);
    let units = units.checked_mul(2)?; // a tick is a field
    let sane = units > 0 && (1..=300).contains(&(scale / units));
    sane.then_some((scale, units)).map(reduce)
}

/// HEVCDecoderConfigurationRecord (ISO/IEC 14496-15 §8.3.3.1) → first SPS (H.265 §7.3.2.2).
fn hevc(hvcc: &[u8]) -> Option<Dimensions> {
    let sps = unescape(hevc_sps(hvcc)?.get(2..)?);
    let bits = &mut Bits::new(&sps);
    bits.skip(4)?;
    let layers = bits.take(3)?;
    bits.skip(1 + 96)?; // nesting; profile, tier and level
    let present: Vec<_> = (0..layers)
        .map(|_| Some((bits.flag()?, bits.flag()?)))
        .collect::<Option<_>>()?;
    bits.skip(if layers > 0 { 2 * (8 - layers) } else { 0 })?;
    for (profile, level) in present {
        bits.skip(88 * u32::from(profile) + 8 * u32::from(level))?;
    }
    bits.exp_golomb()?; // id
    let chroma = bits.exp_golomb()?;
    bits.skip(u32::from(chroma == 3))?;
    let (width, height) = (bits.exp_golomb()?, bits.exp_golomb()?);
    let (unit_x, unit_y) = match chroma {
        1 => (2, 2),
        2 => (2, 1),
        _ => (1, 1),
    };
    let (crop_x, crop_y) = crop(bits, unit_x, unit_y)?;
    Some(Dimensions {
        width: width.checked_sub(crop_x)?,
        height: height.checked_sub(crop_y)?,
        frame_rate: None,
    })
}

fn hevc_sps(hvcc: &[u8]) -> Option<&[u8]> {
    const SPS: u8 = 33;
    let mut rest = hvcc.get(23..)?;
    for _ in 0..*hvcc.get(22)? {
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

/// AV1CodecConfigurationRecord (AV1-ISOBMFF §2.3) → sequence header OBU (AV1 §5.5).
fn av1(av1c: &[u8]) -> Option<Dimensions> {
    let bits = &mut Bits::new(av1c.get(4..)?);
    bits.skip(1)?;
    if bits.take(4)? != 1 {
        return None; // the sequence header comes first (AV1-ISOBMFF §2.3.4)
    }
    let (extension, sized) = (bits.take(1)?, bits.flag()?);
    bits.skip(1 + 8 * extension)?;
    while sized && bits.flag()? {
        bits.skip(7)?; // leb128: the size is not needed
    }
    bits.skip(if sized { 7 } else { 0 })?;
    bits.skip(4)?; // profile, still picture
    let (mut decoder_model, mut delay_bits) = (false, 0);
    if bits.flag()? {
        bits.skip(5)?; // reduced header: the level alone
    } else {
        if bits.flag()? {
            bits.skip(64)?;
            if bits.flag()? {
                bits.exp_golomb()?; // uvlc is the same code
            }
            decoder_model = bits.flag()?;
            if decoder_model {
                delay_bits = bits.take(5)? + 1;
                bits.skip(42)?;
            }
        }
        let delay_present = bits.flag()?;
        for _ in 0..=bits.take(5)? {
            bits.skip(12)?;
            if bits.take(5)? > 7 {
                bits.skip(1)?;
            }
            if decoder_model && bits.flag()? {
                bits.skip(2 * delay_bits + 1)?;
            }
            if delay_present && bits.flag()? {
                bits.skip(4)?;
            }
        }
    }
    let (width_bits, height_bits) = (bits.take(4)? + 1, bits.take(4)? + 1);
    Some(Dimensions {
        width: bits.take(width_bits)? + 1,
        height: bits.take(height_bits)? + 1,
        frame_rate: None,
    })
}

/// The cropping rectangle of H.264 and HEVC: how much it takes away, in pixels.
fn crop(bits: &mut Bits<'_>, unit_x: u32, unit_y: u32) -> Option<(u32, u32)> {
    if !bits.flag()? {
        return Some((0, 0));
    }
    let mut edges = [0; 4];
    for edge in &mut edges {
        *edge = bits.exp_golomb()?;
    }
    let [left, right, top, bottom] = edges;
    let across = left.checked_add(right)?.checked_mul(unit_x)?;
    let down = top.checked_add(bottom)?.checked_mul(unit_y)?;
    Some((across, down))
}

/// H.264 §7.3.2.1.1.1: the list ends early where a delta brings the next scale to 0.
fn skip_scaling_list(bits: &mut Bits<'_>, size: usize) -> Option<()> {
    let (mut last, mut next) = (8i32, 8i32);
    for _ in 0..size {
        if next != 0 {
            let code = bits.exp_golomb()?;
            let magnitude = i32::try_from(code.div_ceil(2)).ok()?;
            let delta = if code % 2 == 1 { magnitude } else { -magnitude };
            next = last.wrapping_add(delta).rem_euclid(256);
        }
        last = if next == 0 { last } else { next };
    }
    Some(())
}

/// `a/b` in lowest terms.
pub(super) fn reduce((a, b): (u32, u32)) -> (u32, u32) {
    let (mut x, mut y) = (a, b.max(1));
    while y != 0 {
        (x, y) = (y, x % y);
    }
    (a / x, b.max(1) / x)
}
