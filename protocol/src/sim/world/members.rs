//! Who comes and who goes: viewers that join, leave and vanish, liars, and the gateway that is killed and starts again.

use super::*;

impl World {
    pub(super) fn add(&mut self, role: Role, upload: u32, site: usize, line: Line) -> usize {
        let number = self.count();
        let mut secret = [1; 32];
        secret[..8].copy_from_slice(&(number as u64 + 1000).to_le_bytes());
        let key = SigningKey::from_secret(secret).to_protobuf();
        let pair = libp2p_identity::Keypair::from_protobuf_encoding(&key).expect("a key");
        let id = pair.public().to_peer_id();
        let engine = self.engine(id, role, upload);
        self.common.enter(id, site, &line);
        let shard = &mut self.shards[self.common.addresses[number].shard];
        let node = Node {
            engine,
            player: None,
            line,
            lie: None,
            wire: Wire::default(),
            associations: BTreeMap::new(),
            links: BTreeSet::new(),
            wakes: 0,
            woken: 0,
            fetching: BTreeMap::new(),
            connections: Connections::default(),
            held: Vec::new(),
            own: Own::new(self.now),
            heard: Vec::new(),
            banned: Vec::new(),
            fetches: 0,
            given: 0,
            fetched: 0,
            marked: Default::default(),
        };
        shard.nodes.put(number, node);
        number
    }

    pub(super) fn engine(&mut self, id: PeerId, role: Role, upload: u32) -> Scheduler {
        let scene = &self.common.scene;
        let settings = Settings {
            cache_bytes: scene.cache,
            neighbours: scene.neighbours,
            upload,
            reserve: 300_000,
            hushes: scene.hushes,
        };
        let name = self.common.publisher.key().name();
        let seed = self.shards[0].random.next();
        Scheduler::new(id, name, role, settings, seed).checked_by(checks::shared())
    }

    /// A viewer opens the page: its player starts at once, its peer beside it.
    pub fn join(&mut self, upload: u32, line: Line) -> usize {
        self.join_with(upload, line, Player::new(0, 1_600_000))
    }

    /// The same with a player of the scene's own.
    pub fn join_with(&mut self, upload: u32, line: Line, player: Player) -> usize {
        self.join_at(0, upload, line, player)
    }

    /// The same at a site of the network's.
    pub fn join_at(&mut self, site: usize, upload: u32, line: Line, player: Player) -> usize {
        let node = self.add(Role::Viewer, upload, site, line);
        let rendition = player.rendition;
        self.node_mut(node).player = Some(player);
        if self.has_trunk() {
            let mine = site as u32 + 1;
            self.input(node, Input::Site { mine, gateway: 1 });
        }
        self.input(
            node,
            Input::Select {
                renditions: 1 << rendition,
            },
        );
        let whole = self.common.publisher.signed();
        let way = self.common.way(node, 0);
        let hears = self.now + 2 * way + 20_000;
        self.at(hears, Event::Feed(node, whole));
        self.at(self.now + TICK, Event::Tick(node));
        if self.common.up {
            let joined = hears + self.common.takes_to_join(node);
            self.at(joined - way, Event::Dialled(0, node));
        }
        node
    }

    /// The gateway is at the first site.
    pub(super) fn place_gateway(&mut self) {
        if self.has_trunk() {
            let (mine, gateway) = (1, 1);
            self.input(0, Input::Site { mine, gateway });
        }
    }

    /// Whether sites are worth a name: where something narrow lies between them.
    fn has_trunk(&self) -> bool {
        let sites = self.common.scene.network.sites.as_ref();
        sites.is_some_and(|sites| sites.trunk.is_some())
    }

    /// A node lies from now on.
    pub fn lies(&mut self, node: usize, lie: Lie) {
        self.node_mut(node).lie = Some(lie);
        self.at(self.now + LIES, Event::Lie(node));
    }

    /// A node vanishes without a word.
    pub fn crash(&mut self, node: usize) {
        self.ends(node, VANISHED);
    }

    /// A node goes, and its connections end with it: a tab is closed.
    pub fn leave_for_good(&mut self, node: usize) {
        self.ends(node, 0);
    }

    fn ends(&mut self, node: usize, noticed: Micros) {
        self.common.addresses[node].alive = false;
        let now = self.now;
        let this = self.node_mut(node);
        this.wire = Wire::default();
        this.associations.clear();
        for other in std::mem::take(&mut this.links) {
            let late = noticed + self.common.way(node, other);
            self.at(now + late, Event::Unlink(other, node));
        }
        if self.common.calendar.is_some() {
            // Thousands come and go: what those who went knew is not kept.
            let nobody = self.engine(self.id(node), Role::Viewer, 0);
            let this = self.node_mut(node);
            this.own.left = Some((now, this.engine.counters()));
            this.engine = nobody;
        }
    }

    /// The gateway is killed: its connections end with it.
    pub fn kill_gateway(&mut self) {
        self.common.up = false;
        self.publishes = None;
        self.common.addresses[0].alive = false;
        for other in std::mem::take(&mut self.node_mut(0).links) {
            self.at(self.now + 10_000, Event::Unlink(other, 0));
        }
    }

    /// It returns, and goes on with what it had; viewers come back by themselves.
    pub fn start_gateway(&mut self) {
        self.common.up = true;
        self.common.addresses[0].alive = true;
        self.common.publisher.restart(self.now);
        let engine = self.engine(self.id(0), Role::Gateway, u32::MAX);
        let gateway = self.node_mut(0);
        gateway.engine = engine;
        gateway.wire = Wire::default();
        gateway.associations.clear();
        gateway.wakes = 0;
        self.place_gateway();
        for node in 1..self.count() {
            let back = 200_000 + self.shards[0].random.below(1_500_000) as u64;
            self.at(self.now + back, Event::Dialled(0, node));
            if self.common.scene.feed {
                let whole = self.common.publisher.signed();
                self.at(self.now + back, Event::Feed(node, whole));
            }
        }
        self.publishes = Some(self.now + PART);
    }
}
