use bytes::Bytes;

use super::*;

const NOW: u64 = 1_795_336_872_000_000;

fn packet(stream: usize, dts: i64) -> Packet {
    Packet {
        stream,
        dts,
        pts: dts,
        duration: 0,
        key: true,
        data: Bytes::new(),
    }
}

/// Feeds (stream, dts) pairs that arrive `pace` µs apart; gives the places and reasons.
fn feed(
    timeline: &mut Timeline,
    now: &mut u64,
    pace: u64,
    packets: &[(usize, i64)],
) -> Vec<Option<(i64, bool)>> {
    let place = |&(stream, dts): &(usize, i64)| {
        *now += pace;
        timeline
            .place(&packet(stream, dts), *now)
            .map(|placed| (placed.dts, placed.broke.is_some()))
    };
    packets.iter().map(place).collect()
}

fn steps(places: &[Option<(i64, bool)>]) -> Vec<i64> {
    let places: Vec<i64> = places.iter().flatten().map(|&(dts, _)| dts).collect();
    places.windows(2).map(|pair| pair[1] - pair[0]).collect()
}

#[test]
fn any_origin_begins_at_the_start_and_is_anchored_to_now() {
    for origin in [0, -40_000, 7_000_000_000, i64::MAX - 5, i64::MIN + 1] {
        let mut timeline = Timeline::default();
        let placed = timeline.place(&packet(0, origin), NOW).unwrap();
        assert_eq!(
            placed,
            Placed {
                dts: START,
                pts: START,
                broke: None
            },
            "{origin}"
        );
        assert_eq!(timeline.at(), NOW - START as u64);
    }
}

#[test]
fn each_known_wrap_is_seamless_for_both_streams() {
    for wrap in WRAPS {
        let (mut timeline, mut now) = (Timeline::default(), NOW);
        // Video wraps first, sound two packets later.
        let times = [
            (0, wrap - 80_000),
            (1, wrap - 80_000),
            (0, wrap - 40_000),
            (1, wrap - 40_000),
            (0, 0),
            (1, wrap - 10_000),
            (0, 40_000),
            (1, 11_000),
        ];
        let places = feed(&mut timeline, &mut now, 20_000, &times);
        assert!(
            places
                .iter()
                .all(|placed| placed.is_some_and(|(_, broke)| !broke)),
            "{wrap}"
        );
        let video: Vec<_> = places.iter().step_by(2).copied().collect();
        let sound: Vec<_> = places.iter().skip(1).step_by(2).copied().collect();
        assert_eq!(steps(&video), [40_000; 3]);
        assert_eq!(steps(&sound), [40_000, 30_000, 21_000]);
    }
}

#[test]
fn a_jump_moves_both_streams_together() {
    for jump in [60_000_000, -60_000_000, 1_500_000, -1_500_000] {
        let (mut timeline, mut now) = (Timeline::default(), NOW);
        let base = 100_000_000;
        let times = [
            (0, base),
            (1, base + 5_000),
            (0, base + 40_000),
            (1, base + 45_000),
            // Video jumps; one packet of sound from before is still on the way.
            (0, base + jump + 80_000),
            (1, base + 85_000),
            (0, base + jump + 120_000),
            (1, base + jump + 125_000),
            (0, base + jump + 160_000),
        ];
        let places = feed(&mut timeline, &mut now, 20_000, &times);
        let broke: Vec<bool> = places
            .iter()
            .map(|placed| placed.is_some_and(|(_, broke)| broke))
            .collect();
        assert_eq!(
            broke.iter().filter(|&&broke| broke).count(),
            1,
            "{jump}: {places:?}"
        );
        assert!(broke[4]);
        assert_eq!(places[5], None, "{jump}: the straggler is dropped");
        let at = |index: usize| places[index].unwrap().0;
        assert_eq!(
            at(7) - at(6),
            5_000,
            "{jump}: sound and picture stay together"
        );
        assert_eq!(at(4) - at(2), 40_000, "{jump}: no hole");
        assert!(
            timeline.at() + at(4) as u64 == NOW + 5 * 20_000,
            "{jump}: anchored to now"
        );
    }
}

#[test]
fn a_stream_that_does_not_jump_along_is_taken_on_its_own() {
    let (mut timeline, mut now) = (Timeline::default(), NOW);
    feed(
        &mut timeline,
        &mut now,
        20_000,
        &[(0, 0), (1, 0), (0, 40_000), (1, 40_000)],
    );
    let mut kept = 0;
    for index in 2..100 {
        let time = index * 40_000;
        feed(
            &mut timeline,
            &mut now,
            20_000,
            &[(0, time + 3_600_000_000)],
        );
        let sound = feed(&mut timeline, &mut now, 20_000, &[(1, time)]);
        kept += i64::from(sound[0].is_some());
    }
    assert!(kept > 40, "{kept}");
}

#[test]
fn small_steps_back_are_straightened() {
    let (mut timeline, mut now) = (Timeline::default(), NOW);
    let places = feed(
        &mut timeline,
        &mut now,
        20_000,
        &[(0, 0), (0, 40_000), (0, 39_000), (0, 39_000), (0, 80_000)],
    );
    assert!(
        places
            .iter()
            .all(|placed| placed.is_some_and(|(_, broke)| !broke))
    );
    assert!(steps(&places).iter().all(|&step| step > 0));
    assert_eq!(places[4].unwrap().0 - places[0].unwrap().0, 80_000);
}

#[test]
fn missing_times_are_guessed() {
    let mut timeline = Timeline::default();
    let mut place = |dts, pts| {
        let packet = Packet {
            pts,
            ..packet(0, dts)
        };
        timeline
            .place(&packet, NOW)
            .map(|placed| (placed.dts - START, placed.pts - START))
            .unwrap()
    };
    const NONE: i64 = Packet::UNKNOWN;
    assert_eq!(place(0, 0), (0, 0));
    assert_eq!(place(40_000, NONE), (40_000, 40_000));
    assert_eq!(place(NONE, NONE), (80_000, 80_000));
    assert_eq!(place(NONE, 120_000), (120_000, 120_000));
    // A picture that is shown later than the next is decoded.
    assert_eq!(place(NONE, 280_000), (160_000, 280_000));
}

#[test]
fn streams_with_unrelated_origins_start_together() {
    let (mut timeline, mut now) = (Timeline::default(), NOW);
    let places = feed(
        &mut timeline,
        &mut now,
        1_000,
        &[(0, 0), (1, 900_000_000), (0, 40_000), (1, 900_021_000)],
    );
    assert!(places.iter().all(Option::is_some));
    assert!((places[1].unwrap().0 - places[0].unwrap().0).abs() < JUMP);
    assert_eq!(places[3].unwrap().0 - places[1].unwrap().0, 21_000);
}

#[test]
fn a_return_goes_on_where_it_ended_with_a_new_anchor() {
    let (mut timeline, mut now) = (Timeline::default(), NOW);
    feed(
        &mut timeline,
        &mut now,
        40_000,
        &[(0, 5_000_000), (0, 5_040_000)],
    );
    timeline.restart("the publisher returned");
    now += 60_000_000;
    let placed = timeline.place(&packet(0, 0), now).unwrap();
    assert_eq!(placed.broke.as_deref(), Some("the publisher returned"));
    assert!(placed.dts >= START + 40_000);
    assert_eq!(timeline.at() + placed.dts as u64, now);
}

#[test]
fn a_drifting_clock_is_anchored_anew_and_jitter_is_not() {
    // The source's second lasts 1.02 of ours: after 60 s it is 1.2 s behind.
    let (mut timeline, mut now) = (Timeline::default(), NOW);
    let mut breaks = 0;
    for index in 0..1_750 {
        let placed = feed(&mut timeline, &mut now, 40_800, &[(0, index * 40_000)]);
        breaks += usize::from(placed[0].unwrap().1);
    }
    assert_eq!(breaks, 1);
    let behind = now as i64 - (timeline.at() as i64 + timeline.end);
    assert!(behind.abs() < 1_000_000, "{behind}");
    // Packets that come in bursts of a second are no drift.
    let (mut timeline, mut now) = (Timeline::default(), NOW);
    for second in 0..20 {
        now += 1_000_000;
        for frame in 0..25 {
            let placed = timeline
                .place(&packet(0, second * 1_000_000 + frame * 40_000), now)
                .unwrap();
            assert_eq!(placed.broke, None);
        }
    }
}

#[test]
fn a_burst_from_the_past_is_anchored_anew() {
    let (mut timeline, mut now) = (Timeline::default(), NOW);
    let mut breaks = 0;
    // Three seconds at once, then in real time.
    for index in 0..400 {
        let pace = if index < 75 { 0 } else { 40_000 };
        breaks += usize::from(
            feed(&mut timeline, &mut now, pace, &[(0, index * 40_000)])[0]
                .unwrap()
                .1,
        );
    }
    assert!((1..=2).contains(&breaks), "{breaks}");
    assert!((timeline.at() as i64 + timeline.end - now as i64).abs() < 1_000_000);
}

#[test]
fn random_timestamps_never_go_back_or_overflow() {
    let mut state = 7u64;
    let mut random = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        state >> 16
    };
    let mut timeline = Timeline::default();
    let (mut newest, mut now) = ([i64::MIN; 3], NOW);
    for _ in 0..100_000 {
        let stream = (random() % 3) as usize;
        let dts = match random() % 4 {
            0 => (random() << 16 | random()) as i64,
            1 => -((random() << 16 | random()) as i64),
            2 => Packet::UNKNOWN,
            _ => (random() % 1_000_000) as i64,
        };
        now += random() % 100_000;
        let packet = Packet {
            stream,
            dts,
            pts: random() as i64,
            duration: random() as i64,
            key: true,
            data: Bytes::new(),
        };
        if let Some(placed) = timeline.place(&packet, now) {
            assert!(placed.dts >= newest[stream] && placed.dts >= 0);
            newest[stream] = placed.dts;
        }
    }
}

#[test]
fn a_stream_that_was_silent_for_a_while_comes_back_in_its_place() {
    let (mut timeline, mut now) = (Timeline::default(), NOW);
    feed(&mut timeline, &mut now, 20_000, &[(0, 0), (1, 0)]);
    for index in 1..100 {
        let video = feed(&mut timeline, &mut now, 40_000, &[(0, index * 40_000)]);
        assert!(video[0].is_some_and(|(_, broke)| !broke));
    }
    let places = feed(
        &mut timeline,
        &mut now,
        1_000,
        &[(1, 3_970_000), (0, 4_000_000)],
    );
    assert_eq!(places[0], Some((START + 3_970_000, false)));
    assert_eq!(places[1], Some((START + 4_000_000, false)));
}
