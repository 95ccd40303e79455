//! Out of the swarm and in again, in the simulator: a viewer and its neighbour, and the link of the first.

use crate::sim::{Line, Scene, World};

const SECOND: u64 = 1_000_000;
/// Bits per second of the renditions.
const LARGE: u64 = 600_000;
const SMALL: u64 = 150_000;
const SOUND: u64 = 64_000;
const UPLOAD: u32 = 250_000;

/// Two viewers who feed each other the large rendition; numbers of the nodes.
fn swarm(rates: Vec<u64>) -> (World, usize, usize) {
    let mut world = World::new(Scene {
        rates,
        ..Scene::default()
    });
    world.run(3 * SECOND);
    let one = world.join(UPLOAD, Line::default());
    let other = world.join(UPLOAD, Line::default());
    world.run(10 * SECOND);
    (world, one, other)
}

fn narrow(world: &mut World, node: usize, kbit: f64) {
    world.nodes[node].line.down = kbit * 125.0;
    world.nodes[node].line.up = kbit * 125.0;
}

fn is_out(world: &World, node: usize) -> bool {
    world.nodes[node].engine.narrow.is_out()
}

/// How many seconds pass until it is so, at most `most`.
fn until(world: &mut World, most: u64, is: impl Fn(&World) -> bool) -> Option<f64> {
    let since = world.now;
    while world.now < since + most * SECOND {
        world.run(SECOND / 20);
        if is(world) {
            return Some((world.now - since) as f64 / 1e6);
        }
    }
    None
}

#[test]
fn a_viewer_whose_link_narrows_steps_out_and_is_back_with_a_smaller_rendition() {
    let (mut world, one, other) = swarm(vec![LARGE, SMALL]);
    assert!(!is_out(&world, one) && !is_out(&world, other));
    narrow(&mut world, one, 300.0);
    let out = until(&mut world, 5, |world| is_out(world, one)).expect("it steps out");
    assert!(out < 1.5, "after {out} s");
    let join = world.nodes[one].engine.join();
    assert_eq!((join.renditions, join.upload), (0, 0));
    assert!(world.nodes[one].engine.estimate().unwrap_or(0) < 450_000);
    assert!(!is_out(&world, other), "its neighbour's link is as wide");

    world.switch(one, 1);
    let within = until(&mut world, 10, |world| !is_out(world, one));
    let within = within.expect("the smaller one comes in time");
    assert!(within > 2.0, "after {within} s");
    world.run(10 * SECOND);
    assert!(!is_out(&world, one), "it stays in the swarm");
    assert_eq!(world.nodes[one].engine.join().renditions, 2);
}

#[test]
fn who_steps_in_too_soon_stays_out_longer() {
    let (mut world, one, _) = swarm(vec![LARGE, SMALL]);
    let mut stays = Vec::new();
    for _ in 0..3 {
        narrow(&mut world, one, 300.0);
        until(&mut world, 20, |world| is_out(world, one)).expect("it steps out");
        // Wide enough to step in, but not so wide that the link could not have been the reason.
        narrow(&mut world, one, 1_500.0);
        let within = until(&mut world, 60, |world| !is_out(world, one));
        stays.push(within.expect("it steps in").round() as u64);
    }
    assert!(
        stays[0] >= 3 && stays[1] > stays[0] && stays[2] > stays[1],
        "{stays:?}"
    );
}

#[test]
fn a_link_that_stays_wide_and_a_stream_without_a_choice_are_no_reason() {
    let (mut world, one, _) = swarm(vec![LARGE, SMALL]);
    assert_eq!(until(&mut world, 20, |world| is_out(world, one)), None);
    // Sound alone is no choice for who watches.
    for rates in [vec![LARGE], vec![LARGE, SOUND]] {
        let (mut world, one, _) = swarm(rates);
        narrow(&mut world, one, 300.0);
        assert_eq!(until(&mut world, 20, |world| is_out(world, one)), None);
    }
}
