//! Each limit: what just fits is taken, one more is refused.

use meshlive_protocol::{
    manifest::{self, *},
    part::MAX_PART_BYTES,
};

use crate::common::{NINE, Publisher, closed, key, part_of, rendition};

fn open(envelope: &[u8]) -> Result<Opened, Rejected> {
    manifest::open(&key().name(), envelope)
}

#[test]
fn news_renditions_parts_and_inits_are_counted() {
    let mut publisher = Publisher::new(Settings {
        target_duration: 60,
        ..Settings::default()
    });
    publisher.renditions(1);
    for at in 1..MAX_RENDITIONS {
        publisher.publish(vec![News::Rendition(rendition(
            &format!("r{at}"),
            Tracks::Video,
        ))]);
    }
    let mut full = publisher.manifest.clone();
    let more = publisher.next(vec![News::Rendition(rendition("more", Tracks::Video))]);
    assert!(
        full.apply(&more)
            .unwrap_err()
            .to_string()
            .contains("renditions is 17, at most 16")
    );

    publisher.publish(vec![crate::common::segment(100)]);
    publisher.publish((0..256).map(|part| part_of(0, 100, part)).collect());
    let more = publisher.next(vec![part_of(0, 100, 256)]);
    assert!(full_error(&publisher, &more).contains("parts of a segment is 257, at most 256"));

    let inits =
        |range: std::ops::Range<u32>| range.map(|number| crate::common::init(0, number)).collect();
    let most = publisher.next(inits(1..MAX_INITS as u32));
    assert!(publisher.manifest.clone().apply(&most).is_ok());
    let more = publisher.next(inits(1..MAX_INITS as u32 + 1));
    assert!(full_error(&publisher, &more).contains("init segments is 33, at most 32"));

    let ends = |count| publisher.next(vec![News::End; count]);
    assert!(publisher.manifest.clone().apply(&ends(MAX_NEWS)).is_ok());
    assert!(full_error(&publisher, &ends(MAX_NEWS + 1)).contains("news is 513"));
    assert!(open(&manifest::sign_announcement(&key(), &ends(MAX_NEWS))).is_ok());
    assert!(open(&manifest::sign_announcement(&key(), &ends(MAX_NEWS + 1))).is_err());
}

fn full_error(publisher: &Publisher, announcement: &Announcement) -> String {
    publisher
        .manifest
        .clone()
        .apply(announcement)
        .expect_err("beyond a limit")
        .to_string()
}

/// A publisher that flaps its format with every segment, at the longest window and the shortest segments.
#[test]
fn the_fullest_window_stays_within_its_limits_and_can_be_signed() {
    let mut publisher = Publisher::new(Settings {
        window: MAX_WINDOW_MICROS,
        ..Settings::default()
    });
    publisher.renditions(1);
    for at in 0..600u64 {
        let msn = 100 + at;
        let begin = News::Segment {
            msn,
            start: NINE,
            discontinuity: false,
            init: 0,
        };
        publisher.publish(vec![begin, part_of(0, msn, 0), closed(0, msn, 1)]);
    }
    assert_eq!(publisher.manifest.segments().len(), MAX_SEGMENTS);
    for number in 1..=100u32 {
        let msn = 699 + u64::from(number);
        let begin = News::Segment {
            msn,
            start: NINE,
            discontinuity: true,
            init: number,
        };
        publisher.publish(vec![
            crate::common::init(0, number),
            begin,
            part_of(0, msn, 0),
            closed(0, msn, 1),
        ]);
    }
    assert_eq!(
        publisher.manifest.renditions()[0].inits.len(),
        MAX_INITS - 1
    );
    let opened = open(&manifest::sign_manifest(&key(), &publisher.manifest));
    assert_eq!(opened, Ok(Opened::Manifest(publisher.manifest)));
}

#[test]
fn as_many_parts_as_a_window_may_hold() {
    let mut publisher = Publisher::new(Settings {
        window: MAX_WINDOW_MICROS,
        target_duration: 60,
        hold_back: 0,
    });
    publisher.renditions(1);
    for at in 1..MAX_RENDITIONS as u8 {
        let rendition = rendition(&format!("r{at}"), Tracks::Video);
        publisher.publish(vec![News::Rendition(rendition), crate::common::init(at, 0)]);
    }
    let parts = 250;
    for msn in 100..110 {
        publisher.publish(vec![crate::common::segment(msn)]);
        for rendition in 0..MAX_RENDITIONS as u8 {
            let parts = (0..parts).map(|part| match part_of(rendition, msn, part) {
                // Half as long, so that parts and not time fill the window.
                News::Part {
                    rendition,
                    msn,
                    part,
                    cid,
                    size,
                    independent,
                    ..
                } => News::Part {
                    rendition,
                    msn,
                    part,
                    cid,
                    size,
                    duration: 100_000,
                    independent,
                },
                other => other,
            });
            publisher.publish(parts.chain([closed(rendition, msn, 250)]).collect());
        }
    }
    let count = |manifest: &Manifest| -> usize {
        manifest
            .segments()
            .map(|segment| {
                (0..MAX_RENDITIONS)
                    .map(|at| segment.parts(at).len())
                    .sum::<usize>()
            })
            .sum()
    };
    let held = count(&publisher.manifest);
    assert!(
        held <= MAX_PARTS && held > MAX_PARTS - MAX_RENDITIONS * 256,
        "{held}"
    );
    let envelope = manifest::sign_manifest(&key(), &publisher.manifest);
    assert!(
        envelope.len() <= MAX_MANIFEST_BYTES + MAX_ENVELOPE_OVERHEAD,
        "{}",
        envelope.len()
    );
    assert_eq!(open(&envelope), Ok(Opened::Manifest(publisher.manifest)));
}

/// Architecture §3: about 200 bytes for one rendition, about 700 for four.
#[test]
fn announcements_are_small() {
    let size = |renditions: u8| {
        let news = (0..renditions).map(|rendition| {
            let mut news = part_of(rendition, 1 << 33, 9);
            if let News::Part { size, .. } = &mut news {
                *size = MAX_PART_BYTES as u32;
            }
            news
        });
        let announcement = Announcement {
            epoch: 1 << 31,
            sequence: 1 << 31,
            clock: NINE,
            news: news.collect(),
        };
        manifest::sign_announcement(&key(), &announcement).len()
    };
    assert!(size(1) <= 210, "{}", size(1));
    assert!(size(4) <= 700, "{}", size(4));
}

#[test]
fn the_last_number_of_all_can_be_used_once() {
    let mut publisher = Publisher::new(Settings::default());
    publisher.renditions(1);
    let last = |msn| News::Segment {
        msn,
        start: MAX_NUMBER,
        discontinuity: false,
        init: 0,
    };
    publisher.publish(vec![last(MAX_NUMBER - 1), part_of(0, MAX_NUMBER - 1, 0)]);
    assert!(
        full_error(&publisher, &publisher.next(vec![last(MAX_NUMBER)])).contains("beyond 2^53 - 1")
    );
    let envelope = manifest::sign_manifest(&key(), &publisher.manifest);
    assert_eq!(open(&envelope), Ok(Opened::Manifest(publisher.manifest)));
}
