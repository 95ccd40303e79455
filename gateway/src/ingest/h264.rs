//! H.264 bytes: Annex B and AVCC, parameter sets, what a picture's size and rate are.
//!
//! Pure, and safe against hostile bytes: every reader returns None instead of reading beyond the end.

mod sps;

use bytes::{BufMut, Bytes, BytesMut};

pub(crate) use sps::Sps;

/// NAL unit types (ITU-T H.264 table 7-1) that matter here.
const IDR: u8 = 5;
const SPS: u8 = 7;
const PPS: u8 = 8;
const DELIMITER: u8 = 9;

/// The NAL units of an Annex B byte stream (ITU-T H.264 annex B), without start codes and trailing zeros.
pub(crate) fn annex_b(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
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

/// The same picture with 4-byte lengths instead of start codes; access unit delimiters are left out, and so are
/// parameter sets, which stand in the AVCDecoderConfigurationRecord.
pub(crate) fn length_prefixed(bytes: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(bytes.len() + 16);
    for unit in annex_b(bytes) {
        if !matches!(unit[0] & 31, SPS | PPS | DELIMITER) {
            put_unit(&mut out, unit);
        }
    }
    out.freeze()
}

/// Appends a NAL unit behind its length.
pub(crate) fn put_unit(out: &mut BytesMut, unit: &[u8]) {
    out.put_u32(u32::try_from(unit.len()).expect("a packet of FFmpeg is shorter than 2 GiB"));
    out.put_slice(unit);
}

/// The AVCDecoderConfigurationRecord (ISO/IEC 14496-15 §5.3.3.1) of the first SPS and PPS in an Annex B byte stream.
pub(crate) fn avcc(bytes: &[u8]) -> Option<Bytes> {
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
pub(crate) fn avcc_sps(record: &[u8]) -> Option<(usize, &[u8])> {
    let prefix = usize::from(record.get(4)? & 3) + 1;
    if record[0] != 1 || record.get(5)? & 31 == 0 {
        return None;
    }
    let length = usize::from(u16::from_be_bytes([*record.get(6)?, *record.get(7)?]));
    Some((prefix, record.get(8..8 + length)?))
}

/// The NAL units of an AVCC packet; a length that points beyond the end ends the walk.
pub(crate) fn units(packet: &[u8], prefix: usize) -> impl Iterator<Item = &[u8]> {
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
pub(crate) fn is_key(packet: &[u8], prefix: usize) -> bool {
    units(packet, prefix).any(|unit| unit.first().is_some_and(|byte| byte & 31 == IDR))
}

/// Whether the lengths of this AVCC packet add up to its size.
pub(crate) fn is_whole(packet: &[u8], prefix: usize) -> bool {
    !packet.is_empty()
        && units(packet, prefix)
            .map(|unit| unit.len() + prefix)
            .sum::<usize>()
            == packet.len()
}

/// The packet with 4-byte lengths.
pub(crate) fn widened(packet: &Bytes, prefix: usize) -> Bytes {
    if prefix == 4 {
        return packet.clone();
    }
    let mut out = BytesMut::with_capacity(packet.len() + 16);
    units(packet, prefix).for_each(|unit| put_unit(&mut out, unit));
    out.freeze()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// An AVCDecoderConfigurationRecord of x264: 1920 × 1080 at 30000/1001, coded in 1088 lines.
    pub(crate) const AVCC: &[u8] = b"\x01\x42\xc0\x28\xff\xe1\x00\x19\x67\x42\xc0\x28\xda\x01\xe0\x08\x9f\x97\x01\x10\x00\x00\x3e\x90\x00\x0e\xa6\x00\xf1\x83\x2a\x01\x00\x04\x68\xce\x0f\xc8";

    #[test]
    fn start_codes_of_both_lengths_part_the_units() {
        let bytes = [
            0, 0, 0, 1, 9, 16, 0, 0, 1, 0x65, 1, 0, 0, 3, 1, 0, 0, 0, 0, 1, 0x41, 7,
        ];
        let units: Vec<&[u8]> = annex_b(&bytes).collect();
        assert_eq!(units, [&[9, 16][..], &[0x65, 1, 0, 0, 3, 1], &[0x41, 7]]);
        let framed = length_prefixed(&bytes);
        assert_eq!(
            &framed[..],
            [0, 0, 0, 6, 0x65, 1, 0, 0, 3, 1, 0, 0, 0, 2, 0x41, 7]
        );
        assert!(is_key(&framed, 4) && is_whole(&framed, 4));
        assert!(!is_whole(&framed[..framed.len() - 1], 4) && !is_whole(&[], 4));
    }

    #[test]
    fn short_lengths_are_widened() {
        let packet = Bytes::from_static(&[0, 2, 0x65, 1, 0, 1, 0x41]);
        assert_eq!(
            &widened(&packet, 2)[..],
            [0, 0, 0, 2, 0x65, 1, 0, 0, 0, 1, 0x41]
        );
    }
}
