//! Seams of hours and days, from segments with chosen times.

use std::collections::{BTreeMap, HashMap};

use super::*;
use crate::{
    dag,
    key::SigningKey,
    manifest::{Rejected, Rendition, Tracks},
};

/// 2026-11-22T10:00:00Z.
const TEN: u64 = 1_795_341_600_000_000;

fn rendition(id: &str) -> Rendition {
    let audio = id == "audio";
    Rendition {
        id: id.into(),
        tracks: if audio { Tracks::Audio } else { Tracks::Both },
        codecs: if audio {
            "mp4a.40.2"
        } else {
            "avc1.64001f,mp4a.40.2"
        }
        .into(),
        bandwidth: if audio { 96_000 } else { 3_000_000 },
        width: if audio { 0 } else { 1280 },
        height: if audio { 0 } else { 720 },
        frame_rate: if audio { 0 } else { 29_970 },
        part_target: 0,
    }
}

fn link(text: &str, bytes: u64) -> Link {
    Link {
        cid: dag::cid_of(text.as_bytes()),
        bytes,
    }
}

fn segment(msn: u64, start: u64, discontinuity: bool, init: u32, renditions: &[&str]) -> Segment {
    let strands = renditions.iter().map(|id| Strand {
        rendition: (*id).into(),
        init: link(&format!("{id} init {init}"), 800),
        file: link(&format!("{id} {msn}"), 100_000),
        duration: 2_000_000,
    });
    Segment {
        msn,
        start,
        discontinuity,
        init,
        strands: strands.collect(),
    }
}

fn hour(segments: impl IntoIterator<Item = Segment>) -> Hour {
    let mut hour = Hour::default();
    for segment in segments {
        for strand in &segment.strands {
            hour.describe(&rendition(&strand.rendition));
        }
        assert!(hour.add(segment));
    }
    hour
}

/// The text of the file at a path; directories are read as the gateway reads them, by their links' names.
fn text(made: &[&Made], path: &str) -> String {
    let blocks: HashMap<_, _> = (made.iter().flat_map(|made| &made.blocks))
        .map(|block| (block.cid.to_bytes(), block.bytes.clone()))
        .collect();
    for block in blocks.values() {
        assert!(block.len() <= 1 << 20);
    }
    let mut node = blocks[&made[0].link.cid.to_bytes()].clone();
    for name in path.split('/') {
        let mut wanted = vec![0x12, name.len() as u8];
        wanted.extend_from_slice(name.as_bytes());
        let at = node.windows(wanted.len()).position(|part| part == wanted);
        let at = at.unwrap_or_else(|| panic!("{name} of {path} is not there"));
        node = blocks[&node[at - 36..at]].clone();
    }
    String::from_utf8(node).unwrap()
}

#[test]
fn golden_hour_with_a_restart_in_its_middle() {
    let mut one = hour([
        segment(5, TEN + 1_234_567, false, 1, &["720p", "audio"]),
        segment(6, TEN + 3_234_567, false, 1, &["720p", "audio"]),
        // Restarted: the clock went on, the init segment is another.
        segment(7, TEN + 60_000_000, true, 2, &["720p", "audio"]),
        // After a power cut numbers leap.
        segment(80, TEN + 90_000_000, true, 9, &["720p", "audio"]),
    ]);
    let made = one.directory();
    let expected = "#EXTM3U\n#EXT-X-VERSION:8\n#EXT-X-INDEPENDENT-SEGMENTS\n#EXT-X-PLAYLIST-TYPE:VOD\n\
        #EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:0\n#EXT-X-DISCONTINUITY-SEQUENCE:0\n\
        #EXT-X-MAP:URI=\"init-1.mp4\"\n#EXT-X-PROGRAM-DATE-TIME:2026-11-22T10:00:01.234Z\n#EXTINF:2.000000,\n5.m4s\n\
        #EXT-X-PROGRAM-DATE-TIME:2026-11-22T10:00:03.234Z\n#EXTINF:2.000000,\n6.m4s\n\
        #EXT-X-DISCONTINUITY\n#EXT-X-MAP:URI=\"init-2.mp4\"\n#EXT-X-PROGRAM-DATE-TIME:2026-11-22T10:01:00.000Z\n#EXTINF:2.000000,\n7.m4s\n\
        #EXT-X-DISCONTINUITY\n#EXT-X-MAP:URI=\"init-9.mp4\"\n#EXT-X-PROGRAM-DATE-TIME:2026-11-22T10:01:30.000Z\n#EXTINF:2.000000,\n80.m4s\n\
        #EXT-X-ENDLIST\n";
    assert_eq!(text(&[&made], "720p/index.m3u8"), expected);
    let main = "#EXTM3U\n#EXT-X-VERSION:8\n#EXT-X-INDEPENDENT-SEGMENTS\n\
        #EXT-X-STREAM-INF:BANDWIDTH=3000000,CODECS=\"avc1.64001f,mp4a.40.2\",RESOLUTION=1280x720,FRAME-RATE=29.970\n720p/index.m3u8\n";
    assert_eq!(text(&[&made], "index.m3u8"), main);
    assert!(
        text(&[&made], "audio.m3u8")
            .ends_with("BANDWIDTH=96000,CODECS=\"mp4a.40.2\"\naudio/index.m3u8\n")
    );
    assert_eq!(made.link.cid.to_string(), GOLDEN_HOUR);
    // Neither the order of renditions nor what is said twice matters.
    one.renditions.reverse();
    one.add(segment(6, 0, true, 7, &["720p"]));
    assert_eq!(one.directory(), made);
}
const GOLDEN_HOUR: &str = "bafybeibry74hxypzq3mu3fbpf3xsvp33h4imskpdbgfnggmuqwzfmobc3u";

#[test]
fn an_hour_is_read_back_from_its_playlists_to_the_same_bytes() {
    let one = hour([
        segment(5, TEN + 1_234_567, false, 1, &["audio"]),
        segment(6, TEN + 3_234_567, true, 2, &["720p", "audio"]),
        segment(7, TEN + 5_234_567, false, 2, &["audio"]),
        segment(8, TEN + 7_234_567, false, 2, &["720p", "audio"]),
        segment(20, TEN + 9_234_567, false, 2, &["720p"]),
    ]);
    let made = one.directory();
    let mut again = Hour::default();
    let read = |path| read::multivariant(&text(&[&made], path)).unwrap();
    for rendition in read("index.m3u8").into_iter().chain(read("audio.m3u8")) {
        again.describe(&rendition);
    }
    let mut strands: std::collections::BTreeMap<u64, Segment> = Default::default();
    for id in ["720p", "audio"] {
        let lines = read::media(&text(&[&made], &format!("{id}/index.m3u8"))).unwrap();
        for line in lines.into_iter().filter(|line| !line.gap) {
            let one = segment(line.msn, line.start, line.discontinuity, line.init, &[id]);
            let known = strands.entry(line.msn).or_insert(Segment {
                strands: Vec::new(),
                ..one.clone()
            });
            known.strands.extend(one.strands);
        }
    }
    strands
        .into_values()
        .for_each(|segment| assert!(again.add(segment)));
    assert_eq!(again.directory(), made);
    let video = text(&[&made], "720p/index.m3u8");
    assert!(
        video.contains(
            "#EXT-X-MEDIA-SEQUENCE:1\n#EXT-X-DISCONTINUITY-SEQUENCE:0\n#EXT-X-DISCONTINUITY\n"
        ),
        "{video}"
    );
    assert_eq!(video.matches("#EXT-X-GAP\n").count(), 1);
    assert!(video.contains("#EXT-X-GAP\n#EXTINF:2.000000,\n7.m4s\n"));
}

#[test]
fn a_segment_belongs_to_the_hour_of_its_first_frame() {
    let last = segment(1, TEN + HOUR - 1, false, 0, &["720p"]);
    let first = segment(2, TEN + HOUR, false, 0, &["720p"]);
    assert_eq!(
        (last.hour() - TEN / HOUR, first.hour() - TEN / HOUR),
        (0, 1)
    );
}

#[test]
fn a_day_joins_its_hours_and_tells_where_they_do_not_join() {
    let hours = [
        hour([
            segment(5, TEN, false, 1, &["720p"]),
            segment(6, TEN + 2_000_000, false, 1, &["720p"]),
        ]),
        // Goes on without a seam; a second rendition begins.
        hour([
            segment(7, TEN + HOUR, false, 1, &["720p"]),
            segment(8, TEN + HOUR + 1, true, 2, &["720p", "audio"]),
        ]),
        // What came between is lost.
        hour([
            segment(10, TEN + 2 * HOUR, false, 2, &["audio"]),
            segment(11, TEN + 2 * HOUR + 1, false, 2, &["720p", "audio"]),
        ]),
    ];
    let mut day = Day::default();
    let mut all = Vec::new();
    for (index, hour) in hours.iter().enumerate() {
        let made = hour.directory();
        day.add(TEN / HOUR + index as u64, made.link, hour);
        all.push(made);
    }
    let made = day.directory();
    let video = text(&[&made], "day-720p.m3u8");
    let (_, body) = video
        .split_once("SEQUENCE:0\n#EXT-X-DISCONTINUITY-SEQUENCE:0\n")
        .unwrap();
    let expected = "#EXT-X-MAP:URI=\"10/720p/init-1.mp4\"\n#EXT-X-PROGRAM-DATE-TIME:2026-11-22T10:00:00.000Z\n#EXTINF:2.000000,\n10/720p/5.m4s\n\
        #EXTINF:2.000000,\n10/720p/6.m4s\n\
        #EXT-X-PROGRAM-DATE-TIME:2026-11-22T11:00:00.000Z\n#EXTINF:2.000000,\n11/720p/7.m4s\n\
        #EXT-X-DISCONTINUITY\n#EXT-X-MAP:URI=\"11/720p/init-2.mp4\"\n#EXT-X-PROGRAM-DATE-TIME:2026-11-22T11:00:00.000Z\n#EXTINF:2.000000,\n11/720p/8.m4s\n\
        #EXT-X-DISCONTINUITY\n#EXT-X-PROGRAM-DATE-TIME:2026-11-22T12:00:00.000Z\n#EXT-X-GAP\n#EXTINF:2.000000,\n12/720p/10.m4s\n\
        #EXTINF:2.000000,\n12/720p/11.m4s\n#EXT-X-ENDLIST\n";
    assert_eq!(body, expected);
    let audio = text(&[&made], "day-audio.m3u8");
    assert!(
        audio.contains(
            "#EXT-X-MEDIA-SEQUENCE:3\n#EXT-X-DISCONTINUITY-SEQUENCE:0\n#EXT-X-DISCONTINUITY\n"
        ),
        "{audio}"
    );
    let whole: Vec<_> = std::iter::once(&made).chain(&all).collect();
    assert!(text(&whole, "12/720p/index.m3u8").contains("\n11.m4s\n"));
    let root = root([(TEN / HOUR / 24, made.link)]);
    let whole: Vec<_> = std::iter::once(&root).chain(whole).collect();
    assert!(text(&whole, "2026-11-22/10/index.m3u8").contains("720p/index.m3u8"));
}

#[test]
fn an_hour_holds_so_many_segments_and_no_more() {
    let segments = (0..MAX_SEGMENTS as u64).map(|n| {
        segment(
            9_000_000_000_000 + n,
            TEN + n,
            true,
            n as u32,
            &["a-rendition-with-a-long-name-012"],
        )
    });
    let mut full = hour(segments);
    assert!(!full.add(segment(1, TEN, false, 0, &["720p"])));
    assert!(
        full.add(segment(9_000_000_000_000, TEN, false, 0, &["720p"])),
        "it is known"
    );
    // Also the worst playlist can be read back.
    let mut media = media::Media::new();
    full.segments()
        .for_each(|one| media.add(one, "a-rendition-with-a-long-name-012", "", true));
    assert_eq!(
        read::media(&media.finish().unwrap()).unwrap().len(),
        MAX_SEGMENTS
    );
}

#[test]
fn a_file_beyond_a_leaf_is_the_one_that_ipfs_add_makes() {
    let mut maker = Maker::default();
    let bytes: Vec<u8> = (0..600_000_u32).map(|n| (n % 251) as u8).collect();
    let link = maker.file(None, &bytes);
    assert_eq!(maker.blocks.len(), 4);
    assert_eq!(maker.blocks[0].bytes.len(), 262_144);
    assert_eq!(link.bytes, 600_000 + maker.blocks[3].bytes.len() as u64);
    let longer = [&bytes[..], b"more"].concat();
    let mut other = Maker::default();
    other.file(None, &longer);
    assert_eq!(
        other.blocks[..2],
        maker.blocks[..2],
        "what was there is shared"
    );
}

#[test]
fn playlists_of_another_form_are_not_read() {
    let good = hour([segment(5, TEN, false, 1, &["720p"])]).directory();
    let good = text(&[&good], "720p/index.m3u8");
    assert!(read::media(&good).is_some());
    for (from, to) in [
        ("#EXTM3U", "EXTM3U"),
        ("2.000000", "2.0"),
        ("10:00:00.000Z", "10:00:00Z"),
        ("init-1", "x"),
        ("5.m4s", "a/5.m4s"),
        ("#EXT-X-ENDLIST\n", ""),
    ] {
        assert_eq!(read::media(&good.replacen(from, to, 1)), None, "{from}");
    }
    assert_eq!(
        read::media(&"#EXTM3U\n".repeat(read::MAX_PLAYLIST_BYTES)),
        None
    );
}

#[test]
fn records_read_back_and_nothing_else_does() {
    let records = [
        record::Record::Rendition(rendition("720p")),
        record::Record::Segment(segment(5, TEN, true, 1, &["720p", "audio"])),
    ];
    for one in records {
        let bytes = one.encode();
        assert_eq!(record::Record::decode(&bytes), Ok(one));
        (0..bytes.len()).for_each(|cut| assert!(record::Record::decode(&bytes[..cut]).is_err()));
    }
}

fn entry(epoch: u64, sequence: u64, what: What) -> Entry {
    Entry {
        epoch,
        sequence,
        what,
        root: Some(link(&format!("root {epoch} {sequence}"), 1000 + sequence)),
    }
}

fn closed(hour: u64) -> What {
    What::Hour {
        hour,
        entry: HourEntry {
            link: link(&format!("hour {hour}"), 500),
            duration: 3_600_000_000,
        },
        day: link(&format!("day of {hour}"), 600),
    }
}

#[test]
fn a_catalogue_takes_entries_in_their_order_alone() {
    let mut catalogue = Catalogue::default();
    let gap = entry(7, 2, closed(100));
    assert!(matches!(catalogue.apply(&gap), Err(Rejected::Gap { .. })));
    catalogue.apply(&entry(7, 1, closed(100))).unwrap();
    catalogue.apply(&entry(7, 2, closed(124))).unwrap();
    let before = catalogue.clone();
    for (epoch, sequence) in [(7, 2), (7, 1), (6, 3)] {
        let old = catalogue.apply(&entry(epoch, sequence, closed(1)));
        assert!(
            matches!(old, Err(Rejected::Old { .. })),
            "{epoch} {sequence}"
        );
    }
    assert_eq!(catalogue, before);
    let gone = What::Tombstone {
        hour: 100,
        day: None,
    };
    catalogue.apply(&entry(7, 3, gone)).unwrap();
    assert_eq!(catalogue.hours().keys().collect::<Vec<_>>(), [&124]);
    assert_eq!(catalogue.days().keys().collect::<Vec<_>>(), [&5]);
    assert!(catalogue.tombstones().contains(&100));
    // A list that was lost goes on in a higher epoch.
    catalogue.apply(&entry(9, 1, closed(125))).unwrap();
    assert_eq!((catalogue.last(), catalogue.hours().len()), ((9, 1), 2));
    assert_eq!(catalogue.root(), Some(link("root 9 1", 1001)));
}

fn label(epoch: u64, sequence: u64, of: Labelled, text: &str) -> Entry {
    Entry {
        epoch,
        sequence,
        what: What::Label {
            of,
            text: text.into(),
        },
        root: None,
    }
}

#[test]
fn titles_and_chapters_are_entries_that_leave_the_root_as_it_is() {
    let mut catalogue = Catalogue::default();
    catalogue.apply(&entry(7, 1, closed(100))).unwrap();
    let root = catalogue.root();
    let at = 100 * HOUR + 5;
    let all = [
        (Labelled::Hour(100), "Opening"),
        (Labelled::Chapter(at), "Questions"),
        (Labelled::Chapter(at + 1), "Nothing"),
        (Labelled::Chapter(at + 1), ""),
        (Labelled::Hour(100), "Welcome"),
    ];
    for (sequence, (of, text)) in (2..).zip(all) {
        catalogue.apply(&label(7, sequence, of, text)).unwrap();
    }
    assert_eq!(catalogue.root(), root);
    let labels = catalogue.labels().clone();
    assert_eq!(labels.titles, BTreeMap::from([(100, "Welcome".to_owned())]));
    let of_hour: Vec<_> = labels.within(&(100 * HOUR..101 * HOUR)).collect();
    assert_eq!(of_hour, [(at, "Questions")]);
    assert_eq!(labels.within(&(0..at)).count(), 0);
    // An older one, told again.
    let replayed = catalogue.apply(&label(7, 2, Labelled::Hour(100), "Opening"));
    assert!(matches!(replayed, Err(Rejected::Old { .. })));
    let overtaken = catalogue.apply(&label(6, 99, Labelled::Hour(100), "Opening"));
    assert!(matches!(overtaken, Err(Rejected::Old { .. })));
    assert_eq!(*catalogue.labels(), labels);
}

#[test]
fn a_title_is_signed_and_bounded_and_there_are_so_many_at_most() {
    let key = SigningKey::from_secret([7; 32]);
    for text in ["", "Größe", &"x".repeat(MAX_TITLE_BYTES)] {
        let good = label(1, 1, Labelled::Chapter(1_795_341_900_000_000), text);
        assert_eq!(Entry::open(&key.name(), &good.sign(&key)), Ok(good));
    }
    for text in ["a\nb", &"x".repeat(MAX_TITLE_BYTES + 1)] {
        let bad = label(1, 1, Labelled::Hour(1), text);
        assert!(Entry::open(&key.name(), &bad.sign(&key)).is_err());
    }
    // With a root, or an hour without one.
    for bad in [
        Entry {
            root: Some(link("root", 1)),
            ..label(1, 1, Labelled::Hour(1), "x")
        },
        Entry {
            root: None,
            ..entry(1, 1, closed(1))
        },
    ] {
        assert!(Entry::open(&key.name(), &bad.sign(&key)).is_err());
    }
    let mut catalogue = Catalogue::default();
    for at in 0..MAX_LABELS as u64 {
        catalogue
            .apply(&label(1, at + 1, Labelled::Chapter(at), "x"))
            .unwrap();
    }
    let next = MAX_LABELS as u64 + 1;
    let more = catalogue.apply(&label(1, next, Labelled::Hour(1), "x"));
    assert!(matches!(more, Err(Rejected::TooBig { .. })), "{more:?}");
    catalogue
        .apply(&label(1, next, Labelled::Chapter(0), ""))
        .unwrap();
    catalogue
        .apply(&label(1, next + 1, Labelled::Hour(1), "x"))
        .unwrap();
}

#[test]
fn golden_entry_and_forgeries() {
    let key = SigningKey::from_secret([7; 32]);
    let good = entry(1_795_338_000, 15, closed(498_706));
    let signed = good.sign(&key);
    assert_eq!(Entry::open(&key.name(), &signed), Ok(good));
    let day = entry(
        1,
        1,
        What::Tombstone {
            hour: 5,
            day: Some(link("day", 7)),
        },
    );
    assert_eq!(Entry::open(&key.name(), &day.sign(&key)), Ok(day));
    assert_eq!(dag::cid_of(&signed).to_string(), GOLDEN_ENTRY);
    for at in 0..signed.len() {
        let mut forged = signed.clone();
        forged[at] ^= 1;
        assert!(Entry::open(&key.name(), &forged).is_err(), "{at}");
    }
    let other = SigningKey::from_secret([8; 32]);
    assert_eq!(
        Entry::open(&other.name(), &signed),
        Err(Rejected::AnotherKey)
    );
    let announcement =
        crate::manifest::sign_manifest(&key, &crate::manifest::Manifest::new(Default::default()));
    assert_eq!(
        Entry::open(&key.name(), &announcement),
        Err(Rejected::UnknownType)
    );
}
const GOLDEN_ENTRY: &str = "bafkreia7qzznao4uws6hhgx7iupoixmk32dcg5ijrbuaovltiaqqekaqre";
