//! The second tier: whole closed packs as objects of an S3-compatible store, for who keeps more than a disk holds.
//!
//! ```text
//! data folder/store/<stream>/<pack>.upload    while it goes there: a journal of the upload's id and finished parts
//!                           /<pack>.s3        it is there whole (a record, JSON)
//!                           /<pack>.car       may go then, when store.max_bytes presses; its index stays
//!                  /gone/<object's number>    to be removed there (as `.s3` or `.upload`)
//! ```
//!
//! Files: `settings`, `remote` (the object store, from threads) → `there` (what the files above say), `upload` (the thread that sends packs
//! and removes objects), and here: what the store asks.
//!
//! Only what somebody pins goes there. An object's name has a random end: two gateways may share a bucket. What is read from
//! there is a range, checked against its CID like everything else. While the object store is away, reading says so at once
//! after one has waited for it.

mod remote;
mod settings;
#[cfg(test)]
mod tests;
mod there;
mod upload;

use std::{
    fs::{self, File},
    io::{self, Write},
    path::Path,
    sync::Arc,
};

use bytes::Bytes;
use cid::Cid;

pub use settings::Settings;

use super::{
    Inner, Store,
    frame::{self, Digest},
    index::Entry,
    inner::lock,
    key::PackKey,
    pack::{block_of, extension},
    recover::recover,
};
pub(super) use remote::Remote;
pub(crate) use there::There;
pub(super) use there::load;
pub(super) use upload::round;

/// Bytes that are asked for at once where a whole pack comes back.
const PIECE_BYTES: u64 = 4 << 20;
/// Where names of objects wait that are to be removed.
const GONE: &str = "gone";

impl Store {
    /// As [`Store::get`], but for what would have to be read from the object store.
    ///
    /// # Errors
    /// `WouldBlock` for that; and as that.
    pub(crate) fn get_here(&self, cid: &Cid) -> io::Result<Option<Bytes>> {
        let Some(digest) = frame::digest_of(cid) else {
            return Ok(None);
        };
        let kept = lock(&self.inner.memory).get(&digest);
        if kept.is_some() {
            return Ok(kept);
        }
        self.inner.find(digest, false)
    }
}

impl Inner {
    /// The block at this place of a pack that is not here any more: `None` where the store never had it, or gave it up.
    ///
    /// # Errors
    /// `HostUnreachable` where the object store is away, `InvalidData` where its bytes are not those of the digest.
    pub(super) fn read_there(
        &self,
        name: &str,
        entry: Entry,
        digest: Digest,
    ) -> io::Result<Option<Bytes>> {
        let key = PackKey::parse(name);
        let there = key.and_then(|key| self.read_state().there.get(&key).cloned());
        let Some(there) = there else {
            return Ok(None);
        };
        let Some(tier) = &self.tier else {
            let message = format!("pack {name} is in an object store: set [store.s3] as it was");
            return Err(io::Error::new(io::ErrorKind::HostUnreachable, message));
        };
        let length = u64::from(entry.length).min(frame::MAX_FRAME_BYTES as u64);
        let about =
            |error: io::Error| io::Error::new(error.kind(), format!("pack {name}: {error}"));
        let bytes = tier
            .read(&there.object, entry.offset..entry.offset + length)
            .map_err(about)?;
        let block = block_of(bytes, digest).ok_or_else(|| {
            let message = format!("pack {name} at {tier}: a block does not match its CID");
            io::Error::new(io::ErrorKind::InvalidData, message)
        });
        block.map(Some)
    }

    /// Whether the block at this place would have to be read from the object store.
    pub(super) fn is_there(&self, name: &str) -> bool {
        PackKey::parse(name).is_some_and(|key| self.read_state().there.contains_key(&key))
    }

    /// Removes the oldest pack here that is safely there and not live; `None` where there is none.
    pub(super) fn offload(&self) -> Option<()> {
        self.tier.as_ref()?;
        let (key, bytes) = {
            let mut state = self.write_state();
            let key = state.offloadable().min()?.clone();
            let bytes = state.closed.insert(key.clone(), 0).unwrap_or(0);
            (key, bytes)
        };
        let path = extension(&self.path(&key), "car");
        if let Err(error) = fs::remove_file(&path) {
            tracing::warn!(path = %path.display(), %error, "could not be removed");
        }
        self.files.forget(&path);
        tracing::info!(pack = %key, bytes, "the object store has it, and it is no longer here");
        Some(())
    }

    /// Has a pack here again that is there alone.
    pub(super) fn bring_back(&self, key: &PackKey) -> io::Result<()> {
        let there = self.read_state().there.get(key).cloned();
        let (stem, tier) = (self.path(key), self.tier.as_ref());
        let (Some(there), Some(tier), false) = (there, tier, extension(&stem, "car").exists())
        else {
            return Ok(());
        };
        let temporary = extension(&stem, "back");
        let (mut file, mut at) = (File::create(&temporary)?, 0);
        while at < there.bytes() {
            let end = (at + PIECE_BYTES).min(there.bytes());
            file.write_all(&tier.read(&there.object, at..end)?)?;
            at = end;
        }
        file.sync_all()?;
        fs::rename(&temporary, extension(&stem, "car"))
    }

    /// Packs whose index was lost are brought back, and it is made anew.
    pub(super) fn restore(&self) -> io::Result<()> {
        let lost: Vec<_> = {
            let state = self.read_state();
            let lost = state.there.keys();
            let lost =
                lost.filter(|key| !state.closed.contains_key(key) && !state.open.contains_key(key));
            lost.cloned().collect()
        };
        for key in lost {
            self.bring_back(&key)?;
            let pack = Arc::new(recover(key.clone(), &self.folder, true)?);
            self.write_state().open.insert(key, pack.clone());
            self.close(&pack)?;
        }
        Ok(())
    }

    /// A pack was given up: so is its object, or what was sent of it, in a while.
    pub(super) fn gone_there(&self, key: &PackKey, path: &Path) {
        self.write_state().there.remove(key);
        for name in ["s3", "upload"] {
            let file = extension(path, name);
            if file.exists()
                && let Err(error) = there::to_be_removed(&self.folder, &file)
            {
                tracing::warn!(path = %file.display(), %error, "its object stays in the object store");
            }
        }
    }
}
