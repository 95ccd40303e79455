//! From packaged parts to what the world sees: CID, store, signature, the live window, and who is told.
//!
//! This file is the contract between `publish` and `http`; its inside is `publish`'s.

use std::sync::Arc;

use bytes::Bytes;
use meshlive_protocol::{manifest::Manifest, name::StreamName};
use tokio::sync::watch;

/// Every stream this gateway has, live or not.
pub struct Streams {}

impl Streams {
    /// All streams, in order of their alias.
    pub fn list(&self) -> Vec<Arc<Stream>> {
        todo!()
    }
    /// By stream name (`k51…`) or alias.
    pub fn find(&self, name_or_alias: &str) -> Option<Arc<Stream>> {
        let _ = name_or_alias;
        todo!()
    }
    /// Changes whenever a stream appears, begins, ends or changes its title, notices or renditions.
    pub fn changed(&self) -> watch::Receiver<u64> {
        todo!()
    }
}

/// One stream: its identity and its live window.
pub struct Stream {}

impl Stream {
    pub fn name(&self) -> &StreamName {
        todo!()
    }
    pub fn alias(&self) -> &str {
        todo!()
    }
    pub fn title(&self) -> String {
        todo!()
    }
    /// Whether media is coming in at the moment.
    pub fn is_live(&self) -> bool {
        todo!()
    }
    /// What viewers should know ("transcoding because …"), newest last, at most 8.
    pub fn notices(&self) -> Vec<String> {
        todo!()
    }
    /// The newest state; cheap.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        todo!()
    }
    /// Told after each announcement, and when the stream begins or ends.
    pub fn subscribe(&self) -> watch::Receiver<Arc<Snapshot>> {
        todo!()
    }
    /// The bytes of a part, init segment or anything else of this stream, from memory or the store.
    pub fn block(&self, cid: &cid::Cid) -> std::io::Result<Option<Bytes>> {
        let _ = cid;
        todo!()
    }
}

/// The live window after one announcement. Immutable and shared: one rendering serves all who wait.
pub struct Snapshot {
    pub manifest: Manifest,
    /// The signed announcement that led here (None before the first of this run).
    pub announcement: Option<Bytes>,
    /// Whether media is coming in at the moment.
    pub live: bool,
}

impl Snapshot {
    /// The whole window as one signed envelope; made on first use, then shared.
    pub fn signed_manifest(&self) -> Bytes {
        todo!()
    }
}
