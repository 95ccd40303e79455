//! Parts that were verified, for the player and for others.

use std::collections::BTreeMap;

use bytes::Bytes;
use cid::Cid;

use crate::message::Place;

/// Parts that are kept, however small they are: a full window of the longest kind.
const MAX_PARTS: usize = crate::manifest::MAX_PARTS;

/// Oldest parts go first; one that was just put in stays until the next.
#[derive(Debug)]
pub(super) struct Cache {
    parts: BTreeMap<Place, (Cid, Bytes)>,
    bytes: usize,
    max_bytes: usize,
}

impl Cache {
    pub(super) fn new(max_bytes: usize) -> Self {
        Self {
            parts: BTreeMap::new(),
            bytes: 0,
            max_bytes,
        }
    }

    /// Bytes that `cid` names.
    pub(super) fn insert(&mut self, place: Place, cid: Cid, part: Bytes) {
        self.bytes += part.len();
        if let Some((_, before)) = self.parts.insert(place, (cid, part)) {
            self.bytes -= before.len();
        }
        while self.bytes > self.max_bytes || self.parts.len() > MAX_PARTS {
            let oldest = self.parts.keys().find(|kept| **kept != place).copied();
            let Some((_, gone)) = oldest.and_then(|oldest| self.parts.remove(&oldest)) else {
                break;
            };
            self.bytes -= gone.len();
        }
    }

    pub(super) fn get(&self, place: Place) -> Option<&Bytes> {
        self.parts.get(&place).map(|(_, part)| part)
    }

    pub(super) fn holds(&self, place: Place) -> bool {
        self.parts.contains_key(&place)
    }

    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Newest first.
    pub(super) fn places(&self) -> impl Iterator<Item = Place> + '_ {
        self.parts.keys().rev().copied()
    }

    /// Keeps what `names` still calls by the same CID: after a new epoch.
    pub(super) fn keep(&mut self, names: impl Fn(Place) -> Option<Cid>) {
        self.parts
            .retain(|place, (cid, _)| names(*place).as_ref() == Some(cid));
        self.bytes = self.parts.values().map(|(_, part)| part.len()).sum();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dag;

    fn place(part: u32) -> Place {
        Place {
            msn: 1,
            part,
            rendition: 0,
        }
    }

    #[test]
    fn the_oldest_go_at_the_limit_but_never_what_was_just_put_in() {
        let mut cache = Cache::new(3000);
        let part = Bytes::from(vec![7; 1000]);
        let cid = dag::cid_of(&part);
        for number in 10..20 {
            cache.insert(place(number), cid, part.clone());
            cache.insert(place(number), cid, part.clone());
            assert!(cache.bytes <= 3000);
        }
        let kept: Vec<_> = cache.places().map(|place| place.part).collect();
        assert_eq!(kept, [19, 18, 17]);
        cache.insert(place(1), cid, part.clone());
        let kept: Vec<_> = cache.places().map(|place| place.part).collect();
        assert_eq!(kept, [19, 18, 1]);
        cache.insert(place(30), cid, Bytes::from(vec![7; 5000]));
        assert_eq!(cache.places().count(), 1);
    }

    #[test]
    fn a_new_epoch_keeps_what_is_still_called_the_same() {
        let mut cache = Cache::new(3000);
        for number in 0..3 {
            let part = Bytes::from(vec![number as u8; 1000]);
            cache.insert(place(number), dag::cid_of(&part), part);
        }
        cache.keep(|place| (place.part < 2).then(|| dag::cid_of(&[0; 1000])));
        assert_eq!(cache.places().map(|p| p.part).collect::<Vec<_>>(), [0]);
        assert_eq!(cache.bytes, 1000);
    }
}
