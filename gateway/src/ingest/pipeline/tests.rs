//! The pipeline with real files, made by the `ffmpeg` command and read without waiting for their time.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use bytes::Bytes;

use super::*;
use crate::ingest::{
    Rung,
    decode::{Input, VideoDecoder},
    ffmpeg::Demuxer,
    media::{Codec, Hints, Kind, RenditionFormat, Track},
    source::Streams,
};

mod damage;
mod interruptions;
mod original;

const NOW: u64 = 1_795_336_872_000_000;

/// A file that is removed when the test ends.
struct Made(PathBuf);

impl Drop for Made {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

impl Made {
    fn empty(name: &str) -> Self {
        Self(std::env::temp_dir().join(format!("meshlive-{}-{name}", std::process::id())))
    }

    /// What the `ffmpeg` command makes of `arguments` behind a moving picture and a tone of `seconds`.
    fn new(name: &str, size: &str, seconds: u32, arguments: &str) -> Self {
        let made = Self::empty(name);
        let picture = format!("testsrc2=size={size}:rate=30:duration={seconds}");
        let tone = format!("sine=frequency=440:duration={seconds}:sample_rate=48000");
        let status = Command::new("ffmpeg")
            .args([
                "-v", "error", "-nostdin", "-y", "-f", "lavfi", "-i", &picture, "-f", "lavfi",
                "-i", &tone,
            ])
            .args(arguments.split_whitespace())
            .arg(&made.0)
            .env("SVT_LOG", "1")
            .status()
            .expect("the ffmpeg command is installed");
        assert!(status.success(), "ffmpeg {arguments}");
        made
    }

    fn bytes(&self) -> Vec<u8> {
        std::fs::read(&self.0).unwrap()
    }
}

const H264: &str = "-c:v libx264 -preset ultrafast -pix_fmt yuv420p -c:a aac -ac 2";

/// What a file yields.
fn source(path: &Path) -> Vec<SourceEvent> {
    let mut demuxer = Demuxer::open(path.to_str().unwrap(), None, &[], || false).unwrap();
    let mut streams = Streams::new(demuxer.streams());
    let mut events = vec![streams.event()];
    while let Ok(Some(demuxed)) = demuxer.read() {
        streams.convert(demuxed, |event| events.push(event));
    }
    events
}

/// Feeds a pipeline; each packet arrives when its timestamp says.
fn feed(pipeline: &mut Pipeline, now: &mut u64, events: Vec<SourceEvent>) -> Vec<Event> {
    let mut out = Vec::new();
    let (begin, mut first) = (*now, None);
    for event in events {
        if let SourceEvent::Packet(packet) = &event
            && packet.dts != Packet::UNKNOWN
        {
            let first = *first.get_or_insert(packet.dts);
            *now = (*now).max(begin + u64::try_from(packet.dts - first).unwrap_or(0));
        }
        pipeline.handle(event, *now).unwrap();
        out.extend(pipeline.events());
    }
    out
}

fn run(path: &Path, settings: Settings) -> Vec<Event> {
    let mut events = source(path);
    events.push(SourceEvent::End);
    feed(&mut Pipeline::new(settings), &mut NOW.clone(), events)
}

fn formats(events: &[Event]) -> Vec<&Format> {
    let formats = events.iter().filter_map(|event| match event {
        Event::Format(format) => Some(format),
        _ => None,
    });
    formats.collect()
}

fn samples(events: &[Event], track: u8) -> Vec<&Sample> {
    let samples = events.iter().filter_map(|event| match event {
        Event::Sample(sample) if sample.track == track => Some(sample),
        _ => None,
    });
    samples.collect()
}

fn notices(events: &[Event]) -> String {
    let notice = |event: &Event| match event {
        Event::Notice { message } => Some(message.clone()),
        _ => None,
    };
    events
        .iter()
        .filter_map(notice)
        .collect::<Vec<_>>()
        .join("\n")
}

fn discontinuities(events: &[Event]) -> usize {
    events
        .iter()
        .filter(|event| matches!(event, Event::Discontinuity { .. }))
        .count()
}

fn track(format: &Format, id: u8) -> &Track {
    format.tracks.iter().find(|track| track.id == id).unwrap()
}

fn ids(format: &Format) -> Vec<&str> {
    format
        .renditions
        .iter()
        .map(|rendition| rendition.id.as_str())
        .collect()
}

/// Whether the track's samples decode; how many pictures they give.
fn pictures(events: &[Event], format: &Format, id: u8) -> usize {
    let track = track(format, id);
    let mut decoder = VideoDecoder::open(&track.codec, &track.kind).unwrap();
    let mut count = 0;
    for sample in samples(events, id) {
        let input = Input {
            data: &sample.data,
            dts: sample.dts,
            pts: sample.pts,
            duration: 0,
        };
        decoder.decode(input, |_| count += 1).unwrap();
    }
    decoder.finish(|_| count += 1);
    count
}

/// What every stream of events must keep.
fn check(events: &[Event]) {
    let mut newest = HashMap::new();
    let mut leader = None;
    let mut anchored = false;
    for event in events {
        match event {
            Event::Format(format) => {
                leader = Some(format.leader);
                anchored = false;
                for rendition in &format.renditions {
                    assert!(
                        rendition
                            .tracks
                            .iter()
                            .all(|id| format.tracks.iter().any(|track| track.id == *id))
                    );
                }
            }
            Event::Discontinuity { .. } => anchored = false,
            Event::Anchor { .. } => anchored = true,
            Event::Sample(sample) => {
                assert!(anchored, "an anchor stands before the first sample");
                assert!(sample.dts >= 0 && !sample.data.is_empty());
                let last = newest.insert(sample.track, sample.dts);
                assert!(
                    last.is_none_or(|last| last <= sample.dts),
                    "dts of track {} goes back",
                    sample.track
                );
                if sample.key && Some(sample.track) == leader {
                    assert_eq!(sample.dts, sample.pts, "at a key frame");
                }
            }
            _ => {}
        }
    }
}

/// Whether the rendition's picture is the publisher's own: its track is the first.
fn passed(rendition: &RenditionFormat) -> bool {
    rendition.tracks[0] == 0
}

#[test]
fn h264_and_aac_pass_untouched_also_with_reordered_pictures() {
    let made = Made::new("b.mp4", "320x180", 4, &format!("{H264} -bf 2 -g 60"));
    let original = source(&made.0);
    let events = run(&made.0, Settings::default());
    check(&events);
    let format = formats(&events)[0];
    assert_eq!(ids(format), ["source", "audio"]);
    assert!(passed(&format.renditions[0]));
    assert_eq!(
        track(format, 0).kind,
        Kind::Video {
            width: 320,
            height: 180,
            frame_rate: (30, 1)
        }
    );
    let of = |stream: usize| -> Vec<&Bytes> {
        let data = original.iter().filter_map(|event| match event {
            SourceEvent::Packet(packet) if packet.stream == stream => Some(&packet.data),
            _ => None,
        });
        data.collect()
    };
    let passed: Vec<&Bytes> = samples(&events, 0)
        .iter()
        .map(|sample| &sample.data)
        .collect();
    assert_eq!(passed, of(0));
    assert_eq!(
        samples(&events, 0)
            .iter()
            .filter(|sample| sample.key)
            .count(),
        2
    );
    assert!(
        samples(&events, 0)
            .iter()
            .any(|sample| sample.pts < sample.dts),
        "composition offsets go below zero"
    );
    assert!(
        samples(&events, 1)
            .windows(2)
            .all(|pair| pair[1].dts - pair[0].dts == 1024)
    );
    assert_eq!(pictures(&events, format, 0), 120);
}

#[test]
fn transport_streams_get_lengths_and_lose_headers() {
    let made = Made::new("a.ts", "320x180", 3, &format!("{H264} -g 30"));
    let events = run(&made.0, Settings::default());
    check(&events);
    let format = formats(&events)[0];
    assert!(passed(&format.renditions[0]));
    assert_eq!(pictures(&events, format, 0), 90);
    assert!(matches!(&track(format, 1).codec, Codec::Aac { config } if config.len() == 2));
    assert!(
        samples(&events, 1)
            .iter()
            .all(|sample| sample.data[0] != 0xff)
    );
}

#[test]
fn key_frames_too_far_apart_switch_to_transcoding_without_a_hole() {
    let made = Made::new(
        "long.mp4",
        "320x180",
        9,
        &format!("{H264} -g 250 -x264-params scenecut=0"),
    );
    let events = run(&made.0, Settings::default());
    check(&events);
    let formats = formats(&events);
    assert_eq!(formats.len(), 2);
    assert!(passed(&formats[0].renditions[0]));
    let (before, after) = (formats[0].leader, formats[1].leader);
    assert_eq!(ids(formats[1])[0], "source");
    assert!(!passed(&formats[1].renditions[0]));
    assert!(notices(&events).contains("more than 4 s apart"));
    assert!(notices(&events).contains("set the encoder's key-frame interval to 2 s"));
    let mut pts: Vec<i64> = [before, after]
        .iter()
        .flat_map(|&id| samples(&events, id))
        .map(|sample| sample.pts)
        .collect();
    pts.sort_unstable();
    assert!(
        pts.windows(2)
            .all(|pair| (2_990..=3_010).contains(&(pair[1] - pair[0]))),
        "no hole, nothing twice"
    );
    assert_eq!(pts.len(), 270);
    let keys: Vec<i64> = samples(&events, after)
        .iter()
        .filter(|sample| sample.key)
        .map(|sample| sample.pts)
        .collect();
    assert!(
        keys.windows(2).all(|pair| pair[1] - pair[0] <= 181_000),
        "{keys:?}"
    );
    assert!(pictures(&events, formats[1], after) > 120);
    let switch = samples(&events, after)[0].pts - samples(&events, before)[0].pts;
    assert!((4 * 90_000..5 * 90_000).contains(&switch), "{switch}");
}

#[test]
fn other_codecs_become_h264_and_aac() {
    for (name, codecs) in [
        (
            "hevc.mkv",
            "-c:v libx265 -preset ultrafast -x265-params log-level=none -c:a libopus",
        ),
        (
            "vp8.webm",
            "-c:v libvpx -deadline realtime -cpu-used 8 -b:v 500k -c:a libvorbis -ac 2",
        ),
        ("mpeg2.ts", "-c:v mpeg2video -b:v 1M -bf 2 -c:a mp2"),
        (
            "high444.mkv",
            "-c:v libx264 -preset ultrafast -pix_fmt yuv444p -c:a pcm_s16le",
        ),
    ] {
        let made = Made::new(name, "320x180", 2, codecs);
        let events = run(&made.0, Settings::default());
        check(&events);
        let format = *formats(&events)
            .last()
            .unwrap_or_else(|| panic!("{name}: {}", notices(&events)));
        // Only HEVC is carried as it came, too.
        let original = format.renditions.len() == 3;
        assert_eq!(ids(format)[..2], ["source", "audio"], "{name}");
        assert_eq!(original, name == "hevc.mkv");
        assert!(!passed(&format.renditions[0]), "{name}");
        assert!(notices(&events).contains("transcoded"), "{name}");
        let count = pictures(&events, format, format.renditions[0].tracks[0]);
        assert!((57..=60).contains(&count), "{name}: {count} pictures");
        let sound: Vec<&Sample> = samples(&events, 1);
        assert!(
            (85..=96).contains(&sound.len()),
            "{name}: {} frames of sound",
            sound.len()
        );
        assert!(
            sound
                .windows(2)
                .all(|pair| pair[1].dts - pair[0].dts == 1024),
            "{name}"
        );
    }
}

#[test]
fn a_ladder_of_three_has_the_frames_and_key_frames_of_its_source() {
    let made = Made::new("ladder.mp4", "640x360", 4, &format!("{H264} -bf 2 -g 45"));
    let rung = |id: &str, height| Rung {
        id: id.into(),
        height,
        bit_rate: 200_000,
    };
    let ladder = vec![rung("240p", 240), rung("180p", 180), rung("120p", 120)];
    let events = run(
        &made.0,
        Settings {
            ladder,
            ..Settings::default()
        },
    );
    check(&events);
    let format = formats(&events)[0];
    assert_eq!(ids(format), ["source", "240p", "180p", "120p", "audio"]);
    assert_eq!(format.leader, 0);
    let frames = |id: u8| {
        let mut frames: Vec<(i64, bool)> = samples(&events, id)
            .iter()
            .map(|sample| (sample.pts, sample.key))
            .collect();
        frames.sort_unstable();
        frames
    };
    let source = frames(0);
    assert_eq!(source.iter().filter(|(_, key)| *key).count(), 3);
    for rendition in &format.renditions[1..4] {
        assert_eq!(frames(rendition.tracks[0]), source, "{}", rendition.id);
    }
    assert!(matches!(
        track(format, format.renditions[2].tracks[0]).kind,
        Kind::Video {
            width: 320,
            height: 180,
            ..
        }
    ));
}
