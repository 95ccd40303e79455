//! Whatever happens, in whatever order: no panic, no bound exceeded, no part fetched or asked for twice without cause, no
//! demand forgotten, no deadline slept through.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use libp2p_identity::PeerId;
use proptest::prelude::*;

use super::{choose::LEAST_RESERVE, demand::MAX_WANTED, http::MAX_FETCHES, peers::MAX_WANTS, *};
use crate::{
    key::SigningKey,
    manifest::MAX_NUMBER,
    message::tail,
    sim::{PART, Publisher, START},
};

mod acts;

use acts::{Act, act};

const PEERS: usize = 5;
const CACHE: usize = 4 << 20;

fn id(number: usize) -> PeerId {
    let mut secret = [3; 32];
    secret[0] = number as u8;
    let key = SigningKey::from_secret(secret).to_protobuf();
    let pair = libp2p_identity::Keypair::from_protobuf_encoding(&key).expect("a key");
    pair.public().to_peer_id()
}

/// A driver that answers as it likes, and remembers what it was told.
struct Rig {
    engine: Scheduler,
    now: Micros,
    publisher: Publisher,
    ids: Vec<PeerId>,
    newest: i32,
    places: Vec<Place>,
    parts: BTreeMap<Place, Bytes>,
    told: Vec<Bytes>,
    fetching: BTreeSet<Place>,
    /// When HTTP last gave nothing, or wrong bytes.
    failed: BTreeMap<Place, Micros>,
    sending: Vec<(PeerId, Place, usize)>,
    asked: BTreeMap<Place, PeerId>,
    demanded: BTreeSet<Place>,
    linked: BTreeSet<PeerId>,
}

impl Rig {
    fn new(role: Role, seed: u64) -> Self {
        let publisher = Publisher::new(&[400_000, 200_000]);
        let settings = Settings {
            cache_bytes: CACHE,
            neighbours: 2,
            upload: 200_000,
            reserve: 300_000,
            hushes: true,
        };
        let name = publisher.key().name();
        let ids: Vec<PeerId> = (0..=PEERS).map(id).collect();
        Self {
            engine: Scheduler::new(ids[PEERS], name, role, settings, seed),
            now: 1,
            publisher,
            ids,
            newest: -1,
            places: Vec::new(),
            parts: BTreeMap::new(),
            told: Vec::new(),
            fetching: BTreeSet::new(),
            failed: BTreeMap::new(),
            sending: Vec::new(),
            asked: BTreeMap::new(),
            demanded: BTreeSet::new(),
            linked: BTreeSet::new(),
        }
    }

    fn place(&self, back: i32) -> Place {
        let at = self.newest - back;
        if at >= 0 && at <= self.newest {
            return self.places[at as usize];
        }
        let ahead = (at.max(0)) as u64;
        Place {
            msn: ahead / 10,
            part: (ahead % 10) as u32,
            rendition: 0,
        }
    }

    fn run(&mut self, act: Act) {
        let gateway = matches!(self.engine.role, Role::Gateway);
        match act {
            Act::Pass(micros) => {
                self.now += micros;
                self.handle(Input::Wake);
            }
            Act::Link(peer) => {
                let kind = if peer == 0 && !gateway {
                    Kind::Gateway
                } else {
                    Kind::Viewer
                };
                let peer = self.ids[peer];
                // A new link: what went over the one before ended with it.
                self.unlinked(peer);
                self.linked.insert(peer);
                self.handle(Input::Linked { peer, kind });
            }
            Act::Unlink(peer) => {
                let peer = self.ids[peer];
                self.unlinked(peer);
                self.handle(Input::Unlinked { peer });
            }
            Act::Join(peer, renditions, upload, gateway) => self.hear(
                peer,
                Message::Join(Join {
                    renditions,
                    upload,
                    gateway,
                    site: 0,
                }),
            ),
            Act::Publish(from, seeds, lost) => self.publish(from, seeds, lost),
            Act::Manifest(from) => {
                let envelope = self.publisher.signed();
                match from {
                    Some(peer) => self.hear(peer, Message::Manifest { envelope }),
                    None => self.handle(Input::Envelope(&envelope)),
                }
            }
            Act::Replay(peer, back) => {
                if let Some(envelope) = self.told.iter().rev().nth(back).cloned() {
                    let seeds = Vec::new();
                    self.hear(
                        peer,
                        Message::Announcement {
                            envelope,
                            seeds,
                            by: 0,
                        },
                    );
                }
            }
            Act::Forged(peer, bytes) => self.hear(
                peer,
                Message::Manifest {
                    envelope: bytes.into(),
                },
            ),
            Act::Part(peer, back, kind) => {
                let place = self.place(back);
                let bytes = self.parts.get(&place).cloned();
                let mut bytes = bytes.unwrap_or_else(|| Bytes::from(vec![9; 100]));
                match kind {
                    0 => bytes = Bytes::from(vec![1; bytes.len()]),
                    1 => bytes = bytes.slice(..bytes.len() - 1),
                    _ => {}
                }
                let peer = self.ids[peer];
                self.handle(Input::Part { peer, place, bytes });
            }
            Act::Progress(peer, back, bytes) => {
                let (peer, place) = (self.ids[peer], self.place(back));
                self.handle(Input::Progress { peer, place, bytes });
            }
            Act::Say(peer, kind, back, count) => {
                let places = (0..count).map(|n| self.place(back + n as i32)).collect();
                let kinds = [Message::Have, Message::Want, Message::Cancel, Message::Lack];
                self.hear(peer, kinds[usize::from(kind)](places));
            }
            Act::Wild(peer, msn, part, rendition) => {
                let place = Place {
                    msn,
                    part,
                    rendition: rendition % 16,
                };
                let id = self.ids[peer];
                self.hear(peer, Message::Want(vec![place]));
                self.hear(peer, Message::Have(vec![place]));
                let bytes = Bytes::from_static(b"wild");
                self.handle(Input::Part {
                    peer: id,
                    place,
                    bytes,
                });
                self.player_wants(place);
            }
            Act::Neighbours(peer, numbers) => {
                let peers = numbers.into_iter().map(id).collect();
                self.hear(peer, Message::Neighbours(peers));
            }
            Act::Asks(peer, manifest) => self.hear(
                peer,
                if manifest {
                    Message::WantManifest
                } else {
                    Message::WantNeighbours
                },
            ),
            Act::Demand(back) => {
                let place = self.place(back);
                self.player_wants(place);
            }
            Act::Playhead(back, moving) if !gateway => {
                let micros = START + (self.now as i64 - i64::from(back) * 200_000).max(0) as u64;
                self.handle(Input::Playhead { micros, moving });
            }
            Act::Select(renditions) if !gateway => self.handle(Input::Select { renditions }),
            Act::Upload(bytes_per_second) => self.handle(Input::Upload { bytes_per_second }),
            Act::Fetched(kind) => {
                let Some(place) = self.fetching.pop_first() else {
                    return;
                };
                let good = self.parts.get(&place).cloned();
                let bytes = match kind {
                    0 => None,
                    1 => good.map(|good| Bytes::from(vec![0; good.len()])),
                    _ => good,
                };
                if kind < 2 {
                    self.failed.insert(place, self.now);
                }
                let took = 30_000;
                self.handle(Input::Fetched { place, bytes, took });
            }
            Act::Sent => {
                if let Some((peer, place, bytes)) = self.sending.pop() {
                    self.handle(Input::Sent { peer, place, bytes });
                }
            }
            Act::RoundTrip(peer, micros) => {
                let peer = self.ids[peer];
                self.handle(Input::RoundTrip { peer, micros });
            }
            Act::Playhead(..) | Act::Select(_) => {}
        }
    }

    fn player_wants(&mut self, place: Place) {
        if matches!(self.engine.role, Role::Viewer) {
            self.demanded.insert(place);
            self.handle(Input::Demand {
                place,
                first: place.part,
            });
        }
    }

    fn publish(&mut self, from: Option<usize>, seeds: Vec<usize>, lost: bool) {
        self.now += PART;
        let published = self.publisher.publish(self.now);
        let gateway = matches!(self.engine.role, Role::Gateway);
        self.places.push(published.parts[0].0);
        self.newest += 1;
        for (place, bytes) in published.parts {
            self.parts.insert(place, bytes.clone());
            if gateway {
                self.handle(Input::Published { place, bytes });
            }
        }
        let envelope = published.envelope;
        self.told.push(envelope.clone());
        if gateway {
            let manifest = self.publisher.manifest.clone();
            let manifest = &manifest;
            return self.handle(Input::Announced { envelope, manifest });
        }
        let seeds = seeds
            .into_iter()
            .map(|seed| tail(&self.ids[seed]))
            .collect();
        match from {
            Some(peer) => self.hear(
                peer,
                Message::Announcement {
                    envelope,
                    seeds,
                    by: 0,
                },
            ),
            None if lost => {}
            None => self.handle(Input::Envelope(&envelope)),
        }
    }

    fn hear(&mut self, peer: usize, message: Message) {
        let peer = self.ids[peer];
        if let Message::Lack(places) = &message {
            for place in places {
                if self.asked.get(place) == Some(&peer) {
                    self.asked.remove(place);
                }
            }
        }
        self.handle(Input::Message { peer, message });
    }

    fn unlinked(&mut self, peer: PeerId) {
        self.linked.remove(&peer);
        self.asked.retain(|_, asked| *asked != peer);
        self.sending.retain(|(to, ..)| *to != peer);
    }

    fn handle(&mut self, input: Input<'_>) {
        let _ = self.engine.handle(input, self.now);
        while let Some(output) = self.engine.output() {
            self.obey(output);
        }
        // What is no longer wanted and then asked for again is another wish.
        let wanted = &self.engine.demand.wanted;
        self.failed.retain(|place, _| wanted.contains_key(place));
        self.check();
    }

    fn obey(&mut self, output: Output) {
        match output {
            Output::Send { peer, message } => {
                assert!(
                    self.linked.contains(&peer),
                    "told to a stranger: {message:?}"
                );
                let bytes = message.encode();
                let stream = self.publisher.key().name();
                assert_eq!(Message::decode(&bytes, &stream).as_ref(), Ok(&message));
                match message {
                    Message::Want(places) => {
                        for place in places {
                            let before = self.asked.insert(place, peer);
                            assert_eq!(before, None, "{place:?} is asked for twice");
                        }
                    }
                    Message::Cancel(places) => {
                        for place in places {
                            if self.asked.get(&place) == Some(&peer) {
                                self.asked.remove(&place);
                            }
                        }
                    }
                    _ => {}
                }
            }
            Output::SendPart { peer, place, bytes } => {
                assert!(
                    self.engine.gifts.upload() > 0,
                    "given although sharing is off"
                );
                assert_eq!(
                    Some(&bytes),
                    self.parts.get(&place),
                    "only what was verified"
                );
                self.sending.push((peer, place, bytes.len()));
            }
            Output::Unsend { peer, place } => {
                self.sending
                    .retain(|(to, of, _)| (*to, *of) != (peer, place));
            }
            Output::Drop { peer, .. } => self.unlinked(peer),
            Output::Fetch { place } => {
                assert!(
                    self.fetching.insert(place),
                    "{place:?} is fetched twice at a time"
                );
                assert!(
                    self.engine.part(place).is_none(),
                    "{place:?} is fetched and here"
                );
                assert!(
                    self.failed
                        .get(&place)
                        .is_none_or(|at| self.now >= at + 200_000),
                    "{place:?} is fetched again at once"
                );
                assert!(
                    !self.asked.contains_key(&place),
                    "{place:?} is asked for and fetched"
                );
            }
            Output::Abort { place } => {
                assert!(
                    self.fetching.remove(&place),
                    "{place:?} is not being fetched"
                );
            }
            Output::Ready { place } => {
                let part = self.engine.part(place).expect("it is there");
                assert_eq!(
                    Some(&part),
                    self.parts.get(&place),
                    "only what was published"
                );
                self.demanded.remove(&place);
                self.asked.remove(&place);
            }
            Output::Gone { place } => {
                self.demanded.remove(&place);
            }
            Output::Dial { peer } => assert!(!self.linked.contains(&peer)),
            Output::News { .. } | Output::Narrowed | Output::Sign => {}
        }
    }

    fn check(&self) {
        let engine = &self.engine;
        assert!(engine.wake_at().is_none_or(|at| at > self.now));
        let wanted = &engine.demand.wanted;
        assert!(wanted.len() <= MAX_WANTED);
        let fetches = wanted.values().filter(|wanted| wanted.fetch.is_some());
        assert!(fetches.count() <= MAX_FETCHES);
        assert!(engine.cache.bytes() <= CACHE);
        for (id, peer) in engine.peers.iter() {
            assert!(self.linked.contains(id));
            assert!(peer.has.len() <= 1024 && peer.wants.len() <= MAX_WANTS);
            assert!(peer.queued <= MAX_WANTS && peer.spared.len() <= MAX_WANTS);
            assert!(peer.news.len() < 256);
            let asked = wanted
                .values()
                .filter(|w| w.asked.is_some_and(|a| a.peer == *id));
            let bytes: usize = asked.map(|wanted| wanted.entry.size as usize).sum();
            assert_eq!(peer.asked, bytes, "the ledger of {id} is right");
        }
        for place in &self.demanded {
            let kept = wanted.get(place).is_some_and(|wanted| wanted.demanded);
            assert!(
                kept || engine.demand.awaits(*place),
                "{place:?} is forgotten"
            );
        }
        for (place, wanted) in wanted.iter() {
            let deadline = engine.demand.deadline(wanted, self.now);
            let reserve = engine.settings.reserve;
            let before = |margin| deadline.saturating_sub(margin).max(wanted.refetch);
            let begins = before(reserve + engine.http.expects());
            let waits = wanted.fetch.is_none() && begins > self.now + 5_000;
            // Newcomers reckon with what most fetches take, and may have decided as such.
            let fetch_at = before(reserve / LEAST_RESERVE + engine.http.usually());
            assert!(
                !waits || wanted.next <= fetch_at.max(engine.http.opens_at()) + 50_000,
                "{place:?} sleeps through its deadline: {wanted:?}, {fetch_at}, now {}",
                self.now
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    #[test]
    fn a_viewer_keeps_its_bounds_and_forgets_nothing(acts in prop::collection::vec(act(), 1..250), seed in any::<u64>()) {
        let mut rig = Rig::new(Role::Viewer, seed);
        rig.run(Act::Select(1));
        rig.run(Act::Publish(None, Vec::new(), false));
        rig.run(Act::Manifest(None));
        for act in acts {
            rig.run(act);
        }
    }

    #[test]
    fn a_gateway_keeps_its_bounds(acts in prop::collection::vec(act(), 1..250), seed in any::<u64>()) {
        let mut rig = Rig::new(Role::Gateway, seed);
        for act in acts {
            rig.run(act);
        }
    }
}
