//! What a hop's SCTP does, packet by packet: one direction of an association between two browsers, with both its ends. As
//! dcSCTP has it, which is Chromium's: what it sends at once and at most, how its window grows and shrinks, when it takes a
//! packet for lost, and when its other end says what came. `tests/bench/hop.mjs` holds it to two real browsers.

mod receive;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use crate::scheduler::{Micros, random::Random};

/// Bytes of a packet without what is below SCTP, and of media in it; what lies below (IP, UDP, DTLS).
const MTU: usize = 1191;
const PAYLOAD: usize = 1160;
const HEADER: usize = 28;
const BELOW: usize = 65;
/// Windows in packets: the first, and the least after a loss.
const FIRST_WINDOW: usize = 10;
const LEAST_WINDOW: usize = 4;
/// What remains of a window below this is used for less than a packet.
const FRAGMENTS_BELOW: usize = 6;
/// Packets that leave at once: when something is given to be sent, and when an acknowledgement came.
const BURST: usize = 4;
/// So many acknowledgements of what was sent behind it, and it is sent again.
const MISSED: u8 = 3;
/// Time-out of what nothing tells of: before anything was measured, at the least, at the most; what is added to the round trip
/// at the least.
const TIMEOUT: (Micros, Micros, Micros) = (500_000, 400_000, 60_000_000);
const VARIANCE: f64 = 220_000.0;
/// An acknowledgement waits for a second packet so long at most, or half the time-out. Fitted: 200 ms is what its settings are
/// said to have, and makes the slowest parts a tenth slower than two browsers are.
const ACKNOWLEDGES: Micros = 20_000;
/// Its window smaller than so many packets, a sender asks for an acknowledgement at once.
const AT_ONCE_BELOW: usize = 2;

/// Streams of an association: parts and messages.
pub(super) const STREAMS: usize = 2;

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    OnItsWay,
    /// To be sent again.
    Lost,
    Acknowledged,
}

#[derive(Debug)]
struct Packet {
    bytes: usize,
    state: State,
    missed: u8,
    sent: Micros,
    again: bool,
    stream: usize,
    /// It is the last of what was given.
    ends: bool,
    /// At the other end.
    here: bool,
}

/// An acknowledgement: all before this came, and of those behind these.
#[derive(Debug)]
struct Sack {
    at: Micros,
    before: u64,
    others: Vec<u64>,
}

/// What a direction of an association does.
#[derive(Debug)]
pub(super) struct Sctp {
    way: Micros,
    loss: f64,
    // --- who sends ---
    /// Of each stream what was given to be sent, bytes: it is whole at the other end when its last packet and those of its
    /// stream before it are there.
    streams: [VecDeque<usize>; STREAMS],
    /// The stream whose unit has begun to leave, and how far it has.
    begun: Option<(usize, usize)>,
    turn: usize,
    /// Bytes given and not sent yet.
    waiting: usize,
    next: u64,
    /// The first that is not acknowledged with all before it, and those behind.
    first: u64,
    packets: VecDeque<Packet>,
    lost: usize,
    /// One of those is sent whatever the window says.
    at_once: bool,
    /// Bytes on their way, as far as is known.
    outstanding: usize,
    window: usize,
    threshold: usize,
    acknowledged: usize,
    /// What was lost is being sent again until this is acknowledged.
    recovers: Option<u64>,
    round_trip: Option<(f64, f64)>,
    timeout: Micros,
    /// How often it passed in a row.
    expired: u32,
    expires: Option<Micros>,
    // --- on their way, in order ---
    data: VecDeque<(Micros, u64, bool)>,
    sacks: VecDeque<Sack>,
    // --- who receives ---
    /// All before came; nothing behind is lost to it until then.
    whole: u64,
    /// Packets that came behind one that is missing.
    beyond: usize,
    /// Packets that came and were not acknowledged.
    unsaid: usize,
    says: Option<Micros>,
    /// How much of what was given is whole and was not taken.
    whole_here: [usize; STREAMS],
}

/// Sends so many bytes by the uplink: when they have left.
pub(super) type Uplink<'a> = &'a mut dyn FnMut(usize) -> Micros;

impl Sctp {
    /// `way`: microseconds to the other end and back from it, each; `loss`: share of the packets, each way.
    pub(super) fn new(way: Micros, loss: f64) -> Self {
        Self {
            way,
            loss,
            streams: Default::default(),
            begun: None,
            turn: 0,
            waiting: 0,
            next: 0,
            first: 0,
            packets: VecDeque::new(),
            lost: 0,
            at_once: false,
            outstanding: 0,
            window: FIRST_WINDOW * MTU,
            threshold: usize::MAX,
            acknowledged: 0,
            recovers: None,
            round_trip: None,
            timeout: TIMEOUT.0,
            expired: 0,
            expires: None,
            data: VecDeque::new(),
            sacks: VecDeque::new(),
            whole: 0,
            beyond: 0,
            unsaid: 0,
            says: None,
            whole_here: [0; STREAMS],
        }
    }

    /// Gives it something to send.
    pub(super) fn give(
        &mut self,
        stream: usize,
        bytes: usize,
        now: Micros,
        random: &mut Random,
        uplink: Uplink<'_>,
    ) {
        self.waiting += bytes;
        self.streams[stream].push_back(bytes);
        self.send(now, random, uplink);
    }

    /// When something happens next.
    pub(super) fn next_at(&self) -> Option<Micros> {
        let data = self.data.front().map(|(at, ..)| *at);
        let sack = self.sacks.front().map(|sack| sack.at);
        [data, sack, self.expires, self.says]
            .into_iter()
            .flatten()
            .min()
    }

    /// Bytes that were given and have not begun to leave.
    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    /// How many more of what was given to a stream are whole at the other end, in their order.
    pub(super) fn take_whole(&mut self, stream: usize) -> usize {
        std::mem::take(&mut self.whole_here[stream])
    }

    /// Nobody is at the other end any more.
    pub(super) fn cut(&mut self) {
        self.loss = 1.0;
        self.data.clear();
    }

    /// Does what is due.
    pub(super) fn pass(&mut self, now: Micros, random: &mut Random, uplink: Uplink<'_>) {
        while let Some((_, number, at_once)) = self.data.pop_front_if(|(at, ..)| *at <= now) {
            self.arrives(number, at_once, now, random);
        }
        if self.says.is_some_and(|at| at <= now) {
            self.acknowledge(now, random);
        }
        while let Some(sack) = self.sacks.pop_front_if(|sack| sack.at <= now) {
            self.hear(&sack, now);
            self.send(now, random, uplink);
        }
        if self.expires.is_some_and(|at| at <= now) {
            self.expire(now);
            self.send(now, random, uplink);
        }
    }

    // --- who sends ---

    fn send(&mut self, now: Micros, random: &mut Random, uplink: Uplink<'_>) {
        for _ in 0..BURST {
            let room = self.window.saturating_sub(self.outstanding);
            let room = if self.outstanding == 0 {
                room.max(MTU)
            } else {
                room
            };
            let at = match self.first_lost() {
                Some(at) if self.at_once || self.packets[at].bytes + HEADER <= room => at,
                Some(_) => break,
                None => match self.begin(room) {
                    Some(at) => at,
                    None => break,
                },
            };
            self.at_once = false;
            self.transmit(at, now, random, uplink);
        }
    }

    fn first_lost(&self) -> Option<usize> {
        let mut packets = self.packets.iter();
        let lost = |packet: &Packet| packet.state == State::Lost;
        (self.lost > 0).then(|| packets.position(lost)).flatten()
    }

    /// Makes the next packet of what waits, if the window has room for it.
    fn begin(&mut self, room: usize) -> Option<usize> {
        let (stream, left) = match self.begun {
            Some(begun) => begun,
            None => {
                let next = (1..=STREAMS).map(|step| (self.turn + step) % STREAMS);
                let stream = next
                    .into_iter()
                    .find(|stream| !self.streams[*stream].is_empty())?;
                self.turn = stream;
                (stream, 0)
            }
        };
        let given = *self.streams[stream].front()?;
        let bytes = (given - left).min(PAYLOAD);
        let whole = bytes + HEADER <= room;
        if !whole && (self.window > FRAGMENTS_BELOW * MTU || room <= HEADER) {
            return None;
        }
        let bytes = bytes.min(room - HEADER);
        let left = left + bytes;
        let ends = left == given;
        self.begun = (!ends).then_some((stream, left));
        if ends {
            self.streams[stream].pop_front();
        }
        self.waiting -= bytes;
        self.next += 1;
        self.lost += 1;
        self.packets.push_back(Packet {
            bytes,
            state: State::Lost,
            missed: 0,
            sent: 0,
            again: false,
            stream,
            ends,
            here: false,
        });
        Some(self.packets.len() - 1)
    }

    fn transmit(&mut self, at: usize, now: Micros, random: &mut Random, uplink: Uplink<'_>) {
        let packet = &mut self.packets[at];
        packet.again = packet.sent > 0;
        self.lost -= 1;
        packet.state = State::OnItsWay;
        packet.missed = 0;
        packet.sent = now.max(1);
        self.outstanding += packet.bytes + HEADER;
        let left = uplink(packet.bytes + HEADER + BELOW);
        if random.unit() >= self.loss {
            let at_once = self.window < AT_ONCE_BELOW * MTU;
            let number = self.first + at as u64;
            self.data.push_back((left + self.way, number, at_once));
        }
        self.expires.get_or_insert(now + self.waits());
    }

    /// How long is waited for any acknowledgement.
    fn waits(&self) -> Micros {
        (self.timeout << self.expired.min(16)).min(TIMEOUT.2)
    }

    fn hear(&mut self, sack: &Sack, now: Micros) {
        if sack.before < self.first {
            return;
        }
        let before = self.outstanding;
        let advances = sack.before > self.first;
        let mut highest = None;
        let mut acknowledged = 0;
        while self.first < sack.before {
            let Some(packet) = self.packets.pop_front() else {
                break;
            };
            self.leave(packet.state, packet.bytes);
            if packet.state != State::Acknowledged {
                acknowledged += packet.bytes + HEADER;
                highest = Some(self.first);
            }
            self.first += 1;
            if !packet.again && self.first == sack.before {
                self.measure(now - packet.sent);
            }
        }
        for number in &sack.others {
            let packet = number.checked_sub(self.first);
            let Some(packet) = packet.and_then(|at| self.packets.get_mut(at as usize)) else {
                continue;
            };
            let (state, bytes) = (packet.state, packet.bytes);
            if state == State::Acknowledged {
                continue;
            }
            packet.state = State::Acknowledged;
            self.leave(state, bytes);
            acknowledged += bytes + HEADER;
            highest = highest.max(Some(*number));
        }
        if self.recovers.is_some_and(|until| sack.before > until) {
            self.recovers = None;
        }
        // Those before the newest that is acknowledged now were missed; while it recovers, all before any that came.
        let until = match (self.recovers, advances) {
            (Some(_), true) => sack.others.last().copied(),
            _ => highest,
        };
        let lost = until.is_some_and(|until| self.miss(until));
        if advances {
            self.expires = None;
            self.expired = 0;
            if self.recovers.is_none() {
                self.widen(before, acknowledged);
            }
        }
        if lost && self.recovers.is_none() {
            self.threshold = (self.window / 2).max(LEAST_WINDOW * MTU);
            self.window = self.threshold;
            self.acknowledged = 0;
            self.recovers = Some(self.next - 1);
            self.at_once = true;
            self.expires = None;
        }
        if self.packets.iter().all(|p| p.state == State::Acknowledged) {
            self.expires = None;
        } else if self.expires.is_none() {
            self.expires = Some(now + self.waits());
        }
    }

    /// A packet in this state is neither on its way nor lost any more.
    fn leave(&mut self, state: State, bytes: usize) {
        match state {
            State::OnItsWay => self.outstanding -= bytes + HEADER,
            State::Lost => self.lost -= 1,
            State::Acknowledged => {}
        }
    }

    /// Those on their way before this one were missed once more; whether one of them is lost now.
    fn miss(&mut self, until: u64) -> bool {
        let mut lost = false;
        let count = until.saturating_sub(self.first) as usize;
        for packet in self.packets.iter_mut().take(count) {
            if packet.state != State::OnItsWay {
                continue;
            }
            packet.missed += 1;
            if packet.missed >= MISSED {
                packet.state = State::Lost;
                self.outstanding -= packet.bytes + HEADER;
                self.lost += 1;
                lost = true;
            }
        }
        lost
    }

    /// What was acknowledged widens a window that was full.
    fn widen(&mut self, outstanding: usize, acknowledged: usize) {
        let full = outstanding + MTU >= self.window;
        if self.window <= self.threshold {
            if full {
                self.window += acknowledged.min(MTU);
            }
            return;
        }
        self.acknowledged += acknowledged;
        if self.acknowledged >= self.window && full {
            self.acknowledged -= self.window;
            self.window += MTU;
        }
    }

    fn measure(&mut self, took: Micros) {
        let took = took as f64;
        let (mean, variance) = match self.round_trip {
            None => (took, took / 2.0),
            Some((mean, variance)) => (
                mean + (took - mean) / 8.0,
                variance + ((took - mean).abs() - variance) / 4.0,
            ),
        };
        let variance = variance.max(VARIANCE / 4.0);
        self.round_trip = Some((mean, variance));
        self.timeout = ((mean + 4.0 * variance) as Micros).clamp(TIMEOUT.1, TIMEOUT.2);
    }

    /// Nothing was heard for too long: all of it is sent again, slowly at first.
    fn expire(&mut self, now: Micros) {
        self.threshold = (self.window / 2).max(LEAST_WINDOW * MTU);
        self.window = MTU;
        self.acknowledged = 0;
        for packet in &mut self.packets {
            if packet.state == State::OnItsWay {
                packet.state = State::Lost;
                self.outstanding -= packet.bytes + HEADER;
                self.lost += 1;
            }
        }
        self.expired += 1;
        self.expires = (self.lost > 0).then(|| now + self.waits());
    }
}
