//! What may happen to an engine.

use super::*;

/// What may happen. `back`: parts behind the newest; negative: ahead.
#[derive(Clone, Debug)]
pub(super) enum Act {
    Pass(u64),
    Link(usize),
    Unlink(usize),
    Join(usize, u16, u32, bool),
    /// The stream goes on; the announcement comes from a peer, over the page's socket, or not at all.
    Publish(Option<usize>, Vec<usize>, bool),
    Manifest(Option<usize>),
    Replay(usize, usize),
    Forged(usize, Vec<u8>),
    Part(usize, i32, u8),
    Progress(usize, i32, usize),
    Say(usize, u8, i32, usize),
    Wild(usize, u64, u32, u8),
    Neighbours(usize, Vec<usize>),
    Asks(usize, bool),
    Demand(i32),
    Playhead(i32, bool),
    Select(u16),
    Upload(u32),
    Fetched(u8),
    Sent,
    RoundTrip(usize, u64),
}

pub(super) fn act() -> impl Strategy<Value = Act> {
    let peer = || 0..PEERS;
    let back = || -4..14i32;
    prop_oneof![
        9 => (0..700_000u64).prop_map(Act::Pass),
        2 => peer().prop_map(Act::Link),
        1 => peer().prop_map(Act::Unlink),
        2 => (peer(), 0..8u16, prop_oneof![Just(0), Just(100_000u32), any::<u32>()], any::<bool>())
            .prop_map(|(p, r, u, g)| Act::Join(p, r, u, g)),
        9 => (prop::option::of(peer()), prop::collection::vec(0..PEERS + 1, 0..3), any::<bool>())
            .prop_map(|(from, seeds, lost)| Act::Publish(from, seeds, lost)),
        2 => prop::option::of(peer()).prop_map(Act::Manifest),
        1 => (peer(), 0..20usize).prop_map(|(p, n)| Act::Replay(p, n)),
        1 => (peer(), prop::collection::vec(any::<u8>(), 0..40)).prop_map(|(p, b)| Act::Forged(p, b)),
        9 => (peer(), back(), 0..12u8).prop_map(|(p, b, k)| Act::Part(p, b, k)),
        3 => (peer(), back(), 0..30_000usize).prop_map(|(p, b, n)| Act::Progress(p, b, n)),
        9 => (peer(), 0..4u8, back(), 0..257usize).prop_map(|(p, k, b, n)| Act::Say(p, k, b, n)),
        1 => (peer(), prop_oneof![Just(MAX_NUMBER), 0..MAX_NUMBER], 0..256u32, any::<u8>())
            .prop_map(|(p, m, n, r)| Act::Wild(p, m, n, r)),
        1 => (peer(), prop::collection::vec(0..200usize, 0..40)).prop_map(|(p, n)| Act::Neighbours(p, n)),
        2 => (peer(), any::<bool>()).prop_map(|(p, m)| Act::Asks(p, m)),
        5 => back().prop_map(Act::Demand),
        4 => (-20..20i32, any::<bool>()).prop_map(|(b, m)| Act::Playhead(b, m)),
        1 => (0..4u16).prop_map(Act::Select),
        1 => prop_oneof![Just(0), Just(50_000), any::<u32>()].prop_map(Act::Upload),
        5 => (0..4u8).prop_map(Act::Fetched),
        4 => Just(Act::Sent),
        1 => (peer(), any::<u64>()).prop_map(|(p, m)| Act::RoundTrip(p, m)),
    ]
}
