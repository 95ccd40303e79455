//! From whom: the one place where "a neighbour or the gateway's HTTP" is decided.
//!
//! A part that was announced is waited for while a push of it is likely; then a neighbour that has it is asked, and
//! another if that one fails; and when the time left before its deadline is just what HTTP needs, and a reserve, it is
//! fetched, unless it is on its way and will be here in time. While HTTP fails, neighbours are asked on.

use libp2p_identity::PeerId;

use super::{
    Micros, Output, Scheduler,
    demand::Asked,
    peers::{Coming, Peer},
};
use crate::message::{Message, Place};

/// What is on its way but rested for so long is not reckoned with.
const RESTS: Micros = 400_000;
/// A push that is late is followed by the next one, often from elsewhere. Only if that comes in time it is worth while to
/// fetch the late one; if not, the link is too narrow for both.
const BEFORE_PROBE: Micros = 200_000;
/// How soon to look again at what is on its way.
pub(super) const LOOK: Micros = 50_000;
/// Time-out of a want: twice what is expected and this, between these bounds.
const SLACK: Micros = 150_000;
/// This share of the reserve is kept in any case.
pub(super) const LEAST_RESERVE: Micros = 3;
/// Who did not give a part in time is not asked for it again before.
const AGAIN: Micros = 1_000_000;
/// A newcomer takes so much over HTTP before it knows who else could give it, microseconds of media: what a player begins with.
/// What is behind that when its player asks for it.
const NEXT: u64 = 400_000;
const PATIENCE: (Micros, Micros) = (250_000, 2_000_000);
/// Bytes a second that a newcomer reckons with of who has not said anything yet.
const UNHEARD: f64 = 400_000.0;

impl Scheduler {
    /// Decides about every part that it is time to look at.
    pub(super) fn choose_all(&mut self) {
        let now = self.now;
        let due = |wanted: &super::demand::Wanted| wanted.next <= now;
        if !self.demand.wanted.values().any(due) {
            return;
        }
        let places = self.demand.wanted.iter();
        let places: Vec<Place> = places
            .filter(|(_, wanted)| due(wanted))
            .map(|(place, _)| *place)
            .collect();
        for place in places {
            if let Some(next) = self.choose(place)
                && let Some(wanted) = self.demand.wanted.get_mut(&place)
            {
                wanted.next = next.max(now + 5_000);
            }
        }
    }

    /// Decides about one part; says when to look at it again. `None`: it is no longer wanted.
    fn choose(&mut self, place: Place) -> Option<Micros> {
        let now = self.now;
        let wanted = self.demand.wanted.get(&place)?;
        let end = wanted.start + u64::from(wanted.entry.duration);
        if !wanted.demanded && self.demand.playhead(now).is_some_and(|at| at > end) {
            self.unwant(place);
            return None;
        }
        if self.narrow.is_out() {
            return self.choose_alone(place);
        }
        let deadline = self.demand.deadline(wanted, now);
        let is_next = wanted.start < self.demand.next_start(now) + NEXT;
        let crosses = self.may_cross(place, wanted.since);
        // A newcomer whose neighbours are being linked has them in a moment: what it takes before is the gateway's alone.
        let least = self.settings.reserve / LEAST_RESERVE;
        let (reserve, expects) = if self.expects_neighbours() {
            (least, self.http.usually())
        } else {
            (self.settings.reserve, self.http.expects())
        };
        let latest = deadline.saturating_sub(least + expects);
        // Whoever was asked gets the time that it is likely to take, if there is as much.
        let likely = wanted.asked.map_or(0, |asked| asked.likely + LOOK);
        let fetch_at = deadline
            .saturating_sub(reserve + expects)
            .max(likely.min(latest))
            .max(wanted.refetch)
            .max(self.http.opens_at())
            .max(crosses);
        // What is on its way is waited for, but not beyond the last moment at which HTTP could step in.
        // HTTP is no help where it takes as long.
        let fetched = now + self.http.expects();
        let hangs = self.http.hangs();
        let in_time = self.arrives(place).is_some_and(|at| {
            at <= fetched.min(now + LOOK * 4) || (at + LOOK <= deadline && fetched < deadline)
        });
        let late = now >= wanted.pushed_until + BEFORE_PROBE
            && !wanted.pushers.is_empty()
            && wanted.asked.is_none();
        let may_fetch = now >= self.http.opens_at().max(wanted.refetch);
        // A narrow link makes everything late, HTTP as well: twice the same on it would make it later.
        let promised = wanted
            .asked
            .map_or(wanted.pushed_until, |asked| asked.until);
        let sooner = now < promised && promised <= fetched;
        if let Some(since) = wanted.fetch {
            if now < since + hangs {
                return Some(since + hangs);
            }
        } else if may_fetch && self.fetches() < self.window() {
            let probe = self.wants_probe(place, late);
            let alone = !self.may_come(place) && (is_next || !self.expects_neighbours());
            let alone = alone && now >= crosses;
            let needed = (now >= fetch_at || alone) && !sooner;
            if (needed || probe) && !in_time {
                self.fetch(place);
                return Some(now + hangs);
            }
        }
        if in_time {
            return Some(now + LOOK);
        }
        let wanted = self.demand.wanted.get(&place)?;
        let since = wanted.since;
        // What HTTP cannot begin now, it may begin when another fetch has ended: all are looked at then.
        let fetch_at = if fetch_at > now {
            fetch_at
        } else {
            now + hangs
        };
        if let Some(asked) = wanted.asked {
            if now < asked.until {
                return Some(asked.until.min(fetch_at));
            }
            self.give_up(place, false);
        } else if now < wanted.pushed_until {
            return Some(wanted.pushed_until.min(fetch_at));
        }
        let asked = self.ask(place, deadline);
        if self.demand.wanted.get(&place)?.asked.is_none() {
            self.nobody_gives(since);
        }
        Some(match asked {
            Some(until) => until.min(fetch_at),
            None => fetch_at.min(now + PATIENCE.0),
        })
    }

    /// Asks the neighbour that is likely to give it first; says when to look again.
    fn ask(&mut self, place: Place, deadline: Micros) -> Option<Micros> {
        let now = self.now;
        let wanted = self.demand.wanted.get(&place)?;
        // HTTP is to step in where no neighbour would be in time, if it can, and would be sooner.
        let may_fetch = wanted.fetch.is_none() && self.fetches() < self.window();
        let opens = self
            .http
            .opens_at()
            .max(self.may_cross(place, wanted.since));
        let http = may_fetch && now >= opens;
        let latest = deadline.max(now + self.http.expects());
        let size = wanted.entry.size as usize;
        let near = self.is_among_its_own();
        let mut best: Option<(f64, PeerId, Micros)> = None;
        let mut later = Micros::MAX;
        for (id, peer) in self.peers.viewers() {
            let can = peer.may_be_asked(size)
                && peer.has.contains(&place)
                && !(near && self.is_far(peer));
            let expected = peer.expects(size);
            if !can || (http && now + expected > latest) {
                continue;
            }
            let again = wanted.tried.get(id).copied().unwrap_or(0);
            let again = again.max(peer.busy_until);
            if again > now {
                later = later.min(again);
                continue;
            }
            let chance = 0.9 + 0.2 * self.random.unit();
            let cost = expected as f64 * (1.0 + 3.0 * peer.failures) * chance;
            if best.is_none_or(|(least, ..)| cost < least) {
                best = Some((cost, *id, expected));
            }
        }
        let Some((_, peer, expected)) = best else {
            return (later < Micros::MAX).then_some(later);
        };
        self.ask_of(peer, place, expected)
    }

    /// Asks a neighbour for a part, which is likely to take so long; says when to look again.
    fn ask_of(&mut self, id: PeerId, place: Place, expected: Micros) -> Option<Micros> {
        let now = self.now;
        let wanted = self.demand.wanted.get_mut(&place)?;
        let until = now + (2 * expected + SLACK).clamp(PATIENCE.0, PATIENCE.1);
        wanted.asked = Some(Asked {
            peer: id,
            at: now,
            likely: now + expected,
            until,
        });
        // A push that did not come in time is not to come beside it.
        let pushers = std::mem::take(&mut wanted.pushers);
        if let Some(peer) = self.peers.get_mut(&id) {
            peer.asked += wanted.entry.size as usize;
        }
        for late in pushers.into_iter().filter(|late| *late != id) {
            self.send(late, Message::Cancel(vec![place]));
        }
        self.send(id, Message::Want(vec![place]));
        Some(until)
    }

    /// A newcomer asks who was just linked for what it lacks next, and does not wait to hear what that one has: what it begins
    /// with is some time old, and nearly everyone has it.
    pub(super) fn ask_unheard(&mut self, id: PeerId) {
        let now = self.now;
        // Where the gateway is at another site, who is linked may be there as well: it is heard first.
        if self.is_far_off() {
            return;
        }
        let lacks = |wanted: &super::demand::Wanted| {
            let comes = wanted.fetch.is_some() || wanted.asked.is_some();
            !comes && now >= wanted.pushed_until && now < self.demand.deadline(wanted, now)
        };
        let next = self.demand.wanted.iter().find(|(_, wanted)| lacks(wanted));
        let next = next.map(|(place, wanted)| (*place, wanted.entry.size));
        let (Some((place, size)), Some(peer)) = (next, self.peers.get(&id)) else {
            return;
        };
        let expected = peer.round_trip() + (f64::from(size) / UNHEARD * 1e6) as Micros;
        self.ask_of(id, place, expected);
        self.demand.touch(place);
    }

    /// Gets a part over HTTP; nobody else needs to give it.
    pub(super) fn fetch(&mut self, place: Place) {
        let now = self.now;
        self.give_up(place, true);
        let Some(wanted) = self.demand.wanted.get_mut(&place) else {
            return;
        };
        wanted.fetch = Some(now);
        let size = wanted.entry.size as usize;
        let pushers = std::mem::take(&mut wanted.pushers);
        for peer in pushers {
            self.send(peer, Message::Cancel(vec![place]));
        }
        self.estimate.fetch_began(place, size, now);
        self.outputs.push_back(Output::Fetch { place });
    }

    /// No longer waits for the neighbour that was asked. `spare`: it is not its fault.
    pub(super) fn give_up(&mut self, place: Place, spare: bool) {
        let Some(asked) = self.release(place) else {
            return;
        };
        if let Some(peer) = self.peers.get_mut(&asked.peer) {
            if !spare {
                peer.answered(false);
            }
            self.send(asked.peer, Message::Cancel(vec![place]));
        }
        if let Some(wanted) = self.demand.wanted.get_mut(&place) {
            wanted.tried.insert(asked.peer, self.now + AGAIN);
        }
    }

    /// Strikes a want off the ledger.
    pub(super) fn release(&mut self, place: Place) -> Option<Asked> {
        let wanted = self.demand.wanted.get_mut(&place)?;
        let asked = wanted.asked.take()?;
        let size = wanted.entry.size as usize;
        if let Some(peer) = self.peers.get_mut(&asked.peer) {
            peer.asked = peer.asked.saturating_sub(size);
        }
        Some(asked)
    }

    /// Stops whatever was done to get a part.
    pub(super) fn unwant(&mut self, place: Place) {
        self.give_up(place, true);
        if let Some(wanted) = self.demand.wanted.remove(&place) {
            self.stopped(place, &wanted);
        }
    }

    /// A part that is wanted no longer need not be fetched.
    pub(super) fn stopped(&mut self, place: Place, wanted: &super::demand::Wanted) {
        if let Some(since) = wanted.fetch {
            let took = self.now.saturating_sub(since);
            self.http.given_up(took, self.now);
            self.crossed(took, false);
            self.estimate.fetch_aborted(place, self.now);
            self.outputs.push_back(Output::Abort { place });
        }
    }

    /// Whether anyone is linked who may give a part: a neighbour that shares and wants the same, or a gateway whose seed
    /// this viewer is.
    pub(super) fn may_come(&self, place: Place) -> bool {
        let seeded = self.shares() && self.demand.selects(place.rendition);
        self.peers.iter().any(|(_, peer)| {
            if peer.is_viewer() {
                peer.shares() && (peer.follows(place.rendition) || peer.has.contains(&place))
            } else {
                seeded
            }
        })
    }

    /// Fetches that may be under way at a time.
    fn window(&self) -> usize {
        if self.is_far_off() {
            1
        } else {
            self.http.window()
        }
    }

    /// Fetches under way.
    pub(super) fn fetches(&self) -> usize {
        let wanted = self.demand.wanted.values();
        wanted.filter(|wanted| wanted.fetch.is_some()).count()
    }

    /// When a part that is on its way from some peer will be here, as it flows now.
    pub(super) fn arrives(&self, place: Place) -> Option<Micros> {
        let size = self.demand.wanted.get(&place)?.entry.size as usize;
        let eta = |peer: &Peer| {
            let coming = peer.coming.filter(|coming| coming.place == place)?;
            eta(&coming, size, peer, self.now)
        };
        let flows = self.estimate.flows();
        let coming = flows.filter_map(|id| eta(self.peers.get(id)?));
        coming.min()
    }
}

fn eta(coming: &Coming, size: usize, peer: &Peer, now: Micros) -> Option<Micros> {
    let (first, last) = (coming.first, coming.last);
    if now > last.0 + RESTS {
        return None;
    }
    let missing = size.saturating_sub(last.1);
    let (bytes, micros) = (last.1 - first.1.min(last.1), now.saturating_sub(first.0));
    if bytes > 0 && micros > 0 {
        let left = (missing as f64 / bytes as f64 * micros as f64) as Micros;
        return Some((last.0 + left).max(2 * now - last.0));
    }
    // What let so long wait for itself may do so again.
    Some((first.0 + peer.takes(missing)).max(2 * now - last.0))
}
