//! A publisher, a real store, and hours that pass as quickly as parts are handed over.

pub(crate) mod copies;
mod full;
mod hls;
mod room;

use std::{
    collections::BTreeMap,
    path::Path,
    time::{Duration, Instant},
};

use meshlive_protocol::{archive::HOUR, dag};

use super::*;
use crate::{
    clock::Clock,
    keys::Keys,
    metrics::Metrics,
    package::{self, Packaged, Part},
    publish::{self, Publisher, Streams},
    store,
};

/// 2026-11-22T10:00:00Z.
pub(crate) const TEN: u64 = 1_795_341_600_000_000;
const SECOND: u64 = 1_000_000;

/// One run of a gateway, without its doors.
pub(crate) struct Run {
    pub(super) store: Store,
    pub(super) streams: Streams,
    pub(super) metrics: Arc<Metrics>,
}

impl Run {
    pub(crate) fn start(folder: &Path, now: u64) -> Self {
        Self::with(folder, now, store::Settings::default(), Keep::Everything)
    }

    /// One that reads everything back all the time.
    fn scrubbing(folder: &Path, now: u64) -> Self {
        let every = Duration::from_millis(100);
        let settings = store::Settings::default();
        Self::opened(folder, now, settings, Keep::Everything, every)
    }

    fn with(folder: &Path, now: u64, settings: store::Settings, keep: Keep) -> Self {
        Self::opened(folder, now, settings, keep, Duration::ZERO)
    }

    fn opened(
        folder: &Path,
        now: u64,
        settings: store::Settings,
        keep: Keep,
        verify_every: Duration,
    ) -> Self {
        let archived = Settings {
            keep,
            verify_every,
            ..Settings::default()
        };
        Self::archiving(folder, now, settings, archived)
    }

    fn archiving(folder: &Path, now: u64, settings: store::Settings, archived: Settings) -> Self {
        let store = Store::open(&folder.join("store"), settings).unwrap();
        let keys = Arc::new(Keys::open(folder).unwrap());
        let clock = Arc::new(Clock::at(now));
        let metrics = Arc::new(Metrics::new());
        let streams = Streams::new(
            publish::Settings::default(),
            4,
            keys,
            store.clone(),
            clock,
            metrics.clone(),
        );
        let streams = streams.with_archives(archived, BTreeMap::new());
        Self {
            store,
            streams,
            metrics,
        }
    }

    pub(crate) fn air(&self) -> Air {
        let publisher = self.streams.open("cam", None).unwrap();
        let numbers = publisher.numbers();
        Air {
            publisher,
            segment: numbers.segment,
            init: numbers.init,
            begun: false,
        }
    }
}

/// A stream whose segments (of two seconds and three parts, in two renditions) begin when the test says.
pub(crate) struct Air {
    publisher: Publisher,
    segment: u64,
    init: u32,
    begun: bool,
}

impl Air {
    pub(crate) fn archive(&self) -> Arc<Archive> {
        self.publisher.stream().archive().unwrap().clone()
    }

    pub(super) fn segment(&mut self, start: u64) -> u64 {
        let segment = self.segment;
        let mut packaged = Vec::new();
        let discontinuity = !std::mem::replace(&mut self.begun, true);
        if discontinuity {
            let renditions = vec![rendition("720p", self.init), rendition("audio", self.init)];
            packaged.push(Packaged::Renditions {
                number: self.init,
                renditions,
            });
        }
        packaged.push(Packaged::Opened {
            segment,
            start,
            discontinuity,
            init: self.init,
        });
        for part in 0..3 {
            let parts = ["720p", "audio"].map(|id| Part {
                data: Bytes::from(format!("{id} {start} {part}")),
                duration: if part == 2 { 1_000_000 } else { 500_000 },
                independent: part == 0,
            });
            packaged.push(Packaged::Parts {
                segment,
                part,
                parts: parts.into(),
            });
        }
        packaged.push(Packaged::Closed { segment });
        self.publisher.publish(packaged).unwrap();
        self.segment += 1;
        segment
    }

    /// Segments from one time to another.
    pub(crate) fn segments(&mut self, from: u64, to: u64) -> Vec<u64> {
        (from..to)
            .step_by(2 * SECOND as usize)
            .map(|start| self.segment(start))
            .collect()
    }
}

fn rendition(id: &str, init: u32) -> package::Rendition {
    let audio = id == "audio";
    package::Rendition {
        id: id.into(),
        codecs: if audio {
            "mp4a.40.2"
        } else {
            "avc1.64001f,mp4a.40.2"
        }
        .into(),
        bandwidth: if audio { 96_000 } else { 3_000_000 },
        width: if audio { 0 } else { 1280 },
        height: if audio { 0 } else { 720 },
        frame_rate: if audio { (0, 1) } else { (30, 1) },
        part_target: 1_000_000,
        init: Bytes::from(format!("init {id} {init}")),
    }
}

/// Waits until so many entries are in the list; how long that took.
pub(crate) fn wait_for(archive: &Archive, entries: u64) -> Duration {
    let begun = Instant::now();
    while archive.catalogue().last().1 < entries {
        assert!(
            begun.elapsed() < Duration::from_secs(20),
            "no entry {entries}: {:?}",
            archive.catalogue()
        );
        std::thread::sleep(Duration::from_millis(5));
    }
    begun.elapsed()
}

/// Numbers of the segments of an hour.
fn numbers(run: &Run, archive: &Archive, hour: u64) -> Vec<u64> {
    let link = archive.catalogue().hours()[&hour].link;
    read::hour(&run.store, link.cid)
        .unwrap()
        .segments()
        .map(|segment| segment.msn)
        .collect()
}

/// The file at a path below a directory.
fn file(store: &Store, root: Cid, path: &str) -> String {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    let mut at = root;
    for name in folder.split('/').filter(|name| !name.is_empty()) {
        at = read::directory(store, at).unwrap()[name].cid;
    }
    let cid = read::directory(store, at).unwrap()[name].cid;
    String::from_utf8(store.get(&cid).unwrap().unwrap().to_vec()).unwrap()
}

const HOUR_TEN: u64 = TEN / HOUR;

#[test]
fn an_hour_closes_when_the_next_begins_and_is_the_same_wherever_it_is_made() {
    let mut roots = Vec::new();
    let keys = tempfile::tempdir().unwrap();
    drop(Keys::open(keys.path()).unwrap().ensure("cam").unwrap());
    for _ in 0..2 {
        let folder = tempfile::tempdir().unwrap();
        copy(keys.path(), folder.path());
        let run = Run::start(folder.path(), TEN + 3000 * SECOND);
        let mut air = run.air();
        let archive = air.archive();
        let first = air.segments(TEN + 3500 * SECOND, TEN + 3600 * SECOND - 1);
        assert_eq!(archive.catalogue().last(), (0, 0));
        assert_eq!(run.streams.root_of(archive.stream()), None);
        // The last frame of the last segment is in the next hour, its first is not.
        let second = air.segments(TEN + HOUR - SECOND, TEN + HOUR + 5 * SECOND);
        let took = wait_for(&archive, 1);
        assert!(took < Duration::from_secs(2), "{took:?}");
        let expected: Vec<_> = first
            .into_iter()
            .chain(second[..1].iter().copied())
            .collect();
        assert_eq!(numbers(&run, &archive, HOUR_TEN), expected);
        air.segments(TEN + 2 * HOUR, TEN + 2 * HOUR + 1);
        wait_for(&archive, 2);
        assert_eq!(numbers(&run, &archive, HOUR_TEN + 1), second[1..]);
        let root = archive.root().unwrap();
        assert_eq!(run.streams.root_of(archive.stream()), Some(root));
        let day = file(&run.store, root, "2026-11-22/day-720p.m3u8");
        assert_eq!(day.matches(".m4s").count(), expected.len() + 2);
        assert_eq!(
            day.matches("#EXT-X-DISCONTINUITY\n").count(),
            1,
            "only that at its beginning: {day}"
        );
        assert!(
            file(&run.store, root, "2026-11-22/10/audio/index.m3u8").ends_with("#EXT-X-ENDLIST\n")
        );
        assert!(file(&run.store, root, "2026-11-22/11/index.m3u8").contains("720p/index.m3u8"));
        assert_eq!(archive.held(), [HOUR_TEN, HOUR_TEN + 1].into());
        for envelope in archive.entries(0, 9) {
            Entry::open(archive.stream(), &envelope).unwrap();
        }
        roots.push((root, archive.entries(0, 9)));
    }
    assert_eq!(roots[0], roots[1]);
}

fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            std::fs::create_dir_all(&target).unwrap();
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[test]
fn restarts_in_the_middle_of_an_hour_lose_nothing_and_say_where_they_were() {
    let folder = tempfile::tempdir().unwrap();
    let mut expected = Vec::new();
    for (count, begin) in [100, 1000, 3000].into_iter().enumerate() {
        let run = Run::start(folder.path(), TEN + begin * SECOND);
        let mut air = run.air();
        if count == 2 {
            // The archive's own note of the last segments is gone: the window still knows them.
            assert_eq!(
                air.archive().state().open[&HOUR_TEN].hour.segments().len(),
                expected.len()
            );
        }
        expected.extend(air.segments(TEN + begin * SECOND, TEN + (begin + 10) * SECOND));
        // As after a kill: nothing is closed, nothing said.
        drop((air, run));
        if count == 1 {
            let (stream, journal) = journal(folder.path());
            let kept = std::fs::read(&journal).unwrap();
            std::fs::write(&journal, &kept[..kept.len() - 700]).unwrap();
            assert!(stream.starts_with("k51"));
        }
    }
    // The hour ended while the gateway was down.
    let run = Run::start(folder.path(), TEN + HOUR + 60 * SECOND);
    let air = run.air();
    let archive = air.archive();
    wait_for(&archive, 1);
    assert_eq!(numbers(&run, &archive, HOUR_TEN), expected);
    let playlist = file(
        &run.store,
        archive.root().unwrap(),
        "2026-11-22/10/720p/index.m3u8",
    );
    assert_eq!(playlist.matches("#EXT-X-DISCONTINUITY\n").count(), 3);
    assert_eq!(playlist.matches("#EXT-X-MAP").count(), 3);
    // The file goes behind the entry.
    let begun = Instant::now();
    while !run.store.side_files(archive.stream(), OPEN).is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(5));
        std::thread::sleep(Duration::from_millis(5));
    }
    // And another start changes nothing.
    let root = archive.root();
    drop((air, archive, run));
    let run = Run::start(folder.path(), TEN + HOUR + 70 * SECOND);
    let archive = run.air().archive();
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!((archive.catalogue().last().1, archive.root()), (1, root));
}

/// The stream's name, and the file of its open hour.
fn journal(folder: &Path) -> (String, std::path::PathBuf) {
    let streams = std::fs::read_dir(folder.join("store")).unwrap().flatten();
    let mut found = streams.filter(|entry| entry.file_name().to_string_lossy().starts_with("k51"));
    let stream = found.next().unwrap();
    (
        stream.file_name().into_string().unwrap(),
        stream.path().join(file_name(HOUR_TEN)),
    )
}

#[test]
fn what_comes_late_opens_its_hour_again() {
    let folder = tempfile::tempdir().unwrap();
    let run = Run::start(folder.path(), TEN);
    let mut air = run.air();
    let archive = air.archive();
    let mut expected = air.segments(TEN + 100 * SECOND, TEN + 110 * SECOND);
    air.segments(TEN + HOUR, TEN + HOUR + SECOND);
    wait_for(&archive, 1);
    let before = archive.catalogue().hours()[&HOUR_TEN];
    // A clock that was set back.
    air.begun = false;
    air.init += 1;
    expected.extend(air.segments(TEN + 200 * SECOND, TEN + 204 * SECOND));
    air.segments(TEN + 2 * HOUR, TEN + 2 * HOUR + SECOND);
    wait_for(&archive, 3);
    assert_eq!(numbers(&run, &archive, HOUR_TEN), expected);
    let after = archive.catalogue().hours()[&HOUR_TEN];
    assert_eq!(
        (before.duration, after.duration),
        (10 * SECOND, 14 * SECOND)
    );
    assert!(
        read::hour(&run.store, before.link.cid).is_ok(),
        "nothing is rewritten"
    );
}

#[test]
fn old_hours_go_and_the_list_stays() {
    let folder = tempfile::tempdir().unwrap();
    let keep = Keep::For(Duration::from_secs(3 * 3600));
    let settings = store::Settings {
        keep: Duration::from_secs(60),
        ..Default::default()
    };
    let run = Run::with(folder.path(), TEN, settings, keep);
    let mut air = run.air();
    let archive = air.archive();
    for hour in 0..8 {
        air.segments(TEN + hour * HOUR, TEN + hour * HOUR + 40 * SECOND);
        wait_for(&archive, hour);
    }
    let deadline = Instant::now() + Duration::from_secs(10);
    let expected: BTreeSet<u64> = (2..7).map(|hour| HOUR_TEN + hour).collect();
    while archive.held() != expected {
        assert!(Instant::now() < deadline, "{:?}", archive.held());
        std::thread::sleep(Duration::from_millis(20));
    }
    run.store.tidy();
    let hours = archive.catalogue();
    assert_eq!(hours.hours().len(), 7);
    assert!(read::hour(&run.store, hours.hours()[&HOUR_TEN].link.cid).is_err());
    assert!(read::hour(&run.store, hours.hours()[&(HOUR_TEN + 3)].link.cid).is_ok());
}

#[test]
fn no_archive_where_none_is_wanted() {
    let folder = tempfile::tempdir().unwrap();
    let run = Run::with(folder.path(), TEN, store::Settings::default(), Keep::Off);
    let mut air = run.air();
    air.segments(TEN, TEN + SECOND);
    assert!(air.publisher.stream().archive().is_none());
    assert_eq!(run.streams.root_of(air.publisher.stream().name()), None);
}

#[test]
fn every_block_of_an_hour_is_the_one_its_cid_says() {
    let folder = tempfile::tempdir().unwrap();
    let run = Run::start(folder.path(), TEN);
    let mut air = run.air();
    let archive = air.archive();
    air.segments(TEN, TEN + 20 * SECOND);
    air.segments(TEN + HOUR, TEN + HOUR + SECOND);
    wait_for(&archive, 1);
    let mut left = vec![archive.root().unwrap()];
    let mut seen = 0;
    while let Some(cid) = left.pop() {
        let block = read::block(&run.store, cid).unwrap();
        assert!(dag::verify(&cid, &block));
        seen += 1;
        if cid.codec() == dag::DAG_PB {
            left.extend(crate::http::unixfs::Node::parse(&block).unwrap().children());
        }
    }
    // Two renditions with ten segments of a node and three parts each, and what is around them.
    assert!(seen > 2 * 10 * 4, "{seen}");
    let catalogue = archive.catalogue();
    let links: u64 = catalogue
        .hours()
        .values()
        .map(|entry| entry.link.bytes)
        .sum();
    assert!(catalogue.root().unwrap().bytes > links);
}
