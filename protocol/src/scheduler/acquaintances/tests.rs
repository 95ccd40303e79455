//! Who is dialled, and when.

use super::*;
use crate::{
    message::{Join, Place},
    scheduler::{
        Input, Kind,
        rig::{settings, someone},
    },
    sim::Publisher,
};

#[test]
fn a_newcomer_dials_four_of_those_it_hears_of_at_a_time() {
    let publisher = Publisher::new(&[400_000]);
    let settings = settings(6, u32::MAX);
    let name = publisher.key().name();
    let mut viewer = Scheduler::new(someone(1), name, Role::Viewer, settings, 7);
    let gateway = someone(2);
    let mut dials = Vec::new();
    let mut input = |viewer: &mut Scheduler, input: Input<'_>, now: Micros| {
        viewer.handle(input, now).expect("no envelope");
        let outputs: Vec<Output> = std::iter::from_fn(|| viewer.output()).collect();
        let dialled = outputs.iter();
        let dialled = dialled.filter(|output| matches!(output, Output::Dial { .. }));
        dials.extend(dialled.map(|_| now));
    };
    let kind = Kind::Gateway;
    let peer = gateway;
    input(&mut viewer, Input::Linked { peer, kind }, 1);
    let message = Message::Neighbours((3..10).map(someone).collect());
    let mut now = 1_000;
    input(&mut viewer, Input::Message { peer, message }, now);
    while now < 1_000_000 {
        now = viewer.wake_at().expect("it seeks").max(now);
        input(&mut viewer, Input::Wake, now);
    }
    let later = |rounds: u64| 1_000 + rounds * PACE;
    let (first, then) = (later(0), later(1));
    assert_eq!(dials, [first, first, first, first, then, then]);
}

#[test]
fn more_neighbours_are_asked_for_until_there_are_enough() {
    for (neighbours, asks) in [(FEW - 1, true), (FEW, false)] {
        let publisher = Publisher::new(&[400_000]);
        let settings = settings(8, u32::MAX);
        let name = publisher.key().name();
        let mut viewer = Scheduler::new(someone(1), name, Role::Viewer, settings, 7);
        let mut asked = 0;
        let mut input = |viewer: &mut Scheduler, input: Input<'_>, now: Micros| {
            viewer.handle(input, now).expect("no envelope");
            let outputs = std::iter::from_fn(|| viewer.output());
            let message = Message::WantNeighbours;
            asked += outputs
                .filter(|output| matches!(output, Output::Send { message: said, .. } if *said == message))
                .count();
        };
        let (peer, kind) = (someone(2), Kind::Gateway);
        input(&mut viewer, Input::Select { renditions: 1 }, 1);
        input(&mut viewer, Input::Linked { peer, kind }, 1);
        for peer in (0..neighbours as u8).map(|number| someone(number + 3)) {
            let kind = Kind::Viewer;
            input(&mut viewer, Input::Linked { peer, kind }, 2);
            let join = Join {
                renditions: 1,
                upload: 200_000,
                gateway: true,
                site: 0,
            };
            let message = Message::Join(join);
            input(&mut viewer, Input::Message { peer, message }, 2);
        }
        input(&mut viewer, Input::Wake, 3_000_000);
        assert_eq!(asked > 0, asks, "{neighbours} neighbours");
    }
}

/// When a viewer with so many neighbours, who all refuse what they are asked for or else give it, asks for others, microseconds
/// from its first part on.
fn seeks(refuse: bool, neighbours: u8) -> Vec<Micros> {
    let mut publisher = Publisher::new(&[400_000]);
    let settings = settings(8, u32::MAX);
    let name = publisher.key().name();
    let mut viewer = Scheduler::new(someone(1), name, Role::Viewer, settings, 7);
    let begins = 40_000_000;
    let mut asks = Vec::new();
    let mut input = |viewer: &mut Scheduler, input: Input<'_>, now: Micros| {
        viewer.handle(input, now).expect("genuine");
        let outputs = std::iter::from_fn(|| viewer.output());
        let mut wants = Vec::new();
        for output in outputs {
            if let Output::Send { peer, message } = output {
                match message {
                    Message::WantNeighbours if now > begins => asks.push(now - begins),
                    Message::Want(places) => wants.push((peer, places[0])),
                    _ => {}
                }
            }
        }
        wants
    };
    let window = publisher.signed();
    input(&mut viewer, Input::Select { renditions: 1 }, 1);
    input(&mut viewer, Input::Envelope(&window), 1);
    let (peer, kind) = (someone(2), Kind::Gateway);
    input(&mut viewer, Input::Linked { peer, kind }, 1);
    let neighbours: Vec<PeerId> = (3..3 + neighbours).map(someone).collect();
    for peer in neighbours.iter().copied() {
        let kind = Kind::Viewer;
        input(&mut viewer, Input::Linked { peer, kind }, 2);
        let message = Message::Join(Join {
            renditions: 1,
            upload: 200_000,
            gateway: true,
            site: 0,
        });
        input(&mut viewer, Input::Message { peer, message }, 2);
    }
    // It has been there for long: what it seeks by itself it seeks seldom.
    for second in 1..40 {
        input(&mut viewer, Input::Wake, second * 1_000_000);
    }
    let published = publisher.publish(begins);
    let (place, bytes) = published.parts[0].clone();
    let mut wants = input(&mut viewer, Input::Envelope(&published.envelope), begins);
    for now in (begins..begins + 8_000_000).step_by(20_000) {
        for peer in neighbours.iter().filter(|_| now == begins) {
            let (peer, message) = (*peer, Message::Have(vec![place]));
            wants.extend(input(&mut viewer, Input::Message { peer, message }, now));
        }
        for (peer, place) in std::mem::take(&mut wants) {
            let answer = match refuse {
                true => {
                    let message = Message::Lack(vec![place]);
                    Input::Message { peer, message }
                }
                false => {
                    let bytes = bytes.clone();
                    Input::Part { peer, place, bytes }
                }
            };
            wants.extend(input(&mut viewer, answer, now + 1));
        }
        wants.extend(input(&mut viewer, Input::Wake, now + 2));
    }
    asks
}

#[test]
fn who_gets_nothing_of_its_neighbours_seeks_others() {
    let asks = seeks(true, 11);
    let first = *asks.first().expect("it starves");
    assert!(
        (STARVES..=STARVES + SEEK.0 + 400_000).contains(&first),
        "{asks:?}"
    );
    assert!(
        asks.len() <= 4,
        "not more often than a newcomer does: {asks:?}"
    );
    assert_eq!(seeks(false, 11), [], "neighbours that give are enough");
    assert_eq!(seeks(true, 12), [], "newcomers have to be linked as well");
}

#[test]
fn who_shares_nothing_is_no_neighbour_to_count_on() {
    let publisher = Publisher::new(&[400_000]);
    for (upload, asks) in [(0, true), (200_000, false)] {
        let name = publisher.key().name();
        let mut viewer = Scheduler::new(someone(1), name, Role::Viewer, settings(8, 1), 7);
        let (peer, kind) = (someone(2), Kind::Gateway);
        let mut inputs = vec![
            Input::Select { renditions: 1 },
            Input::Linked { peer, kind },
        ];
        for peer in (3..10).map(someone) {
            let kind = Kind::Viewer;
            let message = Message::Join(Join {
                renditions: 1,
                upload,
                gateway: true,
                site: 0,
            });
            inputs.extend([
                Input::Linked { peer, kind },
                Input::Message { peer, message },
            ]);
        }
        for input in inputs {
            viewer.handle(input, 1).expect("no envelope");
        }
        viewer.handle(Input::Wake, 3_000_000).expect("no envelope");
        let mut outputs = std::iter::from_fn(|| viewer.output());
        let wants = Message::WantNeighbours;
        let asked = outputs
            .any(|output| matches!(output, Output::Send { message, .. } if message == wants));
        assert_eq!(asked, asks, "neighbours give {upload} bytes a second");
    }
}

/// A viewer whose player has just asked for the window's first part, and what came of that; where that is on the
/// timeline.
fn newcomer() -> (Scheduler, Vec<Output>, u64) {
    let mut publisher = Publisher::new(&[400_000]);
    for number in 1..30 {
        publisher.publish(number * 200_000);
    }
    let settings = settings(5, u32::MAX);
    let name = publisher.key().name();
    let mut viewer = Scheduler::new(someone(1), name, Role::Viewer, settings, 7);
    let envelope = publisher.signed();
    let select = Input::Select { renditions: 1 };
    viewer.handle(select, 1_000).expect("no envelope");
    let window = Input::Envelope(&envelope);
    viewer.handle(window, 1_000).expect("genuine");
    let manifest = viewer.manifest().expect("a window");
    let first = manifest.segments().next().expect("some segments");
    let (msn, start) = (first.msn, first.start);
    let place = Place {
        msn,
        part: 0,
        rendition: 0,
    };
    let demand = Input::Demand { place, first: 0 };
    viewer.handle(demand, 1_000).expect("no envelope");
    let outputs = std::iter::from_fn(|| viewer.output()).collect();
    (viewer, outputs, start)
}

#[test]
fn a_newcomer_asks_who_was_just_linked_for_what_it_lacks_next_before_it_hears_what_that_one_has() {
    for far_off in [false, true] {
        let (mut viewer, ..) = newcomer();
        let (mine, gateway) = (1, if far_off { 2 } else { 1 });
        let site = Input::Site { mine, gateway };
        viewer.handle(site, 2_000).expect("no envelope");
        let mut wants = Vec::new();
        for (peer, now) in [(someone(2), 300_000), (someone(3), 310_000)] {
            let kind = Kind::Viewer;
            let linked = Input::Linked { peer, kind };
            viewer.handle(linked, now).expect("no envelope");
            let outputs = std::iter::from_fn(|| viewer.output());
            wants.extend(outputs.filter_map(|output| match output {
                Output::Send {
                    peer: to,
                    message: Message::Want(places),
                } => Some((to == peer, places.iter().map(|place| place.part).collect())),
                _ => None,
            }));
        }
        let each: [(bool, Vec<u32>); 2] = [(true, vec![2]), (true, vec![3])];
        let expected: &[_] = if far_off { &[] } else { &each };
        assert_eq!(wants, expected, "0.4 s are fetched; far off: {far_off}");
    }
}

#[test]
fn who_has_been_there_for_long_waits_to_hear_what_is_to_be_had() {
    let (mut viewer, ..) = newcomer();
    let (peer, kind) = (someone(2), Kind::Viewer);
    let linked = Input::Linked { peer, kind };
    viewer.handle(linked, 10_000_000).expect("no envelope");
    let mut outputs = std::iter::from_fn(|| viewer.output());
    assert!(!outputs.any(|output| matches!(
        output,
        Output::Send {
            message: Message::Want(_),
            ..
        }
    )));
}

#[test]
fn a_newcomer_fetches_what_its_player_begins_with_and_then_waits_to_be_introduced() {
    let (_, outputs, _) = newcomer();
    let fetched = outputs.into_iter().filter_map(|output| match output {
        Output::Fetch { place } => Some(place.part),
        _ => None,
    });
    assert_eq!(fetched.collect::<Vec<_>>(), [0, 1], "0.4 s");
}
