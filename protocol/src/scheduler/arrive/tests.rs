//! What is far ahead of a window is no lie while what came behind that window is still told, nor of a neighbour that was
//! just linked, and is one later.

use crate::{
    message::Place,
    scheduler::{
        Input, Kind, Output, Role, Scheduler,
        rig::{settings, someone},
    },
    sim::Publisher,
};
use bytes::Bytes;

fn viewer(publisher: &Publisher) -> Scheduler {
    let settings = settings(2, 200_000);
    let name = publisher.key().name();
    Scheduler::new(someone(1), name, Role::Viewer, settings, 7)
}

/// What an earlier run stored comes with the announcements behind an older window as if it were new.
#[test]
fn what_is_stored_here_is_asked_of_nobody() {
    for stored in [false, true] {
        let mut publisher = Publisher::new(&[400_000]);
        let mut engine = viewer(&publisher);
        let (peer, kind) = (someone(2), Kind::Gateway);
        publisher.publish(1_000_000);
        let window = publisher.signed();
        let published = publisher.publish(1_200_000);
        let renditions = 1;
        for input in [
            Input::Select { renditions },
            Input::Linked { peer, kind },
            Input::Envelope(&window),
            Input::Envelope(&published.envelope),
        ] {
            engine.handle(input, 1_200_000).expect("they are genuine");
        }
        let (place, bytes) = published.parts[0].clone();
        assert_eq!(engine.wanted().collect::<Vec<_>>(), [place]);
        if stored {
            // Other bytes than those that were announced are no part of it.
            let other = Bytes::from_static(b"something else");
            for bytes in [other, bytes.clone()] {
                let input = Input::Held { place, bytes };
                engine.handle(input, 1_210_000).expect("no envelope");
            }
        }
        let mut fetched = false;
        for now in 0..20 {
            let woken = engine.handle(Input::Wake, 1_220_000 + now * 100_000);
            woken.expect("no envelope");
            let outputs = std::iter::from_fn(|| engine.output());
            fetched |= outputs
                .into_iter()
                .any(|one| matches!(one, Output::Fetch { .. }));
        }
        assert_eq!(
            (fetched, engine.part(place)),
            (!stored, stored.then_some(bytes))
        );
        assert_eq!(engine.counters().bytes_from_gateway, 0);
    }
}

#[test]
fn who_gives_what_no_announcement_behind_a_window_leads_to_is_dropped_at_once() {
    let publisher = Publisher::new(&[400_000]);
    let mut engine = viewer(&publisher);
    let (peer, kind) = (someone(2), Kind::Viewer);
    engine.handle(Input::Linked { peer, kind }, 1).unwrap();
    let window = publisher.signed();
    engine.handle(Input::Envelope(&window), 2).unwrap();
    for part in 0..2 {
        let place = Place {
            msn: 1_000_000,
            part,
            rendition: 0,
        };
        let bytes = Bytes::from_static(b"a part of nothing");
        let input = Input::Part { peer, place, bytes };
        engine.handle(input, 3).unwrap();
    }
    let dropped = std::iter::from_fn(|| engine.output());
    let mut dropped = dropped.filter(|one| matches!(one, Output::Drop { .. }));
    assert!(dropped.next().is_some());
}

#[test]
fn who_was_just_linked_may_be_ahead_of_what_a_newcomer_has_been_told() {
    // How long before the link the window began, how long after it parts come, and whether there were news between.
    for (young, passed, news, is_dropped) in [
        (3_000_000, 1_000, false, false),
        (3_000_000, 2_100_000, false, true),
        (3_000_000, 1_000, true, true),
        // The first announcement behind the window is not the last.
        (0, 1_000, true, false),
        (0, 2_100_000, true, true),
    ] {
        let mut publisher = Publisher::new(&[400_000]);
        let mut engine = viewer(&publisher);
        let (began, neighbour) = (60_000_000, someone(2));
        let mut handle = |input: Input<'_>, now| {
            let _ = engine.handle(input, now); // an envelope may come too early
            let outputs: Vec<Output> = std::iter::from_fn(|| engine.output()).collect();
            outputs
        };
        // An older window, as a gateway gives it; what was announced since is on its way.
        publisher.publish(1_000_000);
        handle(Input::Envelope(&publisher.signed()), began - young);
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
            "{passed} µs after it was linked, with a window {young} µs old, news: {news}"
        );
    }
}
