//! What a connection takes, as tests/bench/joining.mjs measures it of pages in Chromium behind links of 10 and 40 ms each way:
//! round trips, and what browser and gateway take for their part.
//!
//! To the gateway: TCP, the upgrade to a WebSocket, Noise. What follows, streams and all, is said with the last of Noise.
//! To a neighbour, by way of the gateway's relay, which both sides' ways lead over: a circuit, Noise, offer and answer; then
//! directly ICE, DTLS, SCTP.

use super::*;

/// How the gateway is reached the page asks as it opens its stream's socket, and is answered no later; then these.
const GATEWAY: (u64, Micros) = (3, 45_000);
/// By way of the relay, and directly.
const NEIGHBOUR: (u64, u64, Micros) = (3, 3, 45_000);
/// A page without a picture dials others after this time all the same (www/src/network.ts).
const BEGINS: Micros = 1_000_000;
/// Who is gone is dialled in vain for so long.
const IN_VAIN: Micros = 10_000_000;

impl Common {
    /// How long a page that hears of its stream takes from there until it is linked to the gateway.
    pub(super) fn takes_to_join(&self, node: usize) -> Micros {
        GATEWAY.0 * 2 * self.way(node, 0) + GATEWAY.1
    }
}

impl Driver<'_> {
    /// A viewer is to be linked to another: as soon as its page has a picture to show.
    pub(super) fn dial(&mut self, node: usize, to: usize) {
        self.shard.nodes[node].held.push(to);
        self.meet(node);
    }

    /// Dials those who were held back, where the page is ready for that.
    pub(super) fn meet(&mut self, node: usize) {
        let this = &mut self.shard.nodes[node];
        let plays = this.player.as_ref().is_none_or(Player::has_begun);
        if !plays && self.shard.now < this.own.joined + BEGINS {
            return;
        }
        for to in std::mem::take(&mut this.held) {
            let relayed = 2 * (self.common.way(node, 0) + self.common.way(to, 0));
            let direct = 2 * self.common.way(node, to);
            let takes = NEIGHBOUR.0 * relayed + NEIGHBOUR.1 * direct + NEIGHBOUR.2;
            if self.common.addresses[to].alive {
                self.at(
                    self.shard.now + takes - direct / 2,
                    Event::Dialled(to, node),
                );
            } else {
                self.at(self.shard.now + IN_VAIN, Event::Answered(node, to, false));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What pages took over links of 10 and 40 ms each way, gateway and neighbour at the other end (tests/bench/joining.mjs),
    /// until the gateway was linked and until the neighbour's first channel was open, of which the way to the gateway and
    /// its introduction are left out; microseconds.
    const MEASURED: [(Micros, Micros, Micros); 2] =
        [(10_000, 101_000, 174_000), (40_000, 273_000, 547_000)];

    #[test]
    fn links_take_what_pages_take_within_a_fifth() {
        for (delay, to_gateway, to_neighbour) in MEASURED {
            let line = |delay| Line {
                up: 1e6,
                down: 1e6,
                delay,
                loss: 0.0,
            };
            let mut world = World::new(Scene {
                gateway: line(0),
                ..Scene::default()
            });
            // The neighbour is where the gateway is.
            let there = world.join_with(1000, line(0), Player::new(0, 0));
            let comes = world.join_with(1000, line(delay), Player::new(0, 0));
            world.run(5 * BEGINS);
            let since = |world: &mut World, link: (usize, usize), from: Micros| {
                while !world.linked(link.0, link.1) {
                    world.run(1_000);
                    assert!(world.now < from + IN_VAIN, "{link:?}: no link");
                }
                world.now - from
            };
            let near = |simulated: Micros, measured: Micros| {
                let off = simulated.abs_diff(measured);
                assert!(5 * off <= measured, "{delay}: {simulated} for {measured}");
            };
            near(world.common.takes_to_join(comes), to_gateway);
            world.driver(comes).close(comes, there);
            world.run(100_000);
            let from = world.now;
            world.driver(comes).dial(comes, there);
            near(since(&mut world, (comes, there), from), to_neighbour);
        }
    }
}
