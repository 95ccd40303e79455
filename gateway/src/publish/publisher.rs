//! The only writer of a stream: what was packaged becomes durable, signed and told, in this order.

use std::{sync::Arc, thread, time::Duration};

use bytes::Bytes;
use cid::Cid;
use meshlive_protocol::{
    dag,
    manifest::{self, Announcement, Manifest, News, Tracks},
};
use tokio::{sync::mpsc, time};

use super::{Snapshot, Stream};
use crate::{
    clock::Clock,
    ingest::media::Event,
    metrics::Metrics,
    package::{self, Numbers, Packaged, Packager},
    store::{Journal, Outcome, Store},
};

/// A stream without a part for so long is not live.
const SILENCE: Duration = Duration::from_secs(3);
/// A journal over this is started anew with the whole window: reading it back takes a fraction of a second.
const CHECKPOINT_BYTES: u64 = 2 << 20;
/// News in one announcement before the next is begun; packaged at once, one boundary has far fewer.
const ENOUGH_NEWS: usize = manifest::MAX_NEWS / 2;

/// Publishes one stream.
pub struct Publisher {
    stream: Arc<Stream>,
    store: Store,
    journal: Journal,
    manifest: Manifest,
    clock: Arc<Clock>,
    metrics: Arc<Metrics>,
    live: bool,
    /// Of the epoch's announcements so far.
    news: Vec<News>,
    /// The renditions that parts come for, in their order: index in the manifest, id, init segment.
    lanes: Vec<Lane>,
    /// Program date time of the open segment, which tells the hour it is stored in, and where its media ends so far.
    start: u64,
    end: u64,
    journal_fails: bool,
    /// Something packaged could not be published: the packager's numbers and ours no longer agree.
    astray: bool,
}

struct Lane {
    index: u8,
    id: String,
    init: (Cid, Bytes),
    /// The open segment's parts.
    parts: Vec<(Cid, u64)>,
}

impl Publisher {
    /// Begins an epoch: closes the segment that an earlier run left open, with exactly the parts it had announced.
    pub(super) fn begin(
        stream: Arc<Stream>,
        store: Store,
        journal: Journal,
        mut manifest: Manifest,
        clock: Arc<Clock>,
        metrics: Arc<Metrics>,
    ) -> Self {
        let now = clock.now();
        // Seconds since 1970 grow past whatever a lost journal knew; the other branch holds where the clock was set back.
        manifest.begin_epoch((manifest.epoch() + 1).max(now / 1_000_000), now);
        let mut this = Self {
            stream,
            store,
            journal,
            manifest,
            clock,
            metrics,
            live: false,
            news: Vec::new(),
            lanes: Vec::new(),
            start: now,
            end: now,
            journal_fails: false,
            astray: false,
        };
        this.close_what_was_open();
        this.checkpoint();
        this.announce();
        this.tell(None);
        this
    }

    /// Where the packager goes on.
    pub fn numbers(&self) -> Numbers {
        Numbers {
            segment: self.manifest.next_msn(),
            init: self.manifest.next_init(),
            discontinuity: self.manifest.next_msn() > 0,
        }
    }

    /// The stream as its readers see it.
    pub fn stream(&self) -> &Arc<Stream> {
        &self.stream
    }

    /// Packages and publishes what comes, on a thread of its own, until all senders are gone.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn spawn(
        mut self,
        settings: package::Settings,
        mut events: mpsc::Receiver<Event>,
    ) -> std::io::Result<thread::JoinHandle<()>> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()?;
        let name = format!("publish {}", self.stream.alias());
        thread::Builder::new().name(name).spawn(move || {
            let mut packager = Packager::new(settings.clone(), self.numbers());
            // The newest of each: what a packager must know to begin.
            let (mut format, mut anchor) = (None, None);
            runtime.block_on(async {
                let mut silent_at = time::Instant::now() + SILENCE;
                loop {
                    let event = tokio::select! {
                        event = events.recv() => event,
                        () = time::sleep_until(silent_at), if self.live => {
                            self.silence();
                            continue;
                        }
                    };
                    let Some(event) = event else { break };
                    match &event {
                        Event::Format(_) => format = Some(event.clone()),
                        Event::Anchor { .. } => anchor = Some(event.clone()),
                        _ => {}
                    }
                    let packaged = packager.handle(event, self.clock.now());
                    if packaged
                        .iter()
                        .any(|one| matches!(one, Packaged::Parts { .. }))
                    {
                        silent_at = time::Instant::now() + SILENCE;
                    }
                    self.publish(packaged);
                    if std::mem::take(&mut self.astray) {
                        packager = Packager::new(settings.clone(), self.numbers());
                        for event in format.iter().chain(&anchor) {
                            let packaged = packager.handle(event.clone(), self.clock.now());
                            self.publish(packaged);
                        }
                    }
                }
            });
            self.silence();
        })
    }

    /// Stores, announces and tells what was packaged.
    pub fn publish(&mut self, packaged: Vec<Packaged>) {
        for one in packaged {
            match one {
                Packaged::Renditions { number, renditions } => self.renditions(number, renditions),
                Packaged::Opened {
                    segment,
                    start,
                    discontinuity,
                    init,
                } => self.open(segment, start, discontinuity, init),
                Packaged::Parts {
                    segment,
                    part,
                    parts,
                } => self.parts(segment, part, parts),
                Packaged::Closed { segment } => self.close(segment),
                Packaged::Notice(message) => self.stream.notice(&message),
                Packaged::Title(title) => self.stream.set_title(&title),
                Packaged::End => {
                    self.live = false;
                    if self.manifest.next_msn() > 0 {
                        self.news.push(News::End);
                    }
                }
            }
            if self.news.len() >= ENOUGH_NEWS {
                self.announce();
            }
        }
        self.announce();
    }

    /// The stream stands still.
    fn silence(&mut self) {
        if self.live {
            self.live = false;
            self.stream.forget_notices();
            self.tell(None);
        }
    }

    fn renditions(&mut self, number: u32, renditions: Vec<package::Rendition>) {
        let known = self.manifest.renditions();
        let mut ids: Vec<String> = known
            .iter()
            .map(|entry| entry.rendition.id.clone())
            .collect();
        for (index, entry) in known.iter().enumerate() {
            let gone = !renditions.iter().any(|one| one.id == entry.rendition.id);
            if gone && !entry.withdrawn {
                self.news.push(News::Withdrawn {
                    rendition: index as u8,
                });
            }
        }
        self.lanes.clear();
        for one in renditions {
            let index = ids.iter().position(|id| *id == one.id).unwrap_or_else(|| {
                ids.push(one.id.clone());
                ids.len() - 1
            });
            if index >= manifest::MAX_RENDITIONS {
                self.stream.notice(&format!(
                    "rendition {}: a stream has at most {} over its life; use the ids of earlier ones",
                    one.id,
                    manifest::MAX_RENDITIONS
                ));
                ids.pop();
                continue;
            }
            let described = describe(&one);
            let same = known
                .get(index)
                .is_some_and(|entry| !entry.withdrawn && entry.rendition == described);
            if !same {
                self.news.push(News::Rendition(described));
            }
            let cid = dag::cid_of(&one.init);
            self.news.push(News::Init {
                rendition: index as u8,
                number,
                cid,
                size: one.init.len() as u32,
            });
            self.lanes.push(Lane {
                index: index as u8,
                id: one.id,
                init: (cid, one.init),
                parts: Vec::new(),
            });
        }
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
        let mut lanes = std::mem::take(&mut self.lanes);
        for (lane, one) in lanes.iter_mut().zip(parts) {
            let cid = dag::cid_of(&one.data);
            let size = one.data.len();
            lane.parts.push((cid, size as u64));
            self.news.push(News::Part {
                rendition: lane.index,
                msn,
                part,
                cid,
                size: size as u32,
                duration: one.duration,
                independent: one.independent,
            });
            self.keep(&lane.id, cid, one.data);
        }
        self.lanes = lanes;
        self.live = true;
        let name = self.stream.name().to_string();
        for lane in &self.lanes {
            self.metrics.part_published(&name, &lane.id);
        }
        let lag = self.clock.now().saturating_sub(self.end);
        self.metrics.ingest_lag(&name, lag as f64 / 1e6);
    }

    fn close(&mut self, msn: u64) {
        let lanes = std::mem::take(&mut self.lanes);
        for lane in &lanes {
            self.close_lane(msn, lane.index, &lane.id, &lane.parts);
        }
        self.lanes = lanes;
        if let Some(first) = self.manifest.segments().next() {
            self.store.needed_since(self.stream.name(), first.start);
        }
        self.store.sync_soon();
    }

    fn close_lane(&mut self, msn: u64, rendition: u8, id: &str, parts: &[(Cid, u64)]) {
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
        let Some(last) = self.manifest.segments().next_back() else {
            return;
        };
        let (msn, start) = (last.msn, last.start);
        let mut open = Vec::new();
        for (index, entry) in self.manifest.renditions().iter().enumerate() {
            let strand = last.strand(index);
            if strand.root.is_none() && !strand.parts.is_empty() {
                let parts = strand
                    .parts
                    .iter()
                    .map(|part| (part.cid, u64::from(part.size)));
                open.push((
                    index as u8,
                    entry.rendition.id.clone(),
                    parts.collect::<Vec<_>>(),
                ));
            }
        }
        self.start = start;
        for (index, id, parts) in open {
            self.close_lane(msn, index, &id, &parts);
        }
    }

    /// Writes a block, and keeps it at hand: everyone is about to ask for it.
    fn keep(&self, rendition: &str, cid: Cid, block: Bytes) {
        match self
            .store
            .append(self.stream.name(), rendition, self.start, &cid, &block)
        {
            // What the disk does not take is live all the same; the store has said so.
            Ok(Outcome::Stored | Outcome::Present | Outcome::NotStored) => {}
            Err(error) => {
                tracing::error!(stream = self.stream.alias(), rendition, %error, "a block cannot be stored");
            }
        }
        self.stream.keep(cid, block);
    }

    /// Signs what is new, has it written, and tells it.
    fn announce(&mut self) {
        if self.news.is_empty() {
            return;
        }
        let announcement = Announcement {
            epoch: self.manifest.epoch(),
            sequence: self.manifest.sequence() + 1,
            clock: self.clock.now().max(self.manifest.clock()),
            news: std::mem::take(&mut self.news),
        };
        if let Err(error) = self.manifest.apply(&announcement) {
            // Our own rules say that no viewer would take it: nobody is told, and the packager begins anew.
            self.astray = true;
            tracing::error!(stream = self.stream.alias(), %error, "an announcement breaks the protocol's rules");
            self.stream
                .notice(&format!("something could not be published: {error}"));
            return;
        }
        let signed = manifest::sign_announcement(&self.stream.key, &announcement);
        if self.journal.bytes() + signed.len() as u64 > CHECKPOINT_BYTES {
            self.checkpoint();
        } else {
            let written = self.journal.append(&signed);
            self.journal_said(written);
        }
        self.tell(Some(signed.into()));
    }

    /// Starts the journal anew with the whole window.
    fn checkpoint(&mut self) {
        let whole = manifest::sign_manifest(&self.stream.key, &self.manifest);
        let written = self.journal.checkpoint(&whole);
        self.journal_said(written);
    }

    /// A journal that cannot be written stops nothing that is live; it is said once.
    fn journal_said(&mut self, written: std::io::Result<()>) {
        match written {
            Ok(()) => self.journal_fails = false,
            Err(error) if !self.journal_fails => {
                self.journal_fails = true;
                self.stream.notice(&format!(
                    "the journal cannot be written ({error}): what is live now will be gone after a restart; make room on the disk"
                ));
            }
            Err(_) => {}
        }
    }

    fn tell(&self, announcement: Option<Bytes>) {
        self.stream.tell(Snapshot::new(
            self.stream.key.clone(),
            self.manifest.clone(),
            announcement,
            self.live,
        ));
    }
}

fn describe(one: &package::Rendition) -> manifest::Rendition {
    let (has_video, has_audio) = (one.width > 0, one.width == 0 || one.codecs.contains(','));
    let (numerator, denominator) = one.frame_rate;
    let frame_rate = u64::from(numerator) * 1_000 / u64::from(denominator.max(1));
    manifest::Rendition {
        id: one.id.clone(),
        tracks: match (has_video, has_audio) {
            (true, true) => Tracks::Both,
            (true, false) => Tracks::Video,
            _ => Tracks::Audio,
        },
        codecs: one.codecs.clone(),
        bandwidth: one.bandwidth.max(1),
        width: one.width,
        height: one.height,
        frame_rate: u32::try_from(frame_rate).unwrap_or(u32::MAX),
        part_target: one.part_target,
    }
}
