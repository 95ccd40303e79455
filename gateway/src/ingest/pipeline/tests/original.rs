//! What not every browser plays goes on as it came, beside the H.264 and AAC made of it.

use super::*;
use crate::package::{self, Numbers, Packaged, Packager, tests::read};

const X265: &str = "-c:v libx265 -preset ultrafast -pix_fmt yuv420p -tag:v hvc1 -x265-params log-level=none:keyint=30:min-keyint=30:scenecut=0:bframes=3:open-gop=";

/// What the packager makes of the events; each comes at its time.
fn packaged(events: &[Event]) -> Vec<Packaged> {
    let mut packager = Packager::new(package::Settings::default(), Numbers::default());
    let (mut now, mut at) = (NOW, NOW);
    let mut out = Vec::new();
    for event in events {
        match event {
            Event::Anchor { at: anchor } => at = *anchor,
            Event::Sample(sample) if sample.track == 0 => now = at + sample.dts as u64 * 100 / 9,
            _ => {}
        }
        out.extend(packager.handle(event.clone(), now));
    }
    out.extend(packager.handle(Event::End, now));
    out
}

fn renditions(out: &[Packaged]) -> Vec<&Vec<package::Rendition>> {
    let renditions = out.iter().filter_map(|packaged| match packaged {
        Packaged::Renditions { renditions, .. } => Some(renditions),
        _ => None,
    });
    renditions.collect()
}

/// What ffprobe decodes of a rendition: codec and frames of each stream.
fn probed(name: &str, out: &[Packaged], index: usize) -> Vec<(String, usize)> {
    let file = Made::empty(&format!("{name}.{index}.mp4"));
    let mut bytes = renditions(out)[0][index].init.to_vec();
    for packaged in out {
        if let Packaged::Parts { parts, .. } = packaged {
            bytes.extend_from_slice(&parts[index].data);
        }
    }
    std::fs::write(&file.0, bytes).unwrap();
    let probe = Command::new("ffprobe")
        .args(
            "-v error -count_frames -show_entries stream=codec_name,nb_read_frames -of csv=p=0"
                .split(' '),
        )
        .arg(&file.0)
        .output()
        .expect("ffprobe is installed");
    assert_eq!(String::from_utf8_lossy(&probe.stderr), "", "{name}");
    let line = |line: &str| {
        let (codec, count) = line.split_once(',').unwrap();
        (codec.to_owned(), count.parse().unwrap())
    };
    String::from_utf8_lossy(&probe.stdout)
        .lines()
        .map(line)
        .collect()
}

/// Every segment begins with a key frame of every picture at one time; no part of any rendition is missing; nothing
/// breaks in between.
fn aligned(name: &str, out: &[Packaged], segments: usize) {
    let all = renditions(out);
    assert_eq!(all.len(), 1, "{name}: {all:?}");
    let pictures: Vec<usize> = (0..all[0].len())
        .filter(|&at| all[0][at].width > 0)
        .collect();
    let mut opened = 0;
    // Where pictures are reordered, the leader's decode times end some pictures behind what is shown: the last part may
    // hold nothing for the others.
    let last = out
        .iter()
        .rposition(|packaged| matches!(packaged, Packaged::Parts { .. }));
    for (at, packaged) in out.iter().enumerate() {
        match packaged {
            Packaged::Opened { discontinuity, .. } => {
                assert!(!discontinuity, "{name}");
                opened += 1;
            }
            Packaged::Notice(notice) if notice.contains("lags") || notice.contains("refused") => {
                panic!("{name}: {notice}")
            }
            Packaged::Parts { parts, part, .. } if Some(at) != last => {
                assert_eq!(parts.len(), all[0].len(), "{name}");
                let starts: Vec<i64> = pictures
                    .iter()
                    .map(|&at| {
                        let (_, trafs) = read::part(&parts[at].data);
                        let first = &trafs[0].samples[0];
                        assert_eq!(first.1, parts[at].independent);
                        if *part == 0 {
                            assert!(first.1, "{name}: a segment begins with a key frame");
                        }
                        trafs[0].tfdt as i64 + i64::from(if *part == 0 { first.2 } else { 0 })
                    })
                    .collect();
                let apart = starts.iter().max().unwrap() - starts.iter().min().unwrap();
                // A quarter of a frame at 30 frames per second.
                assert!(
                    apart <= if *part == 0 { 0 } else { 750 },
                    "{name}: {starts:?}"
                );
            }
            _ => {}
        }
    }
    assert_eq!(opened, segments, "{name}");
}

#[test]
fn hevc_av1_and_opus_go_on_as_they_came_beside_h264_and_aac() {
    let av1 = "-c:v libsvtav1 -preset 12 -pix_fmt yuv420p -g 30 -svtav1-params scd=0";
    let aom = "-c:v libaom-av1 -cpu-used 8 -usage realtime -pix_fmt yuv420p -g 30 -keyint_min 30";
    for (name, arguments, video, sound) in [
        (
            "closed.mp4",
            format!("{X265}0 -c:a aac -ac 2"),
            "hvc1.1.6.L",
            "mp4a.40.2",
        ),
        (
            "open.mkv",
            format!("{X265}1 -c:a libopus -ac 2"),
            "hvc1.1.6.L",
            "opus",
        ),
        (
            "svt.mp4",
            format!("{av1} -c:a libopus -ac 2"),
            "av01.0.",
            "opus",
        ),
        (
            "aom.mkv",
            format!("{aom} -c:a aac -ac 2"),
            "av01.0.",
            "mp4a.40.2",
        ),
        ("mute.mp4", format!("{X265}0 -an"), "hvc1.1.6.L", ""),
        (
            "opus.mkv",
            "-c:v libx264 -preset ultrafast -pix_fmt yuv420p -bf 2 -g 30 -c:a libopus -ac 2"
                .to_owned(),
            "avc1.",
            "opus",
        ),
    ] {
        let made = Made::new(name, "320x180", 3, &arguments);
        let input = source(&made.0);
        let events = run(&made.0, Settings::default());
        check(&events);
        let format = formats(&events)[0];
        let expected = if sound.is_empty() {
            vec!["source", "original"]
        } else {
            vec!["source", "audio", "original"]
        };
        assert_eq!(ids(format), expected, "{name}: {}", notices(&events));
        let (first, original) = (&format.renditions[0], format.renditions.last().unwrap());
        assert!(passed(original), "{name}");
        assert_eq!(passed(first), video == "avc1.", "{name}");
        // Byte for byte what the file has, sound as well.
        for (stream, &track) in original.tracks.iter().enumerate() {
            let sent: Vec<&Bytes> = input
                .iter()
                .filter_map(|event| match event {
                    SourceEvent::Packet(packet) if packet.stream == stream => Some(&packet.data),
                    _ => None,
                })
                .collect();
            let passed: Vec<&Bytes> = samples(&events, track)
                .iter()
                .map(|sample| &sample.data)
                .collect();
            assert!(
                passed.len() > 80 && sent.ends_with(&passed),
                "{name} {stream}: {} of {}",
                passed.len(),
                sent.len()
            );
            assert!(stream > 0 || passed.len() == sent.len(), "{name}");
        }
        let keys = |track| -> Vec<i64> {
            let keys = samples(&events, track)
                .into_iter()
                .filter(|sample| sample.key);
            keys.map(|sample| sample.pts).collect()
        };
        assert_eq!(keys(first.tracks[0]), keys(original.tracks[0]), "{name}");
        assert_eq!(keys(first.tracks[0]).len(), 3, "{name}");

        let out = packaged(&events);
        aligned(name, &out, 3);
        let told = &renditions(&out)[0];
        let of = |id: &str| told.iter().position(|one| one.id == id).unwrap();
        assert!(told[of("source")].codecs.starts_with("avc1."), "{name}");
        assert_eq!(of("original"), told.len() - 1, "{name}");
        let codecs: Vec<&str> = told[of("original")].codecs.split(',').collect();
        assert!(codecs[0].starts_with(video), "{name}: {codecs:?}");
        assert_eq!(codecs.get(1).copied().unwrap_or_default(), sound, "{name}");
        let source = probed(name, &out, of("source"));
        let probed = probed(name, &out, of("original"));
        let names: Vec<&str> = probed.iter().map(|(codec, _)| codec.as_str()).collect();
        let codec = |string: &str| match string.split('.').next() {
            Some("hvc1") => "hevc",
            Some("av01") => "av1",
            Some("avc1") => "h264",
            Some("mp4a") => "aac",
            _ => "opus",
        };
        assert_eq!(
            names,
            codecs
                .iter()
                .map(|string| codec(string))
                .collect::<Vec<_>>(),
            "{name}"
        );
        assert_eq!((probed[0].1, source[0].1), (90, 90), "{name}");
    }
}

#[test]
fn hevc_in_a_transport_stream_is_carried_too_and_may_change_its_size() {
    let encode =
        |name: &str, size: &str| Made::new(name, size, 2, &format!("{X265}0 -c:a aac -ac 2"));
    let (one, two) = (
        encode("one.hevc.ts", "320x180"),
        encode("two.hevc.ts", "640x360"),
    );
    let both = Made::empty("both.hevc.ts");
    std::fs::write(&both.0, [one.bytes(), two.bytes()].concat()).unwrap();
    let events = run(&one.0, Settings::default());
    check(&events);
    assert_eq!(ids(formats(&events)[0]), ["source", "audio", "original"]);
    let out = packaged(&events);
    aligned("one.hevc.ts", &out, 2);
    let probed = probed("one.hevc.ts", &out, 2);
    assert_eq!(probed[0], ("hevc".to_owned(), 60));
    let events = run(&both.0, Settings::default());
    check(&events);
    let sizes: Vec<Kind> = formats(&events)
        .iter()
        .map(|format| track(format, format.renditions[2].tracks[0]).kind.clone())
        .collect();
    let size = |width, height| Kind::Video {
        width,
        height,
        frame_rate: (30, 1),
    };
    assert_eq!(sizes, [size(320, 180), size(640, 360)]);
}

#[test]
fn what_cannot_stand_beside_leaves_the_original_out() {
    for (name, arguments) in [
        ("mp2.mkv", format!("{X265}0 -c:a mp2")),
        (
            "vp8.mkv",
            "-c:v libvpx -deadline realtime -cpu-used 8 -b:v 300k -c:a libopus -ac 2".into(),
        ),
        ("hurt.mkv", format!("{X265}0 -c:a aac")),
    ] {
        let made = Made::new(name, "320x180", 2, &arguments);
        let mut events = source(&made.0);
        if let (true, SourceEvent::Streams(streams)) = (name == "hurt.mkv", &mut events[0]) {
            let Codec::Hevc { hvcc } = &mut streams[0].codec else {
                panic!("{streams:?}")
            };
            // No parameter sets: the decoder finds them nowhere either, and says so.
            *hvcc = hvcc.slice(..22);
        }
        let events = feed(
            &mut Pipeline::new(Settings::default()),
            &mut NOW.clone(),
            events,
        );
        check(&events);
        assert!(!notices(&events).is_empty(), "{name}");
        for format in formats(&events) {
            assert!(!ids(format).contains(&"original"), "{name}: {format:?}");
        }
        if name != "hurt.mkv" {
            assert_eq!(ids(formats(&events)[0]), ["source", "audio"], "{name}");
        }
    }
}

#[test]
fn an_original_with_key_frames_too_far_apart_leaves_and_the_picture_goes_on() {
    let x265 = X265.replace("keyint=30:min-keyint=30", "keyint=250");
    let made = Made::new(
        "far.mp4",
        "320x180",
        6,
        &format!("{x265}0 -c:a libopus -ac 2"),
    );
    let events = run(&made.0, Settings::default());
    check(&events);
    let formats = formats(&events);
    assert_eq!(formats.len(), 2);
    assert_eq!(ids(formats[0]), ["source", "audio", "original"]);
    assert_eq!(ids(formats[1]), ["source", "audio"]);
    assert!(notices(&events).contains("more than 4 s apart"));
    let track = formats[1].leader;
    assert_eq!(formats[0].renditions[0].tracks[0], track);
    let pts: Vec<i64> = samples(&events, track)
        .iter()
        .map(|sample| sample.pts)
        .collect();
    assert!((175..=180).contains(&pts.len()), "{}", pts.len());
    assert!(
        pts.windows(2)
            .all(|pair| (2_990..=3_010).contains(&(pair[1] - pair[0]))),
        "no hole, nothing twice"
    );
    let out = packaged(&events);
    let told: Vec<usize> = renditions(&out).iter().map(|told| told.len()).collect();
    assert_eq!(told, [3, 2]);
    let broken = |packaged: &&Packaged| {
        matches!(
            packaged,
            Packaged::Opened {
                discontinuity: true,
                ..
            }
        )
    };
    assert_eq!(out.iter().filter(broken).count(), 1);
}
