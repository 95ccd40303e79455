//! The card as a viewer gets it: decoded again.

use std::{sync::Arc, time::Duration};

use tokio::sync::mpsc;

use super::*;
use crate::ingest::{
    Spec,
    decode::{AudioDecoder, Input, VideoDecoder},
    spawn, still,
};

/// Runs the card for `seconds`; events with the clock's time at which they came.
fn record(spec: &str, settings: Settings, seconds: u64) -> Vec<(u64, Event)> {
    let clock = Clock::start();
    let (sender, mut receiver) = mpsc::channel(256);
    let spec: Spec = spec.parse().unwrap();
    let handle = spawn(spec, settings, Arc::clone(&clock), sender).unwrap();
    let end = clock.now() + seconds * SECOND;
    let mut events = Vec::new();
    while clock.now() < end {
        match receiver.try_recv() {
            Ok(event) => events.push((clock.now(), event)),
            Err(_) => std::thread::sleep(Duration::from_millis(1)),
        }
    }
    handle.stop();
    events
}

fn format_of(events: &[(u64, Event)]) -> (Format, u64) {
    let format = events.iter().find_map(|(_, event)| match event {
        Event::Format(format) => Some(format.clone()),
        _ => None,
    });
    let at = events.iter().find_map(|(_, event)| match event {
        Event::Anchor { at } => Some(*at),
        _ => None,
    });
    (format.unwrap(), at.unwrap())
}

fn samples(events: &[(u64, Event)], track: u8) -> Vec<(u64, Sample)> {
    let of_track = |(time, event): &(u64, Event)| match event {
        Event::Sample(sample) if sample.track == track => Some((*time, sample.clone())),
        _ => None,
    };
    events.iter().filter_map(of_track).collect()
}

#[test]
fn each_frame_shows_its_program_date_time_and_the_beep_is_on_the_second() {
    let events = record("testcard?title=Hello&size=640x360", Settings::default(), 4);
    assert_eq!(
        events[0].1,
        Event::Title {
            title: "Hello".into()
        }
    );
    let (format, at) = format_of(&events);
    assert_eq!(at % SECOND, 0);
    let ids: Vec<&str> = format
        .renditions
        .iter()
        .map(|rendition| rendition.id.as_str())
        .collect();
    assert_eq!(ids, ["source", "audio"]);

    let video = samples(&events, format.leader);
    assert!(video.len() > 60, "{}", video.len());
    assert!(video[0].1.key);
    let track = format
        .tracks
        .iter()
        .find(|track| track.id == format.leader)
        .unwrap();
    let mut decoder = VideoDecoder::open(&track.codec, &track.kind).unwrap();
    let mut shown = 0;
    for (arrived, sample) in &video {
        assert_eq!(sample.dts, sample.pts);
        let program_date_time = at + sample.pts as u64 * 100 / 9;
        assert!(*arrived >= program_date_time, "drawn before its time");
        let input = Input {
            data: &sample.data,
            dts: sample.dts,
            pts: sample.pts,
            duration: 0,
        };
        decoder
            .decode(input, |picture| {
                let (width, height) = (picture.width() as usize, picture.height() as usize);
                let read = strip::read(picture.data(0), picture.stride(0), width, height);
                let time = at + picture.timestamp().unwrap() as u64 * 100 / 9;
                assert_eq!(read, Some(time / 1000));
                shown += 1;
            })
            .unwrap();
    }
    assert!(shown + 3 >= video.len(), "{shown} of {}", video.len());
    let keys: Vec<u64> = video
        .iter()
        .filter(|(_, sample)| sample.key)
        .map(|(_, sample)| at + sample.pts as u64 * 100 / 9)
        .collect();
    assert!(keys.len() >= 2);
    for key in &keys[1..] {
        assert!(key % (2 * SECOND) < SECOND / 5, "a key frame at {key}");
    }

    let still = still::jpeg(&track.codec, &video[0].1.data, 320).unwrap();
    assert!(
        still.starts_with(&[0xff, 0xd8, 0xff]) && still.len() < 60_000,
        "{}",
        still.len()
    );
    assert!(still::jpeg(&track.codec, b"no picture", 320).is_err());

    let sound = samples(&events, AUDIO);
    let track = format
        .tracks
        .iter()
        .find(|track| track.id == AUDIO)
        .unwrap();
    let mut decoder = AudioDecoder::open(&track.codec, &track.kind).unwrap();
    let (mut wave, first) = (Vec::new(), sound[0].1.pts);
    for pair in sound.windows(2) {
        assert_eq!(pair[1].1.pts - pair[0].1.pts, 1024, "no hole in the sound");
    }
    for (_, sample) in &sound {
        let input = Input {
            data: &sample.data,
            dts: sample.dts,
            pts: sample.pts,
            duration: 0,
        };
        decoder
            .decode(input, |sound| wave.extend_from_slice(sound.plane::<f32>(0)))
            .unwrap();
    }
    // Silence before a whole second, the tone behind it.
    let rate = i64::from(sound::SAMPLE_RATE);
    let second = usize::try_from((first / rate + 1) * rate - first + rate).unwrap();
    let loudness = |from: usize| {
        wave[from..from + 480]
            .iter()
            .map(|value| value.abs())
            .sum::<f32>()
            / 480.0
    };
    assert!(
        loudness(second - 720) < 0.01,
        "silence 15 ms before the second: {}",
        loudness(second - 720)
    );
    assert!(
        loudness(second + 240) > 0.1,
        "the beep 5 ms behind the second: {}",
        loudness(second + 240)
    );
    assert!(
        loudness(second + 4_560 - 480) > 0.1,
        "still there after 85 ms"
    );
    assert!(loudness(second + 5_520) < 0.01, "over after 115 ms");
}

#[test]
fn smaller_renditions_have_the_same_frames_and_key_frames() {
    let rung = |id: &str, height| crate::ingest::Rung {
        id: id.into(),
        height,
        bit_rate: 300_000,
    };
    let ladder = vec![rung("240p", 240), rung("120p", 120), rung("4k", 2160)];
    let settings = Settings {
        ladder,
        ..Settings::default()
    };
    let events = record("testcard?size=640x360&rate=15", settings, 3);
    let (format, _) = format_of(&events);
    let ids: Vec<&str> = format
        .renditions
        .iter()
        .map(|rendition| rendition.id.as_str())
        .collect();
    assert_eq!(ids, ["source", "240p", "120p", "audio"]);
    let times = |track: u8| -> Vec<(i64, bool)> {
        samples(&events, track)
            .iter()
            .map(|(_, sample)| (sample.pts, sample.key))
            .collect()
    };
    let source = times(format.leader);
    assert!(source.iter().filter(|(_, key)| *key).count() >= 2);
    for rendition in &format.renditions[1..3] {
        let other = times(rendition.tracks[0]);
        assert_eq!(other, source[..other.len()]);
        assert!(other.len() + 1 >= source.len());
    }
}
