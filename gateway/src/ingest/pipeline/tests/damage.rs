//! What cannot be carried, and bytes that are not what they should be.

use super::*;
use crate::ingest::h264;

#[test]
fn what_cannot_be_carried_is_named() {
    let codec = Codec::Other {
        name: "nonsense".into(),
        extradata: Bytes::new(),
        hints: Hints::default(),
    };
    let kind = Kind::Video {
        width: 320,
        height: 180,
        frame_rate: (30, 1),
    };
    let packet = Packet {
        stream: 0,
        dts: 0,
        pts: 0,
        duration: 0,
        key: true,
        data: Bytes::from_static(b"bytes"),
    };
    let stream = SourceStream {
        codec,
        kind,
        bit_rate: 0,
    };
    let events = vec![
        SourceEvent::Streams(vec![stream]),
        SourceEvent::Packet(packet),
    ];
    let events = feed(
        &mut Pipeline::new(Settings::default()),
        &mut NOW.clone(),
        events,
    );
    assert!(
        notices(&events).contains("codec nonsense"),
        "{}",
        notices(&events)
    );
    let events = feed(
        &mut Pipeline::new(Settings::default()),
        &mut NOW.clone(),
        vec![SourceEvent::Streams(vec![])],
    );
    assert!(notices(&events).contains("neither video nor sound"));
}

/// Numbers that look random and are the same in each run.
fn random(state: &mut u64) -> usize {
    *state = state
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1_442_695_040_888_963_407);
    (*state >> 33) as usize
}

#[test]
fn damaged_packets_are_told_and_survived() {
    let ladder = vec![Rung {
        id: "low".into(),
        height: 120,
        bit_rate: 100_000,
    }];
    for (name, codecs) in [
        ("hurt.mp4", format!("{H264} -g 30")),
        ("hurt.mkv", "-c:v mpeg4 -c:a mp2".to_owned()),
    ] {
        let made = Made::new(name, "320x180", 3, &codecs);
        let mut state = 11;
        let mut events = source(&made.0);
        for event in &mut events {
            if let SourceEvent::Packet(packet) = event
                && random(&mut state).is_multiple_of(3)
            {
                let mut data = packet.data.to_vec();
                match random(&mut state) % 3 {
                    0 => data.truncate(random(&mut state) % data.len().max(1)),
                    1 => data
                        .iter_mut()
                        .for_each(|byte| *byte = random(&mut state) as u8),
                    _ => data[0] ^= 0x55,
                }
                packet.data = data.into();
            }
        }
        let settings = Settings {
            ladder: ladder.clone(),
            ..Settings::default()
        };
        let events = feed(&mut Pipeline::new(settings), &mut NOW.clone(), events);
        check(&events);
        assert!(
            notices(&events).contains("damaged"),
            "{name}: {}",
            notices(&events)
        );
        let leader = formats(&events)[0].leader;
        assert!(samples(&events, leader).len() > 20, "{name}");
    }
}

#[test]
fn truncated_and_random_files_end_with_an_error_or_what_was_whole() {
    let mut state = 5;
    for (name, arguments) in [
        (
            "cut.mp4",
            format!("{H264} -g 30 -movflags frag_keyframe+empty_moov"),
        ),
        ("cut.ts", format!("{H264} -g 30")),
        ("cut.flv", format!("{H264} -g 30")),
        ("cut.mkv", format!("{H264} -g 30")),
    ] {
        let made = Made::new(name, "320x180", 2, &arguments);
        let whole = made.bytes();
        for _ in 0..6 {
            let mut bytes = whole[..random(&mut state) % whole.len()].to_vec();
            for _ in 0..random(&mut state) % 40 {
                if let Some(at) = random(&mut state).checked_rem(bytes.len()) {
                    bytes[at] = random(&mut state) as u8;
                }
            }
            std::fs::write(&made.0, &bytes).unwrap();
            let opened = Demuxer::open(made.0.to_str().unwrap(), None, &[], || false);
            if opened.is_ok() {
                check(&run(&made.0, Settings::default()));
            }
        }
    }
    let noise = Made::empty("noise.bin");
    let bytes: Vec<u8> = (0..100_000).map(|_| random(&mut state) as u8).collect();
    std::fs::write(&noise.0, bytes).unwrap();
    assert!(Demuxer::open(noise.0.to_str().unwrap(), None, &[], || false).is_err());
}

/// Video and sound, as a publisher names them.
fn named() -> SourceEvent {
    let video = SourceStream {
        codec: Codec::H264 {
            avcc: Bytes::from_static(h264::tests::AVCC),
        },
        kind: Kind::Video {
            width: 1920,
            height: 1080,
            frame_rate: (30, 1),
        },
        bit_rate: 0,
    };
    let sound = SourceStream {
        codec: Codec::Aac {
            config: Bytes::from_static(&[0x11, 0x90]),
        },
        kind: Kind::Audio {
            sample_rate: 48_000,
            channels: 2,
        },
        bit_rate: 0,
    };
    SourceEvent::Streams(vec![video, sound])
}

fn packet(stream: usize, dts: i64, data: Bytes) -> SourceEvent {
    SourceEvent::Packet(Packet {
        stream,
        dts,
        pts: dts,
        duration: 0,
        key: stream == 1,
        data,
    })
}

#[test]
fn what_waits_for_a_stream_that_is_named_and_never_sent_is_bounded() {
    for (bytes, most) in [(10, 1_000), (1 << 20, 32)] {
        let mut pipeline = Pipeline::new(Settings::default());
        pipeline.handle(named(), NOW).unwrap();
        let data = Bytes::from(vec![0; bytes]);
        // All at once, so that no time passes.
        for n in 0..most {
            assert!(pipeline.waiting.is_some(), "{n} of {bytes} bytes");
            let sound = packet(1, n * 21_333, data.clone());
            pipeline.handle(sound, NOW).unwrap();
        }
        assert!(pipeline.waiting.is_none(), "{most} of {bytes} bytes");
    }
}

#[test]
fn sound_that_waits_for_the_first_key_frame_is_bounded() {
    let mut pipeline = Pipeline::new(Settings::default());
    pipeline.handle(named(), NOW).unwrap();
    let picture = Bytes::from_static(&[0, 0, 0, 2, 0x41, 0]);
    pipeline.handle(packet(0, 0, picture), NOW).unwrap();
    for n in 0..2 * MAX_EARLY as i64 {
        let sound = packet(1, n * 21_333, Bytes::from_static(b"sound"));
        pipeline.handle(sound, NOW).unwrap();
    }
    assert_eq!(pipeline.early.len(), MAX_EARLY);
    assert_eq!(pipeline.events(), []);
}
