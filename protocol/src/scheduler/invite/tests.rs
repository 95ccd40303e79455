//! Who is named to whom, and who is dialled then.

use super::*;
use crate::{
    message::{Join, MAX_NEIGHBOURS},
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

/// A viewer with all the neighbours that it wants, when one of them or its gateway names twelve others, two of them twice:
/// whom it dials in the second after.
fn dialled(names: PeerId) -> Vec<PeerId> {
    let mut viewer = engine(Role::Viewer);
    handle(&mut viewer, Input::Select { renditions: 1 }, 1);
    let kinds = std::iter::once(Kind::Gateway).chain(std::iter::repeat(Kind::Viewer));
    for (number, kind) in (10..).zip(kinds).take(1 + NEIGHBOURS) {
        let peer = someone(number);
        handle(&mut viewer, Input::Linked { peer, kind }, 1);
        says(&mut viewer, peer, USUAL, 1);
    }
    let others = [11, 20, 20]
        .into_iter()
        .chain(21..30)
        .map(someone)
        .collect();
    let message = Message::Neighbours(others);
    let mut outputs = handle(
        &mut viewer,
        Input::Message {
            peer: names,
            message,
        },
        1_000,
    );
    while let Some(at) = viewer.wake_at().filter(|at| *at < 1_000_000) {
        outputs.extend(handle(&mut viewer, Input::Wake, at));
    }
    let dials = outputs.into_iter().filter_map(|output| match output {
        Output::Dial { peer } => Some(peer),
        _ => None,
    });
    dials.collect()
}

#[test]
fn those_that_a_gateway_names_come_on_top_of_the_neighbours_that_there_are() {
    // As many again, for whoever is dialled takes no more.
    assert_eq!(dialled(someone(10)), [20, 21, 22, 23].map(someone));
    assert_eq!(dialled(someone(11)), [], "a viewer names them");
}

#[test]
fn where_there_is_no_room_none_of_those_named_are_kept() {
    let mut viewer = engine(Role::Viewer);
    viewer.settings.neighbours = 0;
    let (peer, kind) = (someone(10), Kind::Gateway);
    handle(&mut viewer, Input::Linked { peer, kind }, 1);
    let message = Message::Neighbours((20..).map(someone).take(MAX_NEIGHBOURS).collect());
    let outputs = handle(&mut viewer, Input::Message { peer, message }, 2);
    assert!(
        !outputs
            .iter()
            .any(|output| matches!(output, Output::Dial { .. }))
    );
    assert!(viewer.acquaintances.invited.is_empty());
}
