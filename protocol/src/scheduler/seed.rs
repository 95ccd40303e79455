//! Gateway: each new part goes to a few viewers that pass it on, by turns; one that does not is passed over.
//!
//! Two things are watched of each seed: that it says soon that it has the part (or it is pushed to another), and that
//! some other viewer says so soon after (or the seed's turn comes less often: its uplink is slow, nobody is linked to
//! it, or nobody takes anything from it any more).

use bytes::Bytes;
use libp2p_identity::PeerId;

use super::{Micros, Scheduler, peers::Peer, random::turn, report::TOGETHER};
use crate::{
    manifest::Manifest,
    message::{Place, tail},
    sorted::SortedMap,
};

/// Viewers of a rendition for each seed of its parts: each more is a copy of the stream.
const VIEWERS_PER_SEED: usize = 1_000;
/// Seeds of one part.
const MAX_SEEDS: usize = 32;
/// Share of the viewers, those who can pass on soonest what they are given, that are seeds by turns, where there are many.
const SEEDING: usize = 8;
/// Round trips that a part takes over a way that loses some of it, and how often a seed has given it soon after.
const ROUND_TRIPS: Micros = 5;
const COPIES: usize = 3;
/// So few viewers are all seeds.
const FEW: usize = 16;
/// Seeds that viewers are told of.
const TOLD: usize = 4;
/// A seed that has not said so for this long, and a round trip, does not have the part.
const PATIENCE: Micros = 300_000;
/// A part that no other viewer has for this long, and what its way takes, was not passed on.
const SPREAD: Micros = 350_000;
/// Seeds that are tried one after another for one part.
const TRIES: usize = 4;
/// So many viewers that are silent, and none that is not: the gateway's own line is. No seed is at fault then, and what
/// is on its way to them is not taken back: when all is over, it comes, and nobody would have it otherwise.
const CUT_OFF: usize = 3;
/// What nobody has is pushed to others again, for so long.
const AGAIN: Micros = 10_000_000;
/// A site that had no viewers gets so much of what was published before, microseconds of media.
const LATELY: u64 = 4_000_000;
/// Parts whose seeds are watched at a time.
const MAX_SEEDED: usize = 512;
/// A seed that failed rests for so long, twice as long the next time, and so on, up to the longest: a try costs one
/// part some 300 ms, and links become wide again. Where there are many others, it is longer: some of them may lie.
const REST: (Micros, Micros, Micros) = (1_000_000, 8_000_000, 64_000_000);
/// Turns by which a viewer may be behind the others: it is not to make up for the time before it came.
const BEHIND: u64 = 4;

/// A part that is being seeded.
#[derive(Debug)]
struct Seeded {
    tried: Vec<PeerId>,
    /// Those of whom nothing was heard yet.
    silent: Vec<PeerId>,
    /// The seeds that have it and are to pass it on, and whether anyone else has it since.
    givers: Vec<PeerId>,
    spread: bool,
    /// When it was published, and pushed last.
    published: Micros,
    since: Micros,
    times: u32,
    until: Micros,
}

/// Parts that are being seeded, at each [site](super::site).
#[derive(Debug, Default)]
pub(super) struct Seeding {
    parts: SortedMap<(Place, u32), Seeded>,
    /// Published, and not announced yet.
    fresh: Vec<Place>,
    /// When a seed last said that it has its part.
    confirmed: Micros,
}

impl Seeding {
    /// Whether none of those to whom parts were pushed since someone said so has answered, and they are many.
    fn is_cut_off(&self) -> bool {
        let mut silent: Vec<PeerId> = Vec::new();
        for seeded in self
            .parts
            .values()
            .filter(|part| part.since > self.confirmed)
        {
            for id in &seeded.silent {
                if !silent.contains(id) {
                    silent.push(*id);
                }
            }
        }
        silent.len() >= CUT_OFF
    }

    /// A seed has its part. What the others were given while the line was silent comes now.
    fn confirm(&mut self, now: Micros) {
        if self.is_cut_off() {
            for seeded in self.parts.values_mut() {
                seeded.until = seeded.until.max(now + PATIENCE);
            }
        }
        self.confirmed = now;
    }

    pub(super) fn wake_at(&self) -> Option<Micros> {
        self.parts.values().map(|part| part.until).min()
    }
}

impl Scheduler {
    /// Gateway: a new part.
    pub(super) fn published(&mut self, place: Place, bytes: Bytes) {
        let cid = crate::dag::cid_of(&bytes);
        self.cache.insert(place, cid, bytes);
        if self.seeding.fresh.len() < MAX_SEEDED {
            self.seeding.fresh.push(place);
        }
    }

    /// Gateway: everyone is told, and the new parts go to their seeds right behind.
    pub(super) fn announced(&mut self, envelope: Bytes, manifest: &Manifest) {
        let first = manifest.segments().next().map(|segment| segment.msn);
        if self.window.range().map(|(first, _)| first) != first {
            for (_, peer) in self.peers.iter_mut() {
                peer.forget_before(first.unwrap_or(0));
            }
        }
        self.window.publish(manifest, envelope.clone());
        let at = (manifest.epoch(), manifest.sequence());
        let fresh = std::mem::take(&mut self.seeding.fresh);
        let new_sites = self.look_at_sites();
        let mut all: SortedMap<u32, Vec<PeerId>> = SortedMap::new();
        let mut pushes = Vec::new();
        for place in fresh {
            for site in self.seeded_sites() {
                let mut seeds = Vec::new();
                for _ in 0..self.seeds_of((place, site)) {
                    seeds.extend(self.next_seed((place, site), &seeds));
                }
                let all = all.or_insert_with(site, Vec::new);
                for seed in &seeds {
                    if !all.contains(seed) {
                        all.push(*seed);
                    }
                }
                pushes.push(((place, site), seeds));
            }
        }
        for all in all.values_mut() {
            all.truncate(crate::message::MAX_NEIGHBOURS);
        }
        self.choose_roots();
        let viewers = self.peers.viewers();
        let viewers: Vec<(PeerId, u32, bool)> = viewers
            .map(|(id, peer)| (*id, self.seeded_as(peer), peer.is_told || peer.is_root))
            .collect();
        for (id, site, told) in viewers {
            // Each is told whether it is one; the others know by those few whether a neighbour may push to them.
            let all = all.get(&site);
            let mut seeds: Vec<u32> = all.into_iter().flatten().map(tail).collect();
            let own = all.and_then(|all| all.iter().position(|seed| *seed == id));
            if let Some(own) = own {
                seeds.swap(0, own);
            }
            seeds.truncate(TOLD);
            if told || own.is_some() {
                self.tell_announcement(id, at, &envelope, (&seeds, 0));
            }
        }
        for site in new_sites {
            self.fill(site, manifest);
        }
        for (at, seeds) in pushes {
            let place = at.0;
            let wants = self.peers.iter_mut();
            let wants = wants.filter_map(|(id, peer)| peer.wants.remove(&place).then_some(*id));
            let wants: Vec<PeerId> = wants.filter(|id| !seeds.contains(id)).collect();
            self.seed(at, seeds);
            for id in wants {
                self.queue(id, place, false);
            }
        }
    }

    /// A site's first viewers get what others of it will ask them for: what was published lately.
    fn fill(&mut self, site: u32, manifest: &Manifest) {
        let edge = manifest
            .segments()
            .next_back()
            .map_or(0, |segment| segment.start);
        let lately = self.cache.places();
        let lately: Vec<Place> = lately
            .take_while(|place| {
                let start = self.window.start(*place);
                start.is_some_and(|start| start + LATELY > edge)
            })
            .collect();
        for place in lately.into_iter().rev() {
            // It is no push that is late for what it is for: it may wait for its turn.
            if let Some(seed) = self.next_seed((place, site), &[]) {
                self.queue(seed, place, false);
            }
        }
    }

    /// How many seeds a part has.
    fn seeds_of(&self, (place, site): (Place, u32)) -> usize {
        let followers = self.peers.viewers();
        let followers =
            followers.filter(|(_, p)| p.follows(place.rendition) && self.seeded_as(p) == site);
        seeds_for(followers.count())
    }

    /// Pushes a part to these, and watches them.
    fn seed(&mut self, at: (Place, u32), seeds: Vec<PeerId>) {
        let place = at.0;
        let now = self.now;
        let size = self.cache.get(place).map_or(0, Bytes::len);
        let mut wait = self.usually_takes(at.1);
        for id in &seeds {
            wait = wait.max(self.peers.get(id).map_or(0, |peer| peer.reaches(size)));
            self.queue(*id, place, true);
        }
        let patience = self.patience(at.1, PATIENCE);
        if seeds.is_empty() {
            self.seeding.parts.remove(&at);
            return;
        }
        let seeded = self.seeding.parts.or_insert_with(at, || Seeded {
            tried: Vec::new(),
            silent: Vec::new(),
            givers: Vec::new(),
            spread: false,
            published: now,
            since: now,
            times: 0,
            until: 0,
        });
        seeded.since = now;
        // Later and later: what is on a slow way does not become faster by more of it.
        seeded.until = now + (patience << seeded.times.min(5)) + wait;
        seeded.times += 1;
        seeded.tried.extend(&seeds);
        seeded.silent = seeds;
        if self.seeding.parts.len() > MAX_SEEDED {
            self.seeding.parts.pop_first();
        }
    }

    /// The viewer whose turn it is: the one that seeded least among those that can; who has just come is the last choice.
    fn next_seed(&mut self, (place, site): (Place, u32), but: &[PeerId]) -> Option<PeerId> {
        let now = self.now;
        let size = self.cache.get(place).filter(|_| self.shares())?.len();
        let able = |id: &PeerId, peer: &Peer| {
            peer.is_viewer()
                && peer.shares()
                && peer.follows(place.rendition)
                && peer.rests_until <= now
                && self.seeded_as(peer) == site
                && !but.contains(id)
        };
        let here = self.peers.iter();
        let here = here.filter(|(_, peer)| self.seeded_as(peer) == site);
        let most = here.map(|(_, peer)| peer.seeded).max()?;
        let least = most.saturating_sub(BEHIND * size as u64);
        let soon = self.soon((place, site), size);
        let (_, _, _, _, next) = self
            .peers
            .iter()
            .filter(|(id, peer)| able(id, peer))
            .map(|(id, peer)| {
                let full = !peer.has_room(size, now) || passes_on(peer, size) > soon;
                let seeded = peer.seeded.max(least);
                (full, peer.is_new(now), seeded, turn(place, id), *id)
            })
            .min()?;
        let peer = self.peers.get_mut(&next)?;
        peer.seeded = peer.seeded.max(least) + size as u64;
        Some(next)
    }

    /// How long a seed may take to pass on so much, where there are so many viewers that not all need be seeds.
    fn soon(&self, (place, site): (Place, u32), size: usize) -> Micros {
        let followers = self.peers.viewers();
        let followers = followers.filter(|(_, peer)| {
            peer.shares() && peer.follows(place.rendition) && self.seeded_as(peer) == site
        });
        let mut times: Vec<Micros> = followers.map(|(_, peer)| passes_on(peer, size)).collect();
        if times.len() <= FEW {
            return Micros::MAX;
        }
        let at = (times.len() / SEEDING).max(FEW) - 1;
        *times.select_nth_unstable(at).1
    }

    /// A viewer has a part: a seed that passes it on from now, or someone to whom it was passed on.
    pub(super) fn seed_has(&mut self, id: PeerId, place: Place) {
        let Some(peer) = self.peers.get(&id) else {
            return;
        };
        let at = (place, self.seeded_as(peer));
        let Some(seeded) = self.seeding.parts.get(&at) else {
            return;
        };
        let seeded_it = seeded.silent.contains(&id);
        if seeded_it {
            self.seeding.confirm(self.now);
        }
        let later = self.told_together();
        let Some(seeded) = self.seeding.parts.get_mut(&at) else {
            return;
        };
        if seeded_it {
            (self.site).took(at.1, self.now.saturating_sub(seeded.published));
            seeded.silent.retain(|silent| *silent != id);
            seeded.givers.push(id);
            if seeded.silent.is_empty() {
                let size = self.cache.get(place).map_or(0, Bytes::len);
                let way = self.peers.get(&id).map_or(0, |peer| peer.reaches(size));
                seeded.until = self.now + SPREAD + later + way;
            }
        }
        if seeded.givers.is_empty() {
            return;
        }
        // What one seed has tells nothing of what another gives.
        let tried = &seeded.tried;
        let has = |(other, peer): (&PeerId, &Peer)| {
            !tried.contains(other)
                && peer.has.contains(&place)
                && self.site.seeded_as(peer.site()) == at.1
        };
        seeded.spread |= if seeded_it {
            self.peers.viewers().any(has)
        } else {
            !tried.contains(&id)
        };
        if !seeded.spread {
            return;
        }
        for giver in &seeded.givers {
            if let Some(peer) = self.peers.get_mut(giver) {
                // Which of several gave it is not known.
                peer.missed = if seeded.givers.len() > 1 {
                    peer.missed / 2
                } else {
                    0
                };
                peer.rests_until = 0;
            }
        }
        if seeded.silent.is_empty() {
            self.seeding.parts.remove(&at);
        }
    }

    /// Seeds that failed are passed over: others are tried for what nobody has yet.
    pub(super) fn pass_over(&mut self) {
        let due = self.seeding.parts.iter();
        let due: Vec<(Place, u32)> = due
            .filter(|(_, seeded)| seeded.until <= self.now)
            .map(|(at, _)| *at)
            .collect();
        if self.seeding.is_cut_off() {
            for at in due {
                if let Some(seeded) = self.seeding.parts.get_mut(&at) {
                    seeded.until = self.now + PATIENCE;
                }
            }
            return;
        }
        let many = self.peers.viewers().count() > FEW;
        for at in due {
            let place = at.0;
            let Some(mut seeded) = self.seeding.parts.remove(&at) else {
                continue;
            };
            for id in &seeded.silent {
                self.rest(*id);
                self.settle(*id, place);
            }
            if seeded.spread {
                continue;
            }
            let has = |(_, peer): (&PeerId, &Peer)| {
                peer.has.contains(&place) && self.seeded_as(peer) == at.1
            };
            let mut held = self.peers.viewers().any(has);
            for giver in std::mem::take(&mut seeded.givers) {
                // Not to have given it to someone whom it may not know yet is no fault.
                let could = |(id, peer): (&PeerId, &Peer)| {
                    *id != giver
                        && !peer.is_new(seeded.since)
                        && peer.shares()
                        && peer.follows(place.rendition)
                        && self.seeded_as(peer) == at.1
                };
                let giver_ = self.peers.get(&giver);
                let is_new = giver_.is_some_and(|peer| peer.is_new(seeded.since));
                if !is_new && self.peers.viewers().any(could) {
                    self.rest(giver);
                }
                // Where there are many, all of them wait for what a few keep for themselves.
                held = !many;
            }
            if !held && seeded.tried.len() >= TRIES && self.now < seeded.published + AGAIN {
                seeded.tried.clear();
            }
            if !held && seeded.tried.len() < TRIES {
                let mut next = Vec::new();
                for _ in 0..self.seeds_of(at) {
                    let but: Vec<PeerId> = seeded.tried.iter().chain(&next).copied().collect();
                    next.extend(self.next_seed(at, &but));
                }
                self.seeding.parts.insert(at, seeded);
                self.seed(at, next);
            }
        }
    }

    /// So much later than they have them viewers may tell of parts: where they are few, of several together.
    fn told_together(&self) -> Micros {
        match self.peers.viewers().count() <= FEW {
            true => TOGETHER,
            false => 0,
        }
    }

    /// It is not a seed for a while.
    fn rest(&mut self, id: PeerId) {
        let now = self.now;
        let longest = match self.peers.viewers().count() > FEW {
            true => REST.2,
            false => REST.1,
        };
        if let Some(peer) = self.peers.get_mut(&id) {
            peer.rests_until = now + (REST.0 << peer.missed.min(8)).min(longest);
            peer.missed += 1;
        }
    }

    /// Seeds that are gone are passed over at once.
    pub(super) fn seed_gone(&mut self, id: &PeerId) {
        for seeded in self.seeding.parts.values_mut() {
            if seeded.silent.contains(id) {
                seeded.until = self.now;
            }
        }
    }
}

/// Seeds of a part that so many follow.
fn seeds_for(followers: usize) -> usize {
    let seeds = (followers + VIEWERS_PER_SEED / 2) / VIEWERS_PER_SEED;
    seeds.clamp(1, MAX_SEEDS)
}

/// How long it takes until a viewer is likely to have what is pushed to it now, and to have given some copies of it.
fn passes_on(peer: &Peer, size: usize) -> Micros {
    let gives = (COPIES * size) as f64 / f64::from(peer.upload().max(1));
    ROUND_TRIPS * peer.round_trip() + (gives * 1e6) as Micros
}

#[cfg(test)]
mod tests;
