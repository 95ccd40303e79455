//! The thread of one stream that is followed: its peer, what waits, what is missing, and the stream that it writes.

use std::{
    collections::{HashMap, HashSet},
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

use bytes::Bytes;
use cid::Cid;
use futures::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use libp2p::PeerId;
use meshlive_protocol::{
    manifest::{self, Manifest, Opened},
    message::Place,
    scheduler::{Micros, Output},
};
use tokio::{sync::watch, time};

use super::{
    Spec,
    backlog::{Backlog, Block},
    blocks::{blocks, new_blocks, part},
    gateways::Gateway,
    line::{self, Line},
    peer::{Happened, Peer},
    sources::{MEETS, Sources, met},
};
use crate::{
    config::Config,
    publish::{Heard, Mirrored},
    swarm::{Met, Peers, Reach, now},
};

/// The origin is asked for its window this often at most, microseconds.
const RENEW_EVERY: Micros = 4_000_000;
/// Segments at the end of a window that viewers wait for.
const NEWEST: u64 = 2;
/// So long after the first gateway was linked what is urgent waits until it is known which other mirrors have it, microseconds;
/// what is not, as long as they are met.
const MEETS_SOON: Micros = 500_000;
/// Who is asked for what is urgent, and is silent, is waited for so long before the next is asked: half as long as the line
/// waits for it.
const SOON: Duration = Duration::from_secs(1);
/// A gateway that is connected and says nothing of the stream for so long, microseconds, does not have it.
const SILENT: Micros = 10_000_000;

/// One stream.
pub(super) struct Run {
    spec: Spec,
    listen: Option<IpAddr>,
    upload: u32,
    mirrored: Mirrored,
    peers: Peers,
    /// Where this gateway's own HTTP is.
    reach: watch::Receiver<Reach>,
    /// Gateways that may have the stream.
    candidates: watch::Receiver<Vec<Met>>,
    /// Other mirrors of it, as soon as that is known.
    mirrors: watch::Receiver<Option<Vec<Met>>>,
    line: Line<Heard>,
    backlog: Backlog,
    /// All that the origin said, told or not; `None` before the first of this run, and where something was missed.
    heard: Option<Manifest>,
    /// The window that its envelopes began with when they were last looked at.
    whole: Option<Bytes>,
    /// Whether the engine has had a window in this run: what was in that one it does not bring.
    joined: bool,
    renew_at: Micros,
    /// Parts that the engine does not bring and wants told, and since when they are fetched.
    asked: HashMap<Cid, (Place, Micros)>,
    /// When a gateway that says nothing is named.
    silent_at: Option<Micros>,
    sources: Sources,
    fetches: FuturesUnordered<BoxFuture<'static, Fetched>>,
    /// For who catches up: where to, and whether what is live is late.
    gateways: watch::Sender<Vec<Gateway>>,
    late: Arc<AtomicBool>,
}

/// What a fetch or the connection for it led to.
enum Fetched {
    Connected(PeerId, bool),
    Block(Block, Option<Bytes>),
}

impl Run {
    #[allow(clippy::too_many_arguments)] // made in one place, and of all of these
    pub(super) fn new(
        spec: Spec,
        config: &Config,
        mirrored: Mirrored,
        peers: Peers,
        reach: watch::Receiver<Reach>,
        candidates: watch::Receiver<Vec<Met>>,
        mirrors: watch::Receiver<Option<Vec<Met>>>,
        gateways: watch::Sender<Vec<Gateway>>,
        late: Arc<AtomicBool>,
    ) -> Self {
        Self {
            spec,
            listen: config.listen.p2p_tcp_ip(),
            upload: config.p2p.upload,
            mirrored,
            peers,
            reach,
            candidates,
            mirrors,
            line: Line::default(),
            backlog: Backlog::new(config.mirror.catch_up),
            heard: None,
            whole: None,
            joined: false,
            renew_at: 0,
            asked: HashMap::new(),
            silent_at: None,
            sources: Sources::default(),
            fetches: FuturesUnordered::new(),
            gateways,
            late,
        }
    }

    /// Follows on a thread of its own until `stop`: it hashes and writes, and the runtime that answers viewers never waits
    /// for it.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(super) fn spawn(
        self,
        stop: watch::Receiver<bool>,
    ) -> std::io::Result<thread::JoinHandle<()>> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let name = format!(
            "follow {}",
            &self.spec.alias[..self.spec.alias.len().min(8)]
        );
        thread::Builder::new()
            .name(name)
            .spawn(move || runtime.block_on(self.run(stop)))
    }

    async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let (stream, gateways) = (self.spec.stream.clone(), self.spec.gateways.clone());
        let mut peer = match Peer::new(stream, &gateways, self.listen, self.upload, now) {
            Ok(peer) => peer,
            Err(error) => {
                tracing::error!(stream = %self.spec.stream, %error, "it cannot be followed");
                return;
            }
        };
        self.look_for_gaps();
        peer.is_at(self.reach.borrow_and_update().doors());
        loop {
            let redial = peer.dial();
            self.late.store(self.line.is_late(now()), Relaxed);
            let gateways = peer.gateways();
            self.sources.are_linked(!gateways.is_empty(), now());
            let changed = self.gateways.send_if_modified(|known| {
                let changed = *known != gateways;
                known.clone_from(&gateways);
                changed
            });
            if changed {
                // What was missed is asked for soon; and one that was here before may be another now.
                self.sources.doubt();
                self.at_hand(&met(gateways));
            }
            self.fetch(&peer);
            let wake = [
                redial,
                self.line.wake_at(),
                self.mirrored.look_at(),
                self.backlog.wake_at(now()),
                self.silent_at,
            ];
            let wake = wake.into_iter().flatten().min().unwrap_or(Micros::MAX);
            let pause = wake.saturating_sub(now()).clamp(1_000, 1_000_000);
            tokio::select! {
                happened = peer.next() => match happened {
                    Happened::Output(output) => self.output(&mut peer, output),
                    Happened::Lost(gateway) => self.peers.is_lost(gateway),
                    Happened::Nothing => {}
                },
                Some(fetched) = self.fetches.next() => self.fetched(&mut peer, fetched),
                () = time::sleep(Duration::from_micros(pause)) => self.wake(&mut peer),
                Ok(()) = self.reach.changed() => {
                    peer.is_at(self.reach.borrow_and_update().doors());
                }
                Ok(()) = self.candidates.changed() => {
                    let candidates = self.candidates.borrow_and_update().clone();
                    // What came before it was live is of no use any more.
                    if !self.mirrored.stream().is_live() {
                        peer.seek(candidates);
                    }
                }
                _ = stop.wait_for(|stop| *stop) => break,
            }
        }
        self.mirrored.finish();
    }

    fn wake(&mut self, peer: &mut Peer) {
        self.line(line::Input::Wake);
        self.mirrored.look(now());
        if self.heard.is_some() || peer.gateways().is_empty() {
            self.silent_at = None;
        } else if *self.silent_at.get_or_insert(now() + SILENT) <= now() {
            self.silent_at = Some(Micros::MAX);
            tracing::warn!(stream = %self.spec.stream, "the gateways that are connected say nothing of this stream: see that its name is right, and that they have it (it is waited for)");
        }
    }

    fn output(&mut self, peer: &mut Peer, output: Output) {
        match output {
            Output::News { .. } => self.news(peer),
            Output::Ready { place } => self.ready(peer, place),
            Output::Fetch { place } => {
                // The engine's last resort is a gateway's HTTP; here it is bitswap, by the same name.
                let manifest = peer.scheduler().manifest();
                let block = manifest.and_then(|manifest| part(manifest, place));
                if let Some(block) = block.filter(|block| !self.mirrored.has(&block.cid)) {
                    tracing::debug!(stream = %self.spec.stream, ?place, "a part that no neighbour gives in time");
                    self.asked.insert(block.cid, (place, now()));
                    self.backlog.add(block);
                }
            }
            Output::Abort { place } => self.asked.retain(|_, (asked, _)| *asked != place),
            _ => {}
        }
    }

    /// The origin said something.
    fn news(&mut self, peer: &mut Peer) {
        let scheduler = peer.scheduler();
        let (whole, since) = scheduler.signed();
        let whole = whole
            .filter(|whole| Some(*whole) != self.whole.as_ref())
            .cloned();
        let since: Vec<(u64, Bytes)> = since.map(|(at, bytes)| (at, bytes.clone())).collect();
        let newest = scheduler
            .manifest()
            .map(|newest| (newest.epoch(), newest.sequence()));
        if let Some(whole) = whole {
            self.whole = Some(whole.clone());
            self.window(whole);
        }
        for (sequence, envelope) in since {
            let Some(heard) = &self.heard else { break };
            // Those of another epoch have gone with their window.
            let epoch = newest.map_or(0, |(epoch, _)| epoch);
            if heard.epoch() == epoch && sequence > heard.sequence() {
                self.announcement(envelope);
            }
        }
        self.hold(peer);
        if (self.heard.is_none() || self.mirrored.wants_window()) && now() >= self.renew_at {
            self.renew_at = now() + RENEW_EVERY;
            peer.renew();
        }
    }

    /// The engine wants all that came behind the window that it began with. What an earlier run stored of that need not cross
    /// any link again.
    fn hold(&mut self, peer: &mut Peer) {
        let scheduler = peer.scheduler();
        let Some(manifest) = scheduler.manifest() else {
            return;
        };
        let stream = self.mirrored.stream();
        let stored = scheduler.wanted().filter_map(|place| {
            let block = part(manifest, place)?;
            // A disk that cannot be read has it not: it is fetched again.
            Some((place, stream.block(&block.cid).ok()??))
        });
        for (place, bytes) in stored.collect::<Vec<_>>() {
            peer.held(place, bytes);
        }
    }

    fn window(&mut self, envelope: Bytes) {
        let Ok(Opened::Manifest(window)) = manifest::open(&self.spec.stream, &envelope) else {
            return; // the engine has verified it: never
        };
        let at = (window.epoch(), window.sequence());
        let told = self.mirrored.manifest();
        let told_at = (told.epoch(), told.sequence());
        let joins = !std::mem::replace(&mut self.joined, true);
        if self.heard.is_none() && told_at >= at {
            // An earlier run heard as much: what is told goes on with the announcements behind it.
            self.heard = Some(told.clone());
        }
        self.asked.retain(|cid, _| !self.mirrored.has(cid));
        let known = self
            .heard
            .as_ref()
            .map(|heard| (heard.epoch(), heard.sequence()));
        if known >= Some(at) {
            return self.mirrored.renew(at, envelope);
        }
        if let Some(first) = window.segments().next() {
            self.mirrored.expects(first.start);
        }
        let before = self.heard.replace(window.clone()).filter(|_| !joins);
        let mut lacks = HashSet::new();
        for block in blocks(&window) {
            if self.mirrored.has(&block.cid) {
                continue;
            }
            lacks.insert(block.cid);
            // What is newer than all that was heard the engine wants, too; but it was told while nobody here was linked, and
            // nobody pushes it. The newest of it is waited for.
            let place = before
                .as_ref()
                .filter(|_| block.msn + NEWEST > window.next_msn())
                .and_then(|before| block.behind(before, &window));
            if let Some(place) = place {
                self.asked.insert(block.cid, (place, now()));
            }
            let urgent = block.block.urgent || place.is_some();
            self.backlog.add(Block {
                urgent,
                ..block.block
            });
        }
        tracing::debug!(stream = %self.spec.stream, sequence = at.1, lacks = lacks.len(), "a window");
        let what = Heard::Window(Box::new(window), envelope);
        let anew = true;
        self.line(line::Input::Heard { what, lacks, anew });
    }

    fn announcement(&mut self, envelope: Bytes) {
        let opened = manifest::open(&self.spec.stream, &envelope);
        let (Ok(Opened::Announcement(announcement)), Some(heard)) = (opened, &mut self.heard)
        else {
            return; // the engine has verified it: never
        };
        if let Err(error) = heard.apply(&announcement) {
            // The engine has forgotten what lies between: a window closes the gap, which nobody sends without being asked.
            tracing::debug!(stream = %self.spec.stream, %error, "an announcement does not follow");
            self.heard = None;
            return;
        }
        let mut lacks = HashSet::new();
        for block in new_blocks(heard, &announcement) {
            if !self.mirrored.has(&block.cid) {
                lacks.insert(block.cid);
                if block.part.is_none() {
                    self.backlog.add(block.block);
                }
            }
        }
        let what = Heard::Announcement(announcement, envelope);
        let anew = false;
        self.line(line::Input::Heard { what, lacks, anew });
    }

    /// A part is here, checked.
    fn ready(&mut self, peer: &Peer, place: Place) {
        let scheduler = peer.scheduler();
        let block = scheduler
            .manifest()
            .and_then(|manifest| part(manifest, place));
        if let (Some(block), Some(bytes)) = (block, scheduler.part(place)) {
            self.store(&block, bytes);
        }
    }

    fn fetched(&mut self, peer: &mut Peer, fetched: Fetched) {
        match fetched {
            Fetched::Block(block, bytes) => {
                match &bytes {
                    Some(bytes) => self.store(&block, bytes.clone()),
                    None => self.backlog.failed(&block.cid, now()),
                }
                if let Some((place, since)) = self.asked.get(&block.cid).copied() {
                    if bytes.is_some() {
                        self.asked.remove(&block.cid);
                    }
                    peer.fetched(place, bytes, now().saturating_sub(since));
                }
            }
            Fetched::Connected(peer, is_here) => {
                self.sources.connected(peer, is_here, now());
            }
        }
    }

    fn store(&mut self, block: &Block, bytes: Bytes) {
        self.backlog.done(&block.cid);
        if !self.mirrored.has(&block.cid) {
            self.mirrored
                .keep(&block.rendition, block.start, block.cid, bytes);
        }
        self.line(line::Input::Stored(block.cid));
    }

    /// Tells what is to be told now.
    fn line(&mut self, input: line::Input<Heard>) {
        let (told, missing) = self.line.handle(input, now());
        for heard in told {
            if let Err(error) = self.mirrored.tell(heard, now()) {
                tracing::warn!(stream = %self.spec.stream, %error, "the origin's announcements do not follow each other: its next window is waited for");
                self.heard = None;
                self.whole = None;
            }
        }
        if !missing.is_empty() {
            self.look_for_gaps();
        }
        let first = self.mirrored.manifest().segments().next();
        if let Some(start) = first.map(|segment| segment.start) {
            self.backlog.forget_before(start);
        }
    }

    /// Whatever is told and not here is fetched.
    fn look_for_gaps(&mut self) {
        for block in blocks(self.mirrored.manifest()) {
            if !self.mirrored.has(&block.cid) {
                self.backlog.add(block.block);
            }
        }
    }

    /// Asks for what is missing, while a gateway is there that can be asked.
    fn fetch(&mut self, peer: &Peer) {
        if self.backlog.is_empty() {
            return;
        }
        let gateways = met(peer.gateways());
        let mirrors = self.mirrors.borrow().clone();
        let unknown = mirrors.is_none();
        let (mirrors, they_come) = self.at_hand(&mirrors.unwrap_or_default());
        // Those that are linked are connected in a moment, and what is asked of some alone may not be there.
        let (gateways, others_come) = self.at_hand(&gateways);
        let waits = |time| (unknown || they_come) && self.sources.is_new(time, now());
        if gateways.is_empty() || others_come || waits(MEETS_SOON) {
            return;
        }
        let late = waits(MEETS) || self.late.load(Relaxed);
        let newest = self.heard.as_ref().and_then(|heard| {
            let nth = usize::try_from(NEWEST - 1).ok()?;
            heard.segments().nth_back(nth).map(|segment| segment.start)
        });
        while let Some(block) = self.backlog.next(now(), late) {
            let is_live = block.urgent && newest.is_none_or(|newest| block.start >= newest);
            let from = (self.sources).order(&gateways, &mirrors, is_live, now());
            let peers = self.peers.clone();
            self.fetches.push(Box::pin(async move {
                let bytes = match block.urgent {
                    true => peers.block_soon(block.cid, &from, SOON).await,
                    false => peers.block(block.cid, &from).await,
                };
                let bytes = bytes.ok();
                Fetched::Block(block, bytes)
            }));
        }
    }

    /// Of these gateways, those that are connected, and whether others will be in a moment.
    fn at_hand(&mut self, all: &[Met]) -> (Vec<PeerId>, bool) {
        let found = self.sources.of(all, now());
        for (peer, address) in found.connect {
            let peers = self.peers.clone();
            self.fetches.push(Box::pin(async move {
                Fetched::Connected(peer, peers.connect(address).await.is_ok())
            }));
        }
        (found.here, found.others_come)
    }
}
