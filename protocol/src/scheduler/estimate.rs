//! How much can come in, for the choice of rendition.
//!
//! What arrives tells little by itself: a part from the cache measures memory, a pushed part its neighbour's uplink, a
//! part in one packet nothing. So two rates are kept, both over the time in which bytes were on their way and in no
//! other: of all that flows, and of HTTP alone. The estimate is the greater, because each is a lower bound of the link.
//!
//! - A link that narrows: what is on its way takes longer, so time without the expected bytes counts at once. When
//!   neighbours alone are slow for 300 ms, or a push does not come, one part is fetched over HTTP to tell the two apart (a *probe*). What is
//!   still on its way bounds the rate from above: so many bytes at most in so long.
//! - Parts that come in one piece have no time of their own. When one after another is late, from wherever, the rate is
//!   no more than what came since the first of them was on its way.
//! - A link that widens: neighbours in a low rendition cannot show it. As long as the estimate is below what the next
//!   rendition needs, a part is fetched over HTTP every few seconds. A stream with one rendition is never probed.

use std::collections::VecDeque;

use libp2p_identity::PeerId;

use super::{Micros, Scheduler};
use crate::{
    message::Place,
    sorted::{SortedMap, SortedSet},
};

/// A rate counts as if measured for this long at least, and half of it is forgotten in twice that.
const LEAST: f64 = 100_000.0;
const HALF_LIFE: f64 = 200_000.0;
/// Flowing for so long, it is measured in between, and tells of a narrow link.
const LONG: Micros = 200_000;
/// A part that was so long on its way is late, and so many in a row tell of the link.
const LATE: Micros = 250_000;
const IN_A_ROW: u32 = 2;
/// How long HTTP's rate is believed.
const BELIEVED: Micros = 5_000_000;
/// Least time between probes when neighbours are slow.
const PROBE_SLOW: Micros = 1_000_000;
/// Time between probes for the next rendition: the first, and the longest.
const PROBE_NEXT: (Micros, Micros) = (2_000_000, 6_000_000);
/// The estimate should be so many times what a rendition needs.
const AMPLE: u64 = 2;
/// No rate is taken for higher, bytes per microsecond: 80 Mbit/s.
const HIGHEST: f64 = 10.0;

/// Bytes over the time in which they were on their way.
#[derive(Debug, Default)]
struct Meter {
    /// Bytes per microsecond.
    rate: Option<f64>,
    at: Micros,
    /// Since when something is on its way without a break, and what came of it.
    busy: Option<(Micros, u64)>,
}

impl Meter {
    fn begin(&mut self, now: Micros) {
        self.busy.get_or_insert((now, 0));
    }

    fn add(&mut self, bytes: usize) {
        if let Some((_, sum)) = &mut self.busy {
            *sum += bytes as u64;
        }
    }

    /// Takes in what was measured so far; `idle`: nothing is on its way any more.
    fn measure(&mut self, now: Micros, idle: bool) {
        let Some((since, bytes)) = self.busy else {
            return;
        };
        let micros = now.saturating_sub(since);
        if !idle && (micros < LONG || bytes == 0) {
            return;
        }
        if bytes > 0 && micros > 0 {
            let rate = (bytes as f64 / micros as f64).min(HIGHEST);
            let old = 0.5f64.powf((micros as f64).max(LEAST) / HALF_LIFE);
            self.rate = Some(
                self.rate
                    .map_or(rate, |known| known * old + rate * (1.0 - old)),
            );
            self.at = now;
        }
        self.busy = (!idle).then_some((now, 0));
    }

    /// Takes the bound for the rate.
    fn bound(&mut self, pending: usize, now: Micros) {
        self.rate = self.now(pending, now);
    }

    /// The rate, bounded by what is on its way for long: no more than `pending` bytes besides what came.
    fn now(&self, pending: usize, now: Micros) -> Option<f64> {
        let rate = self.rate?;
        let Some((since, bytes)) = self.busy.filter(|(since, _)| now > since + LONG) else {
            return Some(rate);
        };
        Some(rate.min((bytes + pending as u64) as f64 / (now - since) as f64))
    }
}

/// Parts that landed of which is remembered when.
const LANDINGS: usize = 16;

/// Parts that were late, one after another.
#[derive(Clone, Copy, Debug)]
struct Run {
    since: Micros,
    bytes: u64,
    parts: u32,
}

#[derive(Debug, Default)]
pub(super) struct Estimate {
    late: Option<Run>,
    landings: VecDeque<(Micros, usize)>,
    all: Meter,
    http: Meter,
    /// Bytes that each will bring, and since when it is under way.
    fetches: SortedMap<Place, (usize, Micros)>,
    flows: SortedSet<PeerId>,
    probed: Option<Micros>,
    pause: Micros,
}

impl Estimate {
    /// A peer's part began to come. Its first bytes do not count: when they set out is not known.
    pub(super) fn flow_began(&mut self, peer: PeerId, now: Micros) {
        self.flows.insert(peer);
        self.all.begin(now);
    }

    /// Peers of which a part is coming in.
    pub(super) fn flows(&self) -> impl Iterator<Item = &PeerId> {
        self.flows.iter()
    }

    pub(super) fn flowed(&mut self, bytes: usize, now: Micros) {
        self.all.add(bytes);
        self.all.measure(now, false);
    }

    pub(super) fn flow_ended(&mut self, peer: PeerId, now: Micros) {
        if self.flows.remove(&peer) {
            self.rest(now);
        }
    }

    pub(super) fn fetch_began(&mut self, place: Place, size: usize, now: Micros) {
        self.fetches.insert(place, (size, now));
        self.all.begin(now);
        self.http.begin(now);
    }

    /// A part is here that was to come since then.
    pub(super) fn landed(&mut self, since: Micros, bytes: usize, now: Micros) {
        if self.landings.len() == LANDINGS {
            self.landings.pop_front();
        }
        self.landings.push_back((now, bytes));
        if now <= since + LATE {
            self.late = None;
            return;
        }
        let run = self.late.get_or_insert(Run {
            since,
            bytes: 0,
            parts: 0,
        });
        run.bytes += bytes as u64;
        run.parts += 1;
        if let Some(most) = self.most(now) {
            for meter in [&mut self.all, &mut self.http] {
                meter.rate = meter.rate.map(|rate| rate.min(most));
            }
        }
    }

    /// Everything is late since then: the link gives no more than what came meanwhile.
    pub(super) fn narrowed(&mut self, since: Micros, now: Micros) {
        let came = self.landings.iter().filter(|(at, _)| *at > since);
        let came: usize = came.map(|(_, bytes)| bytes).sum();
        let most = came as f64 / now.saturating_sub(since).max(1) as f64;
        for meter in [&mut self.all, &mut self.http] {
            meter.rate = meter.rate.map(|rate| rate.min(most));
        }
    }

    /// What came while one part after another is late: no rate is higher. (What was held up comes all at once in the
    /// end, and seems fast.)
    fn most(&self, now: Micros) -> Option<f64> {
        let run = self
            .late
            .filter(|run| run.parts >= IN_A_ROW && now > run.since)?;
        Some(run.bytes as f64 / (now - run.since) as f64)
    }

    /// A part came from a peer in one piece: its bytes count where something else measures the time.
    pub(super) fn came(&mut self, bytes: usize) {
        self.all.add(bytes);
    }

    /// Bytes that are under way over HTTP.
    pub(super) fn fetching(&self) -> usize {
        self.fetches.values().map(|(size, _)| size).sum()
    }

    /// A fetch is not needed any more. It did not bring its bytes in the time that it had.
    pub(super) fn fetch_aborted(&mut self, place: Place, now: Micros) {
        let Some((size, since)) = self.fetches.remove(&place) else {
            return;
        };
        let pending = self.fetching();
        let took = now.saturating_sub(since);
        if took >= LONG {
            self.all.bound(pending + size, now);
            let most = size as f64 / took as f64;
            self.http.rate = self.http.rate.map(|rate| rate.min(most));
        }
        if self.fetches.is_empty() {
            self.http.busy = None;
        }
        self.rest(now);
    }

    /// `bytes`: `None` if it failed.
    pub(super) fn fetch_ended(&mut self, place: Place, bytes: Option<usize>, now: Micros) {
        if self.fetches.remove(&place).is_none() {
            return;
        }
        match bytes {
            Some(bytes) => {
                self.all.add(bytes);
                self.http.add(bytes);
                self.all.measure(now, false);
                self.http.measure(now, false);
            }
            // How long it took to fail is no measure.
            None => {
                let again = |meter: &mut Meter| meter.busy = Some((now, 0));
                again(&mut self.all);
                again(&mut self.http);
            }
        }
        if self.fetches.is_empty() {
            self.http.measure(now, true);
        }
        self.rest(now);
    }

    fn rest(&mut self, now: Micros) {
        if self.flows.is_empty() && self.fetches.is_empty() {
            self.all.measure(now, true);
        }
    }

    /// Bits per second.
    pub(super) fn bits(&self, now: Micros) -> Option<u64> {
        let pending = self.fetching();
        let all = self.all.now(pending, now);
        let fresh = now < self.http.at + BELIEVED;
        let http = self.http.now(pending, now).filter(|_| fresh);
        let rate = all
            .into_iter()
            .chain(http)
            .fold(None, |most: Option<f64>, rate| {
                Some(most.map_or(rate, |most| most.max(rate)))
            })?;
        let rate = self.most(now).map_or(rate, |most| rate.min(most));
        Some((rate * 8e6) as u64)
    }

    /// Whether bytes have been flowing for long without an end.
    fn is_slow(&self, now: Micros) -> bool {
        self.fetches.is_empty()
            && self
                .all
                .busy
                .is_some_and(|(since, _)| now > since + 2 * LONG)
    }
}

impl Scheduler {
    /// Whether this part is to be fetched over HTTP to learn what the link can do.
    /// `late`: a push of it that was likely did not come.
    pub(super) fn wants_probe(&mut self, place: Place, late: bool) -> bool {
        let now = self.now;
        let Some(manifest) = self.window.manifest() else {
            return false;
        };
        let all = manifest.renditions();
        let others = all.iter().filter(|entry| !entry.withdrawn);
        if others.clone().count() < 2 || !self.estimate.fetches.is_empty() {
            return false;
        }
        let mine = all
            .get(usize::from(place.rendition))
            .map_or(0, |entry| entry.rendition.bandwidth);
        let next = others
            .map(|entry| entry.rendition.bandwidth)
            .filter(|bandwidth| *bandwidth > mine)
            .min();
        let since = self.estimate.probed.map_or(Micros::MAX, |at| now - at);
        let bits = self.estimate.bits(now).unwrap_or(0);
        let short = next.is_some_and(|next| bits < AMPLE * u64::from(next));
        let pause = self.estimate.pause.clamp(PROBE_NEXT.0, PROBE_NEXT.1);
        let slow = self.estimate.is_slow(now) || late;
        if slow && since > PROBE_SLOW {
            self.estimate.pause = PROBE_NEXT.0;
        } else if !slow && short && since > pause {
            self.estimate.pause = pause * 3 / 2;
        } else {
            return false;
        }
        self.estimate.probed = Some(now);
        true
    }
}
