//! Blocks that many ask for lie in a file of memory too: its pages go into sockets as they are, where bytes of our own
//! would be copied for each viewer.
//!
//! Nobody has to be told which answer holds which block: a connection that is about to write a slice [finds](Files::find)
//! the file by the slice's address. An address says enough, for the block that lies there is held here as long as its
//! file, so that nothing else can lie there. Whoever finds nothing writes the slice itself.

use std::{
    collections::{HashMap, VecDeque},
    fs::File,
    io::{self, Write},
    sync::{Arc, Mutex, RwLock},
};

use bytes::Bytes;
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};

use super::blocks::UNPOISONED;

/// Files at once: with parts of 150 KB about five seconds of five renditions.
pub(super) const FILES: usize = 128;
/// What is smaller is copied sooner than its pages are handed over: measured on loopback, of 16 KiB pieces a file lets
/// 0.7 times as many bytes through as copying, of 32 KiB 0.9, of 64 KiB 1.05, of 150 KB 1.05 to 1.15.
const SMALL: usize = 64 * 1024;
/// As often as this a file has paid for itself: measured with 150 KB, it costs 33 µs and then saves 2 to 3 µs each time.
pub(super) const ASKS: u32 = 16;
/// Blocks whose asks are counted; beyond, the count begins anew.
const COUNTED: usize = 1024;

/// Shared by all connections.
pub(super) struct Files {
    /// For the bytes of all files. As many again are held in their blocks, mostly together with others who hold them.
    limit: usize,
    /// By the block's address. One that has gone may leave its count to the next that lies there: a file made too soon.
    asks: Mutex<HashMap<usize, u32>>,
    /// First in, first out.
    kept: RwLock<VecDeque<Kept>>,
}

struct Kept {
    block: Bytes,
    file: Arc<File>,
}

/// Where a slice of memory lies in a file.
pub(super) struct Place {
    pub(super) file: Arc<File>,
    pub(super) offset: u64,
}

impl Files {
    /// Keeps at most `limit` bytes in files.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            asks: Mutex::default(),
            kept: RwLock::default(),
        }
    }

    /// To be told of each time that `block` is asked for. Where the system gives no file the block stays what it is.
    pub(super) fn asked(&self, block: &Bytes) {
        if block.len() > self.limit || self.find(block).is_some() || block.len() < SMALL {
            return;
        }
        let address = block.as_ptr().addr();
        // Only one of many at the same moment sees this number: nobody makes the file twice.
        if self.count(address) == ASKS {
            match file_of(block) {
                Ok(file) => self.keep(block.clone(), file),
                Err(error) => tracing::debug!(%error, "no file of memory for a block"),
            }
        }
    }

    /// The file that these very bytes (not their like elsewhere) lie in.
    pub(super) fn find(&self, slice: &[u8]) -> Option<Place> {
        if slice.len() < SMALL {
            return None;
        }
        let kept = self.kept.read().expect(UNPOISONED);
        kept.iter().rev().find_map(|Kept { block, file }| {
            let offset = slice.as_ptr().addr().checked_sub(block.as_ptr().addr())?;
            let within = offset < block.len() && slice.len() <= block.len() - offset;
            within.then(|| Place {
                file: file.clone(),
                offset: offset as u64,
            })
        })
    }

    /// Keeps `file`, which holds the bytes of `block`; the oldest go when there are too many.
    pub(super) fn keep(&self, block: Bytes, file: File) {
        let address = block.as_ptr().addr();
        let file = Arc::new(file);
        let mut kept = self.kept.write().expect(UNPOISONED);
        kept.push_back(Kept { block, file });
        let mut bytes: usize = kept.iter().map(|kept| kept.block.len()).sum();
        while kept.len() > FILES || bytes > self.limit {
            let oldest = kept.pop_front().expect("an empty queue is within limits");
            bytes -= oldest.block.len();
        }
        drop(kept);
        self.asks.lock().expect(UNPOISONED).remove(&address);
    }

    fn count(&self, address: usize) -> u32 {
        let mut asks = self.asks.lock().expect(UNPOISONED);
        if asks.len() >= COUNTED && !asks.contains_key(&address) {
            asks.clear();
        }
        let asked = asks.entry(address).or_default();
        *asked = asked.saturating_add(1);
        *asked
    }
}

/// A file of memory with these bytes, which nobody can change any more: what was verified before stays so.
fn file_of(block: &[u8]) -> io::Result<File> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let mut file = File::from(memfd_create("meshlive block", flags)?);
    file.write_all(block)?;
    let all = SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL;
    fcntl_add_seals(&file, all)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use super::*;

    fn block(n: u8, size: usize) -> Bytes {
        (0..size).map(|i| n ^ (i % 251) as u8).collect()
    }

    fn ask(files: &Files, block: &Bytes, times: u32) {
        for _ in 0..times {
            files.asked(block);
        }
    }

    #[test]
    fn what_is_asked_for_often_lies_in_a_file_with_the_same_bytes() {
        let files = Files::new(1 << 20);
        let block = block(7, 200_000);
        ask(&files, &block, ASKS - 1);
        assert!(files.find(&block).is_none());
        ask(&files, &block, 1);
        for range in [0..200_000, 0..SMALL, 200_000 - SMALL..200_000, 333..77_777] {
            let slice = &block[range];
            let place = files.find(slice).expect("it was asked for often enough");
            let mut read = vec![0; slice.len()];
            place.file.read_exact_at(&mut read, place.offset).unwrap();
            assert_eq!(read, slice);
        }
        ask(&files, &block, 3 * ASKS);
        assert_eq!(files.kept.read().unwrap().len(), 1);
    }

    #[test]
    fn only_what_lies_in_the_file_is_found() {
        let files = Files::new(1 << 20);
        let whole = block(7, 300_000);
        let middle = whole.slice(100_000..200_000);
        ask(&files, &middle, ASKS);
        assert!(files.find(&whole[100_000..200_000]).is_some());
        for range in [
            0..300_000,
            99_999..199_999,
            100_001..200_001,
            0..100_000,
            200_000..300_000,
        ] {
            assert!(files.find(&whole[range.clone()]).is_none(), "{range:?}");
        }
        let like = middle.to_vec();
        assert!(files.find(&like).is_none());
        assert!(files.find(&middle[..SMALL - 1]).is_none());
        let small = block(1, SMALL - 1);
        ask(&files, &small, ASKS);
        assert_eq!(files.kept.read().unwrap().len(), 1);
    }

    #[test]
    fn nobody_can_change_a_file() {
        let file = file_of(&block(1, SMALL)).unwrap();
        assert!(file.write_at(b"x", 0).is_err());
        assert!(file.set_len(0).is_err() && file.set_len(1 << 20).is_err());
    }

    #[test]
    fn files_bytes_and_counts_are_within_limits() {
        let many = Files::new(usize::MAX);
        let blocks: Vec<_> = (0..FILES + 10).map(|n| block(n as u8, SMALL)).collect();
        for block in &blocks {
            ask(&many, block, ASKS);
        }
        assert_eq!(many.kept.read().unwrap().len(), FILES);
        let found = |at: usize| many.find(&blocks[at]).is_some();
        assert_eq!([found(9), found(10), found(FILES + 9)], [false, true, true]);

        let few = Files::new(3 * SMALL);
        for block in &blocks {
            ask(&few, block, ASKS);
        }
        assert_eq!(few.kept.read().unwrap().len(), 3);
        ask(&few, &block(0, 3 * SMALL + 1), ASKS);
        assert!(few.find(&blocks[FILES + 9]).is_some());

        for address in 0..10 * COUNTED {
            few.count(address);
        }
        assert!(few.asks.lock().unwrap().len() <= COUNTED);
    }
}
