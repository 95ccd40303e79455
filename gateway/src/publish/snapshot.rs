//! The live window after one announcement.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, Ordering::Relaxed},
};

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
    proof: Proof,
}

/// What the origin has signed of a window that is mirrored.
#[derive(Clone, Default)]
pub(super) struct Signed {
    /// A whole window and its (epoch, sequence), where one is at hand.
    pub(super) whole: Option<((u64, u64), Bytes)>,
    /// All announcements behind it up to the newest, by sequence.
    pub(super) since: Vec<(u64, Bytes)>,
    /// Whether the window was given to anyone since the origin signed it.
    pub(super) given: Arc<AtomicBool>,
}

impl Signed {
    fn give(&self) -> Option<Bytes> {
        self.given.store(true, Relaxed);
        self.whole.as_ref().map(|(_, whole)| whole.clone())
    }
}

/// How the window is proved to others.
enum Proof {
    /// Its key is here.
    Key(Arc<SigningKey>, OnceLock<Bytes>),
    /// By the origin's own envelopes.
    Envelopes(Signed),
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
            proof: Proof::Key(key, OnceLock::new()),
        }
    }

    pub(super) fn mirrored(
        manifest: Manifest,
        announcement: Option<Bytes>,
        live: bool,
        signed: Signed,
    ) -> Self {
        Self {
            manifest,
            announcement,
            live,
            proof: Proof::Envelopes(signed),
        }
    }

    /// A whole window as one signed envelope: this one where its key is here (made on first use, then shared), else the
    /// newest that the origin has signed; `None` where there is none.
    pub fn signed_manifest(&self) -> Option<Bytes> {
        match &self.proof {
            Proof::Key(key, signed) => {
                let sign = || Bytes::from(manifest::sign_manifest(key, &self.manifest));
                Some(signed.get_or_init(sign).clone())
            }
            Proof::Envelopes(signed) => signed.give(),
        }
    }

    /// The origin's envelopes, where the window is mirrored: a whole window, and the announcements behind it.
    pub fn envelopes(&self) -> Option<(&Bytes, impl Iterator<Item = &Bytes>)> {
        let Proof::Envelopes(signed) = &self.proof else {
            return None;
        };
        let (_, whole) = signed.whole.as_ref()?;
        Some((whole, signed.since.iter().map(|(_, envelope)| envelope)))
    }

    /// What leads whoever was told of (epoch, sequence) last to this state: announcements where these do it, else a
    /// whole window and the announcements behind it.
    pub fn news_since(&self, told: (u64, u64)) -> Vec<Bytes> {
        let now = (self.manifest.epoch(), self.manifest.sequence());
        let next = now == (told.0, told.1 + 1);
        if let Some(announcement) = self.announcement.as_ref().filter(|_| next) {
            return vec![announcement.clone()];
        }
        let Proof::Envelopes(signed) = &self.proof else {
            return self.signed_manifest().into_iter().collect();
        };
        let since = &signed.since;
        let follows = since.first().is_some_and(|(first, _)| *first <= told.1 + 1);
        let after = if told.0 == now.0 && follows {
            told.1
        } else {
            0
        };
        let whole = (after == 0).then(|| signed.give()).flatten();
        let behind = since.iter().filter(|(sequence, _)| *sequence > after);
        (whole.into_iter())
            .chain(behind.map(|(_, envelope)| envelope.clone()))
            .collect()
    }
}
