use super::*;
use crate::{
    message::{Join, Message, tail},
    scheduler::{
        Input, Kind, Output,
        rig::{settings, someone},
    },
    sim::{PART, Publisher},
};

fn engine(publisher: &Publisher, role: Role) -> Scheduler {
    let settings = settings(8, 2_500_000);
    Scheduler::new(someone(1), publisher.key().name(), role, settings, 7)
}

fn join(engine: &mut Scheduler, peer: PeerId, site: u32, now: Micros) {
    let join = Join {
        renditions: 1,
        upload: 200_000,
        gateway: true,
        site,
    };
    let kind = Kind::Viewer;
    let message = Message::Join(join);
    for input in [
        Input::Linked { peer, kind },
        Input::Message { peer, message },
    ] {
        engine.handle(input, now).expect("no envelope");
    }
}

/// The place of a new part.
fn publish(gateway: &mut Scheduler, publisher: &mut Publisher, now: Micros) -> Place {
    let published = publisher.publish(now);
    let newest = published.parts[0].0;
    for (place, bytes) in published.parts {
        let published = Input::Published { place, bytes };
        gateway.handle(published, now).expect("no envelope");
    }
    let (envelope, manifest) = (published.envelope, &publisher.manifest);
    let announced = Input::Announced { envelope, manifest };
    gateway.handle(announced, now).expect("no envelope");
    newest
}

fn outputs(engine: &mut Scheduler) -> Vec<Output> {
    std::iter::from_fn(|| engine.output()).collect()
}

#[test]
fn a_gateway_gives_each_site_a_seed_of_its_own_and_names_no_other() {
    let mut publisher = Publisher::new(&[400_000]);
    let mut gateway = engine(&publisher, Role::Gateway);
    let site = |peer: &PeerId| 1 + u32::from((5..8).any(|number| someone(number) == *peer));
    for number in 2..8 {
        join(&mut gateway, someone(number), site(&someone(number)), 1);
    }
    // Whoever comes later is introduced to viewers of its own site.
    for output in outputs(&mut gateway) {
        if let Output::Send {
            peer,
            message: Message::Neighbours(peers),
        } = output
            && [4, 7].map(someone).contains(&peer)
        {
            assert!(peers.iter().all(|other| site(other) == site(&peer)));
            assert_eq!(peers.len(), 2);
        }
    }
    for at in 1..10 {
        let now = at * PART;
        publish(&mut gateway, &mut publisher, now);
        let mut given = Vec::new();
        for output in outputs(&mut gateway) {
            match output {
                Output::SendPart { peer, place, .. } => {
                    given.push(site(&peer));
                    let has = Message::Have(vec![place]);
                    let bytes = 10_000;
                    for input in [
                        Input::Sent { peer, place, bytes },
                        Input::Message { peer, message: has },
                    ] {
                        gateway.handle(input, now + 1000).expect("no envelope");
                    }
                }
                Output::Send {
                    peer,
                    message: Message::Announcement { seeds, .. },
                } => {
                    assert_eq!(seeds.len(), 1);
                    let named = |number: &u8| tail(&someone(*number)) == seeds[0];
                    let seed = (2..8).find(named).expect("one of them");
                    assert_eq!(site(&someone(seed)), site(&peer));
                }
                _ => {}
            }
        }
        given.sort_unstable();
        // What was published before anyone came to the second site is for it, too.
        given.dedup();
        assert_eq!(given, [1, 2]);
    }
}

#[test]
fn who_has_neighbours_of_its_site_asks_a_far_gateway_later() {
    for (gateway, near) in [(1, false), (2, true)] {
        let mut publisher = Publisher::new(&[400_000]);
        let (place, _) = publisher.publish(0).parts[0];
        let mut viewer = engine(&publisher, Role::Viewer);
        let whole = publisher.signed();
        for input in [
            Input::Site { mine: 2, gateway },
            Input::Select { renditions: 1 },
            Input::Envelope(&whole),
            Input::Linked {
                peer: someone(9),
                kind: Kind::Gateway,
            },
        ] {
            viewer.handle(input, 1000).expect("the envelope is genuine");
        }
        join(&mut viewer, someone(2), 2, 1000);
        let fetches = |viewer: &mut Scheduler| {
            let outputs = outputs(viewer).into_iter();
            let fetch = |output: &Output| matches!(output, Output::Fetch { .. });
            outputs.filter(fetch).count()
        };
        let demand = Input::Demand {
            place,
            first: place.part,
        };
        viewer.handle(demand, 2000).expect("no envelope");
        assert_eq!(fetches(&mut viewer), usize::from(near), "gateway {gateway}");
        for at in 1..10 {
            let now = 2000 + at * LATER;
            viewer.handle(Input::Wake, now).expect("no envelope");
        }
        // It is not asked for ever: in the end the picture counts.
        assert_eq!(
            fetches(&mut viewer),
            usize::from(!near),
            "gateway {gateway}"
        );
    }
}

#[test]
fn who_finds_the_way_to_another_site_full_crosses_it_more_and_more_seldom() {
    let publisher = Publisher::new(&[400_000]);
    let place = Place {
        msn: 0,
        part: 0,
        rendition: 0,
    };
    for gateway in [1, 2] {
        let far = gateway == 1;
        let mut viewer = engine(&publisher, Role::Viewer);
        let sites = Input::Site { mine: 2, gateway };
        viewer.handle(sites, 1).expect("no envelope");
        join(&mut viewer, someone(2), 2, 1);
        let at_first = viewer.may_cross(place, 0);
        for (took, answered) in [(SLOW, true), (SLOW, false)] {
            viewer.crossed(took, answered);
            assert_eq!(viewer.may_cross(place, 0), at_first, "it was not slow");
        }
        let mut pause = PAUSE.0;
        for round in 1..10 {
            viewer.now = round * 1_000_000_000;
            viewer.crossed(SLOW + 1, round % 2 == 0);
            let rests = viewer.may_cross(place, 0).saturating_sub(viewer.now);
            assert_eq!(far, rests > 0);
            let some = pause / 2..=pause * 3 / 2;
            assert!(!far || some.contains(&rests), "{pause}: {rests}");
            pause = (2 * pause).min(PAUSE.1);
        }
        let longest = viewer.site.pause;
        viewer.crossed(SLOW, false);
        assert_eq!(viewer.site.pause, longest, "who gave up knows nothing");
        viewer.crossed(SLOW, true);
        assert_eq!(viewer.site.pause, longest / 2);
    }
}

#[test]
fn what_is_on_a_full_way_to_another_site_is_not_pushed_there_again() {
    const LATE: Micros = 2_000_000;
    let mut publisher = Publisher::new(&[400_000]);
    let mut gateway = engine(&publisher, Role::Gateway);
    let (mine, its) = (1, 1);
    let site = Input::Site { mine, gateway: its };
    gateway.handle(site, 1).expect("no envelope");
    for number in 2..6 {
        join(&mut gateway, someone(number), 2, 1);
    }
    outputs(&mut gateway);
    let mut pushed = Vec::new();
    for round in 1..12 {
        let mut now = round * 10_000_000;
        let place = publish(&mut gateway, &mut publisher, now);
        // Whoever gets it says so two seconds later.
        let mut says = Vec::new();
        let mut times = 0;
        for _ in 0..100 {
            for output in outputs(&mut gateway) {
                if let Output::SendPart {
                    peer, place: of, ..
                } = output
                    && of == place
                {
                    times += u32::from(now < round * 10_000_000 + LATE);
                    says.push((now + LATE, peer));
                    let bytes = 10_000;
                    let sent = Input::Sent { peer, place, bytes };
                    gateway.handle(sent, now).expect("no envelope");
                }
            }
            now += 50_000;
            for (_, peer) in says.extract_if(.., |(at, _)| *at <= now) {
                let message = Message::Have(vec![place]);
                let says = Input::Message { peer, message };
                gateway.handle(says, now).expect("no envelope");
            }
            gateway.handle(Input::Wake, now).expect("no envelope");
        }
        pushed.push(times);
    }
    assert!(pushed[0] > 1, "nothing is known of the way: {pushed:?}");
    assert!(pushed[1..].iter().all(|times| *times == 1), "{pushed:?}");
}
