//! Who is named to whom, and who is dialled then.

use super::*;
use crate::{
    message::Join,
    scheduler::{
        Input, Kind, Micros, Output,
        rig::{settings, someone},
    },
    sim::Publisher,
};

/// The neighbours that the viewers of these tests want.
const NEIGHBOURS: usize = 4;
/// What most can give, and what is large beside it, bytes per second.
const USUAL: u32 = 600_000;
const MUCH: u32 = 900_000;

fn engine(role: Role) -> Scheduler {
    let name = Publisher::new(&[400_000]).key().name();
    Scheduler::new(someone(1), name, role, settings(NEIGHBOURS, u32::MAX), 7)
}

/// What comes of an input.
fn handle(engine: &mut Scheduler, input: Input<'_>, now: Micros) -> Vec<Output> {
    engine.handle(input, now).expect("no envelope");
    std::iter::from_fn(|| engine.output()).collect()
}

fn says(engine: &mut Scheduler, peer: PeerId, upload: u32, renditions: u16) -> Vec<Output> {
    let gateway = true;
    let site = 0;
    let join = Join {
        renditions,
        upload,
        gateway,
        site,
    };
    let message = Message::Join(join);
    handle(engine, Input::Message { peer, message }, 2)
}

/// A gateway with so many viewers, and one of another rendition that can give much.
fn gateway(viewers: u8) -> Scheduler {
    let mut gateway = engine(Role::Gateway);
    for number in 0..=viewers {
        let (peer, kind) = (someone(number + 100), Kind::Viewer);
        handle(&mut gateway, Input::Linked { peer, kind }, 1);
        says(&mut gateway, peer, USUAL, 1);
    }
    says(&mut gateway, someone(100), MUCH, 2);
    gateway
}

/// Who is named to whom.
fn named(outputs: Vec<Output>) -> Vec<(PeerId, Vec<PeerId>)> {
    let named = outputs.into_iter().filter_map(|output| match output {
        Output::Send {
            peer,
            message: Message::Neighbours(peers),
        } => Some((peer, peers)),
        _ => None,
    });
    named.collect()
}

#[test]
fn who_turns_out_to_give_much_is_told_once_of_others_like_it() {
    let mut gateway = gateway(20);
    assert_eq!(
        named(says(&mut gateway, someone(101), MUCH, 1)),
        [],
        "there is no other yet"
    );
    assert_eq!(
        named(says(&mut gateway, someone(102), MUCH - 1, 1)),
        [],
        "that is not much"
    );
    let one = named(says(&mut gateway, someone(103), MUCH, 1));
    assert_eq!(one, [(someone(103), vec![someone(101)])]);
    let others = named(says(&mut gateway, someone(104), MUCH, 1));
    assert_eq!(others.len(), 1);
    assert_eq!(others[0].1.len(), 2, "{others:?}");
    assert_eq!(
        named(says(&mut gateway, someone(104), 2 * MUCH, 1)),
        [],
        "it was told"
    );
    // It may not have heard of any yet.
    assert_eq!(
        named(says(&mut gateway, someone(101), 2 * MUCH, 1)).len(),
        1
    );
}

#[test]
fn who_says_so_again_and_again_is_not_looked_at() {
    for (times, told) in [(100, 1), (200, 0)] {
        let mut gateway = gateway(20);
        says(&mut gateway, someone(101), MUCH, 1);
        for more in 0..times {
            says(&mut gateway, someone(102), USUAL + 1 + more, 1);
        }
        let named = named(says(&mut gateway, someone(102), MUCH, 1));
        assert_eq!(named.len(), told, "after {times} times");
    }
}

#[test]
fn no_more_than_six_are_named_and_none_where_there_are_few() {
    let mut many = gateway(40);
    let most = (101..=112).map(|number| named(says(&mut many, someone(number), MUCH, 1)));
    let most = most.flatten().map(|(_, peers)| peers.len()).max();
    assert_eq!(most, Some(INVITED));
    let mut few = gateway(FEW as u8 - 1);
    for number in 101..104 {
        assert_eq!(named(says(&mut few, someone(number), MUCH, 1)), []);
    }
}

/// A peer names others: whom the viewer dials at once.
fn dials(viewer: &mut Scheduler, peer: PeerId, names: &[PeerId], now: Micros) -> Vec<PeerId> {
    let message = Message::Neighbours(names.to_vec());
    dialled(handle(viewer, Input::Message { peer, message }, now))
}

fn dialled(outputs: Vec<Output>) -> Vec<PeerId> {
    let dialled = outputs.into_iter().filter_map(|output| match output {
        Output::Dial { peer } => Some(peer),
        _ => None,
    });
    dialled.collect()
}

/// A viewer that is linked to its gateway, number 10, and to so many of the neighbours that it wants, from 11 on.
fn viewer(neighbours: usize) -> Scheduler {
    let mut viewer = engine(Role::Viewer);
    handle(&mut viewer, Input::Select { renditions: 1 }, 1);
    let kinds = std::iter::once(Kind::Gateway).chain(std::iter::repeat(Kind::Viewer));
    for (number, kind) in (10..).zip(kinds).take(1 + neighbours) {
        let peer = someone(number);
        handle(&mut viewer, Input::Linked { peer, kind }, 1);
        says(&mut viewer, peer, USUAL, 1);
    }
    viewer
}

/// Twelve, of whom one is linked and one is there twice.
fn twelve() -> Vec<PeerId> {
    let numbers = [11, 20, 20].into_iter().chain(21..30);
    numbers.map(someone).collect()
}

#[test]
fn those_that_a_gateway_names_come_on_top_of_the_neighbours_that_there_are() {
    let mut viewer = viewer(NEIGHBOURS);
    let gateway = someone(10);
    let first = dials(&mut viewer, gateway, &twelve(), 999);
    assert_eq!(first, [], "it does so whenever it is linked");
    let mut all = dials(&mut viewer, gateway, &twelve(), 1_000);
    while let Some(at) = viewer.wake_at().filter(|at| *at < 1_000_000) {
        all.extend(dialled(handle(&mut viewer, Input::Wake, at)));
    }
    // As many again as it wants: whoever is dialled takes no more.
    assert_eq!(all, [20, 21, 22, 23].map(someone));
    assert!(viewer.acquaintances.invited.is_empty());
}

#[test]
fn what_was_asked_for_or_comes_from_a_viewer_is_dialled_where_neighbours_are_missing() {
    let mut full = viewer(NEIGHBOURS);
    for now in [999, 1_000] {
        assert_eq!(dials(&mut full, someone(11), &twelve(), now), []);
    }
    let mut lacks = viewer(NEIGHBOURS - 1);
    let gateway = someone(10);
    assert_eq!(dials(&mut lacks, gateway, &twelve(), 999), [someone(20)]);
    assert_eq!(dials(&mut lacks, gateway, &twelve(), 1_000), []);
}
