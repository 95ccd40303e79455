//! The only writer of a stream: what was packaged gets its CIDs, is stored, and becomes news.

use std::sync::Arc;

use bytes::Bytes;
use cid::Cid;
use meshlive_protocol::{
    dag,
    key::SigningKey,
    manifest::{Manifest, News, Rejected},
};

use super::{Stream, announcer::Announcer, resume::Resumed};
use crate::{
    archive::Archive,
    clock::Clock,
    metrics::Metrics,
    package::{self, Numbers, Packaged},
    store::{Journal, Outcome, Store},
};

/// Publishes one stream.
pub struct Publisher {
    pub(super) announcer: Announcer,
    store: Store,
    archive: Option<Arc<Archive>>,
    clock: Arc<Clock>,
    metrics: Arc<Metrics>,
    /// Where this run began.
    first: Numbers,
    /// For the next announcement.
    pub(super) news: Vec<News>,
    /// The renditions that parts come for, in their order.
    pub(super) lanes: Vec<Lane>,
    /// Program date time of the open segment, which tells the hour it is stored in, and where its media ends so far.
    start: u64,
    end: u64,
    /// Where the window began when the store was last told.
    needed: Option<u64>,
}

pub(super) struct Lane {
    /// Index in the manifest; None for one that it has no room for.
    pub(super) index: Option<u8>,
    pub(super) id: String,
    pub(super) init: (Cid, Bytes),
    /// The open segment's parts.
    pub(super) parts: Vec<(Cid, u64)>,
}

impl Publisher {
    /// Begins an epoch: closes the segment that an earlier run left open, with exactly the parts it had announced.
    #[allow(clippy::too_many_arguments)] // made in one place, and of all of these
    pub(super) fn begin(
        stream: Arc<Stream>,
        key: Arc<SigningKey>,
        store: Store,
        archive: Option<Arc<Archive>>,
        journal: Journal,
        resumed: Resumed,
        clock: Arc<Clock>,
        metrics: Arc<Metrics>,
    ) -> Self {
        let now = clock.now();
        let Resumed {
            mut manifest,
            numbers,
            epoch,
        } = resumed;
        manifest.begin_epoch(epoch, now);
        let mut this = Self {
            announcer: Announcer::new(stream, key, manifest, journal, clock.clone()),
            store,
            archive,
            clock,
            metrics,
            first: numbers,
            news: Vec::new(),
            lanes: Vec::new(),
            start: now,
            end: now,
            needed: None,
        };
        this.tell_store();
        this.announcer.checkpoint();
        // The epoch must be known after a power cut, or it might come again.
        this.announcer.sync();
        this.close_what_was_open();
        if this.announce().is_ok() {
            this.announcer.tell(None);
        }
        // What was announced and perhaps not written down for the archive.
        if let Some(archive) = &this.archive {
            archive.keep_all(&this.announcer.manifest);
        }
        this
    }

    /// Where the packager goes on.
    pub fn numbers(&self) -> Numbers {
        let manifest = &self.announcer.manifest;
        Numbers {
            segment: manifest.next_msn().max(self.first.segment),
            init: manifest.next_init().max(self.first.init),
            discontinuity: manifest.segments().len() > 0,
        }
    }

    /// The stream as its readers see it.
    pub fn stream(&self) -> &Arc<Stream> {
        &self.announcer.stream
    }

    pub(super) fn is_live(&self) -> bool {
        self.announcer.live
    }

    pub(super) fn now(&self) -> u64 {
        self.clock.now()
    }

    /// Stores, announces and tells what was packaged, with one announcement for each part boundary.
    ///
    /// # Errors
    /// When an announcement breaks a rule of the protocol. It has been told then, and nothing of it is announced;
    /// the packager must begin anew at [`Self::numbers`].
    pub fn publish(&mut self, packaged: Vec<Packaged>) -> Result<(), Rejected> {
        let mut boundary = false;
        let (mut closed, mut opened) = (Vec::new(), None);
        for one in packaged {
            match one {
                Packaged::Renditions { number, renditions } => self.renditions(number, renditions),
                Packaged::Opened {
                    segment,
                    start,
                    discontinuity,
                    init,
                } => {
                    self.open(segment, start, discontinuity, init);
                    opened = Some(start);
                }
                Packaged::Parts {
                    segment,
                    part,
                    parts,
                } => {
                    if std::mem::replace(&mut boundary, true) {
                        self.announce()?;
                    }
                    self.parts(segment, part, parts);
                }
                Packaged::Closed { segment } => {
                    self.close(segment);
                    closed.push(segment);
                }
                Packaged::Notice(message) => self.stream().notice(&message),
                Packaged::Title(title) => self.stream().set_title(&title),
                Packaged::End => {
                    self.announcer.live = false;
                    let manifest = &self.announcer.manifest;
                    if manifest.segments().len() > 0 && !manifest.ended() {
                        self.news.push(News::End);
                    }
                }
            }
        }
        self.announce()?;
        if let Some(archive) = &self.archive {
            for segment in closed {
                archive.keep(&self.announcer.manifest, segment);
            }
            if let Some(start) = opened {
                archive.turn(start);
            }
        }
        Ok(())
    }

    /// The stream stands still.
    pub(super) fn silence(&mut self) {
        if self.announcer.live {
            self.announcer.live = false;
            self.stream().forget_notices();
            self.announcer.tell(None);
        }
    }

    /// The run is over.
    pub(super) fn finish(&mut self) {
        self.silence();
        self.announcer.sync();
    }

    fn open(&mut self, msn: u64, start: u64, discontinuity: bool, init: u32) {
        (self.start, self.end) = (start, start);
        for lane in &mut self.lanes {
            lane.parts.clear();
        }
        // Each hour's pack has the init segments that its parts need.
        for lane in &self.lanes {
            let (cid, block) = &lane.init;
            self.keep(&lane.id, *cid, block.clone());
        }
        self.news.push(News::Segment {
            msn,
            start,
            discontinuity,
            init,
        });
    }

    fn parts(&mut self, msn: u64, part: u32, parts: Vec<package::Part>) {
        self.end += parts.first().map_or(0, |first| u64::from(first.duration));
        let stream = self.stream().clone();
        let name = stream.text();
        let mut lanes = std::mem::take(&mut self.lanes);
        for (lane, one) in lanes.iter_mut().zip(parts) {
            let Some(rendition) = lane.index else {
                continue;
            };
            let cid = dag::cid_of(&one.data);
            let size = one.data.len();
            lane.parts.push((cid, size as u64));
            self.news.push(News::Part {
                rendition,
                msn,
                part,
                cid,
                size: size as u32,
                duration: one.duration,
                independent: one.independent,
            });
            self.keep(&lane.id, cid, one.data);
            self.metrics.part_published(name, &lane.id);
        }
        self.lanes = lanes;
        self.announcer.live = true;
        let lag = self.clock.now().saturating_sub(self.end);
        self.metrics.ingest_lag(name, lag as f64 / 1e6);
    }

    fn close(&mut self, msn: u64) {
        let lanes = std::mem::take(&mut self.lanes);
        for lane in &lanes {
            if let Some(index) = lane.index {
                self.close_strand(msn, index, &lane.id, &lane.parts);
            }
        }
        self.lanes = lanes;
        self.store.sync_soon();
    }

    fn close_strand(&mut self, msn: u64, rendition: u8, id: &str, parts: &[(Cid, u64)]) {
        if parts.is_empty() {
            return;
        }
        let (cid, node) = dag::segment_file(parts);
        self.keep(id, cid, node.into());
        self.news.push(News::Closed {
            rendition,
            msn,
            cid,
        });
    }

    fn close_what_was_open(&mut self) {
        let Some((msn, start, open)) = left_open(&self.announcer.manifest) else {
            return;
        };
        self.start = start;
        for (index, id, parts) in open {
            self.close_strand(msn, index, &id, &parts);
        }
    }

    /// Writes a block, and keeps it at hand: everyone is about to ask for it.
    fn keep(&self, rendition: &str, cid: Cid, block: Bytes) {
        let stream = self.stream();
        match (self.store).append(stream.name(), rendition, self.start, &cid, &block) {
            // What the disk does not take is live all the same; the store has said so.
            Ok(Outcome::Stored | Outcome::Present | Outcome::NotStored) => {}
            Err(error) => {
                tracing::error!(stream = stream.alias(), rendition, %error, "a block cannot be stored");
            }
        }
        stream.keep(cid, block);
    }

    fn announce(&mut self) -> Result<(), Rejected> {
        let news = std::mem::take(&mut self.news);
        let announced = self.announcer.announce(news);
        if let Err(error) = &announced {
            let stream = self.stream();
            tracing::error!(stream = stream.alias(), %error, "an announcement breaks the protocol's rules");
            stream.notice(&format!("something could not be published: {error}"));
        }
        self.tell_store();
        announced
    }

    /// Tells the store what the window still needs.
    fn tell_store(&mut self) {
        let first = self.announcer.manifest.segments().next();
        let start = first.map(|segment| segment.start);
        if let Some(from) = start.filter(|_| start != self.needed) {
            self.store.needed_since(self.stream().name(), from);
            self.needed = start;
        }
    }
}

/// The last segment's number, start, and for each rendition that has it open: index, id, parts.
#[allow(clippy::type_complexity)] // said in the line above
fn left_open(manifest: &Manifest) -> Option<(u64, u64, Vec<(u8, String, Vec<(Cid, u64)>)>)> {
    let last = manifest.segments().next_back()?;
    let mut open = Vec::new();
    for (index, entry) in manifest.renditions().iter().enumerate() {
        let strand = last.strand(index);
        if strand.root.is_none() && !strand.parts.is_empty() {
            let parts = strand.parts.iter();
            let parts = parts.map(|part| (part.cid, u64::from(part.size))).collect();
            open.push((index as u8, entry.rendition.id.clone(), parts));
        }
    }
    Some((last.msn, last.start, open))
}
