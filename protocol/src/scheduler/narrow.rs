//! A link that became too narrow. Pushes from several sides share it with what is asked for, so that everything comes
//! late, and most of it in a rendition that is about to be left. The viewer then steps out of the swarm for a while:
//! nobody pushes to it or asks it for anything, and it takes one part after the other over HTTP, the earliest first.
//! It steps in again when what it plays now comes in time.
//!
//! Only of a stream with several renditions: where there is no smaller one, order alone does not help.

use super::{Micros, Output, Role, Scheduler, choose, demand::Wanted};
use crate::{
    manifest::{Manifest, RenditionEntry},
    message::Place,
};

/// A part that was to be pushed and is not here after this, or after so many times what parts take lately, is overdue.
const OVERDUE: Micros = 250_000;
const TIMES: f64 = 2.5;
/// The weight of one part in what parts take lately.
const WEIGHT: f64 = 0.1;
/// So many within so long tell of the link, if the gateway's own path is among those that are late.
const TOO_MANY: usize = 2;
const WITHIN: Micros = 500_000;
/// A part comes within this behind an announcement that waited where it waited.
const RIGHT_BEHIND: Micros = 60_000;
/// A part that came within this while others were late came over no narrow link: somebody else is slow.
const QUICK: Micros = 100_000;
/// What was overdue when the viewer stepped out may still be on its way: it is not fetched before.
const ON_ITS_WAY: Micros = 900_000;
/// What is played may be chosen anew at once: so long nothing is fetched.
const CHOSEN_ANEW: Micros = 50_000;
/// As long as less than this was asked for, more is: what HTTP waits for on its way would be lost.
const UNDER_WAY: usize = 8 * 1024;
/// It stays out at least so long; twice as long each time that it was too soon, up to the longest.
const OUT: (Micros, Micros) = (3_000_000, 48_000_000);
/// Stepping out so soon after stepping in, it was too soon.
const TOO_SOON: Micros = 20_000_000;
/// Announcements may come so late after it stepped out.
const SILENT: Micros = 3_000_000;
/// Nothing was overdue for so long: it is in time.
const CALM: Micros = 2_000_000;
/// It steps in when nothing is missing that was announced longer ago.
const MISSING: Micros = 400_000;
/// The estimate is at least so many times what is played; so many times, and it was no matter of the link.
const ROOM: f64 = 1.2;
const AMPLE: f64 = 3.0;
/// A rendition that needs so many times what the link gives is about to be left.
const FAR_MORE: f64 = 1.5;

#[derive(Debug, Default)]
pub(super) struct Narrow {
    /// Since when this viewer is out of the swarm.
    since: Option<Micros>,
    /// How long it stays out, and when it stepped in last.
    stays: Micros,
    stepped_in: Option<Micros>,
    /// When something was overdue last.
    overdue_at: Micros,
    /// A part that was overdue and came: since when it was wanted, when it came, and whether by the gateway's own path.
    came_late: Option<(Micros, Micros, bool)>,
    /// When a part came quickly that was to be pushed.
    quick_at: Micros,
    /// When the newest announcement should have come.
    told: Option<Micros>,
    /// This viewer's clock less the gateway's when an announcement comes, of late: at once less, slowly more; microseconds.
    lag: Option<f64>,
    /// How long parts take lately, from the moment at which they were on their way, microseconds.
    takes: f64,
}

impl Narrow {
    pub(super) fn is_out(&self) -> bool {
        self.since.is_some()
    }

    /// An announcement came that was made at `clock`, the gateway's.
    fn told(&mut self, clock: u64, now: Micros) {
        let lag = now as f64 - clock as f64;
        let usual = self.lag.unwrap_or(lag);
        self.told = Some(now.saturating_sub((lag - usual) as Micros));
        self.lag = Some(match lag < usual {
            true => lag,
            false => usual + (lag - usual) * WEIGHT,
        });
    }

    /// When what is announced now should have been.
    pub(super) fn announced(&self, now: Micros) -> Micros {
        self.told.unwrap_or(now)
    }

    fn patience(&self) -> Micros {
        OVERDUE.max((TIMES * self.takes) as Micros)
    }
}

impl Scheduler {
    /// Steps out of the swarm, or in again, as what is wanted comes late or in time.
    pub(super) fn judge_link(&mut self) {
        if !self.judges_link() {
            return;
        }
        let now = self.now;
        let (late, by_gateway) = self.overdue();
        if late > 0 {
            self.narrow.overdue_at = now;
        }
        match self.narrow.since {
            None if late >= TOO_MANY && by_gateway && self.http.open(now) => self.step_out(),
            Some(since) if self.may_step_in(since) => self.step_in(),
            _ => {}
        }
    }

    /// Until when silence is the link's, if it is.
    pub(super) fn excuses_silence(&self) -> Option<Micros> {
        let until = self.narrow.since? + SILENT;
        (self.now < until).then_some(until)
    }

    /// Whether a part came late just now: what is pushed would hold up what this viewer may have to ask for, on a link
    /// that is narrow both ways.
    pub(super) fn doubts_link(&self) -> bool {
        let came = self.narrow.came_late;
        self.has_choice() && came.is_some_and(|(_, at, _)| self.now < at + WITHIN)
    }

    /// The window moved on. Announcements wait on a narrow link, too, behind parts that were on their way before.
    pub(super) fn moved(&mut self, anew: bool) {
        let clock = self.window.manifest().map(Manifest::clock);
        match clock {
            Some(clock) if !anew => self.narrow.told(clock, self.now),
            _ => (self.narrow.lag, self.narrow.told) = (None, None),
        }
    }

    /// Whether anything follows from what is overdue.
    fn judges_link(&self) -> bool {
        matches!(self.role, Role::Viewer) && self.has_choice()
    }

    /// When the next of what is wanted is overdue.
    pub(super) fn overdue_at(&self) -> Option<Micros> {
        if self.narrow.is_out() || !self.judges_link() {
            return None;
        }
        let at = self.due().map(|(at, _)| at).chain(self.silent_at());
        at.filter(|at| *at > self.now).min()
    }

    /// What to do to get a part while out of the swarm; when to look again.
    pub(super) fn choose_alone(&mut self, place: Place) -> Option<Micros> {
        let now = self.now;
        let chosen_anew = self.narrow.since? + CHOSEN_ANEW;
        if now < chosen_anew {
            return Some(chosen_anew);
        }
        let wanted = self.demand.wanted.get(&place)?;
        let on_its_way = !wanted.pushers.is_empty() && now < wanted.announced + ON_ITS_WAY;
        // What the link cannot carry is about to be left: only what the player still asks of it is worth its time.
        if !wanted.demanded && self.exceeds_link(place.rendition) {
            return Some(now + choose::LOOK);
        }
        let room = self.fetches() == 0 || self.estimate.fetching() < UNDER_WAY;
        let may_fetch = room && self.http.open(now) && now >= wanted.refetch;
        if wanted.fetch.is_none() && may_fetch && !on_its_way && self.arrives(place).is_none() {
            self.fetch(place);
        }
        Some(now + choose::LOOK)
    }

    /// Whether a rendition needs far more than the link gives.
    fn exceeds_link(&self, rendition: u8) -> bool {
        let manifest = self.window.manifest();
        let entry = manifest.and_then(|manifest| manifest.renditions().get(usize::from(rendition)));
        let needs = entry.map_or(0.0, |entry| f64::from(entry.rendition.bandwidth));
        needs / 8.0 > FAR_MORE * self.bytes_per_second()
    }

    /// A part that was wanted is here.
    pub(super) fn came(&mut self, wanted: &Wanted) {
        let now = self.now;
        if self.is_overdue(wanted) {
            self.narrow.came_late = Some((wanted.announced, now, self.is_gateways(wanted)));
        } else if wanted.pushed_until > wanted.since && now < wanted.announced + QUICK {
            self.narrow.quick_at = now;
        }
        let asked = wanted.asked.map(|asked| asked.at);
        let since = wanted.since.max(wanted.fetch.or(asked).unwrap_or(0));
        let took = now.saturating_sub(since) as f64;
        self.narrow.takes += (took - self.narrow.takes) * WEIGHT;
    }

    /// Whether there are several renditions to choose from; sound alone is none for who watches.
    fn has_choice(&self) -> bool {
        let Some(manifest) = self.window.manifest() else {
            return false;
        };
        let all = manifest.renditions();
        let is_choice = |entry: &&RenditionEntry| !entry.withdrawn && !entry.rendition.audio_only();
        all.len() > 1 && all.iter().filter(is_choice).count() > 1
    }

    /// How many parts that were to be pushed are overdue or came too late just now, with the next announcement if that
    /// is, if nothing came quickly meanwhile; whether the gateway's own path is among those that are late.
    fn overdue(&self) -> (usize, bool) {
        let now = self.now;
        let came = self.narrow.came_late.into_iter();
        let came = came.filter(|(_, at, _)| now < at + WITHIN);
        let came = came.map(|(since, _, by_gateway)| (since, by_gateway));
        let silent = self.silent_at().filter(|at| *at <= now);
        let silent = silent.map(|at| (at, self.is_told_by_gateway()));
        let late = self.due().filter(|(at, _)| *at <= now);
        let late = late.map(|(_, wanted)| (wanted.announced, self.is_gateways(wanted)));
        let (mut count, mut by_gateway) = (0, false);
        for (since, gateways) in came.chain(silent).chain(late) {
            if self.narrow.quick_at > since {
                return (0, false);
            }
            count += 1;
            by_gateway |= gateways;
        }
        (count, by_gateway)
    }

    /// When the next announcement is overdue: it waits behind parts on a link that became narrow.
    fn silent_at(&self) -> Option<Micros> {
        let manifest = self
            .window
            .manifest()
            .filter(|manifest| !manifest.ended())?;
        let all = manifest.renditions().iter();
        let targets = all.map(|entry| Micros::from(entry.rendition.part_target));
        Some(self.narrow.told? + targets.max()? + self.narrow.patience())
    }

    /// Parts that are to be pushed, and when each is overdue: all before it come over the same link.
    fn due(&self) -> impl Iterator<Item = (Micros, &Wanted)> {
        let rate = self.bytes_per_second();
        let patience = self.narrow.patience();
        let wanted = self.demand.wanted.values();
        let wanted = wanted.filter(|wanted| wanted.pushed_until > wanted.since);
        wanted.scan(0.0, move |before, wanted| {
            *before += f64::from(wanted.entry.size);
            let takes = (*before / rate * 1e6) as Micros;
            Some((overdue(wanted, patience + takes), wanted))
        })
    }

    /// Whether a part that came should have been here before.
    fn is_overdue(&self, wanted: &Wanted) -> bool {
        let takes = f64::from(wanted.entry.size) / self.bytes_per_second() * 1e6;
        let at = overdue(wanted, self.narrow.patience() + takes as Micros);
        wanted.pushed_until > wanted.since && self.now >= at
    }

    /// What the link gives, as far as it is known.
    fn bytes_per_second(&self) -> f64 {
        let bits = self.estimate.bits(self.now);
        bits.map_or(f64::INFINITY, |bits| (bits as f64 / 8.0).max(1.0))
    }

    /// Whether the gateway was to push a part, or does not give it over HTTP either.
    fn is_gateways(&self, wanted: &Wanted) -> bool {
        let is_gateway = |id| self.peers.get(id).is_some_and(|peer| !peer.is_viewer());
        let fetched = wanted.fetch.is_some_and(|at| self.now >= at + OVERDUE);
        fetched || wanted.pushers.iter().any(is_gateway)
    }

    fn step_out(&mut self) {
        let now = self.now;
        let narrow = &mut self.narrow;
        let too_soon = narrow.stepped_in.is_some_and(|at| now < at + TOO_SOON);
        narrow.stays = match too_soon {
            true => (narrow.stays * 2).min(OUT.1),
            false => OUT.0,
        };
        narrow.since = Some(now);
        self.refuse_all();
        self.introduce_myself();
        let wanted = self.demand.wanted.values();
        let since = wanted.map(|wanted| wanted.since).min();
        let asked = self.demand.wanted.iter();
        let asked: Vec<Place> = asked
            .filter(|(_, wanted)| wanted.asked.is_some())
            .map(|(place, _)| *place)
            .collect();
        for place in asked {
            self.give_up(place, true);
        }
        self.estimate.narrowed(since.unwrap_or(now), now);
        self.outputs.push_back(Output::Narrowed);
        self.demand.touch_all();
    }

    fn may_step_in(&self, since: Micros) -> bool {
        let now = self.now;
        let plays = self.window.manifest().map_or(0, |manifest| {
            let all = manifest.renditions().iter().enumerate();
            let mine = all.filter(|(index, _)| self.demand.selects(*index as u8));
            mine.map(|(_, entry)| entry.rendition.bandwidth)
                .max()
                .unwrap_or(0)
        });
        let bits = self.estimate.bits(now).unwrap_or(0) as f64;
        let times = bits / f64::from(plays.max(1));
        let stays = if times < AMPLE {
            self.narrow.stays
        } else {
            OUT.0
        };
        let is_calm = times >= ROOM && now >= since + stays && now >= self.narrow.overdue_at + CALM;
        // What is new would take the link from what is missing still.
        let mut wanted = self.demand.wanted.values();
        is_calm && wanted.all(|wanted| now < wanted.announced + MISSING)
    }

    fn step_in(&mut self) {
        self.narrow.since = None;
        self.narrow.stepped_in = Some(self.now);
        self.introduce_myself();
        self.demand.touch_all();
    }
}

/// When a part is overdue that should be here so long after it was announced. One that comes right behind an announcement
/// that was late itself is not: this viewer was busy, or its link slept.
fn overdue(wanted: &Wanted, takes: Micros) -> Micros {
    (wanted.announced + takes).max(wanted.since + RIGHT_BEHIND)
}

#[cfg(test)]
mod tests;
