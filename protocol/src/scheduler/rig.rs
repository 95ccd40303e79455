//! What the tests of the scheduler's rooms begin with.

use libp2p_identity::{Keypair, PeerId};

use super::Settings;

/// One peer for each number.
pub(super) fn someone(number: u8) -> PeerId {
    let key = Keypair::ed25519_from_bytes([number; 32]).expect("any 32 bytes are a key");
    key.public().to_peer_id()
}

/// A page's, with so many neighbours and so many bytes a second.
pub(super) fn settings(neighbours: usize, upload: u32) -> Settings {
    Settings {
        cache_bytes: 8 << 20,
        neighbours,
        upload,
        reserve: 300_000,
        hushes: true,
    }
}
