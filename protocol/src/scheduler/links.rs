//! Who is linked: greetings, introductions, and who is dropped.

use libp2p_identity::PeerId;

use super::{Kind, Micros, Output, Role, Scheduler, ledger::MAX_PEERS, peers::Peer};
use crate::message::{Join, Message, Place};

/// Viewers that a newcomer is told of.
const INTRODUCED: usize = 8;
/// Neighbours are told this often at most.
const TELL_EVERY: Micros = 1_000_000;
/// Who had too much to give is not asked before.
const BUSY: Micros = 60_000;

impl Scheduler {
    /// A link stands.
    pub(super) fn linked(&mut self, id: PeerId, kind: Kind) {
        self.acquaintances.dialled(&id);
        self.acquaintances.reached(&id);
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
        if self.acquaintances.dialled(&id) {
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
            self.acquaintances.forget(&id);
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
        if before.is_some_and(|before| before.upload < join.upload) {
            self.invite(id);
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
            self.is_overtaken(id, place);
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
