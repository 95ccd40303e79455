//! Sources from the outside: what `spawn` gives for them, in real time.

use std::{
    path::PathBuf,
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::mpsc;

use super::*;
use crate::clock::Clock;

/// Runs a source until it ends, but for `seconds` at most.
fn run(spec: &str, seconds: u64) -> Vec<(Duration, Event)> {
    let (sender, mut receiver) = mpsc::channel(64);
    let handle = spawn(
        spec.parse().unwrap(),
        Settings::default(),
        Clock::start(),
        sender,
    )
    .unwrap();
    let began = Instant::now();
    let mut events = Vec::new();
    while began.elapsed() < Duration::from_secs(seconds) {
        match receiver.try_recv() {
            Ok(event) => events.push((began.elapsed(), event)),
            Err(mpsc::error::TryRecvError::Empty) => std::thread::sleep(Duration::from_millis(2)),
            Err(mpsc::error::TryRecvError::Disconnected) => break,
        }
    }
    let stopping = Instant::now();
    handle.stop();
    assert!(
        stopping.elapsed() < Duration::from_secs(1),
        "it stops at once"
    );
    events
}

fn clip(name: &str, seconds: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("meshlive-{}-{name}", std::process::id()));
    let picture = format!("testsrc2=size=320x180:rate=30:duration={seconds}");
    let tone = format!("sine=duration={seconds}:sample_rate=48000");
    let status = Command::new("ffmpeg")
        .args([
            "-v", "error", "-nostdin", "-y", "-f", "lavfi", "-i", &picture, "-f", "lavfi", "-i",
            &tone,
        ])
        .args([
            "-c:v",
            "libx264",
            "-preset",
            "ultrafast",
            "-pix_fmt",
            "yuv420p",
            "-g",
            "15",
            "-c:a",
            "aac",
            "-ac",
            "2",
        ])
        .args(["-metadata", "title=The clip"])
        .arg(&path)
        .status()
        .expect("the ffmpeg command is installed");
    assert!(status.success());
    path
}

#[test]
fn a_file_is_played_in_real_time_and_ends() {
    let path = clip("once.mp4", "1.5");
    let events = run(path.to_str().unwrap(), 10);
    std::fs::remove_file(&path).unwrap();
    assert!(events.iter().any(|(_, event)| *event
        == Event::Title {
            title: "The clip".into()
        }));
    assert_eq!(events.last().unwrap().1, Event::End);
    let samples: Vec<(Duration, i64)> = events
        .iter()
        .filter_map(|(time, event)| match event {
            Event::Sample(sample) if sample.track == 0 => Some((*time, sample.dts)),
            _ => None,
        })
        .collect();
    assert_eq!(samples.len(), 45);
    let (first, last) = (samples[0], samples[44]);
    let took = (last.0 - first.0).as_secs_f64();
    assert!((1.3..2.2).contains(&took), "1.5 s took {took} s");
}

#[test]
fn a_looped_file_begins_again_with_a_discontinuity() {
    let path = clip("loop.mp4", "1");
    let events = run(&format!("{}?loop=1&title=Mine", path.to_str().unwrap()), 4);
    std::fs::remove_file(&path).unwrap();
    let titles: Vec<&Event> = events
        .iter()
        .map(|(_, event)| event)
        .filter(|event| matches!(event, Event::Title { .. }))
        .collect();
    assert_eq!(
        titles,
        [&Event::Title {
            title: "Mine".into()
        }]
    );
    let breaks = events
        .iter()
        .filter(|(_, event)| matches!(event, Event::Discontinuity { .. }))
        .count();
    assert!((2..=4).contains(&breaks), "{breaks}");
    let formats = events
        .iter()
        .filter(|(_, event)| matches!(event, Event::Format(_)))
        .count();
    assert_eq!(formats, 1);
    let mut newest = [i64::MIN; 2];
    for (_, event) in &events {
        if let Event::Sample(sample) = event {
            assert!(sample.dts >= newest[usize::from(sample.track)]);
            newest[usize::from(sample.track)] = sample.dts;
        }
    }
}

#[test]
fn what_cannot_be_opened_says_why_and_what_to_do() {
    for (spec, words) in [
        (
            "/nowhere/at/all.mp4",
            vec!["/nowhere/at/all.mp4", "no such file", "give testcard"],
        ),
        ("/etc/passwd", vec!["/etc/passwd", "format", "ffprobe"]),
        (
            "nonsense://host/stream",
            vec!["nonsense://host/stream", "protocol"],
        ),
    ] {
        let events = run(spec, 5);
        let (_, Event::Notice { message }) = &events[events.len() - 2] else {
            panic!("{events:?}")
        };
        assert!(words.iter().all(|word| message.contains(word)), "{message}");
        assert_eq!(events.last().unwrap().1, Event::End);
    }
}

#[test]
fn a_live_source_that_is_not_there_is_tried_again_and_stops_at_once() {
    let events = run("tcp://127.0.0.1:9", 2);
    assert!(!events.iter().any(|(_, event)| *event == Event::End));
}

#[test]
fn srt_is_listened_for_and_a_caller_may_come_twice() {
    let secret = "0123456789abcdef";
    let (spec, address) = srt_listener(([127, 0, 0, 1], 0).into(), "field", secret).unwrap();
    assert_eq!(spec.alias, "field");
    assert!(
        srt_listener(address, "field", "short")
            .unwrap_err()
            .to_string()
            .contains("rotate")
    );
    let path = clip("call.mp4", "2");
    let (sender, mut receiver) = mpsc::channel(64);
    let handle = spawn(spec, Settings::default(), Clock::start(), sender).unwrap();
    let url = format!("srt://{address}?mode=caller&latency=50000&passphrase={secret}");
    let wrong = format!("srt://{address}?mode=caller&latency=50000&passphrase=not-the-secret");
    let caller = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(500));
        let refused = Command::new("timeout")
            .args(["10", "ffmpeg", "-v", "quiet", "-nostdin", "-re", "-i"])
            .arg(&path)
            .args(["-c", "copy", "-f", "mpegts", &wrong])
            .status();
        assert!(!refused.unwrap().success(), "a wrong secret");
        for _ in 0..2 {
            std::thread::sleep(Duration::from_millis(800));
            let status = Command::new("timeout")
                .args(["20", "ffmpeg", "-v", "error", "-nostdin", "-re", "-i"])
                .arg(&path)
                .args(["-c", "copy", "-f", "mpegts", &url])
                .status();
            assert!(status.unwrap().success());
        }
        std::fs::remove_file(&path).unwrap();
    });
    let began = Instant::now();
    let mut events = Vec::new();
    while began.elapsed() < Duration::from_secs(30) {
        match receiver.try_recv() {
            Ok(event) => events.push(event),
            Err(_) if caller.is_finished() => break,
            Err(_) => std::thread::sleep(Duration::from_millis(2)),
        }
    }
    caller.join().unwrap();
    handle.stop();
    let count = |wanted: fn(&Event) -> bool| events.iter().filter(|event| wanted(event)).count();
    assert_eq!(count(|event| matches!(event, Event::Format(_))), 1);
    assert_eq!(
        count(|event| matches!(event, Event::Discontinuity { .. })),
        1
    );
    assert!(count(|event| matches!(event, Event::Sample(sample) if sample.track == 0)) > 80);
}

#[test]
fn a_playlist_from_a_socket_opens_no_file() {
    use std::io::Write;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let path = clip("secret.ts", "1");
    let playlist = format!("ffconcat version 1.0\nfile {}\n", path.display());
    let server = std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        socket.write_all(playlist.as_bytes()).unwrap();
    });
    let events = run(&format!("tcp://127.0.0.1:{port}"), 2);
    server.join().unwrap();
    std::fs::remove_file(&path).unwrap();
    assert!(
        !events
            .iter()
            .any(|(_, event)| matches!(event, Event::Sample(_) | Event::Format(_)))
    );
}

#[test]
fn a_receiver_that_does_not_read_stops_nothing_for_ever() {
    let (sender, receiver) = mpsc::channel(1);
    let handle = spawn(
        "testcard?size=320x240".parse().unwrap(),
        Settings::default(),
        Clock::start(),
        sender,
    )
    .unwrap();
    std::thread::sleep(Duration::from_millis(300));
    let stopping = Instant::now();
    handle.stop();
    assert!(stopping.elapsed() < Duration::from_millis(500));
    drop(receiver);
    let (sender, receiver) = mpsc::channel(1);
    let clock = Arc::clone(&Clock::start());
    let handle = spawn(
        "testcard?size=320x240".parse().unwrap(),
        Settings::default(),
        clock,
        sender,
    )
    .unwrap();
    drop(receiver);
    std::thread::sleep(Duration::from_millis(500));
    assert!(handle.is_finished(), "nobody listens any more");
}

#[test]
fn settings_are_checked_with_name_value_and_remedy() {
    assert_eq!(Settings::default().check(), Ok(()));
    let rung = |id: &str, height| Rung {
        id: id.into(),
        height,
        bit_rate: 500_000,
    };
    let cases = [
        (
            Settings {
                key_frame_interval: f64::NAN,
                ..Settings::default()
            },
            "ingest.key_frame_interval is NaN",
        ),
        (
            Settings {
                audio_bit_rate: 1,
                ..Settings::default()
            },
            "ingest.audio_bit_rate is 1",
        ),
        (
            Settings {
                ladder: vec![rung("source", 360)],
                ..Settings::default()
            },
            "ingest.ladder.id is \"source\"",
        ),
        (
            Settings {
                ladder: vec![rung("a", 360), rung("a", 240)],
                ..Settings::default()
            },
            "ingest.ladder.id is \"a\"",
        ),
        (
            Settings {
                ladder: vec![rung("../x", 360)],
                ..Settings::default()
            },
            "../x",
        ),
        (
            Settings {
                ladder: vec![rung("odd", 361)],
                ..Settings::default()
            },
            "361",
        ),
        (
            Settings {
                testcard: TestcardSettings {
                    width: 1279,
                    ..TestcardSettings::default()
                },
                ..Settings::default()
            },
            "ingest.testcard.width is 1279",
        ),
    ];
    for (settings, words) in cases {
        let problem = settings.check().unwrap_err();
        assert!(
            problem.contains(words) && (problem.contains("set") || problem.contains("give")),
            "{problem}"
        );
    }
}
