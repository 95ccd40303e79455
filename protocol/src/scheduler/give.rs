//! To whom: parts that were wanted or are pushed, as far as the upload budget and each peer's link go. What a seed pushes goes
//! first, then what newcomers ask for, and then what the fewest have: of what nobody else gives, each copy that is late makes
//! all behind it late.

mod order;

use std::{cmp::Reverse, collections::BTreeMap};

use libp2p_identity::PeerId;
use order::each_once;

use super::{
    Micros, Output, Role, Scheduler,
    arrive::Source,
    bucket::Bucket,
    peers::{MAX_WANTS, Peer, Settled},
    random::turn,
};
use crate::{
    message::{MAX_PLACES, Message, Place, tail},
    sorted::SortedMap,
};

/// A push that did not leave for so long is given up: its receiver gets it elsewhere by now, or asks.
const PUSH_FRESH: Micros = 400_000;
/// What would leave later than this is refused: it is to be had elsewhere.
const LONGEST_WAIT: f64 = 0.2;
/// What is so far behind the newest on the stream's timeline is late: nobody is preferred to who waits for it.
const LATE: u64 = 1_000_000;
/// A part is pushed to as many as get it within this, seconds; the others are told.
const PUSHED: f64 = 0.4;
/// Where everyone is everyone's neighbour, who seeds a part pushes it to all. That others have it as well is of use to them
/// only if that fails: it is told them so late, with what came in between.
const REPAIR: Micros = 500_000;
/// Bytes that may leave at once, if a second's worth is less.
const LEAST_BURST: f64 = 64.0 * 1024.0;

/// A part that waits to be given.
#[derive(Clone, Copy, Debug)]
struct Gift {
    pushed: bool,
    size: usize,
    since: Micros,
}

/// Everything that waits to be given, by place, then by turns.
#[derive(Debug)]
pub(super) struct Gifts {
    queue: BTreeMap<(Place, u64, PeerId), Gift>,
    bytes: usize,
    bucket: Bucket,
    upload: u32,
}

impl Gifts {
    pub(super) fn new(upload: u32) -> Self {
        Self {
            queue: BTreeMap::new(),
            bytes: 0,
            bucket: bucket(upload, 0),
            upload,
        }
    }

    /// Of all that waits.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Bytes per second; 0: nothing is given.
    pub(super) fn upload(&self) -> u32 {
        self.upload
    }

    pub(super) fn limit(&mut self, upload: u32, now: Micros) {
        self.upload = upload;
        self.bucket = bucket(upload, now);
    }

    fn remove(&mut self, place: Place, peer: &PeerId) -> bool {
        let gone = self.queue.remove(&(place, turn(place, peer), *peer));
        self.bytes -= gone.map_or(0, |gift| gift.size);
        gone.is_some()
    }

    fn remove_peer(&mut self, peer: &PeerId) {
        self.queue.retain(|(_, _, of), _| of != peer);
        self.bytes = self.queue.values().map(|gift| gift.size).sum();
    }

    /// When one of them may leave or is given up.
    pub(super) fn wake_at(&self) -> Option<Micros> {
        let opens = self.bucket.opens_at();
        let pushes = self.queue.values().filter(|gift| gift.pushed);
        let stale = pushes.map(|gift| gift.since + PUSH_FRESH).min();
        match self.queue.is_empty() {
            true => None,
            false => [opens, stale].into_iter().flatten().min(),
        }
    }
}

fn bucket(upload: u32, now: Micros) -> Bucket {
    let rate = f64::from(upload);
    Bucket::new(rate, rate.max(LEAST_BURST), now)
}

impl Scheduler {
    /// Whether anything is given to others.
    pub(super) fn shares(&self) -> bool {
        self.gifts.upload() > 0 && !self.narrow.is_out()
    }

    /// A peer wants parts.
    pub(super) fn is_wanted(&mut self, id: PeerId, places: Vec<Place>) {
        let mut lack = Vec::new();
        for place in places {
            if !self.promise(id, place) {
                lack.push(place);
            }
        }
        if !lack.is_empty() {
            self.send(id, Message::Lack(lack));
        }
    }

    /// False if it will not be given.
    fn promise(&mut self, id: PeerId, place: Place) -> bool {
        let shares = self.shares();
        let mut wait = self.backlog();
        if wait > LONGEST_WAIT {
            self.prefer(&id, place);
            wait = self.backlog();
        }
        let mine = self.demand.wanted.contains_key(&place)
            || (self.window.is_ahead(place)
                && (matches!(self.role, Role::Gateway) || self.demand.selects(place.rendition)));
        let Some(peer) = self.peers.get_mut(&id) else {
            return true;
        };
        peer.spared.remove(&place);
        if !shares || peer.queued >= MAX_WANTS || wait > LONGEST_WAIT {
            return false;
        }
        if self.cache.holds(place) {
            if !peer.is_given(place) {
                self.queue(id, place, false);
            }
            return true;
        }
        mine && peer.wants.len() < MAX_WANTS && {
            peer.wants.insert(place);
            true
        }
    }

    /// What can wait most is refused, if that can wait longer than `place` for `to`: what is not for a newcomer, what most others
    /// could give as well, what is not late yet, for who can pass least on to others.
    fn prefer(&mut self, to: &PeerId, place: Place) {
        if let Some((id, gone)) = self.can_wait_longer(to, place) {
            self.take_back(id, gone);
            self.send(id, Message::Lack(vec![gone]));
        }
    }

    fn can_wait_longer(&self, to: &PeerId, place: Place) -> Option<(PeerId, Place)> {
        let newest = self.gifts.queue.keys().next_back().map(|key| key.0);
        let edge = newest
            .and_then(|place| self.window.start(place))
            .unwrap_or(0);
        let mut of = each_once(|place| {
            let is_late = self.window.start(place).is_none_or(|at| at + LATE < edge);
            (self.holders(place), !is_late)
        });
        let mut rank = |place: Place, id: &PeerId| {
            let peer = self.peers.get(id);
            let upload = peer.map_or(0, Peer::upload).checked_ilog2();
            let (holders, in_time) = of(place);
            (
                !self.has_just_come(id),
                holders,
                in_time,
                Reverse(upload),
                place,
            )
        };
        let first = rank(place, to);
        let queue = self.gifts.queue.iter();
        let others = queue.filter(|(_, gift)| !gift.pushed);
        let last = others.map(|((place, _, id), _)| (rank(*place, id), *id));
        let last = last.max_by_key(|(rank, _)| *rank);
        let last = last.filter(|(last, _)| *last > first);
        last.map(|((.., gone), id)| (id, gone))
    }

    /// A peer does not want parts, or has them: it is not given them, nor is what has not left yet.
    pub(super) fn settle(&mut self, id: PeerId, place: Place) {
        let Some(peer) = self.peers.get_mut(&id) else {
            return;
        };
        peer.wants.remove(&place);
        if self.gifts.remove(place, &id) {
            peer.queued -= 1;
        }
        let round_trip = peer.round_trip();
        match peer.settle(place, self.now) {
            Settled::Came(bytes) => self.learn_uplink(bytes, round_trip),
            Settled::TakenBack => {
                self.learn_uplink(0, round_trip);
                self.outputs.push_back(Output::Unsend { peer: id, place });
            }
            Settled::NotGiven => {}
        }
    }

    /// A peer follows some renditions no longer: what is pushed of them and has not left would take room on its link from
    /// what it follows now.
    pub(super) fn stop_pushing(&mut self, id: PeerId, renditions: u16) {
        let pushed = self.gifts.queue.iter();
        let pushed = pushed.filter(|((place, _, of), gift)| {
            gift.pushed && *of == id && renditions >> place.rendition & 1 == 1
        });
        let pushed: Vec<Place> = pushed.map(|((place, ..), _)| *place).collect();
        for place in pushed {
            self.take_back(id, place);
        }
        let Some(peer) = self.peers.get_mut(&id) else {
            return;
        };
        for place in peer.take_back_pushed(renditions) {
            self.outputs.push_back(Output::Unsend { peer: id, place });
        }
    }

    /// Nothing more is given to a peer.
    pub(super) fn forget_gifts(&mut self, id: &PeerId) {
        self.gifts.remove_peer(id);
    }

    /// Sharing was switched off: what was promised is taken back.
    pub(super) fn refuse_all(&mut self) {
        let queue = std::mem::take(&mut self.gifts.queue);
        self.gifts.bytes = 0;
        let mut lack: SortedMap<PeerId, Vec<Place>> = SortedMap::new();
        for (place, _, id) in queue.into_keys() {
            lack.or_insert_with(id, Vec::new).push(place);
        }
        for (id, peer) in self.peers.iter_mut() {
            peer.queued = 0;
            peer.news.clear();
            let wants = std::mem::take(&mut peer.wants);
            lack.or_insert_with(*id, Vec::new).extend(wants);
        }
        for (id, places) in lack {
            for places in places.chunks(MAX_PLACES) {
                self.send(id, Message::Lack(places.to_vec()));
            }
        }
    }

    /// Queues a part for a peer.
    pub(super) fn queue(&mut self, id: PeerId, place: Place, pushed: bool) {
        if !self.shares() {
            return;
        }
        let (Some(peer), Some(part)) = (self.peers.get_mut(&id), self.cache.get(place)) else {
            return;
        };
        let gift = Gift {
            pushed,
            size: part.len(),
            since: self.now,
        };
        match self.gifts.queue.insert((place, turn(place, &id), id), gift) {
            Some(_) => {}
            None => {
                self.gifts.bytes += gift.size;
                peer.queued += 1;
            }
        }
    }

    /// Gives what may leave now.
    pub(super) fn give(&mut self) {
        self.uplink.waits(false, self.now);
        if self.gifts.queue.is_empty() || !self.has_to_give() {
            return;
        }
        let now = self.now;
        let mut out = self.out();
        for key in self.in_order() {
            let (place, _, id) = key;
            let Some(gift) = self.gifts.queue.get(&key).copied() else {
                continue;
            };
            if gift.pushed && now >= gift.since + PUSH_FRESH {
                self.take_back(id, place);
                self.tell(id, place, now);
                continue;
            }
            if !self.gifts.bucket.open(now) {
                continue; // those that are stale are still to be found
            }
            let peer = self.peers.get(&id);
            let Some(peer) = peer.filter(|peer| peer.has_room(gift.size, now)) else {
                continue;
            };
            if !out.has_room(peer.round_trip()) {
                self.uplink.waits(true, now);
                continue;
            }
            self.take_back(id, place);
            let Some(bytes) = self.cache.get(place).cloned() else {
                self.send(id, Message::Lack(vec![place]));
                continue;
            };
            self.uplink.begin(out.is_idle(), now);
            self.peers.give(&id, place, gift.size, gift.pushed, now);
            out = self.out();
            self.gifts.bucket.take(gift.size as f64);
            self.outputs.push_back(Output::SendPart {
                peer: id,
                place,
                bytes,
            });
        }
    }

    fn take_back(&mut self, id: PeerId, place: Place) {
        if self.gifts.remove(place, &id)
            && let Some(peer) = self.peers.get_mut(&id)
        {
            peer.queued -= 1;
        }
    }

    /// A part has left.
    pub(super) fn sent(&mut self, id: PeerId, place: Place, bytes: usize) {
        if let Some(peer) = self.peers.get_mut(&id)
            && peer.left(place)
        {
            peer.bytes_out += bytes as u64;
            self.counters.bytes_uploaded += bytes as u64;
        }
    }

    // --- what is new here ---

    /// A part was verified: those who wait for it get it, a seed's neighbours get it, the others are told. `pushed`: it came
    /// without having been asked for.
    pub(super) fn pass_on(&mut self, place: Place, source: Source, pushed: bool) {
        let shares = self.shares();
        let from = match source {
            Source::Peer(id) => Some(id),
            Source::Own | Source::Http => None,
        };
        let seeds = from.is_some_and(|id| self.peers.get(&id).is_some_and(|p| !p.is_viewer()));
        let several = self.seeds.remove(&place).unwrap_or_default();
        let near = self.is_among_its_own();
        let mut ids: Vec<(u32, bool, PeerId)> = self
            .peers
            .iter()
            .map(|(id, peer)| (peer.upload(), near && self.is_far(peer), *id))
            .collect();
        if seeds {
            // Those first who can pass it on soonest.
            ids.sort_by_key(|(upload, _, id)| (Reverse(upload.checked_ilog2()), turn(place, id)));
        }
        let everyone = self.viewers() < self.settings.neighbours && self.knows_no_others();
        let told_at = if pushed && !seeds && everyone {
            self.now + REPAIR
        } else {
            self.now
        };
        let doubts = self.doubts_link();
        let size = self.cache.get(place).map_or(0, bytes::Bytes::len) as f64;
        let mut pushes = (PUSHED * self.capacity() / size.max(1.0)).max(1.0) as u32;
        for (_, far, id) in ids {
            let mine = several.is_empty()
                || (!several.contains(&tail(&id))
                    && self.seed_of(place, &several, &id) == Some(tail(&self.me)));
            let Some(peer) = self.peers.get_mut(&id) else {
                continue;
            };
            let waits = peer.wants.remove(&place);
            if from == Some(id) {
                if peer.shares() {
                    peer.learn_has(place);
                }
                match shares && seeds {
                    true => self.report(id, place, true),
                    false => self.acknowledge(id, place),
                }
            } else if !shares {
                if waits {
                    self.send(id, Message::Lack(vec![place]));
                }
            } else if !peer.is_viewer() {
                // Seeds push. A mirror is one of few, and has others wait for it.
                self.report(id, place, !self.settings.hushes || pushed && !everyone);
            } else if waits {
                self.queue(id, place, false);
            } else if peer.follows(place.rendition) && !peer.has.contains(&place) {
                if seeds && mine && !far && !doubts && pushes > 0 && !peer.spared.contains(&place) {
                    pushes -= 1;
                    self.queue(id, place, true);
                } else {
                    self.tell(id, place, told_at);
                }
            }
        }
    }

    /// Tells whoever gave a part, or watches its way, that it is here: at once, because in hidden tabs timers are late.
    pub(super) fn acknowledge(&mut self, id: PeerId, place: Place) {
        let message = if self.shares() {
            Message::Have
        } else {
            Message::Cancel
        };
        self.send(id, message(vec![place]));
    }

    /// Tells a peer that a part is here, with what else is to be told it until then.
    fn tell(&mut self, id: PeerId, place: Place, at: Micros) {
        if let Some(peer) = self.peers.get_mut(&id) {
            peer.news.push(place);
            if peer.news.len() >= MAX_PLACES {
                self.tell_all();
            }
        }
        self.news_due = Some(self.news_due.map_or(at, |due| due.min(at)));
    }

    /// Tells everyone what is new, but for what they have by now.
    pub(super) fn tell_all(&mut self) {
        self.news_due = None;
        let shares = self.shares();
        let mut messages = Vec::new();
        for (id, peer) in self.peers.iter_mut().filter(|(_, peer)| peer.is_viewer()) {
            let mut places = std::mem::take(&mut peer.news);
            places.retain(|place| shares && !peer.has.contains(place));
            places.sort();
            places.dedup();
            if !places.is_empty() {
                messages.push((*id, Message::Have(places)));
            }
        }
        for (id, message) in messages {
            self.send(id, message);
        }
    }

    /// Tells a peer what is here of these renditions, the newest.
    pub(super) fn tell_held(&mut self, id: PeerId, renditions: u16) {
        if !self.shares() {
            return;
        }
        let of = |place: &Place| renditions >> place.rendition & 1 == 1;
        let in_window = |place: &Place| self.window.part(*place).is_some();
        let mut places: Vec<_> = self
            .cache
            .places()
            .filter(|place| of(place) && in_window(place))
            .take(MAX_PLACES)
            .collect();
        places.reverse();
        if !places.is_empty() {
            self.send(id, Message::Have(places));
        }
    }
}

#[cfg(test)]
mod tests;
