//! Stored bytes for many readers at once: from memory while they are young, else read from the store off the
//! async threads, a few reads at a time.

use std::{
    collections::{HashMap, VecDeque},
    io,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use cid::Cid;
use tokio::sync::Semaphore;

use crate::{publish::Stream, store::Store};

/// Reads under way at once. More do not make a disk faster, and each one holds a thread.
const READS: usize = 8;

/// Shared by all requests.
pub(super) struct Blocks {
    store: Store,
    young: Mutex<Young>,
    reads: Semaphore,
}

impl Blocks {
    /// Keeps at most `memory` bytes of what was read last.
    pub(super) fn new(store: Store, memory: usize) -> Arc<Self> {
        Arc::new(Self {
            store,
            young: Mutex::new(Young::new(memory)),
            reads: Semaphore::new(READS),
        })
    }

    /// The bytes that `cid` names, or `None` if they are not stored here. `live` is the stream that they belong to,
    /// if that is known: it has its newest parts in memory.
    pub(super) async fn get(
        self: Arc<Self>,
        live: Option<Arc<Stream>>,
        cid: Cid,
    ) -> io::Result<Option<Bytes>> {
        let newest = live.as_ref().and_then(|stream| stream.recent_block(&cid));
        if let Some(bytes) = newest.or_else(|| self.young(&cid)) {
            return Ok(Some(bytes));
        }
        let permit = self
            .reads
            .acquire()
            .await
            .expect("this semaphore is never closed");
        // All viewers ask for a new part at the same moment: the first has read it while the others waited.
        if let Some(bytes) = self.young(&cid) {
            return Ok(Some(bytes));
        }
        let this = self.clone();
        let read = tokio::task::spawn_blocking(move || this.store.get(&cid));
        let bytes = read.await.map_err(io::Error::other)??;
        if let Some(bytes) = &bytes {
            self.young
                .lock()
                .expect(UNPOISONED)
                .insert(cid, bytes.clone());
        }
        drop(permit);
        Ok(bytes)
    }

    fn young(&self, cid: &Cid) -> Option<Bytes> {
        self.young
            .lock()
            .expect(UNPOISONED)
            .blocks
            .get(cid)
            .cloned()
    }
}

/// Why locks here are never poisoned.
pub(super) const UNPOISONED: &str = "nobody panics while holding this lock";

/// The blocks that were read last, first in, first out: live parts are wanted by all for a moment and then by nobody.
struct Young {
    blocks: HashMap<Cid, Bytes>,
    order: VecDeque<Cid>,
    bytes: usize,
    limit: usize,
}

impl Young {
    fn new(limit: usize) -> Self {
        Self {
            blocks: HashMap::new(),
            order: VecDeque::new(),
            bytes: 0,
            limit,
        }
    }

    fn insert(&mut self, cid: Cid, bytes: Bytes) {
        let size = bytes.len();
        if size > self.limit || self.blocks.insert(cid, bytes).is_some() {
            return;
        }
        self.order.push_back(cid);
        self.bytes += size;
        while self.bytes > self.limit {
            let oldest = self
                .order
                .pop_front()
                .expect("what is counted is in the queue");
            self.bytes -= self.blocks.remove(&oldest).map_or(0, |bytes| bytes.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use meshlive_protocol::dag;

    use super::*;

    #[test]
    fn memory_stays_within_its_limit_and_the_oldest_goes_first() {
        let mut young = Young::new(1000);
        let block = |n: u8| (dag::cid_of(&[n; 300]), Bytes::from(vec![n; 300]));
        for n in 0..100 {
            let (cid, bytes) = block(n);
            young.insert(cid, bytes.clone());
            young.insert(cid, bytes);
            assert!(young.bytes <= 1000 && young.blocks.len() <= 3 && young.order.len() <= 3);
        }
        assert!(young.blocks.contains_key(&block(99).0) && young.blocks.contains_key(&block(97).0));
        assert!(!young.blocks.contains_key(&block(96).0));
        let huge = Bytes::from(vec![0; 1001]);
        young.insert(dag::cid_of(&huge), huge);
        assert_eq!(young.blocks.len(), 3);
    }
}
