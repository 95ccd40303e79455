//! Shards side by side, each in a thread of its own. Nothing that leaves a node of one is at a node of another before the
//! shortest way between them has passed: for that long each goes on by itself, then it hands over what left and waits for
//! what the others hand over. So what comes of a run does not depend on who is faster.

use std::{
    sync::mpsc::{Receiver, Sender, channel},
    thread,
};

use super::{
    common::Common,
    shard::{Event, Shard},
};
use crate::scheduler::Micros;

/// What left a shard for another in a window.
type Letter = Vec<(Micros, Event)>;

/// To, or from, each shard, in their order.
struct Post {
    to: Vec<Sender<Letter>>,
    from: Vec<Receiver<Letter>>,
}

/// Lets the time from `now` to `end` pass, in windows of `shortest` microseconds: the shortest way between two shards.
pub(super) fn pass(
    shards: &mut [Shard],
    common: &Common,
    (now, end): (Micros, Micros),
    shortest: Micros,
) {
    let posts = posts(shards.len());
    thread::scope(|scope| {
        for (shard, post) in shards.iter_mut().zip(posts) {
            scope.spawn(move || {
                let mut at = now;
                while at < end {
                    at = at.saturating_add(shortest).min(end);
                    shard.driver(common).pass_until(at);
                    exchange(shard, &post);
                }
            });
        }
    });
}

fn posts(count: usize) -> Vec<Post> {
    let ends: Vec<Vec<_>> = (0..count)
        .map(|_| (0..count).map(|_| channel()).collect())
        .collect();
    let mut posts: Vec<Post> = (0..count)
        .map(|_| Post {
            to: Vec::new(),
            from: Vec::new(),
        })
        .collect();
    for (from, ends) in ends.into_iter().enumerate() {
        for (to, (sender, receiver)) in ends.into_iter().enumerate() {
            posts[from].to.push(sender);
            posts[to].from.push(receiver);
        }
    }
    posts
}

/// Hands over what left, and takes what comes, shard by shard: in the same order each time.
fn exchange(shard: &mut Shard, post: &Post) {
    for (to, letter) in post.to.iter().zip(&mut shard.leaving) {
        to.send(std::mem::take(letter)).expect("nobody ends before");
    }
    for from in &post.from {
        for (at, event) in from.recv().expect("nobody ends before") {
            assert!(at >= shard.now, "what comes has been on its way");
            shard.events.push(at, event);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        scheduler::random::Random,
        sim::{
            Line, Player, Scene, World,
            network::{Congestion, Network, Sites},
        },
    };

    const SECOND: u64 = 1_000_000;

    fn scene(seed: u64, shards: usize) -> Scene {
        Scene {
            seed,
            shards,
            feed: false,
            network: Network {
                congestion: Congestion::OneRoundTrip,
                sites: Some(Sites::draw(6, &mut Random::new(seed))),
                ..Network::default()
            },
            ..Scene::default()
        }
    }

    /// Thirty viewers at six sites; what each of them got from viewers and from the gateway, and gave.
    fn run(seed: u64, shards: usize) -> Vec<(u64, u64, u64)> {
        let line = Line {
            loss: 0.01,
            down: f64::INFINITY,
            ..Line::default()
        };
        let mut world = World::new(scene(seed, shards));
        world.run(5 * SECOND);
        for viewer in 0..30 {
            world.join_at(viewer % 6, 250_000, line, Player::new(0, 2 * SECOND));
            world.run(SECOND / 5);
        }
        world.crash(3);
        world.leave_for_good(4);
        world.run(12 * SECOND);
        let counters = world.nodes().map(|node| node.engine.counters());
        let of = counters.map(|of| {
            (
                of.bytes_from_peers,
                of.bytes_from_gateway,
                of.bytes_uploaded,
            )
        });
        of.collect()
    }

    #[test]
    fn threads_that_are_faster_or_slower_make_no_difference() {
        let first = run(1, 3);
        assert_eq!(run(1, 3), first);
        assert_ne!(run(2, 3), first);
    }

    /// The draws of what is lost differ, and nothing else.
    #[test]
    fn a_swarm_in_shards_takes_what_one_in_one_takes() {
        let shares = |shards| {
            let all = run(1, shards);
            let sum = |of: fn(&(u64, u64, u64)) -> u64| all.iter().map(of).sum::<u64>() as f64;
            let (peers, gateway) = (sum(|of| of.0), sum(|of| of.1));
            (peers + gateway, gateway / (peers + gateway))
        };
        let (one, three) = (shares(1), shares(3));
        assert!(
            (0.98..=1.02).contains(&(three.0 / one.0)),
            "{one:?} {three:?}"
        );
        assert!((one.1 - three.1).abs() <= 0.05, "{one:?} {three:?}");
        assert!(one.1 < 0.3, "viewers feed each other: {one:?}");
    }

    /// What comes sooner than a window lasts would come too late.
    #[test]
    #[should_panic(expected = "a scoped thread panicked")]
    fn windows_may_not_be_longer_than_the_shortest_way() {
        let mut world = World::new(scene(1, 3));
        world.shortest *= 40;
        for viewer in 0..12 {
            let line = Line::default();
            world.join_at(viewer % 6, 250_000, line, Player::new(0, 2 * SECOND));
        }
        world.run(8 * SECOND);
    }

    #[test]
    #[should_panic(expected = "is in one shard")]
    fn hops_that_both_ends_have_at_once_are_in_one_shard() {
        let mut both = scene(1, 2);
        both.network.congestion = Congestion::Chromium;
        World::new(both);
    }
}
