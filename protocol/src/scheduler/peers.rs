//! What is known of a linked peer, what it was asked for and what it was given.

use super::{Kind, Micros, bucket::Bucket, tell::Teller};
use crate::{
    message::{Join, Place},
    sorted::{SortedMap, SortedSet},
};

/// Parts that a peer is known to hold, the newest.
const MAX_HAS: usize = 1024;
/// Parts that a peer wants and that are not here yet.
pub(super) const MAX_WANTS: usize = 256;
/// Parts that a peer was given and has not acknowledged.
const MAX_GIVEN: usize = 64;
/// A peer's round trip before it was measured.
const ROUND_TRIP: Micros = 60_000;
/// So long after it came a viewer may know nobody else yet.
const ACQUAINTED: Micros = 2_000_000;
/// Bytes a second that a peer gives or takes before it was measured.
const RATE: f64 = 250_000.0;
/// Bytes on the way to a peer before anything is known of it.
const FIRST_BYTES: f64 = 64.0 * 1024.0;
/// Bytes on the way to or from one peer, whatever it is worth.
const MOST_BYTES: f64 = 1024.0 * 1024.0;
/// Who has not acknowledged a part for three times as long as it usually takes is given no more, within these bounds; three
/// round trips are added to the longest. One that takes very long counts as at most twice the usual.
const OVERDUE: (Micros, Micros) = (100_000, 300_000);
const USUALLY: f64 = 3.0;
const AT_MOST: f64 = 2.0;
/// What was given and not acknowledged for so long is not reckoned to be on its way: who is gone does not hold up others.
const OWES: Micros = 1_000_000;
/// What was given and not acknowledged for so long never will be.
pub(super) const LOST: Micros = 4_000_000;
/// Announcements that a peer may repeat, and how long it may send old ones after it was asked for a manifest.
const REPEATS: u32 = 4;
const HISTORY: Micros = 10_000_000;
/// Who has announced nothing for so long tells nothing: seven parts' time.
const TELLS: Micros = 1_500_000;
/// Messages a second that cost something to answer or verify, and so many at once.
const COSTLY: (f64, f64) = (60.0, 120.0);

/// A part on its way from a peer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Coming {
    pub(super) place: Place,
    /// When its first bytes came, and how many.
    pub(super) first: (Micros, usize),
    /// When its last bytes came, and how many there are by now.
    pub(super) last: (Micros, usize),
}

/// A part on its way to a peer.
#[derive(Clone, Copy, Debug)]
struct Given {
    size: usize,
    at: Micros,
    pushed: bool,
    left: bool,
}

/// What a peer's word of a part means for what it was given.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Settled {
    /// Nothing of it.
    NotGiven,
    /// It has not left, and can be taken back.
    TakenBack,
    /// So many bytes are there.
    Came(usize),
}

#[derive(Debug)]
pub(super) struct Peer {
    pub(super) kind: Kind,
    /// When it was linked.
    pub(super) since: Micros,
    pub(super) join: Option<Join>,
    pub(super) has: SortedSet<Place>,
    /// What it wants and is not here yet.
    pub(super) wants: SortedSet<Place>,
    /// What it asked not to be given.
    pub(super) spared: SortedSet<Place>,
    pub(super) coming: Option<Coming>,
    /// Bytes it was asked for.
    pub(super) asked: usize,
    given: SortedMap<Place, Given>,
    /// When it last acknowledged something.
    acknowledged: Micros,
    round_trip: Option<Micros>,
    rate_in: Option<f64>,
    rate_out: Option<f64>,
    /// How long it takes lately until it acknowledges a part, microseconds.
    acknowledges: Option<f64>,
    /// Share of what it was asked for lately that did not come in time.
    pub(super) failures: f64,
    /// It had too much to give: it is not asked before.
    pub(super) busy_until: Micros,
    pub(super) strikes: u32,
    /// The newest announcement that it sent, (epoch, sequence), and how often it went back behind it.
    announced: (u64, u64),
    announced_at: Option<Micros>,
    repeats: u32,
    /// It was asked to tell what is new; not asked again before.
    pub(super) teller: Option<Teller>,
    pub(super) unfit_until: Micros,
    /// It asked to be told what is new. Gateway: it is told whatever it asked, so that it tells others.
    pub(super) is_told: bool,
    pub(super) is_root: bool,
    /// The newest announcement that it was told, (epoch, sequence).
    pub(super) told_to: (u64, u64),
    /// When it was last asked for a manifest: what it sends then may be old.
    pub(super) asked_manifest: Option<Micros>,
    pub(super) costly: Bucket,
    /// What is here, to be told soon; and when it was last told that, of a gateway.
    pub(super) news: Vec<Place>,
    pub(super) reported: Micros,
    /// Renditions of which it was told what is here.
    pub(super) told: u16,
    /// Parts that wait to be given to it.
    pub(super) queued: usize,
    /// It lost something, and waits for a manifest.
    pub(super) lost: bool,
    pub(super) manifest_at: Option<Micros>,
    pub(super) neighbours_at: Option<Micros>,
    /// It is to name others: it was just linked, or was asked for some.
    pub(super) owes_names: bool,
    /// Gateway: it was told of others that can give as much as it.
    pub(super) is_invited: bool,
    /// Gateway: what it seeded, bytes; seeds it missed in a row; not asked again before.
    pub(super) seeded: u64,
    pub(super) missed: u32,
    pub(super) rests_until: Micros,
    pub(super) bytes_in: u64,
    pub(super) bytes_out: u64,
}

impl Peer {
    pub(super) fn new(kind: Kind, now: Micros) -> Self {
        Self {
            kind,
            since: now,
            join: None,
            has: SortedSet::new(),
            wants: SortedSet::new(),
            spared: SortedSet::new(),
            coming: None,
            asked: 0,
            given: SortedMap::new(),
            acknowledged: now,
            round_trip: None,
            rate_in: None,
            rate_out: None,
            acknowledges: None,
            failures: 0.0,
            busy_until: 0,
            strikes: 0,
            announced: (0, 0),
            announced_at: None,
            repeats: 0,
            teller: None,
            unfit_until: 0,
            is_told: false,
            is_root: false,
            told_to: (0, 0),
            asked_manifest: None,
            costly: Bucket::new(COSTLY.0, COSTLY.1, now),
            news: Vec::new(),
            reported: 0,
            told: 0,
            queued: 0,
            lost: false,
            manifest_at: None,
            neighbours_at: None,
            owes_names: true,
            is_invited: false,
            seeded: 0,
            missed: 0,
            rests_until: 0,
            bytes_in: 0,
            bytes_out: 0,
        }
    }

    pub(super) fn is_viewer(&self) -> bool {
        self.kind == Kind::Viewer
    }

    /// When it was linked.
    pub(super) fn since(&self) -> Micros {
        self.since
    }

    /// Whether it has hardly had the time to be linked to others as well.
    pub(super) fn is_new(&self, now: Micros) -> bool {
        now < self.since + ACQUAINTED
    }

    /// Whether it gives parts to others.
    pub(super) fn shares(&self) -> bool {
        self.join.is_some_and(|join| join.upload > 0)
    }

    /// Where it is; 0: it does not say.
    pub(super) fn site(&self) -> u32 {
        self.join.map_or(0, |join| join.site)
    }

    /// Whether it wants the parts of this rendition as they appear.
    pub(super) fn follows(&self, rendition: u8) -> bool {
        self.join
            .is_some_and(|join| join.renditions >> rendition & 1 == 1)
    }

    pub(super) fn round_trip(&self) -> Micros {
        self.round_trip.unwrap_or(ROUND_TRIP)
    }

    pub(super) fn measured_round_trip(&self) -> Option<Micros> {
        self.round_trip
    }

    pub(super) fn take_round_trip(&mut self, micros: Micros) {
        let micros = micros.min(10_000_000);
        self.round_trip = Some(
            self.round_trip
                .map_or(micros, |known| (known * 3 + micros) / 4),
        );
    }

    /// False if that was known.
    pub(super) fn learn_has(&mut self, place: Place) -> bool {
        let is_news = self.has.insert(place);
        if self.has.len() > MAX_HAS {
            self.has.pop_first();
        }
        is_news
    }

    /// It sent a genuine announcement, the newest that there is or an older one. False if it sent it, or a later one, before,
    /// and too often so.
    pub(super) fn announces(&mut self, at: (u64, u64), newest: bool, now: Micros) -> bool {
        let asked = self.asked_manifest.is_some_and(|at| now < at + HISTORY);
        if at <= self.announced && !asked {
            self.repeats += 1;
        }
        if at > self.announced {
            self.announced = at;
            if newest {
                self.announced_at = Some(now);
            }
        }
        self.repeats < REPEATS
    }

    /// Whether it sent this announcement, or a later one.
    pub(super) fn has_told(&self, at: (u64, u64)) -> bool {
        self.announced >= at
    }

    /// Whether it goes on telling what is new: what it sent last is no older than this.
    pub(super) fn tells(&self, now: Micros) -> bool {
        self.announced_at.is_some_and(|at| now < at + TELLS)
    }

    /// It asked not to be given this.
    pub(super) fn spare(&mut self, place: Place) {
        self.spared.insert(place);
        if self.spared.len() > MAX_WANTS {
            self.spared.pop_first();
        }
    }

    /// Forgets what the window has left behind.
    pub(super) fn forget_before(&mut self, msn: u64) {
        for set in [&mut self.has, &mut self.wants, &mut self.spared] {
            set.remove_while(|place| place.msn < msn);
        }
    }

    // --- what comes from it ---

    /// When a part of `size` bytes that is asked for now is likely to be here: microseconds from now.
    pub(super) fn expects(&self, size: usize) -> Micros {
        let bytes = (self.asked + size) as f64;
        self.round_trip() + (bytes / self.rate_in() * 1e6) as Micros
    }

    /// Bytes a second that it gives: as it came, or as it says.
    fn rate_in(&self) -> f64 {
        let says = f64::from(self.upload()).max(1000.0);
        self.rate_in
            .unwrap_or(if self.is_viewer() { says } else { RATE })
    }

    /// How long it takes to send so much, microseconds.
    pub(super) fn takes(&self, bytes: usize) -> Micros {
        (bytes as f64 / self.rate_in() * 1e6) as Micros
    }

    /// Whether it may be asked for `size` bytes more: about half a second's worth, or one part.
    pub(super) fn may_be_asked(&self, size: usize) -> bool {
        let most = self
            .rate_in
            .map_or(FIRST_BYTES, |rate| (rate / 2.0).min(MOST_BYTES));
        self.asked == 0 || (self.asked + size) as f64 <= most
    }

    /// `bytes` took so long to come.
    pub(super) fn measure_in(&mut self, bytes: usize, micros: Micros) {
        measure(&mut self.rate_in, bytes, micros);
    }

    pub(super) fn answered(&mut self, well: bool) {
        self.failures = self.failures * 0.8 + if well { 0.0 } else { 0.2 };
    }

    // --- what goes to it ---

    /// Whether `size` bytes more may be on the way to it: as much as it takes in a round trip and 150 ms, or one part.
    /// Nothing more as long as it owes an answer for longer than usual: a link that narrows is not to be filled with
    /// what comes too late.
    pub(super) fn has_room(&self, size: usize, now: Micros) -> bool {
        let patience = self.patience();
        if self.given.values().any(|given| now > given.at + patience) {
            return false;
        }
        let on_the_way: usize = self.given.values().map(|given| given.size).sum();
        let most = self.rate_out.map_or(FIRST_BYTES, |rate| {
            (rate * (self.round_trip() + 150_000) as f64 / 1e6).min(MOST_BYTES)
        });
        self.given.is_empty()
            || (self.given.len() < MAX_GIVEN && (on_the_way + size) as f64 <= most)
    }

    /// How long an acknowledgement is waited for before nothing more is given.
    fn patience(&self) -> Micros {
        let longest = OVERDUE.1 + 3 * self.round_trip();
        let usual = self.acknowledges.map(|usual| (USUALLY * usual) as Micros);
        usual.map_or(longest, |usual| usual.clamp(OVERDUE.0, longest))
    }

    /// When it is likely to say that it has a part of `size` bytes that is given now: microseconds from now.
    pub(super) fn reaches(&self, size: usize) -> Micros {
        let bytes: usize = size + self.given.values().map(|given| given.size).sum::<usize>();
        self.round_trip() + (bytes as f64 / self.rate_out.unwrap_or(RATE) * 1e6) as Micros
    }

    /// Bytes that were given to it lately and not acknowledged.
    pub(super) fn on_its_way(&self, now: Micros) -> usize {
        let given = self.given.values().filter(|given| now < given.at + OWES);
        given.map(|given| given.size).sum()
    }

    /// Bytes that were given to it and have not left.
    pub(super) fn unsent(&self) -> usize {
        let unsent = self.given.values().filter(|given| !given.left);
        unsent.map(|given| given.size).sum()
    }

    /// What it says that it can give, bytes per second.
    pub(super) fn upload(&self) -> u32 {
        self.join.map_or(0, |join| join.upload)
    }

    pub(super) fn is_given(&self, place: Place) -> bool {
        self.given.contains_key(&place)
    }

    pub(super) fn give(&mut self, place: Place, size: usize, pushed: bool, now: Micros) {
        let given = Given {
            size,
            at: now,
            pushed,
            left: false,
        };
        self.given.insert(place, given);
    }

    /// Takes back what was pushed of these renditions and has not left.
    pub(super) fn take_back_pushed(&mut self, renditions: u16) -> Vec<Place> {
        let of = |place: &Place| renditions >> place.rendition & 1 == 1;
        let waiting = self.given.iter();
        let waiting = waiting.filter(|(place, given)| given.pushed && !given.left && of(place));
        let waiting: Vec<Place> = waiting.map(|(place, _)| *place).collect();
        for place in &waiting {
            self.given.remove(place);
        }
        waiting
    }

    /// It has left; true if it was on the way.
    pub(super) fn left(&mut self, place: Place) -> bool {
        let given = self.given.get_mut(&place);
        given.is_some_and(|given| !std::mem::replace(&mut given.left, true))
    }

    /// The peer has it, or no longer wants it.
    pub(super) fn settle(&mut self, place: Place, now: Micros) -> Settled {
        let Some(given) = self.given.remove(&place) else {
            return Settled::NotGiven;
        };
        let since = given.at.max(self.acknowledged);
        self.acknowledged = now;
        if !given.left {
            return Settled::TakenBack;
        }
        let took = now.saturating_sub(given.at) as f64;
        let usual = self.acknowledges.unwrap_or(took);
        let took = took.min(AT_MOST * usual.max(OVERDUE.0 as f64 / USUALLY));
        self.acknowledges = Some(usual + (took - usual) * 0.2);
        measure(&mut self.rate_out, given.size, now.saturating_sub(since));
        Settled::Came(given.size)
    }

    /// What it never acknowledged no longer counts, and tells that it is slow.
    pub(super) fn forget_lost(&mut self, now: Micros) {
        let before = self.given.len();
        self.given.retain(|_, given| given.at + LOST > now);
        if self.given.len() < before {
            self.rate_out = Some(self.rate_out.unwrap_or(RATE) / 2.0);
        }
    }

    pub(super) fn next_lost(&self) -> Option<Micros> {
        self.given.values().map(|given| given.at + LOST).min()
    }
}

/// Takes a measure into a mean that follows within a few parts. What took less than a millisecond says nothing.
fn measure(rate: &mut Option<f64>, bytes: usize, micros: Micros) {
    if micros >= 1000 {
        let now = bytes as f64 / micros as f64 * 1e6;
        *rate = Some(rate.map_or(now, |known| known * 0.7 + now * 0.3));
    }
}
