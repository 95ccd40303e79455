//! What a viewer tells its gateways of the parts that it has: they watch by that whether seeds have what they were pushed, and
//! whether they pass it on.
//!
//! A seed says so at once. So does who has it from a seed, where there are many viewers: the gateway waits for no more than one
//! of them. All others say it of several parts together. Where everyone is everyone's neighbour, all have it from a seed, and
//! the gateway waits longer: each message is a task in every browser and, from hundreds of viewers, most of what a gateway reads.

use libp2p_identity::PeerId;

use super::{Micros, Scheduler};
use crate::message::{MAX_PLACES, Message, Place};

/// What can wait is told so long after the last at the earliest, with what came in between; microseconds. Not by a timer: in
/// hidden tabs these are late, and the next part is as good.
pub(super) const TOGETHER: Micros = 550_000;

impl Scheduler {
    /// A part is here, and shared. `watched`: a gateway waits for that.
    pub(super) fn report(&mut self, gateway: PeerId, place: Place, watched: bool) {
        let now = self.now;
        let Some(peer) = self.peers.get_mut(&gateway) else {
            return;
        };
        peer.news.push(place);
        let is_due = now >= peer.reported + TOGETHER || peer.news.len() >= MAX_PLACES;
        if !watched && !is_due {
            return;
        }
        peer.reported = now;
        let mut places = std::mem::take(&mut peer.news);
        places.retain(|place| self.cache.holds(*place));
        if !places.is_empty() {
            self.send(gateway, Message::Have(places));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        message::Join,
        scheduler::{
            Input, Kind, Output, Role,
            rig::{settings, someone},
        },
        sim::{PART, Publisher},
    };

    /// What a viewer that is linked to its gateway and one neighbour, and knows of one more if `large`, tells the gateway of
    /// twelve parts that `from` gives it unasked: how many parts each message names.
    fn told(from: Kind, hushes: bool, large: bool) -> Vec<usize> {
        let mut publisher = Publisher::new(&[400_000]);
        let mut settings = settings(if large { 1 } else { 8 }, 100_000);
        settings.hushes = hushes;
        let name = publisher.key().name();
        let mut viewer = Scheduler::new(someone(1), name, Role::Viewer, settings, 7);
        let (gateway, neighbour) = (someone(2), someone(3));
        let mut now = 1_000_000;
        let mut told = Vec::new();
        let mut input = |input: Input<'_>, now: Micros| {
            viewer.handle(input, now).expect("all is genuine");
            while let Some(output) = viewer.output() {
                match output {
                    Output::Send {
                        peer,
                        message: Message::Have(places),
                    } if peer == gateway => told.push(places.len()),
                    _ => {}
                }
            }
        };
        input(Input::Envelope(&publisher.signed()), now);
        input(Input::Select { renditions: 1 }, now);
        for (peer, kind) in [(gateway, Kind::Gateway), (neighbour, Kind::Viewer)] {
            input(Input::Linked { peer, kind }, now);
            let message = Message::Join(Join {
                renditions: 1,
                upload: 100_000,
                gateway: false,
                site: 0,
            });
            input(Input::Message { peer, message }, now);
        }
        let peer = match from {
            Kind::Gateway => gateway,
            Kind::Viewer => neighbour,
        };
        for _ in 0..12 {
            now += PART;
            let published = publisher.publish(now);
            input(Input::Envelope(&published.envelope), now);
            let (place, bytes) = published.parts[0].clone();
            input(Input::Part { peer, place, bytes }, now + 1_000);
        }
        told
    }

    #[test]
    fn what_nobody_waits_for_is_told_of_several_parts_together() {
        assert_eq!(told(Kind::Viewer, true, false), [1, 3, 3, 3]);
    }

    #[test]
    fn a_seed_tells_at_once_and_so_does_who_has_it_from_one_among_many_and_a_mirror() {
        assert_eq!(told(Kind::Gateway, true, false), [1; 12]);
        assert_eq!(told(Kind::Viewer, true, true), [1; 12]);
        assert_eq!(told(Kind::Viewer, false, false), [1; 12]);
    }
}
