//! Hostile input at each limit: one below is taken, one above is refused, and nothing of its size is allocated.

use meshlive_protocol::{
    manifest::{self, *},
    name::StreamName,
    part::MAX_PART_BYTES,
};

use crate::common::{NINE, Publisher, closed, key, part_of, rendition, seal, stream};

fn open(envelope: &[u8]) -> Result<Opened, Rejected> {
    manifest::open(&key().name(), envelope)
}

#[test]
fn every_cut_and_every_flipped_bit_of_an_envelope_is_refused() {
    let publisher = stream(14);
    let good = manifest::sign_announcement(&key(), &publisher.announcements[2]);
    assert!(open(&good).is_ok());
    for length in 0..good.len() {
        assert!(open(&good[..length]).is_err(), "cut to {length}");
    }
    for at in 0..good.len() {
        for bit in 0..8 {
            let mut bad = good.clone();
            bad[at] ^= 1 << bit;
            assert!(open(&bad).is_err(), "bit {bit} of byte {at}");
        }
    }
    assert!(open(&[good.as_slice(), &[0]].concat()).is_err());
}

#[test]
fn every_cut_of_a_well_signed_payload_is_refused() {
    let publisher = stream(14);
    for (kind, envelope) in [
        (
            ANNOUNCEMENT_TYPE,
            manifest::sign_announcement(&key(), &publisher.announcements[0]),
        ),
        (
            MANIFEST_TYPE,
            manifest::sign_manifest(&key(), &publisher.manifest),
        ),
    ] {
        let payload = crate::common::payload(&envelope);
        assert!(open(&seal(kind, &payload)).is_ok());
        // Signing is slow without optimisation: every 7th length of the long one.
        for length in (0..payload.len()).step_by(1 + payload.len() / 300) {
            assert!(
                open(&seal(kind, &payload[..length])).is_err(),
                "cut to {length}"
            );
        }
        assert!(open(&seal(kind, &[payload.as_slice(), &[0]].concat())).is_err());
    }
}

#[test]
fn payloads_are_bounded_before_the_signature_is_checked() {
    for (kind, max) in [
        (ANNOUNCEMENT_TYPE, MAX_ANNOUNCEMENT_BYTES),
        (MANIFEST_TYPE, MAX_MANIFEST_BYTES),
    ] {
        let refused = open(&seal(kind, &vec![0; max + 1]));
        let (value, max_value) = (max as u64 + 1, max as u64);
        assert_eq!(
            refused,
            Err(Rejected::TooBig {
                what: "payload bytes",
                value,
                max: max_value
            })
        );
        assert!(matches!(
            open(&seal(kind, &vec![0; max])),
            Err(Rejected::Malformed(_))
        ));
    }
    assert_eq!(open(&seal(b"/ml/z", b"x")), Err(Rejected::UnknownType));
    assert_eq!(open(&seal(&[b'x'; 17], b"x")), Err(Rejected::UnknownType));
}

#[test]
fn lengths_that_are_only_claimed_are_refused() {
    // [null, 1, 1, 1, [ 2^64 - 1 news
    let news = [&[0x85, 0xf6, 1, 1, 1, 0x9b][..], &[0xff; 8]].concat();
    let refused = open(&seal(ANNOUNCEMENT_TYPE, &news));
    assert_eq!(
        refused,
        Err(Rejected::TooBig {
            what: "news",
            value: u64::MAX,
            max: MAX_NEWS as u64
        })
    );
    // A manifest with 2^32 - 1 segments.
    let head = [0x8c, 0xf6, 1, 1, 1, 1, 6, 1, 0xf4, 0, 0, 0x80];
    let segments = [&head[..], &[0x9a, 0xff, 0xff, 0xff, 0xff]].concat();
    let max = MAX_SEGMENTS as u64;
    let refused = open(&seal(MANIFEST_TYPE, &segments));
    assert_eq!(
        refused,
        Err(Rejected::TooBig {
            what: "segments",
            value: u64::from(u32::MAX),
            max
        })
    );
    assert!(
        open(&seal(MANIFEST_TYPE, &[&head[..], &[0x80]].concat())).is_ok(),
        "the head itself is good"
    );
}

#[test]
fn one_form_only() {
    let good = [0x85, 0xf6, 1, 1, 1, 0x81, 0x81, 5];
    assert!(open(&seal(ANNOUNCEMENT_TYPE, &good)).is_ok());
    let same_but = |bytes: &[u8]| {
        open(&seal(ANNOUNCEMENT_TYPE, bytes))
            .expect_err("not canonical")
            .to_string()
    };
    assert!(same_but(&[0x85, 0xf6, 0x18, 1, 1, 1, 0x81, 0x81, 5]).contains("shortest form"));
    assert!(same_but(&[0x9f, 0xf6, 1, 1, 1, 0x81, 0x81, 5, 0xff]).contains("without a length"));
    assert!(same_but(&[0x85, 0xf5, 1, 1, 1, 0x81, 0x81, 5]).contains("reserved field"));
    assert!(same_but(&[0x85, 0xf6, 0x21, 1, 1, 0x81, 0x81, 5]).contains("wrong type"));
    assert!(same_but(&[0x85, 0xf6, 1, 1, 1, 0x81, 0x82, 5, 0]).contains("wrong length"));
    assert!(same_but(&[0x85, 0xf6, 1, 1, 1, 0x81, 0x80]).contains("empty news"));
    assert!(same_but(&[0x85, 0xf6, 1, 1, 1, 0x81, 0x81, 7]).contains("kind of news"));
    let beyond = [
        &[0x85, 0xf6, 0x1b][..],
        &(MAX_NUMBER + 1).to_be_bytes(),
        &[1, 1, 0x80],
    ]
    .concat();
    assert!(same_but(&beyond).contains("epoch"));
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
            .contains("no more than 16")
    );

    publisher.publish(vec![crate::common::segment(100)]);
    publisher.publish((0..256).map(|part| part_of(0, 100, part)).collect());
    let more = publisher.next(vec![part_of(0, 100, 256)]);
    assert!(full_error(&publisher, &more).contains("no more than 256"));

    let inits =
        |range: std::ops::Range<u32>| range.map(|number| crate::common::init(0, number)).collect();
    let most = publisher.next(inits(1..MAX_INITS as u32));
    assert!(publisher.manifest.clone().apply(&most).is_ok());
    let more = publisher.next(inits(1..MAX_INITS as u32 + 1));
    assert!(full_error(&publisher, &more).contains("no more than 32"));

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
fn names_that_are_none() {
    let good = key().name().to_string();
    assert!(good.parse::<StreamName>().is_ok());
    let upper = good.to_uppercase();
    let long = "k".repeat(10_000);
    let peer_id = "12D3KooWRm8J3iL796zPFi2EtGGtUJn58AG67gcRjmcqZnQiT7PE";
    let zeros = format!("k{}", "0".repeat(61));
    let shorter = &good[..61];
    for bad in [
        "",
        "k",
        &upper,
        &long,
        shorter,
        peer_id,
        &zeros,
        "../../etc/passwd",
        &"ä".repeat(31),
    ] {
        let error = bad.parse::<StreamName>().expect_err(bad).to_string();
        assert!(
            error.contains("is not a stream name") && error.len() < 400,
            "{error}"
        );
    }
    for at in 0..good.len() {
        let mut bad = good.clone().into_bytes();
        bad[at] = b'K';
        assert!(
            String::from_utf8(bad)
                .unwrap()
                .parse::<StreamName>()
                .is_err()
        );
    }
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
