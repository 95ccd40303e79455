//! What all nodes may look at while they run, and none changes: it changes between.

use super::*;

/// See above.
pub(in crate::sim) struct Common {
    pub(super) scene: Scene,
    pub(super) publisher: Publisher,
    /// What HTTP gives.
    pub(super) parts: BTreeMap<Place, Bytes>,
    /// Where a swarm is traced: when each part was published.
    pub(in crate::sim) calendar: Option<Calendar>,
    /// Whether there is a gateway.
    pub(super) up: bool,
    pub(super) addresses: Vec<Address>,
    /// By the end of their names.
    numbers: HashMap<u64, usize>,
}

/// What everyone may know of a node.
pub(super) struct Address {
    pub(super) id: PeerId,
    pub(super) site: usize,
    /// To any other node, where the network has no sites.
    delay: Micros,
    /// Whether its downlink can be full.
    pub(super) has_limit: bool,
    /// In which shard it is.
    pub(super) shard: usize,
    pub(super) alive: bool,
}

impl Common {
    pub(super) fn new(scene: Scene) -> Self {
        Self {
            publisher: Publisher::new(&scene.rates).with_key_part(scene.key_part),
            scene,
            parts: BTreeMap::new(),
            calendar: None,
            up: true,
            addresses: Vec::new(),
            numbers: HashMap::new(),
        }
    }

    /// The number of a node that is new.
    pub(super) fn enter(&mut self, id: PeerId, site: usize, line: &Line) -> usize {
        let number = self.addresses.len();
        let same = self.numbers.insert(end(&id), number);
        assert!(same.is_none(), "no two names end alike");
        let shard = self.shard_of(site);
        self.addresses.push(Address {
            id,
            site,
            delay: line.delay,
            has_limit: line.down.is_finite(),
            shard,
            alive: true,
        });
        number
    }

    /// Which number a name has.
    pub(super) fn number(&self, id: &PeerId) -> Option<usize> {
        self.numbers.get(&end(id)).copied()
    }

    /// Nodes of a site are in one shard: others are farther than they are from each other. The gateway, at the first, has as
    /// much to do as the viewers of an eighth of the sites.
    fn shard_of(&self, site: usize) -> usize {
        let sites = self.scene.network.sites.as_ref().map_or(1, |s| s.at.len());
        let gateway = sites / 8;
        match site {
            0 => 0,
            _ => (site + gateway) * self.scene.shards / (sites + gateway),
        }
    }

    /// From one node to another, microseconds.
    pub(super) fn way(&self, one: usize, other: usize) -> Micros {
        let (one, other) = (&self.addresses[one], &self.addresses[other]);
        match &self.scene.network.sites {
            Some(sites) => sites.round_trip(one.site, other.site) / 2,
            None => one.delay + other.delay,
        }
    }

    /// The shortest way between nodes of different shards.
    ///
    /// # Panics
    /// Where the network cannot be in shards: see [`Scene::shards`].
    pub(super) fn shortest(&self) -> Micros {
        let network = &self.scene.network;
        let sites = network.sites.as_ref();
        let sites = sites.expect("shards have sites of their own");
        let apart = sites.trunk.is_none() && network.congestion != Congestion::Chromium;
        assert!(apart, "what two nodes have at once is in one shard");
        let all = 0..sites.at.len();
        let pairs = all
            .clone()
            .flat_map(|one| all.clone().map(move |other| (one, other)));
        let apart = pairs.filter(|(one, other)| self.shard_of(*one) != self.shard_of(*other));
        let ways = apart.map(|(one, other)| sites.round_trip(one, other) / 2);
        ways.min().unwrap_or(Micros::MAX)
    }

    /// Whether these are a part's bytes; most are the same memory. Who is minutes behind has parts that are not kept here.
    pub(super) fn was_published(&self, place: Place, bytes: &Bytes) -> bool {
        match self.parts.get(&place) {
            Some(kept) => {
                (kept.as_ptr() == bytes.as_ptr() && kept.len() == bytes.len()) || kept == bytes
            }
            None => self.publisher.has_published(place) && self.publisher.bytes_of(place) == bytes,
        }
    }
}

/// The last eight bytes of a name: to look at them is a fraction of looking at all.
fn end(id: &PeerId) -> u64 {
    let digest = id.as_ref().digest();
    let end = digest.iter().rev().take(8);
    end.fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}
