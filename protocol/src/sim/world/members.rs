//! Who comes and who goes: viewers that join, leave and vanish, liars, and the gateway that is killed and starts again.

use super::*;

impl World {
    pub(super) fn add(&mut self, role: Role, upload: u32, line: Line) -> usize {
        let number = self.nodes.len();
        let mut secret = [1; 32];
        secret[..8].copy_from_slice(&(number as u64 + 1000).to_le_bytes());
        let key = SigningKey::from_secret(secret).to_protobuf();
        let pair = libp2p_identity::Keypair::from_protobuf_encoding(&key).expect("a key");
        let id = pair.public().to_peer_id();
        let engine = self.engine(id, role, upload);
        self.nodes.push(Node {
            id,
            engine,
            player: None,
            line,
            lie: None,
            alive: true,
            wire: Wire::default(),
            associations: BTreeMap::new(),
            links: BTreeSet::new(),
            wakes: 0,
            woken: 0,
            fetching: BTreeMap::new(),
            connections: Connections::default(),
            held: Vec::new(),
            site: 0,
            own: Own::new(self.now),
            heard: Vec::new(),
            banned: Vec::new(),
            fetches: 0,
            given: 0,
            fetched: 0,
            marked: Default::default(),
        });
        let same = self.numbers.insert(end(&id), number);
        assert!(same.is_none(), "no two names end alike");
        number
    }

    pub(super) fn engine(&mut self, id: PeerId, role: Role, upload: u32) -> Scheduler {
        let settings = Settings {
            cache_bytes: self.scene.cache,
            neighbours: self.scene.neighbours,
            upload,
            reserve: 300_000,
            hushes: self.scene.hushes,
        };
        let name = self.publisher.key().name();
        Scheduler::new(id, name, role, settings, self.random.next()).checked_by(checks::shared())
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
        let node = self.add(Role::Viewer, upload, line);
        self.nodes[node].site = site;
        let rendition = player.rendition;
        self.nodes[node].player = Some(player);
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
        let whole = self.publisher.signed();
        let late = 2 * self.way(node, 0) + 20_000;
        self.at(self.now + late, Event::Feed(node, whole));
        self.at(self.now + TICK, Event::Tick(node));
        if self.up {
            self.at(self.joined_at(node, late), Event::Link(node, 0));
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
        let sites = self.scene.network.sites.as_ref();
        sites.is_some_and(|sites| sites.trunk.is_some())
    }

    /// A node lies from now on.
    pub fn lies(&mut self, node: usize, lie: Lie) {
        self.nodes[node].lie = Some(lie);
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
        self.nodes[node].alive = false;
        let links = std::mem::take(&mut self.nodes[node].links);
        for other in links {
            let late = noticed + self.way(node, other);
            self.at(self.now + late, Event::Unlink(other, node));
        }
        self.nodes[node].wire = Wire::default();
        self.nodes[node].associations.clear();
        if self.trace.is_some() {
            // Thousands come and go: what those who went knew is not kept.
            let id = self.nodes[node].id;
            let upload = 0;
            self.nodes[node].own.left = Some((self.now, self.nodes[node].engine.counters()));
            self.nodes[node].engine = self.engine(id, Role::Viewer, upload);
        }
    }

    /// The gateway is killed: its connections end with it.
    pub fn kill_gateway(&mut self) {
        self.up = false;
        self.nodes[0].alive = false;
        let links = std::mem::take(&mut self.nodes[0].links);
        for other in links {
            self.at(self.now + 10_000, Event::Unlink(other, 0));
        }
    }

    /// It returns, and goes on with what it had; viewers come back by themselves.
    pub fn start_gateway(&mut self) {
        self.up = true;
        self.publisher.restart(self.now);
        let id = self.nodes[0].id;
        let engine = self.engine(id, Role::Gateway, u32::MAX);
        let gateway = &mut self.nodes[0];
        gateway.engine = engine;
        gateway.wire = Wire::default();
        gateway.associations.clear();
        gateway.alive = true;
        gateway.wakes = 0;
        self.place_gateway();
        for node in 1..self.nodes.len() {
            let back = 200_000 + self.random.below(1_500_000) as u64;
            self.at(self.now + back, Event::Link(node, 0));
            if self.scene.feed {
                let whole = self.publisher.signed();
                self.at(self.now + back, Event::Feed(node, whole));
            }
        }
        self.at(self.now + PART, Event::Publish);
    }
}
