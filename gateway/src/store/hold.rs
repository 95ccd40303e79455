//! For who keeps packs: what is in them, who holds them, and whether a live window does.

use std::io;

use cid::Cid;
use meshlive_protocol::name::StreamName;

use super::{Store, frame, inner::lock, key::PackKey};

impl Store {
    /// Whether a block is in the packs of one of these renditions of this stream and hour, by their indexes alone.
    ///
    /// # Errors
    /// `InvalidInput` for names that cannot name a file, and whatever the file system says.
    pub(crate) fn holds(
        &self,
        stream: &StreamName,
        renditions: &[String],
        start: u64,
        cid: &Cid,
    ) -> io::Result<bool> {
        let hour = PackKey::new(&stream.to_string(), "any", start)?;
        let Some(digest) = frame::digest_of(cid) else {
            return Ok(false);
        };
        self.inner.has(digest, |pack| {
            let is_of_hour = pack.stream == hour.stream && pack.hour == hour.hour;
            is_of_hour && renditions.iter().any(|one| **one == *pack.rendition)
        })
    }

    /// Whether the stream's live window needs what is stored of the hour of `start` (µs since the Unix epoch).
    pub(crate) fn is_live(&self, stream: &StreamName, start: u64) -> bool {
        let hour = PackKey::new(&stream.to_string(), "any", start);
        hour.is_ok_and(|hour| self.inner.read_state().windows.is_live(&hour))
    }

    /// Who holds what of a stream: owner, rendition and hour (counted from 1970).
    pub(crate) fn owners(&self, stream: &StreamName) -> Vec<(String, String, u64)> {
        lock(&self.inner.pins).owners(&stream.to_string())
    }
}
