//! The engine's checks, made once for each bytes that differ: thousands of viewers in one thread get the same ones.
//!
//! Bytes are the same where they are the same memory, which is kept as long as it is remembered what came of it: what a
//! liar made of them is other memory, and is checked on its own.

use std::{cell::RefCell, collections::HashMap, collections::VecDeque};

use bytes::Bytes;
use cid::Cid;

use crate::{
    dag,
    manifest::{self, Opened, Rejected},
    name::StreamName,
    scheduler::checks::Checks,
};

/// Results that are remembered, of each kind: far more than are on their way at a time.
const REMEMBERED: usize = 512;

/// What was checked, by the memory it lies in.
struct Memo<T> {
    known: HashMap<(usize, usize), (Bytes, T)>,
    order: VecDeque<(usize, usize)>,
}

impl<T: Clone> Memo<T> {
    fn new() -> Self {
        Self {
            known: HashMap::new(),
            order: VecDeque::new(),
        }
    }

    fn get(&mut self, bytes: &Bytes, check: impl FnOnce() -> T) -> T {
        let key = (bytes.as_ptr() as usize, bytes.len());
        if let Some((_, result)) = self.known.get(&key) {
            return result.clone();
        }
        let result = check();
        if self.order.len() == REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        self.order.push_back(key);
        self.known.insert(key, (bytes.clone(), result.clone()));
        result
    }
}

type Opening = (StreamName, Result<Opened, Rejected>);

thread_local! {
    static OPENED: RefCell<Memo<Opening>> = RefCell::new(Memo::new());
    static NAMED: RefCell<Memo<Cid>> = RefCell::new(Memo::new());
}

/// The checks of engines that share a thread.
pub(super) fn shared() -> Checks {
    Checks {
        open: |stream, envelope| {
            let open = || (stream.clone(), manifest::open(stream, envelope));
            let (of, opened) = OPENED.with_borrow_mut(|memo| memo.get(envelope, open));
            assert!(of == *stream, "a simulator has one stream");
            opened
        },
        verify: |cid, bytes| {
            let named = NAMED.with_borrow_mut(|memo| memo.get(bytes, || dag::cid_of(bytes)));
            named == *cid
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{key::SigningKey, manifest::Announcement};

    #[test]
    fn what_was_altered_is_not_taken_for_what_was_checked() {
        let good = Bytes::from(vec![1, 2, 3]);
        let bad = Bytes::from(vec![1, 2, 4]);
        let cid = dag::cid_of(&good);
        let checks = shared();
        for _ in 0..2 {
            assert!((checks.verify)(&cid, &good));
            assert!(!(checks.verify)(&cid, &bad));
            assert!(!(checks.verify)(&dag::cid_of(&bad), &good));
        }
    }

    #[test]
    fn a_forged_envelope_stays_one_and_memory_is_bounded() {
        let (key, other) = (
            SigningKey::from_secret([1; 32]),
            SigningKey::from_secret([2; 32]),
        );
        let announcement = Announcement {
            epoch: 1,
            sequence: 1,
            clock: 1,
            news: Vec::new(),
        };
        let forged: Bytes = manifest::sign_announcement(&other, &announcement).into();
        let genuine: Bytes = manifest::sign_announcement(&key, &announcement).into();
        let checks = shared();
        for _ in 0..2 {
            assert!((checks.open)(&key.name(), &genuine).is_ok());
            assert!((checks.open)(&key.name(), &forged).is_err());
        }
        let mut memo = Memo::new();
        for number in 0..REMEMBERED + 10 {
            memo.get(&Bytes::from(vec![number as u8; 9]), || number);
        }
        assert_eq!(
            (memo.known.len(), memo.order.len()),
            (REMEMBERED, REMEMBERED)
        );
    }
}
