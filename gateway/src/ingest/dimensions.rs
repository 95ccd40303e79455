//! Picture size and frame rate from the parameter sets in a decoder configuration.
//!
//! Only what stands before and in those fields is read; `None` means that the bytes say nothing sensible.

use super::{bits::Bits, h264, hevc, media::Codec};

/// No encoder in use makes larger pictures.
pub(super) const MAX_SIDE: u32 = 16_384;

/// What a picture looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Dimensions {
    /// Pixels, after cropping.
    pub(super) width: u32,
    /// Pixels, after cropping.
    pub(super) height: u32,
    /// Frames per second as a fraction, where the stream says it.
    pub(super) frame_rate: Option<(u32, u32)>,
}

/// Reads the dimensions of what `codec` decodes to.
pub(super) fn dimensions(codec: &Codec) -> Option<Dimensions> {
    let found = match codec {
        Codec::H264 { avcc } => h264(avcc),
        Codec::Hevc { hvcc } => hevc(hvcc),
        Codec::Av1 { av1c } => av1(av1c),
        _ => None,
    }?;
    let sane = |side| (1..=MAX_SIDE).contains(&side);
    (sane(found.width) && sane(found.height)).then_some(found)
}

fn h264(avcc: &[u8]) -> Option<Dimensions> {
    let (_, sps) = h264::avcc_sps(avcc)?;
    let sps = h264::Sps::parse(sps)?;
    Some(Dimensions {
        width: sps.width,
        height: sps.height,
        frame_rate: sps.frame_rate,
    })
}

fn hevc(hvcc: &[u8]) -> Option<Dimensions> {
    let sps = hevc::Sps::parse(hevc::hvcc_sps(hvcc)?)?;
    Some(Dimensions {
        width: sps.width,
        height: sps.height,
        frame_rate: None,
    })
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

/// `a/b` in lowest terms.
pub(super) fn reduce((a, b): (u32, u32)) -> (u32, u32) {
    let (mut x, mut y) = (a, b.max(1));
    while y != 0 {
        (x, y) = (y, x % y);
    }
    (a / x, b.max(1) / x)
}
