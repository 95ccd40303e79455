//! Changes in mid-stream, and what is refused.

use super::{
    sample::*,
    steady::{notices, opened, parts},
};
use crate::ingest::media::*;
use crate::package::{Numbers, Packaged, Packager, Settings};

#[test]
fn another_format_closes_the_segment_and_takes_a_new_init_number_only_for_other_bytes() {
    let mut packager = packager(both((30, 1)));
    let first = seconds(3, 30, 60, false);
    let mut out = feed(&mut packager, &first);
    let later = |format: Format, packager: &mut Packager, offset: i64| {
        let mut out = packager.handle(Event::Format(format), ANCHOR);
        out.extend(packager.handle(Event::Anchor { at: ANCHOR }, ANCHOR));
        let shifted: Vec<_> = first
            .iter()
            .map(|s| {
                let ticks = offset * if s.track == AUDIO { 48_000 } else { 90_000 };
                Sample {
                    dts: s.dts + ticks,
                    pts: s.pts + ticks,
                    ..s.clone()
                }
            })
            .collect();
        out.extend(feed(packager, &shifted));
        out
    };
    out.extend(later(both((30, 1)), &mut packager, 10));
    let mut wide = both((30, 1));
    wide.tracks[0].kind = Kind::Video {
        width: 640,
        height: 360,
        frame_rate: (30, 1),
    };
    out.extend(later(wide, &mut packager, 20));
    assert_eq!(
        opened(&out),
        [
            (0, 0, false, 0),
            (1, 2_000_000, false, 0),
            (2, 10_000_000, true, 0),
            (3, 12_000_000, false, 0),
            (4, 20_000_000, true, 1),
            (5, 22_000_000, false, 1)
        ]
    );
    let closed = out
        .iter()
        .filter(|p| matches!(p, Packaged::Closed { .. }))
        .count();
    assert_eq!(closed, 5, "all but the last");
    // Nothing of the first second of the open segment is lost: 5 parts of segment 1.
    assert_eq!(
        parts(&out)
            .iter()
            .filter(|(segment, ..)| *segment == 1)
            .count(),
        5
    );
}

#[test]
fn a_jump_of_more_than_a_second_is_a_discontinuity_and_waits_for_a_key_frame() {
    let mut packager = packager(both((30, 1)));
    let mut out = feed(&mut packager, &seconds(1, 30, 60, true));
    for n in 100..240 {
        out.extend(packager.handle(
            Event::Sample(sample(VIDEO, n * 3000, 3000, n % 60 == 0, 9)),
            ANCHOR,
        ));
        out.extend(packager.handle(
            Event::Sample(sample(AUDIO, n * 1600, 1600, true, 9)),
            ANCHOR,
        ));
    }
    assert_eq!(
        opened(&out)[..2],
        [(0, 0, false, 0), (1, 4_000_000, true, 0)]
    );
}

#[test]
fn numbers_go_on_where_they_are_told_to() {
    let numbers = Numbers {
        segment: 900,
        init: 7,
        discontinuity: true,
    };
    let mut packager = Packager::new(Settings::default(), numbers);
    packager.handle(Event::Format(both((30, 1))), ANCHOR);
    packager.handle(Event::Anchor { at: ANCHOR }, ANCHOR);
    let out = run(&mut packager, &seconds(3, 30, 60, true));
    assert_eq!(
        opened(&out),
        [(900, 0, true, 7), (901, 2_000_000, false, 7)]
    );
    assert_eq!(out.last(), Some(&Packaged::End));
}

#[test]
fn a_part_above_the_limit_refuses_its_rendition_and_leaves_the_others() {
    let mut samples = seconds(6, 30, 60, true);
    let big = samples.iter_mut().find(|s| s.track == VIDEO).unwrap();
    big.data = vec![0; 1_100_000].into();
    let mut format = both((30, 1));
    format.tracks[0].bit_rate = 50_000_000;
    let out = run(&mut packager(format.clone()), &samples);
    assert!(
        notices(&out)[0].starts_with("rendition source refused: a part of 1100"),
        "{:?}",
        notices(&out)
    );
    assert!(notices(&out)[0].ends_with("kbit/s or less"));
    assert_eq!(parts(&out).len(), 30);
    assert!(parts(&out).iter().all(|(.., parts)| parts.len() == 1));
    assert_eq!(opened(&out).len(), 3);

    // Later in a segment: the sound goes on behind a discontinuity from the next key frame.
    let mut samples = seconds(6, 30, 60, true);
    samples
        .iter_mut()
        .find(|s| s.track == VIDEO && s.dts == 90_000)
        .unwrap()
        .data = vec![0; 1_100_000].into();
    let out = run(&mut packager(format), &samples);
    assert_eq!(
        opened(&out),
        [
            (0, 0, false, 0),
            (1, 2_000_000, true, 1),
            (2, 4_000_000, false, 1)
        ]
    );
    assert_eq!(
        parts(&out)
            .iter()
            .filter(|(.., parts)| parts.len() == 2)
            .count(),
        5
    );
}

#[test]
fn what_has_no_place_in_a_part_is_refused_by_its_name() {
    let mut format = both((30, 1));
    format.tracks[1].codec = Codec::Other {
        name: "pcm_s16le".into(),
        extradata: Default::default(),
        hints: Default::default(),
    };
    format.renditions.push(rendition("silent", &[VIDEO]));
    let out = run(&mut packager(format), &seconds(3, 30, 60, true));
    assert!(
        notices(&out)[0].contains("source") && notices(&out)[0].contains("pcm_s16le"),
        "{:?}",
        notices(&out)
    );
    let Some(Packaged::Renditions { renditions, .. }) = out
        .iter()
        .find(|p| matches!(p, Packaged::Renditions { .. }))
    else {
        panic!("{out:?}")
    };
    assert_eq!(
        renditions.iter().map(|r| &*r.id).collect::<Vec<_>>(),
        ["silent"]
    );
}
