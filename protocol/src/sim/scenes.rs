//! Scenes with their bars, each with a twin that shows that the bar can be missed.

use super::*;
use crate::{
    playlist::{self, Skip},
    scheduler::Counters,
};

const SECOND: u64 = 1_000_000;
/// Bytes per second that a viewer gives at most: five times the stream.
const UPLOAD: u32 = 250_000;

/// A gateway and so many viewers, 400 ms apart, with so much upload each; counted from 10 s after the last came.
fn swarm(seed: u64, viewers: usize, upload: u32, line: Line) -> World {
    let mut world = World::new(Scene {
        seed,
        ..Scene::default()
    });
    world.run(5 * SECOND);
    for _ in 0..viewers {
        world.join(upload, line);
        world.run(SECOND * 4 / 10);
    }
    world.run(10 * SECOND);
    world.mark();
    world
}

fn viewers(world: &World) -> Vec<usize> {
    (1..world.count())
        .filter(|node| world.is_alive(*node))
        .collect()
}

/// Copies of the stream that left the gateway, however.
fn copies(world: &World) -> f64 {
    let (pushed, fetched) = world.copies();
    pushed + fetched
}

fn stalls(world: &World) -> u32 {
    let stalls = viewers(world).into_iter().map(|n| world.report(n).stalls);
    stalls.sum()
}

fn sum(world: &World, of: impl Fn(Counters) -> u64) -> u64 {
    let nodes = viewers(world).into_iter();
    nodes.map(|n| of(world.report(n).counters)).sum()
}

/// What a node would show a player.
fn playlist(world: &World, node: usize) -> Option<String> {
    playlist::media(world.node(node).engine.manifest()?, "r0", Skip::No)
}

fn show(world: &World) -> String {
    let (pushed, fetched) = world.copies();
    let mut text = format!("copies pushed {pushed:.3}, fetched {fetched:.3}\n");
    for node in viewers(world) {
        let report = world.report(node);
        let player = world.node(node).player.as_ref().unwrap();
        let counters = report.counters;
        text += &format!(
            "{node}: {} stalls, {} ms behind, {} woken, in {} + {}, out {}, bad {}, twice {}\n",
            report.stalls,
            player.behind(world.now) / 1000,
            world.node(node).woken,
            counters.bytes_from_peers,
            counters.bytes_from_gateway,
            counters.bytes_uploaded,
            counters.parts_rejected,
            counters.parts_duplicate,
        );
    }
    text
}

#[test]
fn two_viewers_feed_each_other() {
    for seed in 1..4 {
        let mut world = swarm(seed, 2, UPLOAD, Line::default());
        let before = world.publisher_bytes;
        world.run(20 * SECOND);
        let stream = (world.publisher_bytes - before) as f64;
        assert!(copies(&world) <= 1.1, "{}", show(&world));
        for node in viewers(&world) {
            let given = world.report(node).counters.bytes_uploaded as f64 / stream;
            assert!((0.4..=0.6).contains(&given), "{given}: {}", show(&world));
        }
        assert_eq!(stalls(&world), 0, "{}", show(&world));
    }
}

#[test]
fn two_viewers_that_do_not_share_take_two_copies() {
    let mut world = swarm(1, 2, 0, Line::default());
    world.run(20 * SECOND);
    let (pushed, fetched) = world.copies();
    assert_eq!(pushed, 0.0, "who does not share is no seed");
    assert!((1.95..=2.05).contains(&fetched), "{}", show(&world));
    assert_eq!(sum(&world, |c| c.bytes_from_peers), 0);
    assert_eq!(stalls(&world), 0, "{}", show(&world));
}

#[test]
fn six_viewers_take_one_copy() {
    for seed in 1..4 {
        let mut world = swarm(seed, 6, UPLOAD, Line::default());
        world.run(20 * SECOND);
        assert!(copies(&world) <= 1.1, "{}", show(&world));
        for node in viewers(&world) {
            let counters = world.report(node).counters;
            let taken = counters.bytes_from_peers + counters.bytes_from_gateway;
            let ratio = counters.bytes_uploaded as f64 / taken as f64;
            assert!(ratio <= 1.3, "{ratio}: {}", show(&world));
        }
        assert_eq!(stalls(&world), 0, "{}", show(&world));
    }
}

/// What six take when nobody shares: the bar of the scene above can be missed.
#[test]
fn six_viewers_that_do_not_share_take_six_copies() {
    let mut world = swarm(1, 6, 0, Line::default());
    world.run(10 * SECOND);
    assert!(copies(&world) >= 5.9, "{}", show(&world));
}

#[test]
fn half_of_six_do_not_share() {
    let mut world = swarm(3, 6, UPLOAD, Line::default());
    for node in [1, 3, 5] {
        world.upload(node, 0);
    }
    world.run(2 * SECOND);
    world.mark();
    world.run(20 * SECOND);
    for node in [1, 3, 5] {
        assert_eq!(world.report(node).counters.bytes_uploaded, 0);
        assert!(world.report(node).counters.bytes_from_peers > 0);
    }
    assert!(copies(&world) <= 1.2, "{}", show(&world));
    assert_eq!(stalls(&world), 0, "{}", show(&world));
}

#[test]
fn a_lossy_network_with_long_ways() {
    let line = Line {
        delay: 30_000,
        loss: 0.03,
        ..Line::default()
    };
    let mut world = swarm(5, 6, UPLOAD, line);
    world.run(20 * SECOND);
    assert!(copies(&world) <= 1.3, "{}", show(&world));
    assert_eq!(stalls(&world), 0, "{}", show(&world));
}

#[test]
fn a_liar_among_six_is_dropped_and_nobody_stalls() {
    let lies = [
        Lie::AltersParts,
        Lie::InventsParts,
        Lie::ForgesAnnouncements,
        Lie::Replays,
        Lie::PromisesAll,
    ];
    for lie in lies {
        let mut world = swarm(7, 6, UPLOAD, Line::default());
        let liar = 3;
        let id = world.id(liar);
        world.lies(liar, lie);
        world.run(20 * SECOND);
        for node in viewers(&world).into_iter().filter(|node| *node != liar) {
            let rejected = world.report(node).counters.parts_rejected;
            assert!(rejected <= 1, "{lie:?}: {}", show(&world));
            let banned = &world.node(node).banned;
            assert!(banned.iter().all(|(_, peer, _)| *peer == id), "{banned:?}");
            // Who promises and does not give is no liar that can be told from a slow one: it is asked less and less.
            if lie != Lie::PromisesAll {
                assert_eq!(banned.len(), 1, "{lie:?}, viewer {node}: {}", show(&world));
                assert!(!world.linked(node, liar));
            }
            assert_eq!(world.report(node).stalls, 0, "{lie:?}: {}", show(&world));
        }
    }
}

/// Nobody is taken for a liar who is none: however lossy the network is.
#[test]
fn nobody_is_dropped_without_a_lie() {
    let line = Line {
        delay: 60_000,
        loss: 0.1,
        ..Line::default()
    };
    let mut world = swarm(7, 6, UPLOAD, line);
    world.run(20 * SECOND);
    for node in viewers(&world) {
        assert!(world.node(node).banned.is_empty());
    }
}

/// One of eight crashes every five seconds, and another comes.
fn crashes(upload: u32) -> World {
    let mut world = swarm(11, 8, upload, Line::default());
    for _ in 0..12 {
        let alive = viewers(&world);
        world.crash(alive[2]);
        world.join(upload, Line::default());
        world.run(5 * SECOND);
    }
    world
}

#[test]
fn a_crash_every_five_seconds_among_eight() {
    let (with, without) = (crashes(UPLOAD), crashes(0));
    assert!(
        stalls(&with) <= stalls(&without),
        "{}\n{}",
        show(&with),
        show(&without)
    );
    assert!(copies(&with) <= 3.0, "{}", show(&with));
    assert!(copies(&without) >= 7.0, "{}", show(&without));
}

#[test]
fn the_gateway_is_gone_for_20_s_and_returns() {
    for feed in [true, false] {
        let mut world = World::new(Scene {
            seed: 13,
            feed,
            ..Scene::default()
        });
        world.run(5 * SECOND);
        for _ in 0..4 {
            world.join(UPLOAD, Line::default());
        }
        world.run(10 * SECOND);
        world.kill_gateway();
        world.run(20 * SECOND);
        world.start_gateway();
        world.run(10 * SECOND);
        world.mark();
        world.run(15 * SECOND + 100_000);
        for node in viewers(&world) {
            let (mine, theirs) = (playlist(&world, node), playlist(&world, 0));
            let (mine, theirs) = (mine.unwrap(), theirs.unwrap());
            let differ = mine.lines().zip(theirs.lines()).find(|(a, b)| a != b);
            assert!(mine == theirs, "viewer {node} shows {differ:?}");
            let links = viewers(&world)
                .into_iter()
                .filter(|o| world.linked(node, *o));
            assert!(links.count() >= 2, "viewer {node} is one of the swarm");
            let player = world.node(node).player.as_ref().unwrap();
            assert!(player.stalls <= 2, "{}", show(&world));
        }
        assert_eq!(stalls(&world), 0, "{}", show(&world));
        assert!(copies(&world) <= 1.2, "{}", show(&world));
    }
}

/// The one neighbour that shares has an uplink of so many bytes per second; copies that left the gateway over HTTP.
fn neighbour(up: f64, upload: u32) -> (World, f64) {
    let mut world = World::new(Scene::default());
    world.run(5 * SECOND);
    let line = Line {
        up,
        ..Line::default()
    };
    world.join(UPLOAD, line);
    world.join(upload, Line::default());
    world.run(10 * SECOND);
    world.mark();
    world.run(20 * SECOND);
    let fetched = world.copies().1;
    (world, fetched)
}

#[test]
fn a_slow_only_neighbour_is_not_waited_for() {
    let (world, fetched) = neighbour(20_000.0, 0);
    assert_eq!(stalls(&world), 0, "{}", show(&world));
    assert!(fetched > 0.3, "HTTP steps in: {}", show(&world));
    assert!(fetched < 0.9, "but not for all: {}", show(&world));
    let (world, fetched) = neighbour(2e6, 0);
    assert_eq!(
        fetched,
        0.0,
        "a fast neighbour needs no help: {}",
        show(&world)
    );
}

/// The gateway sees that a seed does not pass parts on, and gives them to the other.
#[test]
fn a_slow_viewer_seeds_less() {
    let (world, _) = neighbour(20_000.0, UPLOAD);
    assert_eq!(stalls(&world), 0, "{}", show(&world));
    assert!(copies(&world) < 1.2, "{}", show(&world));
    let given = |node| world.report(node).counters.bytes_uploaded;
    assert!(5 * given(1) < given(2), "{}", show(&world));
}

/// The same seed replays the same run, another gives another.
#[test]
fn a_seed_replays_a_run() {
    let run = |seed| {
        let line = Line {
            loss: 0.05,
            ..Line::default()
        };
        let mut world = swarm(seed, 3, UPLOAD, line);
        world.run(15 * SECOND + 77_000);
        show(&world)
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}

/// What the page's choice of rendition does, in short: the best that the estimate carries with a margin.
fn adapt(world: &mut World, node: usize) -> u8 {
    let now = world.node(node).player.as_ref().unwrap().rendition;
    let Some(estimate) = world.node(node).engine.estimate() else {
        return now;
    };
    let share = |rendition: u8| LADDER[usize::from(rendition)] * 100 / estimate.max(1);
    let best = (0..2)
        .find(|rendition| share(*rendition) <= 70)
        .unwrap_or(2);
    if best < now || share(now) > 95 {
        world.switch(node, best);
        return best;
    }
    now
}

const LADDER: [u64; 3] = [600_000, 250_000, 100_000];

/// Two viewers; the link of one narrows for ten seconds. How long its choice took down and up.
fn narrows(seed: u64, kbit: f64) -> (World, f64, f64) {
    let mut world = World::new(Scene {
        seed,
        rates: LADDER.to_vec(),
        ..Scene::default()
    });
    world.run(5 * SECOND);
    for _ in 0..2 {
        world.join(600_000, Line::default());
    }
    world.run(6 * SECOND + seed * 300_000);
    let until = |world: &mut World, limit: u32, is: fn(u8) -> bool| {
        for tenth in 1..=limit {
            world.run(SECOND / 10);
            if is(adapt(world, 1)) {
                return f64::from(tenth) / 10.0;
            }
        }
        f64::INFINITY
    };
    until(&mut world, 100, |rendition| rendition == 0);
    world.mark();
    world.node_mut(1).line.down = kbit * 1000.0 / 8.0;
    world.node_mut(1).line.up = kbit * 1000.0 / 8.0;
    let down = until(&mut world, 100, |rendition| rendition != 0);
    until(&mut world, 80, |_| false);
    world.node_mut(1).line = Line::default();
    let up = until(&mut world, 200, |rendition| rendition == 0);
    (world, down, up)
}

#[test]
fn a_link_that_narrows_and_widens_is_noticed() {
    for seed in 1..8 {
        let (world, down, up) = narrows(seed, 300.0);
        assert!(
            down <= 3.0 && up <= 8.0,
            "down {down} s, up {up} s: {}",
            show(&world)
        );
    }
    let (world, down, _) = narrows(1, 10_000.0);
    assert_eq!(
        down,
        f64::INFINITY,
        "a wide link stays where it is: {}",
        show(&world)
    );
}
