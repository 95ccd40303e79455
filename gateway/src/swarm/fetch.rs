//! A whole DAG from other peers over bitswap, checked block by block and kept in our own store.

use std::{
    collections::HashSet,
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::Bytes;
use cid::Cid;
use futures::{StreamExt, stream::FuturesUnordered};
use libp2p::PeerId;
use meshlive_protocol::{
    dag::{DAG_PB, RAW, SHA2_256},
    name::StreamName,
};

use tokio::{
    sync::RwLock,
    time::{Instant, sleep, sleep_until},
};

use super::peers::{Peers, Unreached};
use crate::{
    http::{
        blocks::Blocks,
        unixfs::{Node, Unreadable},
    },
    store::{Outcome, Store},
};

/// Blocks that are asked for at once.
const AT_ONCE: usize = 32;
/// The same where the rate is limited.
const FEW_AT_ONCE: usize = 4;
/// How often it is looked whether something is still late, and how many times before one more block is asked for.
const LOOK: Duration = Duration::from_millis(50);
const LONGEST_WAIT: usize = 100;
/// A DAG has at most so many blocks: ten days of four renditions.
const MAX_BLOCKS: usize = 20_000_000;
/// Names that wait to be asked for. What is wide is asked for depth first, so that this is not reached by any directory
/// that this project writes.
const MAX_WAITING: usize = 200_000;

/// Where the blocks are kept: in the pack of this stream, rendition and hour.
#[derive(Clone, Debug)]
pub struct Place {
    /// The stream.
    pub stream: StreamName,
    /// A rendition's id.
    pub rendition: String,
    /// A time in the hour, µs since the Unix epoch.
    pub start: u64,
}

/// How fast it may come.
#[derive(Clone, Debug, Default)]
pub struct Pace {
    /// Bytes per second; 0: as fast as can be.
    pub rate: u64,
    /// While this is set, something more urgent is late: it is waited.
    pub late: Arc<AtomicBool>,
}

impl Pace {
    /// Waits until the next block may be asked for, after `bytes` since `begun`. What is late is waited for up to so long.
    async fn wait(&self, begun: Instant, bytes: u64) {
        for _ in 0..LONGEST_WAIT {
            if !self.late.load(Relaxed) {
                break;
            }
            sleep(LOOK).await;
        }
        if let Some(micros) = (bytes * 1_000_000).checked_div(self.rate) {
            sleep_until(begun + Duration::from_micros(micros)).await;
        }
    }

    fn at_once(&self) -> usize {
        if self.rate == 0 { AT_ONCE } else { FEW_AT_ONCE }
    }
}

/// A DAG that is kept by itself: all of it in its own packs, also what is here for another reason.
#[derive(Clone, Debug)]
pub(crate) struct Bound {
    /// So many bytes at most.
    pub(crate) most: u64,
    /// How many are here by now.
    pub(crate) told: Arc<AtomicU64>,
    /// Held for reading while a block is written: who has it for writing knows that none is any more.
    pub(crate) writing: Arc<RwLock<()>>,
}

/// What was fetched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fetched {
    /// Blocks of the DAG, each counted once.
    pub blocks: usize,
    /// Those of them that were not here before, and their bytes.
    pub new: usize,
    /// Bytes of `new`.
    pub bytes: u64,
}

/// Why a DAG is not here whole. What was fetched until then stays.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// A peer or a block.
    #[error(transparent)]
    Unreached(#[from] Unreached),
    /// A node in it is none.
    #[error("block {0} is no UnixFS node that this gateway reads: {1}")]
    Unreadable(Cid, &'static str),
    /// Other names than ours.
    #[error(
        "{0} is not CIDv1 or CIDv0 with sha2-256 and raw or dag-pb: this gateway stores nothing else"
    )]
    Foreign(Cid),
    /// It never ends.
    #[error(
        "the DAG has more than {MAX_BLOCKS} blocks, or a node with more than {MAX_WAITING} children"
    )]
    TooLarge,
    /// More than it may have.
    #[error(
        "the DAG has more than the {0} bytes that are left for it: raise pinning.max_bytes or store.max_bytes"
    )]
    TooMany(u64),
    /// The disk.
    #[error("block {0} cannot be kept: {1}")]
    Store(Cid, io::Error),
}

/// What fetching needs.
#[derive(Clone)]
pub(crate) struct Fetcher {
    pub(crate) peers: Peers,
    pub(crate) store: Store,
    pub(crate) blocks: Arc<Blocks>,
}

impl Fetcher {
    /// Has everything that `root` leads to in the store, but for what `known` leads to, from these peers as far as it is not
    /// here already. What is here stays where it is, unless `stays` names renditions (of the place's stream and hour): what
    /// is in no pack of these is kept in its place as well, since its own pack may go.
    ///
    /// # Errors
    /// See [`FetchError`].
    pub(crate) async fn dag(
        &self,
        root: Cid,
        from: &[PeerId],
        place: &Place,
        pace: &Pace,
        known: &HashSet<Cid>,
        stays: &[String],
    ) -> Result<Fetched, FetchError> {
        self.walk(root, from, place, pace, known, stays, None).await
    }

    /// The same for a DAG that is kept by itself.
    ///
    /// # Errors
    /// See [`FetchError`].
    pub(crate) async fn own(
        &self,
        root: Cid,
        from: &[PeerId],
        place: &Place,
        bound: &Bound,
    ) -> Result<Fetched, FetchError> {
        let (pace, known) = Default::default();
        let own = [place.rendition.clone()];
        self.walk(root, from, place, &pace, &known, &own, Some(bound))
            .await
    }

    #[allow(clippy::too_many_arguments)] // all of them are of the two above
    async fn walk(
        &self,
        root: Cid,
        from: &[PeerId],
        place: &Place,
        pace: &Pace,
        known: &HashSet<Cid>,
        stays: &[String],
        bound: Option<&Bound>,
    ) -> Result<Fetched, FetchError> {
        let begun = Instant::now();
        let mut fetched = Fetched::default();
        let mut waiting = vec![root];
        // Nodes that were asked for. Leaves are many, and one that comes again is here by then.
        let mut seen = known.clone();
        let mut coming = FuturesUnordered::new();
        loop {
            while coming.len() < pace.at_once()
                && let Some(cid) = waiting.pop()
            {
                if fetched.new > 0 {
                    pace.wait(begun, fetched.bytes).await;
                }
                coming.push(self.one(stored_name(cid)?, from, place, stays, bound));
            }
            let Some(one) = coming.next().await else {
                self.store.sync_soon();
                return Ok(fetched);
            };
            let (cid, block, new) = one?;
            fetched.blocks += 1;
            if new {
                fetched.new += 1;
                fetched.bytes += block.len() as u64;
            }
            if let Some(Bound { most, told, .. }) = bound {
                let bytes = block.len() as u64;
                if told.fetch_add(bytes, Relaxed) + bytes > *most {
                    return Err(FetchError::TooMany(*most));
                }
            }
            if cid.codec() == DAG_PB {
                let node = Node::parse(&block);
                let children = node.map_err(|why| unreadable(cid, &why))?.children();
                // The last is asked for first, so that what is next in a file comes next.
                let is_new = |child: &Cid| child.codec() != DAG_PB || seen.insert(*child);
                waiting.extend(children.into_iter().rev().filter(is_new));
            }
            if fetched.blocks > MAX_BLOCKS || waiting.len() > MAX_WAITING {
                return Err(FetchError::TooLarge);
            }
        }
    }

    /// One block, and whether it was not here before.
    async fn one(
        &self,
        cid: Cid,
        from: &[PeerId],
        place: &Place,
        stays: &[String],
        bound: Option<&Bound>,
    ) -> Result<(Cid, Bytes, bool), FetchError> {
        // One that is damaged here is fetched again.
        let here = self.blocks.clone().get(None, cid).await.unwrap_or(None);
        let Some(block) = here else {
            let block = self.peers.block(cid, from).await?;
            self.keep(cid, &block, place, &[], bound).await?;
            return Ok((cid, block, true));
        };
        if !stays.is_empty() {
            self.keep(cid, &block, place, stays, bound).await?;
        }
        Ok((cid, block, false))
    }

    /// One block from these peers, whatever is here of it: it is kept beside what is damaged, and found in its place.
    pub(crate) async fn again(
        &self,
        cid: Cid,
        from: &[PeerId],
        place: &Place,
    ) -> Result<Bytes, FetchError> {
        let block = self.peers.block(cid, from).await?;
        self.keep(cid, &block, place, &[], None).await?;
        Ok(block)
    }

    /// Keeps a block in its place, unless it stays where it is.
    async fn keep(
        &self,
        cid: Cid,
        block: &Bytes,
        place: &Place,
        stays: &[String],
        bound: Option<&Bound>,
    ) -> Result<(), FetchError> {
        let writing = match bound {
            Some(bound) => Some(bound.writing.clone().read_owned().await),
            None => None,
        };
        let (store, place, kept) = (self.store.clone(), place.clone(), block.clone());
        let stays = stays.to_vec();
        let keep = move || {
            let Place {
                stream,
                rendition,
                start,
            } = &place;
            if !stays.is_empty() && store.holds(stream, &stays, *start, &cid)? {
                return Ok(());
            }
            let outcome = store.append(stream, rendition, *start, &cid, &kept)?;
            match (writing, outcome) {
                (Some(_), Outcome::NotStored) => Err(io::Error::new(
                    io::ErrorKind::StorageFull,
                    "make room on the disk",
                )),
                _ => Ok(()),
            }
        };
        let kept = tokio::task::spawn_blocking(keep).await;
        let kept = kept.map_err(io::Error::other).flatten();
        kept.map_err(|error| FetchError::Store(cid, error))
    }
}

/// The form of name by which the store has blocks.
fn stored_name(cid: Cid) -> Result<Cid, FetchError> {
    if cid.hash().code() != SHA2_256 || !matches!(cid.codec(), RAW | DAG_PB) {
        return Err(FetchError::Foreign(cid));
    }
    Ok(Cid::new_v1(cid.codec(), *cid.hash()))
}

fn unreadable(cid: Cid, why: &Unreadable) -> FetchError {
    let why = match why {
        Unreadable::Malformed => "it is malformed",
        Unreadable::Unsupported => "it is of a form that is not served here",
    };
    FetchError::Unreadable(cid, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_rate_holds_and_what_is_late_goes_before() {
        let pace = Pace {
            rate: 1_000_000,
            ..Pace::default()
        };
        let begun = Instant::now();
        pace.wait(begun, 3_000_000).await;
        assert_eq!(begun.elapsed().as_secs(), 3);
        pace.wait(begun, 1_000_000).await;
        assert_eq!(begun.elapsed().as_secs(), 3, "it is behind its rate");
        let (begun, free) = (Instant::now(), Pace::default());
        free.wait(begun, u64::MAX / 2_000_000).await;
        assert_eq!(begun.elapsed(), Duration::ZERO);
        free.late.store(true, Relaxed);
        free.wait(begun, 1).await;
        let longest = LOOK * LONGEST_WAIT as u32;
        assert!(begun.elapsed() >= longest && begun.elapsed() < longest * 2);
    }
}
