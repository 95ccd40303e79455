//! Codec strings of RFC 6381 (and the codecs' own registrations), as `CODECS` of a playlist and `MediaSource` want them.

use crate::ingest::media::{Codec, Track};

/// Why a track cannot be in a rendition; readable, names the thing and the remedy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unfit(pub(super) String);

impl Unfit {
    pub(super) fn codec(codec: &Codec, instead: &str) -> Self {
        let name = match codec {
            Codec::Other { name, .. } => name.chars().take(32).collect(),
            other => format!("{other:?}")
                .split([' ', '{'])
                .next()
                .unwrap_or_default()
                .to_owned(),
        };
        Self(format!(
            "codec {name} has no place in a part; transcode it to {instead}"
        ))
    }

    fn short(what: &str, bytes: &[u8]) -> Self {
        Self(format!(
            "{what} of {} bytes is cut short; publish again, or transcode it",
            bytes.len()
        ))
    }
}

/// The codec string of one track.
///
/// # Errors
/// When the codec is unknown or its configuration too short to tell.
pub fn string(track: &Track) -> Result<String, Unfit> {
    match &track.codec {
        Codec::H264 { avcc } => h264(avcc),
        Codec::Hevc { hvcc } => hevc(hvcc),
        Codec::Av1 { av1c } => av1(av1c),
        Codec::Aac { config } => Ok(format!("mp4a.40.{}", aac_object_type(config)?)),
        Codec::Opus { .. } => Ok("opus".into()),
        other => Err(Unfit::codec(other, "H.264 or AAC")),
    }
}

/// `avc1.PPCCLL` (RFC 6381 §3.3).
fn h264(avcc: &[u8]) -> Result<String, Unfit> {
    match avcc {
        [1, profile, constraints, level, _, _, _, ..] => {
            Ok(format!("avc1.{profile:02x}{constraints:02x}{level:02x}"))
        }
        _ => Err(Unfit::short("avcC", avcc)),
    }
}

/// `hvc1.PROFILE.COMPATIBILITY.TIER LEVEL.CONSTRAINTS` (ISO/IEC 14496-15 §E.3).
fn hevc(hvcc: &[u8]) -> Result<String, Unfit> {
    let [1, profile, c0, c1, c2, c3, constraints @ .., level] = hvcc.get(..13).unwrap_or_default()
    else {
        return Err(Unfit::short("hvcC", hvcc));
    };
    let space = ["", "A", "B", "C"][usize::from(profile >> 6)];
    let tier = if profile & 0x20 == 0 { 'L' } else { 'H' };
    let compatibility = u32::from_be_bytes([*c0, *c1, *c2, *c3]).reverse_bits();
    let used = constraints
        .iter()
        .rposition(|byte| *byte != 0)
        .map_or(0, |last| last + 1);
    let constraints: String = constraints[..used]
        .iter()
        .map(|byte| format!(".{byte:x}"))
        .collect();
    Ok(format!(
        "hvc1.{space}{}.{compatibility:x}.{tier}{level}{constraints}",
        profile & 0x1f
    ))
}

/// `av01.P.LLT.DD` (AV1-ISOBMFF §5).
fn av1(av1c: &[u8]) -> Result<String, Unfit> {
    let [0x81, profile_level, flags, _, ..] = av1c else {
        return Err(Unfit::short("av1C", av1c));
    };
    let tier = if flags & 0x80 == 0 { 'M' } else { 'H' };
    let depth = match (flags & 0x40 != 0, flags & 0x20 != 0) {
        (false, _) => 8,
        (true, false) => 10,
        (true, true) => 12,
    };
    Ok(format!(
        "av01.{}.{:02}{tier}.{depth:02}",
        profile_level >> 5,
        profile_level & 0x1f
    ))
}

/// The audio object type at the head of an AudioSpecificConfig (ISO/IEC 14496-3 §1.6.2.1).
pub(super) fn aac_object_type(config: &[u8]) -> Result<u8, Unfit> {
    match config {
        [first, second, ..] if first >> 3 == 31 => Ok(32 + ((first & 7) << 3 | second >> 5)),
        [first, _, ..] if first >> 3 != 0 => Ok(first >> 3),
        _ => Err(Unfit::short("AudioSpecificConfig", config)),
    }
}
