//! The only writer of a stream that another gateway publishes: what its origin signed is kept, and told unchanged.
//!
//! ```text
//! data folder/store/<stream>/follow.log   the origin's envelopes: `set ` and a whole window with all announcements
//!                                         behind it, each behind its length (u32 LE); or one announcement alone
//! ```
//!
//! The order is a publisher's: blocks to the store, the envelope to the journal, and only then it is told. Who decides when
//! the blocks of an announcement are here is `follow`.

use std::{
    io,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use bytes::Bytes;
use cid::Cid;
use meshlive_protocol::{
    dag,
    manifest::{self, Announcement, Manifest, News, Opened, Rejected, Settings},
    name::StreamName,
};

use super::{Snapshot, Stream, snapshot::Signed};
use crate::{
    archive::Archive,
    metrics::Metrics,
    store::{Journal, Store},
};

/// The journal's file, beside the stream's packs.
pub const JOURNAL: &str = "follow.log";
/// What a record with a whole window begins with; an envelope begins with another byte.
const SET: &[u8] = b"set ";
/// Announcements behind a window after which a newer window is to be had, where anybody comes who needs one: peers that
/// join are told of 64 at most (`protocol::scheduler`).
const RENEW: usize = 48;
/// The same where nobody does: a window of five minutes has as many bytes as some hundred announcements.
const RENEW_IDLE: usize = 256;
/// Announcements that are kept behind a window; with more, the window is forgotten.
const MAX_SINCE: usize = 1024;
/// Bytes of the journal behind a window after which it begins anew.
const CHECKPOINT_BYTES: u64 = 512 << 10;
/// A stream without a part for so long, microseconds, is not live.
const SILENCE: u64 = 3_000_000;

/// What the origin said.
#[derive(Clone, Debug)]
pub enum Heard {
    /// What is new, and its envelope.
    Announcement(Announcement, Bytes),
    /// All that is live, and its envelope: where announcements do not lead there.
    Window(Box<Manifest>, Bytes),
}

/// What an earlier run held.
pub(super) struct Kept {
    manifest: Manifest,
    signed: Signed,
    journal: Journal,
}

impl Kept {
    /// As far as it verifies; what does not, the origin will say again.
    pub(super) fn read(name: &StreamName, mut journal: Journal) -> Self {
        let mut manifest = Manifest::new(Settings::default());
        let mut signed = Signed::default();
        let records = journal.take_records();
        for (number, record) in records.iter().enumerate() {
            let taken = match record.strip_prefix(SET) {
                Some(set) => read_set(name, set).map(|set| (manifest, signed) = set),
                None => take(name, record, &mut manifest, &mut signed),
            };
            if let Err(error) = taken {
                tracing::warn!(stream = %name, number, of = records.len(), %error, "a record of the mirror's journal does not fit: the origin is asked for what is behind it");
                break;
            }
        }
        Self {
            manifest,
            signed,
            journal,
        }
    }

    pub(super) fn snapshot(&self, live: bool) -> Snapshot {
        Snapshot::mirrored(self.manifest.clone(), None, live, self.signed.clone())
    }
}

fn read_set(name: &StreamName, mut set: &[u8]) -> Result<(Manifest, Signed), Rejected> {
    const CUT: Rejected = Rejected::Malformed("a set of envelopes that is cut short");
    let (mut manifest, mut signed) = (Manifest::new(Settings::default()), Signed::default());
    while !set.is_empty() {
        let (length, rest) = set.split_first_chunk().ok_or(CUT)?;
        let length = u32::from_le_bytes(*length) as usize;
        let (envelope, rest) = rest.split_at_checked(length).ok_or(CUT)?;
        take(name, envelope, &mut manifest, &mut signed)?;
        set = rest;
    }
    Ok((manifest, signed))
}

fn take(
    name: &StreamName,
    envelope: &[u8],
    manifest: &mut Manifest,
    signed: &mut Signed,
) -> Result<(), Rejected> {
    let bytes = Bytes::copy_from_slice(envelope);
    match manifest::open(name, envelope)? {
        Opened::Manifest(whole) => {
            signed.whole = Some(((whole.epoch(), whole.sequence()), bytes));
            signed.since.clear();
            *manifest = whole;
        }
        Opened::Announcement(announcement) => {
            manifest.apply(&announcement)?;
            signed.since.push((announcement.sequence, bytes));
        }
    }
    Ok(())
}

/// A stream that is followed.
pub struct Mirrored {
    stream: Arc<Stream>,
    store: Store,
    archive: Option<Arc<Archive>>,
    metrics: Arc<Metrics>,
    manifest: Manifest,
    signed: Signed,
    /// A window that is ahead of what is told yet.
    newer: Option<((u64, u64), Bytes)>,
    journal: Journal,
    /// Bytes of the journal that the last window ends at.
    begun: u64,
    journal_fails: bool,
    /// When a part was told last, by the caller's clock; `None` while it is not live.
    heard_at: Option<u64>,
    /// Where the window began when the store was last told.
    needed: Option<u64>,
}

impl Mirrored {
    pub(super) fn begin(
        stream: Arc<Stream>,
        store: Store,
        archive: Option<Arc<Archive>>,
        kept: Kept,
        metrics: Arc<Metrics>,
    ) -> Self {
        let Kept {
            manifest,
            signed,
            journal,
        } = kept;
        let mut this = Self {
            stream,
            store,
            archive,
            metrics,
            manifest,
            signed,
            newer: None,
            begun: 0,
            journal,
            journal_fails: false,
            heard_at: None,
            needed: None,
        };
        this.tell_store();
        if let Some(archive) = &this.archive {
            archive.keep_all(&this.manifest);
        }
        this
    }

    /// The stream as its readers see it.
    pub fn stream(&self) -> &Arc<Stream> {
        &self.stream
    }

    /// What is told of it.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Whether a block is here.
    pub fn has(&self, cid: &Cid) -> bool {
        // A disk that cannot be read has it not: it is fetched again, and said where it is stored.
        self.stream.recent_block(cid).is_some() || self.store.has(cid).unwrap_or(false)
    }

    /// The origin's window begins here, µs since the Unix epoch: what is stored of it stays, also before it is told.
    pub fn expects(&mut self, from: u64) {
        let told = self.manifest.segments().next();
        let from = told.map_or(from, |told| told.start.min(from));
        self.needs(from);
    }

    /// Writes a block that was checked against its CID, and keeps it at hand. `start`: of its segment.
    pub fn keep(&self, rendition: &str, start: u64, cid: Cid, block: Bytes) {
        let stored = (self.store).append(self.stream.name(), rendition, start, &cid, &block);
        match stored {
            Ok(_) => tracing::trace!(rendition, %cid, "a block is stored"),
            Err(error) => {
                tracing::error!(stream = self.stream.alias(), rendition, %error, "a block cannot be stored");
            }
        }
        self.stream.keep(cid, block);
    }

    /// Tells what the origin said; its blocks are here, as far as they are to be had.
    ///
    /// # Errors
    /// When it does not follow what is told: then nothing has changed, and only a window helps.
    pub fn tell(&mut self, heard: Heard, now: u64) -> Result<(), Rejected> {
        match heard {
            Heard::Announcement(announcement, envelope) => {
                self.announce(&announcement, envelope, now)
            }
            Heard::Window(manifest, envelope) => {
                self.begin_anew(*manifest, envelope, now);
                Ok(())
            }
        }
    }

    /// The origin signed the whole window again, as it was at (epoch, sequence).
    pub fn renew(&mut self, at: (u64, u64), whole: Bytes) {
        let known = self.signed.whole.as_ref().map(|(known, _)| *known);
        if known.is_none_or(|known| at > known) {
            self.newer = Some((at, whole));
            self.take_newer();
        }
    }

    /// Whether the origin is to sign the window again.
    pub fn wants_window(&self) -> bool {
        let most = match self.signed.given.load(Relaxed) {
            true => RENEW,
            false => RENEW_IDLE,
        };
        self.newer.is_none() && (self.signed.whole.is_none() || self.signed.since.len() >= most)
    }

    /// Tells that the stream stands still, where it does by now.
    pub fn look(&mut self, now: u64) {
        if self.heard_at.is_some_and(|at| now >= at + SILENCE) {
            self.heard_at = None;
            self.publish(None);
        }
    }

    /// When [`Self::look`] is due.
    pub fn look_at(&self) -> Option<u64> {
        self.heard_at.map(|at| at + SILENCE)
    }

    /// The run is over: all is on the disk.
    pub fn finish(&mut self) {
        self.heard_at = None;
        self.publish(None);
        let synced = self.journal.sync();
        self.journal_said(synced);
    }

    fn announce(
        &mut self,
        announcement: &Announcement,
        envelope: Bytes,
        now: u64,
    ) -> Result<(), Rejected> {
        let mut next = self.manifest.clone();
        next.apply(announcement)?;
        let mut closed = Vec::new();
        let mut opened = None;
        for news in &announcement.news {
            match news {
                News::Closed { rendition, msn, .. } => {
                    self.keep_node(&next, usize::from(*rendition), *msn);
                    if !closed.contains(msn) {
                        closed.push(*msn);
                    }
                }
                News::Segment { start, init, .. } => {
                    opened = Some(*start);
                    self.keep_inits(&next, *start, *init);
                }
                News::Part { rendition, .. } => {
                    self.heard_at = Some(now);
                    let entry = &next.renditions()[usize::from(*rendition)];
                    let id = &entry.rendition.id;
                    self.metrics.part_published(self.stream.text(), id);
                }
                News::End => self.heard_at = None,
                _ => {}
            }
        }
        self.manifest = next;
        self.signed
            .since
            .push((announcement.sequence, envelope.clone()));
        if self.signed.since.len() > MAX_SINCE {
            self.signed.since.remove(0);
            self.signed.whole = None;
        }
        let written = self.journal.append(&envelope);
        self.journal_said(written);
        self.take_newer();
        if self.journal.bytes() - self.begun > CHECKPOINT_BYTES {
            self.checkpoint();
        }
        self.publish(Some(envelope));
        self.tell_store();
        if let Some(archive) = &self.archive {
            for segment in &closed {
                archive.keep(&self.manifest, *segment);
            }
            if let Some(start) = opened {
                archive.turn(start);
            }
        }
        if !closed.is_empty() {
            self.store.sync_soon();
        }
        Ok(())
    }

    fn begin_anew(&mut self, manifest: Manifest, envelope: Bytes, now: u64) {
        for segment in manifest.segments() {
            self.keep_inits(&manifest, segment.start, segment.init);
            for index in 0..manifest.renditions().len() {
                if segment.strand(index).root.is_some() {
                    self.keep_node(&manifest, index, segment.msn);
                }
            }
        }
        let at = (manifest.epoch(), manifest.sequence());
        self.heard_at = (!manifest.ended()).then_some(now);
        self.manifest = manifest;
        self.signed = Signed {
            whole: Some((at, envelope)),
            ..Signed::default()
        };
        self.newer = self.newer.take().filter(|(newer, _)| *newer > at);
        self.checkpoint();
        self.publish(None);
        self.tell_store();
        if let Some(archive) = &self.archive {
            archive.keep_all(&self.manifest);
        }
        self.store.sync_soon();
    }

    /// Takes a newer window as soon as what is told leads beyond it.
    fn take_newer(&mut self) {
        let told = (self.manifest.epoch(), self.manifest.sequence());
        let due = |newer: &mut ((u64, u64), Bytes)| newer.0.0 == told.0 && newer.0 <= told;
        if let Some((at, whole)) = self.newer.take_if(due) {
            self.signed.since.retain(|(sequence, _)| *sequence > at.1);
            self.signed.whole = Some((at, whole));
            self.signed.given = Arc::default();
        }
    }

    /// The file over a segment's parts is the same wherever it is made.
    fn keep_node(&self, manifest: &Manifest, index: usize, msn: u64) {
        let Some(segment) = manifest.segment(msn) else {
            return;
        };
        let parts = segment.parts(index).iter();
        let parts: Vec<_> = parts.map(|part| (part.cid, u64::from(part.size))).collect();
        let (cid, node) = dag::segment_file(&parts);
        let id = &manifest.renditions()[index].rendition.id;
        self.keep(id, segment.start, cid, node.into());
    }

    /// Each hour's pack has the init segments that its parts need.
    fn keep_inits(&self, manifest: &Manifest, start: u64, number: u32) {
        for entry in manifest.renditions() {
            let id = &entry.rendition.id;
            let Some(init) = manifest.find_init(id, number) else {
                continue;
            };
            // One that is not here yet is stored when it comes.
            if let Ok(Some(block)) = self.stream.block(&init.cid) {
                self.keep(id, start, init.cid, block);
            }
        }
    }

    /// Starts the journal anew with the newest window and what is behind it.
    fn checkpoint(&mut self) {
        let Some((_, whole)) = &self.signed.whole else {
            return;
        };
        let since = self.signed.since.iter().map(|(_, envelope)| envelope);
        let mut set = SET.to_vec();
        for envelope in std::iter::once(whole).chain(since) {
            set.extend_from_slice(&(envelope.len() as u32).to_le_bytes());
            set.extend_from_slice(envelope);
        }
        let written = self.journal.checkpoint(&set);
        self.begun = self.journal.bytes();
        self.journal_said(written);
    }

    fn publish(&self, announcement: Option<Bytes>) {
        let live = self.heard_at.is_some();
        let (manifest, signed) = (self.manifest.clone(), self.signed.clone());
        (self.stream).tell(Snapshot::mirrored(manifest, announcement, live, signed));
    }

    /// Tells the store what the window still needs.
    fn tell_store(&mut self) {
        let first = self.manifest.segments().next();
        if let Some(from) = first.map(|segment| segment.start) {
            self.needs(from);
        }
    }

    fn needs(&mut self, from: u64) {
        if self.needed.replace(from) != Some(from) {
            self.store.needed_since(self.stream.name(), from);
        }
    }

    /// A journal that cannot be written stops nothing that is live; it is said once.
    fn journal_said(&mut self, written: io::Result<()>) {
        match written {
            Ok(()) => self.journal_fails = false,
            Err(error) if !self.journal_fails => {
                self.journal_fails = true;
                self.stream.notice(&format!(
                    "the mirror's journal cannot be written ({error}): after a restart the origin is needed; make room on the disk"
                ));
            }
            Err(_) => {}
        }
    }
}
