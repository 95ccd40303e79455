//! What changes, stops, returns or jumps mid-stream.

use super::*;

#[test]
fn another_size_mid_stream_is_a_new_format() {
    let one = Made::new("one.ts", "320x180", 2, &format!("{H264} -g 30"));
    let two = Made::new("two.ts", "640x360", 2, &format!("{H264} -g 30"));
    let both = Made::empty("both.ts");
    std::fs::write(&both.0, [one.bytes(), two.bytes()].concat()).unwrap();
    for settings in [
        Settings::default(),
        Settings {
            ladder: vec![Rung {
                id: "low".into(),
                height: 120,
                bit_rate: 100_000,
            }],
            ..Settings::default()
        },
    ] {
        let events = run(&both.0, settings);
        check(&events);
        let formats = formats(&events);
        let size = |format: &Format| match track(format, format.leader).kind {
            Kind::Video { width, height, .. } => (width, height),
            Kind::Audio { .. } => (0, 0),
        };
        assert_eq!(size(formats[0]), (320, 180));
        assert_eq!(size(formats.last().unwrap()), (640, 360));
    }
    // Also where everything is transcoded.
    let one = Made::new("one.m2.ts", "320x180", 2, "-c:v mpeg2video -an");
    let two = Made::new("two.m2.ts", "640x360", 2, "-c:v mpeg2video -an");
    std::fs::write(&both.0, [one.bytes(), two.bytes()].concat()).unwrap();
    let events = run(&both.0, Settings::default());
    check(&events);
    let last = *formats(&events).last().unwrap();
    assert!(matches!(
        track(last, last.leader).kind,
        Kind::Video { width: 640, .. }
    ));
}

#[test]
fn a_missing_track_is_done_without() {
    let silent = Made::new(
        "silent.mp4",
        "320x180",
        2,
        "-c:v libx264 -preset ultrafast -g 30 -pix_fmt yuv420p -an",
    );
    let events = run(&silent.0, Settings::default());
    check(&events);
    assert_eq!(ids(formats(&events)[0]), ["source"]);
    let blind = Made::new("blind.m4a", "320x180", 2, "-c:a aac -vn");
    let events = run(&blind.0, Settings::default());
    check(&events);
    let format = formats(&events)[0];
    assert_eq!((ids(format), format.leader), (vec!["audio"], 1));
    assert!(samples(&events, 1).len() > 90);
}

#[test]
fn a_track_that_is_announced_but_silent_or_stops_is_done_without() {
    let made = Made::new("lost.mp4", "320x180", 8, &format!("{H264} -g 30"));
    let original = source(&made.0);
    // Sound never comes.
    let mute: Vec<SourceEvent> = original
        .iter()
        .filter(|event| !matches!(event, SourceEvent::Packet(packet) if packet.stream == 1))
        .cloned()
        .collect();
    let events = feed(
        &mut Pipeline::new(Settings::default()),
        &mut NOW.clone(),
        mute,
    );
    check(&events);
    assert_eq!(ids(formats(&events)[0]), ["source"]);
    // Sound stops after two seconds and comes back after six.
    let gap: Vec<SourceEvent> = original
        .iter()
        .filter(|event| !matches!(event, SourceEvent::Packet(packet) if packet.stream == 1 && (2_000_000..6_000_000).contains(&packet.dts)))
        .cloned()
        .collect();
    let events = feed(
        &mut Pipeline::new(Settings::default()),
        &mut NOW.clone(),
        gap,
    );
    check(&events);
    let all: Vec<Vec<&str>> = formats(&events).into_iter().map(ids).collect();
    assert_eq!(
        all,
        [
            vec!["source", "audio"],
            vec!["source"],
            vec!["source", "audio"]
        ]
    );
    assert!(notices(&events).contains("sound has stopped"));
}

#[test]
fn a_publisher_that_returns_goes_on_with_a_discontinuity() {
    let made = Made::new("again.mp4", "320x180", 2, &format!("{H264} -g 30"));
    let (mut pipeline, mut now) = (Pipeline::new(Settings::default()), NOW);
    let mut events = feed(&mut pipeline, &mut now, source(&made.0));
    let gone = SourceEvent::Gone {
        reason: "the publisher left".into(),
    };
    events.extend(feed(&mut pipeline, &mut now, vec![gone]));
    now += 30_000_000;
    let began = now;
    events.extend(feed(&mut pipeline, &mut now, source(&made.0)));
    check(&events);
    assert_eq!((formats(&events).len(), discontinuities(&events)), (1, 1));
    let at = events.iter().rev().find_map(|event| match event {
        Event::Anchor { at } => Some(*at),
        _ => None,
    });
    let first = samples(&events, 0)[60];
    let time = at.unwrap() + first.pts as u64 * 100 / 9;
    assert!(time.abs_diff(began) < 200_000, "the clock of the return");
}

#[test]
fn jumping_timestamps_are_a_discontinuity_at_the_next_key_frame() {
    let made = Made::new("jump.mp4", "320x180", 4, &format!("{H264} -g 30"));
    let mut original = source(&made.0);
    for event in &mut original {
        if let SourceEvent::Packet(packet) = event
            && packet.dts > 1_500_000
        {
            packet.dts += 7_200_000_000;
            packet.pts += 7_200_000_000;
        }
    }
    let (mut pipeline, mut now) = (Pipeline::new(Settings::default()), NOW);
    let mut events = Vec::new();
    for event in original {
        now += 13_000;
        events.extend({
            pipeline.handle(event, now).unwrap();
            pipeline.events()
        });
    }
    check(&events);
    assert_eq!(discontinuities(&events), 1);
    let after = events
        .iter()
        .skip_while(|event| !matches!(event, Event::Discontinuity { .. }))
        .nth(2);
    assert!(matches!(after, Some(Event::Sample(sample)) if sample.key && sample.track == 0));
    assert_eq!(pictures(&events, formats(&events)[0], 0), 120);
}
