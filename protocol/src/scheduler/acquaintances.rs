//! Who is not linked yet: heard of, dialled, sought.

use std::collections::VecDeque;

use libp2p_identity::PeerId;

use super::{Micros, Output, Role, Scheduler, demand::Wanted};
use crate::{
    message::{Join, MAX_NEIGHBOURS, Message},
    sorted::SortedMap,
};

/// A dial that led to no link for so long has failed.
const DIAL: Micros = 20_000_000;
/// Who could not be reached is not dialled again before.
const REDIAL: Micros = 5_000_000;
/// Viewers heard of, and viewers that could not be reached: the newest.
const MAX_KNOWN: usize = 64;
/// Viewers that a gateway may want it to be linked to besides.
const MAX_INVITED: usize = 8;
/// So many are dialled at a time, and the next ones so much later: to make a connection costs both ends more than a
/// second's video does, and a picture that is shown meanwhile is not to wait.
const AT_ONCE: usize = 4;
const PACE: Micros = 250_000;
/// More neighbours are asked for after this, then later and later, up to the longest.
const SEEK: (Micros, Micros) = (2_000_000, 30_000_000);
/// So long a gateway takes to name others, and a newcomer to be linked to them.
const INTRODUCES: Micros = 500_000;
const ACQUAINTS: Micros = 3_000_000;
/// With fewer neighbours that share the same rendition, others are sought: with four, a viewer often finds all of them busy
/// while others have nothing to do.
const FEW: usize = 6;
/// Who waits for a part for so long, and has asked nobody for it, has neighbours that give all they can to others: more are
/// sought, so many at a time, up to half as many again as there should be. Twice as many is what a viewer takes at most: if
/// all had that, nobody would take a newcomer.
const STARVES: Micros = 1_500_000;
const BESIDES: usize = 2;

/// Viewers that are not linked yet.
#[derive(Debug, Default)]
pub(super) struct Acquaintances {
    known: VecDeque<PeerId>,
    /// When each is to be given up.
    dialling: SortedMap<PeerId, Micros>,
    /// When each may be tried again.
    unreached: SortedMap<PeerId, Micros>,
    /// Those that a gateway wants it to be linked to besides.
    pub(super) invited: VecDeque<PeerId>,
    pause: Micros,
    /// When this viewer first wanted something.
    began: Option<Micros>,
    pub(super) seek_at: Option<Micros>,
}

impl Acquaintances {
    /// It is linked, or its link or its dial has ended. True if it was being dialled.
    pub(super) fn dialled(&mut self, id: &PeerId) -> bool {
        self.dialling.remove(id).is_some()
    }

    /// It could be reached.
    pub(super) fn reached(&mut self, id: &PeerId) {
        self.unreached.remove(id);
    }

    /// It is not to be dialled.
    pub(super) fn forget(&mut self, id: &PeerId) {
        self.known.retain(|known| known != id);
        self.invited.retain(|invited| invited != id);
    }
}

impl Scheduler {
    /// A peer names others.
    pub(super) fn heard_of(&mut self, from: PeerId, peers: Vec<PeerId>) {
        if matches!(self.role, Role::Gateway) {
            return;
        }
        let named = self.peers.get_mut(&from);
        let owed = named.is_some_and(|peer| std::mem::take(&mut peer.owes_names));
        if !owed && self.may_invite(&from) {
            self.acquaintances.invited = peers.into_iter().take(MAX_INVITED).collect();
            return self.seek();
        }
        for id in peers.into_iter().take(MAX_NEIGHBOURS) {
            if self.is_acquainted(&id) || self.acquaintances.known.contains(&id) {
                continue;
            }
            if self.acquaintances.known.len() == MAX_KNOWN {
                self.acquaintances.known.pop_front();
            }
            self.acquaintances.known.push_back(id);
        }
        self.seek();
    }

    /// Whether there is no use in dialling it: itself, someone linked or being dialled, or a liar.
    pub(super) fn is_acquainted(&self, id: &PeerId) -> bool {
        *id == self.me
            || self.peers.get(id).is_some()
            || self.peers.is_banned(id)
            || self.acquaintances.dialling.contains_key(id)
    }

    /// Begins to dial someone.
    pub(super) fn dial(&mut self, id: PeerId) {
        self.acquaintances.known.retain(|known| *known != id);
        self.acquaintances.dialling.insert(id, self.now + DIAL);
        self.outputs.push_back(Output::Dial { peer: id });
    }

    /// Viewers that it is linked to, or will be if they can be reached.
    pub(super) fn linked_soon(&self) -> usize {
        self.peers.viewers().count() + self.acquaintances.dialling.len()
    }

    /// It could not be reached.
    pub(super) fn unreached(&mut self, id: PeerId) {
        let unreached = &mut self.acquaintances.unreached;
        unreached.insert(id, self.now + REDIAL);
        if unreached.len() > MAX_KNOWN {
            let soonest = unreached.iter().min_by_key(|(_, at)| **at);
            if let Some(id) = soonest.map(|(id, _)| *id) {
                unreached.remove(&id);
            }
        }
    }

    pub(super) fn seek_soon(&mut self) {
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
        let mut at_most = AT_ONCE;
        while at_most > 0 && self.dial_invited() {
            at_most -= 1;
        }
        if !self.acquaintances.invited.is_empty() {
            self.acquaintances.seek_at = Some(now + PACE);
            return;
        }
        let all = self.settings.neighbours;
        let mine = self.demand.selected;
        let useful = self
            .peers
            .viewers()
            .filter(|(_, peer)| {
                let may = |join: Join| join.renditions & mine != 0 && join.upload > 0;
                peer.join.is_none_or(may)
            })
            .filter(|(_, peer)| !self.is_far(peer));
        let useful = useful.count();
        let linked = self.peers.viewers().count();
        let starves = self.starves();
        let mut missing = if starves {
            BESIDES
        } else if useful < FEW.min(all) {
            all.saturating_sub(useful).max(1)
        } else {
            all.saturating_sub(linked)
        };
        missing = missing.saturating_sub(self.acquaintances.dialling.len());
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
            self.dial(id);
            missing -= 1;
            at_most -= 1;
        }
        if missing > 0 && (starves || useful < FEW.min(all)) {
            self.ask_neighbours();
        }
        let pause = (self.acquaintances.pause * 2).clamp(SEEK.0, SEEK.1);
        self.acquaintances.pause = pause;
        self.acquaintances.seek_at = Some(now + pause);
    }

    /// Whether neighbours give too little: a part is waited for in vain, and there may be more of them.
    fn starves(&self) -> bool {
        let waits = |wanted: &Wanted| wanted.asked.is_none() && self.now > wanted.since + STARVES;
        !self.narrow.is_out()
            && 2 * self.peers.viewers().count() < 3 * self.settings.neighbours
            && self.demand.wanted.values().any(waits)
    }

    /// Nobody can be asked for a part that is wanted since then: others are sought no later than a newcomer's.
    pub(super) fn nobody_gives(&mut self, since: Micros) {
        let soon = self.now + SEEK.0;
        if self.now > since + STARVES
            && let Some(at) = &mut self.acquaintances.seek_at
        {
            *at = soon.min(*at);
        }
    }

    fn ask_neighbours(&mut self) {
        let ids: Vec<PeerId> = match self.peers.gateways().next() {
            Some((id, _)) => vec![*id],
            None => self.peers.viewers().map(|(id, _)| *id).collect(),
        };
        if !ids.is_empty() {
            let id = ids[self.random.below(ids.len())];
            if let Some(peer) = self.peers.get_mut(&id) {
                peer.owes_names = true;
            }
            self.send(id, Message::WantNeighbours);
        }
    }
}

#[cfg(test)]
mod tests;
