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
