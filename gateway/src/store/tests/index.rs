//! Indexes on disk: all that was written is found, and no flipped bit goes unnoticed.

use std::{fs::File, io, path::Path};

use crate::store::index::{Entry, Index, PAGE_ENTRIES, Writer};

fn entry(n: u64) -> Entry {
    // Spread like digests; three of them share a key.
    let key = if n < 3 {
        1 << 40
    } else {
        n.wrapping_mul(0x9e37_79b9_7f4a_7c15)
    };
    Entry {
        key,
        pack: (n % 2) as u16,
        offset: n << 20,
        length: 100 + n as u32,
    }
}

fn write(path: &Path, count: u64) -> Vec<Entry> {
    let mut entries: Vec<_> = (0..count).map(entry).collect();
    entries.sort();
    let mut writer = Writer::create(path).unwrap();
    entries
        .iter()
        .for_each(|entry| writer.push(*entry).unwrap());
    writer.finish(["a/b", "c/d"].into_iter()).unwrap();
    entries
}

#[test]
fn finds_what_was_written_with_fences_alone_in_memory() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.idx");
    for count in [0, 1, 203, 204, 205, 5000] {
        let entries = write(&path, count);
        let (index, file) = (Index::open(&path).unwrap(), File::open(&path).unwrap());
        assert_eq!(index.packs, ["a/b", "c/d"]);
        for entry in &entries {
            let same: Vec<_> = entries
                .iter()
                .filter(|other| other.key == entry.key)
                .copied()
                .collect();
            assert_eq!(index.find(&file, entry.key).unwrap(), same);
        }
        assert_eq!(index.find(&file, 77).unwrap(), []);
        assert_eq!(index.find(&file, u64::MAX).unwrap(), []);
        assert!(index.memory() <= 300 + count as usize * 8 / PAGE_ENTRIES);
    }
}

#[test]
fn keys_that_fill_more_than_a_page_are_all_found() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.idx");
    let mut writer = Writer::create(&path).unwrap();
    for offset in 0..1000 {
        writer
            .push(Entry {
                key: 5,
                pack: 0,
                offset,
                length: 1,
            })
            .unwrap();
    }
    writer.finish(["a/b"].into_iter()).unwrap();
    let (index, file) = (Index::open(&path).unwrap(), File::open(&path).unwrap());
    assert_eq!(index.find(&file, 5).unwrap().len(), 1000);
}

#[test]
fn every_flipped_bit_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.idx");
    write(&path, 300);
    let good = std::fs::read(&path).unwrap();
    for bit in (0..good.len() * 8)
        .step_by(61)
        .chain((good.len() - 24) * 8..good.len() * 8)
    {
        let mut bytes = good.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        std::fs::write(&path, &bytes).unwrap();
        let noticed = Index::open(&path).is_err_and(|e| e.kind() == io::ErrorKind::InvalidData)
            || Index::open(&path).is_ok_and(|index| {
                let file = File::open(&path).unwrap();
                (0..index.pages()).any(|page| index.page(&file, page).is_err())
            });
        assert!(noticed, "bit {bit}");
    }
    for cut in 0..100 {
        std::fs::write(&path, &good[..good.len() - 1 - cut]).unwrap();
        assert!(Index::open(&path).is_err());
    }
}
