use meshlive_protocol::dag;

use super::*;

/// A ledger, its clock, and what it said.
struct Book {
    ledger: Ledger,
    now: Instant,
}

fn book() -> Book {
    Book {
        ledger: Ledger::default(),
        now: Instant::now(),
    }
}

fn peer(n: u8) -> PeerId {
    let hash = Multihash::wrap(0, &[n; 32]).unwrap();
    PeerId::from_multihash(hash).unwrap()
}

fn cid(n: usize) -> Cid {
    dag::cid_of(&n.to_le_bytes())
}

fn have(n: usize) -> Entry {
    Entry {
        have: true,
        ..Entry::want(cid(n))
    }
}

impl Book {
    fn on(&mut self, input: Input) -> Vec<Output> {
        self.ledger.handle(input, self.now)
    }

    fn wants(&mut self, peer: PeerId, entries: Vec<Entry>) -> Vec<Output> {
        self.on(Input::Wants {
            peer,
            entries,
            full: false,
        })
    }

    fn looked(&mut self, peer: PeerId, n: usize, found: Found) -> Vec<Output> {
        let cid = cid(n);
        self.on(Input::Looked { peer, cid, found })
    }

    fn sent(&mut self, peer: PeerId, bytes: usize) -> Vec<Output> {
        self.on(Input::Sent { peer, bytes })
    }
}

fn block(size: usize) -> Found {
    Found::Block(vec![0; size].into())
}

/// The blocks that are looked for.
fn looks(outputs: &[Output]) -> Vec<Cid> {
    let looks = outputs.iter().filter_map(|output| match output {
        Output::Look { cid, .. } => Some(*cid),
        _ => None,
    });
    looks.collect()
}

/// The one message that is sent, and its bytes.
fn sent(outputs: &[Output]) -> Option<(Message, usize)> {
    let mut sent = outputs.iter().filter_map(|output| match output {
        Output::Send { message, bytes, .. } => Some((message.clone(), bytes.len())),
        _ => None,
    });
    let first = sent.next();
    assert!(sent.next().is_none(), "{outputs:?}");
    first
}

#[test]
fn what_is_here_is_sent_and_the_account_closed() {
    let (mut book, a) = (book(), peer(1));
    let outputs = book.wants(a, vec![Entry::want(cid(1))]);
    let look = Output::Look {
        peer: a,
        cid: cid(1),
        bytes: true,
    };
    assert_eq!(outputs, [look]);
    let (message, bytes) = sent(&book.looked(a, 1, block(100))).unwrap();
    assert_eq!(message.blocks, [(cid(1), vec![0; 100].into())]);
    assert!(book.ledger.serves(&a));
    assert_eq!(book.sent(a, bytes), []);
    assert!(!book.ledger.serves(&a) && book.ledger.wanted.is_empty());
}

#[test]
fn whether_it_is_here_is_answered_without_its_bytes() {
    let (mut book, a) = (book(), peer(1));
    let outputs = book.wants(a, vec![have(1), have(2)]);
    assert!(
        outputs
            .iter()
            .all(|output| matches!(output, Output::Look { bytes: false, .. }))
    );
    assert_eq!(
        book.looked(a, 1, Found::Here),
        [],
        "both are answered together"
    );
    let (message, _) = sent(&book.looked(a, 2, Found::Absent)).unwrap();
    assert_eq!(message.presences, [(cid(1), true), (cid(2), false)]);
}

#[test]
fn what_is_not_here_is_sent_as_soon_as_it_is_stored() {
    let (mut book, a, b) = (book(), peer(1), peer(2));
    book.wants(a, vec![Entry::want(cid(1))]);
    let quiet = Entry {
        tell_absent: false,
        ..Entry::want(cid(1))
    };
    book.wants(b, vec![quiet]);
    let (message, _) = sent(&book.looked(a, 1, Found::Absent)).unwrap();
    assert_eq!(message.presences, [(cid(1), false)]);
    assert_eq!(
        book.looked(b, 1, Found::Absent),
        [],
        "it did not ask for that"
    );
    assert_eq!(book.on(Input::Stored(cid(2))), [], "nobody wants that");
    let outputs = book.on(Input::Stored(cid(1)));
    assert_eq!(looks(&outputs), [cid(1), cid(1)]);
    assert!(sent(&book.looked(a, 1, block(5))).is_some());
    assert!(sent(&book.looked(b, 1, block(5))).is_some());
    assert_eq!(book.on(Input::Stored(cid(1))), [], "it was given");
}

#[test]
fn what_is_stored_while_it_is_looked_for_is_looked_for_again() {
    let (mut book, a) = (book(), peer(1));
    book.wants(a, vec![Entry::want(cid(1))]);
    assert_eq!(book.on(Input::Stored(cid(1))), []);
    let outputs = book.looked(a, 1, Found::Absent);
    assert_eq!((looks(&outputs), sent(&outputs)), (vec![cid(1)], None));
    // And whoever may have missed something looks for everything.
    book.looked(a, 1, Found::Absent);
    assert_eq!(looks(&book.on(Input::Missed)), [cid(1)]);
}

#[test]
fn another_form_of_the_name_is_the_same_block() {
    let (mut book, a) = (book(), peer(1));
    let (node, _) = dag::segment_file(&[(cid(1), 8)]);
    let old = Cid::new_v0(*node.hash()).unwrap();
    book.wants(a, vec![Entry::want(old)]);
    let absent = Input::Looked {
        peer: a,
        cid: old,
        found: Found::Absent,
    };
    book.on(absent);
    assert_eq!(looks(&book.on(Input::Stored(node))), [old]);
}

#[test]
fn what_is_cancelled_is_not_sent() {
    let (mut book, a) = (book(), peer(1));
    book.wants(a, vec![Entry::want(cid(1)), Entry::want(cid(2))]);
    book.wants(a, vec![Entry::cancel(cid(1)), Entry::cancel(cid(7))]);
    assert_eq!(book.looked(a, 1, block(5)), []);
    let all = Input::Wants {
        peer: a,
        entries: vec![Entry::want(cid(3))],
        full: true,
    };
    assert_eq!(looks(&book.on(all)), [cid(3)]);
    assert_eq!(book.looked(a, 2, block(5)), []);
    assert!(sent(&book.looked(a, 3, block(5))).is_some());
}

#[test]
fn who_wants_the_bytes_after_all_gets_them() {
    let (mut book, a) = (book(), peer(1));
    book.wants(a, vec![have(1)]);
    book.wants(a, vec![Entry::want(cid(1))]);
    let outputs = book.looked(a, 1, Found::Here);
    let look = Output::Look {
        peer: a,
        cid: cid(1),
        bytes: true,
    };
    assert_eq!(outputs, [look]);
    book.wants(a, vec![have(1)]);
    let (message, _) = sent(&book.looked(a, 1, block(5))).unwrap();
    assert_eq!(message.blocks.len(), 1, "asking less does not make it less");
}

#[test]
fn wants_of_a_peer_have_a_limit_and_those_beyond_are_told_so() {
    let (mut book, a) = (book(), peer(1));
    let entries = |range: std::ops::Range<usize>| range.map(|n| Entry::want(cid(n))).collect();
    book.wants(a, entries(0..MAX_WANTS + 5));
    let account = &book.ledger.accounts[&a];
    assert_eq!(
        (account.wants.len(), account.presences.len()),
        (MAX_WANTS, 5)
    );
    // Again and again, a hundred thousand wants and cancels: nothing grows.
    for round in 0..100 {
        let start = 10_000 * round;
        book.wants(a, entries(start..start + 1000));
        book.wants(a, (0..500).map(|n| Entry::cancel(cid(start + n))).collect());
    }
    let account = &book.ledger.accounts[&a];
    assert!(account.wants.len() <= MAX_WANTS && account.todo.len() <= MAX_WANTS);
    assert_eq!(account.looks, MAX_LOOKS);
    assert!(account.presences.len() <= MAX_PRESENCES);
    assert_eq!(book.ledger.wanted.len(), account.wants.len());
    book.on(Input::Gone(a));
    assert!(book.ledger.accounts.is_empty() && book.ledger.wanted.is_empty());
}

#[test]
fn many_peers_share_the_wants() {
    let mut book = book();
    for n in 0..200 {
        let wants = (0..MAX_WANTS).map(|n| Entry::want(cid(n))).collect();
        book.wants(peer(n), wants);
    }
    let last = &book.ledger.accounts[&peer(199)];
    assert_eq!(last.wants.len(), ALL_WANTS / 200);
}

#[test]
fn bytes_on_their_way_to_a_peer_have_a_limit_and_others_are_served() {
    let (mut book, a, b) = (book(), peer(1), peer(2));
    let size = 1 << 20;
    let mut open = looks(&book.wants(a, (0..100).map(|n| Entry::want(cid(n))).collect())).len();
    assert_eq!(open, MAX_LOOKS);
    let mut in_flight = Vec::new();
    for n in 0..100 {
        if open == 0 {
            break;
        }
        let outputs = book.looked(a, n, block(size));
        open = open - 1 + looks(&outputs).len();
        in_flight.extend(sent(&outputs).map(|(_, bytes)| bytes));
    }
    // What was being looked for when the limit was reached comes on top.
    assert_eq!(in_flight.len(), MAX_LOOKS);
    // It reads nothing; another reads all the same.
    assert_eq!(looks(&book.wants(b, vec![Entry::want(cid(7))])), [cid(7)]);
    assert!(sent(&book.looked(b, 7, block(size))).is_some());
    // It reads: there is room again.
    let mut again = 0;
    for bytes in in_flight {
        again += looks(&book.sent(a, bytes)).len();
    }
    assert_eq!(again, MAX_LOOKS);
}

#[test]
fn who_takes_nothing_is_let_go() {
    let (mut book, a, b) = (book(), peer(1), peer(2));
    book.wants(a, vec![Entry::want(cid(1))]);
    book.wants(b, vec![Entry::want(cid(2))]);
    book.looked(a, 1, block(10));
    book.looked(b, 2, Found::Absent);
    let in_flight = book.ledger.accounts[&b].in_flight;
    book.sent(b, in_flight);
    book.now += STALL - Duration::from_millis(1);
    assert_eq!(book.on(Input::Tick), []);
    book.now += Duration::from_millis(1);
    assert_eq!(book.on(Input::Tick), [Output::Drop(a)], "who waits stays");
    assert!(!book.ledger.serves(&a) && book.ledger.serves(&b));
}

#[test]
fn answers_that_wait_have_a_limit() {
    let (mut book, a) = (book(), peer(1));
    // Nothing that it is sent leaves.
    for n in 0..20_000 {
        book.wants(a, vec![have(n)]);
        book.looked(a, n, Found::Here);
    }
    let account = &book.ledger.accounts[&a];
    assert!(
        account.in_flight < MAX_PEER_BYTES + 200_000,
        "{}",
        account.in_flight
    );
    assert!(account.presences.len() <= MAX_PRESENCES);
    assert!(account.wants.len() <= MAX_WANTS);
}
