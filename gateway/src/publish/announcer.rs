//! The end of the way: news becomes an announcement, signed, written to the journal, and only then told.

use std::{io, sync::Arc};

use bytes::Bytes;
use meshlive_protocol::{
    key::SigningKey,
    manifest::{self, Announcement, Manifest, News, Rejected},
};

use super::{Snapshot, Stream, resume};
use crate::{clock::Clock, store::Journal};

/// When so much was written behind the last whole window, the journal is started anew: six minutes of two renditions, read
/// back in a fraction of a second.
const CHECKPOINT_BYTES: u64 = 512 << 10;

/// Announces for one stream.
pub(super) struct Announcer {
    pub(super) stream: Arc<Stream>,
    key: Arc<SigningKey>,
    /// The live window after the last announcement.
    pub(super) manifest: Manifest,
    pub(super) live: bool,
    journal: Journal,
    /// Bytes of the journal that the last whole window ends at.
    begun: u64,
    clock: Arc<Clock>,
    journal_fails: bool,
}

impl Announcer {
    /// Nothing is written or told before [`Self::checkpoint`] or [`Self::announce`].
    pub(super) fn new(
        stream: Arc<Stream>,
        key: Arc<SigningKey>,
        manifest: Manifest,
        journal: Journal,
        clock: Arc<Clock>,
    ) -> Self {
        Self {
            stream,
            key,
            manifest,
            live: false,
            begun: journal.bytes(),
            journal,
            clock,
            journal_fails: false,
        }
    }

    /// Announces `news`, where there is any.
    ///
    /// # Errors
    /// When it breaks a rule of the protocol: then nothing is told, for no viewer would take it.
    pub(super) fn announce(&mut self, news: Vec<News>) -> Result<(), Rejected> {
        if news.is_empty() {
            return Ok(());
        }
        let announcement = Announcement {
            epoch: self.manifest.epoch(),
            sequence: self.manifest.sequence() + 1,
            clock: self.clock.now(),
            news,
        };
        self.manifest.apply(&announcement)?;
        let signed = manifest::sign_announcement(&self.key, &announcement);
        if self.journal_fails {
            // What it lacks is in the whole window.
            self.checkpoint();
        } else {
            let written = self.journal.append(&signed);
            self.journal_said(written);
        }
        self.tell(Some(signed.into()));
        if self.journal.bytes() - self.begun > CHECKPOINT_BYTES {
            self.checkpoint();
        }
        Ok(())
    }

    /// Starts the journal anew with the whole window.
    pub(super) fn checkpoint(&mut self) {
        let whole = manifest::sign_manifest(&self.key, &self.manifest);
        let written = self.journal.checkpoint(&whole);
        let written = written.and_then(|()| self.journal.append(&resume::boot_record()));
        let written = written.and_then(|()| self.journal.is_complete());
        self.begun = self.journal.bytes();
        self.journal_said(written);
    }

    /// Has the journal on the disk; for the two ends of a run.
    pub(super) fn sync(&mut self) {
        let synced = self.journal.sync();
        self.journal_said(synced);
    }

    /// Tells the state as it is now, and what led to it.
    pub(super) fn tell(&self, announcement: Option<Bytes>) {
        self.stream.tell(Snapshot::new(
            self.key.clone(),
            self.manifest.clone(),
            announcement,
            self.live,
        ));
    }

    /// A journal that cannot be written stops nothing that is live; it is said once.
    fn journal_said(&mut self, written: io::Result<()>) {
        match written {
            Ok(()) => self.journal_fails = false,
            Err(error) => {
                // Or the next run would use numbers again that are told from here on.
                let marked = self.journal.lapse();
                if std::mem::replace(&mut self.journal_fails, true) {
                    return;
                }
                let stream = self.stream.alias();
                tracing::error!(stream, %error, "the journal cannot be written");
                if let Err(error) = marked {
                    tracing::error!(stream, %error, "nor can it be marked as incomplete");
                }
                self.stream.notice(&format!(
                    "the journal cannot be written ({error}): what is live now will be gone after a restart; make room on the disk"
                ));
            }
        }
    }
}
