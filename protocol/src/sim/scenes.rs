//! Scenes with their bars, each with a twin that shows that the bar can be missed.

use super::*;

const SECOND: u64 = 1_000_000;
/// Bytes per second that a viewer gives at most: five times the stream.
const UPLOAD: u32 = 250_000;

/// A gateway and so many viewers, 400 ms apart, with so much upload each; marked 10 s after the last came.
fn swarm(seed: u64, viewers: usize, upload: u32) -> World {
    let mut world = World::new(Scene {
        seed,
        ..Scene::default()
    });
    world.run(5 * SECOND);
    for _ in 0..viewers {
        world.join(upload, Line::default());
        world.run(SECOND * 4 / 10);
    }
    world.run(10 * SECOND);
    world.mark();
    world
}

fn show(world: &World) {
    let (pushed, fetched) = world.copies();
    eprintln!("copies: pushed {pushed:.3} http {fetched:.3}");
    for node in 1..world.nodes.len() {
        let report = world.report(node);
        let player = world.nodes[node].player.as_ref().unwrap();
        eprintln!(
            "{node}: woken {} {:?} stalls {} behind {} ms, est {:?}",
            world.nodes[node].woken,
            report.counters,
            report.stalls,
            player.behind(world.now) / 1000,
            world.nodes[node].engine.estimate(),
        );
    }
}

#[test]
fn two_viewers_feed_each_other() {
    let mut world = swarm(1, 2, UPLOAD);
    world.run(30 * SECOND);
    show(&world);
}

#[test]
fn six_viewers() {
    let mut world = swarm(1, 6, UPLOAD);
    world.run(30 * SECOND);
    show(&world);
}
