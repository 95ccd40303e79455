//! Published by the `ffmpeg` command.

use std::process::{Output, Stdio};

use tokio::process::{Child, Command};

use super::*;
use crate::ingest::media::{Codec, Kind, Packet, SourceStream};

/// Starts ffmpeg: `seconds` of moving picture (320x180 at 25) and a tone, in real time.
fn ffmpeg(url: &str, seconds: u32, options: &[&str]) -> Child {
    let video = format!("testsrc2=size=320x180:rate=25:duration={seconds}");
    let audio = format!("sine=frequency=440:sample_rate=48000:duration={seconds}");
    Command::new("ffmpeg")
        .args(["-hide_banner", "-loglevel", "info", "-nostdin"])
        .args([
            "-re", "-f", "lavfi", "-i", &video, "-re", "-f", "lavfi", "-i", &audio,
        ])
        .args([
            "-c:v",
            "libx264",
            "-preset",
            "ultrafast",
            "-g",
            "25",
            "-c:a",
            "aac",
            "-b:a",
            "64k",
        ])
        .args(options)
        .args(["-f", "flv", url])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("the ffmpeg command is installed: see deploy/setup")
}

async fn end(child: Child) -> Output {
    timeout(PATIENCE, child.wait_with_output())
        .await
        .expect("ffmpeg ends")
        .unwrap()
}

fn streams(events: &[SourceEvent]) -> Vec<&Vec<SourceStream>> {
    let streams = events.iter().filter_map(|event| match event {
        SourceEvent::Streams(streams) => Some(streams),
        _ => None,
    });
    streams.collect()
}

fn packets(events: &[SourceEvent], stream: usize) -> Vec<&Packet> {
    let packets = events.iter().filter_map(|event| match event {
        SourceEvent::Packet(packet) if packet.stream == stream => Some(packet),
        _ => None,
    });
    packets.collect()
}

#[tokio::test]
async fn everything_arrives_with_its_times_and_title() {
    let gateway = Gateway::start().await;
    let (secret, mut events) = gateway.stream("studio", 1024);
    let publisher = ffmpeg(
        &gateway.url(&secret),
        2,
        &["-metadata", "title=Evening news — näkymä"],
    );
    let events = until(&mut events, gone).await;
    assert!(end(publisher).await.status.success());

    assert!(events.contains(&SourceEvent::Title("Evening news — näkymä".into())));
    let [streams] = streams(&events)[..] else {
        panic!("streams are announced once: {:?}", streams(&events));
    };
    let kinds: Vec<_> = streams.iter().map(|stream| stream.kind.clone()).collect();
    let video = Kind::Video {
        width: 320,
        height: 180,
        frame_rate: (25, 1),
    };
    assert_eq!(
        kinds,
        [
            video,
            Kind::Audio {
                sample_rate: 48_000,
                channels: 1
            }
        ]
    );
    assert!(matches!(&streams[0].codec, Codec::H264 { avcc } if avcc[0] == 1));
    assert!(matches!(&streams[1].codec, Codec::Aac { config } if config.len() >= 2));

    let video = packets(&events, 0);
    assert_eq!(video.len(), 50, "no frame is lost");
    assert!(video[0].key && !video[1].key && video[25].key);
    for pair in video.windows(2) {
        let step = pair[1].dts - pair[0].dts;
        assert!(
            (39_000..=41_000).contains(&step),
            "frames are 40 ms apart, not {step} µs"
        );
    }
    for packet in &video {
        assert!((0..=200_000).contains(&(packet.pts - packet.dts)));
        let mut rest = &packet.data[..];
        while let Some((length, behind)) = rest.split_first_chunk() {
            rest = &behind[u32::from_be_bytes(*length) as usize..];
        }
        assert!(rest.is_empty(), "NAL units with lengths of four bytes");
    }
    let audio = packets(&events, 1);
    assert!(
        (93..=96).contains(&audio.len()),
        "two seconds of 1,024 samples: {}",
        audio.len()
    );
    assert!(
        audio
            .iter()
            .all(|packet| packet.duration == 21_333 && packet.key)
    );
    assert_eq!(
        events.last(),
        Some(&SourceEvent::Gone {
            reason: "the publisher ended the stream".into()
        })
    );
    gateway.idle().await;
}

#[tokio::test]
async fn one_track_alone_is_announced_alone() {
    let gateway = Gateway::start().await;
    let (secret, mut events) = gateway.stream("studio", 1024);
    for (option, video) in [("-an", true), ("-vn", false)] {
        let publisher = ffmpeg(&gateway.url(&secret), 1, &[option]);
        let events = until(&mut events, gone).await;
        assert!(end(publisher).await.status.success());
        let [streams] = streams(&events)[..] else {
            panic!("announced once");
        };
        assert_eq!(streams.len(), 1);
        assert_eq!(matches!(streams[0].kind, Kind::Video { .. }), video);
        assert!(packets(&events, 0).len() >= 25);
        gateway.idle().await;
    }
}

#[tokio::test]
async fn two_publishers_at_once_each_in_its_stream() {
    let gateway = Gateway::start().await;
    let (studio, mut studio_events) = gateway.stream("studio", 1024);
    let (stage, mut stage_events) = gateway.stream("stage", 1024);
    let one = ffmpeg(&gateway.url(&studio), 1, &["-metadata", "title=one"]);
    let two = ffmpeg(
        &gateway.url(&stage),
        1,
        &["-metadata", "title=two", "-s", "160x90"],
    );
    let (studio, stage) = tokio::join!(
        until(&mut studio_events, gone),
        until(&mut stage_events, gone)
    );
    assert!(end(one).await.status.success() && end(two).await.status.success());
    for (events, title, width) in [(studio, "one", 320), (stage, "two", 160)] {
        assert!(events.contains(&SourceEvent::Title(title.into())));
        assert_eq!(packets(&events, 0).len(), 25);
        let Kind::Video { width: found, .. } = streams(&events)[0][0].kind else {
            panic!("video first");
        };
        assert_eq!(found, width);
    }
}

#[tokio::test]
async fn a_wrong_secret_ends_ffmpeg_at_once_with_the_reason() {
    let gateway = Gateway::start().await;
    let (secret, _events) = gateway.stream("studio", 16);
    for key in ["studio", "no-such-secret", &secret[1..]] {
        let output = end(ffmpeg(&gateway.url(key), 20, &[])).await;
        assert!(!output.status.success());
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("this stream key is not known here"), "{said}");
    }
    let url = format!("rtmp://{}/vod/{secret}", gateway.server.address());
    let said = String::from_utf8_lossy(&end(ffmpeg(&url, 20, &[])).await.stderr).into_owned();
    assert!(said.contains("publish to rtmp://HOST/live"), "{said}");
    gateway.idle().await;
}

#[tokio::test]
async fn a_second_publisher_is_refused_while_the_first_is_heard_and_takes_over_when_it_is_not() {
    let gateway = Gateway::start().await;
    let (secret, mut events) = gateway.stream("studio", 4096);
    let first = ffmpeg(&gateway.url(&secret), 60, &[]);
    until(&mut events, |event| matches!(event, SourceEvent::Packet(_))).await;

    let refused = end(ffmpeg(&gateway.url(&secret), 20, &[])).await;
    assert!(!refused.status.success());
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(
        said.contains("stream studio is already live from 127.0.0.1:"),
        "{said}"
    );

    let id = first.id().unwrap().to_string();
    assert!(
        Command::new("kill")
            .args(["-STOP", &id])
            .status()
            .await
            .unwrap()
            .success()
    );
    tokio::time::sleep(Duration::from_millis(2500)).await;
    let second = ffmpeg(&gateway.url(&secret), 1, &["-s", "160x90"]);
    let before = until(&mut events, gone).await;
    assert!(streams(&before).is_empty());
    assert!(
        matches!(before.last(), Some(SourceEvent::Gone { reason }) if reason.contains("took over"))
    );
    let after = until(&mut events, gone).await;
    assert!(matches!(
        streams(&after)[0][0].kind,
        Kind::Video { width: 160, .. }
    ));
    assert!(end(second).await.status.success());

    // A publisher that was killed returns at once: its connection is closed by its system.
    drop(first);
    let again = ffmpeg(&gateway.url(&secret), 1, &[]);
    let events = until(&mut events, gone).await;
    assert_eq!(streams(&events).len(), 1);
    assert!(end(again).await.status.success());
}
