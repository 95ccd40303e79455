//! From a decoder configuration to the description of an elementary stream.

use bytes::{Bytes, BytesMut};

use super::{
    dimensions::{dimensions, reduce},
    flv::TagError,
    metadata::Metadata,
};
use crate::ingest::media::{Codec, Kind, SourceStream};

/// Where neither the stream nor its metadata says.
const DEFAULT_FRAME_RATE: (u32, u32) = (30, 1);

/// One elementary stream of a publisher.
#[derive(Debug)]
pub(super) struct Track {
    /// As it came, to know a repeated configuration from a new one.
    pub(super) codec: Codec,
    pub(super) stream: SourceStream,
    /// Bytes of a NAL unit's length; 0 where there are none.
    pub(super) length_size: usize,
    /// Microseconds of a frame, 0 where they differ.
    pub(super) duration: i64,
}

/// From a video decoder configuration.
pub(super) fn video_track(codec: Codec, metadata: &Metadata) -> Result<Track, TagError> {
    let found = dimensions(&codec);
    let (name, at) = match &codec {
        Codec::H264 { .. } => ("H.264", Some(4)),
        Codec::Hevc { .. } => ("HEVC", Some(21)),
        _ => ("AV1", None),
    };
    let size = found
        .map(|found| (found.width, found.height))
        .or(metadata.size);
    let (width, height) = size.ok_or(TagError::Configuration(name))?;
    let frame_rate = found.and_then(|found| found.frame_rate);
    let frame_rate = frame_rate.or_else(|| fraction(metadata.frame_rate?));
    let (length_size, carried) = match (at, &codec) {
        (Some(at), Codec::H264 { avcc: config } | Codec::Hevc { hvcc: config }) => {
            let byte = *config.get(at).ok_or(TagError::Configuration(name))?;
            let mut config = BytesMut::from(&config[..]);
            config[at] = byte | 3; // what follows is widened to lengths of four bytes
            let config = config.freeze();
            let carried = match &codec {
                Codec::H264 { .. } => Codec::H264 { avcc: config },
                _ => Codec::Hevc { hvcc: config },
            };
            (usize::from(byte & 3) + 1, carried)
        }
        _ => (0, codec.clone()),
    };
    let frame_rate = frame_rate.unwrap_or(DEFAULT_FRAME_RATE);
    let kind = Kind::Video {
        width,
        height,
        frame_rate,
    };
    let stream = SourceStream {
        codec: carried,
        kind,
        bit_rate: metadata.video_bit_rate,
    };
    Ok(Track {
        codec,
        stream,
        length_size,
        duration: 0,
    })
}

/// From an audio decoder configuration.
pub(super) fn audio_track(codec: Codec, metadata: &Metadata) -> Result<Track, TagError> {
    let (sample_rate, channels, duration) = match &codec {
        Codec::Aac { config } => aac(config).ok_or(TagError::Configuration("AAC"))?,
        // OpusHead (RFC 7845 §5.1): channels at 9; Opus always plays at 48 kHz, its frames vary.
        Codec::Opus { head } => {
            let channels = *head
                .get(9)
                .filter(|&&n| n > 0)
                .ok_or(TagError::Configuration("Opus"))?;
            (48_000, channels.into(), 0)
        }
        _ => return Err(TagError::Configuration("audio")),
    };
    let kind = Kind::Audio {
        sample_rate,
        channels,
    };
    let stream = SourceStream {
        codec: codec.clone(),
        kind,
        bit_rate: metadata.audio_bit_rate,
    };
    Ok(Track {
        codec,
        stream,
        length_size: 0,
        duration,
    })
}

/// Sample rate, channels and a frame's microseconds from an AudioSpecificConfig (ISO/IEC 14496-3 §1.6.2.1).
fn aac(config: &[u8]) -> Option<(u32, u16, i64)> {
    const RATES: [u32; 13] = [
        96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025,
        8_000, 7_350,
    ];
    let mut window = [0; 8];
    for (to, from) in window
        .iter_mut()
        .zip(config.get(..2.max(config.len().min(8)))?)
    {
        *to = *from;
    }
    let bits = u64::from_be_bytes(window);
    let field = |at: u32, length: u32| (bits << at >> (64 - length)) as u32;
    let rate_at = |at: u32| match field(at, 4) {
        15 => (field(at + 4, 24), at + 28),
        index => (RATES.get(index as usize).copied().unwrap_or(0), at + 4),
    };
    let object = field(0, 5);
    let (core_rate, at) = rate_at(if object == 31 { 11 } else { 5 });
    let channels = match field(at, 4) {
        0 => 2, // described in the frames themselves; nearly always stereo
        7 => 8,
        channels @ 1..=6 => channels as u16,
        _ => return None,
    };
    // HE-AAC says the rate that it plays at behind its core's; a frame is 1,024 samples of the core.
    let rate = if matches!(object, 5 | 29) {
        rate_at(at + 4).0
    } else {
        core_rate
    };
    let sane = (7_000..=192_000).contains(&core_rate) && (7_000..=192_000).contains(&rate);
    sane.then(|| (rate, channels, 1_024_000_000 / i64::from(core_rate)))
}

/// Frames per second as a fraction; NTSC's rates are exact.
fn fraction(rate: f64) -> Option<(u32, u32)> {
    if !(1.0..=300.0).contains(&rate) {
        return None;
    }
    let ntsc = (rate * 1.001).round();
    if (ntsc / 1.001 - rate).abs() < 0.006 && (rate - rate.round()).abs() > 0.006 {
        return Some((ntsc as u32 * 1000, 1001));
    }
    Some(reduce(((rate * 1000.0).round() as u32, 1000)))
}

/// Rewrites NAL units with lengths of `size` bytes (1 to 3) to lengths of four, which all that follows relies on.
pub(super) fn widen(data: &[u8], size: usize) -> Result<Bytes, TagError> {
    let mut wide = BytesMut::with_capacity(data.len() + 64);
    let mut rest = data;
    while !rest.is_empty() {
        let (length, behind) = rest.split_at_checked(size).ok_or(TagError::NalUnits)?;
        let length = length
            .iter()
            .fold(0, |sum, &byte| sum << 8 | usize::from(byte));
        let (unit, behind) = behind.split_at_checked(length).ok_or(TagError::NalUnits)?;
        wide.extend_from_slice(&(length as u32).to_be_bytes());
        wide.extend_from_slice(unit);
        rest = behind;
    }
    Ok(wide.freeze())
}
