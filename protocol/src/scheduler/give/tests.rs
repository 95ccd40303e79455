//! What is pushed and taken back.

use super::*;
use crate::{
    message::Join,
    scheduler::{
        Input, Kind,
        rig::{settings, someone},
    },
    sim::Publisher,
};

/// A gateway that pushes a part of the first rendition to the only viewer, who then follows `renditions`: what it
/// takes back.
fn taken_back(renditions: u16, left: bool) -> Vec<Output> {
    let mut publisher = Publisher::new(&[400_000, 200_000]);
    let settings = settings(2, u32::MAX);
    let name = publisher.key().name();
    let mut gateway = Scheduler::new(someone(1), name, Role::Gateway, settings, 7);
    let viewer = someone(2);
    let mut outputs = Vec::new();
    let mut handle = |input: Input<'_>| {
        gateway.handle(input, 1_000_000).expect("all is genuine");
        outputs = std::iter::from_fn(|| gateway.output()).collect();
        std::mem::take(&mut outputs)
    };
    let join = |renditions| Input::Message {
        peer: viewer,
        message: Message::Join(Join {
            renditions,
            upload: 100_000,
            gateway: false,
            site: 0,
        }),
    };
    handle(Input::Envelope(&publisher.signed()));
    handle(Input::Linked {
        peer: viewer,
        kind: Kind::Viewer,
    });
    handle(join(1));
    let published = publisher.publish(1_000_000);
    let (place, bytes) = published.parts[0].clone();
    handle(Input::Published {
        place,
        bytes: bytes.clone(),
    });
    let pushed = handle(Input::Announced {
        envelope: published.envelope.clone(),
        manifest: &publisher.manifest,
    });
    assert!(
        pushed
            .iter()
            .any(|output| matches!(output, Output::SendPart { place: at, .. } if *at == place)),
        "it is the only one who can seed it: {pushed:?}"
    );
    if left {
        handle(Input::Sent {
            peer: viewer,
            place,
            bytes: bytes.len(),
        });
    }
    let outputs = handle(join(renditions)).into_iter();
    outputs
        .filter(|output| matches!(output, Output::Unsend { .. }))
        .collect()
}

#[test]
fn a_push_of_a_rendition_that_was_left_is_taken_back_unless_it_is_under_way() {
    assert_eq!(taken_back(2, false).len(), 1);
    assert_eq!(taken_back(2, true).len(), 0);
    assert_eq!(taken_back(3, false).len(), 0, "it is still followed");
}

/// A viewer that wants `neighbours` and has two, and is pushed a part by one of them: when the other one is told of it.
fn told_after(neighbours: usize) -> Micros {
    let mut publisher = Publisher::new(&[400_000]);
    let settings = settings(neighbours, u32::MAX);
    let name = publisher.key().name();
    let mut viewer = Scheduler::new(someone(1), name, Role::Viewer, settings, 7);
    let (giver, other) = (someone(2), someone(3));
    let begun = 1_000_000;
    let input = |viewer: &mut Scheduler, input: Input<'_>, now: Micros| {
        viewer.handle(input, now).expect("all is genuine");
        let outputs: Vec<Output> = std::iter::from_fn(|| viewer.output()).collect();
        outputs.iter().any(|output| {
            matches!(output, Output::Send { peer, message: Message::Have(_) } if *peer == other)
        })
    };
    let published = publisher.publish(begun);
    input(&mut viewer, Input::Envelope(&publisher.signed()), begun);
    input(&mut viewer, Input::Select { renditions: 1 }, begun);
    for peer in [giver, other] {
        let kind = Kind::Viewer;
        input(&mut viewer, Input::Linked { peer, kind }, begun);
        let join = Join {
            renditions: 1,
            upload: 100_000,
            gateway: false,
            site: 0,
        };
        let message = Message::Join(join);
        input(&mut viewer, Input::Message { peer, message }, begun);
    }
    let (place, bytes) = published.parts[0].clone();
    let pushed = Input::Part {
        peer: giver,
        place,
        bytes,
    };
    let mut now = begun + 50_000;
    let came = now;
    let mut told = input(&mut viewer, pushed, now);
    while !told {
        now = viewer
            .wake_at()
            .expect("the other one is to be told")
            .max(now);
        told = input(&mut viewer, Input::Wake, now);
    }
    now - came
}

#[test]
fn where_everyone_is_linked_what_helps_if_a_push_fails_is_told_with_the_next_news() {
    assert_eq!(told_after(8), REPAIR);
    assert!(told_after(2) < 1000, "it may be the only one who knows");
}

/// A viewer with two parts, the older first, and three neighbours that follow them; the third has the older one, where
/// `is_held`.
fn with_two_parts(is_held: bool) -> (Scheduler, [PeerId; 3], [Place; 2]) {
    let mut publisher = Publisher::new(&[400_000]);
    let settings = settings(8, 100_000);
    let name = publisher.key().name();
    let mut viewer = Scheduler::new(someone(1), name, Role::Viewer, settings, 7);
    let published = [1_000_000, 1_200_000].map(|at| publisher.publish(at).parts[0].clone());
    let envelope = publisher.signed();
    let mut inputs = vec![Input::Envelope(&envelope), Input::Select { renditions: 1 }];
    let neighbours = [3, 4, 5].map(someone);
    for peer in neighbours {
        let kind = Kind::Viewer;
        inputs.push(Input::Linked { peer, kind });
        let message = Message::Join(Join {
            renditions: 1,
            upload: 100_000,
            gateway: false,
            site: 0,
        });
        inputs.push(Input::Message { peer, message });
    }
    let places = published.clone().map(|(place, _)| place);
    for (place, bytes) in published {
        inputs.push(Input::Held { place, bytes });
    }
    if is_held {
        let (peer, message) = (neighbours[2], Message::Have(vec![places[0]]));
        inputs.push(Input::Message { peer, message });
    }
    for input in inputs {
        viewer.handle(input, 1_300_000).expect("all is genuine");
    }
    while viewer.output().is_some() {}
    (viewer, neighbours, places)
}

#[test]
fn what_fewer_have_is_given_first_and_before_it_what_is_pushed() {
    for (is_held, pushed, first) in [(false, false, 0), (true, false, 1), (false, true, 1)] {
        let (mut viewer, neighbours, places) = with_two_parts(is_held);
        viewer.queue(neighbours[0], places[0], false);
        viewer.queue(neighbours[1], places[1], pushed);
        let order: Vec<Place> = viewer.in_order().iter().map(|key| key.0).collect();
        assert_eq!(order[0], places[first], "{is_held} {pushed}");
    }
}

#[test]
fn what_others_have_as_well_is_refused_for_what_they_lack() {
    for (is_held, refused) in [(true, (0, 0)), (false, (1, 1))] {
        let (mut viewer, neighbours, places) = with_two_parts(is_held);
        viewer.gifts.limit(25_000, 1_300_000);
        viewer.queue(neighbours[0], places[0], false);
        assert!(viewer.backlog() > LONGEST_WAIT, "{}", viewer.backlog());
        viewer.is_wanted(neighbours[1], vec![places[1]]);
        let (to, of) = refused;
        let lack = Output::Send {
            peer: neighbours[to],
            message: Message::Lack(vec![places[of]]),
        };
        assert_eq!(viewer.output(), Some(lack), "held by others: {is_held}");
    }
}

#[test]
fn who_has_just_come_is_given_first_and_refused_last_what_others_have_as_well() {
    for (came, is_new) in [(3_500_000, true), (1_900_000, false)] {
        let (mut viewer, neighbours, places) = with_two_parts(true);
        let newcomer = someone(6);
        viewer.now = came;
        viewer.linked(newcomer, Kind::Viewer);
        while viewer.output().is_some() {}
        viewer.now = 4_000_000;
        viewer.gifts.limit(25_000, viewer.now);
        viewer.queue(neighbours[1], places[1], false);
        viewer.queue(newcomer, places[0], false);
        let order: Vec<PeerId> = viewer.in_order().iter().map(|key| key.2).collect();
        let first = if is_new { newcomer } else { neighbours[1] };
        assert_eq!(order[0], first, "it came at {came}");

        viewer.take_back(newcomer, places[0]);
        viewer.is_wanted(newcomer, vec![places[0]]);
        let (peer, refused) = match is_new {
            true => (neighbours[1], places[1]),
            false => (newcomer, places[0]),
        };
        let message = Message::Lack(vec![refused]);
        assert_eq!(viewer.output(), Some(Output::Send { peer, message }));
    }
}

#[test]
fn a_seed_pushes_on_at_once_however_much_waits() {
    let (mut viewer, neighbours, places) = with_two_parts(false);
    let gateway = someone(9);
    viewer.linked(gateway, Kind::Gateway);
    viewer.gifts.limit(100_000, 1_300_000);
    for neighbour in neighbours {
        viewer.queue(neighbour, places[0], false);
    }
    assert!(viewer.backlog() > 0.7 * PUSHED, "{}", viewer.backlog());
    viewer.pass_on(places[1], Source::Peer(gateway), true);
    let pushed = viewer.gifts.queue.values().filter(|gift| gift.pushed);
    assert_eq!(pushed.count(), 3);
}
