//! Why a part is fetched over HTTP, as far as its viewer can tell: for the simulator's tables.

use super::Scheduler;
use crate::message::Place;

/// Neighbours that share: with fewer, a viewer is nearly alone.
const FEW: usize = 3;

/// What kept neighbours from giving a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// Hardly anyone who shares is linked.
    Alone,
    /// No neighbour has it.
    Unheld,
    /// Who was asked had too much to give.
    Refused,
    /// Who was asked did not give it in time.
    Late,
    /// Neighbours have it, and nobody was asked: there was no time left.
    Unasked,
}

impl Scheduler {
    /// Of a part that is being fetched.
    pub(crate) fn cause(&self, place: Place) -> Cause {
        let sharing = || self.peers.viewers().filter(|(_, peer)| peer.shares());
        let wanted = self.demand.wanted.get(&place);
        let (refused, tried) = wanted.map_or((0, 0), |w| (w.refused as usize, w.tried.len()));
        if sharing().count() < FEW {
            Cause::Alone
        } else if refused > 0 {
            Cause::Refused
        } else if tried > 0 {
            Cause::Late
        } else if sharing().any(|(_, peer)| peer.has.contains(&place)) {
            Cause::Unasked
        } else {
            Cause::Unheld
        }
    }
}
