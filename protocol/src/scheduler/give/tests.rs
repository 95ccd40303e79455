//! What is pushed and taken back.

use super::*;
use crate::{
    message::Join,
    scheduler::{Input, Kind, Settings},
    sim::Publisher,
};

fn someone(number: u8) -> PeerId {
    let key = libp2p_identity::Keypair::ed25519_from_bytes([number; 32]);
    key.expect("any 32 bytes are a key").public().to_peer_id()
}

/// A gateway that pushes a part of the first rendition to the only viewer, who then follows `renditions`: what it
/// takes back.
fn taken_back(renditions: u16, left: bool) -> Vec<Output> {
    let mut publisher = Publisher::new(&[400_000, 200_000]);
    let settings = Settings {
        cache_bytes: 8 << 20,
        neighbours: 2,
        upload: u32::MAX,
        reserve: 300_000,
        hushes: true,
    };
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
    let settings = Settings {
        cache_bytes: 8 << 20,
        neighbours,
        upload: u32::MAX,
        reserve: 300_000,
        hushes: true,
    };
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
