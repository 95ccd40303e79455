//! Blocks that the disk would not take: kept in memory, oldest dropped first, so that what is live goes on.

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;

use super::frame::Digest;

/// A bounded queue of blocks that are found by their digest.
pub(crate) struct Memory {
    limit: usize,
    bytes: usize,
    blocks: HashMap<Digest, Bytes>,
    order: VecDeque<Digest>,
}

impl Memory {
    /// Holds at most `limit` bytes of blocks.
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            limit,
            bytes: 0,
            blocks: HashMap::new(),
            order: VecDeque::new(),
        }
    }

    pub(crate) fn insert(&mut self, digest: Digest, block: &[u8]) {
        if block.len() > self.limit || self.blocks.contains_key(&digest) {
            return;
        }
        self.blocks.insert(digest, Bytes::copy_from_slice(block));
        self.order.push_back(digest);
        self.bytes += block.len();
        while self.bytes > self.limit {
            let oldest = self
                .order
                .pop_front()
                .expect("bytes are counted for blocks in order only");
            self.bytes -= self
                .blocks
                .remove(&oldest)
                .expect("every digest in order has its block")
                .len();
        }
    }

    pub(crate) fn get(&self, digest: &Digest) -> Option<Bytes> {
        self.blocks.get(digest).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_its_limit_and_drops_the_oldest() {
        let mut memory = Memory::new(10);
        for n in 0..5 {
            memory.insert([n; 32], &[n; 3]);
            memory.insert([n; 32], &[n; 3]);
        }
        assert_eq!(memory.bytes, 9);
        assert_eq!(memory.get(&[1; 32]), None);
        assert_eq!(memory.get(&[2; 32]).unwrap(), &[2; 3][..]);
        memory.insert([9; 32], &[0; 11]);
        assert_eq!(memory.get(&[9; 32]), None);
        assert_eq!(memory.blocks.len(), 3);
    }
}
