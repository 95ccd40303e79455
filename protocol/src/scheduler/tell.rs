//! By whom a peer is told what is new: by one neighbour, so that a gateway's line carries an announcement to a few alone.
//!
//! - Whoever comes is told by its gateways. Soon it has some neighbours tell it as well ([`Message::Tell`]), keeps the one that
//!   is soonest, and has the others and the gateways be silent ([`Message::Hush`]); now and then it looks again. A gateway goes
//!   on telling a few viewers ([roots](Scheduler::choose_roots)), and the seeds of what it announces.
//! - Who would hear it much later than from its gateway goes on being told by that: no chain becomes long.
//! - An announcement bears the [tail](crate::message::tail) of the viewer by which it came in from a gateway. Who reads its own
//!   would be told what it told itself: such a neighbour is none for that, and there are no circles.
//! - Who has heard nothing for two part times, or has lost its teller, asks its gateways, which tell what it missed at once. So
//!   to withhold announcements costs who is told one of them, a little later than the others; he is not asked soon again,
//!   and gateways are left to be silent later and later. A neighbour that says it has a part of which nobody told, or pushes it,
//!   is asked even before.

use bytes::Bytes;
use libp2p_identity::PeerId;

use super::{Micros, Role, Scheduler, peers::Peer};
use crate::{
    manifest::Manifest,
    message::{Message, Place, tail},
    sorted::SortedMap,
};

/// What comes beside an announcement: its parts' seeds, and by whom it came in.
pub(super) type Hints<'a> = (&'a [u32], u32);

/// Neighbours that tell a viewer at a time: all of them are heard for so long, and in that time they tell so much.
const TELLERS: usize = 3;
const TRIAL: Micros = 1_500_000;
const LEAST_TOLD: u32 = 4;
/// So late a teller's announcements may be on average, by the gateway's own: a hop or two. So late, and it is left.
const LATE: f64 = 150_000.0;
const TOO_LATE: f64 = 300_000.0;
/// The weight of one announcement in that average.
const WEIGHT: f64 = 0.25;
/// A newcomer looks for a teller so long after its first neighbour said who it is, and as much later by chance.
const FIRST: Micros = 1_000_000;
/// After a trial that led to nothing, or a teller that failed, there is a pause: each time twice as long.
const PAUSE: (Micros, Micros) = (4_000_000, 64_000_000);
/// Who has a teller looks again after this, and as much later by chance. What was said to be late is so by a clock that may
/// go wrong by 12 ms until then.
const AGAIN: Micros = 120_000_000;
/// Beside two part times: what their ways may differ by.
const SLACK: Micros = 100_000;
/// A part of which nobody told is likely to be told of within this.
const GRACE: Micros = 60_000;
/// Nothing was told for so long: what is new is late.
const QUIET: Micros = 300_000;
/// Neighbours that a viewer tells.
const MAX_TOLD: usize = 8;
/// Announcements that are told again at once; who missed more asks for a manifest.
const MOST_AGAIN: usize = 16;
/// Viewers of a site for each root, and how few and how many there are.
const VIEWERS_PER_ROOT: usize = 32;
const ROOTS: (usize, usize) = (2, 64);

/// A neighbour that was asked to tell.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Teller {
    /// Announcements that it told.
    told: u32,
    /// How much later than a gateway would have, on average, microseconds.
    late: f64,
}

/// A neighbour has a part of which nobody told.
#[derive(Clone, Copy, Debug)]
struct Hint {
    from: PeerId,
    place: Place,
    until: Micros,
}

/// By whom this viewer is told.
#[derive(Debug, Default)]
pub(super) struct Telling {
    /// Gateways are to be silent.
    hushed: bool,
    /// Tellers are compared until then.
    trial: Option<Micros>,
    /// When the next comparison begins.
    next: Option<Micros>,
    pause: Micros,
    /// Something should have been told by then.
    deaf_at: Option<Micros>,
    hint: Option<Hint>,
    /// Least difference of this viewer's clock and the stream's when a gateway told something, microseconds.
    way: Option<i64>,
    /// By whom the newest announcement came in.
    pub(super) by: u32,
}

impl Telling {
    pub(super) fn wake_at(&self) -> Option<Micros> {
        let hint = self.hint.map(|hint| hint.until);
        [self.trial, self.next, self.deaf_at, hint]
            .into_iter()
            .flatten()
            .min()
    }
}

impl Scheduler {
    // --- who is told ---

    /// Tells a peer an announcement, unless it has told that itself, or was told.
    pub(super) fn tell_announcement(
        &mut self,
        id: PeerId,
        at: (u64, u64),
        envelope: &Bytes,
        (seeds, by): Hints<'_>,
    ) {
        let Some(peer) = self.peers.get_mut(&id) else {
            return;
        };
        if peer.has_told(at) || peer.told_to >= at {
            return;
        }
        peer.told_to = at;
        let (envelope, seeds) = (envelope.clone(), seeds.to_vec());
        let message = Message::Announcement {
            envelope,
            seeds,
            by,
        };
        self.send(id, message);
    }

    /// A peer knows what is new up to there, and wants to be told what is behind that.
    pub(super) fn is_to_tell(&mut self, id: PeerId, known: (u64, u64)) {
        let is_gateway = matches!(self.role, Role::Gateway);
        let told = || self.peers.viewers().filter(|(_, peer)| peer.is_told);
        let full = !is_gateway && (!self.shares() || told().count() >= MAX_TOLD);
        let now = self.now;
        let Some(peer) = self.peers.get_mut(&id).filter(|peer| peer.is_viewer()) else {
            return;
        };
        if full && !peer.is_told || !peer.costly.open(now) {
            return;
        }
        peer.is_told = true;
        let missed = self.window.behind(known.max(peer.told_to));
        if missed.len() > MOST_AGAIN {
            return;
        }
        peer.costly.take(1.0 + missed.len() as f64);
        let by = self.telling.by;
        for (at, envelope) in missed {
            self.tell_announcement(id, at, &envelope, (&[], by));
        }
    }

    /// A peer hears from elsewhere what is new.
    pub(super) fn is_to_hush(&mut self, id: PeerId) {
        if let Some(peer) = self.peers.get_mut(&id) {
            peer.is_told = false;
        }
    }

    /// Gateway: some viewers of each site are told whatever they ask: those that are there longest, and pass on what they get.
    pub(super) fn choose_roots(&mut self) {
        let mut sites: SortedMap<u32, (usize, usize)> = SortedMap::new();
        for (_, peer) in self.peers.viewers() {
            let (all, roots) = sites.or_insert_with(self.seeded_as(peer), || (0, 0));
            *all += 1;
            *roots += usize::from(peer.is_root && peer.shares());
        }
        for (site, (all, roots)) in sites {
            let wanted = (all / VIEWERS_PER_ROOT).clamp(ROOTS.0, ROOTS.1);
            for _ in roots..wanted {
                let able =
                    |peer: &Peer| peer.shares() && !peer.is_root && self.seeded_as(peer) == site;
                let able = self.peers.viewers().filter(|(_, peer)| able(peer));
                let next = able.min_by_key(|(_, peer)| (peer.missed, peer.since));
                let Some(next) = next.map(|(id, _)| *id) else {
                    break;
                };
                if let Some(peer) = self.peers.get_mut(&next) {
                    peer.is_root = true;
                }
            }
        }
    }

    // --- who tells ---

    /// Whether the newest announcement, or the one before it, came from a gateway.
    pub(super) fn is_told_by_gateway(&self) -> bool {
        let Some((epoch, sequence)) = self.window.at() else {
            return false;
        };
        let lately = (epoch, sequence.saturating_sub(1));
        self.peers.gateways().any(|(_, peer)| peer.has_told(lately))
    }

    /// An announcement, or the whole window, is news.
    pub(super) fn heard_news(&mut self, from: Option<PeerId>, by: u32, anew: bool) {
        let direct = from.is_none_or(|id| self.peers.get(&id).is_none_or(|peer| !peer.is_viewer()));
        self.telling.by = if direct { tail(&self.me) } else { by };
        if anew {
            self.telling.way = None;
        }
        self.telling.deaf_at = self.silent_from().filter(|_| self.telling.hushed);
        self.is_newest(from, direct, by);
    }

    /// An announcement came that is no news.
    pub(super) fn heard_again(&mut self, id: PeerId, at: (u64, u64), by: u32) {
        let Some(peer) = self.peers.get(&id) else {
            return;
        };
        if self.window.at() == Some(at) {
            return self.is_newest(Some(id), !peer.is_viewer(), by);
        }
        // Another one is ahead by a whole part.
        self.judge(id, TOO_LATE, by);
    }

    /// The newest announcement came.
    fn is_newest(&mut self, from: Option<PeerId>, direct: bool, by: u32) {
        let Some(clock) = self.window.manifest().map(Manifest::clock) else {
            return;
        };
        let lag = self.now as i64 - clock as i64;
        if direct {
            let way = self.telling.way.unwrap_or(lag);
            self.telling.way = Some(way.min(lag));
        } else if let Some(id) = from {
            let late = self.telling.way.map_or(0, |way| lag - way);
            self.judge(id, late as f64, by);
        }
    }

    /// A neighbour told something, so late.
    fn judge(&mut self, id: PeerId, late: f64, by: u32) {
        let me = tail(&self.me);
        let at = self.window.at();
        let Some(teller) = self
            .peers
            .get_mut(&id)
            .and_then(|peer| peer.teller.as_mut())
        else {
            return;
        };
        teller.late += (late - teller.late) * if teller.told == 0 { 1.0 } else { WEIGHT };
        teller.told += 1;
        let teller = *teller;
        let circle = by == me;
        let too_late = teller.told > 2 * LEAST_TOLD && teller.late > TOO_LATE;
        if circle || too_late {
            self.dismiss(id, true);
            return self.teller_gone();
        }
        let sooner = self.peers.viewers().any(|(other, peer)| {
            *other != id && peer.teller.is_some() && at.is_some_and(|at| peer.has_told(at))
        });
        if sooner && self.telling.hushed {
            self.dismiss(id, false);
        }
    }

    /// When it is too silent: `None` while nothing is to come.
    fn silent_from(&self) -> Option<Micros> {
        let manifest = self.window.manifest()?;
        let live = manifest
            .renditions()
            .iter()
            .filter(|entry| !entry.withdrawn);
        let target = live.map(|entry| Micros::from(entry.rendition.part_target));
        let target = target.max().filter(|_| !manifest.ended())?;
        Some(self.now + 2 * target + SLACK)
    }

    /// A neighbour said who it is: it may be one to tell.
    pub(super) fn may_tell(&mut self, id: PeerId) {
        let Some(peer) = self.peers.get_mut(&id) else {
            return;
        };
        if !peer.shares() && peer.teller.take().is_some() {
            self.teller_gone();
        }
        if matches!(self.role, Role::Viewer) && self.settings.hushes && !self.is_settled() {
            let at = self.now + FIRST + self.random.below(FIRST as usize) as Micros;
            self.telling.next = Some(at);
        }
    }

    /// Whether it has a teller, or knows when it looks for one.
    fn is_settled(&self) -> bool {
        self.telling.trial.or(self.telling.next).is_some()
    }

    /// A gateway that was just linked tells, as long as it is not asked to be silent.
    pub(super) fn gateway_linked(&mut self, id: PeerId) {
        if self.telling.hushed {
            self.send(id, Message::Hush);
        }
    }

    /// Someone has a part that may be behind all that was told.
    pub(super) fn hints_at(&mut self, from: PeerId, place: Place) {
        let viewer = self
            .peers
            .get(&from)
            .is_some_and(|peer| peer.is_viewer() && peer.shares());
        if self.telling.hushed
            && self.telling.hint.is_none()
            && viewer
            && self.window.is_ahead(place)
        {
            let until = self.now + GRACE;
            self.telling.hint = Some(Hint { from, place, until });
        }
    }

    /// Whether announcements are late: many parts may come before them.
    pub(super) fn waits_for_news(&self) -> bool {
        !self.silence.heard_since(self.now.saturating_sub(QUIET))
    }

    /// Does what is due.
    pub(super) fn look_at_tellers(&mut self) {
        let now = self.now;
        let due = |at: Option<Micros>| at.is_some_and(|at| at <= now);
        if let Some(hint) = self.telling.hint.take_if(|hint| hint.until <= now)
            && self.window.part(hint.place).is_none()
            && self.telling.hushed
            && self.tellers().len() <= TELLERS
        {
            self.ask_to_tell(hint.from);
        }
        if due(self.telling.deaf_at) {
            match self.excuses_silence() {
                Some(until) => self.telling.deaf_at = Some(until),
                None => self.fail(),
            }
        }
        if due(self.telling.trial) {
            self.end_trial();
        }
        if due(self.telling.next) {
            self.begin_trial();
        }
    }

    fn tellers(&self) -> Vec<PeerId> {
        let tellers = self
            .peers
            .viewers()
            .filter(|(_, peer)| peer.teller.is_some());
        tellers.map(|(id, _)| *id).collect()
    }

    /// Neighbours and gateways all tell, for a while.
    fn begin_trial(&mut self) {
        let now = self.now;
        self.telling.next = None;
        if self.peers.gateways().next().is_none() || self.window.needs_manifest() {
            return self.pause();
        }
        if self.telling.hushed {
            self.telling.pause = 0; // the last one was right
        }
        self.unhush();
        self.telling.way = None;
        let asked = self.tellers();
        for (_, peer) in self.peers.iter_mut() {
            if let Some(teller) = &mut peer.teller {
                *teller = Teller::default();
            }
        }
        let near = self.is_among_its_own();
        let able = self.peers.viewers().filter(|(_, peer)| {
            let far = near && self.is_far(peer);
            peer.shares() && peer.teller.is_none() && peer.unfit_until <= now && !far
        });
        let mut able: Vec<(Micros, PeerId)> =
            able.map(|(id, peer)| (peer.round_trip(), *id)).collect();
        for (cost, _) in &mut able {
            // The nearest are likely to be the soonest, but not certain.
            *cost = (*cost as f64 * (0.5 + self.random.unit())) as Micros;
        }
        able.sort_unstable();
        for (_, id) in able.into_iter().take(TELLERS.saturating_sub(asked.len())) {
            self.ask_to_tell(id);
        }
        match self.tellers().is_empty() {
            true => self.pause(),
            false => self.telling.trial = Some(now + TRIAL),
        }
    }

    /// The soonest stays, if it is soon enough; then gateways may be silent.
    fn end_trial(&mut self) {
        self.telling.trial = None;
        let tellers = self
            .peers
            .viewers()
            .filter_map(|(id, peer)| Some((*id, peer.teller?)));
        let good = tellers.filter(|(_, teller)| teller.told >= LEAST_TOLD && teller.late <= LATE);
        let best = good.min_by(|(_, one), (_, other)| one.late.total_cmp(&other.late));
        let best = best.map(|(id, _)| id);
        for id in self.tellers() {
            if Some(id) != best {
                self.dismiss(id, false);
            }
        }
        // Where no gateway told anything, nobody knows what is late.
        if best.is_none() || self.telling.way.is_none() {
            return self.pause();
        }
        self.telling.hushed = true;
        self.telling.deaf_at = self.silent_from();
        self.telling.next = Some(self.now + AGAIN + self.random.below(AGAIN as usize) as Micros);
        for id in self.gateways() {
            self.send(id, Message::Hush);
        }
    }

    fn gateways(&self) -> Vec<PeerId> {
        self.peers.gateways().map(|(id, _)| *id).collect()
    }

    /// The next trial is later than the last.
    fn pause(&mut self) {
        let pause = (2 * self.telling.pause).clamp(PAUSE.0, PAUSE.1);
        self.telling.pause = pause;
        let chance = self.random.below(pause as usize / 2) as Micros;
        self.telling.next = Some(self.now + pause + chance);
    }

    /// Gateways tell again, what was missed first.
    fn unhush(&mut self) {
        if !std::mem::take(&mut self.telling.hushed) {
            return;
        }
        self.telling.deaf_at = None;
        self.telling.hint = None;
        for id in self.gateways() {
            self.ask_what_follows(id);
        }
    }

    fn ask_to_tell(&mut self, id: PeerId) {
        if let Some(peer) = self.peers.get_mut(&id) {
            peer.teller.get_or_insert_default();
            self.ask_what_follows(id);
        }
    }

    fn ask_what_follows(&mut self, id: PeerId) {
        if let Some((epoch, sequence)) = self.window.at() {
            self.send(id, Message::Tell { epoch, sequence });
        }
    }

    /// A neighbour need not tell any more; `unfit`: it is not asked soon again.
    fn dismiss(&mut self, id: PeerId, unfit: bool) {
        let until = self.now + PAUSE.1;
        if let Some(peer) = self.peers.get_mut(&id) {
            if unfit {
                peer.unfit_until = until;
            }
            if peer.teller.take().is_some() {
                self.send(id, Message::Hush);
            }
        }
    }

    /// A teller is lost: who has no other is told by gateways, and looks for one soon.
    pub(super) fn teller_gone(&mut self) {
        if self.telling.hushed && self.tellers().is_empty() {
            self.unhush();
            self.telling.trial = None;
            let at = self.now + FIRST + self.random.below(FIRST as usize) as Micros;
            self.telling.next = Some(at);
        }
    }

    /// Those that were to tell are silent.
    fn fail(&mut self) {
        for id in self.tellers() {
            self.dismiss(id, true);
        }
        self.unhush();
        self.telling.trial = None;
        self.pause();
    }
}

#[cfg(test)]
mod tests;
