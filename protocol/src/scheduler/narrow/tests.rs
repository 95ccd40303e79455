//! Out of the swarm and in again, in the simulator: a viewer and its neighbour, and the link of the first.

use libp2p_identity::PeerId;

use crate::{
    message::Message,
    scheduler::{
        Input, Kind, Output, Role, Scheduler,
        rig::{settings, someone},
    },
    sim::{Line, Publisher, Scene, World},
};

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
    world.node_mut(node).line.down = kbit * 125.0;
    world.node_mut(node).line.up = kbit * 125.0;
}

fn is_out(world: &World, node: usize) -> bool {
    world.node(node).engine.narrow.is_out()
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
    let join = world.node(one).engine.join();
    assert_eq!((join.renditions, join.upload), (0, 0));
    assert!(world.node(one).engine.estimate().unwrap_or(0) < 450_000);
    assert!(!is_out(&world, other), "its neighbour's link is as wide");

    world.switch(one, 1);
    let within = until(&mut world, 10, |world| !is_out(world, one));
    let within = within.expect("the smaller one comes in time");
    assert!(within > 2.0, "after {within} s");
    world.run(10 * SECOND);
    assert!(!is_out(&world, one), "it stays in the swarm");
    assert_eq!(world.node(one).engine.join().renditions, 2);
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

/// A viewer of two renditions to whom a gateway alone pushes, five seconds on.
struct Pushed {
    publisher: Publisher,
    engine: Scheduler,
    gateway: PeerId,
    now: u64,
    /// So late comes what is announced.
    held: u64,
}

impl Pushed {
    fn new() -> Self {
        let (me, gateway) = (someone(1), someone(2));
        let publisher = Publisher::new(&[LARGE, SMALL]);
        let settings = settings(2, UPLOAD);
        let name = publisher.key().name();
        let engine = Scheduler::new(me, name, Role::Viewer, settings, 7);
        let mut pushed = Self {
            publisher,
            engine,
            gateway,
            now: 1_000_000,
            held: 0,
        };
        let envelope = pushed.publisher.signed();
        pushed.handle(Input::Envelope(&envelope));
        pushed.handle(Input::Select { renditions: 1 });
        let kind = Kind::Gateway;
        pushed.handle(Input::Linked {
            peer: gateway,
            kind,
        });
        for _ in 0..25 {
            pushed.part(10_000);
        }
        pushed
    }

    fn handle(&mut self, input: Input<'_>) -> Vec<Output> {
        let taken = self.engine.handle(input, self.now);
        taken.expect("what the publisher signs is genuine");
        std::iter::from_fn(|| self.engine.output()).collect()
    }

    /// Two tenths of a second in which a part is announced at once and is here `after` microseconds later.
    fn part(&mut self, after: u64) -> Vec<Output> {
        let since = self.now;
        let published = self.publisher.publish(since - self.held);
        let seeds = vec![crate::message::tail(&self.engine.me)];
        let envelope = published.envelope;
        let message = Message::Announcement {
            envelope,
            seeds,
            by: 0,
        };
        let peer = self.gateway;
        let mut outputs = self.handle(Input::Message { peer, message });
        self.now = since + after;
        let (place, bytes) = published.parts[0].clone();
        outputs.extend(self.handle(Input::Part { peer, place, bytes }));
        self.now = self.now.max(since + 200_000);
        outputs
    }

    /// Nothing comes for so long.
    fn silence(&mut self, micros: u64) -> Vec<Output> {
        let until = self.now + micros;
        let mut outputs = Vec::new();
        while let Some(at) = self.engine.wake_at().filter(|at| *at <= until) {
            self.now = at.max(self.now);
            outputs.extend(self.handle(Input::Wake));
        }
        self.now = until;
        outputs
    }
}

fn narrowed(outputs: &[Output]) -> bool {
    outputs.contains(&Output::Narrowed)
}

fn asks_for_all(outputs: &[Output]) -> bool {
    let asks = |output: &Output| {
        matches!(
            output,
            Output::Send {
                message: Message::WantManifest,
                ..
            }
        )
    };
    outputs.iter().any(asks)
}

#[test]
fn an_announcement_that_waits_behind_a_late_part_tells_of_the_link_and_is_no_loss() {
    let mut pushed = Pushed::new();
    assert!(!narrowed(&pushed.part(350_000)), "one late part is none");
    let outputs = pushed.silence(300_000);
    assert!(narrowed(&outputs) && pushed.engine.narrow.is_out());
    // A manifest would hold up what is on its way.
    assert!(!asks_for_all(&outputs) && !asks_for_all(&pushed.silence(1_500_000)));
    assert!(asks_for_all(&pushed.silence(3_000_000)));
}

#[test]
fn silence_alone_is_the_gateways() {
    let mut pushed = Pushed::new();
    pushed.part(10_000);
    let outputs = pushed.silence(3_000_000);
    assert!(!narrowed(&outputs));
    assert!(asks_for_all(&outputs), "a loss");
}

#[test]
fn a_part_right_behind_an_announcement_that_was_late_itself_is_not_late() {
    let mut pushed = Pushed::new();
    pushed.now += 300_000;
    pushed.held = 300_000;
    for _ in 0..4 {
        assert!(!narrowed(&pushed.part(20_000)));
    }
}

/// Nothing follows from what is overdue where there is no other rendition: a page that plays one is not woken for that.
#[test]
fn who_has_no_choice_is_not_woken_for_what_is_overdue() {
    let (mut world, one, other) = swarm(vec![LARGE]);
    let woken = |world: &World| world.node(one).woken + world.node(other).woken;
    let before = woken(&world);
    for _ in 0..1000 {
        world.run(SECOND / 100);
        assert_eq!(world.node(one).engine.overdue_at(), None);
    }
    let each_second = (woken(&world) - before) / 20;
    assert!(each_second <= 10, "{each_second} times a second");

    let (mut world, one, _) = swarm(vec![LARGE, SMALL]);
    let due = until(&mut world, 2, |world| {
        world.node(one).engine.overdue_at().is_some()
    });
    assert!(due.is_some(), "who has a choice looks at what is overdue");
}
