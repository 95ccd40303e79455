//! The newest blocks within a limit of bytes, in memory.

use std::{
    collections::{HashMap, VecDeque},
    hash::Hash,
};

use bytes::Bytes;

/// Blocks in the order in which they came; the oldest go when there are too many bytes.
#[derive(Debug)]
pub(crate) struct Recent<K> {
    limit: usize,
    blocks: HashMap<K, Bytes>,
    order: VecDeque<K>,
    bytes: usize,
}

impl<K: Copy + Eq + Hash> Recent<K> {
    /// Holds at most `limit` bytes of blocks.
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            limit,
            blocks: HashMap::new(),
            order: VecDeque::new(),
            bytes: 0,
        }
    }

    /// Keeps a block, unless it is larger than the limit or there already.
    pub(crate) fn insert(&mut self, key: K, block: Bytes) {
        let size = block.len();
        if size > self.limit || self.blocks.contains_key(&key) {
            return;
        }
        self.blocks.insert(key, block);
        self.order.push_back(key);
        self.bytes += size;
        while self.bytes > self.limit {
            let oldest = self.order.pop_front().expect("what is counted has a place");
            let gone = self.blocks.remove(&oldest);
            self.bytes -= gone.map_or(0, |block| block.len());
        }
    }

    pub(crate) fn get(&self, key: &K) -> Option<Bytes> {
        self.blocks.get(key).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_its_limit_and_drops_the_oldest() {
        let mut recent = Recent::new(10);
        let block = |n: u8, size| Bytes::from(vec![n; size]);
        for n in 0..100 {
            recent.insert(n, block(n, 3));
            recent.insert(n, block(n, 3));
            assert!(recent.bytes <= 10 && recent.blocks.len() <= 3 && recent.order.len() <= 3);
        }
        assert_eq!(recent.get(&96), None);
        assert_eq!(recent.get(&97), Some(block(97, 3)));
        recent.insert(100, block(100, 11));
        assert_eq!((recent.get(&100), recent.blocks.len()), (None, 3));
    }
}
