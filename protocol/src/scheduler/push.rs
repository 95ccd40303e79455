//! Who is likely to push a new part to this viewer, and how long that is waited for.
//!
//! A gateway names the seeds of a part beside its announcement. The page's own socket may be faster with the same
//! announcement, and names nobody: the seeds are then learned from the gateway's, which comes right behind.

use std::collections::VecDeque;

use libp2p_identity::PeerId;

use super::{
    Micros, Scheduler,
    random::{turn, turn_of},
};
use crate::message::{Place, tail};

/// How long a push is waited for before others are asked: twice what it usually takes, between these bounds.
const PATIENCE: (Micros, Micros) = (150_000, 1_500_000);
/// And no longer than this after a neighbour said that it has the part: what was pushed to that one was pushed to all in the
/// same moments, and a push that did not come by then may not come at all, as its seed may have nothing to push.
const OVERTAKEN: Micros = 80_000;
/// Who did not give so large a share of what it was asked for lately is not believed: it might say that it has everything.
const DOUBTED: f64 = 0.4;
/// Share of what pushes usually take that is forgotten with each that comes sooner.
const FORGETS: f64 = 0.2;
/// Parts with several seeds of whom is remembered who they are.
const SEEDED: usize = 64;
/// Announcements without seeds of which is remembered what they brought.
const UNSEEDED: usize = 8;

/// What was announced, by (epoch, sequence), before anyone told its seeds.
#[derive(Debug, Default)]
pub(super) struct Unseeded(VecDeque<((u64, u64), Vec<Place>)>);

impl Unseeded {
    pub(super) fn heard(&mut self, at: (u64, u64), places: Vec<Place>) {
        if places.is_empty() {
            return;
        }
        if self.0.len() == UNSEEDED {
            self.0.pop_front();
        }
        self.0.push_back((at, places));
    }

    fn take(&mut self, at: (u64, u64)) -> Vec<Place> {
        let known = self.0.iter().position(|(heard, _)| *heard == at);
        let taken = known.and_then(|known| self.0.remove(known));
        taken.map_or(Vec::new(), |(_, places)| places)
    }
}

/// How long pushes take lately, from the announcement to the last byte: soon more, slowly less, microseconds.
#[derive(Debug, Default)]
pub(super) struct Usual(f64);

impl Usual {
    pub(super) fn took(&mut self, micros: Micros) {
        let took = micros.min(PATIENCE.1) as f64;
        self.0 = took.max(self.0 + FORGETS * (took - self.0));
    }
}

impl Scheduler {
    /// A gateway tells the seeds of what was announced already.
    pub(super) fn told_late(&mut self, id: PeerId, at: (u64, u64), seeds: &[u32]) {
        let is_gateway = self.peers.get(&id).is_some_and(|peer| !peer.is_viewer());
        if !is_gateway || seeds.is_empty() {
            return;
        }
        for place in self.unseeded.take(at) {
            let pushers = self.pushers(place, seeds);
            let pushed_until = self.now + self.push_patience(place, &pushers, true);
            let Some(wanted) = self.demand.wanted.get_mut(&place) else {
                continue; // It is here already, or no longer wanted.
            };
            if wanted.asked.is_none() && wanted.fetch.is_none() {
                wanted.pushers = pushers;
                wanted.pushed_until = pushed_until;
                wanted.next = 0;
            }
            self.remember_seeds(place, seeds);
        }
    }

    /// Remembers the seeds of a part where they are several: each has its own share of the viewers to push to.
    pub(super) fn remember_seeds(&mut self, place: Place, seeds: &[u32]) {
        if seeds.len() > 1 {
            self.seeds.insert(place, seeds.to_vec());
            if self.seeds.len() > SEEDED {
                self.seeds.pop_first();
            }
        }
    }

    /// The linked peer that is likely to push a new part.
    pub(super) fn pushers(&self, place: Place, seeds: &[u32]) -> Vec<PeerId> {
        if seeds.contains(&tail(&self.me)) {
            return self.peers.gateways().map(|(id, _)| *id).collect();
        }
        let seed = self.seed_of(place, seeds, &self.me);
        let linked = seed.and_then(|seed| self.peers.by_tail(seed));
        let linked = linked.filter(|(_, peer)| peer.shares());
        linked.map(|(id, _)| *id).into_iter().collect()
    }

    /// Which of several seeds pushes a part to `to`: both ends reckon the same, so that only one does. Who is not linked
    /// to it asks whoever has the part.
    pub(super) fn seed_of(&self, place: Place, seeds: &[u32], to: &PeerId) -> Option<u32> {
        let strange = |seed: u32| {
            let peer = self.peers.by_tail(seed);
            peer.is_some_and(|(_, peer)| !peer.follows(place.rendition))
        };
        let seeds = seeds.iter().copied().filter(|seed| !strange(*seed));
        let by = turn(place, to);
        seeds.min_by_key(|seed| turn_of(place, *seed) ^ by)
    }

    /// A neighbour has a part that is wanted. Who was to push it would not say so: it pushes it to others.
    pub(super) fn is_overtaken(&mut self, id: PeerId, place: Place) {
        let peer = self.peers.get(&id);
        let is_doubted = peer.is_none_or(|peer| peer.failures >= DOUBTED);
        let wanted = self.demand.wanted.get_mut(&place);
        let Some(wanted) = wanted.filter(|wanted| wanted.asked.is_none()) else {
            return;
        };
        let pushers = wanted.pushers.len();
        wanted.pushers.retain(|pusher| *pusher != id);
        let waits = match wanted.pushers.len() < pushers {
            true => 0,
            false if is_doubted => return,
            false => OVERTAKEN,
        };
        wanted.pushed_until = wanted.pushed_until.min(self.now + waits);
    }

    /// How long a push of a part that was just announced is waited for. Where nobody told who pushes it, it may be
    /// anyone who is linked; where `named` seeds are strangers, nobody pushes it.
    pub(super) fn push_patience(&self, place: Place, pushers: &[PeerId], named: bool) -> Micros {
        let size = self.window.part(place).map_or(0, |part| part.size as usize);
        let known = pushers.iter().filter_map(|id| self.peers.get(id));
        let expected = match known.map(|peer| peer.expects(size)).min() {
            Some(micros) => micros,
            None if !named && self.may_come(place) => 0,
            None => return 0,
        };
        (2 * expected.max(self.usual.0 as Micros)).clamp(PATIENCE.0, PATIENCE.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        message::{Join, Message},
        scheduler::{
            Input, Kind, Output, Role,
            rig::{settings, someone},
        },
        sim::Publisher,
    };

    fn fetches(engine: &mut Scheduler) -> usize {
        let outputs = std::iter::from_fn(|| engine.output());
        outputs
            .filter(|output| matches!(output, Output::Fetch { .. }))
            .count()
    }

    /// A viewer of two renditions' stream, linked to a gateway and to a neighbour that shares.
    fn linked(publisher: &Publisher) -> (Scheduler, PeerId, PeerId) {
        let (me, gateway, neighbour) = (someone(1), someone(2), someone(3));
        let settings = settings(2, 200_000);
        let mut engine = Scheduler::new(me, publisher.key().name(), Role::Viewer, settings, 7);
        let join = Join {
            renditions: 1,
            upload: 200_000,
            gateway: true,
            site: 0,
        };
        for input in [
            Input::Envelope(&publisher.signed()),
            Input::Select { renditions: 1 },
            Input::Linked {
                peer: gateway,
                kind: Kind::Gateway,
            },
            Input::Linked {
                peer: neighbour,
                kind: Kind::Viewer,
            },
            Input::Message {
                peer: neighbour,
                message: Message::Join(join),
            },
        ] {
            engine.handle(input, 1).expect("the envelope is genuine");
        }
        fetches(&mut engine);
        (engine, gateway, neighbour)
    }

    #[test]
    fn seeds_that_are_told_after_the_announcement_are_waited_for_without_a_fetch() {
        for told in [true, false] {
            let mut publisher = Publisher::new(&[400_000, 200_000]);
            let (mut engine, gateway, neighbour) = linked(&publisher);
            let published = publisher.publish(1_000_000);
            let (place, _) = published.parts[0];
            let envelope = published.envelope;
            engine
                .handle(Input::Envelope(&envelope), 1_000_000)
                .expect("it is genuine");
            if told {
                let seeds = vec![tail(&neighbour)];
                let message = Message::Announcement {
                    envelope,
                    seeds,
                    by: 0,
                };
                let input = Input::Message {
                    peer: gateway,
                    message,
                };
                engine
                    .handle(input, 1_002_000)
                    .expect("no envelope of the page's");
            }
            let wanted = engine.demand.wanted.get(&place).expect("it was announced");
            let expected = if told { vec![neighbour] } else { Vec::new() };
            assert_eq!(wanted.pushers, expected);
            // Long before its deadline, and before the push is late.
            engine
                .handle(Input::Wake, 1_140_000)
                .expect("nothing but time passed");
            assert_eq!(fetches(&mut engine), 0, "told: {told}");
        }
    }

    /// A seed that has not got the part itself pushes nothing, and says nothing either.
    #[test]
    fn a_push_is_waited_for_a_moment_longer_when_another_neighbour_has_the_part() {
        for (has, pushed, failures) in [
            (true, false, 0.0),
            (true, false, DOUBTED),
            (false, false, 0.0),
            (true, true, 0.0),
        ] {
            let mut publisher = Publisher::new(&[400_000]);
            let (mut engine, gateway, seed) = linked(&publisher);
            let other = someone(4);
            let (peer, kind) = (other, Kind::Viewer);
            let join = Message::Join(Join {
                renditions: 1,
                upload: 200_000,
                gateway: true,
                site: 0,
            });
            let published = publisher.publish(1_000_000);
            let (place, bytes) = published.parts[0].clone();
            let announcement = Message::Announcement {
                envelope: published.envelope,
                seeds: vec![tail(&seed)],
                by: 0,
            };
            // Pushes took long lately.
            engine.usual.took(700_000);
            let handle = |engine: &mut Scheduler, input: Input<'_>, now| {
                engine
                    .handle(input, now)
                    .expect("no envelope of the page's");
                let outputs = std::iter::from_fn(|| engine.output());
                let asked = |output: Output| match output {
                    Output::Send {
                        peer,
                        message: Message::Want(places),
                    } if places == [place] => Some(peer),
                    _ => None,
                };
                outputs.filter_map(asked).collect::<Vec<_>>()
            };
            let from = |peer, message| Input::Message { peer, message };
            handle(&mut engine, Input::Linked { peer, kind }, 2);
            handle(&mut engine, from(other, join), 3);
            handle(&mut engine, from(gateway, announcement), 1_000_000);
            let liar = engine.peers.get_mut(&other).expect("it is linked");
            liar.failures = failures;
            let mut asked = Vec::new();
            if has {
                asked.extend(handle(
                    &mut engine,
                    from(other, Message::Have(vec![place])),
                    1_100_000,
                ));
            }
            asked.extend(handle(&mut engine, Input::Wake, 1_100_000 + OVERTAKEN - 1));
            assert_eq!(asked, [], "the push may come");
            if pushed {
                let peer = seed;
                handle(&mut engine, Input::Part { peer, place, bytes }, 1_150_000);
            }
            let asked = handle(&mut engine, Input::Wake, 1_100_000 + OVERTAKEN + 5_000);
            let expected = if has && !pushed && failures < DOUBTED {
                vec![other]
            } else {
                vec![]
            };
            assert_eq!(asked, expected, "has: {has}, pushed: {pushed}");
        }
    }

    #[test]
    fn a_viewer_cannot_name_the_seeds_afterwards() {
        let mut publisher = Publisher::new(&[400_000]);
        let (mut engine, _, neighbour) = linked(&publisher);
        let published = publisher.publish(1_000_000);
        let (place, _) = published.parts[0];
        let envelope = published.envelope;
        engine
            .handle(Input::Envelope(&envelope), 1_000_000)
            .expect("it is genuine");
        let seeds = vec![tail(&neighbour)];
        let message = Message::Announcement {
            envelope,
            seeds,
            by: 0,
        };
        let input = Input::Message {
            peer: neighbour,
            message,
        };
        engine
            .handle(input, 1_002_000)
            .expect("no envelope of the page's");
        assert_eq!(
            engine
                .demand
                .wanted
                .get(&place)
                .expect("it was announced")
                .pushers,
            []
        );
    }

    #[test]
    fn announcements_without_seeds_are_remembered_up_to_the_limit() {
        let place = |msn| Place {
            msn,
            part: 0,
            rendition: 0,
        };
        let mut unseeded = Unseeded::default();
        for sequence in 0..UNSEEDED as u64 + 1 {
            unseeded.heard((1, sequence), vec![place(sequence)]);
        }
        unseeded.heard((1, 99), Vec::new());
        assert_eq!(unseeded.0.len(), UNSEEDED);
        assert_eq!(unseeded.take((1, 0)), [], "the oldest is forgotten");
        assert_eq!(unseeded.take((1, 1)), [place(1)]);
        assert_eq!(unseeded.take((1, 1)), [], "once");
    }

    #[test]
    fn what_pushes_usually_take_grows_at_once_and_shrinks_slowly() {
        let mut usual = Usual::default();
        usual.took(u64::MAX);
        assert_eq!(usual.0, PATIENCE.1 as f64);
        usual.took(500_000);
        assert_eq!(usual.0, 1_300_000.0);
        usual.took(1_400_000);
        assert_eq!(usual.0, 1_400_000.0);
    }
}
