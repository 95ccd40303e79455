//! What is published becomes the engine's input: each new part with its bytes, and right behind the announcement that
//! names it.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, OnceLock},
    time::Instant,
};

use bytes::Bytes;
use libp2p::PeerId;
use meshlive_protocol::{
    behaviour::Behaviour,
    message::Place,
    name::StreamName,
    scheduler::{Input, Micros, Role, Scheduler, Settings},
};
use tokio::{
    sync::mpsc,
    task::{JoinHandle, JoinSet},
};

use crate::publish::{Snapshot, Stream, Streams, Totals};

/// Bytes of parts of one stream that are kept for viewers that ask: those that `publish` keeps anyway.
const CACHE_BYTES: usize = 16 << 20;
/// States of streams that may wait for the swarm's task; each stream has one more at most, and the newest counts.
const WAITING: usize = 64;
/// Segments that are looked through for new parts: what is older is of no use to viewers any more.
const MAX_LATE: usize = 4;

/// Microseconds since the gateway's first look at this clock; the engines'.
pub(crate) fn now() -> Micros {
    static START: OnceLock<Instant> = OnceLock::new();
    let micros = START.get_or_init(Instant::now).elapsed().as_micros();
    u64::try_from(micros).expect("a process runs less than 584,000 years")
}

/// A stream as it is now.
pub(super) struct News {
    stream: Arc<Stream>,
    snapshot: Arc<Snapshot>,
}

/// All streams of this gateway, on their way to the engines.
pub(super) struct Feed {
    me: PeerId,
    upload: u32,
    site: u32,
    news: mpsc::Receiver<News>,
    watcher: JoinHandle<()>,
    told: HashMap<StreamName, Told>,
}

/// How far a stream's engine knows it.
struct Told {
    stream: Arc<Stream>,
    /// Epoch and sequence of the last announcement.
    announced: (u64, u64),
    /// Segment and index of the last part of each rendition.
    parts: Vec<Option<(u64, u32)>>,
    /// Bytes of all parts so far.
    published: u64,
    /// Of a mirror: the window that its origin signed last.
    whole: Option<Bytes>,
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.watcher.abort();
    }
}

impl Feed {
    /// Watches `streams` from now on. `upload`: bytes per second that all viewers of a stream together are given; `site`:
    /// where this gateway is, 0 where no sites are listed.
    pub(super) fn new(streams: Arc<Streams>, me: PeerId, upload: u32, site: u32) -> Self {
        let (tell, news) = mpsc::channel(WAITING);
        Self {
            me,
            upload,
            site,
            news,
            watcher: tokio::spawn(watch(streams, tell)),
            told: HashMap::new(),
        }
    }

    /// The next change of any stream.
    pub(super) async fn next(&mut self) -> News {
        match self.news.recv().await {
            Some(news) => news,
            // The watcher ends with the streams, that is with the gateway.
            None => std::future::pending().await,
        }
    }

    /// Tells the stream's engine; it is opened first where it is new.
    pub(super) fn tell(&mut self, news: News, engine: &mut Behaviour) {
        let News { stream, snapshot } = news;
        let name = stream.name().clone();
        let told = self.told.entry(name.clone()).or_insert_with(|| {
            let settings = Settings {
                cache_bytes: CACHE_BYTES,
                neighbours: 0, // viewers come to us
                upload: self.upload,
                reserve: 0, // nothing is fetched
                hushes: false,
            };
            let seed = getrandom::u64().expect("the system has randomness: keys were made with it");
            let role = Role::Gateway;
            let scheduler = Scheduler::new(self.me, name.clone(), role, settings, seed);
            engine.open(name.clone(), scheduler, false);
            let (mine, gateway) = (self.site, self.site);
            take(engine.input(&name, Input::Site { mine, gateway }));
            Told {
                stream,
                announced: (0, 0),
                parts: Vec::new(),
                published: 0,
                whole: None,
            }
        });
        let manifest = &snapshot.manifest;
        let now = (manifest.epoch(), manifest.sequence());
        let whole = snapshot.envelopes().map(|(whole, _)| whole.clone());
        let renewed = whole.is_some() && whole != told.whole;
        told.whole = whole;
        let Some(envelope) = snapshot
            .announcement
            .clone()
            .filter(|_| now > told.announced)
        else {
            // It began or ended: no news for peers. A mirror also begins anew.
            if renewed {
                tell_envelopes(&name, &snapshot, engine);
            }
            return;
        };
        // What an earlier run or a mirror's origin had is no news.
        let begins = told.announced.0 != now.0;
        told.announced = now;
        for input in told.new_parts(&snapshot, begins) {
            if let Input::Published { bytes, .. } = &input {
                told.published += bytes.len() as u64;
            }
            take(engine.input(&name, input));
        }
        take(engine.input(&name, Input::Announced { envelope, manifest }));
        if renewed {
            tell_envelopes(&name, &snapshot, engine);
        }
        if let Some(scheduler) = engine.scheduler(&name) {
            let counters = scheduler.counters();
            let totals = Totals {
                published: told.published,
                given: counters.bytes_uploaded,
                held: counters.bytes_held,
            };
            let viewers = scheduler.viewers().saturating_sub(engine.mirrors(&name));
            told.stream.traffic().look(totals, viewers, Instant::now());
        }
    }

    /// A stream's engine wants the whole window, signed, for whoever joins.
    pub(super) fn sign(&self, name: &StreamName, engine: &mut Behaviour) {
        if let Some(told) = self.told.get(name) {
            let snapshot = told.stream.snapshot();
            // That of a mirror may be older than the engine can make up for: then the origin is asked for a newer one.
            let manifest = snapshot.signed_manifest();
            if told.stream.is_mirrored() {
                tell_envelopes(name, &snapshot, engine);
            } else if let Some(manifest) = manifest {
                take(engine.input(name, Input::Envelope(&manifest)));
            }
        }
    }
}

/// Tells the engine of a mirrored stream what the origin has signed, so that it can tell others.
fn tell_envelopes(name: &StreamName, snapshot: &Snapshot, engine: &mut Behaviour) {
    let Some((whole, since)) = snapshot.envelopes() else {
        return;
    };
    for envelope in std::iter::once(whole).chain(since) {
        // A gap closes with the next window.
        if let Err(error) = engine.input(name, Input::Envelope(envelope)) {
            tracing::debug!(%error, "the peer engine does not take an envelope of the origin's");
        }
    }
}

/// Only envelopes are ever refused, and ours are not.
fn take(taken: Result<(), meshlive_protocol::manifest::Rejected>) {
    if let Err(error) = taken {
        tracing::error!(%error, "the peer engine does not take what was published");
    }
}

impl Told {
    /// The parts that are new in `snapshot` and still at hand: those of one announcement, or of several if this task
    /// was late. `begins`: those of the last boundary alone, for all before them was announced to nobody who is linked.
    fn new_parts(&mut self, snapshot: &Snapshot, begins: bool) -> Vec<Input<'static>> {
        let manifest = &snapshot.manifest;
        let mut new = Vec::new();
        for (index, entry) in manifest.renditions().iter().enumerate() {
            if self.parts.len() == index {
                self.parts.push(None);
            }
            let latest = manifest.latest_of(&entry.rendition.id);
            let before = std::mem::replace(&mut self.parts[index], latest);
            let segments = manifest.segments().rev();
            let recent = segments
                .take_while(|segment| before.is_none_or(|(msn, _)| segment.msn >= msn))
                .take(MAX_LATE);
            for segment in recent {
                for (number, part) in (0..).zip(segment.parts(index)) {
                    let place = Place {
                        msn: segment.msn,
                        part: number,
                        rendition: index as u8, // a stream has 16 renditions at most
                    };
                    let at = (place.msn, place.part);
                    if before.is_some_and(|before| at <= before) || begins && Some(at) != latest {
                        continue;
                    }
                    if let Some(bytes) = self.stream.recent_block(&part.cid) {
                        new.push((place, bytes));
                    }
                }
            }
        }
        // The engine hears of them in order of their media.
        new.sort_by_key(|(place, _)| *place);
        new.into_iter()
            .map(|(place, bytes)| Input::Published { place, bytes })
            .collect()
    }
}

/// Watches every stream, also those that appear later. Streams are never taken away; one that ended is silent.
async fn watch(streams: Arc<Streams>, tell: mpsc::Sender<News>) {
    let mut changed = streams.changed();
    let mut known = HashSet::new();
    let mut watchers = JoinSet::new();
    loop {
        for stream in streams.list() {
            if known.insert(stream.name().clone()) {
                watchers.spawn(follow(stream, tell.clone()));
            }
        }
        if changed.changed().await.is_err() {
            return;
        }
    }
}

/// Tells each state of a stream, beginning with the one it is in; of several that came meanwhile the newest.
async fn follow(stream: Arc<Stream>, tell: mpsc::Sender<News>) {
    let mut snapshots = stream.subscribe();
    loop {
        let news = News {
            stream: stream.clone(),
            snapshot: snapshots.borrow_and_update().clone(),
        };
        if tell.send(news).await.is_err() || snapshots.changed().await.is_err() {
            return;
        }
    }
}
