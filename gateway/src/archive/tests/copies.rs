//! Hours that leave and come as a file, and stores that were damaged.

use std::{
    collections::HashSet, fs::OpenOptions, ops::Range, os::unix::fs::FileExt, path::PathBuf,
};

use super::*;
use crate::archive::{
    car::{self, Car, Taken},
    read::Source,
};

/// A data folder with two hours of a day, closed.
fn made() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let run = Run::start(folder.path(), TEN);
    let mut air = run.air();
    let archive = air.archive();
    air.segments(TEN, TEN + 20 * SECOND);
    air.segments(TEN + HOUR, TEN + HOUR + 20 * SECOND);
    air.segments(TEN + 2 * HOUR, TEN + 2 * HOUR + SECOND);
    wait_for(&archive, 2);
    folder
}

/// As a command opens it.
fn open(folder: &Path) -> (Archive, Store) {
    let store = Store::open(&folder.join("store"), store::Settings::default()).unwrap();
    let key = Keys::open(folder)
        .unwrap()
        .ensure("cam")
        .unwrap()
        .signing_key;
    let archive = Archive::of(Arc::new(key), store.clone()).unwrap();
    (archive, store)
}

fn day(archive: &Archive) -> Cid {
    archive.catalogue().days()[&(HOUR_TEN / 24)].cid
}

fn export(folder: &Path, file: &Path) -> io::Result<()> {
    let (archive, store) = open(folder);
    let mut bytes = Vec::new();
    car::write(&store, day(&archive), "day", &mut bytes, |_| ())?;
    std::fs::write(file, bytes)
}

/// Paths of what is missing or damaged in the day.
fn faults(folder: &Path) -> Vec<String> {
    let (archive, store) = open(folder);
    let mut found = Vec::new();
    let root = day(&archive);
    walk(&store, root, "day", &mut HashSet::new(), &mut |_, block| {
        found.extend(block.err().map(|fault| fault.to_string()));
        Ok(())
    })
    .unwrap();
    found
}

fn pack(folder: &Path) -> PathBuf {
    let (stream, _) = journal(folder);
    let name = format!("store/{stream}/20261122T11-720p-0.car");
    folder.join(name)
}

/// One bit of a part in the second hour, at 4 s.
pub(crate) fn flip(folder: &Path) {
    let path = pack(folder);
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(&path)
        .unwrap();
    let bytes = std::fs::read(&path).unwrap();
    // In the middle of a part.
    let text = format!("720p {} 1", TEN + HOUR + 4 * SECOND);
    let at = bytes
        .windows(text.len())
        .position(|part| part == text.as_bytes());
    file.write_all_at(b"8", at.unwrap() as u64).unwrap();
}

fn truncate(folder: &Path) {
    let path = pack(folder);
    let length = std::fs::metadata(&path).unwrap().len();
    let file = OpenOptions::new().write(true).open(&path).unwrap();
    file.set_len(length / 2).unwrap();
}

#[test]
fn a_flipped_bit_and_a_truncated_pack_are_named_and_made_whole_by_a_copy() {
    for (name, damage, least, most, why) in [
        ("flip", flip as fn(&Path), 1, 1, "does not match its CID"),
        ("truncate", truncate, 1, 100, "is not here"),
    ] {
        let folder = made();
        assert_eq!(faults(folder.path()), [""; 0], "{name}");
        let file = folder.path().join("day.car");
        export(folder.path(), &file).unwrap();
        damage(folder.path());
        let found = faults(folder.path());
        assert!((least..=most).contains(&found.len()), "{name}: {found:?}");
        assert!(
            found.iter().all(|fault| fault.starts_with("day/11/720p")),
            "{found:?}"
        );
        assert!(found.iter().all(|fault| fault.contains(why)), "{found:?}");
        // No file is made of what is damaged.
        let error = export(folder.path(), &folder.path().join("other.car")).unwrap_err();
        assert!(error.to_string().contains("day/11/720p"), "{error}");
        let (archive, store) = open(folder.path());
        let before = archive.entries(0, 99);
        let copy = Car::open(&file).unwrap();
        for link in car::hours(&copy, copy.root).unwrap() {
            let (_, taken) = archive.take_in(&copy, link, |_| ()).unwrap();
            assert_eq!(taken, Taken::Whole);
        }
        assert_eq!(archive.entries(0, 99), before, "the list is as it was");
        drop((archive, store));
        assert_eq!(faults(folder.path()), [""; 0], "{name}");
    }
}

#[test]
fn a_day_that_was_lost_comes_back_from_its_copy() {
    let folder = made();
    let file = folder.path().join("day.car");
    export(folder.path(), &file).unwrap();
    let expected = open(folder.path()).0.catalogue();
    std::fs::remove_dir_all(folder.path().join("store")).unwrap();
    let (archive, store) = open(folder.path());
    let copy = Car::open(&file).unwrap();
    assert_eq!(copy.root, expected.days()[&(HOUR_TEN / 24)].cid);
    for link in car::hours(&copy, copy.root).unwrap() {
        assert_eq!(archive.take_in(&copy, link, |_| ()).unwrap().1, Taken::New);
    }
    let found = archive.catalogue();
    assert_eq!(found.hours(), expected.hours());
    assert_eq!(
        (found.days(), found.root()),
        (expected.days(), expected.root())
    );
    drop((archive, store));
    assert_eq!(faults(folder.path()), [""; 0]);
}

#[test]
fn what_is_no_whole_hour_is_not_taken_in() {
    let folder = made();
    let file = folder.path().join("day.car");
    export(folder.path(), &file).unwrap();
    let whole = std::fs::read(&file).unwrap();
    let (archive, _store) = open(folder.path());
    let before = archive.entries(0, 99);
    for broken in [&b""[..], b"no CAR at all", &whole[..40]] {
        std::fs::write(&file, broken).unwrap();
        let error = Car::open(&file).err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{error}");
    }
    // One that ends in its middle.
    std::fs::write(&file, &whole[..whole.len() / 2]).unwrap();
    let copy = Car::open(&file).unwrap();
    let hours = car::hours(&copy, copy.root).unwrap();
    assert!(
        hours
            .iter()
            .any(|link| archive.take_in(&copy, *link, |_| ()).is_err())
    );
    // Another hour of the same time.
    let other = tempfile::tempdir().unwrap();
    {
        let run = Run::start(other.path(), TEN);
        let mut air = run.air();
        air.segments(TEN, TEN + 6 * SECOND);
        air.segments(TEN + HOUR, TEN + HOUR + SECOND);
        wait_for(&air.archive(), 1);
        let link = air.archive().catalogue().hours()[&HOUR_TEN].link;
        let error = archive.take_in(&run.store, link, |_| ()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists, "{error}");
    }
    assert_eq!(archive.entries(0, 99), before);
}

#[test]
fn an_hour_that_is_taken_down_is_gone_here_and_stays_with_others() {
    let folder = made();
    let copy = tempfile::tempdir().unwrap();
    let file = copy.path().join("day.car");
    export(folder.path(), &file).unwrap();
    let taken = {
        let (archive, store) = open(folder.path());
        let taken = archive.catalogue().hours()[&HOUR_TEN].link.cid;
        let stays = archive.catalogue().hours()[&(HOUR_TEN + 1)].link.cid;
        assert!(archive.take_down(HOUR_TEN + 7).is_err());
        archive.take_down(HOUR_TEN).unwrap();
        assert_eq!(archive.held(), [HOUR_TEN + 1].into());
        assert!(matches!(store.get(&taken), Ok(None)));
        assert!(read::hour(&store, stays).is_ok());
        taken
    };
    // After a restart as well: the list says so, the day and the root are whole without it.
    let (archive, store) = open(folder.path());
    let catalogue = archive.catalogue();
    assert_eq!(*catalogue.tombstones(), [HOUR_TEN].into());
    assert_eq!(catalogue.hours().len(), 1);
    let root = read::directory(&store, archive.root().unwrap()).unwrap();
    assert_eq!(root["2026-11-22"].cid, day(&archive));
    let names: Vec<_> = read::directory(&store, day(&archive))
        .unwrap()
        .into_keys()
        .collect();
    assert!(
        names.contains(&"11".to_owned()) && !names.contains(&"10".to_owned()),
        "{names:?}"
    );
    let whole = |store: &Store, cid| {
        let mut faults = 0;
        walk(store, cid, "", &mut HashSet::new(), &mut |_, block| {
            faults += usize::from(block.is_err());
            Ok(())
        })
        .unwrap();
        faults == 0
    };
    assert!(whole(&store, archive.root().unwrap()) && !whole(&store, taken));
    let parts = [0, 1].map(|part| dag::cid_of(format!("720p {TEN} {part}").as_bytes()));
    assert!(parts.iter().all(|cid| matches!(store.get(cid), Ok(None))));
    // The copy has it, and the list as others read it goes back to nothing that was said before.
    assert!(Car::open(&file).unwrap().find(&taken).unwrap().is_some());
    let mut read = Catalogue::default();
    for entry in archive.entries(0, 10) {
        read.apply(&Entry::open(archive.stream(), &entry).unwrap())
            .unwrap();
    }
    assert_eq!(read, catalogue);
    // The last hour of a day: the day goes as well.
    archive.take_down(HOUR_TEN + 1).unwrap();
    assert!(archive.catalogue().days().is_empty() && archive.held().is_empty());
    assert!(
        read::directory(&store, archive.root().unwrap())
            .unwrap()
            .is_empty()
    );
}

#[test]
fn damage_is_found_by_itself_and_what_is_whole_is_not_taken_for_damaged() {
    let folder = made();
    let wait = |run: &Run, until: &dyn Fn(&str) -> bool| {
        let begun = Instant::now();
        loop {
            let text = run.metrics.render();
            if until(&text) {
                return text;
            }
            assert!(begun.elapsed() < Duration::from_secs(20), "{text}");
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    let value = |text: &str, name: &str| -> u64 {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.map_or(0, |value| value.trim().parse().unwrap())
    };
    let verified = "meshlive_archive_verified_bytes_total ";
    let damaged = "meshlive_archive_damaged_blocks ";
    let start = || {
        let run = Run::scrubbing(folder.path(), TEN + 3 * HOUR);
        let air = run.air();
        (run, air)
    };
    let (run, air) = start();
    let once = value(&wait(&run, &|text| value(text, verified) > 0), verified);
    // A whole round and more.
    let text = wait(&run, &|text| value(text, verified) > 3 * once);
    assert_eq!(value(&text, damaged), 0);
    drop((air, run));
    flip(folder.path());
    let (run, air) = start();
    wait(&run, &|text| value(text, damaged) == 1);
    drop((air, run));
}

#[test]
fn a_clip_outlasts_its_hours_and_not_their_tombstone() {
    let folder = made();
    let (archive, store) = open(folder.path());
    // The last of one hour and the first of the next do not meet here: 6 s of one, 4 s of the other.
    let time = TEN + 14 * SECOND..TEN + HOUR + 4 * SECOND;
    let clip = archive.clip(&time).unwrap();
    assert_eq!(archive.clip(&time).unwrap(), clip, "the same again");
    let starts = |cid| -> io::Result<Vec<u64>> {
        let hour = read::hour(&store, cid)?;
        Ok(hour
            .segments()
            .map(|one| one.start / SECOND - TEN / SECOND)
            .collect())
    };
    assert_eq!(starts(clip.cid).unwrap(), [14, 16, 18, 3600, 3602]);
    let backwards = Range {
        start: time.end,
        end: time.start,
    };
    let error = archive.clip(&backwards).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    for nothing in [TEN - HOUR..TEN, TEN + 30 * SECOND..TEN + 40 * SECOND] {
        let error = archive.clip(&nothing).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
    // Its hours go, as retention lets them go.
    let hours = [HOUR_TEN, HOUR_TEN + 1];
    let gone = hours.map(|hour| archive.catalogue().hours()[&hour].link.cid);
    for hour in hours {
        archive.release(hour);
        store.give_up_hour(archive.stream(), start(hour)).unwrap();
    }
    assert!(gone.iter().all(|cid| starts(*cid).is_err()));
    let mut blocks = 0;
    walk(
        &store,
        clip.cid,
        "",
        &mut HashSet::new(),
        &mut |_, block| {
            block.map_err(|fault| fault.error)?;
            blocks += 1;
            Ok(())
        },
    )
    .unwrap();
    assert!(blocks > 5 * 2 * 4, "{blocks} blocks");
    archive.take_down(HOUR_TEN + 1).unwrap();
    let part = |at: u64| store.get(&dag::cid_of(format!("720p {at} 0").as_bytes()));
    assert!(matches!(part(TEN + 14 * SECOND), Ok(Some(_))));
    assert!(matches!(part(TEN + HOUR), Ok(None)));
}
