//! What each peer wants of us, and what it gets when: purely, one input after the other.
//!
//! A want is looked for at once. What is here is sent, what is not stays wanted until it is cancelled, and is sent in
//! the moment in which it is stored.
//!
//! Bounds, all with a test: wants of a peer ([`MAX_WANTS`], fewer where there are many peers), searches under way for a
//! peer ([`MAX_LOOKS`]), bytes on their way to it ([`MAX_PEER_BYTES`], and its share of [`MAX_BYTES`]), answers that wait
//! ([`MAX_PRESENCES`]), and how long it may take nothing of what it wanted ([`STALL`]).

use std::{
    collections::{BTreeMap, HashMap},
    time::{Duration, Instant},
};

use bytes::Bytes;
use cid::{Cid, multihash::Multihash};
use libp2p::PeerId;

use super::message::{Entry, Message};

/// Wants of one peer; Kubo keeps as many. What is wanted beyond them is "not here", or not answered.
pub(super) const MAX_WANTS: usize = 1024;
/// Where there are many peers each has its share of this many wants, and never fewer than [`MIN_WANTS`].
const ALL_WANTS: usize = 64 * MAX_WANTS;
const MIN_WANTS: usize = 64;
/// Blocks that are being looked for on behalf of one peer.
pub(super) const MAX_LOOKS: usize = 8;
/// What a block that is looked for is taken to have: a part of 8 Mbit/s.
const USUAL_BLOCK_BYTES: usize = 256 << 10;
/// Bytes on their way to one peer, and to all together; above, only who has none on the way gets one block.
pub(super) const MAX_PEER_BYTES: usize = 2 << 20;
const MAX_BYTES: usize = 64 << 20;
/// Answers "here" and "not here" that wait for one peer; beyond them nothing more is looked for.
pub(super) const MAX_PRESENCES: usize = 2 * MAX_WANTS;
/// Answers wait until so many are together, or nothing is looked for any more.
const PRESENCES_TOGETHER: usize = 256;
/// Who takes nothing of what it wanted for so long is let go.
pub(super) const STALL: Duration = Duration::from_secs(20);

/// What happened.
#[derive(Debug)]
pub(super) enum Input {
    /// A peer said what it wants, or does not want any more. `full`: nothing else than this.
    Wants {
        peer: PeerId,
        entries: Vec<Entry>,
        full: bool,
    },
    /// The answer to [`Output::Look`].
    Looked {
        peer: PeerId,
        cid: Cid,
        found: Found,
    },
    /// This block is stored now.
    Stored(Cid),
    /// It is not known what was stored meanwhile.
    Missed,
    /// So many bytes of what was to be sent have left.
    Sent { peer: PeerId, bytes: usize },
    /// All connections to it have ended.
    Gone(PeerId),
    /// Time passed.
    Tick,
}

/// What a search led to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// It is not stored here.
    Absent,
    /// It is; its bytes were not asked for.
    Here,
    /// Its bytes.
    Block(Bytes),
}

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Output {
    /// Look for a block; `bytes`: read it, else only see whether it is there.
    Look { peer: PeerId, cid: Cid, bytes: bool },
    /// Send this; `bytes` long, to be told by [`Input::Sent`].
    Send {
        peer: PeerId,
        message: Message,
        bytes: Bytes,
    },
    /// It takes nothing any more: end its connections.
    Drop(PeerId),
}

/// Blocks are stored by their hashes, whatever form of name a peer has for them.
type Key = Multihash<64>;

/// All peers that want something.
#[derive(Default)]
pub(super) struct Ledger {
    accounts: HashMap<PeerId, Account>,
    /// Who wants what, in which form of name.
    wanted: HashMap<Key, Vec<(PeerId, Cid)>>,
    next: u64,
    outputs: Vec<Output>,
}

#[derive(Default)]
struct Account {
    wants: HashMap<Cid, Want>,
    /// To be looked for, in this order: what was just stored first, else as it was wanted. (Peers' priorities fall in
    /// the order in which they ask.)
    todo: BTreeMap<Turn, Cid>,
    looks: usize,
    presences: Vec<(Cid, bool)>,
    in_flight: usize,
    /// When it last took something, where something is on its way.
    moved: Option<Instant>,
}

/// Sorts what is not just stored behind what is.
type Turn = (bool, u64);

struct Want {
    have: bool,
    tell_absent: bool,
    state: State,
}

enum State {
    Todo(Turn),
    /// `again`: it was stored meanwhile.
    Looking {
        again: bool,
    },
    /// It is not here.
    Waiting,
}

impl Ledger {
    /// Takes what happened, and says what is to be done.
    pub(super) fn handle(&mut self, input: Input, now: Instant) -> Vec<Output> {
        match input {
            Input::Wants {
                peer,
                entries,
                full,
            } => self.wants(peer, entries, full, now),
            Input::Looked { peer, cid, found } => self.looked(peer, cid, found, now),
            Input::Stored(cid) => self.stored(cid.hash(), now),
            Input::Missed => self.missed(now),
            Input::Sent { peer, bytes } => {
                if let Some(account) = self.accounts.get_mut(&peer) {
                    account.in_flight = account.in_flight.saturating_sub(bytes);
                    account.moved = (account.in_flight > 0).then_some(now);
                    self.go_on(peer, now);
                }
            }
            Input::Gone(peer) => self.forget(peer),
            Input::Tick => {
                let stalled = |account: &Account| {
                    (account.moved).is_some_and(|moved| now.duration_since(moved) >= STALL)
                };
                let accounts = self.accounts.iter();
                let stalled = accounts.filter(|(_, account)| stalled(account));
                let stalled: Vec<_> = stalled.map(|(peer, _)| *peer).collect();
                for peer in stalled {
                    self.forget(peer);
                    self.outputs.push(Output::Drop(peer));
                }
            }
        }
        std::mem::take(&mut self.outputs)
    }

    /// Whether a peer waits for something.
    pub(super) fn serves(&self, peer: &PeerId) -> bool {
        self.accounts.contains_key(peer)
    }

    fn wants(&mut self, peer: PeerId, entries: Vec<Entry>, full: bool, now: Instant) {
        if full {
            self.cancel_all(peer);
        }
        for entry in entries {
            if entry.cancel {
                self.cancel(peer, &entry.cid);
            } else {
                self.want(peer, entry);
            }
        }
        self.go_on(peer, now);
    }

    fn want(&mut self, peer: PeerId, entry: Entry) {
        let most = (ALL_WANTS / self.accounts.len().max(1)).clamp(MIN_WANTS, MAX_WANTS);
        let account = self.accounts.entry(peer).or_default();
        let cid = entry.cid;
        if let Some(want) = account.wants.get_mut(&cid) {
            // Who wants the bytes wants more than who asks whether they are there.
            want.have &= entry.have;
            want.tell_absent |= entry.tell_absent;
            if matches!(want.state, State::Waiting) {
                let turn = turn(&mut self.next, false);
                want.state = State::Todo(turn);
                account.todo.insert(turn, cid);
            }
            return;
        }
        if account.wants.len() >= most {
            if entry.tell_absent && account.presences.len() < MAX_PRESENCES {
                account.presences.push((cid, false));
            }
            return;
        }
        let turn = turn(&mut self.next, false);
        let want = Want {
            have: entry.have,
            tell_absent: entry.tell_absent,
            state: State::Todo(turn),
        };
        account.wants.insert(cid, want);
        account.todo.insert(turn, cid);
        let wanted = self.wanted.entry(*cid.hash()).or_default();
        wanted.push((peer, cid));
    }

    /// It is not wanted any more: cancelled, or given.
    fn cancel(&mut self, peer: PeerId, cid: &Cid) {
        let Some(account) = self.accounts.get_mut(&peer) else {
            return;
        };
        let Some(want) = account.wants.remove(cid) else {
            return;
        };
        if let State::Todo(turn) = want.state {
            account.todo.remove(&turn);
        }
        unlist(&mut self.wanted, peer, cid);
    }

    fn cancel_all(&mut self, peer: PeerId) {
        if let Some(account) = self.accounts.get_mut(&peer) {
            account.todo.clear();
            for (cid, _) in account.wants.drain() {
                unlist(&mut self.wanted, peer, &cid);
            }
        }
    }

    fn forget(&mut self, peer: PeerId) {
        self.cancel_all(peer);
        self.accounts.remove(&peer);
    }

    fn looked(&mut self, peer: PeerId, cid: Cid, found: Found, now: Instant) {
        let Some(account) = self.accounts.get_mut(&peer) else {
            return;
        };
        account.looks = account.looks.saturating_sub(1);
        if let Some(want) = account.wants.get_mut(&cid) {
            match (found, &want.state) {
                (Found::Block(_) | Found::Here, _) if want.have => {
                    account.presences.push((cid, true));
                    self.cancel(peer, &cid);
                }
                (Found::Block(block), _) => {
                    self.cancel(peer, &cid);
                    let message = Message {
                        blocks: vec![(cid, block)],
                        ..Message::default()
                    };
                    self.send(peer, message, now);
                }
                (_, State::Todo(_)) => {} // wanted anew meanwhile: it has its turn
                (Found::Absent, State::Looking { again: false } | State::Waiting) => {
                    want.state = State::Waiting;
                    if want.tell_absent {
                        account.presences.push((cid, false));
                    }
                }
                // Stored meanwhile; or its bytes are wanted by now.
                (_, State::Looking { .. } | State::Waiting) => {
                    let turn = turn(&mut self.next, true);
                    want.state = State::Todo(turn);
                    account.todo.insert(turn, cid);
                }
            }
        }
        self.go_on(peer, now);
    }

    fn stored(&mut self, key: &Key, now: Instant) {
        let Some(wanted) = self.wanted.get(key) else {
            return;
        };
        for (peer, cid) in wanted.clone() {
            if let Some(account) = self.accounts.get_mut(&peer)
                && let Some(want) = account.wants.get_mut(&cid)
            {
                match &mut want.state {
                    State::Todo(_) => {}
                    State::Looking { again } => *again = true,
                    State::Waiting => {
                        let turn = turn(&mut self.next, true);
                        want.state = State::Todo(turn);
                        account.todo.insert(turn, cid);
                    }
                }
            }
            self.go_on(peer, now);
        }
    }

    fn missed(&mut self, now: Instant) {
        let keys: Vec<_> = self.wanted.keys().copied().collect();
        for key in keys {
            self.stored(&key, now);
        }
    }

    fn send(&mut self, peer: PeerId, message: Message, now: Instant) {
        let Some(account) = self.accounts.get_mut(&peer) else {
            return;
        };
        let bytes = message.encode();
        account.in_flight += bytes.len();
        account.moved.get_or_insert(now);
        self.outputs.push(Output::Send {
            peer,
            message,
            bytes,
        });
    }

    /// Looks for what is next, sends the answers that are together, and closes an account that is settled.
    fn go_on(&mut self, peer: PeerId, now: Instant) {
        let share = (MAX_BYTES / self.accounts.len().max(1)).min(MAX_PEER_BYTES);
        let Some(account) = self.accounts.get_mut(&peer) else {
            return;
        };
        loop {
            let expected = account.in_flight + account.looks * USUAL_BLOCK_BYTES;
            // One block at a time is everybody's share.
            let room = expected < share || (account.looks == 0 && account.in_flight == 0);
            let presences = account.presences.len() + account.looks < MAX_PRESENCES;
            if account.looks >= MAX_LOOKS || !room || !presences {
                break;
            }
            let Some((_, cid)) = account.todo.pop_first() else {
                break;
            };
            let want = account
                .wants
                .get_mut(&cid)
                .expect("what has a turn is wanted");
            want.state = State::Looking { again: false };
            account.looks += 1;
            self.outputs.push(Output::Look {
                peer,
                cid,
                bytes: !want.have,
            });
        }
        let together = account.presences.len() >= PRESENCES_TOGETHER || account.looks == 0;
        if !account.presences.is_empty() && together && account.in_flight < share {
            let message = Message {
                presences: std::mem::take(&mut account.presences),
                ..Message::default()
            };
            self.send(peer, message, now);
        } else if account.is_settled() {
            self.accounts.remove(&peer);
        }
    }
}

impl Account {
    fn is_settled(&self) -> bool {
        self.wants.is_empty() && self.looks == 0 && self.in_flight == 0 && self.presences.is_empty()
    }
}

fn turn(next: &mut u64, stored: bool) -> Turn {
    *next += 1;
    (!stored, *next)
}

fn unlist(wanted: &mut HashMap<Key, Vec<(PeerId, Cid)>>, peer: PeerId, cid: &Cid) {
    if let Some(list) = wanted.get_mut(cid.hash()) {
        list.retain(|entry| *entry != (peer, *cid));
        if list.is_empty() {
            wanted.remove(cid.hash());
        }
    }
}

#[cfg(test)]
mod tests;
