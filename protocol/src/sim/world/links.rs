//! Connections between nodes: how one comes to be, and how it ends. Each end knows of what the other did a way later.

use super::*;

impl Driver<'_> {
    /// A dial is there. Who is gone, has no wish for it or has a connection already answers no.
    pub(super) fn dialled(&mut self, node: usize, from: usize) {
        let is_there = self.common.addresses[node].alive;
        let may = is_there && !self.linked(node, from) && !self.bans(node, from);
        if may {
            self.connect(node, from);
        }
        // It may have ended it at once.
        let takes = may && self.linked(node, from);
        let late = self.common.way(node, from);
        self.at(self.shard.now + late, Event::Answered(from, node, takes));
    }

    /// What came of a dial. Two who dialled each other have one connection of it.
    pub(super) fn answered(&mut self, node: usize, to: usize, takes: bool) {
        if self.linked(node, to) {
            return;
        }
        let addresses = &self.common.addresses;
        let are_there = addresses[node].alive && addresses[to].alive;
        if takes && are_there && !self.bans(node, to) {
            return self.connect(node, to);
        }
        if takes {
            let late = self.common.way(node, to);
            self.at(self.shard.now + late, Event::Unlink(to, node));
        }
        let peer = self.common.addresses[to].id;
        self.input(node, Input::Unlinked { peer });
    }

    pub(super) fn linked(&self, node: usize, other: usize) -> bool {
        self.shard.nodes[node].links.contains(&other)
    }

    fn bans(&self, node: usize, other: usize) -> bool {
        let id = self.common.addresses[other].id;
        let banned = &self.shard.nodes[node].banned;
        banned.iter().any(|(_, peer, _)| *peer == id)
    }

    fn connect(&mut self, node: usize, other: usize) {
        self.shard.nodes[node].links.insert(other);
        let peer = self.common.addresses[other].id;
        let kind = match other {
            0 => Kind::Gateway,
            _ => Kind::Viewer,
        };
        let micros = 2 * self.common.way(node, other);
        self.input(node, Input::Linked { peer, kind });
        self.input(node, Input::RoundTrip { peer, micros });
    }

    /// A node ends a connection.
    pub(super) fn close(&mut self, node: usize, other: usize) {
        self.unlink(node, other);
        let late = self.common.way(node, other);
        self.at(self.shard.now + late, Event::Unlink(other, node));
    }

    /// A connection has ended for a node, whoever ended it.
    pub(super) fn unlink(&mut self, node: usize, gone: usize) {
        let this = &mut self.shard.nodes[node];
        if this.links.remove(&gone) {
            this.wire.unlink(gone);
            this.associations.remove(&gone);
            let peer = self.common.addresses[gone].id;
            self.input(node, Input::Unlinked { peer });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Micros = 1_000_000;

    fn world(viewers: usize, scene: Scene) -> World {
        let mut world = World::new(scene);
        world.run(5 * SECOND);
        for _ in 0..viewers {
            world.join(250_000, Line::default());
        }
        world.run(5 * SECOND);
        world
    }

    /// Of a node that is there: whom it is linked to, as its engine knows it.
    fn known(world: &World, node: usize) -> Vec<usize> {
        let peers = world.node(node).engine.peers().into_iter();
        let numbers = peers.filter_map(|peer| world.common.number(&peer.peer));
        numbers.collect()
    }

    /// Connections of which an end, or its engine, does not know.
    fn halves(world: &World) -> BTreeSet<(usize, usize)> {
        let mut halves = BTreeSet::new();
        for node in (0..world.count()).filter(|node| world.is_alive(*node)) {
            let known = known(world, node);
            for other in 0..world.count() {
                let linked = world.linked(node, other);
                if linked != known.contains(&other) || linked != world.linked(other, node) {
                    halves.insert((node, other));
                }
            }
        }
        halves
    }

    #[test]
    fn both_ends_know_of_a_connection_whoever_comes_and_goes() {
        let mut world = world(14, Scene::default());
        for round in 0..6 {
            world.leave_for_good(1 + round);
            world.join(250_000, Line::default());
            world.run(SECOND);
            let before = halves(&world);
            // What was on its way is there.
            world.run(SECOND / 5);
            let still: Vec<_> = halves(&world).intersection(&before).copied().collect();
            assert!(still.is_empty(), "round {round}: {still:?}");
            assert!(known(&world, 14).len() > 3, "it is linked to the others");
        }
    }

    /// At once, and so that the other dial comes when this one is answered.
    #[test]
    fn two_who_dial_each_other_have_one_connection() {
        for later in [0, 15_000] {
            let mut world = world(2, Scene::default());
            world.driver(1).close(1, 2);
            world.run(SECOND / 10);
            assert!(!world.linked(1, 2) && !world.linked(2, 1));
            world.driver(1).dial(1, 2);
            world.run(later);
            world.driver(2).dial(2, 1);
            world.run(SECOND);
            assert!(known(&world, 1).contains(&2) && known(&world, 2).contains(&1));
            assert_eq!(halves(&world), BTreeSet::new());
        }
    }

    #[test]
    fn who_ends_a_connection_at_once_leaves_no_half_of_it() {
        // Two connections are enough for each.
        let few = Scene {
            neighbours: 1,
            ..Scene::default()
        };
        let mut world = world(9, few);
        let of = |world: &World, node| known(world, node).iter().filter(|of| **of > 0).count();
        let strangers = |world: &World| {
            let pairs = (1..10).flat_map(|full| (1..10).map(move |lacks| (full, lacks)));
            let strange = |(full, lacks): &(usize, usize)| {
                full != lacks && of(world, *full) >= 2 && of(world, *lacks) < 2
            };
            let mut pairs = pairs.filter(strange);
            pairs.find(|(full, lacks)| !world.linked(*full, *lacks))
        };
        let (full, lacks) = strangers(&world).expect("nine cannot all have two and no more");
        world.driver(lacks).dial(lacks, full);
        world.run(SECOND);
        assert!(!world.linked(full, lacks), "it has enough");
        assert_eq!(halves(&world), BTreeSet::new());
    }
}
