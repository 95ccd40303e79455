//! Who is pushed a part, and who rests.

use super::*;
use crate::{
    message::{Join, Message},
    scheduler::{
        Input, Kind, Output, Role,
        rig::{settings, someone},
    },
    sim::Publisher,
};

#[test]
fn a_thousand_viewers_have_one_seed_and_ten_thousand_ten() {
    for (viewers, seeds) in [
        (1, 1),
        (1_100, 1),
        (1_499, 1),
        (1_500, 2),
        (10_100, 10),
        (100_000, 32),
    ] {
        assert_eq!(seeds_for(viewers), seeds, "{viewers}");
    }
}

/// A gateway of one stream, and the time.
struct Rig {
    engine: Scheduler,
    publisher: Publisher,
    now: Micros,
    newest: Option<Place>,
}

impl Rig {
    fn new() -> Self {
        let publisher = Publisher::new(&[400_000]);
        let settings = settings(8, u32::MAX);
        let name = publisher.key().name();
        Self {
            engine: Scheduler::new(someone(1), name, Role::Gateway, settings, 7),
            publisher,
            now: 0,
            newest: None,
        }
    }

    /// With two viewers, who are there for long and have had all parts.
    fn of_two() -> (Self, PeerId, PeerId) {
        let (one, other) = (someone(2), someone(3));
        let mut rig = Self::new();
        rig.join(one);
        rig.join(other);
        for _ in 0..20 {
            rig.publish(&[one, other]);
        }
        (rig, one, other)
    }

    fn input(&mut self, input: Input<'_>) {
        self.engine.handle(input, self.now).expect("no envelope");
    }

    fn join(&mut self, peer: PeerId) {
        self.join_with(peer, 200_000);
    }

    fn join_with(&mut self, peer: PeerId, upload: u32) {
        let join = Join {
            renditions: 1,
            upload,
            gateway: true,
            site: 0,
        };
        let message = Message::Join(join);
        let kind = Kind::Viewer;
        self.input(Input::Linked { peer, kind });
        self.input(Input::Message { peer, message });
    }

    /// Publishes a part; `has` says of whom the gateway hears 20 ms later that they have it. Who was pushed it?
    fn publish(&mut self, has: &[PeerId]) -> Vec<PeerId> {
        self.now += crate::sim::PART;
        let published = self.publisher.publish(self.now);
        for (place, bytes) in published.parts.clone() {
            self.input(Input::Published { place, bytes });
        }
        let (envelope, manifest) = (published.envelope, self.publisher.manifest.clone());
        let manifest = &manifest;
        self.input(Input::Announced { envelope, manifest });
        let mut seeds = Vec::new();
        while let Some(output) = self.engine.output() {
            if let Output::SendPart { peer, .. } = output {
                seeds.push(peer);
            }
        }
        self.now += 20_000;
        for (place, bytes) in published.parts {
            let bytes = bytes.len();
            for peer in &seeds {
                let peer = *peer;
                self.input(Input::Sent { peer, place, bytes });
            }
            for peer in has {
                self.tells(*peer, vec![place]);
            }
            self.newest = Some(place);
        }
        seeds
    }

    /// The newest part that was published.
    fn newest(&self) -> Place {
        self.newest.expect("something was published")
    }

    /// A viewer says that it has these.
    fn tells(&mut self, peer: PeerId, places: Vec<Place>) {
        let message = Message::Have(places);
        self.input(Input::Message { peer, message });
    }
}

#[test]
fn a_newcomer_is_fed_by_those_who_are_there_and_then_takes_its_turns() {
    let (old, new) = (someone(2), someone(3));
    let mut rig = Rig::new();
    rig.join(old);
    for _ in 0..20 {
        assert_eq!(rig.publish(&[old]), [old]);
    }
    rig.join(new);
    // It is not linked to the other one yet, and has the parts from elsewhere or not at all.
    for _ in 0..9 {
        assert_eq!(rig.publish(&[old]), [old]);
    }
    let seeds: Vec<PeerId> = (0..20).flat_map(|_| rig.publish(&[old, new])).collect();
    let turns = seeds.iter().filter(|seed| **seed == new).count();
    // Half of them, and at most four to make up for the time in which it was new.
    assert!((8..=14).contains(&turns), "{turns} of 20");
}

#[test]
fn who_gives_nothing_to_one_who_is_there_for_long_rests() {
    let (mut rig, ..) = Rig::of_two();
    // Each has only what the gateway gave it.
    let mut rests = 0;
    for _ in 0..20 {
        rests += usize::from(rig.publish(&[]).is_empty());
    }
    assert!(rests > 0, "nobody rested");
}

#[test]
fn seeds_are_not_at_fault_where_none_of_many_answers() {
    let all: Vec<PeerId> = (2..12).map(someone).collect();
    let mut rig = Rig::new();
    for peer in &all {
        rig.join(*peer);
    }
    for _ in 0..20 {
        rig.publish(&all);
    }
    // The gateway's line is silent: what went to a seed is not taken back and given to others, one after another. (The
    // first is, before that is known.)
    let given: usize = (0..8).map(|_| rig.publish(&[]).len()).sum();
    assert!((8..=9).contains(&given), "{given}");
    let rest = rig.engine.peers.iter();
    let rest = rest.filter(|(_, peer)| peer.rests_until > rig.now);
    assert!(
        rest.count() <= 1,
        "seeds rest for what is no fault of theirs"
    );
}

#[test]
fn what_nobody_has_is_pushed_again_for_some_seconds() {
    let all: Vec<PeerId> = (2..12).map(someone).collect();
    let mut rig = Rig::new();
    for peer in &all {
        rig.join(*peer);
    }
    rig.publish(&all[..2]);
    let seeds = rig.publish(&[]);
    let others: Vec<PeerId> = all
        .iter()
        .filter(|id| !seeds.contains(id))
        .copied()
        .collect();
    let mut again = 0;
    for _ in 0..40 {
        again += rig.publish(&others).len() - 1;
    }
    assert!((TRIES..10).contains(&again), "{again}");
}

/// Those who lie take what they are pushed, and nobody has it from them.
#[test]
fn what_a_seed_keeps_for_itself_is_pushed_to_another_where_there_are_many() {
    for (viewers, is_pushed_again) in [(FEW as u8 + 4, true), (4, false)] {
        let all: Vec<PeerId> = (2..2 + viewers).map(someone).collect();
        let mut rig = Rig::new();
        for peer in &all {
            rig.join(*peer);
        }
        for _ in 0..15 {
            rig.publish(&all);
        }
        let first = rig.publish(&[]);
        let (msn, part) = rig.publisher.manifest.latest().expect("it was published");
        let place = Place {
            msn,
            part,
            rendition: 0,
        };
        let peer = first[0];
        let message = Message::Have(vec![place]);
        rig.input(Input::Message { peer, message });
        let mut again = Vec::new();
        for _ in 0..20 {
            rig.now += 50_000;
            rig.input(Input::Wake);
            while let Some(output) = rig.engine.output() {
                if let Output::SendPart {
                    peer, place: of, ..
                } = output
                    && of == place
                {
                    again.push(peer);
                }
            }
        }
        assert_eq!(!again.is_empty(), is_pushed_again, "{viewers} viewers");
        assert!(!again.contains(&peer), "to another");
        let rests = rig.engine.peers.get(&peer).expect("it is linked");
        assert!(rests.missed > 0 && rests.rests_until > 0);
    }
}

#[test]
fn where_there_are_many_those_are_seeds_who_pass_on_soonest() {
    let mut rig = Rig::new();
    // One can give little, the next sixteen are near, all others are far.
    let viewers: Vec<PeerId> = (2..2 + 3 * FEW as u8).map(someone).collect();
    for (at, peer) in viewers.iter().copied().enumerate() {
        rig.join_with(peer, if at == 0 { 20_000 } else { 200_000 });
        let micros = if at <= FEW { 5_000 } else { 80_000 };
        rig.input(Input::RoundTrip { peer, micros });
    }
    let seeds: Vec<PeerId> = (0..40).flat_map(|_| rig.publish(&viewers)).collect();
    assert!(seeds.len() >= 40, "{seeds:?}");
    for (at, peer) in viewers.iter().enumerate() {
        let is_seed = seeds.contains(peer);
        assert_eq!(is_seed, (1..=FEW).contains(&at), "viewer {at}");
    }
}

#[test]
fn among_few_it_is_waited_for_what_they_tell_together() {
    let (mut rig, one, other) = Rig::of_two();
    let mut late = Vec::new();
    for round in 0..24 {
        // The seed tells at once, who has it from the seed of several parts together, and late.
        let seeds = rig.publish(&[]);
        assert_eq!(
            seeds.len(),
            1,
            "{round}: it is given again, or nobody has it"
        );
        let place = rig.newest();
        rig.tells(seeds[0], vec![place]);
        late.push((if seeds[0] == one { other } else { one }, place));
        if late.len() == 5 {
            for (peer, place) in late.drain(..) {
                rig.tells(peer, vec![place]);
            }
        }
    }
}
