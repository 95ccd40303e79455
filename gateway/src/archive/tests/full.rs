//! The last hour of a day in which each of the 24 has something: four renditions. With 1,800 segments an hour (MESHLIVE_TEST_SEGMENTS), as a
//! full day has, it is a measurement (tests/bench/README.md) and no test: all its hours take a minute and a half.

use meshlive_protocol::manifest::Tracks;

use super::*;

/// Of an hour; a full one has 1,800, which a measurement asks for.
fn segments_of_an_hour() -> u64 {
    let asked = std::env::var("MESHLIVE_TEST_SEGMENTS");
    asked.map_or(200, |count| count.parse().expect("a number of segments"))
}
/// What closing an hour may take.
const LONGEST: Duration = Duration::from_secs(2);

#[test]
fn closing_the_last_hour_of_a_day_takes_less_than_2_seconds() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("store"), store::Settings::default()).unwrap();
    let archive = Archive::of(Arc::new(SigningKey::from_secret([7; 32])), store.clone()).unwrap();
    let renditions = ["1080p", "720p", "360p", "audio"].map(|id| Rendition {
        id: id.into(),
        tracks: Tracks::Both,
        codecs: "avc1.64001f,mp4a.40.2".into(),
        bandwidth: 1_000_000,
        width: 1280,
        height: 720,
        frame_rate: 30_000,
        part_target: 200_000,
    });
    let midnight = HOUR_TEN / 24 * 24;
    let (mut took, segments) = (Duration::ZERO, segments_of_an_hour());
    for hour in midnight..midnight + 24 {
        let mut open = OpenHour::open(&store, archive.stream(), hour).unwrap();
        for n in 0..segments {
            let link = |what: &str| Link {
                cid: dag::cid_of(format!("{what} {hour} {n}").as_bytes()),
                bytes: 500_000,
            };
            let strands = renditions.iter().map(|one| Strand {
                rendition: one.id.as_str().into(),
                init: link("init"),
                file: link(&one.id),
                duration: 2 * SECOND,
            });
            let segment = Segment {
                msn: hour * segments + n,
                start: start(hour) + n * 2 * SECOND,
                discontinuity: false,
                init: 1,
                strands: strands.collect(),
            };
            let all: Vec<_> = renditions.iter().collect();
            open.keep(&all, segment).unwrap();
        }
        archive.state().open.insert(hour, open);
        let begun = Instant::now();
        archive.close_what_is_over(start(hour + 2));
        took = begun.elapsed();
        assert!(archive.catalogue().hours().contains_key(&hour));
    }
    println!("the last hour of a full day: {} ms", took.as_millis());
    assert!(took < LONGEST, "{took:?}");
    let day = archive.catalogue().days()[&(midnight / 24)];
    let playlist = read::directory(&store, day.cid).unwrap()["day-720p.m3u8"];
    assert!(playlist.bytes > 24 * segments * 30, "{playlist:?}");
}
