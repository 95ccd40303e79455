//! How the coded pictures that pass untouched are framed: whether one is whole, and whether decoding can start from it.
//!
//! Pure, and safe against hostile bytes.

use bytes::Bytes;

use crate::ingest::{
    h264,
    media::{Codec, SourceStream},
};

/// The fixed part of an HEVCDecoderConfigurationRecord (ISO/IEC 14496-15 §8.3.3.1).
const HVCC: usize = 23;
/// NAL unit types of HEVC pictures that decoding can start from (ITU-T H.265 table 7-1): BLA, IDR, CRA.
const HEVC_KEYS: std::ops::RangeInclusive<u8> = 16..=21;
/// OBU types (AV1 §6.2.2).
const SEQUENCE_HEADER: u8 = 1;
const TEMPORAL_DELIMITER: u8 = 2;

/// The framing of a source's video.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// NAL units behind lengths of so many bytes.
    H264(usize),
    Hevc(usize),
    /// OBUs.
    Av1,
}

impl Framing {
    /// The framing of HEVC or AV1 and the codec as its track has it; None where `stream` cannot be carried as it is.
    pub(crate) fn beside(stream: &SourceStream) -> Option<(Self, Codec)> {
        match &stream.codec {
            // Without parameter sets in the record there is nothing that a decoder could start with.
            Codec::Hevc { hvcc } if hvcc.len() > HVCC && hvcc[0] == 1 && hvcc[22] > 0 => {
                let prefix = usize::from(hvcc[21] & 3) + 1;
                let mut hvcc = hvcc.to_vec();
                // Samples have 4-byte lengths, whatever the source's have.
                hvcc[21] |= 3;
                Some((Self::Hevc(prefix), Codec::Hevc { hvcc: hvcc.into() }))
            }
            Codec::Av1 { av1c } if av1c.len() >= 4 && av1c[0] == 0x81 => {
                Some((Self::Av1, stream.codec.clone()))
            }
            _ => None,
        }
    }

    /// Whether the lengths in `data` add up to its size, and there is anything to decode in it.
    pub(crate) fn is_whole(self, data: &[u8]) -> bool {
        match self {
            Self::H264(prefix) | Self::Hevc(prefix) => h264::is_whole(data, prefix),
            Self::Av1 => {
                let length: usize = obus(data).map(<[u8]>::len).sum();
                let mut obus = obus(data);
                length == data.len() && obus.any(|obu| kind(obu) != Some(TEMPORAL_DELIMITER))
            }
        }
    }

    /// Whether decoding can start from `data`, which the container says or not (`said`).
    pub(crate) fn is_key(self, data: &[u8], said: bool) -> bool {
        match self {
            Self::H264(prefix) => h264::is_key(data, prefix),
            Self::Hevc(prefix) => h264::units(data, prefix).any(|unit| {
                unit.first()
                    .is_some_and(|byte| HEVC_KEYS.contains(&(byte >> 1 & 63)))
            }),
            // What a frame header says is far inside; but no picture without a sequence header is one to start from.
            Self::Av1 => said && obus(data).any(|obu| kind(obu) == Some(SEQUENCE_HEADER)),
        }
    }

    /// `data` as a sample has it.
    pub(crate) fn sample(self, data: &Bytes) -> Bytes {
        match self {
            Self::H264(prefix) | Self::Hevc(prefix) => h264::widened(data, prefix),
            Self::Av1 if obus(data).any(|obu| kind(obu) == Some(TEMPORAL_DELIMITER)) => {
                let kept = obus(data).filter(|obu| kind(obu) != Some(TEMPORAL_DELIMITER));
                kept.collect::<Vec<_>>().concat().into()
            }
            Self::Av1 => data.clone(),
        }
    }
}

fn kind(obu: &[u8]) -> Option<u8> {
    obu.first().map(|byte| byte >> 3 & 15)
}

/// The OBUs of a temporal unit with their headers (AV1 §5.3); what is damaged ends the walk.
fn obus(data: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = data;
    std::iter::from_fn(move || {
        let header = *rest.first()?;
        let behind = 1 + usize::from(header >> 2 & 1);
        let end = match (header & 0x80, header & 2) {
            (0, 0) => rest.len(),
            (0, _) => {
                let (length, bytes) = leb128(rest.get(behind..)?)?;
                (behind + bytes).checked_add(length)?
            }
            _ => return None,
        };
        let obu = rest.get(..end)?;
        rest = &rest[end..];
        Some(obu)
    })
}

/// A number of at most 32 bits (AV1 §4.10.5) and the bytes it takes.
fn leb128(data: &[u8]) -> Option<(usize, usize)> {
    let mut value = 0u64;
    for (index, byte) in data.iter().take(8).enumerate() {
        value |= u64::from(byte & 127) << (7 * index);
        if byte & 128 == 0 {
            let value = u32::try_from(value).ok()?;
            return Some((usize::try_from(value).ok()?, index + 1));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_temporal_unit_loses_its_delimiter_and_shows_its_sequence_header() {
        let unit = [0x12, 0, 0x0a, 2, 7, 7, 0x32, 3, 1, 2, 3];
        assert!(Framing::Av1.is_whole(&unit));
        assert!(Framing::Av1.is_key(&unit, true) && !Framing::Av1.is_key(&unit, false));
        assert!(!Framing::Av1.is_key(&unit[6..], true));
        let sample = Framing::Av1.sample(&Bytes::copy_from_slice(&unit));
        assert_eq!(&sample[..], &unit[2..]);
        for short in 0..unit.len() {
            let whole = Framing::Av1.is_whole(&unit[..short]);
            assert_eq!(whole, short == 6, "{short}");
        }
        let endless = [0x12, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f];
        assert!(!Framing::Av1.is_whole(&endless));
    }

    #[test]
    fn hevc_starts_from_random_access_pictures_only() {
        for (header, key) in [
            (19 << 1, true),
            (21 << 1, true),
            (9 << 1, false),
            (1 << 1, false),
        ] {
            let packet = [0, 3, header, 1, 0xaf];
            assert!(Framing::Hevc(2).is_whole(&packet));
            assert_eq!(Framing::Hevc(2).is_key(&packet, true), key);
        }
        let sample = Framing::Hevc(2).sample(&Bytes::from_static(&[0, 3, 38, 1, 0xaf]));
        assert_eq!(&sample[..], [0, 0, 0, 3, 38, 1, 0xaf]);
    }
}
