//! What playlists promise a player (RFC 8216bis §4.4, README §7), beside the bytes in tests/golden.

use meshlive_protocol::{
    manifest::{News, Rendition, Settings, Tracks},
    playlist::{self, Group, Selection, Skip},
};

use crate::common::{NINE, Publisher, closed, init, part_of, rendition, segment, stream};

fn media(publisher: &Publisher, rendition: &str) -> String {
    playlist::media(&publisher.manifest, rendition, Skip::No).expect("it has parts")
}

fn count(text: &str, tag: &str) -> usize {
    text.lines().filter(|line| line.starts_with(tag)).count()
}

#[test]
fn audio_only_stands_in_the_main_playlist_only_where_it_is_alone() {
    let publisher = stream(1);
    let main = playlist::multivariant(&publisher.manifest, Selection::Main);
    let audio = playlist::multivariant(&publisher.manifest, Selection::AudioOnly);
    assert!(!main.contains("audio.m3u8") && main.contains("source.m3u8"));
    assert!(audio.contains("audio.m3u8") && !audio.contains("source.m3u8"));
    let mut radio = Publisher::new(Settings::default());
    radio.publish(vec![News::Rendition(rendition("audio", Tracks::Audio))]);
    let main = playlist::multivariant(&radio.manifest, Selection::Main);
    assert!(main.contains("audio.m3u8"));
    assert_eq!(
        main,
        playlist::multivariant(&radio.manifest, Selection::AudioOnly)
    );
}

#[test]
fn nothing_is_shown_before_the_first_part() {
    let publisher = stream(0);
    assert_eq!(
        playlist::media(&publisher.manifest, "source", Skip::No),
        None
    );
    assert_eq!(playlist::media(&publisher.manifest, "none", Skip::No), None);
}

#[test]
fn parts_are_listed_in_the_newest_three_segments() {
    let closed = media(&stream(250), "source");
    // 125 comes next: 123 and 124 show their parts.
    assert_eq!(count(&closed, "#EXT-X-PART:"), 20);
    assert_eq!(count(&closed, "#EXTINF:"), 25);
    let open = media(&stream(253), "source");
    assert_eq!(count(&open, "#EXT-X-PART:"), 23);
    assert!(open.contains("#EXT-X-PART:DURATION=0.200000,URI=\"source/123.0.m4s\""));
}

#[test]
fn what_is_hinted_is_the_next_part() {
    assert!(media(&stream(9), "source").contains("URI=\"source/100.9.m4s\"\n#EXT-X-RENDITION"));
    assert!(
        media(&stream(10), "source")
            .contains("#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"source/101.0.m4s\"")
    );
    let mut publisher = stream(10);
    publisher.publish(vec![segment(101)]);
    assert!(
        media(&publisher, "source")
            .contains("#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"source/101.0.m4s\"")
    );
}

#[test]
fn hold_back_is_at_least_three_part_targets() {
    let held = |part_target, hold_back| {
        let mut publisher = Publisher::new(Settings {
            hold_back,
            ..Settings::default()
        });
        let rendition = Rendition {
            part_target,
            ..rendition("source", Tracks::Both)
        };
        publisher.publish(vec![
            News::Rendition(rendition),
            init(0, 0),
            segment(100),
            part_of(0, 100, 0),
        ]);
        media(&publisher, "source")
    };
    assert!(held(202_000, 1_000_000).contains("PART-HOLD-BACK=1.000000"));
    assert!(held(500_000, 1_000_000).contains("PART-HOLD-BACK=1.500000"));
    assert!(held(202_000, 0).contains("PART-HOLD-BACK=0.606000"));
}

#[test]
fn a_short_window_offers_no_skipping() {
    let mut publisher = Publisher::new(Settings {
        window: 36_000_000,
        ..Settings::default()
    });
    publisher.renditions(1);
    publisher.parts(1, 100, 250);
    assert!(!media(&publisher, "source").contains("CAN-SKIP-UNTIL"));
    let delta = playlist::media(&publisher.manifest, "source", Skip::Yes);
    assert_eq!(delta, Some(media(&publisher, "source")));
}

#[test]
fn a_delta_update_leaves_out_what_lies_beyond_the_skip_boundary_only() {
    for parts in [100, 179, 180, 181, 190, 200, 263, 400] {
        let publisher = stream(parts);
        let full = media(&publisher, "source");
        let delta = playlist::media(&publisher.manifest, "source", Skip::Yes).unwrap();
        let skipped = full.matches("#EXTINF").count() - delta.matches("#EXTINF").count();
        let tag = delta
            .lines()
            .find_map(|line| line.strip_prefix("#EXT-X-SKIP:SKIPPED-SEGMENTS="));
        assert_eq!(tag.map_or(0, |number| number.parse().unwrap()), skipped);
        // 36 s are 180 parts; 60 s at most are held.
        let held = parts.min(300 + parts % 10);
        assert_eq!(skipped as u32, held.saturating_sub(180) / 10, "{parts}");
        assert!(full.ends_with(delta.split_once("#EXT-X-PROGRAM").unwrap().1));
    }
}

#[test]
fn discontinuities_are_counted_when_they_leave() {
    let mut publisher = stream(10);
    let begin = News::Segment {
        msn: 101,
        start: NINE,
        discontinuity: true,
        init: 1,
    };
    let mut news: Vec<_> = (0..3).map(|rendition| init(rendition, 1)).collect();
    news.push(begin);
    news.extend((0..3).map(|rendition| part_of(rendition, 101, 0)));
    publisher.publish(news);
    let text = media(&publisher, "source");
    assert!(text.contains("#EXT-X-DISCONTINUITY-SEQUENCE:0\n"));
    assert!(text.contains(
        "#EXT-X-DISCONTINUITY\n#EXT-X-MAP:URI=\"source/init-1.mp4\"\n#EXT-X-PROGRAM-DATE-TIME"
    ));
    // The tag stays as long as its segment, and is counted once that has left.
    publisher.publish((0..3).map(|rendition| closed(rendition, 101, 1)).collect());
    let narrow = Settings {
        window: 200_000,
        ..*publisher.manifest.settings()
    };
    publisher.manifest.configure(narrow);
    let text = media(&publisher, "source");
    assert!(text.contains(
        "#EXT-X-MEDIA-SEQUENCE:101\n#EXT-X-DISCONTINUITY-SEQUENCE:0\n#EXT-X-DISCONTINUITY\n"
    ));
    publisher.publish(vec![News::Segment {
        msn: 102,
        start: NINE,
        discontinuity: false,
        init: 1,
    }]);
    publisher.publish((0..3).map(|rendition| part_of(rendition, 102, 0)).collect());
    let text = media(&publisher, "source");
    assert!(
        text.contains("#EXT-X-MEDIA-SEQUENCE:102\n#EXT-X-DISCONTINUITY-SEQUENCE:1\n#EXT-X-MAP")
    );
}

#[test]
fn a_rendition_that_joins_later_or_pauses_keeps_the_common_numbers() {
    let mut publisher = stream(10);
    let late = Rendition {
        bandwidth: 500_000,
        ..rendition("late", Tracks::Both)
    };
    publisher.publish(vec![News::Rendition(late), init(3, 0)]);
    publisher.parts(4, 101, 10);
    publisher.parts(3, 102, 10);
    publisher.parts(4, 103, 1);
    let text = media(&publisher, "late");
    assert!(text.contains("#EXT-X-MEDIA-SEQUENCE:101\n"));
    assert!(text.contains("#EXT-X-GAP\n#EXTINF:2.000000,\nlate/102.m4s\n"));
    assert!(text.contains("late/103.0.m4s"));
    assert!(!media(&publisher, "source").contains("GAP"));
}

#[test]
fn what_plays_everywhere_stands_first_whatever_its_bandwidth() {
    let mut publisher = stream(10);
    for (id, codecs) in [
        ("original", "hvc1.1.6.L93.90,opus"),
        ("half", "avc1.64001f,opus"),
    ] {
        let other = Rendition {
            bandwidth: 9_000_000,
            codecs: codecs.into(),
            ..rendition(id, Tracks::Both)
        };
        publisher.publish(vec![News::Rendition(other)]);
    }
    let text = playlist::multivariant(&publisher.manifest, Selection::Main);
    let ids: Vec<&str> = text
        .lines()
        .filter(|line| line.ends_with(".m3u8"))
        .collect();
    assert_eq!(
        ids,
        ["source.m3u8", "low.m3u8", "original.m3u8", "half.m3u8"]
    );
}

#[test]
fn the_end_ends_playlists() {
    let mut publisher = stream(10);
    publisher.publish(vec![News::Withdrawn { rendition: 1 }]);
    assert!(media(&publisher, "low").ends_with("#EXT-X-ENDLIST\n"));
    assert!(!media(&publisher, "source").contains("low"));
    assert!(!playlist::multivariant(&publisher.manifest, Selection::Main).contains("low"));
    publisher.publish(vec![News::End]);
    let text = media(&publisher, "source");
    assert!(text.ends_with("source/100.m4s\n#EXT-X-ENDLIST\n"));
}

#[test]
fn program_date_time_is_civil_time() {
    let at = |micros| {
        let mut publisher = Publisher::new(Settings::default());
        publisher.renditions(1);
        let begin = News::Segment {
            msn: 0,
            start: micros,
            discontinuity: false,
            init: 0,
        };
        publisher.publish(vec![begin, part_of(0, 0, 0)]);
        let text = media(&publisher, "source");
        text.lines()
            .find_map(|line| line.strip_prefix("#EXT-X-PROGRAM-DATE-TIME:"))
            .unwrap()
            .to_owned()
    };
    assert_eq!(at(0), "1970-01-01T00:00:00.000Z");
    assert_eq!(at(951_782_400_000_000 - 1), "2000-02-28T23:59:59.999Z");
    assert_eq!(at(951_782_400_000_000), "2000-02-29T00:00:00.000Z");
    assert_eq!(at(4_107_542_400_000_000), "2100-03-01T00:00:00.000Z");
    assert_eq!(at((1 << 53) - 1), "2255-06-05T23:47:34.740Z");
}

fn group(msn: u64, parts: u8) -> Group {
    Group { msn, parts }
}

#[test]
fn who_takes_several_parts_at_a_time_is_shown_groups_in_the_segments_it_names() {
    let parts = |count, groups: &[Group]| {
        let publisher = stream(count);
        let text = playlist::grouped(&publisher.manifest, "source", groups).expect("it has parts");
        let all: Vec<String> = text
            .lines()
            .filter_map(|line| line.strip_prefix("#EXT-X-PART:"))
            .filter_map(|line| Some(line.split_once("source/10")?.1.replace(".m4s\"", "")))
            .collect();
        (all.join(" "), text)
    };
    // Two segments of ten parts, and what is not yet closed.
    let (pairs, fours) = ([group(101, 2)], [group(101, 4)]);
    let (first, text) = parts(14, &pairs);
    assert!(first.starts_with("0.0,INDEPENDENT=YES 0.1 0.2 "), "{first}");
    assert!(
        first.ends_with(" 0.9 1.0-1,INDEPENDENT=YES 1.2-3"),
        "{first}"
    );
    assert!(text.contains("#EXT-X-PART-INF:PART-TARGET=0.4"), "{text}");
    assert!(text.contains("#EXT-X-PART:DURATION=0.400000,URI=\"source/101.2-3.m4s\"\n"));
    // hls.js takes the last segment for an open one where nothing stands behind it.
    assert!(text.ends_with("#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"source/101.4.m4s\"\n"));
    // A part alone waits for its second.
    assert_eq!(parts(15, &pairs).0, first);
    assert!(parts(16, &pairs).0.ends_with(" 1.2-3 1.4-5"));
    let (fewer, text) = parts(16, &fours);
    assert!(fewer.ends_with(" 0.9 1.0-3,INDEPENDENT=YES"), "{fewer}");
    assert!(text.contains("#EXT-X-PART-INF:PART-TARGET=0.8"), "{text}");
    // How many at a time is said of each segment by itself.
    let (both, _) = parts(16, &[group(100, 4), group(101, 2)]);
    assert!(
        both.starts_with("0.0-3,INDEPENDENT=YES 0.4-7 0.8-9 1.0-1"),
        "{both}"
    );
    assert_eq!(parts(14, &[group(101, 0)]).0, parts(14, &[]).0);
    // None named: the gateway's own playlist.
    assert_eq!(parts(14, &[]).1, media(&stream(14), "source"));
}

#[test]
fn the_last_part_of_an_odd_segment_stands_alone_when_that_is_closed() {
    let mut publisher = stream(13);
    let shown = |publisher: &Publisher| {
        playlist::grouped(&publisher.manifest, "source", &[group(101, 2)]).unwrap()
    };
    assert!(shown(&publisher).contains("101.0-1.m4s\""));
    assert!(!shown(&publisher).contains("#EXT-X-PART:DURATION=0.200000,URI=\"source/101"));
    assert!(!publisher.manifest.is_closed(101));
    publisher.publish((0..3).map(|index| closed(index, 101, 3)).collect());
    let alone = "#EXT-X-PART:DURATION=0.200000,URI=\"source/101.2.m4s\"";
    assert!(shown(&publisher).contains(alone) && publisher.manifest.is_closed(101));
    let mut ends = stream(13);
    assert!(!shown(&ends).contains(alone));
    ends.publish(vec![News::End]);
    assert!(shown(&ends).contains(alone) && shown(&ends).ends_with("#EXT-X-ENDLIST\n"));
}
