//! The very bytes.

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use super::sample::*;
use crate::ingest::media::*;
use crate::package::{codecs, fmp4, init};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[test]
fn a_part_byte_for_byte() {
    let frame = |dts, offset, key, data: &'static [u8]| fmp4::Frame {
        dts,
        offset,
        duration: 3000,
        key,
        data: Bytes::from_static(data),
    };
    let picture = [
        frame(1 << 33, 0, true, b"KEY"),
        frame((1 << 33) + 3000, -3000, false, b"be"),
    ];
    let sound = [fmp4::Frame {
        duration: 1024,
        ..frame(5, 0, true, b"so")
    }];
    let runs = [
        fmp4::Run {
            track: 1,
            frames: &picture,
        },
        fmp4::Run {
            track: 2,
            frames: &sound,
        },
    ];
    let part = fmp4::part(7, &runs, 0);
    let expected = concat!(
        "000000c46d6f6f66", // moof
        "000000106d66686400000000",
        "00000007",         // mfhd: 7
        "0000006074726166", // traf
        "000000107466686400020000",
        "00000001", // tfhd: default-base-is-moof; track 1
        "000000147466647401000000",
        "0000000200000000", // tfdt: 1 << 33
        "000000347472756e01000f01",
        "00000002",
        "000000cc", // trun: 2 samples, data behind moof and mdat header
        "00000bb8",
        "00000003",
        "02000000",
        "00000000", // 3000 ticks, 3 bytes, key, offset 0
        "00000bb8",
        "00000002",
        "01010000",
        "fffff448",         // 3000 ticks, 2 bytes, not key, offset -3000
        "0000004c74726166", // traf
        "000000147466686400020020",
        "00000002",
        "02000000", // tfhd: track 2, all are key
        "000000147466647401000000",
        "0000000000000005", // tfdt: 5
        "0000001c7472756e01000301",
        "00000001",
        "000000d1", // trun: 1 sample, data behind the picture's
        "00000400",
        "00000002", // 1024 ticks, 2 bytes
        "0000000f6d646174",
        "4b4559",
        "6265",
        "736f", // mdat
    );
    assert_eq!(hex(&part), expected);
}

#[test]
fn an_empty_part_byte_for_byte() {
    let part = fmp4::part(
        1,
        &[fmp4::Run {
            track: 1,
            frames: &[],
        }],
        9600,
    );
    let expected = concat!(
        "000000446d6f6f66",
        "000000106d66686400000000",
        "00000001",
        "0000002c74726166",
        "000000107466686400030000",
        "00000001", // duration-is-empty
        "000000147466647401000000",
        "0000000000002580",
        "000000086d646174",
    );
    assert_eq!(hex(&part), expected);
}

#[test]
fn an_init_segment_byte_for_byte() {
    let init = init::segment(&[&video((30, 1)), &audio()]).unwrap();
    let sample_entries = [
        // avc1: data reference 1, 320 × 180, 72 dpi, one frame a sample, depth 24, avcC as it came
        concat!(
            "61766331",
            "0000000000000001",
            "00000000000000000000000000000000",
            "014000b4",
            "0048000000480000",
            "00000000",
            "0001",
            "0000000000000000000000000000000000000000000000000000000000000000",
            "0018ffff",
            "0000001f",
            "61766343",
            "0164000cffe100086764000cacd94141010004",
            "68ebe3cb"
        ),
        // mp4a: data reference 1, stereo, 16 bits, 48,000 Hz
        concat!(
            "6d703461",
            "0000000000000001",
            "0000000000000000",
            "00020010",
            "00000000",
            "bb800000"
        ),
        // esds: ES, decoder configuration (AAC, audio stream), AudioSpecificConfig as it came, SL
        concat!(
            "00000027",
            "65736473",
            "00000000",
            "0319000000",
            "0411",
            "4015",
            "000000",
            "00000000",
            "00000000",
            "05021190",
            "060102"
        ),
    ];
    for entry in sample_entries {
        assert!(
            hex(&init).contains(entry),
            "{entry} is not in\n{}",
            hex(&init)
        );
    }
    // The whole: changes only together with what stands above.
    assert_eq!(
        (init.len(), hex(&Sha256::digest(&init)[..8])),
        (INIT_BYTES, INIT_DIGEST.into())
    );
}

const INIT_BYTES: usize = 1068;
const INIT_DIGEST: &str = "d57d9a2144783de9";

#[test]
fn codec_strings() {
    let with = |codec| {
        codecs::string(&Track {
            codec,
            ..video((30, 1))
        })
    };
    let bytes = Bytes::from_static;
    for (codec, expected) in [
        (Codec::H264 { avcc: bytes(AVCC) }, "avc1.64000c"),
        (
            Codec::Hevc {
                hvcc: bytes(&[1, 1, 0x60, 0, 0, 0, 0xb0, 0, 0, 0, 0, 0, 93]),
            },
            "hvc1.1.6.L93.b0",
        ),
        (
            Codec::Hevc {
                hvcc: bytes(&[1, 0x22, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 120]),
            },
            "hvc1.2.4.H120",
        ),
        (
            Codec::Av1 {
                av1c: bytes(&[0x81, 0x05, 0x0c, 0]),
            },
            "av01.0.05M.08",
        ),
        (
            Codec::Av1 {
                av1c: bytes(&[0x81, 0x08, 0x4c, 0]),
            },
            "av01.0.08M.10",
        ),
        (
            Codec::Aac {
                config: bytes(&[0x12, 0x10]),
            },
            "mp4a.40.2",
        ),
        (
            Codec::Aac {
                config: bytes(&[0x2b, 0x11, 0x88, 0]),
            },
            "mp4a.40.5",
        ),
        (
            Codec::Aac {
                config: bytes(&[0xf9, 0x46]),
            },
            "mp4a.40.42",
        ),
        (Codec::Opus { head: bytes(&[]) }, "opus"),
    ] {
        assert_eq!(with(codec).unwrap(), expected);
    }
    for codec in [
        Codec::H264 {
            avcc: bytes(&[1, 2, 3]),
        },
        Codec::Hevc {
            hvcc: bytes(&[1; 12]),
        },
        Codec::Av1 {
            av1c: bytes(&[0x81]),
        },
        Codec::Aac {
            config: bytes(&[0x12]),
        },
        Codec::Aac {
            config: bytes(&[0, 0]),
        },
    ] {
        assert!(with(codec.clone()).is_err(), "{codec:?}");
    }
}

#[test]
fn opus_head_becomes_big_endian() {
    let head = Bytes::from_static(b"OpusHead\x01\x02\x38\x01\x80\xbb\0\0\x01\x02\0");
    let track = Track {
        codec: Codec::Opus { head },
        ..audio()
    };
    let init = init::segment(&[&track]).unwrap();
    assert!(hex(&init).contains(&format!(
        "00000013{}0002{}{}{}00",
        hex(b"dOps"),
        "0138",
        "0000bb80",
        "0201"
    )));
    let short = Track {
        codec: Codec::Opus {
            head: Bytes::from_static(b"OpusHead"),
        },
        ..audio()
    };
    assert!(
        init::segment(&[&short])
            .unwrap_err()
            .to_string()
            .contains("OpusHead of 8 bytes")
    );
}
