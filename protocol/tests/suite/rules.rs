//! Each rule by which news changes the window (README §4), kept and broken. What is rejected changes nothing.

use meshlive_protocol::{
    dag,
    manifest::{self, Announcement, News, Rejected, Settings},
};

use crate::common::{EPOCH, NINE, Publisher, closed, init, key, part_of, segment, stream};

/// Three renditions, segment 100 closed, segment 101 with four parts.
pub(crate) fn some() -> Publisher {
    stream(14)
}

#[track_caller]
pub(crate) fn refuses(publisher: &Publisher, news: News, why: &str) {
    let before = publisher.manifest.clone();
    let mut manifest = before.clone();
    // A good news goes before, so that half an announcement would show.
    let error = manifest
        .apply(&publisher.next(vec![part_of(0, 101, 4), news]))
        .unwrap_err();
    assert!(
        error.to_string().contains(why),
        "{error} should say {why:?}"
    );
    assert_eq!(manifest, before);
}

#[test]
fn parts_come_in_order() {
    let publisher = some();
    refuses(&publisher, part_of(0, 101, 4), "its number is not the next");
    refuses(&publisher, part_of(0, 101, 6), "its number is not the next");
    refuses(&publisher, part_of(0, 100, 10), "its segment is closed");
    refuses(
        &publisher,
        part_of(0, 102, 0),
        "its segment is not in the window",
    );
    refuses(
        &publisher,
        part_of(0, 99, 0),
        "its segment is not in the window",
    );
    refuses(&publisher, part_of(3, 101, 0), "it was not announced");
    assert!(
        publisher
            .manifest
            .clone()
            .apply(&publisher.next(vec![part_of(0, 101, 4)]))
            .is_ok()
    );
}

#[test]
fn a_rendition_closes_a_segment_before_it_begins_the_next() {
    let mut publisher = some();
    publisher.publish(vec![segment(102)]);
    refuses(&publisher, part_of(1, 102, 0), "is not closed");
    publisher.publish(vec![closed(1, 101, 4), part_of(1, 102, 0)]);
    refuses(&publisher, part_of(1, 101, 4), "its segment is closed");
    // Another rendition may still be behind.
    publisher.publish(vec![part_of(2, 101, 4)]);
}

#[test]
fn a_part_is_a_raw_block_that_fits() {
    let publisher = some();
    let with = |change: &dyn Fn(&mut News)| {
        let mut news = part_of(1, 101, 4);
        change(&mut news);
        news
    };
    let sized = |bytes| {
        with(&|news| {
            if let News::Part { size, .. } = news {
                *size = bytes
            }
        })
    };
    let lasting = |micros| {
        with(&|news| {
            if let News::Part { duration, .. } = news {
                *duration = micros
            }
        })
    };
    let file = dag::segment_file(&[]).0;
    refuses(
        &publisher,
        with(&|news| {
            if let News::Part { cid, .. } = news {
                *cid = file
            }
        }),
        "not a raw block",
    );
    refuses(&publisher, sized(0), "not a raw block");
    refuses(&publisher, sized(1024 * 1024 + 1), "not a raw block");
    refuses(
        &publisher,
        lasting(0),
        "its duration is 0 or above the part target",
    );
    refuses(
        &publisher,
        lasting(202_001),
        "its duration is 0 or above the part target",
    );
    for good in [sized(1), sized(1024 * 1024), lasting(1), lasting(202_000)] {
        assert!(
            publisher
                .manifest
                .clone()
                .apply(&publisher.next(vec![good]))
                .is_ok()
        );
    }
}

#[test]
fn a_segment_is_at_most_the_target_duration_rounded() {
    let mut publisher = Publisher::new(Settings {
        target_duration: 2,
        ..Settings::default()
    });
    publisher.renditions(1);
    publisher.publish(vec![segment(100)]);
    // 12 parts of 0.2 s are 2.4 s and round to 2; a thirteenth may last until just below 2.5 s.
    for part in 0..12 {
        publisher.publish(vec![part_of(0, 100, part)]);
    }
    for (micros, accepted) in [(100_000, false), (99_999, true)] {
        let mut news = part_of(0, 100, 12);
        if let News::Part { duration, .. } = &mut news {
            *duration = micros;
        }
        assert_eq!(
            publisher
                .manifest
                .clone()
                .apply(&publisher.next(vec![news]))
                .is_ok(),
            accepted,
            "{micros}"
        );
    }
}

#[test]
fn segment_numbers_are_never_used_twice_nor_left_out() {
    let publisher = some();
    for msn in [0, 100, 101, 103] {
        refuses(
            &publisher,
            News::Segment {
                msn,
                start: NINE,
                discontinuity: true,
                init: 0,
            },
            "is not the next",
        );
    }
}

#[test]
fn init_segments_change_at_a_discontinuity_only_and_forward() {
    let mut publisher = some();
    let begin = |discontinuity, init| News::Segment {
        msn: 102,
        start: NINE,
        discontinuity,
        init,
    };
    refuses(
        &publisher,
        begin(false, 1),
        "only a discontinuity changes the init segment",
    );
    refuses(&publisher, init(0, 0), "numbers must go up");
    publisher.publish(vec![
        init(0, 1),
        begin(true, 1),
        closed(0, 101, 4),
        closed(1, 101, 4),
    ]);
    publisher.publish(vec![part_of(0, 102, 0)]);
    let error = publisher
        .manifest
        .clone()
        .apply(&publisher.next(vec![part_of(1, 102, 0)]))
        .unwrap_err();
    assert!(
        error.to_string().contains("its init segment is not known"),
        "{error}"
    );
    let back = News::Segment {
        msn: 103,
        start: NINE,
        discontinuity: true,
        init: 0,
    };
    let error = publisher
        .manifest
        .clone()
        .apply(&publisher.next(vec![back]))
        .unwrap_err();
    assert!(
        error.to_string().contains("its init number goes back"),
        "{error}"
    );
    assert_eq!(publisher.manifest.next_init(), 2);
}

#[test]
fn a_segment_is_closed_with_exactly_its_parts() {
    let mut publisher = some();
    refuses(
        &publisher,
        closed(0, 101, 4),
        "not that of the segment file",
    ); // five parts by then
    refuses(
        &publisher,
        closed(1, 101, 3),
        "not that of the segment file",
    );
    refuses(&publisher, closed(1, 100, 10), "it is closed already");
    refuses(&publisher, closed(1, 102, 0), "it is not in the window");
    publisher.publish(vec![
        closed(0, 101, 4),
        closed(1, 101, 4),
        closed(2, 101, 4),
        segment(102),
    ]);
    let error = publisher
        .manifest
        .clone()
        .apply(&publisher.next(vec![closed(1, 102, 0)]))
        .unwrap_err();
    assert!(error.to_string().contains("it has no parts"), "{error}");
}

#[test]
fn behind_the_end_only_a_discontinuity_goes_on() {
    let mut publisher = some();
    publisher.publish(
        (0..3)
            .map(|rendition| closed(rendition, 101, 4))
            .chain([News::End])
            .collect(),
    );
    assert!(publisher.manifest.ended());
    for news in [segment(102), part_of(0, 101, 4)] {
        assert!(
            publisher
                .manifest
                .clone()
                .apply(&publisher.next(vec![news]))
                .is_err()
        );
    }
    publisher.publish(vec![
        News::Segment {
            msn: 102,
            start: NINE,
            discontinuity: true,
            init: 0,
        },
        part_of(0, 102, 0),
    ]);
    assert!(!publisher.manifest.ended());
}

#[test]
fn epoch_and_sequence_are_strictly_ordered() {
    let publisher = some();
    let at = |epoch, sequence| Announcement {
        epoch,
        sequence,
        clock: NINE,
        news: Vec::new(),
    };
    let known = (EPOCH, publisher.manifest.sequence());
    let mut manifest = publisher.manifest.clone();
    for got in [
        (known.0, known.1),
        (known.0, 1),
        (known.0, 0),
        (known.0 - 1, known.1 + 1),
        (0, u64::MAX),
    ] {
        assert_eq!(
            manifest.apply(&at(got.0, got.1)),
            Err(Rejected::Old { got, known })
        );
    }
    for got in [
        (known.0, known.1 + 2),
        (known.0 + 1, 1),
        (known.0 + 1, known.1 + 1),
        (u64::MAX, u64::MAX),
    ] {
        assert_eq!(
            manifest.apply(&at(got.0, got.1)),
            Err(Rejected::Gap { got, known })
        );
    }
    assert_eq!(manifest, publisher.manifest);
    assert_eq!(manifest.apply(&at(known.0, known.1 + 1)), Ok(()));
}

#[test]
fn the_window_drops_its_oldest_segments_in_all_who_hold_it() {
    let publisher = stream(40 * 10);
    let manifest = &publisher.manifest;
    // 60 s: thirty segments of 2 s behind the oldest would do without it.
    assert_eq!(
        manifest.segments().next().map(|segment| segment.msn),
        Some(110)
    );
    assert_eq!(manifest.segments().len(), 30);
    assert!(manifest.find_part("source", 109, 0).is_none());
    assert!(manifest.find_part("source", 110, 0).is_some());
    assert_eq!(manifest.latest(), Some((139, 9)));
    let mut trimmed = manifest.clone();
    trimmed.configure(Settings {
        window: 10_000_000,
        ..*manifest.settings()
    });
    assert_eq!(trimmed.segments().len(), 5);
}

#[test]
fn a_shorter_target_duration_waits_until_longer_segments_have_left() {
    let mut publisher = stream(25);
    let short = Settings {
        target_duration: 1,
        ..Settings::default()
    };
    publisher.manifest.configure(short);
    assert_eq!(publisher.manifest.settings().target_duration, 2);
    let envelope = manifest::sign_manifest(&key(), &publisher.manifest);
    assert!(manifest::open(&key().name(), &envelope).is_ok());
    publisher
        .manifest
        .configure(Settings { window: 0, ..short });
    assert_eq!(
        publisher.manifest.settings().target_duration,
        1,
        "1 s is left"
    );
}
