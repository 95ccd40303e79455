//! What a peer sends over bitswap.

/// A message's bytes, without their length.
pub fn bitswap(bytes: &[u8]) {
    crate::swarm::check_bitswap(bytes);
}
