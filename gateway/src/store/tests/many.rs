//! Many at once: threads, packs, parts.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    thread,
};

use super::{super::*, *};
use crate::store::{
    index::{Entry, Writer},
    key::HOUR,
};

/// Nothing is given up by itself.
fn keeping_all(open_files: usize) -> Settings {
    Settings {
        keep: Duration::MAX,
        max_bytes: u64::MAX,
        open_files,
        ..Settings::default()
    }
}

#[test]
fn readers_find_what_writers_have_stored_while_packs_close_and_merge_and_go() {
    let folder = memory_folder();
    let store = Store::open(folder.path(), keeping_all(4)).unwrap();
    const WRITERS: u64 = 4;
    const EACH: u64 = 800;
    let stored: Vec<_> = (0..WRITERS).map(|_| AtomicU64::new(0)).collect();
    let (kept_from, going) = (AtomicU64::new(0), AtomicU64::new(1));
    let hour_of = |n: u64| n / 25;
    thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let (store, stored) = (store.clone(), &stored[writer as usize]);
                scope.spawn(move || {
                    for n in 0..EACH {
                        let block = block(writer << 32 | n, 2000);
                        assert_eq!(
                            put(&store, &format!("v{writer}"), hour_of(n) * HOUR, &block),
                            Outcome::Stored
                        );
                        stored.store(n + 1, Ordering::SeqCst);
                    }
                })
            })
            .collect();
        for reader in 0..4 {
            let (store, stored, going, kept_from) = (store.clone(), &stored, &going, &kept_from);
            scope.spawn(move || {
                let mut random = reader;
                while going.load(Ordering::SeqCst) == 1 {
                    random = u64::wrapping_mul(random, 6_364_136_223_846_793_005)
                        .wrapping_add(1_442_695_040_888_963_407);
                    let writer = random >> 40 & (WRITERS - 1);
                    let count = stored[writer as usize].load(Ordering::SeqCst);
                    if count == 0 {
                        continue;
                    }
                    let n = (random >> 33) % count;
                    let found = has(&store, &block(writer << 32 | n, 2000));
                    assert!(
                        found || hour_of(n) < kept_from.load(Ordering::SeqCst),
                        "block {n} of writer {writer}"
                    );
                }
            });
        }
        // Once more when all is written: the writers may be done while one round lasts.
        let mut written = false;
        while !written {
            written = writers.iter().all(thread::ScopedJoinHandle::is_finished);
            let slowest = stored
                .iter()
                .map(|stored| stored.load(Ordering::SeqCst))
                .min()
                .unwrap();
            let open: Vec<_> = store.inner.read_state().open.values().cloned().collect();
            for pack in open {
                if pack.key.hour + 2 < hour_of(slowest) {
                    store.inner.close(&pack).unwrap();
                }
            }
            let from = hour_of(slowest).saturating_sub(12);
            store.needed_since(&STREAM, from * HOUR);
            kept_from.store(from, Ordering::SeqCst);
            store.tidy();
            while store.inner.drop_oldest(None).is_some() {}
        }
        going.store(0, Ordering::SeqCst);
    });
    let stats = store.stats();
    assert_eq!(stats.not_stored, 0);
    assert!(stats.packs >= 4 && stats.packs < 4 * 32, "{stats:?}");
}

#[test]
fn a_block_in_any_of_many_packs_is_found_with_few_files_open() {
    let folder = memory_folder();
    let store = Store::open(folder.path(), keeping_all(3)).unwrap();
    (0..300).for_each(|n| {
        assert_eq!(
            put(&store, "v", n / 3 * HOUR, &block(n, 100)),
            Outcome::Stored
        )
    });
    store.close_all().unwrap();
    let before = store.inner.read_state().indexes.len();
    store.tidy();
    let after = store.inner.read_state().indexes.len();
    assert!(
        before == 100 && after <= 10,
        "{before} indexes were merged into {after}"
    );
    drop(store);
    let store = Store::open(folder.path(), keeping_all(3)).unwrap();
    assert_eq!(store.inner.read_state().indexes.len(), after);
    (0..300).for_each(|n| assert!(has(&store, &block(n, 100)), "{n}"));
    assert!(!has(&store, b"never stored"));
}

/// The packs that `parts` parts of a month in four renditions make, each of 18,055; as indexes, with sparse packs.
pub(in crate::store) fn generate(folder: &Path, packs: u64) {
    let stream = folder.join(STREAM.to_string());
    std::fs::create_dir_all(&stream).unwrap();
    for pack in 0..packs {
        let key = key::PackKey::new(
            &STREAM.to_string(),
            ["1080p", "720p", "360p", "audio"][pack as usize % 4],
            pack / 4 * HOUR,
        )
        .unwrap();
        let mut keys: Vec<u64> = (0..18_055)
            .map(|part| (pack << 32 | part).wrapping_mul(0x9e37_79b9_7f4a_7c15))
            .collect();
        keys.sort_unstable();
        let path = pack::extension(&stream.join(key.stem()), "idx");
        let mut writer = Writer::create(&path).unwrap();
        for (n, key) in keys.into_iter().enumerate() {
            writer
                .push(Entry {
                    key,
                    pack: 0,
                    offset: n as u64 * 75_000 + 26,
                    length: 75_000,
                })
                .unwrap();
        }
        writer
            .finish(std::iter::once(key.to_string().as_str()))
            .unwrap();
        File::create(pack::extension(&stream.join(key.stem()), "car"))
            .unwrap()
            .set_len(18_055 * 75_000 + 26)
            .unwrap();
    }
}

#[test]
fn a_closed_part_takes_less_than_a_tenth_of_a_byte_of_memory() {
    let folder = memory_folder();
    generate(folder.path(), 24);
    for merged in [false, true] {
        let settings = keeping_all(Settings::default().open_files);
        let store = Store::open(folder.path(), settings).unwrap();
        if merged {
            store.tidy();
            assert!(store.inner.read_state().indexes.len() <= 3);
        }
        let bytes = store.stats().index_bytes as f64 / (24.0 * 18_055.0);
        assert!(
            bytes < 0.1,
            "{bytes} bytes a part: 52 million take {} MB",
            bytes * 52.0
        );
    }
}
