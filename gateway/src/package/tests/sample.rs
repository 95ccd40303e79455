//! Streams for tests: made up ones, and real H.264 with AAC from the ffmpeg command.

use std::process::Command;

use bytes::Bytes;

use crate::ingest::media::*;
use crate::package::{Numbers, Packaged, Packager, Settings};

pub(crate) const VIDEO: TrackId = 0;
pub(crate) const AUDIO: TrackId = 1;

/// 320 × 180, High profile, level 1.2; SPS and PPS as x264 wrote them.
pub(crate) const AVCC: &[u8] = &[
    1, 0x64, 0, 0x0c, 0xff, 0xe1, 0, 8, 0x67, 0x64, 0, 0x0c, 0xac, 0xd9, 0x41, 0x41, 1, 0, 4, 0x68,
    0xeb, 0xe3, 0xcb,
];

pub(crate) fn video(frame_rate: (u32, u32)) -> Track {
    Track {
        id: VIDEO,
        codec: Codec::H264 {
            avcc: Bytes::from_static(AVCC),
        },
        kind: Kind::Video {
            width: 320,
            height: 180,
            frame_rate,
        },
        timescale: 90_000,
        bit_rate: 1_000_000,
    }
}

pub(crate) fn audio() -> Track {
    Track {
        id: AUDIO,
        codec: Codec::Aac {
            config: Bytes::from_static(&[0x11, 0x90]),
        },
        kind: Kind::Audio {
            sample_rate: 48_000,
            channels: 2,
        },
        timescale: 48_000,
        bit_rate: 96_000,
    }
}

pub(crate) fn rendition(id: &str, tracks: &[TrackId]) -> RenditionFormat {
    RenditionFormat {
        id: id.into(),
        tracks: tracks.to_vec(),
    }
}

/// Video with audio, and audio alone.
pub(crate) fn both(frame_rate: (u32, u32)) -> Format {
    Format {
        tracks: vec![video(frame_rate), audio()],
        renditions: vec![
            rendition("source", &[VIDEO, AUDIO]),
            rendition("audio", &[AUDIO]),
        ],
        leader: VIDEO,
    }
}

pub(crate) fn sample(track: TrackId, dts: i64, duration: u32, key: bool, size: usize) -> Sample {
    Sample {
        track,
        dts,
        pts: dts,
        duration,
        key,
        data: Bytes::from(vec![dts as u8; size]),
    }
}

/// `seconds` of video at `fps` with a key frame every `gop` frames, and audio, in order of time.
pub(crate) fn seconds(seconds: i64, fps: i64, gop: i64, known: bool) -> Vec<Sample> {
    let step = 90_000 / fps;
    let video = (0..seconds * fps).map(|n| {
        sample(
            VIDEO,
            n * step,
            if known { step as u32 } else { 0 },
            n % gop == 0,
            50,
        )
    });
    let audio = (0..seconds * 48_000 / 1024).map(|n| sample(AUDIO, n * 1024, 1024, true, 10));
    in_order(video.chain(audio))
}

pub(crate) fn in_order(samples: impl Iterator<Item = Sample>) -> Vec<Sample> {
    let mut samples: Vec<_> = samples.collect();
    samples.sort_by_key(|s| (micros(s), s.track));
    samples
}

pub(crate) fn micros(s: &Sample) -> i64 {
    s.dts * 1_000_000 / if s.track == AUDIO { 48_000 } else { 90_000 }
}

pub(crate) const ANCHOR: u64 = 1_800_000_000_000_000;

pub(crate) fn packager(format: Format) -> Packager {
    let mut packager = Packager::new(Settings::default(), Numbers::default());
    assert_eq!(packager.handle(Event::Format(format), ANCHOR), []);
    assert_eq!(packager.handle(Event::Anchor { at: ANCHOR }, ANCHOR), []);
    packager
}

/// Feeds samples at the time they are for, and ends.
pub(crate) fn run(packager: &mut Packager, samples: &[Sample]) -> Vec<Packaged> {
    let mut out = feed(packager, samples);
    let end = samples.last().map_or(0, micros) as u64;
    out.extend(packager.handle(Event::End, ANCHOR + end));
    out
}

pub(crate) fn feed(packager: &mut Packager, samples: &[Sample]) -> Vec<Packaged> {
    let handle = |s: &Sample| packager.handle(Event::Sample(s.clone()), ANCHOR + micros(s) as u64);
    samples.iter().flat_map(handle).collect()
}

/// Two renditions of real media: 25 fps with B-frames, a key frame every 2 s, a beep.
pub(crate) fn real(seconds: u32) -> (Format, Vec<Sample>) {
    let encode = |args: &str| {
        let args = args.replace("SECONDS", &seconds.to_string());
        let out = Command::new("ffmpeg")
            .args(args.split(' '))
            .output()
            .expect("ffmpeg is installed (./deploy/setup)");
        assert!(
            out.status.success(),
            "{}",
            String::from_utf8_lossy(&out.stderr)
        );
        out.stdout
    };
    let h264 = encode(
        "-v error -f lavfi -i testsrc=s=320x180:r=25:d=SECONDS -c:v libx264 -preset ultrafast -bf 2 -g 50 -sc_threshold 0 \
         -pix_fmt yuv420p -flags +cgop -bsf:v h264_metadata=aud=insert -f h264 -",
    );
    let adts = encode("-v error -f lavfi -i sine=r=48000:d=SECONDS -ac 2 -c:a aac -f adts -");
    let units: Vec<&[u8]> = nal_units(&h264);
    let parameter = |kind| {
        units
            .iter()
            .find(|u| u[0] & 31 == kind)
            .expect("x264 writes parameter sets")
            .to_vec()
    };
    let (sps, pps) = (parameter(7), parameter(8));
    let mut avcc = vec![1, sps[1], sps[2], sps[3], 0xff, 0xe1];
    avcc.extend(
        (sps.len() as u16)
            .to_be_bytes()
            .iter()
            .chain(&sps)
            .chain(&[1]),
    );
    avcc.extend((pps.len() as u16).to_be_bytes().iter().chain(&pps));
    let mut format = both((25, 1));
    format.tracks[0].codec = Codec::H264 { avcc: avcc.into() };

    let mut samples = Vec::new();
    for (n, access) in units.split(|unit| unit[0] & 31 == 9).skip(1).enumerate() {
        let key = access.iter().any(|unit| unit[0] & 31 == 5);
        let data = access
            .iter()
            .flat_map(|u| [&(u.len() as u32).to_be_bytes()[..], u].concat())
            .collect::<Vec<_>>();
        // The presentation order is not needed to be right for what is read back: decode order is kept.
        samples.push(Sample {
            data: data.into(),
            ..sample(VIDEO, n as i64 * 3600, 3600, key, 0)
        });
    }
    let mut rest = &adts[..];
    let mut dts = 0;
    while rest.len() > 7 {
        let length =
            usize::from(rest[3] & 3) << 11 | usize::from(rest[4]) << 3 | usize::from(rest[5]) >> 5;
        samples.push(Sample {
            data: rest[7..length].to_vec().into(),
            ..sample(AUDIO, dts, 1024, true, 0)
        });
        dts += 1024;
        rest = &rest[length..];
    }
    (format, in_order(samples.into_iter()))
}

fn nal_units(annex_b: &[u8]) -> Vec<&[u8]> {
    let starts: Vec<_> = annex_b
        .windows(3)
        .enumerate()
        .filter(|(_, w)| *w == [0, 0, 1])
        .map(|(at, _)| at)
        .collect();
    let ends = starts.iter().skip(1).copied().chain([annex_b.len()]);
    let trim = |unit: &'_ [u8]| {
        unit.iter()
            .rposition(|b| *b != 0)
            .map_or(0, |last| last + 1)
    };
    starts
        .iter()
        .zip(ends)
        .map(|(start, end)| &annex_b[start + 3..end])
        .map(|unit| &unit[..trim(unit)])
        .collect()
}
