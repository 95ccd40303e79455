//! The live window after one announcement.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use meshlive_protocol::{
    key::SigningKey,
    manifest::{self, Manifest},
};

/// Immutable and shared: one rendering of it serves all who wait.
pub struct Snapshot {
    /// The whole window.
    pub manifest: Manifest,
    /// The signed announcement that led here (`None` before the first of this run).
    pub announcement: Option<Bytes>,
    /// Whether media is coming in at the moment.
    pub live: bool,
    key: Arc<SigningKey>,
    signed: OnceLock<Bytes>,
}

impl Snapshot {
    pub(super) fn new(
        key: Arc<SigningKey>,
        manifest: Manifest,
        announcement: Option<Bytes>,
        live: bool,
    ) -> Self {
        Self {
            manifest,
            announcement,
            live,
            key,
            signed: OnceLock::new(),
        }
    }

    /// The whole window as one signed envelope; made on first use, then shared.
    pub fn signed_manifest(&self) -> Bytes {
        self.signed
            .get_or_init(|| Bytes::from(manifest::sign_manifest(&self.key, &self.manifest)))
            .clone()
    }
}
