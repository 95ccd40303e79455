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
        let published = publisher.publish(now);
        for (place, bytes) in published.parts {
            let published = Input::Published { place, bytes };
            gateway.handle(published, now).expect("no envelope");
        }
        let (envelope, manifest) = (published.envelope, publisher.manifest.clone());
        let manifest = &manifest;
        let announced = Input::Announced { envelope, manifest };
        gateway.handle(announced, now).expect("no envelope");
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
