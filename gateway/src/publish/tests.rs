//! A stream's publisher with a real store on a real disk: what is announced can be had, also by the next run.

use std::{collections::BTreeMap, path::Path, process::Command, sync::Arc};

use cid::Cid;
use meshlive_protocol::{
    dag,
    manifest::{self, Manifest, News, Opened},
};
use tokio::sync::mpsc;

use super::{Publisher, Settings, Stream, Streams, resume};
use crate::{
    clock::Clock,
    ingest::media::{Event, Sample},
    keys::Keys,
    metrics::Metrics,
    package::{Packager, tests::sample::*},
    store::{self, Store},
};

/// One run of a gateway, without its doors.
struct Run {
    store: Store,
    streams: Streams,
}

impl Run {
    fn start(folder: &Path, now: u64) -> Self {
        let store = Store::open(&folder.join("store"), store::Settings::default()).unwrap();
        let keys = Arc::new(Keys::open(folder).unwrap());
        let clock = Arc::new(Clock::at(now));
        let metrics = Arc::new(Metrics::new());
        let streams = Streams::new(Settings::default(), 4, keys, store.clone(), clock, metrics);
        Self { store, streams }
    }

    fn open(&self) -> (Publisher, Packager) {
        let publisher = self.streams.open("cam", None).unwrap();
        let packager = Packager::new(Default::default(), publisher.numbers());
        (publisher, packager)
    }
}

/// Publishes real media, calling `look` after each event; stops after `most` events.
fn publish(
    publisher: &mut Publisher,
    packager: &mut Packager,
    at: u64,
    most: usize,
    mut look: impl FnMut(&Stream),
) {
    let (format, samples) = real(6);
    let begin = [Event::Format(format), Event::Anchor { at }];
    let samples = samples.into_iter().map(Event::Sample);
    for event in begin.into_iter().chain(samples).take(most) {
        publisher.publish(packager.handle(event, at)).unwrap();
        look(publisher.stream());
    }
}

/// Every part of the window: (rendition, segment, part) and its CID.
fn parts(manifest: &Manifest) -> BTreeMap<(usize, u64, usize), Cid> {
    let mut parts = BTreeMap::new();
    for segment in manifest.segments() {
        for index in 0..manifest.renditions().len() {
            for (part, entry) in segment.parts(index).iter().enumerate() {
                parts.insert((index, segment.msn, part), entry.cid);
            }
        }
    }
    parts
}

#[test]
fn what_is_announced_is_stored_verifies_and_can_be_applied() {
    let folder = tempfile::tempdir().unwrap();
    let run = Run::start(folder.path(), ANCHOR);
    let (mut publisher, mut packager) = run.open();
    let stream = publisher.stream().clone();
    let first = stream.snapshot().signed_manifest().unwrap();
    let Ok(Opened::Manifest(mut viewer)) = manifest::open(stream.name(), &first) else {
        panic!("a manifest")
    };
    let mut heard = 0;
    publish(
        &mut publisher,
        &mut packager,
        ANCHOR,
        usize::MAX,
        |stream| {
            let snapshot = stream.snapshot();
            if snapshot.manifest.sequence() == viewer.sequence() {
                return;
            }
            let envelope = snapshot.announcement.as_ref().unwrap();
            let Ok(Opened::Announcement(announcement)) = manifest::open(stream.name(), envelope)
            else {
                panic!("an announcement")
            };
            // One for each boundary: no sequence is skipped, and no part boundary shares one.
            let mut boundaries: Vec<_> = announcement
                .news
                .iter()
                .filter_map(|one| match one {
                    News::Part { msn, part, cid, .. } => {
                        // From the store itself, not from memory.
                        let block = run.store.get(cid).unwrap().unwrap();
                        assert!(dag::verify(cid, &block));
                        Some((*msn, *part))
                    }
                    News::Closed { cid, .. } | News::Init { cid, .. } => {
                        assert!(run.store.get(cid).unwrap().is_some());
                        None
                    }
                    _ => None,
                })
                .collect();
            boundaries.dedup();
            assert!(boundaries.len() <= 1, "{boundaries:?}");
            viewer.apply(&announcement).unwrap();
            assert_eq!(viewer, snapshot.manifest);
            heard += boundaries.len();
        },
    );
    assert!(heard >= 28, "{heard}");
    assert!(stream.is_live());
    assert_eq!(viewer.renditions().len(), 2);
}

#[test]
fn ffprobe_plays_what_the_store_has() {
    let folder = tempfile::tempdir().unwrap();
    let run = Run::start(folder.path(), ANCHOR);
    let (mut publisher, mut packager) = run.open();
    publish(&mut publisher, &mut packager, ANCHOR, usize::MAX, |_| ());
    publisher
        .publish(packager.handle(Event::End, ANCHOR))
        .unwrap();
    let manifest = publisher.stream().snapshot().manifest.clone();
    assert!(manifest.ended());
    let init = manifest.renditions()[0].inits[0].cid;
    let mut bytes = run.store.get(&init).unwrap().unwrap().to_vec();
    for (_, cid) in parts(&manifest).into_iter().filter(|(key, _)| key.0 == 0) {
        bytes.extend_from_slice(&run.store.get(&cid).unwrap().unwrap());
    }
    let file = folder.path().join("whole.mp4");
    std::fs::write(&file, bytes).unwrap();
    let probe = Command::new("ffprobe")
        .args("-v error -count_frames -select_streams v -show_entries stream=nb_read_frames -of csv=p=0".split(' '))
        .arg(&file)
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&probe.stderr), "");
    assert_eq!(String::from_utf8_lossy(&probe.stdout), "150\n");
}

#[test]
fn a_run_that_stops_anywhere_is_taken_up_with_exactly_what_it_announced() {
    for most in [2, 30, 100, 101, 150, 220, 300] {
        let folder = tempfile::tempdir().unwrap();
        let run = Run::start(folder.path(), ANCHOR);
        let (mut publisher, mut packager) = run.open();
        publish(&mut publisher, &mut packager, ANCHOR, most, |_| ());
        let before = publisher.stream().snapshot();
        // As after a kill: nothing is closed, nothing said.
        drop((publisher, packager, run));

        let run = Run::start(folder.path(), ANCHOR + 10_000_000);
        let (mut publisher, mut packager) = run.open();
        let after = publisher.stream().snapshot();
        assert_eq!(parts(&before.manifest), parts(&after.manifest), "{most}");
        assert!(after.manifest.epoch() > before.manifest.epoch());
        assert!(!after.live);
        for cid in parts(&after.manifest).values() {
            assert!(dag::verify(
                cid,
                &publisher.stream().block(cid).unwrap().unwrap()
            ));
        }
        for segment in after.manifest.segments() {
            for index in 0..2 {
                let root = segment.strand(index).root.expect("closed");
                assert!(run.store.get(&root).unwrap().is_some());
            }
        }
        let next = before.manifest.next_msn();
        publish(
            &mut publisher,
            &mut packager,
            ANCHOR + 10_000_000,
            usize::MAX,
            |_| (),
        );
        let manifest = &publisher.stream().snapshot().manifest;
        if before.manifest.segments().len() > 0 {
            let segment = manifest.segment(next).expect("numbers go on");
            assert!(segment.discontinuity);
        }
        let all = parts(manifest);
        assert!(
            parts(&before.manifest)
                .iter()
                .all(|(key, cid)| all[key] == *cid)
        );
    }
}

#[test]
fn after_a_power_cut_or_without_a_journal_no_number_comes_again() {
    let folder = tempfile::tempdir().unwrap();
    let run = Run::start(folder.path(), ANCHOR);
    let (mut publisher, mut packager) = run.open();
    let first = publisher.numbers();
    publish(&mut publisher, &mut packager, ANCHOR, usize::MAX, |_| ());
    let before = publisher.stream().snapshot();
    let name = publisher.stream().name().clone();
    drop((publisher, packager, run));

    // Another boot: the record of this one is not the last in the journal.
    let journal = folder
        .path()
        .join("store")
        .join(name.to_string())
        .join("journal");
    let kept = std::fs::read(&journal).unwrap();
    let run = Run::start(folder.path(), ANCHOR);
    run.store
        .journal(&name)
        .unwrap()
        .append(b"boot of another machine")
        .unwrap();
    let (publisher, _) = run.open();
    assert!(publisher.numbers().segment >= before.manifest.next_msn() + 64);
    assert!(publisher.numbers().init >= before.manifest.next_init() + 64);
    assert!(publisher.stream().snapshot().manifest.epoch() > before.manifest.epoch());
    drop((publisher, run));

    // A record in the middle is missing.
    let mut run = Run::start(folder.path(), ANCHOR);
    let records = {
        std::fs::write(&journal, &kept).unwrap();
        run.store.journal(&name).unwrap().take_records()
    };
    let mut fewer = records.clone();
    fewer.remove(9);
    let settings = *before.manifest.settings();
    let resumed = resume::resume(
        &name,
        &fewer,
        false,
        settings,
        ANCHOR,
        &resume::boot_record(),
    );
    assert_eq!(resumed.manifest.segments().len(), 0);
    let whole = resume::resume(
        &name,
        &records,
        false,
        settings,
        ANCHOR,
        &resume::boot_record(),
    );
    assert_eq!(parts(&whole.manifest), parts(&before.manifest));

    // No journal at all, a minute later.
    drop(run);
    std::fs::remove_file(&journal).unwrap();
    run = Run::start(folder.path(), ANCHOR + 60_000_000);
    let (publisher, _) = run.open();
    assert!(publisher.numbers().segment > before.manifest.next_msn());
    assert!(publisher.numbers().segment >= first.segment + 60);
    assert!(publisher.stream().snapshot().manifest.epoch() > before.manifest.epoch());
}

#[test]
fn the_journal_stays_small() {
    let folder = tempfile::tempdir().unwrap();
    let run = Run::start(folder.path(), ANCHOR);
    let (mut publisher, mut packager) = run.open();
    let name = publisher.stream().name().to_string();
    publisher
        .publish(packager.handle(Event::Format(both((30, 1))), ANCHOR))
        .unwrap();
    let journal = folder.path().join("store").join(name).join("journal");
    let mut sizes = Vec::new();
    for minute in 0..8 {
        for (count, s) in seconds(60, 30, 60, true).into_iter().enumerate() {
            let ticks = minute * 60 * if s.track == AUDIO { 48_000 } else { 90_000 };
            let s = Sample {
                dts: s.dts + ticks,
                pts: s.pts + ticks,
                ..s
            };
            publisher
                .publish(packager.handle(Event::Sample(s), ANCHOR))
                .unwrap();
            if count % 500 == 0 {
                run.store.flush();
                sizes.push(std::fs::metadata(&journal).unwrap().len());
            }
        }
    }
    let longest = *sizes.iter().max().unwrap();
    assert!((450 << 10..600 << 10).contains(&longest), "{longest}");
    assert!(sizes.windows(2).any(|two| two[1] < two[0]), "it began anew");
    let window = publisher.stream().snapshot().manifest.segments().len();
    assert!((30..=33).contains(&window), "{window}");
}

#[tokio::test]
async fn a_stream_without_parts_for_3_seconds_is_not_live_and_everyone_hears_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let run = Run::start(folder.path(), ANCHOR);
    let (publisher, _) = run.open();
    let stream = publisher.stream().clone();
    let mut told = stream.subscribe();
    let mut directory = run.streams.changed();
    let (events, receiver) = mpsc::channel(8);
    let thread = publisher.spawn(Default::default(), receiver).unwrap();
    events.send(Event::Format(both((30, 1)))).await.unwrap();
    for s in seconds(1, 30, 60, true) {
        events.send(Event::Sample(s)).await.unwrap();
    }
    told.wait_for(|snapshot| snapshot.live).await.unwrap();
    directory.mark_unchanged();
    let silent = std::time::Instant::now();
    told.wait_for(|snapshot| !snapshot.live).await.unwrap();
    assert!(
        (2_500..6_000).contains(&silent.elapsed().as_millis()),
        "{silent:?}"
    );
    directory.changed().await.unwrap();
    assert!(!stream.is_live());
    // All senders gone: the open segment is closed, and the thread ends.
    drop(events);
    tokio::task::spawn_blocking(|| thread.join().unwrap())
        .await
        .unwrap();
    let snapshot = stream.snapshot();
    let last = snapshot.manifest.segments().next_back().unwrap();
    assert!(last.strand(0).root.is_some());
}

#[test]
fn the_newest_notices_are_shown_until_the_publisher_has_gone() {
    let folder = tempfile::tempdir().unwrap();
    let run = Run::start(folder.path(), ANCHOR);
    let (mut publisher, mut packager) = run.open();
    publish(&mut publisher, &mut packager, ANCHOR, 200, |_| ());
    let stream = publisher.stream().clone();
    assert!(stream.is_live());
    for n in (0..20).chain([15]) {
        stream.notice(&format!("notice {n}"));
    }
    let newest = [12, 13, 14, 16, 17, 18, 19, 15].map(|n| format!("notice {n}"));
    assert_eq!(stream.notices(), newest);
    publisher.silence();
    assert!(stream.notices().is_empty());
}

#[test]
fn an_epoch_whose_first_manifest_could_not_be_written_goes_on_with_what_it_announced() {
    let folder = tempfile::tempdir().unwrap();
    let mut records = Vec::new();
    let mut last = None;
    for _ in 0..2 {
        let run = Run::start(folder.path(), ANCHOR);
        let (mut publisher, mut packager) = run.open();
        publish(&mut publisher, &mut packager, ANCHOR, 200, |_| ());
        let name = publisher.stream().name().clone();
        last = Some((name.clone(), publisher.stream().snapshot()));
        drop((publisher, packager, run));
        let store = Run::start(folder.path(), ANCHOR).store;
        let mut written = store.journal(&name).unwrap().take_records();
        if !records.is_empty() {
            let whole =
                |record: &[u8]| !matches!(manifest::open(&name, record), Ok(Opened::Manifest(_)));
            written.retain(|record| whole(record));
        }
        records.extend(written);
    }
    let (name, after) = last.unwrap();
    let settings = *after.manifest.settings();
    let resumed = resume::resume(
        &name,
        &records,
        false,
        settings,
        ANCHOR,
        &resume::boot_record(),
    );
    assert_eq!(parts(&resumed.manifest), parts(&after.manifest));
    assert!(resumed.epoch > after.manifest.epoch());
}
