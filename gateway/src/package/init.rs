//! Init segments: `ftyp` and `moov` without samples (ISO/IEC 14496-12 §8.2, §8.8.1).
//!
//! The codec's own configuration (avcC, hvcC, av1C, AudioSpecificConfig) is copied byte for byte: what the publisher
//! sent is what the decoder gets.

use bytes::Bytes;

use super::{boxes::Boxes, codecs::Unfit};
use crate::ingest::media::{Codec, Kind, Track};

/// 3x3 unity matrix, 16.16 and 2.30 fixed point (§6.2.2).
const MATRIX: [u32; 9] = [0x1_0000, 0, 0, 0, 0x1_0000, 0, 0, 0, 0x4000_0000];
/// `und` in three times five bits (§8.4.2.3).
const UNDETERMINED: u16 = 0x55c4;

/// The init segment of a rendition. Tracks are numbered from 1 in the order given.
///
/// # Errors
/// When a track's codec or its configuration has no place in an init segment.
pub fn segment(tracks: &[&Track]) -> Result<Bytes, Unfit> {
    let entries = tracks
        .iter()
        .map(|track| sample_entry(track))
        .collect::<Result<Vec<_>, _>>()?;
    let mut b = Boxes::with_capacity(1024);
    b.boxed(b"ftyp", |b| {
        b.raw(b"iso6").u32(0).raw(b"iso6").raw(b"mp41");
    });
    b.boxed(b"moov", |b| {
        mvhd(b, tracks.len() as u32 + 1);
        for (number, (track, entry)) in (1..).zip(tracks.iter().zip(&entries)) {
            trak(b, number, track, entry);
        }
        b.boxed(b"mvex", |b| {
            for number in 1..=tracks.len() as u32 {
                b.full(b"trex", 0, 0, |b| {
                    b.u32(number).u32(1).zeros(12);
                });
            }
        });
    });
    Ok(b.into_bytes().into())
}

fn mvhd(b: &mut Boxes, next_track: u32) {
    b.full(b"mvhd", 0, 0, |b| {
        b.zeros(8).u32(1000).u32(0);
        b.u32(0x1_0000).u16(0x100).zeros(10);
        MATRIX.iter().for_each(|value| {
            b.u32(*value);
        });
        b.zeros(24).u32(next_track);
    });
}

fn trak(b: &mut Boxes, number: u32, track: &Track, entry: &[u8]) {
    let (width, height, volume) = match track.kind {
        Kind::Video { width, height, .. } => (width, height, 0),
        Kind::Audio { .. } => (0, 0, 0x100),
    };
    b.boxed(b"trak", |b| {
        b.full(b"tkhd", 0, 3, |b| {
            b.zeros(8).u32(number).zeros(4).u32(0).zeros(8);
            b.u16(0)
                .u16(u16::from(volume == 0x100))
                .u16(volume)
                .zeros(2);
            MATRIX.iter().for_each(|value| {
                b.u32(*value);
            });
            b.u32(width << 16).u32(height << 16);
        });
        b.boxed(b"mdia", |b| {
            b.full(b"mdhd", 0, 0, |b| {
                b.zeros(8)
                    .u32(track.timescale)
                    .u32(0)
                    .u16(UNDETERMINED)
                    .u16(0);
            });
            let (handler, name): (&[u8; 4], &[u8]) = match track.kind {
                Kind::Video { .. } => (b"vide", b"video\0"),
                Kind::Audio { .. } => (b"soun", b"audio\0"),
            };
            b.full(b"hdlr", 0, 0, |b| {
                b.u32(0).raw(handler).zeros(12).raw(name);
            });
            b.boxed(b"minf", |b| minf(b, &track.kind, entry));
        });
    });
}

fn minf(b: &mut Boxes, kind: &Kind, entry: &[u8]) {
    match kind {
        Kind::Video { .. } => b.full(b"vmhd", 0, 1, |b| {
            b.zeros(8);
        }),
        Kind::Audio { .. } => b.full(b"smhd", 0, 0, |b| {
            b.zeros(4);
        }),
    }
    b.boxed(b"dinf", |b| {
        b.full(b"dref", 0, 0, |b| {
            b.u32(1);
            b.full(b"url ", 0, 1, |_| ()); // in this very file
        });
    });
    b.boxed(b"stbl", |b| {
        b.full(b"stsd", 0, 0, |b| {
            b.u32(1).raw(entry);
        });
        for kind in [b"stts", b"stsc", b"stco"] {
            b.full(kind, 0, 0, |b| {
                b.u32(0);
            });
        }
        b.full(b"stsz", 0, 0, |b| {
            b.zeros(8);
        });
    });
}

fn sample_entry(track: &Track) -> Result<Vec<u8>, Unfit> {
    let mut b = Boxes::default();
    match (&track.kind, &track.codec) {
        (Kind::Video { width, height, .. }, codec) => {
            let side = |pixels: u32| {
                u16::try_from(pixels)
                    .map_err(|_| Unfit(format!("a picture side of {pixels} pixels; at most 65535")))
            };
            let size = (side(*width)?, side(*height)?);
            let (entry, config, bytes) = match codec {
                Codec::H264 { avcc } => (b"avc1", b"avcC", avcc),
                Codec::Hevc { hvcc } => (b"hvc1", b"hvcC", hvcc),
                Codec::Av1 { av1c } => (b"av01", b"av1C", av1c),
                other => return Err(Unfit::codec(other, "H.264")),
            };
            b.boxed(entry, |b| {
                b.zeros(6).u16(1).zeros(16).u16(size.0).u16(size.1);
                b.u32(0x48_0000)
                    .u32(0x48_0000)
                    .u32(0)
                    .u16(1)
                    .zeros(32)
                    .u16(0x18)
                    .u16(0xffff);
                b.boxed(config, |b| {
                    b.raw(bytes);
                });
            });
        }
        (
            Kind::Audio {
                sample_rate,
                channels,
            },
            codec,
        ) => {
            let (entry, config) = match codec {
                Codec::Aac { config } => (b"mp4a", esds(config)),
                Codec::Opus { head } => (b"Opus", dops(head)?),
                other => return Err(Unfit::codec(other, "AAC")),
            };
            b.boxed(entry, |b| {
                b.zeros(6).u16(1).zeros(8).u16(*channels).u16(16).zeros(4);
                // 16.16 fixed point; rates beyond it are in the codec's configuration only.
                b.u32(u16::try_from(*sample_rate).map_or(0, |rate| u32::from(rate) << 16));
                b.raw(&config);
            });
        }
    }
    Ok(b.into_bytes())
}

/// MPEG-4 elementary stream descriptor (ISO/IEC 14496-14 §5.6, 14496-1 §7.2.6).
fn esds(config: &[u8]) -> Vec<u8> {
    let specific = descriptor(5, config);
    // Object type 0x40 (14496-3 audio), stream type 5 (audio), buffer size and bit rates not told.
    let decoder = descriptor(
        4,
        &[
            &[0x40, 0x15, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0][..],
            &specific,
        ]
        .concat(),
    );
    let stream = descriptor(
        3,
        &[&[0, 0, 0][..], &decoder, &descriptor(6, &[2])].concat(),
    );
    let mut b = Boxes::default();
    b.full(b"esds", 0, 0, |b| {
        b.raw(&stream);
    });
    b.into_bytes()
}

/// A tag, its length in groups of seven bits (14496-1 §8.3.3), its content.
fn descriptor(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    let length = content.len();
    for shift in [21, 14, 7] {
        if length >> shift != 0 {
            out.push(0x80 | (length >> shift) as u8 & 0x7f);
        }
    }
    out.push(length as u8 & 0x7f);
    out.extend_from_slice(content);
    out
}

/// `dOps` from an OpusHead (RFC 7845 §5.1; Encapsulation of Opus in ISOBMFF §4.3.2): the same fields, big-endian.
fn dops(head: &[u8]) -> Result<Vec<u8>, Unfit> {
    let [
        b'O',
        b'p',
        b'u',
        b's',
        b'H',
        b'e',
        b'a',
        b'd',
        _,
        channels,
        skip0,
        skip1,
        r0,
        r1,
        r2,
        r3,
        g0,
        g1,
        rest @ ..,
    ] = head
    else {
        return Err(Unfit(format!(
            "an OpusHead of {} bytes that is none; transcode it to AAC",
            head.len()
        )));
    };
    let mut b = Boxes::default();
    b.boxed(b"dOps", |b| {
        b.u8(0)
            .u8(*channels)
            .raw(&[*skip1, *skip0])
            .raw(&[*r3, *r2, *r1, *r0])
            .raw(&[*g1, *g0])
            .raw(rest);
    });
    Ok(b.into_bytes())
}
