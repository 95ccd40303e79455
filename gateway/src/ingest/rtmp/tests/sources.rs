//! What becomes of tags: which events, in which order.

use bytes::Bytes;

use super::{
    super::{amf0::Value, flv::TagError, metadata::Metadata, source::Source},
    tags::{avcc, tag},
};
use crate::ingest::{
    Settings,
    media::{Codec, Event, Kind, Packet, SourceEvent},
    pipeline::Pipeline,
};

/// AudioSpecificConfig of AAC LC, 48 kHz, stereo.
const AAC: &[u8] = &[0xaf, 0, 0x11, 0x90];
const AAC_FRAME: &[u8] = &[0xaf, 1, 0x21];

fn take(source: &mut Source, tags: &[(u32, Bytes, bool)]) -> Vec<SourceEvent> {
    let mut events = Vec::new();
    for (timestamp, tag, video) in tags {
        match video {
            true => source.video(*timestamp, tag, &mut events).unwrap(),
            false => source.audio(*timestamp, tag, &mut events).unwrap(),
        }
    }
    events
}

fn h264_config() -> Bytes {
    tag(&[b"\x17\0\0\0\0", &avcc()])
}

fn picture(key: bool) -> Bytes {
    tag(&[
        if key { b"\x17" } else { b"\x27" },
        b"\x01\0\0\0\0\0\0\x01\x65",
    ])
}

fn shape(events: &[SourceEvent]) -> Vec<String> {
    let one = |event: &SourceEvent| match event {
        SourceEvent::Streams(streams) => format!("streams {}", streams.len()),
        SourceEvent::Packet(Packet { stream, dts, .. }) => format!("{stream}@{}", dts / 1000),
        other => format!("{other:?}"),
    };
    events.iter().map(one).collect()
}

#[test]
fn both_tracks_are_waited_for_but_not_for_long() {
    let (aac, sound) = (Bytes::from_static(AAC), Bytes::from_static(AAC_FRAME));
    let start = [(0, h264_config(), true), (0, picture(true), true)];
    let mut source = Source::default();
    assert!(take(&mut source, &start).is_empty());
    let events = take(
        &mut source,
        &[
            (40, picture(false), true),
            (20, aac.clone(), false),
            (20, sound.clone(), false),
        ],
    );
    assert_eq!(shape(&events), ["streams 2", "0@0", "0@40", "1@20"]);

    let mut source = Source::default();
    take(&mut source, &start);
    assert!(take(&mut source, &[(499, picture(false), true)]).is_empty());
    let events = take(
        &mut source,
        &[
            (500, picture(false), true),
            (520, aac, false),
            (520, sound, false),
        ],
    );
    assert_eq!(
        shape(&events),
        ["streams 1", "0@0", "0@499", "0@500", "streams 2", "1@520"]
    );

    let mut source = Source::default();
    take(&mut source, &start);
    let flood: Vec<_> = (0..63).map(|_| (0, picture(false), true)).collect();
    assert_eq!(
        take(&mut source, &flood).len(),
        65,
        "64 frames are held at most"
    );

    let mut source = Source::default();
    let only_video = Value::object([("videocodecid", Value::Number(7.0))]);
    source.metadata(Metadata::read(&only_video), &mut Vec::new());
    assert_eq!(shape(&take(&mut source, &start)), ["streams 1", "0@0"]);
}

#[test]
fn a_repeated_configuration_is_nothing_and_a_new_one_is_announced() {
    let mut source = Source::default();
    let (aac, other) = (
        Bytes::from_static(AAC),
        Bytes::from_static(b"\xaf\0\x12\x10"),
    );
    take(
        &mut source,
        &[
            (0, aac.clone(), false),
            (0, h264_config(), true),
            (0, picture(true), true),
        ],
    );
    assert!(take(&mut source, &[(9, aac, false), (9, h264_config(), true)]).is_empty());
    let events = take(&mut source, &[(9, other, false)]);
    let [SourceEvent::Streams(streams)] = &events[..] else {
        panic!("{events:?}");
    };
    assert_eq!(
        streams[1].kind,
        Kind::Audio {
            sample_rate: 44_100,
            channels: 2
        }
    );
}

#[test]
fn frames_go_on_as_their_configuration_says_and_samples_have_lengths_of_four_bytes() {
    let mut config = avcc().to_vec();
    config[4] = 0xfd; // lengths of two bytes
    let config = tag(&[b"\x17\0\0\0\0", &config]);
    let frame = Bytes::from_static(b"\x17\x01\0\0\0\0\x02\x65\x88\0\x01\x06");
    let mut source = Source::default();
    let mut events = take(&mut source, &[(0, config, true), (0, frame, true)]);
    source.finish(&mut events);
    let mut pipeline = Pipeline::new(Settings::default());
    for event in events {
        pipeline.handle(event, 1_700_000_000_000_000).unwrap();
    }
    let told = pipeline.events();
    let [Event::Format(format), _, Event::Sample(sample)] = &told[..] else {
        panic!("{told:?}");
    };
    assert!(matches!(&format.tracks[0].codec, Codec::H264 { avcc } if avcc[4] == 0xff));
    assert_eq!(sample.data[..], b"\0\0\0\x02\x65\x88\0\0\0\x01\x06"[..]);
}

#[test]
fn what_waits_for_the_other_track_is_bounded_in_bytes() {
    let large = tag(&[b"\x27\x01\0\0\0", &vec![0; 1 << 20]]);
    let mut source = Source::default();
    take(&mut source, &[(0, h264_config(), true)]);
    for _ in 0..7 {
        assert!(take(&mut source, &[(0, large.clone(), true)]).is_empty());
    }
    let events = take(&mut source, &[(0, large, true)]);
    assert_eq!(events.len(), 9, "8 MiB are held at most");
}

#[test]
fn configurations_that_say_nothing_are_refused_by_name() {
    let mut source = Source::default();
    let video =
        |tag: &'static [u8]| Source::default().video(0, &Bytes::from_static(tag), &mut Vec::new());
    let audio =
        |tag: &'static [u8]| Source::default().audio(0, &Bytes::from_static(tag), &mut Vec::new());
    assert_eq!(
        video(b"\x17\0\0\0\0"),
        Err(TagError::Configuration("H.264"))
    );
    assert_eq!(video(b"\x90hvc1\x01"), Err(TagError::Configuration("HEVC")));
    assert_eq!(video(b"\x90av01"), Err(TagError::Configuration("AV1")));
    assert_eq!(audio(b"\xaf\0\x11"), Err(TagError::Configuration("AAC")));
    assert_eq!(
        audio(b"\xaf\0\xff\xff\xff\xff"),
        Err(TagError::Configuration("AAC"))
    );
    assert_eq!(
        audio(b"\x90OpusOpusHead"),
        Err(TagError::Configuration("Opus"))
    );
    // Frames before their configuration cannot be decoded: passed over.
    assert_eq!(source.video(0, &picture(true), &mut Vec::new()), Ok(()));
}

#[test]
fn audio_configurations() {
    let kind = |config: &[u8]| {
        let mut source = Source::default();
        let tags = [
            (0, tag(&[b"\xaf\0", config]), false),
            (0, Bytes::from_static(AAC_FRAME), false),
        ];
        let mut events = take(&mut source, &tags);
        source.finish(&mut events);
        let [SourceEvent::Streams(streams), SourceEvent::Packet(packet)] = &events[..] else {
            panic!("{events:?}");
        };
        (streams[0].kind.clone(), packet.duration)
    };
    let audio = |sample_rate, channels, duration| {
        (
            Kind::Audio {
                sample_rate,
                channels,
            },
            duration,
        )
    };
    assert_eq!(kind(&[0x11, 0x90]), audio(48_000, 2, 21_333));
    assert_eq!(kind(&[0x12, 0x08]), audio(44_100, 1, 23_219));
    // HE-AAC: a core of 24 kHz that plays at 48 kHz.
    assert_eq!(kind(&[0x2b, 0x11, 0x88, 0x00]), audio(48_000, 2, 42_666));
    // A rate that has no index: 32,123 Hz.
    assert_eq!(
        kind(&[0x17, 0x80, 0x3e, 0xbd, 0x90]),
        audio(32_123, 2, 31_877)
    );
}

#[test]
fn metadata_is_a_hint_and_odd_values_are_not_said() {
    let number = |n: f64| Value::Number(n);
    let fields = Value::object([
        ("title", Value::text("")),
        ("width", number(f64::NAN)),
        ("height", number(1e300)),
        ("framerate", number(-1.0)),
        ("videodatarate", number(2500.0)),
        ("audiocodecid", number(10.0)),
    ]);
    let metadata = Metadata::read(&fields);
    assert_eq!(metadata.title, None);
    assert_eq!((metadata.size, metadata.frame_rate), (None, None));
    assert_eq!((metadata.video, metadata.audio), (Some(false), Some(true)));
    assert_eq!(metadata.video_bit_rate, 2_500_000);
    assert_eq!(Metadata::read(&Value::Null), Metadata::default());
}
