//! What we want of others, and whom we ask for it: purely, one input after the other.
//!
//! Of those who may have a block one is asked at a time, the next as soon as one has said that it is not there, is gone
//! or takes too long. Who was asked stays asked, and may send the block when it gets it; when it is here the others are
//! told so. A block is taken by the name that its bytes have (`message` works that out), and only if it is wanted.
//!
//! Bounds, all with a test: wants at once ([`MAX_WANTS`]), peers that one may come from ([`MAX_SOURCES`]), bytes that a
//! peer may send unasked ([`MAX_UNASKED_BYTES`]).

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use bytes::Bytes;
use cid::Cid;
use libp2p::PeerId;

use super::message::{Entry, Message};

/// Blocks that are wanted at once.
pub(super) const MAX_WANTS: usize = 1024;
/// Peers that are asked for one block; more are passed over.
pub(super) const MAX_SOURCES: usize = 16;
/// After this the next peer is asked too, where whoever wants it does not say otherwise.
pub(in crate::swarm) const PATIENCE: Duration = Duration::from_secs(5);
/// A peer may send so many bytes that we do not want any more or never wanted: a cancel may meet them on their way.
pub(super) const MAX_UNASKED_BYTES: usize = 16 << 20;

/// What happened.
#[derive(Debug)]
pub(super) enum Input {
    /// A block is wanted from one of these peers, the first if possible. They are connected. Who is silent is waited for so
    /// long.
    Want {
        cid: Cid,
        from: Vec<PeerId>,
        patience: Duration,
    },
    /// It is not wanted any more.
    Forget(Cid),
    /// A peer sent these.
    Answer {
        peer: PeerId,
        blocks: Vec<(Cid, Bytes)>,
        presences: Vec<(Cid, bool)>,
    },
    /// All connections to it have ended.
    Gone(PeerId),
    /// Time passed.
    Tick,
}

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Output {
    /// Send this.
    Send { peer: PeerId, message: Message },
    /// This is here: the bytes that the CID names.
    Got { cid: Cid, block: Bytes },
    /// Nobody who was named has it by now. It stays wanted.
    Absent(Cid),
    /// It sends what nobody asked for: end its connections.
    Drop(PeerId),
}

/// All that we want.
#[derive(Default)]
pub(super) struct Wants {
    wants: HashMap<Cid, Want>,
    unasked: HashMap<PeerId, usize>,
    /// Of this input, by peer.
    says: HashMap<PeerId, Vec<Entry>>,
    outputs: Vec<Output>,
}

struct Want {
    /// Still to be asked, first last.
    next: Vec<PeerId>,
    asked: Vec<Asked>,
    patience: Duration,
    told_absent: bool,
}

struct Asked {
    peer: PeerId,
    at: Instant,
    absent: bool,
}

impl Wants {
    /// Takes what happened, and says what is to be done.
    pub(super) fn handle(&mut self, input: Input, now: Instant) -> Vec<Output> {
        match input {
            Input::Want {
                cid,
                from,
                patience,
            } => self.want(cid, from, patience, now),
            Input::Forget(cid) => self.end(&cid, None),
            Input::Answer {
                peer,
                blocks,
                presences,
            } => self.answer(peer, blocks, presences, now),
            Input::Gone(peer) => self.gone(peer, now),
            Input::Tick => self.each(now, |want, now| {
                want.asked
                    .iter()
                    .all(|asked| asked.absent || now.duration_since(asked.at) >= want.patience)
            }),
        }
        for (peer, wants) in self.says.drain() {
            let message = Message {
                wants,
                ..Message::default()
            };
            self.outputs.push(Output::Send { peer, message });
        }
        std::mem::take(&mut self.outputs)
    }

    /// Whether anything is wanted: then time matters.
    pub(super) fn is_empty(&self) -> bool {
        self.wants.is_empty()
    }

    /// Whether something is wanted of this peer.
    pub(super) fn asks(&self, peer: &PeerId) -> bool {
        let mut asked = self.wants.values().flat_map(|want| &want.asked);
        asked.any(|asked| asked.peer == *peer)
    }

    fn want(&mut self, cid: Cid, mut from: Vec<PeerId>, patience: Duration, now: Instant) {
        if let Some(want) = self.wants.get_mut(&cid) {
            want.patience = want.patience.min(patience);
            return;
        }
        from.truncate(MAX_SOURCES);
        from.reverse();
        if from.is_empty() || self.wants.len() >= MAX_WANTS {
            self.outputs.push(Output::Absent(cid));
            return;
        }
        let want = Want {
            next: from,
            asked: Vec::new(),
            patience,
            told_absent: false,
        };
        self.wants.insert(cid, want);
        self.ask_next(cid, now);
    }

    /// Asks the next peer, or says that there is none.
    fn ask_next(&mut self, cid: Cid, now: Instant) {
        let Some(want) = self.wants.get_mut(&cid) else {
            return;
        };
        if let Some(peer) = want.next.pop() {
            want.asked.push(Asked {
                peer,
                at: now,
                absent: false,
            });
            self.says.entry(peer).or_default().push(Entry::want(cid));
        } else if !std::mem::replace(&mut want.told_absent, true) {
            self.outputs.push(Output::Absent(cid));
        }
    }

    /// It is here or not wanted any more: whoever was asked is told so, but for the one who sent it.
    fn end(&mut self, cid: &Cid, sender: Option<PeerId>) {
        let Some(want) = self.wants.remove(cid) else {
            return;
        };
        let others = want.asked.iter().map(|asked| asked.peer);
        for peer in others.filter(|peer| Some(*peer) != sender) {
            self.says.entry(peer).or_default().push(Entry::cancel(*cid));
        }
    }

    fn answer(
        &mut self,
        peer: PeerId,
        blocks: Vec<(Cid, Bytes)>,
        presences: Vec<(Cid, bool)>,
        now: Instant,
    ) {
        let asked_of = |want: &Want| want.asked.iter().any(|asked| asked.peer == peer);
        for (cid, block) in blocks {
            if self.wants.get(&cid).is_some_and(asked_of) {
                self.end(&cid, Some(peer));
                self.outputs.push(Output::Got { cid, block });
                continue;
            }
            let unasked = self.unasked.entry(peer).or_default();
            *unasked += block.len();
            if *unasked > MAX_UNASKED_BYTES {
                self.outputs.push(Output::Drop(peer));
                return;
            }
        }
        for (cid, here) in presences {
            let want = self.wants.get_mut(&cid);
            let asked = want.and_then(|want| want.asked.iter_mut().find(|one| one.peer == peer));
            if let Some(asked) = asked
                && !here
                && !std::mem::replace(&mut asked.absent, true)
            {
                self.ask_next(cid, now);
            }
        }
    }

    fn gone(&mut self, peer: PeerId, now: Instant) {
        self.unasked.remove(&peer);
        let mut waited = Vec::new();
        for (cid, want) in &mut self.wants {
            want.next.retain(|other| *other != peer);
            let before = want.asked.len();
            want.asked.retain(|asked| asked.peer != peer);
            if want.asked.len() < before && want.asked.iter().all(|asked| asked.absent) {
                waited.push(*cid);
            }
        }
        for cid in waited {
            self.ask_next(cid, now);
        }
    }

    /// Asks the next peer for each want of which that is so.
    fn each(&mut self, now: Instant, so: impl Fn(&Want, Instant) -> bool) {
        let wants = self.wants.iter();
        let due = wants.filter(|(_, want)| !want.told_absent && so(want, now));
        for cid in due.map(|(cid, _)| *cid).collect::<Vec<_>>() {
            self.ask_next(cid, now);
        }
    }
}

#[cfg(test)]
mod tests {
    use cid::multihash::Multihash;
    use meshlive_protocol::dag;

    use super::*;

    fn peer(n: u8) -> PeerId {
        PeerId::from_multihash(Multihash::wrap(0, &[n; 32]).unwrap()).unwrap()
    }

    fn block(n: usize) -> (Cid, Bytes) {
        let bytes = Bytes::from(n.to_le_bytes().to_vec());
        (dag::cid_of(&bytes), bytes)
    }

    struct Desk(Wants, Instant);

    impl Desk {
        fn new() -> Self {
            Self(Wants::default(), Instant::now())
        }

        fn on(&mut self, input: Input) -> Vec<Output> {
            self.0.handle(input, self.1)
        }

        fn want(&mut self, n: usize, from: &[u8]) -> Vec<Output> {
            self.want_soon(n, from, PATIENCE)
        }

        fn want_soon(&mut self, n: usize, from: &[u8], patience: Duration) -> Vec<Output> {
            let from = from.iter().map(|n| peer(*n)).collect();
            let cid = block(n).0;
            self.on(Input::Want {
                cid,
                from,
                patience,
            })
        }

        fn sends(&mut self, from: u8, n: usize) -> Vec<Output> {
            self.on(Input::Answer {
                peer: peer(from),
                blocks: vec![block(n)],
                presences: Vec::new(),
            })
        }

        fn lacks(&mut self, from: u8, n: usize) -> Vec<Output> {
            self.on(Input::Answer {
                peer: peer(from),
                blocks: Vec::new(),
                presences: vec![(block(n).0, false)],
            })
        }
    }

    fn said(to: u8, entry: Entry) -> Output {
        let message = Message {
            wants: vec![entry],
            ..Message::default()
        };
        Output::Send {
            peer: peer(to),
            message,
        }
    }

    fn asks(to: u8, n: usize) -> Output {
        said(to, Entry::want(block(n).0))
    }

    fn cancels(to: u8, n: usize) -> Output {
        said(to, Entry::cancel(block(n).0))
    }

    fn got(n: usize) -> Output {
        let (cid, block) = block(n);
        Output::Got { cid, block }
    }

    #[test]
    fn one_after_the_other_is_asked_until_one_sends_it() {
        let mut desk = Desk::new();
        assert_eq!(desk.want(1, &[1, 2, 3]), [asks(1, 1)]);
        assert_eq!(desk.lacks(1, 1), [asks(2, 1)]);
        assert_eq!(desk.lacks(1, 1), [], "that was said before");
        assert_eq!(desk.sends(2, 1), [got(1), cancels(1, 1)]);
        assert!(!desk.0.asks(&peer(1)) && desk.0.wants.is_empty());
    }

    #[test]
    fn what_nobody_has_is_said_to_be_absent_and_taken_when_it_comes() {
        let mut desk = Desk::new();
        desk.want(1, &[1]);
        assert_eq!(desk.lacks(1, 1), [Output::Absent(block(1).0)]);
        assert_eq!(desk.sends(1, 1), [got(1)]);
        assert_eq!(desk.want(2, &[]), [Output::Absent(block(2).0)]);
    }

    #[test]
    fn who_is_silent_or_gone_is_not_waited_for() {
        let mut desk = Desk::new();
        desk.want(1, &[1, 2, 3]);
        desk.1 += PATIENCE - Duration::from_millis(1);
        assert_eq!(desk.on(Input::Tick), []);
        desk.1 += Duration::from_millis(1);
        assert_eq!(desk.on(Input::Tick), [asks(2, 1)]);
        assert_eq!(desk.on(Input::Gone(peer(2))), []);
        desk.1 += PATIENCE;
        assert_eq!(desk.on(Input::Tick), [asks(3, 1)]);
        assert_eq!(desk.on(Input::Gone(peer(1))), []);
        assert_eq!(desk.on(Input::Gone(peer(3))), [Output::Absent(block(1).0)]);
        assert_eq!(desk.on(Input::Tick), [], "it is said once");
    }

    #[test]
    fn whoever_wants_it_sooner_is_patient_for_less() {
        let mut desk = Desk::new();
        let soon = PATIENCE / 5;
        assert_eq!(desk.want_soon(1, &[1, 2], soon), [asks(1, 1)]);
        assert_eq!(desk.want(2, &[1, 2]), [asks(1, 2)]);
        desk.1 += soon;
        assert_eq!(desk.on(Input::Tick), [asks(2, 1)]);
        // It was wanted for something else, and is urgent now.
        assert_eq!(desk.want_soon(2, &[1, 2], soon), []);
        assert_eq!(desk.on(Input::Tick), [asks(2, 2)]);
        assert_eq!(desk.sends(1, 1), [got(1), cancels(2, 1)]);
    }

    #[test]
    fn what_is_not_wanted_any_more_is_cancelled_and_not_taken() {
        let mut desk = Desk::new();
        desk.want(1, &[1]);
        assert_eq!(desk.on(Input::Forget(block(1).0)), [cancels(1, 1)]);
        assert_eq!(desk.sends(1, 1), []);
    }

    #[test]
    fn blocks_from_whom_they_were_not_asked_of_are_not_taken() {
        let mut desk = Desk::new();
        desk.want(1, &[1]);
        assert_eq!(desk.sends(2, 1), []);
        assert_eq!(desk.sends(1, 7), []);
        assert_eq!(desk.sends(1, 1), [got(1)]);
    }

    #[test]
    fn who_sends_too_much_that_nobody_asked_for_is_let_go() {
        let mut desk = Desk::new();
        let bytes = Bytes::from(vec![0; 1 << 20]);
        let mut send = || {
            let blocks = vec![(dag::cid_of(&bytes), bytes.clone())];
            desk.on(Input::Answer {
                peer: peer(1),
                blocks,
                presences: Vec::new(),
            })
        };
        for _ in 0..16 {
            assert_eq!(send(), []);
        }
        assert_eq!(send(), [Output::Drop(peer(1))]);
    }

    #[test]
    fn wants_have_a_limit() {
        let mut desk = Desk::new();
        for n in 0..MAX_WANTS {
            desk.want(n, &[1]);
        }
        let more = desk.want(MAX_WANTS, &[1]);
        assert_eq!(more, [Output::Absent(block(MAX_WANTS).0)]);
        assert_eq!(desk.0.wants.len(), MAX_WANTS);
        let mut many = Desk::new();
        many.want(1, &[9; 100]);
        let want = &many.0.wants[&block(1).0];
        assert_eq!(want.asked.len() + want.next.len(), MAX_SOURCES);
    }
}
