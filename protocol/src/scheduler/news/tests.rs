//! Whom a viewer asks for what it has not heard, and by when it needs what it has.

use std::collections::BTreeSet;

use libp2p_identity::PeerId;

use crate::{
    message::Message,
    scheduler::{
        Input, Kind, Output, Role, Scheduler,
        rig::{settings, someone},
    },
    sim::{PART, Publisher},
};

/// A viewer has more to tell than a gateway reads of it: a mirror's gateway dropped whoever it asked.
#[test]
fn a_gateway_asks_no_viewer_for_the_window() {
    for (role, asks) in [(Role::Viewer, true), (Role::Gateway, false)] {
        let mut publisher = Publisher::new(&[400_000]);
        let name = publisher.key().name();
        let mut engine = Scheduler::new(someone(1), name, role, settings(2, 0), 7);
        let (peer, kind) = (someone(2), Kind::Viewer);
        let linked = engine.handle(Input::Linked { peer, kind }, 1_000_000);
        linked.expect("no envelope");
        let envelope = publisher.publish(1_000_000).envelope;
        let _ = engine.handle(Input::Envelope(&publisher.signed()), 1_000_000);
        let _ = engine.handle(Input::Envelope(&envelope), 1_000_000);
        // The origin is silent.
        for now in 1..20 {
            let woken = engine.handle(Input::Wake, 1_000_000 + now * 1_000_000);
            woken.expect("no envelope");
        }
        let asked = std::iter::from_fn(|| engine.output());
        let mut asked = asked.filter(|output| {
            let Output::Send { message, .. } = output else {
                return false;
            };
            matches!(message, Message::WantManifest)
        });
        assert_eq!(asked.next().is_some(), asks, "asks: {asks}");
    }
}

#[test]
fn of_several_gateways_each_is_asked_for_the_window_in_the_end() {
    let mut publisher = Publisher::new(&[400_000]);
    let name = publisher.key().name();
    let mut engine = Scheduler::new(someone(1), name, Role::Viewer, settings(2, 0), 7);
    let gateways: BTreeSet<PeerId> = (2..5).map(someone).collect();
    let mut now = 1_000_000;
    let envelope = publisher.publish(now).envelope;
    let _ = engine.handle(Input::Envelope(&envelope), now);
    for peer in gateways.clone() {
        let kind = Kind::Gateway;
        let linked = engine.handle(Input::Linked { peer, kind }, now);
        linked.expect("no envelope");
    }
    let mut asked = BTreeSet::new();
    for _ in 0..200 {
        while let Some(output) = engine.output() {
            if let Output::Send {
                peer,
                message: Message::WantManifest,
            } = output
            {
                asked.insert(peer);
            }
        }
        now = engine.wake_at().expect("it misses something").max(now);
        engine.handle(Input::Wake, now).expect("no envelope");
    }
    assert_eq!(asked, gateways);
}

#[test]
fn a_gateway_that_begins_anew_is_asked_at_once_by_whoever_has_no_socket() {
    for has_socket in [false, true] {
        let mut publisher = Publisher::new(&[400_000]);
        let name = publisher.key().name();
        let mut engine = Scheduler::new(someone(1), name, Role::Viewer, settings(2, 0), 7);
        let (peer, kind) = (someone(2), Kind::Gateway);
        publisher.publish(1_000_000);
        let linked = engine.handle(Input::Linked { peer, kind }, 1_000_000);
        linked.expect("no envelope");
        let envelope = publisher.signed();
        let message = Message::Manifest {
            envelope: envelope.clone(),
        };
        let input = match has_socket {
            true => Input::Envelope(&envelope),
            false => Input::Message { peer, message },
        };
        engine.handle(input, 1_000_000).expect("it is genuine");
        while engine.output().is_some() {}
        publisher.restart(1_500_000);
        let mut asked = 0;
        for now in [1_500_000, 1_600_000] {
            let (envelope, seeds) = (publisher.publish(now).envelope, Vec::new());
            let message = Message::Announcement {
                envelope,
                seeds,
                by: 0,
            };
            let heard = engine.handle(Input::Message { peer, message }, now);
            heard.expect("no envelope of its own");
            let outputs = std::iter::from_fn(|| engine.output());
            asked += outputs
                .filter(|output| {
                    let Output::Send { message, .. } = output else {
                        return false;
                    };
                    matches!(message, Message::WantManifest)
                })
                .count();
        }
        assert_eq!(asked, usize::from(!has_socket), "socket: {has_socket}");
    }
}

/// The player is given none of them before all are there: the second one's own time would be too late.
#[test]
fn what_the_player_gets_together_is_due_with_the_first_of_it() {
    for (first, later) in [(0, 0), (1, PART)] {
        let mut publisher = Publisher::new(&[400_000]);
        let name = publisher.key().name();
        let mut engine = Scheduler::new(someone(1), name, Role::Viewer, settings(2, 0), 7);
        let parts = [0, PART].map(|at| publisher.publish(at).parts[0].0);
        let signed = publisher.signed();
        let micros = publisher.manifest.segments().next().expect("one").start - 4 * PART;
        for input in [
            Input::Envelope(&signed),
            Input::Playhead {
                micros,
                moving: true,
            },
            Input::Demand {
                place: parts[0],
                first: 0,
            },
            Input::Demand {
                place: parts[1],
                first,
            },
        ] {
            engine.handle(input, PART).expect("genuine");
        }
        let wanted = parts.map(|place| engine.demand.wanted.get(&place).expect("it is not here"));
        let due = wanted.map(|wanted| engine.demand.deadline(wanted, PART));
        assert_eq!(due, [5 * PART, 5 * PART + later]);
    }
}
