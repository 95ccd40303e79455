//! Who is linked: greetings, introductions, and who is dropped.

use std::collections::VecDeque;

use libp2p_identity::PeerId;

use super::{Kind, Micros, Output, Role, Scheduler, ledger::MAX_PEERS, peers::Peer};
use crate::{
    message::{Join, MAX_NEIGHBOURS, Message, Place},
    sorted::SortedMap,
};

/// Viewers that a newcomer is told of.
const INTRODUCED: usize = 8;
/// A dial that led to no link for so long has failed.
const DIAL: Micros = 20_000_000;
/// Who could not be reached is not dialled again before.
const REDIAL: Micros = 5_000_000;
/// Viewers heard of, and viewers that could not be reached: the newest.
const MAX_KNOWN: usize = 64;
/// So many are dialled at a time, and the next ones so much later: to make a connection costs both ends more than a
/// second's video does, and a picture that is shown meanwhile is not to wait.
const AT_ONCE: usize = 4;
const PACE: Micros = 250_000;
/// More neighbours are asked for after this, then later and later, up to the longest.
const SEEK: (Micros, Micros) = (2_000_000, 30_000_000);
/// Neighbours are told this often at most.
const TELL_EVERY: Micros = 1_000_000;
/// Who had too much to give is not asked before.
const BUSY: Micros = 60_000;
/// So long a gateway takes to name others, and a newcomer to be linked to them.
const INTRODUCES: Micros = 500_000;
const ACQUAINTS: Micros = 3_000_000;
/// With fewer neighbours that follow the same rendition, others are sought: with four, a viewer often finds all of them busy
/// while others have nothing to do.
const FEW: usize = 6;

/// Viewers that are not linked yet.
#[derive(Debug, Default)]
pub(super) struct Acquaintances {
    known: VecDeque<PeerId>,
    /// When each is to be given up.
    dialling: SortedMap<PeerId, Micros>,
    /// When each may be tried again.
    unreached: SortedMap<PeerId, Micros>,
    pause: Micros,
    /// When this viewer first wanted something.
    began: Option<Micros>,
    pub(super) seek_at: Option<Micros>,
}

impl Scheduler {
    /// A link stands.
    pub(super) fn linked(&mut self, id: PeerId, kind: Kind) {
        self.acquaintances.dialling.remove(&id);
        self.acquaintances.unreached.remove(&id);
        if id == self.me || self.peers.is_banned(&id) {
            return self.outputs.push_back(Output::Drop {
                peer: id,
                ban: id != self.me,
                why: "it lied before",
            });
        }
        if self.peers.get(&id).is_some() {
            self.unlinked(id);
        }
        let full = match (&self.role, kind) {
            (Role::Viewer, Kind::Viewer) => {
                self.peers.viewers().count() >= 2 * self.settings.neighbours && !self.make_room()
            }
            _ => self.peers.len() >= MAX_PEERS,
        };
        if full {
            return self.outputs.push_back(Output::Drop {
                peer: id,
                ban: false,
                why: "there are enough links",
            });
        }
        self.peers.add(id, kind, self.now);
        if let (Role::Gateway, Some(peer)) = (&self.role, self.peers.get_mut(&id)) {
            peer.is_told = true;
        }
        let join = self.join();
        if self.said == Some(join) {
            self.send(id, Message::Join(join));
        } else {
            self.introduce_myself();
        }
        if kind == Kind::Viewer && self.expects_neighbours() {
            self.ask_unheard(id);
        }
        if kind == Kind::Gateway {
            self.gateway_linked(id);
        }
        if kind == Kind::Gateway && self.window.needs_manifest() {
            self.ask_manifest_soon();
        }
        self.seek_soon();
    }

    /// Ends a link that serves no rendition that is wanted here; false if there is none.
    fn make_room(&mut self) -> bool {
        let mine = self.demand.selected;
        let useless = self
            .peers
            .viewers()
            .find(|(_, peer)| peer.join.is_some_and(|join| join.renditions & mine == 0));
        let useless = useless.map(|(id, _)| *id);
        if let Some(id) = useless {
            self.drop_peer(id, false, "it follows no rendition that is wanted here");
        }
        useless.is_some()
    }

    /// A link ended, or could not be made.
    pub(super) fn unlinked(&mut self, id: PeerId) {
        let now = self.now;
        if self.acquaintances.dialling.remove(&id).is_some() {
            self.unreached(id);
        }
        self.estimate.flow_ended(id, now);
        self.forget_gifts(&id);
        let Some(peer) = self.peers.remove(&id) else {
            return self.seek_soon();
        };
        for wanted in self.demand.wanted.values_mut() {
            if wanted.asked.is_some_and(|asked| asked.peer == id) {
                wanted.asked = None;
                wanted.next = 0;
            }
            if wanted.pushers.contains(&id) {
                wanted.pushers.retain(|pusher| *pusher != id);
                wanted.pushed_until = now;
                wanted.next = 0;
            }
        }
        self.seed_gone(&id);
        if peer.teller.is_some() {
            self.teller_gone();
        }
        if !peer.is_viewer() {
            self.introduce_myself();
        }
        self.seek_soon();
    }

    /// Ends a link; `ban`: for ever.
    pub(super) fn drop_peer(&mut self, id: PeerId, ban: bool, why: &'static str) {
        if self.peers.get(&id).is_none() {
            return;
        }
        if ban {
            self.peers.ban(id);
            self.acquaintances.known.retain(|known| *known != id);
        }
        self.outputs.push_back(Output::Drop { peer: id, ban, why });
        self.unlinked(id);
    }

    /// It lied.
    pub(super) fn ban(&mut self, id: PeerId, why: &'static str) {
        self.drop_peer(id, true, why);
    }

    /// Says to everyone what this peer is and wants, if that has changed.
    pub(super) fn introduce_myself(&mut self) {
        let join = self.join();
        if self.said == Some(join) {
            return;
        }
        self.said = Some(join);
        let ids: Vec<PeerId> = self.peers.iter().map(|(id, _)| *id).collect();
        for id in ids {
            self.send(id, Message::Join(join));
        }
        self.seek_soon();
    }

    /// A peer says what it is and wants.
    pub(super) fn joined(&mut self, id: PeerId, join: Join) {
        let now = self.now;
        let Some(peer) = self.peers.get_mut(&id) else {
            return;
        };
        let before = peer.join.replace(join);
        let first = before.is_none();
        let left = before.map_or(0, |before| before.renditions & !join.renditions);
        if join.upload == 0 {
            peer.has.clear();
        }
        let new = join.renditions & !peer.told;
        peer.told |= new;
        let is_viewer = peer.is_viewer();
        if left != 0 {
            self.stop_pushing(id, left);
        }
        if is_viewer && new != 0 && matches!(self.role, Role::Viewer) {
            self.tell_held(id, new);
        }
        if is_viewer {
            self.may_tell(id);
        }
        if first && is_viewer && matches!(self.role, Role::Gateway) {
            let most = self.peers.iter().map(|(_, peer)| peer.seeded).max();
            if let Some(peer) = self.peers.get_mut(&id) {
                peer.neighbours_at = Some(now);
                // It is not to make up for what others seeded before it came.
                peer.seeded = most.unwrap_or(0) + 1;
            }
            self.introduce(id);
        }
        self.seek_soon();
    }

    /// A peer wants more neighbours.
    pub(super) fn neighbours_wanted(&mut self, id: PeerId) {
        let now = self.now;
        let Some(peer) = self.peers.get_mut(&id) else {
            return;
        };
        if peer.neighbours_at.is_some_and(|at| now < at + TELL_EVERY) {
            return;
        }
        peer.neighbours_at = Some(now);
        self.introduce(id);
    }

    /// Tells a peer of others: those that share, and that want what it wants, first.
    fn introduce(&mut self, to: PeerId) {
        let wants = self.peers.get(&to).and_then(|peer| peer.join);
        let wants = wants.map_or(0, |join| join.renditions);
        let site = self.peers.get(&to).map_or(0, Peer::site);
        let mut others: Vec<(bool, bool, bool, PeerId)> = self
            .peers
            .viewers()
            .filter(|(id, _)| **id != to)
            .filter_map(|(id, peer)| {
                let join = peer.join?;
                let strange = join.renditions & wants == 0;
                let far = site != 0 && peer.site() != site;
                Some((join.upload == 0, strange, far, *id))
            })
            .collect();
        self.random.shuffle(&mut others);
        others.sort_by_key(|(silent, strange, far, _)| (*silent, *strange, *far));
        let first = others
            .first()
            .map(|(silent, strange, far, _)| (*silent, *strange, *far));
        let alike = |other: &(bool, bool, bool, PeerId)| Some((other.0, other.1, other.2)) == first;
        let alike = others.iter().take_while(|other| alike(other)).count();
        self.put_near_first(&to, &mut others[..alike], |(.., id)| *id);
        // Who is far is no neighbour where there are enough near ones.
        let near =
            |(silent, strange, far, _): &(bool, bool, bool, PeerId)| !silent && !strange && !far;
        if others.iter().any(near) {
            others.retain(|(_, _, far, _)| !far);
        }
        others.truncate(INTRODUCED);
        if !others.is_empty() {
            let peers = others.into_iter().map(|(.., id)| id).collect();
            self.send(to, Message::Neighbours(peers));
        }
    }

    /// A peer names others.
    pub(super) fn heard_of(&mut self, peers: Vec<PeerId>) {
        if matches!(self.role, Role::Gateway) {
            return;
        }
        for id in peers.into_iter().take(MAX_NEIGHBOURS) {
            let known = self.peers.get(&id).is_some()
                || self.peers.is_banned(&id)
                || self.acquaintances.dialling.contains_key(&id)
                || self.acquaintances.known.contains(&id);
            if id == self.me || known {
                continue;
            }
            if self.acquaintances.known.len() == MAX_KNOWN {
                self.acquaintances.known.pop_front();
            }
            self.acquaintances.known.push_back(id);
        }
        self.seek();
    }

    /// It could not be reached.
    fn unreached(&mut self, id: PeerId) {
        let unreached = &mut self.acquaintances.unreached;
        unreached.insert(id, self.now + REDIAL);
        if unreached.len() > MAX_KNOWN {
            let soonest = unreached.iter().min_by_key(|(_, at)| **at);
            if let Some(id) = soonest.map(|(id, _)| *id) {
                unreached.remove(&id);
            }
        }
    }

    fn seek_soon(&mut self) {
        if matches!(self.role, Role::Gateway) {
            return;
        }
        self.acquaintances.began.get_or_insert(self.now);
        self.acquaintances.pause = 0;
        let at = self.now + SEEK.0;
        let soon = self.acquaintances.seek_at.map_or(at, |known| known.min(at));
        self.acquaintances.seek_at = Some(soon);
    }

    /// Whether it is linked to all viewers that it has heard of: in a large swarm a newcomer is not yet.
    pub(super) fn knows_no_others(&self) -> bool {
        self.acquaintances.known.is_empty() && self.acquaintances.dialling.is_empty()
    }

    /// Whether this viewer has come just now, and neighbours are likely to be linked soon.
    pub(super) fn expects_neighbours(&self) -> bool {
        let began = self.acquaintances.began.unwrap_or(self.now);
        if self.now >= began + ACQUAINTS {
            return false;
        }
        let introduced = self.peers.gateways().map(|(_, gateway)| gateway.since());
        let until = introduced.map(|at| at + INTRODUCES).min();
        let dials = !self.acquaintances.dialling.is_empty();
        dials || until.is_none_or(|until| self.now < until)
    }

    /// Dials those heard of, as far as neighbours are missing; asks for more where that is not enough.
    pub(super) fn seek(&mut self) {
        let now = self.now;
        let failed = self.acquaintances.dialling.iter();
        let failed: Vec<_> = failed
            .filter(|(_, at)| **at <= now)
            .map(|(id, _)| *id)
            .collect();
        for id in failed {
            self.acquaintances.dialling.remove(&id);
            self.unreached(id);
        }
        self.acquaintances.unreached.retain(|_, at| *at > now);
        if let Some(far) = self.needless() {
            self.drop_peer(
                far,
                false,
                "it is at another site, and there are enough at this one",
            );
        }
        let all = self.settings.neighbours;
        let mine = self.demand.selected;
        let useful = self
            .peers
            .viewers()
            .filter(|(_, peer)| peer.join.is_none_or(|join| join.renditions & mine != 0))
            .filter(|(_, peer)| !self.is_far(peer));
        let useful = useful.count();
        let linked = self.peers.viewers().count();
        let mut missing = if useful < FEW.min(all) {
            all.saturating_sub(useful).max(1)
        } else {
            all.saturating_sub(linked)
        };
        missing = missing.saturating_sub(self.acquaintances.dialling.len());
        let mut at_most = AT_ONCE;
        while missing > 0 {
            let acquaintances = &mut self.acquaintances;
            let mut next = acquaintances.known.iter();
            let next = next.position(|id| !acquaintances.unreached.contains_key(id));
            if at_most == 0 && next.is_some() {
                acquaintances.seek_at = Some(now + PACE);
                return;
            }
            let Some(id) = next.and_then(|at| acquaintances.known.remove(at)) else {
                break;
            };
            if self.peers.get(&id).is_some() || self.peers.is_banned(&id) {
                continue;
            }
            acquaintances.dialling.insert(id, now + DIAL);
            self.outputs.push_back(Output::Dial { peer: id });
            missing -= 1;
            at_most -= 1;
        }
        if missing > 0 && useful < FEW.min(all) {
            self.ask_neighbours();
        }
        let pause = (self.acquaintances.pause * 2).clamp(SEEK.0, SEEK.1);
        self.acquaintances.pause = pause;
        self.acquaintances.seek_at = Some(now + pause);
    }

    fn ask_neighbours(&mut self) {
        let ids: Vec<PeerId> = match self.peers.gateways().next() {
            Some((id, _)) => vec![*id],
            None => self.peers.viewers().map(|(id, _)| *id).collect(),
        };
        if !ids.is_empty() {
            let id = ids[self.random.below(ids.len())];
            self.send(id, Message::WantNeighbours);
        }
    }

    // --- what peers say of parts ---

    /// A peer holds parts.
    pub(super) fn has(&mut self, id: PeerId, places: Vec<Place>) {
        let range = self.window.range();
        for place in places {
            let Some(peer) = self.peers.get_mut(&id) else {
                return;
            };
            let plausible =
                range.is_none_or(|(first, next)| (first..=next + 1).contains(&place.msn));
            if plausible && peer.shares() && peer.learn_has(place) && peer.is_viewer() {
                let part = self.window.part(place);
                self.counters.bytes_held += part.map_or(0, |part| u64::from(part.size));
            }
            self.settle(id, place);
            self.seed_has(id, place);
            self.hints_at(id, place);
            self.demand.touch(place);
            // Who was to push it would not say so: it pushes it to others.
            if let Some(wanted) = self.demand.wanted.get_mut(&place)
                && wanted.asked.is_none()
                && wanted.pushers.contains(&id)
            {
                wanted.pushers.retain(|pusher| *pusher != id);
                wanted.pushed_until = self.now;
            }
        }
    }

    /// A peer does not give parts.
    pub(super) fn lacks(&mut self, id: PeerId, places: Vec<Place>) {
        for place in places {
            let wanted = self.demand.wanted.get(&place);
            if wanted.is_none_or(|w| w.asked.is_none_or(|asked| asked.peer != id)) {
                continue;
            }
            self.release(place);
            let now = self.now;
            if let Some(peer) = self.peers.get_mut(&id) {
                // It said that it has it: then it has too much to give, and will have less.
                if peer.has.contains(&place) {
                    peer.busy_until = now + BUSY;
                }
            }
            if let Some(wanted) = self.demand.wanted.get_mut(&place) {
                wanted
                    .tried
                    .insert(id, now + (BUSY << wanted.refused.min(2)));
                wanted.refused += 1;
                wanted.next = 0;
            }
        }
    }

    /// A peer no longer wants parts: it has them, or gets them elsewhere.
    pub(super) fn cancelled(&mut self, id: PeerId, places: Vec<Place>) {
        for place in places {
            self.settle(id, place);
            self.seed_has(id, place);
            if let Some(peer) = self.peers.get_mut(&id) {
                peer.spare(place);
            }
        }
    }
}

#[cfg(test)]
mod tests;
