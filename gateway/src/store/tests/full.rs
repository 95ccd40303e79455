//! A disk that is full or read-only: a real one, mounted in a mount namespace of the test's own process.
//!
//! The tests run themselves again under `unshare`: as root with `-m`, else with `-Urm`, where the system allows
//! unprivileged user namespaces.

use std::process::Command;

use super::{super::*, *};
use crate::store::key::HOUR;

/// Runs one of the tests below in a mount namespace with a tmpfs of `size` on the folder it is told.
fn in_namespace(test: &str, size: &str) {
    let folder = tempfile::tempdir().unwrap();
    let root = std::fs::metadata("/proc/self")
        .is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0);
    let output = Command::new("unshare")
        .arg(if root { "-m" } else { "-Urm" })
        .args(["sh", "-ec", r#"mount -t tmpfs -o size="$1" tmpfs "$2"; exec "$3" --exact "store::tests::full::$4" --ignored --nocapture"#, "sh"])
        .args([size.as_ref(), folder.path().as_os_str(), std::env::current_exe().unwrap().as_os_str(), test.as_ref()])
        .env("MESHLIVE_TEST_FOLDER", folder.path())
        .output()
        .expect("unshare (package util-linux) starts");
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(
        output.status.success() && text.contains("1 passed"),
        "needs root, or unprivileged user namespaces: {text}"
    );
}

fn folder() -> Option<PathBuf> {
    std::env::var_os("MESHLIVE_TEST_FOLDER").map(PathBuf::from)
}

fn used(folder: &Path) -> u64 {
    let files = std::fs::read_dir(folder.join(STREAM.to_string())).unwrap();
    files
        .map(|file| file.unwrap().metadata().unwrap().len())
        .sum()
}

#[test]
fn a_full_disk_drops_the_oldest() {
    in_namespace("full_disk", "2m");
}

#[test]
#[ignore = "needs its own file system: started by a_full_disk_drops_the_oldest"]
fn full_disk() {
    let Some(folder) = folder() else { return };
    let store = open(&folder);
    let mut notices = store.notices();
    // 40 hours of 10 blocks of 10 KB are twice what fits.
    for n in 0..400 {
        store.needed_since(&STREAM, (n / 10 * HOUR).saturating_sub(HOUR));
        assert_eq!(
            put(&store, "v", n / 10 * HOUR, &block(n, 10_000)),
            Outcome::Stored,
            "block {n}"
        );
    }
    let first = (0..400).find(|n| has(&store, &block(*n, 10_000))).unwrap();
    assert_eq!(first % 10, 0, "whole hours are given up");
    (first..400).for_each(|n| {
        assert!(
            has(&store, &block(n, 10_000)),
            "{n} of those from {first} on"
        )
    });
    assert!(first <= 300, "no more than needed was given up");
    let dropped: Vec<_> = std::iter::from_fn(|| notices.try_recv().ok()).collect();
    assert_eq!(dropped.len() as u64, first / 10);
    assert!(
        matches!(&dropped[0], Notice::Dropped { pack, .. } if pack.ends_with("/19700101T00-v-0")),
        "{dropped:?}"
    );
    drop(store);
    let store = open(&folder);
    (first..400).for_each(|n| assert!(has(&store, &block(n, 10_000)), "{n} after reopening"));
}

#[test]
fn a_full_disk_with_nothing_to_drop_goes_on_from_memory() {
    in_namespace("nothing_to_drop", "1m");
}

#[test]
#[ignore = "needs its own file system: started by a_full_disk_with_nothing_to_drop_goes_on_from_memory"]
fn nothing_to_drop() {
    let Some(folder) = folder() else { return };
    let store = open(&folder);
    let mut notices = store.notices();
    store.needed_since(&STREAM, 0); // all of it is live
    let mut journal = store.journal(&STREAM).unwrap();
    let outcomes: Vec<_> = (0..300)
        .map(|n| put(&store, "v", 0, &block(n, 10_000)))
        .collect();
    let stored = outcomes
        .iter()
        .filter(|outcome| **outcome == Outcome::Stored)
        .count() as u64;
    assert!((80..110).contains(&stored), "{stored} stored");
    assert!(matches!(notices.try_recv(), Ok(Notice::NotStoring { .. })));
    assert!(notices.try_recv().is_err(), "said once");
    assert_eq!(store.stats().not_stored, 300 - stored);
    (0..300).for_each(|n| {
        assert!(
            has(&store, &block(n, 10_000)),
            "{n} is served, from disk or memory"
        )
    });
    // A journal on a full disk says so, and is whole up to there.
    std::fs::write(folder.join("filler"), vec![0; 1 << 20]).unwrap_err();
    let written = (0..10_000u32)
        .take_while(|n| {
            journal
                .append(&[&n.to_le_bytes()[..], &[1; 1000]].concat())
                .is_ok()
        })
        .count();
    std::fs::remove_file(folder.join("filler")).unwrap();
    journal.append(b"room again").unwrap();
    drop(journal);
    let mut records = store.journal(&STREAM).unwrap().take_records();
    assert_eq!(records.pop().unwrap(), b"room again");
    assert_eq!(records.len(), written);
    std::thread::sleep(Duration::from_secs(2));
    // The window moves on: the first hour may go, and blocks are stored again.
    store.needed_since(&STREAM, HOUR);
    assert_eq!(
        put(&store, "v", HOUR, &block(1000, 100_000)),
        Outcome::Stored
    );
    assert_eq!(
        put(&store, "v", HOUR, &block(1001, 600_000)),
        Outcome::Stored
    );
    let told: Vec<_> = std::iter::from_fn(|| notices.try_recv().ok()).collect();
    assert!(
        told.iter()
            .any(|notice| matches!(notice, Notice::Dropped { .. })),
        "{told:?}"
    );
    assert!(told.contains(&Notice::Storing), "{told:?}");
    drop(store);
    assert!(used(&folder) < 1 << 20);
    let store = open(&folder);
    assert!(has(&store, &block(1000, 100_000)) && has(&store, &block(1001, 600_000)));
    assert!(!has(&store, &block(0, 10_000)));
}

#[test]
fn a_read_only_disk_serves_and_goes_on_from_memory() {
    in_namespace("read_only", "4m");
}

#[test]
#[ignore = "needs its own file system: started by a_read_only_disk_serves_and_goes_on_from_memory"]
fn read_only() {
    let Some(folder) = folder() else { return };
    let store = open(&folder);
    (0..50).for_each(|n| {
        assert_eq!(
            put(&store, "v", n / 20 * HOUR, &block(n, 1000)),
            Outcome::Stored
        )
    });
    store.close_all().unwrap();
    let mut journal = store.journal(&STREAM).unwrap();
    journal.append(b"written").unwrap();
    journal.is_complete().unwrap();
    drop(journal);
    assert_eq!(
        put(&store, "v", 2 * HOUR, &block(50, 1000)),
        Outcome::Stored
    );
    drop(store);
    let torn = folder.join(STREAM.to_string()).join("19700101T02-v-1.car");
    let mut bytes = std::fs::read(&torn).unwrap();
    bytes.extend_from_slice(&[0x27; 20]);
    std::fs::write(&torn, bytes).unwrap();
    let mount = Command::new("mount")
        .args(["-o", "remount,ro"])
        .arg(&folder)
        .status()
        .unwrap();
    assert!(mount.success());
    let store = open(&folder);
    (0..=50).for_each(|n| assert!(has(&store, &block(n, 1000)), "{n}"));
    assert_eq!(
        put(&store, "v", 2 * HOUR, &block(51, 1000)),
        Outcome::NotStored
    );
    assert!(has(&store, &block(51, 1000)));
    let mut journal = store.journal(&STREAM).unwrap();
    assert!(journal.has_lapsed());
    assert_eq!(journal.take_records(), [b"written".to_vec()]);
    let error = journal.append(b"unwritten").unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ReadOnlyFilesystem);
    store.flush();
    // The disk can be written again: all goes on.
    let mount = Command::new("mount")
        .args(["-o", "remount,rw"])
        .arg(&folder)
        .status()
        .unwrap();
    assert!(mount.success());
    journal.append(b"again").unwrap();
    drop(journal);
    let records = store.journal(&STREAM).unwrap().take_records();
    assert_eq!(records, [b"written".to_vec(), b"again".to_vec()]);
    assert_eq!(
        put(&store, "v", 2 * HOUR, &block(52, 1000)),
        Outcome::Stored
    );
}
