//! News of the stream: envelopes from whomever, verified, passed on, and turned into what is wanted.

use bytes::Bytes;
use libp2p_identity::PeerId;

use super::{Micros, Output, Role, Scheduler, demand::Wanted, tell::Hints, window::Accepted};
use crate::{
    manifest::{Manifest, Rejected},
    message::{Message, Place},
    sorted::SortedMap,
};

/// What a peer's manifest costs of its [budget](super::peers), in messages.
const MANIFEST_COSTS: f64 = 10.0;
/// A peer is answered with a manifest this often at most.
const MANIFEST_EVERY: Micros = 1_000_000;
/// No announcement for this long, and three part times: something may be lost.
const SILENCE: Micros = 1_000_000;
/// Something is missing for certain: the page's own socket, or who sent what comes before it, may be as fast.
const LOSS: Micros = 300_000;
/// Asking for a manifest is repeated later and later, up to this.
const LONGEST_SILENCE: Micros = 10_000_000;
/// Whoever is given an older window has been told what was announced since after so long.
const CATCHES_UP: Micros = 2_000_000;
/// Parts behind the one the player asked for that are wanted with it.
const FOLLOWING: usize = 64;

/// When to ask for what may have been lost.
#[derive(Debug, Default)]
pub(super) struct Silence {
    heard: Micros,
    /// When the window began anew.
    anew: Option<Micros>,
    pause: Micros,
    pub(super) ask_at: Option<Micros>,
}

impl Silence {
    /// Whether there were news after this moment.
    pub(super) fn heard_since(&self, at: Micros) -> bool {
        self.heard > at
    }

    /// Whether what was announced since the window that all began with may still be on its way.
    pub(super) fn catches_up(&self, now: Micros) -> bool {
        self.anew.is_some_and(|at| now < at + CATCHES_UP)
    }
}

impl Scheduler {
    /// An envelope from a peer.
    pub(super) fn told(&mut self, id: PeerId, envelope: Bytes, hints: Hints<'_>, whole: bool) {
        let now = self.now;
        if matches!(self.role, Role::Gateway) {
            return;
        }
        let Some(peer) = self.peers.get_mut(&id) else {
            return;
        };
        let is_gateway = !peer.is_viewer();
        if !peer.costly.open(now) {
            return self.drop_peer(id, false, "it sends more than can be verified");
        }
        peer.costly.take(if whole { MANIFEST_COSTS } else { 1.0 });
        match self.accept(&envelope, Some(id), hints) {
            Ok(()) => {}
            Err(Rejected::Gap { got, known }) => {
                self.ask_manifest_soon();
                if is_gateway && got.0 > known.0 {
                    self.ask_anew(id);
                }
            }
            // The key has signed it: who passes it on is no liar.
            Err(Rejected::Rule { .. }) => self.ask_manifest_soon(),
            Err(_) => self.ban(id, "it sent what the stream's key did not sign"),
        }
    }

    /// Verifies an envelope and takes it in.
    pub(super) fn accept(
        &mut self,
        envelope: &Bytes,
        from: Option<PeerId>,
        (seeds, by): Hints<'_>,
    ) -> Result<(), Rejected> {
        let first = self.window.range().map(|(first, _)| first);
        let accepted = self.window.accept(envelope)?;
        let (anew, told) = match accepted {
            Accepted::Moved { anew, told } => (anew, told),
            Accepted::Old(at) => {
                if let (Some(id), Some(at)) = (from, at) {
                    self.repeated(id, at);
                    self.told_late(id, at, seeds);
                    self.heard_again(id, at, by);
                }
                return Ok(());
            }
        };
        if let Some(peer) = from.and_then(|id| self.peers.get_mut(&id))
            && let Some(manifest) = self.window.manifest()
            && !told.is_empty()
        {
            peer.announces((manifest.epoch(), manifest.sequence()), true, self.now);
        }
        self.silence.heard = self.now;
        self.silence.pause = 0;
        self.silence.ask_at = None;
        self.heard_news(from, by, anew);
        self.forward(&told, from, seeds);
        if anew {
            self.silence.anew = Some(self.now);
            let window = &self.window;
            self.cache
                .keep(|place| window.part(place).map(|part| part.cid));
        }
        if let Some(manifest) = self.window.manifest() {
            self.demand.place_gaps(manifest);
        }
        self.moved(anew);
        self.learn_fresh(anew, seeds, from.is_some());
        self.forget_past(first, anew);
        self.outputs.push_back(Output::News { anew });
        self.take_early();
        self.plan_silence();
        Ok(())
    }

    /// A peer sent an announcement that is known: another was faster, or it replays.
    fn repeated(&mut self, id: PeerId, at: (u64, u64)) {
        let now = self.now;
        let Some(peer) = self.peers.get_mut(&id) else {
            return;
        };
        let newest = self.window.at() == Some(at);
        if !peer.announces(at, newest, now) {
            self.ban(id, "it sent the same announcements again and again");
        }
    }

    /// Neighbours that no gateway tells, or that asked for it, hear the newest announcements from here.
    fn forward(&mut self, told: &[Bytes], from: Option<PeerId>, seeds: &[u32]) {
        let Some((epoch, newest)) = self.window.at().filter(|_| !told.is_empty()) else {
            return;
        };
        let (shares, by) = (self.shares(), self.telling.by);
        let hear = self.peers.viewers().filter(|(id, peer)| {
            let deaf = peer.join.is_some_and(|join| !join.gateway);
            from != Some(**id) && (deaf || shares && peer.is_told)
        });
        let hear: Vec<PeerId> = hear.map(|(id, _)| *id).collect();
        for id in hear {
            for (number, envelope) in told.iter().enumerate() {
                let at = (epoch, newest + 1 - (told.len() - number) as u64);
                self.tell_announcement(id, at, envelope, (seeds, by));
            }
        }
    }

    /// Parts that are in the window now and were not before: those that are selected or waited for are wanted.
    fn learn_fresh(&mut self, anew: bool, seeds: &[u32], by_peer: bool) {
        let Some(manifest) = self.window.manifest() else {
            return;
        };
        let mut fresh = Vec::new();
        for rendition in 0..manifest.renditions().len() {
            let latest = manifest.latest_at(rendition);
            if self.seen.len() <= rendition {
                self.seen.push(None);
            }
            let before = std::mem::replace(&mut self.seen[rendition], latest);
            // What stood in the window when this viewer came is wanted when the player asks for it.
            let joined = anew && before.is_none();
            if !joined && self.demand.selects(rendition as u8) {
                fresh.extend(behind(manifest, rendition as u8, before));
            }
        }
        let at = (manifest.epoch(), manifest.sequence());
        for place in &fresh {
            self.remember_seeds(*place, seeds);
            let pushers = self.pushers(*place, seeds);
            // A peer that names nobody tells what was missed: it is not pushed any more.
            let patience = self.push_patience(*place, &pushers, by_peer || !seeds.is_empty());
            self.want(*place, false, pushers, patience);
        }
        if seeds.is_empty() {
            self.unseeded.heard(at, fresh);
        }
        for place in self
            .demand
            .announced(|place| self.window.part(place).is_some())
        {
            self.want(place, true, Vec::new(), 0);
        }
    }

    /// Wants a part that is in the window; nothing if it is here or wanted already.
    /// It is waited `patience` microseconds for a push of it.
    pub(super) fn want(
        &mut self,
        place: Place,
        demanded: bool,
        pushers: Vec<PeerId>,
        patience: Micros,
    ) {
        let now = self.now;
        let (Some(entry), Some(start)) =
            (self.window.part(place).copied(), self.window.start(place))
        else {
            return;
        };
        if self.cache.holds(place) {
            if demanded {
                self.outputs.push_back(Output::Ready { place });
            }
            return;
        }
        if let Some(wanted) = self.demand.wanted.get_mut(&place) {
            wanted.demanded |= demanded;
            wanted.next = 0;
            return;
        }
        let wanted = Wanted {
            entry,
            start,
            since: now,
            announced: match demanded {
                true => now,
                false => self.narrow.announced(now),
            },
            demanded,
            pushed_until: now + patience,
            pushers,
            asked: None,
            fetch: None,
            refetch: 0,
            tried: SortedMap::new(),
            refused: 0,
            next: 0,
        };
        if let Some((gone, wanted)) = self.demand.want(place, wanted) {
            self.stopped(gone, &wanted);
            if wanted.demanded {
                self.outputs.push_back(Output::Gone { place: gone });
            }
        }
    }

    /// The player asks for a part.
    pub(super) fn demanded(&mut self, place: Place, first: u32) {
        if self.cache.holds(place) {
            return self.outputs.push_back(Output::Ready { place });
        }
        if self.window.part(place).is_some() {
            self.want(place, true, Vec::new(), 0);
            let part = first.min(place.part);
            let due = self.window.start(Place { part, ..place });
            if let (Some(wanted), Some(due)) = (self.demand.wanted.get_mut(&place), due) {
                wanted.start = wanted.start.min(due);
            }
            if let (Some(manifest), true) =
                (self.window.manifest(), self.demand.selects(place.rendition))
            {
                let at = Some((place.msn, place.part));
                for place in behind(manifest, place.rendition, at)
                    .take(FOLLOWING)
                    .collect::<Vec<_>>()
                {
                    self.want(place, false, Vec::new(), 0);
                }
            }
        } else if !self.window.is_ahead(place) || !self.demand.wait_for(place) {
            self.outputs.push_back(Output::Gone { place });
        }
    }

    /// Other renditions are wanted now. What the player asked for of the ones before it no longer waits for.
    pub(super) fn selected(&mut self, renditions: u16) {
        self.demand.selected = renditions;
        let strange = self.demand.wanted.iter();
        let strange = strange.filter(|(place, _)| renditions >> place.rendition & 1 == 0);
        let strange: Vec<(Place, bool)> = strange
            .map(|(place, wanted)| (*place, wanted.demanded))
            .collect();
        for (place, demanded) in strange {
            self.unwant(place);
            if demanded {
                self.outputs.push_back(Output::Gone { place });
            }
        }
        self.introduce_myself();
    }

    /// What the window no longer holds is not wanted, and peers need not be known to have it.
    fn forget_past(&mut self, first_before: Option<u64>, anew: bool) {
        let first = self.window.range().map(|(first, _)| first);
        if first != first_before {
            for (_, peer) in self.peers.iter_mut() {
                peer.forget_before(first.unwrap_or(0));
            }
        }
        if first != first_before || anew {
            let window = &self.window;
            let cid = |place: &Place| window.part(*place).map(|part| part.cid);
            let gone = self.demand.wanted.iter();
            let gone = gone.filter(|(place, wanted)| cid(place) != Some(wanted.entry.cid));
            let gone: Vec<(Place, bool)> = gone.map(|(p, w)| (*p, w.demanded)).collect();
            for (place, demanded) in gone {
                self.unwant(place);
                if demanded {
                    self.outputs.push_back(Output::Gone { place });
                }
            }
        }
        let window = &self.window;
        for place in self.demand.overtaken(|place| window.is_ahead(place)) {
            self.outputs.push_back(Output::Gone { place });
        }
    }

    // --- what was lost ---

    /// A peer lost something.
    pub(super) fn manifest_wanted(&mut self, id: PeerId) {
        let now = self.now;
        let Some(peer) = self.peers.get_mut(&id) else {
            return;
        };
        if peer.manifest_at.is_some_and(|at| now < at + MANIFEST_EVERY) {
            return;
        }
        peer.manifest_at = Some(now);
        if self.window.history().is_some() {
            self.give_manifest(id);
        } else if matches!(self.role, Role::Gateway) {
            peer.lost = true;
            if self.signed_at.is_none_or(|at| now >= at + MANIFEST_EVERY) {
                self.signed_at = Some(now);
                self.outputs.push_back(Output::Sign);
            }
        }
    }

    /// The signed window is here: whoever waits for it gets it.
    pub(super) fn give_manifests(&mut self) {
        if self.window.history().is_none() {
            return;
        }
        let lost = self.peers.iter_mut();
        let lost = lost.filter_map(|(id, peer)| std::mem::take(&mut peer.lost).then_some(*id));
        for id in lost.collect::<Vec<_>>() {
            self.give_manifest(id);
        }
    }

    fn give_manifest(&mut self, id: PeerId) {
        let Some((whole, since)) = self.window.history() else {
            return;
        };
        let mut messages = vec![Message::Manifest {
            envelope: whole.clone(),
        }];
        let by = self.telling.by;
        messages.extend(since.cloned().map(|envelope| Message::Announcement {
            envelope,
            seeds: Vec::new(),
            by,
        }));
        for message in messages {
            self.send(id, message);
        }
        if let (Some(peer), Some(at)) = (self.peers.get_mut(&id), self.window.at()) {
            peer.told_to = at;
        }
    }

    /// Something is missing for certain.
    pub(super) fn ask_manifest_soon(&mut self) {
        let at = self.now + LOSS;
        let ask = self.silence.ask_at.get_or_insert(at);
        *ask = at.min(*ask);
    }

    /// A gateway has begun anew. Whoever has a socket of its own learns the window by that; anyone else asks for it at once.
    fn ask_anew(&mut self, id: PeerId) {
        let now = self.now;
        let Some(peer) = self.peers.get_mut(&id).filter(|_| !self.has_socket) else {
            return;
        };
        if peer
            .asked_manifest
            .is_none_or(|at| now >= at + MANIFEST_EVERY)
        {
            peer.asked_manifest = Some(now);
            self.send(id, Message::WantManifest);
        }
    }

    /// When silence is to be taken for a loss.
    fn plan_silence(&mut self) {
        let Some(manifest) = self.window.manifest() else {
            return;
        };
        let live = manifest
            .renditions()
            .iter()
            .filter(|entry| !entry.withdrawn);
        let target = live
            .map(|entry| u64::from(entry.rendition.part_target))
            .max();
        self.silence.ask_at = match (manifest.ended(), target) {
            (false, Some(target)) => {
                Some(self.silence.heard.max(self.now) + SILENCE.max(3 * target))
            }
            _ => None,
        };
        if self.window.needs_manifest() {
            self.ask_manifest_soon();
        }
    }

    /// Nothing was heard for too long, or something is missing: a gateway is asked, or else a neighbour.
    pub(super) fn ask_manifest(&mut self) {
        if matches!(self.role, Role::Gateway) {
            // Viewers know no more than their gateway; that of a mirror hears of the origin by another engine.
            self.silence.ask_at = None;
            return;
        }
        // On a narrow link silence is no loss: a manifest would hold up what is on its way.
        let waits = (!self.window.needs_manifest()).then(|| self.excuses_silence());
        if let Some(until) = waits.flatten() {
            self.silence.ask_at = Some(until);
            return;
        }
        let pause = (self.silence.pause * 2).clamp(SILENCE, LONGEST_SILENCE);
        self.silence.pause = pause;
        self.silence.ask_at = Some(self.now + pause);
        // Of several not always the same one: it may be a mirror that knows no more either.
        let mut asked: Vec<_> = self.peers.gateways().map(|(id, _)| *id).collect();
        if asked.is_empty() {
            asked.extend(self.peers.viewers().map(|(id, _)| *id));
        }
        let whom = match asked[..] {
            [] => None,
            [only] => Some(only),
            _ => Some(asked[self.random.below(asked.len())]),
        };
        if let Some(id) = whom {
            if let Some(peer) = self.peers.get_mut(&id) {
                peer.asked_manifest = Some(self.now);
            }
            self.send(id, Message::WantManifest);
        }
    }
}

/// The parts of a rendition behind this one, in order; all if there is none.
fn behind(
    manifest: &Manifest,
    rendition: u8,
    at: Option<(u64, u32)>,
) -> impl Iterator<Item = Place> + '_ {
    let from = at.map_or(0, |(msn, _)| msn);
    manifest
        .segments()
        .skip_while(move |segment| segment.msn < from)
        .flat_map(move |segment| {
            let msn = segment.msn;
            (0..segment.parts(rendition.into()).len() as u32).map(move |part| Place {
                msn,
                part,
                rendition,
            })
        })
        .filter(move |place| at.is_none_or(|at| (place.msn, place.part) > at))
}

#[cfg(test)]
mod tests;
