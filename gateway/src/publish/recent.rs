//! The newest blocks of a stream, in memory: what everyone asks for within the same second.

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;
use cid::Cid;

/// Bytes a stream keeps: about ten seconds of four renditions.
const MAX_BYTES: usize = 16 << 20;

/// Blocks in the order in which they came; the oldest go when there are too many bytes.
#[derive(Debug, Default)]
pub(super) struct Recent {
    blocks: HashMap<Cid, Bytes>,
    order: VecDeque<Cid>,
    bytes: usize,
}

impl Recent {
    pub(super) fn insert(&mut self, cid: Cid, block: Bytes) {
        let size = block.len();
        if self.blocks.insert(cid, block).is_some() {
            return;
        }
        self.order.push_back(cid);
        self.bytes += size;
        while self.bytes > MAX_BYTES {
            let Some(oldest) = self.order.pop_front() else {
                break;
            };
            if let Some(gone) = self.blocks.remove(&oldest) {
                self.bytes -= gone.len();
            }
        }
    }

    pub(super) fn get(&self, cid: &Cid) -> Option<Bytes> {
        self.blocks.get(cid).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use meshlive_protocol::dag;

    #[test]
    fn the_oldest_go_at_the_limit() {
        let mut recent = Recent::default();
        let blocks: Vec<Bytes> = (0..20u8).map(|n| Bytes::from(vec![n; 1 << 20])).collect();
        for block in &blocks {
            recent.insert(dag::cid_of(block), block.clone());
            recent.insert(dag::cid_of(block), block.clone());
            assert!(recent.bytes <= MAX_BYTES);
        }
        assert_eq!(recent.get(&dag::cid_of(&blocks[3])), None);
        assert_eq!(
            recent.get(&dag::cid_of(&blocks[4])),
            Some(blocks[4].clone())
        );
        assert_eq!(recent.order.len(), 16);
        assert_eq!(recent.blocks.len(), 16);
    }
}
