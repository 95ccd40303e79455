//! H.264 bytes: Annex B and AVCC, parameter sets, what a picture's size and rate are.
//!
//! Pure, and safe against hostile bytes: every reader returns None instead of reading beyond the end.

use bytes::{BufMut, Bytes, BytesMut};

/// NAL unit types (ITU-T H.264 table 7-1) that matter here.
const IDR: u8 = 5;
const SPS: u8 = 7;
const PPS: u8 = 8;
const DELIMITER: u8 = 9;

/// The NAL units of an Annex B byte stream (ITU-T H.264 annex B), without start codes and trailing zeros.
pub(super) fn annex_b(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = start_code(bytes).map(|(_, after)| &bytes[after..]);
    std::iter::from_fn(move || {
        loop {
            let current = rest?;
            let end = match start_code(current) {
                Some((before, after)) => {
                    rest = Some(&current[after..]);
                    before
                }
                None => {
                    rest = None;
                    current.len()
                }
            };
            let unit = without_trailing_zeros(&current[..end]);
            if !unit.is_empty() {
                return Some(unit);
            }
        }
    })
}

fn without_trailing_zeros(bytes: &[u8]) -> &[u8] {
    let end = bytes
        .iter()
        .rposition(|&byte| byte != 0)
        .map_or(0, |at| at + 1);
    &bytes[..end]
}

/// Where the next `00 00 01` begins and ends.
fn start_code(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut at = 2;
    while at < bytes.len() {
        match bytes[at] {
            1 if bytes[at - 1] == 0 && bytes[at - 2] == 0 => return Some((at - 2, at + 1)),
            // A byte above 1 is in no start code: none can end at the next two places either.
            2.. => at += 3,
            _ => at += 1,
        }
    }
    None
}

/// Whether these bytes begin with an Annex B start code.
pub(super) fn is_annex_b(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0, 0, 1]) || bytes.starts_with(&[0, 0, 0, 1])
}

/// The same picture with 4-byte lengths instead of start codes; access unit delimiters are left out, and so are
/// parameter sets, which stand in the AVCDecoderConfigurationRecord.
pub(super) fn length_prefixed(bytes: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(bytes.len() + 16);
    for unit in annex_b(bytes) {
        if !matches!(unit[0] & 31, SPS | PPS | DELIMITER) {
            put_unit(&mut out, unit);
        }
    }
    out.freeze()
}

fn put_unit(out: &mut BytesMut, unit: &[u8]) {
    out.put_u32(u32::try_from(unit.len()).expect("a packet of FFmpeg is shorter than 2 GiB"));
    out.put_slice(unit);
}

/// The AVCDecoderConfigurationRecord (ISO/IEC 14496-15 §5.3.3.1) of the first SPS and PPS in an Annex B byte stream.
pub(super) fn avcc(bytes: &[u8]) -> Option<Bytes> {
    let sps: Vec<&[u8]> = annex_b(bytes).filter(|unit| unit[0] & 31 == SPS).collect();
    let pps: Vec<&[u8]> = annex_b(bytes).filter(|unit| unit[0] & 31 == PPS).collect();
    let first = *sps.first().filter(|sps| sps.len() >= 4)?;
    let info = Sps::parse(first)?;
    let mut out = BytesMut::new();
    out.put_slice(&[1, first[1], first[2], first[3], 0xfc | 3]);
    // The same SPS id twice would be one too many; a stream of ours has one, and a foreign one seldom more.
    out.put_u8(0xe0 | 1);
    out.put_u16(u16::try_from(first.len()).ok()?);
    out.put_slice(first);
    let mut sets: Vec<&[u8]> = Vec::new();
    for set in pps {
        if !sets.contains(&set) && sets.len() < 31 {
            sets.push(set);
        }
    }
    if sets.is_empty() {
        return None;
    }
    out.put_u8(u8::try_from(sets.len()).ok()?);
    for set in sets {
        out.put_u16(u16::try_from(set.len()).ok()?);
        out.put_slice(set);
    }
    if matches!(first[1], 100 | 110 | 122 | 144) {
        out.put_slice(&[
            0xfc | info.chroma_format,
            0xf8 | info.luma_depth,
            0xf8 | info.chroma_depth,
            0,
        ]);
    }
    Some(out.freeze())
}

/// How many bytes a NAL unit's length has in packets of this AVCDecoderConfigurationRecord, and its first SPS.
pub(super) fn avcc_sps(record: &[u8]) -> Option<(usize, &[u8])> {
    let prefix = usize::from(record.get(4)? & 3) + 1;
    if record[0] != 1 || record.get(5)? & 31 == 0 {
        return None;
    }
    let length = usize::from(u16::from_be_bytes([*record.get(6)?, *record.get(7)?]));
    Some((prefix, record.get(8..8 + length)?))
}

/// The NAL units of an AVCC packet; a length that points beyond the end ends the walk.
pub(super) fn units(packet: &[u8], prefix: usize) -> impl Iterator<Item = &[u8]> {
    let mut rest = packet;
    std::iter::from_fn(move || {
        let length = rest
            .get(..prefix)?
            .iter()
            .fold(0usize, |sum, &byte| sum << 8 | usize::from(byte));
        let unit = rest.get(prefix..prefix.checked_add(length)?)?;
        rest = &rest[prefix + length..];
        Some(unit)
    })
}

/// Whether decoding can start from this AVCC packet: it holds an IDR picture.
pub(super) fn is_key(packet: &[u8], prefix: usize) -> bool {
    units(packet, prefix).any(|unit| unit.first().is_some_and(|byte| byte & 31 == IDR))
}

/// Whether the lengths of this AVCC packet add up to its size.
pub(super) fn is_whole(packet: &[u8], prefix: usize) -> bool {
    !packet.is_empty()
        && units(packet, prefix)
            .map(|unit| unit.len() + prefix)
            .sum::<usize>()
            == packet.len()
}

/// The packet with 4-byte lengths.
pub(super) fn widened(packet: &Bytes, prefix: usize) -> Bytes {
    if prefix == 4 {
        return packet.clone();
    }
    let mut out = BytesMut::with_capacity(packet.len() + 16);
    units(packet, prefix).for_each(|unit| put_unit(&mut out, unit));
    out.freeze()
}

/// What a sequence parameter set says (ITU-T H.264 §7.3.2.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sps {
    /// Pixels after cropping.
    pub(super) width: u32,
    /// Pixels after cropping.
    pub(super) height: u32,
    /// Frames per second as (numerator, denominator), where the SPS says.
    pub(super) frame_rate: Option<(u32, u32)>,
    chroma_format: u8,
    luma_depth: u8,
    chroma_depth: u8,
}

impl Sps {
    /// Whether it is 4:2:0 with 8 bits.
    pub(super) fn is_common(&self) -> bool {
        (self.chroma_format, self.luma_depth, self.chroma_depth) == (1, 0, 0)
    }

    /// Reads an SPS with its NAL header; None for one that is cut off or out of bounds.
    pub(super) fn parse(unit: &[u8]) -> Option<Self> {
        if unit.first()? & 31 != SPS {
            return None;
        }
        let plain = unescaped(unit.get(1..)?);
        let mut bits = Bits {
            bytes: &plain,
            at: 0,
        };
        let profile = bits.take(8)?;
        bits.take(16)?;
        bits.golomb()?;
        let (mut chroma, mut luma_depth, mut chroma_depth, mut separate) = (1, 0, 0, false);
        if matches!(
            profile,
            100 | 110 | 122 | 244 | 44 | 83 | 86 | 118 | 128 | 138 | 139 | 134 | 135
        ) {
            chroma = bits.golomb()?;
            separate = chroma == 3 && bits.take(1)? == 1;
            (luma_depth, chroma_depth) = (bits.golomb()?, bits.golomb()?);
            bits.take(1)?;
            if bits.take(1)? == 1 {
                skip_scaling_lists(&mut bits, if chroma == 3 { 12 } else { 8 })?;
            }
        }
        bits.golomb()?;
        match bits.golomb()? {
            0 => drop(bits.golomb()?),
            1 => {
                bits.take(1)?;
                bits.golomb()?;
                bits.golomb()?;
                for _ in 0..bits.golomb()?.min(255) {
                    bits.golomb()?;
                }
            }
            _ => {}
        }
        bits.golomb()?;
        bits.take(1)?;
        let (columns, rows) = (
            bits.golomb()?.checked_add(1)?,
            bits.golomb()?.checked_add(1)?,
        );
        let fields = 2 - bits.take(1)?;
        if fields == 2 {
            bits.take(1)?;
        }
        bits.take(1)?;
        let mut crop = [0; 4];
        if bits.take(1)? == 1 {
            for side in &mut crop {
                *side = bits.golomb()?;
            }
        }
        let (unit_x, unit_y) = match if separate { 0 } else { chroma } {
            1 => (2, 2),
            2 => (2, 1),
            _ => (1, 1),
        };
        let size = |count: u32, crop: u32, unit: u32| {
            count
                .checked_mul(16)?
                .checked_sub(crop.checked_mul(unit)?)
                .filter(|size| (1..=16_384).contains(size))
        };
        Some(Self {
            width: size(columns, crop[0].checked_add(crop[1])?, unit_x)?,
            height: size(
                rows.checked_mul(fields)?,
                crop[2].checked_add(crop[3])?,
                unit_y * fields,
            )?,
            frame_rate: frame_rate(&mut bits),
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
        bits.golomb()?;
        bits.golomb()?;
    }
    if bits.take(1)? == 0 {
        return None;
    }
    let (tick, scale) = (bits.take(32)?, bits.take(32)?);
    // Two ticks are a frame (§E.2.1).
    let tick = tick.checked_mul(2)?;
    let plausible = tick > 0 && (1..=300).contains(&scale.div_ceil(tick));
    plausible.then(|| {
        let divisor = gcd(scale, tick);
        (scale / divisor, tick / divisor)
    })
}

fn gcd(mut a: u32, mut b: u32) -> u32 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a.max(1)
}

fn skip_scaling_lists(bits: &mut Bits<'_>, count: usize) -> Option<()> {
    for list in 0..count {
        if bits.take(1)? == 0 {
            continue;
        }
        let (mut last, mut next) = (8i32, 8i32);
        for _ in 0..if list < 6 { 16 } else { 64 } {
            if next != 0 {
                let code = i64::from(bits.golomb()?);
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

/// Without the emulation prevention bytes (ITU-T H.264 §7.4.1).
fn unescaped(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    for &byte in bytes {
        if byte != 3 || !out.ends_with(&[0, 0]) {
            out.push(byte);
        }
    }
    out
}

struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    /// The next `count` bits, at most 32.
    fn take(&mut self, count: usize) -> Option<u32> {
        let mut value = 0u32;
        for _ in 0..count {
            let byte = self.bytes.get(self.at / 8)?;
            value = value << 1 | u32::from(byte >> (7 - self.at % 8) & 1);
            self.at += 1;
        }
        Some(value)
    }

    /// An unsigned Exp-Golomb number (ITU-T H.264 §9.1).
    fn golomb(&mut self) -> Option<u32> {
        let mut zeros = 0;
        while self.take(1)? == 0 {
            zeros += 1;
            if zeros > 31 {
                return None;
            }
        }
        ((1u32 << zeros) - 1).checked_add(self.take(zeros)?)
    }
}
