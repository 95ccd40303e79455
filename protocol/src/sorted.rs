//! A map and a set that keep their keys in order in one `Vec`.
//!
//! They stand where a `BTreeMap` would do as well but for what it costs a viewer to download: 11 KB of WebAssembly for
//! each pair of types, and the engine has almost twenty. Finding takes O(log n), and so does adding what sorts last, as
//! most of what is new does; walking through all, as the engine does at every input, reads memory in a row. Adding or
//! removing anywhere else moves what sorts behind it, O(n): these are for maps that are small (about a thousand keys)
//! or change seldom (a gateway's peers, up to 16,384). `scheduler/cache` and the queue of `scheduler/give` hold more,
//! change at both ends all the time, and are `BTreeMap`s.

use std::cmp::Ordering;

/// Values by key, in the order of the keys.
#[derive(Clone, Debug)]
pub(crate) struct SortedMap<K, V> {
    entries: Vec<(K, V)>,
}

impl<K, V> Default for SortedMap<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K, V> SortedMap<K, V> {
    pub(crate) const fn new() -> Self {
        let entries = Vec::new();
        Self { entries }
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(crate) fn first(&self) -> Option<(&K, &V)> {
        self.entries.first().map(|(key, value)| (key, value))
    }

    /// O(n).
    pub(crate) fn pop_first(&mut self) -> Option<(K, V)> {
        (!self.entries.is_empty()).then(|| self.entries.remove(0))
    }

    pub(crate) fn pop_last(&mut self) -> Option<(K, V)> {
        self.entries.pop()
    }

    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = (&K, &V)> {
        self.entries.iter().map(|(key, value)| (key, value))
    }

    /// The entry that so many are before.
    pub(crate) fn at(&self, index: usize) -> Option<(&K, &V)> {
        self.entries.get(index).map(|(key, value)| (key, value))
    }

    /// Its value.
    pub(crate) fn at_mut(&mut self, index: usize) -> Option<&mut V> {
        self.entries.get_mut(index).map(|(_, value)| value)
    }

    pub(crate) fn iter_mut(&mut self) -> impl ExactSizeIterator<Item = (&K, &mut V)> {
        self.entries.iter_mut().map(|(key, value)| (&*key, value))
    }

    pub(crate) fn keys(&self) -> impl ExactSizeIterator<Item = &K> {
        self.entries.iter().map(|(key, _)| key)
    }

    pub(crate) fn values(&self) -> impl ExactSizeIterator<Item = &V> {
        self.entries.iter().map(|(_, value)| value)
    }

    pub(crate) fn values_mut(&mut self) -> impl ExactSizeIterator<Item = &mut V> {
        self.entries.iter_mut().map(|(_, value)| value)
    }

    /// O(n), however many go.
    pub(crate) fn retain(&mut self, mut stays: impl FnMut(&K, &mut V) -> bool) {
        self.entries.retain_mut(|(key, value)| stays(key, value));
    }
}

impl<K: Ord, V> SortedMap<K, V> {
    /// Where a key is, or where it belongs.
    pub(crate) fn find(&self, key: &K) -> Result<usize, usize> {
        self.entries.binary_search_by(|(known, _)| known.cmp(key))
    }

    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        let at = self.find(key).ok()?;
        Some(&self.entries[at].1)
    }

    pub(crate) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        let at = self.find(key).ok()?;
        Some(&mut self.entries[at].1)
    }

    pub(crate) fn contains_key(&self, key: &K) -> bool {
        self.find(key).is_ok()
    }

    /// The value that was there before.
    pub(crate) fn insert(&mut self, key: K, value: V) -> Option<V> {
        match self.find(&key) {
            Ok(at) => Some(std::mem::replace(&mut self.entries[at].1, value)),
            Err(at) => {
                self.entries.insert(at, (key, value));
                None
            }
        }
    }

    /// The value that is there, or was not there and is made.
    pub(crate) fn or_insert_with(&mut self, key: K, make: impl FnOnce() -> V) -> &mut V {
        let at = self.find(&key).unwrap_or_else(|at| {
            self.entries.insert(at, (key, make()));
            at
        });
        &mut self.entries[at].1
    }

    pub(crate) fn remove(&mut self, key: &K) -> Option<V> {
        let at = self.find(key).ok()?;
        Some(self.entries.remove(at).1)
    }
}

impl<K, V> IntoIterator for SortedMap<K, V> {
    type Item = (K, V);
    type IntoIter = std::vec::IntoIter<(K, V)>;

    fn into_iter(self) -> Self::IntoIter {
        self.entries.into_iter()
    }
}

/// Keys in order.
#[derive(Clone, Debug)]
pub(crate) struct SortedSet<K> {
    keys: Vec<K>,
}

impl<K> Default for SortedSet<K> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K> SortedSet<K> {
    pub(crate) const fn new() -> Self {
        let keys = Vec::new();
        Self { keys }
    }

    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    pub(crate) fn clear(&mut self) {
        self.keys.clear();
    }

    /// O(n).
    pub(crate) fn pop_first(&mut self) -> Option<K> {
        (!self.keys.is_empty()).then(|| self.keys.remove(0))
    }

    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = &K> {
        self.keys.iter()
    }

    /// O(n), however many go.
    pub(crate) fn retain(&mut self, stays: impl FnMut(&K) -> bool) {
        self.keys.retain(stays);
    }

    /// Removes the first keys, as long as `goes` holds of them: O(n) if any go, O(log n) if none.
    pub(crate) fn remove_while(&mut self, goes: impl FnMut(&K) -> bool) {
        let count = self.keys.partition_point(goes);
        self.keys.drain(..count);
    }
}

impl<K: Ord> SortedSet<K> {
    /// Where a key is, or where it belongs. Most of what is asked for is among the last: from there it is looked for
    /// further and further before.
    fn find(&self, key: &K) -> Result<usize, usize> {
        let (mut from, mut to, mut step) = (self.keys.len(), self.keys.len(), 1);
        while from > 0 {
            from = to.saturating_sub(step);
            match self.keys[from].cmp(key) {
                Ordering::Less => break,
                Ordering::Equal => return Ok(from),
                Ordering::Greater => to = from,
            }
            step *= 2;
        }
        let within = self.keys[from..to].binary_search(key);
        within.map(|at| from + at).map_err(|at| from + at)
    }

    pub(crate) fn contains(&self, key: &K) -> bool {
        self.find(key).is_ok()
    }

    /// Whether it was not there before.
    pub(crate) fn insert(&mut self, key: K) -> bool {
        let at = self.find(&key);
        if let Err(at) = at {
            self.keys.insert(at, key);
        }
        at.is_err()
    }

    /// Whether it was there.
    pub(crate) fn remove(&mut self, key: &K) -> bool {
        let at = self.find(key);
        if let Ok(at) = at {
            self.keys.remove(at);
        }
        at.is_ok()
    }
}

impl<K> IntoIterator for SortedSet<K> {
    type Item = K;
    type IntoIter = std::vec::IntoIter<K>;

    fn into_iter(self) -> Self::IntoIter {
        self.keys.into_iter()
    }
}

#[cfg(test)]
mod tests;
