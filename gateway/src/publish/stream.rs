//! One stream as its readers see it: its identity and its live window.

use std::{
    collections::VecDeque,
    io,
    sync::{Arc, PoisonError, RwLock},
};

use bytes::Bytes;
use cid::Cid;
use meshlive_protocol::{key::SigningKey, name::StreamName};
use tokio::sync::watch;

use super::{Snapshot, Traffic, elsewhere::Elsewhere};
use crate::{archive::Archive, recent::Recent, store::Store};

/// Bytes of blocks that a stream keeps, which everyone asks for within the same second: about ten seconds of four
/// renditions.
const RECENT_BYTES: usize = 16 << 20;
/// Notices that are kept, the newest.
const MAX_NOTICES: usize = 8;
/// Characters of a title or a notice; what is longer is cut.
const MAX_TEXT: usize = 300;

/// A stream; its `Publisher` writes it, or its `Mirrored`.
pub struct Stream {
    name: StreamName,
    /// The name as it stands in URLs: written once, for every request compares it.
    text: String,
    alias: String,
    /// The operator's title goes before the publisher's.
    fixed_title: Option<String>,
    texts: RwLock<Texts>,
    elsewhere: RwLock<Elsewhere>,
    recent: RwLock<Recent<Cid>>,
    traffic: Traffic,
    store: Store,
    archive: Option<Arc<Archive>>,
    /// What signs it, where it is published here; a mirror has only what its origin signed.
    pub(super) key: Option<Arc<SigningKey>>,
    snapshot: watch::Sender<Arc<Snapshot>>,
    changes: watch::Sender<u64>,
}

#[derive(Default)]
struct Texts {
    title: String,
    notices: VecDeque<String>,
}

impl Stream {
    #[allow(clippy::too_many_arguments)] // made in two places, and of all of these
    pub(super) fn new(
        alias: &str,
        fixed_title: Option<String>,
        name: StreamName,
        key: Option<Arc<SigningKey>>,
        store: Store,
        archive: Option<Arc<Archive>>,
        first: Snapshot,
        changes: watch::Sender<u64>,
    ) -> Self {
        Self {
            text: name.to_string(),
            name,
            alias: alias.to_owned(),
            fixed_title,
            texts: RwLock::default(),
            elsewhere: RwLock::default(),
            recent: RwLock::new(Recent::new(RECENT_BYTES)),
            traffic: Traffic::default(),
            store,
            archive,
            key,
            snapshot: watch::Sender::new(Arc::new(first)),
            changes,
        }
    }

    /// Its IPNS name.
    pub fn name(&self) -> &StreamName {
        &self.name
    }

    /// Its IPNS name as text, `k51…`.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The operator's short name for it.
    pub fn alias(&self) -> &str {
        &self.alias
    }

    /// The operator's title, else the publisher's, else the alias.
    pub fn title(&self) -> String {
        if let Some(title) = &self.fixed_title {
            return title.clone();
        }
        let texts = self.texts.read().unwrap_or_else(PoisonError::into_inner);
        if texts.title.is_empty() {
            self.alias.clone()
        } else {
            texts.title.clone()
        }
    }

    /// Whether it is published elsewhere and only followed here.
    pub fn is_mirrored(&self) -> bool {
        self.key.is_none()
    }

    /// Whether it is followed here, and nothing has been heard of it yet.
    pub fn is_sought(&self) -> bool {
        self.is_mirrored() && self.snapshot.borrow().manifest.epoch() == 0
    }

    /// Whether media is coming in at the moment.
    pub fn is_live(&self) -> bool {
        self.snapshot.borrow().live
    }

    /// What viewers should know ("transcoding because …"), newest last, at most 8.
    pub fn notices(&self) -> Vec<String> {
        let texts = self.texts.read().unwrap_or_else(PoisonError::into_inner);
        texts.notices.iter().cloned().collect()
    }

    /// Other gateways that have it, as URLs, at most 8: where viewers go on when this one is gone.
    pub fn gateways(&self) -> Vec<String> {
        self.elsewhere().gateways()
    }

    /// Those of them that follow it here.
    pub fn mirrors(&self) -> Vec<String> {
        self.elsewhere().mirrors
    }

    /// These follow it here.
    pub(crate) fn is_mirrored_at(&self, mirrors: Vec<String>) {
        self.is_elsewhere(|known| {
            std::mem::replace(&mut known.mirrors, mirrors.clone()) != mirrors
        });
    }

    /// It is followed at these, or they follow it where it is followed.
    pub(crate) fn is_followed_at(&self, gateways: Vec<String>) {
        let new = |known: &mut Elsewhere| {
            std::mem::replace(&mut known.followed, gateways.clone()) != gateways
        };
        self.is_elsewhere(new);
    }

    fn is_elsewhere(&self, changes: impl FnOnce(&mut Elsewhere) -> bool) {
        let mut elsewhere = (self.elsewhere.write()).unwrap_or_else(PoisonError::into_inner);
        let changed = changes(&mut elsewhere);
        drop(elsewhere);
        if changed {
            self.changed();
        }
    }

    fn elsewhere(&self) -> Elsewhere {
        let elsewhere = (self.elsewhere.read()).unwrap_or_else(PoisonError::into_inner);
        elsewhere.clone()
    }

    /// Its past; `None` where none is kept.
    pub fn archive(&self) -> Option<&Arc<Archive>> {
        self.archive.as_ref()
    }

    /// What of it goes where.
    pub fn traffic(&self) -> &Traffic {
        &self.traffic
    }

    /// The newest state; cheap.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.borrow().clone()
    }

    /// Told after each announcement, and when the stream begins or ends.
    pub fn subscribe(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.snapshot.subscribe()
    }

    /// The bytes of a part, init segment or anything else of this stream, from memory or the store.
    ///
    /// # Errors
    /// What the disk says.
    pub fn block(&self, cid: &Cid) -> io::Result<Option<Bytes>> {
        if let Some(block) = self.recent_block(cid) {
            return Ok(Some(block));
        }
        self.store.get(cid)
    }

    /// The bytes of a block if they are among the newest; never waits for a disk.
    pub fn recent_block(&self, cid: &Cid) -> Option<Bytes> {
        let recent = self.recent.read().unwrap_or_else(PoisonError::into_inner);
        recent.get(cid)
    }

    pub(super) fn keep(&self, cid: Cid, block: Bytes) {
        let mut recent = self.recent.write().unwrap_or_else(PoisonError::into_inner);
        recent.insert(cid, block);
    }

    pub(super) fn set_title(&self, title: &str) {
        let mut texts = self.texts.write().unwrap_or_else(PoisonError::into_inner);
        let title = readable(title);
        if texts.title != title {
            texts.title = title;
            drop(texts);
            self.changed();
        }
    }

    /// Logs a notice and shows it to viewers.
    pub(super) fn notice(&self, message: &str) {
        tracing::warn!(stream = self.alias, "{message}");
        let message = readable(message);
        let mut texts = self.texts.write().unwrap_or_else(PoisonError::into_inner);
        texts.notices.retain(|known| *known != message);
        texts.notices.push_back(message);
        if texts.notices.len() > MAX_NOTICES {
            texts.notices.pop_front();
        }
        drop(texts);
        self.changed();
    }

    /// What concerned the publisher who has gone.
    pub(super) fn forget_notices(&self) {
        let mut texts = self.texts.write().unwrap_or_else(PoisonError::into_inner);
        texts.notices.clear();
    }

    /// Tells everyone the new state.
    pub(super) fn tell(&self, snapshot: Snapshot) {
        let before = self.snapshot.borrow().clone();
        let changed = before.live != snapshot.live
            || before.manifest.renditions() != snapshot.manifest.renditions();
        self.snapshot.send_replace(Arc::new(snapshot));
        if changed {
            self.changed();
        }
    }

    fn changed(&self) {
        self.changes.send_modify(|count| *count += 1);
    }
}

/// A publisher's text as it may be shown: no control characters, none that turn the direction of what stands behind
/// them, no endless length.
fn readable(text: &str) -> String {
    let turns = |c| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars()
        .filter(|&character| !character.is_control() && !turns(character))
        .take(MAX_TEXT)
        .collect::<String>()
        .trim()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::readable;

    #[test]
    fn a_title_loses_what_cannot_be_shown() {
        assert_eq!(
            readable(" Mesh\u{0}\n da\u{202e}y \u{1b}[31m"),
            "Mesh day [31m"
        );
        assert_eq!(readable(&"é".repeat(10_000)).chars().count(), 300);
    }
}
