//! The store as a whole: what was stored is there after whatever happens.

mod crash;
mod full;
mod index;
mod many;
mod model;

use std::sync::LazyLock;

use cid::multihash::Multihash;
use meshlive_protocol::key::SigningKey;
use sha2::{Digest as _, Sha256};

use super::{key::HOUR, *};

/// Some stream.
pub(in crate::store) static STREAM: LazyLock<StreamName> =
    LazyLock::new(|| SigningKey::from_secret([7; 32]).name());

pub(in crate::store) fn cid_of(block: &[u8]) -> Cid {
    Cid::new_v1(0x55, Multihash::wrap(0x12, &Sha256::digest(block)).unwrap())
}

pub(in crate::store) fn block(n: u64, bytes: usize) -> Vec<u8> {
    let mut block = vec![n as u8; bytes.max(8)];
    block[..8].copy_from_slice(&n.to_le_bytes());
    block
}

/// A folder in memory where the system has such: for what tries the store's logic many times, and not the disk.
pub(in crate::store) fn memory_folder() -> tempfile::TempDir {
    let memory = Some(PathBuf::from("/dev/shm")).filter(|folder| folder.is_dir());
    tempfile::tempdir_in(memory.unwrap_or_else(std::env::temp_dir)).unwrap()
}

pub(in crate::store) fn open(folder: &Path) -> Store {
    Store::open(
        folder,
        Settings {
            keep: Duration::MAX,
            ..Settings::default()
        },
    )
    .unwrap()
}

pub(in crate::store) fn put(store: &Store, rendition: &str, start: u64, block: &[u8]) -> Outcome {
    store
        .append(&STREAM, rendition, start, &cid_of(block), block)
        .unwrap()
}

pub(in crate::store) fn has(store: &Store, block: &[u8]) -> bool {
    store
        .get(&cid_of(block))
        .unwrap()
        .is_some_and(|found| found == block)
}

#[test]
fn what_is_stored_is_found_at_once_and_after_reopening() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    for n in 0..200 {
        let start = n / 50 * HOUR; // four hours
        for rendition in ["720p", "360p"] {
            let block = block(n * 2 + u64::from(rendition == "360p"), 1000);
            assert_eq!(put(&store, rendition, start, &block), Outcome::Stored);
            assert_eq!(put(&store, rendition, start, &block), Outcome::Present);
            assert!(has(&store, &block));
        }
        if n == 100 {
            store.flush();
        }
    }
    for _ in 0..2 {
        assert_eq!(store.stats().packs, 8);
        (0..400).for_each(|n| assert!(has(&store, &block(n, 1000)), "{n}"));
        assert!(!has(&store, &block(400, 1000)));
        drop(store.clone());
    }
    drop(store);
    let store = open(folder.path());
    (0..400).for_each(|n| assert!(has(&store, &block(n, 1000)), "{n}"));
}

#[test]
fn one_gateway_per_folder() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let error = Store::open(folder.path(), Settings::default())
        .err()
        .unwrap();
    assert_eq!(error.kind(), io::ErrorKind::ResourceBusy);
    assert!(
        error
            .to_string()
            .contains(&folder.path().display().to_string())
    );
    drop(store);
    open(folder.path());
}

#[test]
fn what_no_pack_holds_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let kind = |rendition: &str, start, cid: &Cid, block: &[u8]| {
        store
            .append(&STREAM, rendition, start, cid, block)
            .map_err(|error| error.kind())
    };
    let invalid = Err(io::ErrorKind::InvalidInput);
    let cid = cid_of(b"x");
    assert_eq!(kind("../v", 0, &cid, b"x"), invalid);
    assert_eq!(kind("v", u64::MAX, &cid, b"x"), invalid);
    assert_eq!(kind("v", 0, &cid, &vec![0; MAX_BLOCK_BYTES + 1]), invalid);
    let identity = Cid::new_v1(0x55, Multihash::wrap(0, b"x").unwrap());
    assert_eq!(kind("v", 0, &identity, b"x"), invalid);
    assert_eq!(store.get(&identity).unwrap(), None);
}

#[test]
fn a_journal_has_one_owner() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let mut journal = store.journal(&STREAM).unwrap();
    assert_eq!(
        store.journal(&STREAM).err().unwrap().kind(),
        io::ErrorKind::ResourceBusy
    );
    journal.append(b"record").unwrap();
    store.flush();
    drop(journal);
    assert_eq!(
        store.journal(&STREAM).unwrap().take_records(),
        [b"record".to_vec()]
    );
}
