//! Tracks that are late, missing, or come and go.

use super::{read, sample::*};
use crate::ingest::media::*;
use crate::package::Packaged;

fn renditions(out: &[Packaged]) -> Vec<(u32, Vec<String>)> {
    let one = |p: &_| match p {
        Packaged::Renditions { number, renditions } => Some((
            *number,
            renditions
                .iter()
                .map(|r| format!("{}:{}", r.id, r.codecs))
                .collect(),
        )),
        _ => None,
    };
    out.iter().filter_map(one).collect()
}

fn starts(out: &[Packaged]) -> Vec<(u64, bool)> {
    let one = |p: &_| match *p {
        Packaged::Opened {
            start,
            discontinuity,
            ..
        } => Some((start - ANCHOR, discontinuity)),
        _ => None,
    };
    out.iter().filter_map(one).collect()
}

/// Where what came before is not joined.
fn breaks(out: &[Packaged]) -> Vec<u64> {
    let broken = starts(out).into_iter().filter(|(_, broken)| *broken);
    broken.map(|(start, _)| start).collect()
}

/// So many seconds of both tracks, of which one is silent for a while, in microseconds.
fn without(track: TrackId, silent: std::ops::Range<i64>, length: i64) -> Vec<Sample> {
    seconds(length, 30, 60, true)
        .into_iter()
        .filter(|s| s.track != track || !silent.contains(&micros(s)))
        .collect()
}

const BOTH: [&str; 2] = ["source:avc1.64000c,mp4a.40.2", "audio:mp4a.40.2"];
const PICTURE: [&str; 1] = ["source:avc1.64000c"];

#[test]
fn a_sound_that_never_comes_holds_the_picture_back_only_once() {
    let samples: Vec<_> = seconds(8, 30, 60, true)
        .into_iter()
        .filter(|s| s.track == VIDEO)
        .collect();
    let out = run(&mut packager(both((30, 1))), &samples);
    assert_eq!(renditions(&out), [(0, PICTURE.map(String::from).to_vec())]);
    assert_eq!(
        starts(&out),
        [
            (0, false),
            (2_000_000, false),
            (4_000_000, false),
            (6_000_000, false)
        ]
    );
    let notices = out.iter().filter(
        |p| matches!(p, Packaged::Notice(n) if n.contains("the sound of source, audio lags")),
    );
    assert_eq!(notices.count(), 1);
}

#[test]
fn a_sound_that_stops_leaves_with_the_next_segment_and_comes_back_in_step() {
    let silent = 3_000_000..9_000_000;
    let samples = without(AUDIO, silent, 20);
    let out = run(&mut packager(both((30, 1))), &samples);
    let told = renditions(&out);
    assert_eq!(told.len(), 3, "{told:?}");
    assert_eq!(told[0].1, BOTH);
    assert_eq!(told[1].1, PICTURE);
    assert_eq!(told[2], (2, BOTH.map(String::from).to_vec()));
    let breaks = breaks(&out);
    assert_eq!(breaks.len(), 2, "{breaks:?}");
    assert_eq!(breaks[0], 4_000_000);
    assert!((10_000_000..=12_000_000).contains(&breaks[1]), "{breaks:?}");
    // No frame of the picture is missing or doubled.
    let mut next = 0;
    for p in &out {
        if let Packaged::Parts { parts, .. } = p {
            for traf in read::part(&parts[0].data)
                .1
                .iter()
                .filter(|t| t.samples.len() > 1 && t.track == 1)
            {
                assert_eq!(traf.tfdt, next);
                next = traf.end();
            }
        }
    }
    assert_eq!(next, 20 * 90_000);
}

#[test]
fn a_sound_half_a_second_behind_is_waited_for_and_nothing_is_lost() {
    let mut samples = seconds(6, 30, 60, true);
    samples.sort_by_key(|s| micros(s) + if s.track == AUDIO { 500_000 } else { 0 });
    let mut packager = packager(both((30, 1)));
    let out = run(&mut packager, &samples);
    assert_eq!(renditions(&out).len(), 1);
    let sound = |p: &Packaged| match p {
        Packaged::Parts { parts, .. } => read::part(&parts[1].data).1[0].samples.len(),
        _ => 0,
    };
    let total = samples.iter().filter(|s| s.track == AUDIO).count();
    assert_eq!(out.iter().map(sound).sum::<usize>(), total);
}

#[test]
fn sound_goes_on_alone_when_the_picture_stops_and_the_picture_leads_again() {
    let dark = 3_000_000..9_000_000;
    let samples = without(VIDEO, dark, 20);
    let out = run(&mut packager(both((30, 1))), &samples);
    let told: Vec<_> = renditions(&out)
        .into_iter()
        .map(|(_, codecs)| codecs.join(" "))
        .collect();
    assert_eq!(
        told,
        [BOTH.join(" "), "audio:mp4a.40.2".into(), BOTH.join(" ")]
    );
    let breaks = breaks(&out);
    assert_eq!(breaks.len(), 2, "{breaks:?}");
    assert!((4_900_000..5_100_000).contains(&breaks[0]), "{breaks:?}");
    assert_eq!(breaks[1], 10_000_000);
}

#[test]
fn a_gap_in_the_sound_makes_an_empty_part_of_it() {
    let gap = 2_500_000..3_000_000;
    let samples = without(AUDIO, gap, 6);
    let out = run(&mut packager(both((30, 1))), &samples);
    assert!(starts(&out).iter().all(|s| !s.1));
    let mut empty = 0;
    for p in &out {
        if let Packaged::Parts { parts, .. } = p {
            assert_eq!(parts.len(), 2);
            let (_, trafs) = read::part(&parts[1].data);
            if trafs[0].samples.is_empty() {
                empty += 1;
                assert!(!parts[1].independent);
                assert_eq!(parts[1].duration, 200_000);
            }
        }
    }
    assert!((1..=2).contains(&empty), "{empty}");
}

#[test]
fn a_stream_that_never_has_a_key_frame_keeps_little_and_makes_nothing() {
    let mut packager = packager(both((30, 1)));
    let samples = seconds(60, 30, 60, true).into_iter().map(|s| Sample {
        key: s.track == AUDIO,
        ..s
    });
    for s in samples {
        assert_eq!(packager.handle(Event::Sample(s), ANCHOR), []);
    }
}

#[test]
fn what_waits_has_a_limit() {
    let mut packager = packager(both((30, 1)));
    let mut out = Vec::new();
    // A hostile publisher: the picture's clock stands still, so no part ever ends.
    for n in 0..40 {
        let s = Sample {
            dts: 0,
            pts: 0,
            ..sample(VIDEO, 0, 0, n == 0, 1 << 20)
        };
        out.extend(packager.handle(Event::Sample(s), ANCHOR));
    }
    assert!(
        out.iter()
            .any(|p| matches!(p, Packaged::Notice(n) if n.contains("33554432 bytes waited"))),
        "{out:?}"
    );
    for p in &out {
        if let Packaged::Parts { parts, .. } = p {
            assert!(
                parts.iter().all(|part| part.data.len() < 200),
                "the picture is refused, of the sound there is none"
            );
        }
    }
}
