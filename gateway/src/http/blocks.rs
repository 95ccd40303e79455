//! Stored bytes for many readers at once: from memory while they are young, else read from the store off the
//! async threads, a few reads at a time.

use std::{
    io,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use cid::Cid;
use tokio::sync::Semaphore;

use super::files::Files;
use crate::{publish::Stream, recent::Recent, store::Store};

/// Reads under way at once. More do not make a disk faster, and each one holds a thread.
const READS: usize = 8;
/// The same from the store's second tier, which may be far away: those on the disk do not wait behind them.
const FAR_READS: usize = 8;

/// Shared by all requests, and by the peers that read over bitswap.
pub(crate) struct Blocks {
    store: Store,
    /// First in, first out: live parts are wanted by all for a moment and then by nobody.
    young: Mutex<Recent<Cid>>,
    reads: Semaphore,
    far: Semaphore,
    files: Arc<Files>,
}

impl Blocks {
    /// Keeps at most `memory` bytes of what was read last, and as many again for what is asked for often: half of them
    /// in files, half in the blocks that these are of.
    pub(crate) fn new(store: Store, memory: usize) -> Arc<Self> {
        Arc::new(Self {
            store,
            young: Mutex::new(Recent::new(memory)),
            reads: Semaphore::new(READS),
            far: Semaphore::new(FAR_READS),
            files: Arc::new(Files::new(memory / 2)),
        })
    }

    /// The bytes that `cid` names, or `None` if they are not stored here. `live` is the stream that they belong to,
    /// if that is known: it has its newest parts in memory.
    pub(crate) async fn get(
        self: Arc<Self>,
        live: Option<Arc<Stream>>,
        cid: Cid,
    ) -> io::Result<Option<Bytes>> {
        if let Some(bytes) = self.held(live.as_deref(), &cid) {
            return Ok(Some(bytes));
        }
        let acquired = self.reads.acquire().await;
        let mut permit = Some(acquired.expect("this semaphore is never closed"));
        // All viewers ask for a new part at the same moment: the first has read it while the others waited.
        if let Some(bytes) = self.young(&cid) {
            return Ok(Some(bytes));
        }
        let this = self.clone();
        let read = tokio::task::spawn_blocking(move || this.store.get_here(&cid));
        let mut read = read.await.map_err(io::Error::other)?;
        let mut far = None;
        if read
            .as_ref()
            .is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
        {
            drop(permit.take());
            let acquired = self.far.acquire().await;
            far = Some(acquired.expect("this semaphore is never closed"));
            let this = self.clone();
            let again = tokio::task::spawn_blocking(move || this.store.get(&cid));
            read = again.await.map_err(io::Error::other)?;
        }
        let bytes = read?;
        if let Some(bytes) = &bytes {
            self.young
                .lock()
                .expect(UNPOISONED)
                .insert(cid, bytes.clone());
        }
        drop((permit, far));
        Ok(bytes)
    }

    /// The same if it needs no reading: among the newest of `live`, or young.
    pub(super) fn held(&self, live: Option<&Stream>, cid: &Cid) -> Option<Bytes> {
        let newest = live.and_then(|stream| stream.recent_block(cid));
        let block = newest.or_else(|| self.young(cid))?;
        self.files.asked(&block);
        Some(block)
    }

    /// Where connections find what is asked for often.
    pub(super) fn files(&self) -> &Arc<Files> {
        &self.files
    }

    fn young(&self, cid: &Cid) -> Option<Bytes> {
        self.young.lock().expect(UNPOISONED).get(cid)
    }
}

/// Why locks here are never poisoned.
pub(super) const UNPOISONED: &str = "nobody panics while holding this lock";

#[cfg(test)]
mod tests {
    use meshlive_protocol::{dag, key::SigningKey};

    use super::*;

    #[tokio::test]
    async fn what_was_read_stays_in_memory_within_the_limit() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), crate::store::Settings::default()).unwrap();
        let name = SigningKey::generate().name();
        let blocks = Blocks::new(store.clone(), 2 * 300);
        let cids = [1, 2, 3].map(|n| {
            let block = [n; 300];
            let cid = dag::cid_of(&block);
            store.append(&name, "v", 0, &cid, &block).unwrap();
            cid
        });
        for cid in cids {
            let read = blocks.clone().get(None, cid).await.unwrap();
            assert_eq!(dag::cid_of(&read.unwrap()), cid);
        }
        let held = cids.map(|cid| blocks.young(&cid).is_some());
        assert_eq!(held, [false, true, true]);
    }
}
