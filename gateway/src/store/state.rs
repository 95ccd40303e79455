//! Which packs there are.

use std::{
    collections::{BTreeMap, HashMap},
    io,
    sync::{Arc, Weak},
};

use super::{
    OpenPack, Stats, index::Index, journal::Synced, key::PackKey, retention::Windows, tier::There,
};

/// All packs, in the order in which they are given up.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) open: BTreeMap<PackKey, Arc<OpenPack>>,
    /// Closed packs and their bytes here: 0 for one that is in the second tier alone.
    pub(crate) closed: BTreeMap<PackKey, u64>,
    /// Each closed pack is in one of them, or in several. Shared, so that a search holds no lock while it reads.
    pub(crate) indexes: Arc<Vec<Arc<Index>>>,
    /// Closed packs that the second tier has.
    pub(crate) there: BTreeMap<PackKey, Arc<There>>,
    pub(crate) windows: Windows,
    journals: HashMap<String, Weak<Synced>>,
}

impl State {
    /// The open pack of this hour, or where to begin one.
    pub(crate) fn pack(&self, key: &PackKey) -> Result<Arc<OpenPack>, PackKey> {
        let last = PackKey {
            volume: u32::MAX,
            ..key.clone()
        };
        let open = self.open.range(key..=&last).next_back();
        if let Some((_, pack)) = open.filter(|(_, pack)| !pack.is_sealed()) {
            return Ok(pack.clone());
        }
        let closed = self.closed.range(key..=&last).next_back();
        let used = open
            .map(|(key, _)| key.volume)
            .max(closed.map(|(key, _)| key.volume));
        let volume = used
            .max(self.volume_named(key))
            .map_or(0, |volume| volume + 1);
        Err(PackKey {
            volume,
            ..key.clone()
        })
    }

    /// The last volume of this hour that an index names: a merged one may name packs that are gone, and must not
    /// be taken to speak of new ones.
    fn volume_named(&self, key: &PackKey) -> Option<u32> {
        let name = key.to_string();
        let hour = name.strip_suffix('0').unwrap_or(&name);
        let names = self.indexes.iter().flat_map(|index| &index.packs);
        names
            .filter_map(|name| name.strip_prefix(hour)?.parse().ok())
            .max()
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = &PackKey> {
        self.open.keys().chain(self.closed.keys())
    }

    /// Bytes of all packs.
    pub(crate) fn bytes(&self) -> u64 {
        self.open.values().map(|pack| pack.bytes()).sum::<u64>() + self.closed.values().sum::<u64>()
    }

    /// Packs whose bytes here may go: the second tier has them, and nothing live needs them.
    pub(crate) fn offloadable(&self) -> impl Iterator<Item = &PackKey> {
        let here = self.there.keys();
        here.filter(|key| {
            !self.windows.is_live(key) && self.closed.get(*key).is_some_and(|bytes| *bytes > 0)
        })
    }

    /// Bytes of the others.
    pub(crate) fn bytes_that_stay(&self) -> u64 {
        let may_go = self.offloadable().filter_map(|key| self.closed.get(key));
        self.bytes() - may_go.sum::<u64>()
    }

    pub(crate) fn stats(&self) -> Stats {
        Stats {
            bytes: self.bytes(),
            packs: self.open.len() + self.closed.len(),
            open_packs: self.open.len(),
            index_bytes: self.indexes.iter().map(|index| index.memory()).sum(),
            not_stored: 0,
            tier_bytes: self.there.values().map(|there| there.bytes()).sum(),
            tier_up: None,
        }
    }

    /// The place of a stream's journal among those that are synced.
    pub(crate) fn journal_file(&mut self, stream: &str) -> io::Result<Arc<Synced>> {
        self.journals.retain(|_, file| file.strong_count() > 0);
        if self.journals.contains_key(stream) {
            let message = format!("journal of {stream} is open already: one owner writes it");
            return Err(io::Error::new(io::ErrorKind::ResourceBusy, message));
        }
        let file = Arc::new(Synced::default());
        self.journals
            .insert(stream.to_owned(), Arc::downgrade(&file));
        Ok(file)
    }

    pub(crate) fn journals(&self) -> Vec<Arc<Synced>> {
        self.journals.values().filter_map(Weak::upgrade).collect()
    }
}
