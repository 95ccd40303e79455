//! The peer engine of one stream: which part from whom, and to whom. It does no I/O: [`Scheduler::handle`] takes what
//! happened and gives what is to be done; time and randomness are arguments, a seed replays a run.
//!
//! Three drivers use it unchanged: the browser, the gateway, the simulator.
//!
//! # The files, as a part walks
//!
//! - `news`: an announcement is verified and passed on; what it brings is wanted (`window`, `demand`)
//! - `tell`: by whom this peer is told what is new, and whom it tells
//! - `push`: who is likely to push it here
//! - `seed`: a gateway pushes each part to a few viewers, by turns
//! - `choose`: a viewer waits for a push, asks a neighbour, or fetches over HTTP, as its deadline wants (`http`)
//! - `arrive`: bytes are checked against their CID, kept (`cache`), and told to the player
//! - `give`: they are passed on, as far as the upload budget (`bucket`) and the `uplink` go; gateways hear of it (`report`)
//! - `site`: what lies between two sites is crossed once
//! - `links`, `ledger`, `peers`: who is linked, what is known of each; `acquaintances`: who is dialled; `invite`: who can give
//!   most is linked to others like it
//! - `estimate`: how much could come in, for the choice of rendition

mod acquaintances;
mod arrive;
mod bucket;
mod cache;
#[cfg(any(test, feature = "sim"))]
pub(crate) mod cause;
pub(crate) mod checks;
mod choose;
mod contract;
mod demand;
mod estimate;
mod give;
mod http;
mod invite;
mod ledger;
mod links;
mod narrow;
mod news;
mod peers;
#[cfg(test)]
mod properties;
mod push;
pub(crate) mod random;
mod report;
#[cfg(test)]
mod rig;
mod seed;
mod site;
mod tell;
mod uplink;
mod window;

use std::collections::VecDeque;

use bytes::Bytes;
use libp2p_identity::PeerId;

pub use contract::{Counters, Input, Kind, Micros, Output, PeerCounters, Role, Settings};

use crate::{
    manifest::{Manifest, Rejected},
    message::{Join, Message, Place},
    name::StreamName,
    sorted::SortedMap,
};

/// The least a cache holds, bytes: a few of the largest parts.
const LEAST_CACHE: usize = 4 * crate::part::MAX_PART_BYTES;

/// The engine of one stream.
#[derive(Debug)]
pub struct Scheduler {
    me: PeerId,
    role: Role,
    settings: Settings,
    checks: checks::Checks,
    random: random::Random,
    /// Of the input that is being handled.
    now: Micros,
    outputs: VecDeque<Output>,
    window: window::Window,
    /// The newest part of each rendition at the last news: (msn, part).
    seen: Vec<Option<(u64, u32)>>,
    /// Those to whom a gateway pushes a part, where they are several.
    seeds: SortedMap<Place, Vec<u32>>,
    unseeded: push::Unseeded,
    usual: push::Usual,
    silence: news::Silence,
    telling: tell::Telling,
    signed_at: Option<Micros>,
    /// Envelopes also come to it by a way of its own.
    has_socket: bool,
    cache: cache::Cache,
    early: arrive::Early,
    demand: demand::Demand,
    http: http::Http,
    peers: ledger::Peers,
    acquaintances: acquaintances::Acquaintances,
    /// What everyone was told of this peer.
    said: Option<Join>,
    gifts: give::Gifts,
    uplink: uplink::Uplink,
    /// When peers are told what is new here.
    news_due: Option<Micros>,
    seeding: seed::Seeding,
    site: site::Site,
    estimate: estimate::Estimate,
    narrow: narrow::Narrow,
    counters: Counters,
}

impl Scheduler {
    /// Nothing is known and nobody is linked. The same `seed` and inputs give the same outputs.
    pub fn new(me: PeerId, stream: StreamName, role: Role, settings: Settings, seed: u64) -> Self {
        Self {
            me,
            role,
            random: random::Random::new(seed),
            now: 0,
            outputs: VecDeque::new(),
            checks: checks::Checks::default(),
            window: window::Window::new(stream, checks::Checks::default()),
            seen: Vec::new(),
            seeds: SortedMap::new(),
            unseeded: push::Unseeded::default(),
            usual: push::Usual::default(),
            silence: news::Silence::default(),
            telling: tell::Telling::default(),
            signed_at: None,
            has_socket: false,
            cache: cache::Cache::new(settings.cache_bytes.max(LEAST_CACHE)),
            early: arrive::Early::default(),
            demand: demand::Demand::default(),
            http: http::Http::new(),
            peers: ledger::Peers::default(),
            acquaintances: acquaintances::Acquaintances::default(),
            said: None,
            gifts: give::Gifts::new(settings.upload),
            uplink: uplink::Uplink::default(),
            news_due: None,
            seeding: seed::Seeding::default(),
            site: site::Site::default(),
            estimate: estimate::Estimate::default(),
            narrow: narrow::Narrow::default(),
            counters: Counters::default(),
            settings,
        }
    }

    /// The same engine with its checks made elsewhere: see [`checks`].
    #[cfg(any(test, feature = "sim"))]
    pub(crate) fn checked_by(mut self, checks: checks::Checks) -> Self {
        self.checks = checks;
        self.window.check_by(checks);
        self
    }

    /// Takes one input. An error concerns [`Input::Envelope`] only: why it was rejected; nothing has changed then.
    pub fn handle(&mut self, input: Input<'_>, now: Micros) -> Result<(), Rejected> {
        self.now = self.now.max(now);
        let mut taken = Ok(());
        match input {
            Input::Linked { peer, kind } => self.linked(peer, kind),
            Input::Unlinked { peer } => self.unlinked(peer),
            Input::Message { peer, message } => self.heard(peer, message),
            Input::Part { peer, place, bytes } => self.arrived(peer, place, bytes),
            Input::Progress { peer, place, bytes } => self.progressed(peer, place, bytes),
            Input::Sent { peer, place, bytes } => self.sent(peer, place, bytes),
            Input::RoundTrip { peer, micros } => {
                if let Some(peer) = self.peers.get_mut(&peer) {
                    peer.take_round_trip(micros);
                }
            }
            Input::Envelope(envelope) => {
                self.has_socket = true;
                taken = self.accept(&Bytes::copy_from_slice(envelope), None, (&[], 0));
                match &taken {
                    Ok(()) => self.give_manifests(),
                    Err(Rejected::Gap { .. }) => self.ask_manifest_soon(),
                    Err(_) => {}
                }
            }
            Input::Fetched { place, bytes, took } => self.fetched(place, bytes, took),
            Input::Held { place, bytes } => self.held(place, bytes),
            Input::Published { place, bytes } => self.published(place, bytes),
            Input::Announced { envelope, manifest } => self.announced(envelope, manifest),
            Input::Demand { place, first } => self.demanded(place, first),
            Input::Playhead { micros, moving } => {
                self.demand.place_playhead(micros, moving, self.now);
                self.demand.touch_all();
            }
            Input::Site { mine, gateway } => self.placed(mine, gateway),
            Input::Select { renditions } => self.selected(renditions),
            Input::Upload { bytes_per_second } => self.limit_upload(bytes_per_second),
            Input::Wake => {}
        }
        self.settle_all();
        taken
    }

    /// What is to be done next; to be called until it is `None` after each input.
    pub fn output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`Input::Wake`] is due at the latest.
    pub fn wake_at(&self) -> Option<Micros> {
        let parts = self.demand.wanted.values().map(|wanted| wanted.next).min();
        [
            parts,
            self.peers.lost_at(),
            self.gifts.wake_at(),
            self.uplink.wake_at(),
            self.seeding.wake_at(),
            self.news_due,
            self.silence.ask_at,
            self.telling.wake_at(),
            self.acquaintances.seek_at,
            self.overdue_at(),
        ]
        .into_iter()
        .flatten()
        .min()
        .map(|at| at.max(self.now + 1))
    }

    /// A part from the verified cache.
    pub fn part(&self, place: Place) -> Option<Bytes> {
        self.cache.get(place).cloned()
    }

    /// Parts that are wanted and not here, in their order.
    pub fn wanted(&self) -> impl Iterator<Item = Place> {
        self.demand.wanted.keys().copied()
    }

    /// The verified window; `None` before the first manifest.
    pub fn manifest(&self) -> Option<&Manifest> {
        self.window.manifest()
    }

    /// Whether only a manifest helps.
    pub fn needs_manifest(&self) -> bool {
        self.window.needs_manifest()
    }

    /// Counters of this visit.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// How many viewers are linked.
    pub fn viewers(&self) -> usize {
        self.peers.viewers().count()
    }

    /// What is known of each linked peer.
    pub fn peers(&self) -> Vec<PeerCounters> {
        let of = |(id, peer): (&PeerId, &peers::Peer)| PeerCounters {
            peer: *id,
            kind: peer.kind,
            round_trip: peer.measured_round_trip(),
            bytes_in: peer.bytes_in,
            bytes_out: peer.bytes_out,
        };
        self.peers.iter().map(of).collect()
    }

    /// Linked peers that are viewers.
    pub fn neighbours(&self) -> u32 {
        u32::try_from(self.peers.viewers().count()).expect("there are 16,384 peers at most")
    }

    /// Whether links bring what is new, so that nobody else need tell it.
    pub fn is_told(&self) -> bool {
        self.peers.iter().any(|(_, peer)| peer.tells(self.now))
    }

    /// What peers and gateway together give at the moment, bits per second; `None` until it is known.
    pub fn estimate(&self) -> Option<u64> {
        self.estimate.bits(self.now)
    }

    /// What this peer is and wants, as it tells others.
    pub fn join(&self) -> Join {
        let out = self.narrow.is_out();
        Join {
            renditions: if out { 0 } else { self.demand.selected },
            upload: if out { 0 } else { self.offers() },
            gateway: self.peers.gateways().next().is_some(),
            site: self.site.mine,
        }
    }

    fn heard(&mut self, peer: PeerId, message: Message) {
        if self.peers.get(&peer).is_none() {
            return;
        }
        match message {
            Message::Join(join) => self.joined(peer, join),
            Message::Announcement {
                envelope,
                seeds,
                by,
            } => self.told(peer, envelope, (&seeds, by), false),
            Message::Manifest { envelope } => self.told(peer, envelope, (&[], 0), true),
            Message::WantManifest => self.manifest_wanted(peer),
            Message::Have(places) => self.has(peer, places),
            Message::Want(places) => self.is_wanted(peer, places),
            Message::Cancel(places) => self.cancelled(peer, places),
            Message::Lack(places) => self.lacks(peer, places),
            Message::Neighbours(peers) => self.heard_of(peer, peers),
            Message::WantNeighbours => self.neighbours_wanted(peer),
            Message::Tell { epoch, sequence } => self.is_to_tell(peer, (epoch, sequence)),
            Message::Hush => self.is_to_hush(peer),
        }
    }

    fn limit_upload(&mut self, bytes_per_second: u32) {
        self.gifts.limit(bytes_per_second, self.now);
        if bytes_per_second == 0 {
            self.refuse_all();
        }
        self.introduce_myself();
    }

    /// Does what is due.
    fn settle_all(&mut self) {
        let now = self.now;
        let due = |at: Option<Micros>| at.is_some_and(|at| at <= now);
        if due(self.silence.ask_at) {
            self.ask_manifest();
        }
        if due(self.telling.wake_at()) {
            self.look_at_tellers();
        }
        if due(self.acquaintances.seek_at) {
            self.seek();
        }
        if due(self.peers.lost_at()) {
            self.peers.forget_lost(now);
        }
        if due(self.seeding.wake_at()) {
            self.pass_over();
        }
        self.judge_link();
        self.choose_all();
        self.give();
        if due(self.news_due) {
            self.tell_all();
        }
    }

    fn send(&mut self, peer: PeerId, message: Message) {
        if self.peers.get(&peer).is_some() {
            self.outputs.push_back(Output::Send { peer, message });
        }
    }
}
