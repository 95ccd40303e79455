//! Stored bytes for many readers at once: from memory while they are young, else read from the store off the
//! async threads, a few reads at a time. Where the operator lets this gateway fetch for others (`http.fetch`), what `/ipfs`
//! names and is not here is asked of connected IPFS nodes, and kept in memory for a while: to all others it is not here.

use std::{
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use cid::Cid;
use tokio::{sync::Semaphore, time::timeout};

use super::files::Files;
use crate::{publish::Stream, recent::Recent, store::Store, swarm::Peers};

/// Reads under way at once. More do not make a disk faster, and each one holds a thread.
const READS: usize = 8;
/// The same from the store's second tier, which may be far away: those on the disk do not wait behind them.
const FAR_READS: usize = 8;
/// Blocks that are asked of others at once, and how long each is waited for, also for its turn.
const FETCHES: usize = 32;
const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of such blocks that stay in memory, and the least of one: small ones are asked for again.
const FETCHED_BYTES: usize = 16 << 20;
const LEAST_KEPT: usize = 256;

/// Shared by all requests, and by the peers that read over bitswap. A clone is the same.
#[derive(Clone)]
pub(crate) struct Blocks {
    store: Store,
    /// First in, first out: live parts are wanted by all for a moment and then by nobody.
    young: Arc<Mutex<Recent<Cid>>>,
    reads: Arc<Semaphore>,
    far: Arc<Semaphore>,
    files: Arc<Files>,
    others: Option<Others>,
}

/// Who is asked for what is not here.
#[derive(Clone)]
struct Others {
    peers: Peers,
    fetches: Arc<Semaphore>,
    fetched: Arc<Mutex<Recent<Cid>>>,
}

impl Blocks {
    /// Keeps at most `memory` bytes of what was read last, and as many again for what is asked for often: half of them
    /// in files, half in the blocks that these are of.
    pub(crate) fn new(store: Store, memory: usize) -> Arc<Self> {
        Arc::new(Self {
            store,
            young: Arc::new(Mutex::new(Recent::new(memory))),
            reads: Arc::new(Semaphore::new(READS)),
            far: Arc::new(Semaphore::new(FAR_READS)),
            files: Arc::new(Files::new(memory / 2)),
            others: None,
        })
    }

    /// The same, and what is not here is asked of others ([`Blocks::find`]).
    pub(crate) fn reaching(&self, peers: Peers) -> Arc<Self> {
        let others = Others {
            peers,
            fetches: Arc::new(Semaphore::new(FETCHES)),
            fetched: Arc::new(Mutex::new(Recent::new(FETCHED_BYTES))),
        };
        Arc::new(Self {
            others: Some(others),
            ..self.clone()
        })
    }

    /// The same, and nobody is asked.
    pub(super) fn here(&self) -> Arc<Self> {
        Arc::new(Self {
            others: None,
            ..self.clone()
        })
    }

    /// The bytes that `cid` names, from here or, if that may be, from another peer; `None` where nobody has them in time.
    pub(super) async fn find(self: Arc<Self>, cid: Cid) -> io::Result<Option<Bytes>> {
        let here = self.clone().get(None, cid).await?;
        let (None, Some(others)) = (&here, &self.others) else {
            return Ok(here);
        };
        Ok(others.find(cid).await)
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

impl Others {
    async fn find(&self, cid: Cid) -> Option<Bytes> {
        let fetched = || self.fetched.lock().expect(UNPOISONED);
        let known = fetched().get(&cid);
        if known.is_some() {
            return known;
        }
        let fetch = async {
            let _place = self.fetches.acquire().await.ok()?;
            let from = self.peers.connected().await.ok()?;
            self.peers.block(cid, &from).await.ok()
        };
        // Its bytes were checked against its CID when they came.
        let block = timeout(PATIENCE, fetch).await.ok().flatten()?;
        if block.len() >= LEAST_KEPT {
            fetched().insert(cid, block.clone());
        }
        Some(block)
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
