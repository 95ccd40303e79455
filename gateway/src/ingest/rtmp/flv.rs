//! The bodies of FLV audio and video tags, as RTMP carries them.
//!
//! Legacy tags: Adobe Flash Video File Format 10.1 annex E.4.2 (audio) and E.4.3 (video). Tags with a FourCC:
//! Enhanced RTMP v2 (veovera.org). Additional tracks of a multitrack stream are passed over.

use bytes::Bytes;

use crate::ingest::media::Codec;

/// What a video tag holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Video {
    /// What a decoder needs to start.
    Config(Codec),
    /// A coded frame.
    Frame {
        /// Decoding can start here.
        key: bool,
        /// Presentation after decoding time, in milliseconds.
        composition: i32,
        /// To be added to both times, in nanoseconds.
        offset: u32,
        /// NAL units with lengths as the configuration says, or an AV1 temporal unit.
        data: Bytes,
    },
    /// Nothing for us: end of sequence, colour metadata, another track, an empty tag.
    Nothing,
}

/// What an audio tag holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Audio {
    /// What a decoder needs to start.
    Config(Codec),
    /// A coded frame.
    Frame {
        /// To be added to the time, in nanoseconds.
        offset: u32,
        /// One raw frame.
        data: Bytes,
    },
    /// Nothing for us: end of sequence, channel layout, another track, an empty tag.
    Nothing,
}

/// Why a tag cannot be carried.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TagError {
    /// It ends within its header.
    #[error("an audio or video message is cut off")]
    Truncated,
    /// A video codec nobody plays.
    #[error("video codec {0} cannot be carried: set the encoder to H.264 (or HEVC, AV1)")]
    VideoCodec(String),
    /// An audio codec nobody plays.
    #[error("audio codec {0} cannot be carried: set the encoder to AAC (or Opus)")]
    AudioCodec(String),
    /// A decoder configuration without the facts that are needed.
    #[error("the {0} decoder configuration cannot be read")]
    Configuration(&'static str),
}

/// Packet types of Enhanced RTMP (video `VideoPacketType`, audio `AudioPacketType`).
mod packet {
    pub(super) const SEQUENCE_START: u8 = 0;
    pub(super) const CODED_FRAMES: u8 = 1;
    /// Video: coded frames without composition time.
    pub(super) const CODED_FRAMES_X: u8 = 3;
    pub(super) const MOD_EX: u8 = 7;
}

/// Reads a video tag's body.
pub fn video(tag: &Bytes) -> Result<Video, TagError> {
    let Some(&first) = tag.first() else {
        return Ok(Video::Nothing);
    };
    let key = first >> 4 & 7 == 1;
    if first >> 4 & 7 == 5 {
        return Ok(Video::Nothing); // a command to the player
    }
    if first & 0x80 != 0 {
        return enhanced_video(tag, key);
    }
    let name = match first & 15 {
        7 => "avc1",
        12 => "hvc1", // what HEVC publishers used before Enhanced RTMP
        id => return Err(TagError::VideoCodec(legacy_video_name(id))),
    };
    let &[_, kind, a, b, c] = tag.first_chunk().ok_or(TagError::Truncated)?;
    match kind {
        0 => video_codec(name.as_bytes(), tag.slice(5..)).map(Video::Config),
        1 => Ok(frame(key, signed_24([a, b, c]), 0, tag.slice(5..))),
        _ => Ok(Video::Nothing),
    }
}

fn enhanced_video(tag: &Bytes, key: bool) -> Result<Video, TagError> {
    let Header { kind, offset, at } = enhanced_header(tag)?;
    if !matches!(
        kind,
        packet::SEQUENCE_START | packet::CODED_FRAMES | packet::CODED_FRAMES_X
    ) {
        return Ok(Video::Nothing);
    }
    let body = tag.slice(at..);
    let code: [u8; 4] = *body.first_chunk().ok_or(TagError::Truncated)?;
    let rest = body.slice(4..);
    if kind == packet::SEQUENCE_START {
        return video_codec(&code, rest).map(Video::Config);
    }
    if kind == packet::CODED_FRAMES && matches!(&code, b"avc1" | b"hvc1") {
        let composition = *rest.first_chunk().ok_or(TagError::Truncated)?;
        return Ok(frame(key, signed_24(composition), offset, rest.slice(3..)));
    }
    Ok(frame(key, 0, offset, rest))
}

fn frame(key: bool, composition: i32, offset: u32, data: Bytes) -> Video {
    match data.is_empty() {
        true => Video::Nothing,
        false => Video::Frame {
            key,
            composition,
            offset,
            data,
        },
    }
}

fn video_codec(code: &[u8], config: Bytes) -> Result<Codec, TagError> {
    match code {
        b"avc1" => Ok(Codec::H264 { avcc: config }),
        b"hvc1" => Ok(Codec::Hevc { hvcc: config }),
        b"av01" => Ok(Codec::Av1 { av1c: config }),
        other => Err(TagError::VideoCodec(code_name(other))),
    }
}

/// Reads an audio tag's body.
pub fn audio(tag: &Bytes) -> Result<Audio, TagError> {
    let Some(&first) = tag.first() else {
        return Ok(Audio::Nothing);
    };
    match first >> 4 {
        9 => enhanced_audio(tag),
        10 => {
            let kind = *tag.get(1).ok_or(TagError::Truncated)?;
            let data = tag.slice(2..);
            Ok(match kind {
                0 => Audio::Config(Codec::Aac { config: data }),
                1 if !data.is_empty() => Audio::Frame { offset: 0, data },
                _ => Audio::Nothing,
            })
        }
        id => Err(TagError::AudioCodec(legacy_audio_name(id))),
    }
}

fn enhanced_audio(tag: &Bytes) -> Result<Audio, TagError> {
    let Header { kind, offset, at } = enhanced_header(tag)?;
    if !matches!(kind, packet::SEQUENCE_START | packet::CODED_FRAMES) {
        return Ok(Audio::Nothing);
    }
    let body = tag.slice(at..);
    let code: [u8; 4] = *body.first_chunk().ok_or(TagError::Truncated)?;
    let data = body.slice(4..);
    match (&code, kind) {
        (b"mp4a", packet::SEQUENCE_START) => Ok(Audio::Config(Codec::Aac { config: data })),
        (b"Opus", packet::SEQUENCE_START) => Ok(Audio::Config(Codec::Opus { head: data })),
        (b"mp4a" | b"Opus", _) if data.is_empty() => Ok(Audio::Nothing),
        (b"mp4a" | b"Opus", _) => Ok(Audio::Frame { offset, data }),
        (other, _) => Err(TagError::AudioCodec(code_name(other))),
    }
}

struct Header {
    kind: u8,
    /// Nanoseconds, from a modifier.
    offset: u32,
    /// Where the FourCC begins.
    at: usize,
}

/// The packet type behind its modifiers (`ModEx`): each has a length, its data, and the next packet type.
fn enhanced_header(tag: &[u8]) -> Result<Header, TagError> {
    let mut header = Header {
        kind: tag[0] & 15,
        offset: 0,
        at: 1,
    };
    while header.kind == packet::MOD_EX {
        let byte = |at: usize| {
            tag.get(at)
                .copied()
                .map(usize::from)
                .ok_or(TagError::Truncated)
        };
        let mut length = byte(header.at)? + 1;
        header.at += 1;
        if length == 256 {
            length = (byte(header.at)? << 8 | byte(header.at + 1)?) + 1;
            header.at += 2;
        }
        let data = header.at..header.at + length;
        header.at = data.end + 1;
        let modifier = byte(data.end)?;
        if modifier >> 4 == 0 && length >= 3 {
            let nanoseconds = &tag[data];
            header.offset = u32::from_be_bytes([0, nanoseconds[0], nanoseconds[1], nanoseconds[2]]);
        }
        header.kind = (modifier & 15) as u8;
    }
    Ok(header)
}

fn signed_24([a, b, c]: [u8; 3]) -> i32 {
    i32::from_be_bytes([a, b, c, 0]) >> 8
}

fn code_name(code: &[u8]) -> String {
    format!("{:?}", String::from_utf8_lossy(code))
}

fn legacy_video_name(id: u8) -> String {
    let name = match id {
        2 => "Sorenson H.263",
        3 | 6 => "Screen Video",
        4 | 5 => "VP6",
        _ => "unknown",
    };
    format!("{id} ({name})")
}

fn legacy_audio_name(id: u8) -> String {
    let name = match id {
        0 | 3 => "PCM",
        1 => "ADPCM",
        2 | 14 => "MP3",
        4..=6 => "Nellymoser",
        7 | 8 => "G.711",
        11 => "Speex",
        _ => "unknown",
    };
    format!("{id} ({name})")
}
