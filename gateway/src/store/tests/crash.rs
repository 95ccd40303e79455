//! What a killed process, a power cut or a rotten disk leaves: whole blocks, and never a wrong one.

use std::{
    fs,
    io::{BufRead, BufReader},
    process::{Command, Stdio},
};

use super::{super::*, *};

/// A folder with one open pack, as a power cut leaves it: three blocks in the log, three behind it.
fn crashed() -> (tempfile::TempDir, PathBuf, Vec<Vec<u8>>) {
    let (running, folder) = (memory_folder(), memory_folder());
    let store = open(running.path());
    let blocks: Vec<_> = (1..7).map(|n| block(n, 10 + n as usize)).collect();
    blocks[..3]
        .iter()
        .for_each(|block| assert_eq!(put(&store, "v", 0, block), Outcome::Stored));
    store.flush();
    blocks[3..]
        .iter()
        .for_each(|block| assert_eq!(put(&store, "v", 0, block), Outcome::Stored));
    copy(running.path(), folder.path());
    let pack = folder
        .path()
        .join(STREAM.to_string())
        .join("19700101T00-v-0.car");
    (folder, pack, blocks)
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to.join(STREAM.to_string())).unwrap();
    for file in fs::read_dir(from.join(STREAM.to_string())).unwrap() {
        let file = file.unwrap();
        fs::copy(
            file.path(),
            to.join(STREAM.to_string()).join(file.file_name()),
        )
        .unwrap();
    }
}

/// Where each block's frame ends in the pack.
fn ends(blocks: &[Vec<u8>]) -> Vec<usize> {
    let mut end = frame::HEADER.len();
    let lengths = blocks
        .iter()
        .map(|block| frame::encode(&cid_of(block), block).unwrap().len());
    lengths
        .map(|length| {
            end += length;
            end
        })
        .collect()
}

/// Found, and right; `None` where it is not there, whole.
fn found(store: &Store, block: &[u8]) -> bool {
    match store.get(&cid_of(block)) {
        Ok(Some(found)) => {
            assert_eq!(found, block, "a wrong block was served");
            true
        }
        Ok(None) => false,
        Err(error) => {
            assert_eq!(error.kind(), io::ErrorKind::InvalidData);
            false
        }
    }
}

#[test]
fn a_torn_end_at_every_byte_leaves_the_blocks_before_it_and_appends_go_on() {
    let (folder, pack, blocks) = crashed();
    let (whole, ends) = (fs::read(&pack).unwrap(), ends(&blocks));
    let log = fs::read(pack.with_extension("log")).unwrap();
    assert_eq!(whole.len(), ends[5]);
    for cut in 0..=whole.len() {
        for rest in [&[][..], &[0; 7], &[0x27; 700]] {
            fs::write(&pack, [&whole[..cut], rest].concat()).unwrap();
            fs::write(pack.with_extension("log"), &log).unwrap();
            let store = open(folder.path());
            for (block, end) in blocks.iter().zip(&ends) {
                assert_eq!(
                    found(&store, block),
                    *end <= cut,
                    "cut at {cut}, block to {end}"
                );
            }
            assert_eq!(put(&store, "v", 0, b"after"), Outcome::Stored);
            drop(store);
            let store = open(folder.path());
            assert!(found(&store, b"after"));
            blocks
                .iter()
                .zip(&ends)
                .for_each(|(block, end)| assert_eq!(found(&store, block), *end <= cut));
        }
    }
}

#[test]
fn without_its_log_a_pack_is_read_whole() {
    let (folder, pack, blocks) = crashed();
    for log in [None, Some(&b""[..]), Some(&[0; 100]), Some(&[0xff; 100])] {
        match log {
            None => fs::remove_file(pack.with_extension("log")).unwrap(),
            Some(bytes) => fs::write(pack.with_extension("log"), bytes).unwrap(),
        }
        let store = open(folder.path());
        blocks
            .iter()
            .for_each(|block| assert!(found(&store, block)));
    }
}

#[test]
fn a_flipped_bit_costs_its_own_block_and_no_wrong_one_is_served() {
    let (folder, pack, blocks) = crashed();
    let (whole, ends) = (fs::read(&pack).unwrap(), ends(&blocks));
    let log = fs::read(pack.with_extension("log")).unwrap();
    for byte in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[byte] ^= 1 << (byte % 8);
        fs::write(&pack, &damaged).unwrap();
        fs::write(pack.with_extension("log"), &log).unwrap();
        let store = open(folder.path());
        let hit = ends.iter().position(|end| byte < *end).unwrap();
        for (n, block) in blocks.iter().enumerate() {
            let start = if hit == 0 {
                frame::HEADER.len()
            } else {
                ends[hit - 1]
            };
            let in_header = byte < frame::HEADER.len(); // written again
            // A damaged length or CID behind the log hides what follows.
            let safe = in_header || n < hit || (n > hit && (hit < 3 || byte >= start + 37));
            assert!(found(&store, block) || !safe, "byte {byte}, block {n}");
            let codec = byte == start + 2; // found by its digest, whatever its codec
            let wrong = n == hit && !in_header && !codec;
            assert!(!wrong || !found(&store, block), "byte {byte}");
        }
        blocks
            .iter()
            .for_each(|block| assert_ne!(put(&store, "v", 0, block), Outcome::NotStored));
        blocks
            .iter()
            .for_each(|block| assert!(found(&store, block), "stored again, byte {byte}"));
    }
}

#[test]
fn a_flipped_bit_in_a_closed_pack_is_an_error_that_names_it_until_it_is_stored_again() {
    let folder = tempfile::tempdir().unwrap();
    let blocks: Vec<_> = (0..300).map(|n| block(n, 100)).collect();
    let pack = closed(folder.path(), &blocks);
    let mut bytes = fs::read(&pack).unwrap();
    let at = ends(&blocks)[7] - 1;
    bytes[at] ^= 1;
    fs::write(&pack, &bytes).unwrap();
    let store = open(folder.path());
    let mut notices = store.notices();
    let error = store.get(&cid_of(&blocks[7])).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    assert!(error.to_string().contains("19700101T00-v-0"), "{error}");
    assert!(matches!(notices.try_recv(), Ok(Notice::Damaged { .. })));
    (0..300)
        .filter(|n| *n != 7)
        .for_each(|n| assert!(found(&store, &blocks[n])));
    assert_eq!(put(&store, "v", 0, &blocks[7]), Outcome::Stored);
    assert!(found(&store, &blocks[7]));
}

/// A folder whose first hour is closed; the path of its pack.
fn closed(folder: &Path, blocks: &[Vec<u8>]) -> PathBuf {
    let store = open(folder);
    blocks
        .iter()
        .for_each(|block| assert_eq!(put(&store, "v", 0, block), Outcome::Stored));
    store.close_all().unwrap();
    folder.join(STREAM.to_string()).join("19700101T00-v-0.car")
}

#[test]
fn a_damaged_index_is_made_anew_and_its_pack_is_never_cut() {
    let folder = tempfile::tempdir().unwrap();
    let blocks: Vec<_> = (0..300).map(|n| block(n, 100)).collect();
    let pack = closed(folder.path(), &blocks);
    let (index, whole) = (
        fs::read(pack.with_extension("idx")).unwrap(),
        fs::read(&pack).unwrap(),
    );
    for (at, pack_damaged_at) in [
        (index.len() - 1, None),
        (index.len() - 30, Some(ends(&blocks)[200] - 1)),
        (100, None),
        (5000, None),
    ] {
        let mut bytes = index.clone();
        bytes[at] ^= 1;
        fs::write(pack.with_extension("idx"), &bytes).unwrap();
        let mut damaged = whole.clone();
        pack_damaged_at
            .into_iter()
            .for_each(|at: usize| damaged[at] ^= 1);
        fs::write(&pack, &damaged).unwrap();
        let store = open(folder.path());
        let all = |store: &Store| blocks.iter().filter(|block| found(store, block)).count();
        all(&store); // notices damage inside
        store.tidy();
        assert_eq!(
            all(&store),
            300 - pack_damaged_at.iter().count(),
            "index damaged at {at}"
        );
        drop(store);
        assert_eq!(fs::read(&pack).unwrap(), damaged);
        assert_eq!(
            all(&open(folder.path())),
            300 - pack_damaged_at.iter().count()
        );
    }
}

#[test]
fn kill_9_loses_nothing_that_was_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let mut acknowledged = 0;
    for _ in 0..3 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "store::tests::crash::child_that_appends",
                "--ignored",
                "--nocapture",
            ])
            .env("MESHLIVE_TEST_FOLDER", folder.path())
            .env("MESHLIVE_TEST_FIRST", acknowledged.to_string())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap())
            .lines()
            .map(Result::unwrap);
        let mut stored = lines
            .by_ref()
            .filter_map(|line| line.strip_prefix("stored ")?.parse::<u64>().ok());
        let enough = acknowledged + 400;
        while acknowledged < enough {
            acknowledged = stored.next().expect("the child goes on until it is killed") + 1;
        }
        child.kill().unwrap();
        stored.for_each(|n| acknowledged = n + 1); // what it said before it died
        child.wait().unwrap();
        let store = open(folder.path());
        (0..acknowledged)
            .for_each(|n| assert!(has(&store, &block(n, 5000)), "{n} of {acknowledged}"));
        let records = store.journal(&STREAM).unwrap().take_records();
        let journalled: Vec<_> = records
            .iter()
            .map(|record| u64::from_le_bytes(record[..].try_into().unwrap()))
            .collect();
        assert!(journalled.len() as u64 >= acknowledged);
        assert!(
            journalled
                .iter()
                .enumerate()
                .all(|(n, record)| n as u64 == *record)
        );
        acknowledged = journalled.len() as u64; // the last may have been stored, but not said
    }
}

#[test]
#[ignore = "runs until it is killed: started by kill_9_loses_nothing_that_was_acknowledged"]
fn child_that_appends() {
    let Ok(folder) = std::env::var("MESHLIVE_TEST_FOLDER") else {
        return;
    };
    let first: u64 = std::env::var("MESHLIVE_TEST_FIRST")
        .unwrap()
        .parse()
        .unwrap();
    let store = open(Path::new(&folder));
    let mut journal = store.journal(&STREAM).unwrap();
    println!();
    for n in first.. {
        // One that was stored just before the last kill is there.
        assert_ne!(
            put(&store, "v", n / 150 * key::HOUR, &block(n, 5000)),
            Outcome::NotStored
        );
        journal.append(&n.to_le_bytes()).unwrap();
        println!("stored {n}");
        if n % 10 == 0 {
            store.sync_soon();
        }
    }
}
