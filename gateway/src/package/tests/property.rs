//! Whatever comes in: nothing lost, nothing doubled, parts within their bounds.

use proptest::prelude::*;

use super::{read, sample::*};
use crate::ingest::media::*;
use crate::package::Packaged;

#[derive(Clone, Debug)]
struct Shape {
    fps: i64,
    gop: i64,
    frames: i64,
    known: bool,
    /// Timestamps rounded to milliseconds.
    rounded: bool,
    /// Frames left out, by their index.
    dropped: Vec<i64>,
    /// The sound arrives this much later, µs.
    late: i64,
}

fn shape() -> impl Strategy<Value = Shape> {
    let rates = prop::sample::select(vec![5i64, 10, 15, 24, 25, 30, 50, 60]);
    let dropped = prop::collection::vec(1..300i64, 0..6);
    (
        rates,
        10..130i64,
        60..400i64,
        any::<bool>(),
        any::<bool>(),
        dropped,
        -400_000..700_000i64,
    )
        .prop_map(|(fps, gop, frames, known, rounded, dropped, late)| Shape {
            fps,
            gop: gop.min(4 * fps),
            frames,
            known: known && !rounded,
            rounded,
            dropped,
            late,
        })
}

fn samples(shape: &Shape) -> Vec<Sample> {
    let round = |ticks: i64| {
        if shape.rounded {
            (ticks + 45) / 90 * 90
        } else {
            ticks
        }
    };
    let step = 90_000 / shape.fps;
    let video = (0..shape.frames)
        .filter(|n| n % shape.gop == 0 || !shape.dropped.contains(n))
        .map(|n| {
            sample(
                VIDEO,
                round(n * step),
                if shape.known { step as u32 } else { 0 },
                n % shape.gop == 0,
                30,
            )
        });
    let end = shape.frames * step;
    let audio = (0..end * 48_000 / 90_000 / 1024).map(|n| sample(AUDIO, n * 1024, 1024, true, 7));
    let mut all = in_order(video.chain(audio));
    all.sort_by_key(|s| micros(s) + if s.track == AUDIO { shape.late } else { 0 });
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn parts_hold_the_rules(shape in shape()) {
        let samples = samples(&shape);
        let mut packager = packager(both((shape.fps as u32, 1)));
        let at = |s: &Sample| ANCHOR + (micros(s) + if s.track == AUDIO { shape.late } else { 0 }).max(0) as u64;
        let mut out: Vec<_> = samples.iter().flat_map(|s| packager.handle(Event::Sample(s.clone()), at(s))).collect();
        out.extend(packager.handle(Event::End, ANCHOR));

        let mut targets = Vec::new();
        let mut frames = [Vec::new(), Vec::new()];
        let mut next = (0, 0);
        let mut sequence = 0;
        for (n, p) in out.iter().enumerate() {
            match p {
                Packaged::Renditions { number, renditions } => {
                    prop_assert_eq!(*number, 0);
                    targets = renditions.iter().map(|r| r.part_target).collect();
                }
                Packaged::Opened { segment, discontinuity, .. } => {
                    prop_assert!(!discontinuity);
                    prop_assert_eq!(*segment, next.0);
                    next = (*segment, 0);
                }
                Packaged::Closed { segment } => {
                    prop_assert_eq!(*segment, next.0);
                    prop_assert!(next.1 > 0, "a segment has a part");
                    next = (segment + 1, 0);
                }
                Packaged::Parts { segment, part, parts } => {
                    prop_assert_eq!((*segment, *part), next);
                    next.1 += 1;
                    let last = matches!(out.get(n + 1), Some(Packaged::Closed { .. }));
                    for (part_of, target) in parts.iter().zip(&targets) {
                        prop_assert!(part_of.duration <= *target, "{} above {}", part_of.duration, target);
                        if shape.dropped.is_empty() && !last && !part_of.independent {
                            prop_assert!(u64::from(part_of.duration) * 100 >= u64::from(*target) * 85,
                                "{} below 85 % of {}", part_of.duration, target);
                        }
                    }
                    let (number, trafs) = read::part(&parts[0].data);
                    prop_assert!(number > sequence);
                    sequence = number;
                    if *part == 0 {
                        prop_assert!(parts[0].independent && trafs[0].samples[0].1, "starts with a key frame");
                    }
                    for traf in trafs {
                        let lane = &mut frames[traf.track as usize - 1];
                        let mut dts = traf.tfdt;
                        for (duration, _, _, data) in traf.samples {
                            lane.push((dts, data));
                            dts += u64::from(duration);
                        }
                    }
                }
                Packaged::End => prop_assert_eq!(n + 1, out.len()),
                other => prop_assert!(false, "{other:?}"),
            }
        }
        // Every frame once, in order, at its own time. What the sound has beyond the last picture belongs to nothing.
        for (track, seen) in [(VIDEO, &frames[0]), (AUDIO, &frames[1])] {
            let sent: Vec<_> = samples.iter().filter(|s| s.track == track).collect();
            prop_assert!(seen.len() <= sent.len());
            prop_assert!(sent.len() - seen.len() <= if track == VIDEO { 0 } else { 12 }, "{} of {}", seen.len(), sent.len());
            for (s, (dts, data)) in sent.iter().zip(seen) {
                prop_assert_eq!(s.dts as u64, *dts);
                prop_assert_eq!(&s.data[..], &data[..]);
            }
        }
    }
}
