//! What is far ahead of a window is no lie of a neighbour that was just linked, and is one later, or once there are news.

use libp2p_identity::{Keypair, PeerId};

use crate::{
    scheduler::{Input, Kind, Output, Role, Scheduler, Settings},
    sim::Publisher,
};

fn someone(number: u8) -> PeerId {
    let key = Keypair::ed25519_from_bytes([number; 32]).expect("any 32 bytes are a key");
    key.public().to_peer_id()
}

#[test]
fn who_was_just_linked_may_be_ahead_of_what_a_newcomer_has_been_told() {
    for (passed, news, is_dropped) in [
        (1_000, false, false),
        (2_100_000, false, true),
        (1_000, true, true),
    ] {
        let mut publisher = Publisher::new(&[400_000]);
        let settings = Settings {
            cache_bytes: 8 << 20,
            neighbours: 2,
            upload: 200_000,
            reserve: 300_000,
        };
        let name = publisher.key().name();
        let mut engine = Scheduler::new(someone(1), name, Role::Viewer, settings, 7);
        let (began, neighbour) = (60_000_000, someone(2));
        let mut handle = |input: Input<'_>, now| {
            let _ = engine.handle(input, now); // an envelope may come too early
            let outputs: Vec<Output> = std::iter::from_fn(|| engine.output()).collect();
            outputs
        };
        // An older window, as a gateway gives it; what was announced since is on its way.
        publisher.publish(1_000_000);
        handle(Input::Envelope(&publisher.signed()), began);
        let (peer, kind) = (neighbour, Kind::Viewer);
        handle(Input::Linked { peer, kind }, began);
        let since: Vec<_> = (2..60).map(|n| publisher.publish(n * 1_000_000)).collect();
        if news {
            handle(Input::Envelope(&since[0].envelope), began + 500);
        }
        let mut dropped = false;
        for published in &since[50..] {
            for (place, bytes) in published.parts.clone() {
                let input = Input::Part { peer, place, bytes };
                let outputs = handle(input, began + passed);
                dropped |= outputs.iter().any(|one| matches!(one, Output::Drop { .. }));
            }
        }
        assert_eq!(
            dropped, is_dropped,
            "{passed} µs after it was linked, news: {news}"
        );
    }
}
