//! From a decoder configuration to the description of an elementary stream.

use super::{flv::TagError, metadata::Metadata};
use crate::ingest::{
    aac,
    dimensions::{dimensions, reduce},
    media::{Codec, Kind, SourceStream},
};

/// One elementary stream of a publisher.
#[derive(Debug)]
pub(super) struct Track {
    pub(super) stream: SourceStream,
    /// Microseconds of a frame, 0 where they differ.
    pub(super) duration: i64,
}

/// From a video decoder configuration.
pub(super) fn video_track(codec: Codec, metadata: &Metadata) -> Result<Track, TagError> {
    let found = dimensions(&codec);
    let name = match &codec {
        Codec::H264 { .. } => "H.264",
        Codec::Hevc { .. } => "HEVC",
        _ => "AV1",
    };
    let size = found
        .map(|found| (found.width, found.height))
        .or(metadata.size);
    let (width, height) = size.ok_or(TagError::Configuration(name))?;
    let frame_rate = found.and_then(|found| found.frame_rate);
    let frame_rate = frame_rate.or_else(|| fraction(metadata.frame_rate?));
    let kind = Kind::Video {
        width,
        height,
        frame_rate: frame_rate.unwrap_or((0, 1)),
    };
    Ok(Track {
        stream: SourceStream {
            codec,
            kind,
            bit_rate: metadata.video_bit_rate,
        },
        duration: 0,
    })
}

/// From an audio decoder configuration.
pub(super) fn audio_track(codec: Codec, metadata: &Metadata) -> Result<Track, TagError> {
    let (sample_rate, channels, duration) = match &codec {
        Codec::Aac { config } => {
            let config = aac::Config::parse(config).ok_or(TagError::Configuration("AAC"))?;
            let channels = match config.channels {
                0 => 2, // described in the frames themselves; nearly always stereo
                channels => channels,
            };
            // A frame is 1,024 samples of the core coder.
            let duration = 1_024_000_000 / i64::from(config.rate);
            (config.plays_at, channels, duration)
        }
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
    Ok(Track {
        stream: SourceStream {
            codec,
            kind,
            bit_rate: metadata.audio_bit_rate,
        },
        duration,
    })
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
