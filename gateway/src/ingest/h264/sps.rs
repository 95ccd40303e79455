//! The sequence parameter set: a picture's size and rate.

use super::SPS;
use crate::ingest::{
    bits::{Bits, unescape},
    dimensions::{MAX_SIDE, reduce},
};

/// What a sequence parameter set says (ITU-T H.264 §7.3.2.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sps {
    /// Pixels after cropping.
    pub(crate) width: u32,
    /// Pixels after cropping.
    pub(crate) height: u32,
    /// Frames per second as (numerator, denominator), where the SPS says.
    pub(crate) frame_rate: Option<(u32, u32)>,
    pub(super) chroma_format: u8,
    pub(super) luma_depth: u8,
    pub(super) chroma_depth: u8,
}

impl Sps {
    /// Whether it is 4:2:0 with 8 bits.
    pub(crate) fn is_common(&self) -> bool {
        (self.chroma_format, self.luma_depth, self.chroma_depth) == (1, 0, 0)
    }

    /// Reads an SPS with its NAL header; None for one that is cut off or out of bounds.
    pub(crate) fn parse(unit: &[u8]) -> Option<Self> {
        if unit.first()? & 31 != SPS {
            return None;
        }
        let plain = unescape(unit.get(1..)?);
        let bits = &mut Bits::new(&plain);
        let profile = bits.take(8)?;
        bits.take(16)?;
        bits.exp_golomb()?;
        let (mut chroma, mut luma_depth, mut chroma_depth, mut separate) = (1, 0, 0, false);
        if matches!(
            profile,
            100 | 110 | 122 | 244 | 44 | 83 | 86 | 118 | 128 | 138 | 139 | 134 | 135
        ) {
            chroma = bits.exp_golomb()?;
            separate = chroma == 3 && bits.take(1)? == 1;
            (luma_depth, chroma_depth) = (bits.exp_golomb()?, bits.exp_golomb()?);
            bits.take(1)?;
            if bits.take(1)? == 1 {
                skip_scaling_lists(bits, if chroma == 3 { 12 } else { 8 })?;
            }
        }
        bits.exp_golomb()?;
        match bits.exp_golomb()? {
            0 => drop(bits.exp_golomb()?),
            1 => {
                bits.take(1)?;
                bits.exp_golomb()?;
                bits.exp_golomb()?;
                for _ in 0..bits.exp_golomb()?.min(255) {
                    bits.exp_golomb()?;
                }
            }
            _ => {}
        }
        bits.exp_golomb()?;
        bits.take(1)?;
        let (columns, rows) = (
            bits.exp_golomb()?.checked_add(1)?,
            bits.exp_golomb()?.checked_add(1)?,
        );
        let fields = 2 - bits.take(1)?;
        if fields == 2 {
            bits.take(1)?;
        }
        bits.take(1)?;
        let (across, down) = bits.crop(if separate { 0 } else { chroma })?;
        let size = |count: u32, crop: u32| {
            count
                .checked_mul(16)?
                .checked_sub(crop)
                .filter(|size| (1..=MAX_SIDE).contains(size))
        };
        Some(Self {
            width: size(columns, across)?,
            // Two rows of samples where fields are coded.
            height: size(rows.checked_mul(fields)?, down.checked_mul(fields)?)?,
            frame_rate: frame_rate(bits),
            chroma_format: u8::try_from(chroma).ok().filter(|&format| format <= 3)?,
            luma_depth: u8::try_from(luma_depth).ok().filter(|&depth| depth <= 6)?,
            chroma_depth: u8::try_from(chroma_depth)
                .ok()
                .filter(|&depth| depth <= 6)?,
        })
    }
}

/// The VUI's timing (ITU-T H.264 §E.1.1), where present.
fn frame_rate(bits: &mut Bits<'_>) -> Option<(u32, u32)> {
    if bits.take(1)? == 0 {
        return None;
    }
    if bits.take(1)? == 1 && bits.take(8)? == 255 {
        bits.take(32)?;
    }
    if bits.take(1)? == 1 {
        bits.take(1)?;
    }
    if bits.take(1)? == 1 {
        bits.take(4)?;
        if bits.take(1)? == 1 {
            bits.take(24)?;
        }
    }
    if bits.take(1)? == 1 {
        bits.exp_golomb()?;
        bits.exp_golomb()?;
    }
    if bits.take(1)? == 0 {
        return None;
    }
    let (tick, scale) = (bits.take(32)?, bits.take(32)?);
    // Two ticks are a frame (§E.2.1).
    let tick = tick.checked_mul(2)?;
    let plausible = tick > 0 && (1..=300).contains(&scale.div_ceil(tick));
    plausible.then(|| reduce((scale, tick)))
}

fn skip_scaling_lists(bits: &mut Bits<'_>, count: usize) -> Option<()> {
    for list in 0..count {
        if bits.take(1)? == 0 {
            continue;
        }
        let (mut last, mut next) = (8i32, 8i32);
        for _ in 0..if list < 6 { 16 } else { 64 } {
            if next != 0 {
                let code = i64::from(bits.exp_golomb()?);
                let delta = if code % 2 == 1 {
                    (code + 1) / 2
                } else {
                    -code / 2
                };
                next = i32::try_from((i64::from(last) + delta).rem_euclid(256)).ok()?;
            }
            last = if next == 0 { last } else { next };
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// libx264, High profile, 1920 × 1080 (cropped from 1088), 30 frames per second.
    const FULL_HD: &[u8] = &[
        0x67, 0x64, 0x00, 0x28, 0xac, 0xd9, 0x40, 0x78, 0x02, 0x27, 0xe5, 0xc0, 0x44, 0x00, 0x00,
        0x03, 0x00, 0x04, 0x00, 0x00, 0x03, 0x00, 0xf0, 0x3c, 0x60, 0xc6, 0x58,
    ];

    #[test]
    fn size_is_after_cropping_and_the_rate_is_there() {
        let sps = Sps::parse(FULL_HD).unwrap();
        assert_eq!(
            (sps.width, sps.height, sps.frame_rate),
            (1920, 1080, Some((30, 1)))
        );
        assert!(sps.is_common());
    }

    #[test]
    fn every_cut_and_every_changed_bit_is_read_or_refused() {
        for cut in 0..FULL_HD.len() {
            Sps::parse(&FULL_HD[..cut]);
        }
        for bit in 0..FULL_HD.len() * 8 {
            let mut bytes = FULL_HD.to_vec();
            bytes[bit / 8] ^= 0x80 >> (bit % 8);
            if let Some(sps) = Sps::parse(&bytes) {
                assert!(
                    (1..=MAX_SIDE).contains(&sps.width) && (1..=MAX_SIDE).contains(&sps.height)
                );
            }
        }
    }
}
