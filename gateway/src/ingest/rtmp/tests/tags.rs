//! FLV tags and decoder configurations, byte by byte.

use bytes::Bytes;

use super::super::flv::{self, Audio, TagError, Video};
use crate::ingest::{
    dimensions::{Dimensions, dimensions},
    h264::tests::AVCC,
    media::Codec,
};

fn hex(text: &str) -> Bytes {
    let digit = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(digit).collect()
}

pub(super) fn tag(parts: &[&[u8]]) -> Bytes {
    parts.concat().into()
}

/// 1920x1080 at 30000/1001.
pub(super) fn avcc() -> Bytes {
    Bytes::from_static(AVCC)
}

/// x265: 1366x768, coded 1368 wide.
fn hvcc() -> Bytes {
    hex(concat!(
        "01016000000090000000000078f000fcfdf8f800000f03a00001001840010c01ffff016000000300900000030000",
        "030078959409a10001002c420101016000000300900000030000030078a002b080301cde595952930bc05a02000003",
        "0002000003003210a2000100064401c073c189"
    ))
}

/// libaom: 854x480.
fn av1c() -> Bytes {
    hex("81040c000a0b00000024c6abdf36be4010")
}

#[test]
fn dimensions_come_from_the_parameter_sets() {
    let is = |codec, width, height, frame_rate| {
        assert_eq!(
            dimensions(&codec),
            Some(Dimensions {
                width,
                height,
                frame_rate
            })
        );
    };
    is(
        Codec::H264 { avcc: avcc() },
        1920,
        1080,
        Some((30_000, 1001)),
    );
    let full_chroma = hex(
        "01f40020ffe1001867f400209196805005bb0110000003001000000640f1832a01000568ce0f1920fff8f800",
    );
    is(Codec::H264 { avcc: full_chroma }, 1280, 720, Some((50, 1)));
    let interlaced = hex(
        "01640028ffe1001a67640028acd94078044fde0220000003002000000643e2c5b2c001000668fba3cb22c0fdf8f800",
    );
    is(Codec::H264 { avcc: interlaced }, 1920, 1080, Some((25, 1)));
    is(Codec::Hevc { hvcc: hvcc() }, 1366, 768, None);
    is(Codec::Av1 { av1c: av1c() }, 854, 480, None);
}

#[test]
fn cut_parameter_sets_say_nothing() {
    for config in [avcc(), hvcc(), av1c()] {
        for cut in 0..config.len() {
            let part = config.slice(..cut);
            dimensions(&Codec::Hevc { hvcc: part.clone() });
            dimensions(&Codec::Av1 { av1c: part.clone() });
            if cut < 20 {
                assert_eq!(dimensions(&Codec::H264 { avcc: part }), None);
            }
        }
    }
}

#[test]
fn video_tags() {
    let frame = |key, composition, offset, data: &[u8]| {
        Ok(Video::Frame {
            key,
            composition,
            offset,
            data: Bytes::copy_from_slice(data),
        })
    };
    let cases: Vec<(&[u8], Result<Video, TagError>)> = vec![
        (b"", Ok(Video::Nothing)),
        (b"\x17", Err(TagError::Truncated)),
        (b"\x17\x01\0\0", Err(TagError::Truncated)),
        (b"\x17\x01\0\0\x28ab", frame(true, 40, 0, b"ab")),
        (b"\x27\x01\xff\xff\xd8ab", frame(false, -40, 0, b"ab")),
        (b"\x27\x01\0\0\0", Ok(Video::Nothing)),
        (b"\x17\x02\0\0\0", Ok(Video::Nothing)),
        (b"\x57\x00", Ok(Video::Nothing)),
        (b"\x1c\x01\0\0\0ab", frame(true, 0, 0, b"ab")),
        (b"\x91hvc1\0\0\x28ab", frame(true, 40, 0, b"ab")),
        (b"\xa3hvc1ab", frame(false, 0, 0, b"ab")),
        (b"\x91av01ab", frame(true, 0, 0, b"ab")),
        (b"\x93av01", Ok(Video::Nothing)),
        (b"\x92hvc1", Ok(Video::Nothing)),
        (b"\x94hvc1", Ok(Video::Nothing)),
        (b"\x96\x01hvc1\x01ab", Ok(Video::Nothing)),
        // A modifier: 500,000 ns, then the packet type.
        (
            b"\x97\x02\x07\xa1\x20\x01avc1\0\0\0ab",
            frame(true, 0, 500_000, b"ab"),
        ),
        (
            b"\x97\x00\xff\x17\x00\x01\x01av01ab",
            frame(true, 0, 0, b"ab"),
        ),
        (
            b"\x97\xff\x00\x02\0\0\x09\x01av01ab",
            frame(true, 0, 9, b"ab"),
        ),
        (b"\x97\xff\xff\xff", Err(TagError::Truncated)),
        (b"\x97\x05", Err(TagError::Truncated)),
        (b"\x91hvc", Err(TagError::Truncated)),
        (b"\x91hvc1\0\0", Err(TagError::Truncated)),
        (b"\x90vp09", Err(TagError::VideoCodec("\"vp09\"".into()))),
        (
            b"\x12\0",
            Err(TagError::VideoCodec("2 (Sorenson H.263)".into())),
        ),
    ];
    for (bytes, expected) in cases {
        assert_eq!(
            flv::video(&Bytes::from_static(bytes)),
            expected,
            "{}",
            bytes.escape_ascii()
        );
    }
}

#[test]
fn audio_tags() {
    let frame = |data: &[u8]| {
        Ok(Audio::Frame {
            offset: 0,
            data: Bytes::copy_from_slice(data),
        })
    };
    let cases: Vec<(&[u8], Result<Audio, TagError>)> = vec![
        (b"", Ok(Audio::Nothing)),
        (b"\xaf", Err(TagError::Truncated)),
        (
            b"\xaf\x00\x11\x90",
            Ok(Audio::Config(Codec::Aac {
                config: Bytes::from_static(b"\x11\x90"),
            })),
        ),
        (b"\xaf\x01ab", frame(b"ab")),
        (b"\xaf\x01", Ok(Audio::Nothing)),
        (
            b"\x90OpusOpusHead",
            Ok(Audio::Config(Codec::Opus {
                head: Bytes::from_static(b"OpusHead"),
            })),
        ),
        (b"\x91Opusab", frame(b"ab")),
        (b"\x91mp4aab", frame(b"ab")),
        (b"\x95\x01Opusab", Ok(Audio::Nothing)),
        (b"\x94Opus", Ok(Audio::Nothing)),
        (b"\x91fLaCab", Err(TagError::AudioCodec("\"fLaC\"".into()))),
        (b"\x2fab", Err(TagError::AudioCodec("2 (MP3)".into()))),
    ];
    for (bytes, expected) in cases {
        assert_eq!(
            flv::audio(&Bytes::from_static(bytes)),
            expected,
            "{}",
            bytes.escape_ascii()
        );
    }
}
