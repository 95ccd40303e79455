//! Whatever is announced, in whatever order: no panic, no bound broken, nobody forked.

use meshlive_protocol::{
    manifest::{self, *},
    playlist::{self, Selection, Skip},
};
use proptest::prelude::*;

use crate::common::{NINE, Publisher, block, closed, init, key, rendition};

/// What a publisher might do next; `Wild` is what none would.
#[derive(Clone, Debug)]
enum Act {
    Rendition(u8),
    Init(u8),
    Segment { discontinuity: bool, new_init: bool },
    Part(u8),
    Close(u8),
    End,
    Withdraw(u8),
    Wild(News),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        1 => (0..4u8).prop_map(Act::Rendition),
        2 => (0..4u8).prop_map(Act::Init),
        3 => (any::<bool>(), any::<bool>())
            .prop_map(|(discontinuity, new_init)| Act::Segment { discontinuity, new_init }),
        9 => (0..4u8).prop_map(Act::Part),
        4 => (0..4u8).prop_map(Act::Close),
        1 => Just(Act::End),
        1 => (0..4u8).prop_map(Act::Withdraw),
        1 => wild().prop_map(Act::Wild),
    ]
}

fn wild() -> impl Strategy<Value = News> {
    let number = prop_oneof![
        0..4u64,
        Just(MAX_NUMBER - 1),
        Just(MAX_NUMBER),
        any::<u64>()
    ];
    let small = prop_oneof![0..4u32, any::<u32>()];
    let tracks = prop_oneof![Just(Tracks::Both), Just(Tracks::Video), Just(Tracks::Audio)];
    prop_oneof![
        (".{0,40}", tracks, ".{0,130}", any::<[u32; 5]>()).prop_map(
            |(id, tracks, codecs, numbers)| {
                let [bandwidth, width, height, frame_rate, part_target] = numbers;
                News::Rendition(Rendition {
                    id,
                    tracks,
                    codecs,
                    bandwidth,
                    width,
                    height,
                    frame_rate,
                    part_target,
                })
            }
        ),
        (any::<u8>(), small.clone(), any::<u32>()).prop_map(|(rendition, number, size)| {
            News::Init {
                rendition,
                number,
                cid: block(9, 9, 9),
                size,
            }
        }),
        (number.clone(), number.clone(), any::<bool>(), small.clone()).prop_map(
            |(msn, start, discontinuity, init)| News::Segment {
                msn,
                start,
                discontinuity,
                init
            }
        ),
        (
            any::<u8>(),
            number.clone(),
            small,
            any::<(u32, u32, bool)>()
        )
            .prop_map(
                |(rendition, msn, part, (size, duration, independent))| News::Part {
                    rendition,
                    msn,
                    part,
                    cid: block(9, 9, 9),
                    size,
                    duration,
                    independent
                }
            ),
        (any::<u8>(), number).prop_map(|(rendition, msn)| News::Closed {
            rendition,
            msn,
            cid: block(9, 9, 9)
        }),
    ]
}

/// The news that `act` stands for in this state.
fn news(manifest: &Manifest, act: &Act) -> News {
    let newest = manifest.segments().next_back();
    let msn = newest.map_or(manifest.next_msn(), |segment| segment.msn);
    let parts =
        |rendition: u8| newest.map_or(0, |segment| segment.parts(rendition.into()).len() as u32);
    let last_init = manifest.next_init().saturating_sub(1);
    match act {
        Act::Rendition(which) => {
            let tracks = [Tracks::Both, Tracks::Video, Tracks::Audio][usize::from(*which) % 3];
            News::Rendition(rendition(&format!("r{which}"), tracks))
        }
        Act::Init(which) => init(*which, last_init),
        Act::Segment {
            discontinuity,
            new_init,
        } => News::Segment {
            msn: manifest.next_msn(),
            start: NINE,
            discontinuity: *discontinuity,
            init: last_init + u32::from(*new_init),
        },
        Act::Part(which) => crate::common::part_of(*which, msn, parts(*which)),
        Act::Close(which) => closed(*which, msn, parts(*which)),
        Act::End => News::End,
        Act::Withdraw(which) => News::Withdrawn { rendition: *which },
        Act::Wild(news) => news.clone(),
    }
}

/// A quarter of the usual number of cases, since each is a whole stream; PROPTEST_CASES scales it.
fn config() -> ProptestConfig {
    let default = ProptestConfig::default();
    ProptestConfig {
        cases: default.cases / 4,
        failure_persistence: None,
        ..default
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_viewer_that_applies_and_one_that_joins_see_the_same(
        acts in prop::collection::vec(prop::collection::vec(act(), 1..5), 1..60),
        window in 0..8_000_000u64,
        join in 0..60usize,
    ) {
        let mut publisher = Publisher::new(Settings { window, ..Settings::default() });
        let mut follower = Follower::new(key().name());
        follower.accept(&manifest::sign_manifest(&key(), &publisher.manifest)).unwrap();
        let mut late = Follower::new(key().name());
        for (at, acts) in acts.iter().enumerate() {
            // Each news in the state that those before it leave.
            let mut scratch = publisher.manifest.clone();
            let mut all = Vec::new();
            for act in acts {
                let news = news(&scratch, act);
                let probe = Announcement {
                    epoch: scratch.epoch(), sequence: scratch.sequence() + 1, clock: NINE, news: vec![news.clone()]
                };
                let accepted = scratch.apply(&probe).is_ok();
                if accepted || matches!(act, Act::Wild(_)) && at % 7 == 0 {
                    all.push(news);
                }
            }
            let announcement = publisher.next(all);
            let before = publisher.manifest.clone();
            if publisher.manifest.apply(&announcement).is_err() {
                prop_assert_eq!(&publisher.manifest, &before);
                continue;
            }
            prop_assert!(publisher.manifest.segments().len() <= MAX_SEGMENTS);
            let envelope = manifest::sign_announcement(&key(), &announcement);
            prop_assert_eq!(follower.accept(&envelope), Ok(true));
            prop_assert_eq!(follower.accept(&envelope), Ok(false));
            prop_assert_eq!(follower.manifest(), Some(&publisher.manifest));
            if at == join {
                late.accept(&manifest::sign_manifest(&key(), &publisher.manifest)).unwrap();
            } else if at > join && !late.needs_manifest() {
                late.accept(&envelope).unwrap();
                prop_assert_eq!(late.manifest(), Some(&publisher.manifest));
            }
        }
        let whole = manifest::sign_manifest(&key(), &publisher.manifest);
        prop_assert_eq!(manifest::open(&key().name(), &whole), Ok(Opened::Manifest(publisher.manifest.clone())));
        playlist::multivariant(&publisher.manifest, Selection::Main);
        for entry in publisher.manifest.renditions() {
            if let Some(text) = playlist::media(&publisher.manifest, &entry.rendition.id, Skip::No) {
                check_playlist(&text, publisher.manifest.settings());
            }
        }
    }

    #[test]
    fn any_announcement_is_read_as_it_was_written(
        news in prop::collection::vec(wild(), 0..20), epoch in 0..=MAX_NUMBER, sequence in 0..=MAX_NUMBER,
    ) {
        let announcement = Announcement { epoch, sequence, clock: NINE, news };
        match manifest::open(&key().name(), &manifest::sign_announcement(&key(), &announcement)) {
            Ok(opened) => prop_assert_eq!(opened, Opened::Announcement(announcement)),
            Err(error) => prop_assert!(matches!(error, Rejected::TooBig { .. }), "{error}"),
        }
    }

    #[test]
    fn any_bytes_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(manifest::open(&key().name(), &bytes).is_err());
    }
}

/// The rules of RFC 8216bis that hold for every playlist of ours.
fn check_playlist(text: &str, settings: &Settings) {
    let mut part_target = 0.0;
    let mut segment_parts = 0.0;
    let seconds = |value: &str| {
        value
            .split([',', '\n'])
            .next()
            .unwrap()
            .parse::<f64>()
            .unwrap()
    };
    for line in text.lines() {
        if let Some(value) = line.strip_prefix("#EXT-X-PART-INF:PART-TARGET=") {
            part_target = seconds(value);
        } else if let Some(value) = line.strip_prefix("#EXT-X-PART:DURATION=") {
            assert!(seconds(value) <= part_target, "{text}");
            segment_parts += seconds(value);
        } else if let Some(value) = line.strip_prefix("#EXTINF:") {
            assert!(
                seconds(value).round() <= f64::from(settings.target_duration),
                "{text}"
            );
            assert!(
                segment_parts == 0.0 || (segment_parts - seconds(value)).abs() < 1e-5,
                "{text}"
            );
            segment_parts = 0.0;
        }
    }
    assert!(text.starts_with("#EXTM3U\n") && text.ends_with('\n'));
    assert_eq!(
        text.contains("#EXT-X-ENDLIST"),
        !text.contains("#EXT-X-PRELOAD-HINT")
    );
}
