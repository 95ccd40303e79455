//! Streams as they should be.

use super::{read, sample::*};
use crate::ingest::media::*;
use crate::package::{Packaged, Part};

pub(super) fn parts(out: &[Packaged]) -> Vec<(u64, u32, &[Part])> {
    let part = |p: &'_ Packaged| matches!(p, Packaged::Parts { .. });
    let fields = |p| match p {
        &Packaged::Parts {
            segment,
            part,
            ref parts,
        } => (segment, part, &parts[..]),
        _ => unreachable!(),
    };
    out.iter().filter(|p| part(p)).map(fields).collect()
}

pub(super) fn opened(out: &[Packaged]) -> Vec<(u64, u64, bool, u32)> {
    let one = |p: &_| match *p {
        Packaged::Opened {
            segment,
            start,
            discontinuity,
            init,
        } => Some((segment, start - ANCHOR, discontinuity, init)),
        _ => None,
    };
    out.iter().filter_map(one).collect()
}

pub(super) fn notices(out: &[Packaged]) -> Vec<&str> {
    let one = |p: &'_ Packaged| matches!(p, Packaged::Notice(_));
    out.iter()
        .filter(|p| one(p))
        .map(|p| {
            if let Packaged::Notice(n) = p {
                &**n
            } else {
                ""
            }
        })
        .collect()
}

#[test]
fn thirty_frames_a_second_make_ten_parts_of_six_frames_a_segment() {
    for known in [true, false] {
        let out = run(&mut packager(both((30, 1))), &seconds(6, 30, 60, known));
        assert_eq!(
            opened(&out),
            [
                (0, 0, false, 0),
                (1, 2_000_000, false, 0),
                (2, 4_000_000, false, 0)
            ]
        );
        let made = parts(&out);
        assert_eq!(made.len(), 30);
        for (n, (segment, part, parts)) in made.iter().enumerate() {
            assert_eq!((*segment, *part), (n as u64 / 10, n as u32 % 10));
            let (sequence, trafs) = read::part(&parts[0].data);
            assert_eq!(sequence, n as u32 + 1);
            assert_eq!(trafs[0].samples.len(), 6);
            assert_eq!(parts[0].duration, 200_000);
            assert_eq!(parts[0].independent, part % 10 == 0);
            assert!(
                parts[1].independent && parts[1].duration <= 215_334,
                "{}",
                parts[1].duration
            );
        }
    }
}

#[test]
fn a_part_of_known_durations_is_made_with_its_last_frame_and_one_of_unknown_with_the_next() {
    let video_only = Format {
        renditions: vec![rendition("source", &[VIDEO])],
        ..both((30, 1))
    };
    for (known, frames) in [(true, 60 + 6), (false, 60 + 7)] {
        let mut packager = packager(video_only.clone());
        let samples: Vec<_> = seconds(4, 30, 60, known)
            .into_iter()
            .filter(|s| s.track == VIDEO)
            .collect();
        let mut made = 0;
        for (n, s) in samples.iter().enumerate() {
            made += parts(&packager.handle(Event::Sample(s.clone()), ANCHOR)).len();
            if made == 11 {
                assert_eq!(n + 1, frames);
                break;
            }
        }
    }
}

#[test]
fn part_targets_are_whole_frames_near_200_ms_and_2_ms() {
    for (rate, target) in [
        ((30, 1), 202_001),
        ((25, 1), 202_001),
        ((24, 1), 210_334),
        ((30_000, 1001), 202_201),
        ((60, 1), 202_001),
        ((15, 1), 202_001),
        ((5, 1), 202_001),
        ((1, 1), 1_002_001),
        ((0, 0), 202_001),
        ((90_000, 1), 202_001),
    ] {
        let out = run(&mut packager(both(rate)), &seconds(3, 30, 30, true));
        let Some(Packaged::Renditions { renditions, .. }) = out.first() else {
            panic!("{out:?}")
        };
        assert_eq!(renditions[0].part_target, target, "{rate:?}");
        let frames = f64::from(renditions[1].part_target - 2_001) * 48.0 / 1_024_000.0;
        assert!(
            (frames - frames.round()).abs() < 0.001,
            "the sound's target is whole frames: {frames}"
        );
    }
}

#[test]
fn key_frames_closer_than_the_target_do_not_all_cut_and_none_exceeds_four_seconds() {
    for (gop, lengths) in [
        (30, 2_000_000),
        (45, 3_000_000),
        (57, 3_800_000),
        (90, 3_000_000),
        (120, 4_000_000),
    ] {
        let out = run(&mut packager(both((30, 1))), &seconds(40, 30, gop, false));
        let starts: Vec<_> = opened(&out).iter().map(|s| s.1).collect();
        let lengths_seen: Vec<_> = starts.windows(2).map(|w| w[1] - w[0]).collect();
        assert!(
            lengths_seen.iter().all(|l| *l <= 4_000_000),
            "{gop}: {lengths_seen:?}"
        );
        assert!(
            lengths_seen.iter().skip(4).all(|l| *l == lengths),
            "{gop}: {lengths_seen:?}"
        );
    }
}

#[test]
fn sound_alone_is_cut_in_whole_frames() {
    let format = Format {
        tracks: vec![audio()],
        renditions: vec![rendition("audio", &[AUDIO])],
        leader: AUDIO,
    };
    let samples: Vec<_> = seconds(10, 30, 60, true)
        .into_iter()
        .filter(|s| s.track == AUDIO)
        .collect();
    let out = run(&mut packager(format), &samples);
    let made = parts(&out);
    let counts: Vec<_> = made
        .iter()
        .map(|(.., p)| read::part(&p[0].data).1[0].samples.len())
        .collect();
    assert_eq!(counts.iter().sum::<usize>(), samples.len());
    assert!(counts.iter().all(|c| *c <= 9));
    assert!(
        opened(&out)
            .windows(2)
            .all(|w| (1_980_000..=2_020_000).contains(&(w[1].1 - w[0].1)))
    );
}

#[test]
fn picture_alone_works() {
    let format = Format {
        tracks: vec![video((25, 1))],
        renditions: vec![rendition("source", &[VIDEO])],
        leader: VIDEO,
    };
    let samples: Vec<_> = seconds(4, 25, 50, false)
        .into_iter()
        .filter(|s| s.track == VIDEO)
        .collect();
    let out = run(&mut packager(format), &samples);
    assert_eq!(parts(&out).len(), 20);
}

#[test]
fn a_gap_that_grows_suddenly_ends_the_segment_at_the_target_duration() {
    let mut packager = packager(both((30, 1)));
    let mut out = feed(&mut packager, &seconds(11, 30, 30, true));
    // Key frames each second, the last at 10 s inside of a segment, and then none for 8 s.
    let later = |s: Sample, ticks: i64| Sample {
        dts: s.dts + ticks,
        pts: s.pts + ticks,
        key: s.track == AUDIO,
        ..s
    };
    for s in seconds(8, 30, 1, true) {
        let ticks = 11 * if s.track == AUDIO { 48_000 } else { 90_000 };
        let s = later(s, ticks);
        out.extend(packager.handle(Event::Sample(s.clone()), ANCHOR + micros(&s) as u64));
    }
    let starts: Vec<_> = opened(&out).iter().map(|s| s.1).collect();
    assert!(
        starts.windows(2).all(|w| w[1] - w[0] < 4_500_000),
        "{starts:?}"
    );
    assert!(*starts.last().unwrap() > 14_000_000, "{starts:?}");
    assert!(opened(&out).iter().all(|s| !s.2), "nothing is lost for it");
}

#[test]
fn renditions_of_other_frame_rates_keep_the_rules_at_the_same_cuts() {
    for (rate, frames, rounded) in [(30, 6, true), (30, 6, false), (15, 3, true), (10, 2, false)] {
        let mut format = both((30, 1));
        let Kind::Video { frame_rate, .. } = &mut format.tracks[0].kind else {
            unreachable!()
        };
        *frame_rate = (30, 1);
        format.tracks.push(Track {
            id: 2,
            ..video((rate as u32, 1))
        });
        format.renditions.push(rendition("small", &[2, AUDIO]));
        let round = |ticks: i64| {
            if rounded {
                (ticks + 45) / 90 * 90
            } else {
                ticks
            }
        };
        let small =
            (0..8 * rate).map(|n| sample(2, round(n * 90_000 / rate), 0, n % (2 * rate) == 0, 20));
        let samples = seconds(8, 30, 60, false)
            .into_iter()
            .map(|s| match s.track {
                VIDEO => Sample {
                    dts: round(s.dts),
                    pts: round(s.pts),
                    ..s
                },
                _ => s,
            });
        let out = run(&mut packager(format), &in_order(samples.chain(small)));
        let Some(Packaged::Renditions { renditions, .. }) = out.first() else {
            panic!("{out:?}")
        };
        assert_eq!(renditions.len(), 3);
        for (_, part, parts) in parts(&out) {
            for (one, rendition) in parts.iter().zip(renditions) {
                let (duration, target) =
                    (u64::from(one.duration), u64::from(rendition.part_target));
                assert!(duration <= target, "{rate}: {duration} of {target}");
                assert!(
                    one.independent || duration * 100 >= target * 85,
                    "{rate}: {duration} of {target}"
                );
            }
            let (_, trafs) = read::part(&parts[2].data);
            assert_eq!(trafs[0].samples.len(), frames);
            assert_eq!(parts[2].independent, part == 0);
        }
        assert_eq!(opened(&out).len(), 4);
    }
}
