//! Bitswap 1.2.0: any IPFS node reads our blocks, and we read other nodes'. No crate of it fits this libp2p.
//!
//! Files: `message` (bytes, purely) → `ledger` (what peers want of us, purely), `wants` (what we want of
//! peers, purely) → `handler` (one connection) → `behaviour` (the driver: connections, ledger, wants and store).
//!
//! specs.ipfs.tech/bitswap-protocol. Of its versions only 1.2.0 is spoken: what came before cannot say that something
//! is not here.

mod behaviour;
mod connections;
mod handler;
mod ledger;
mod message;
mod wants;

pub(super) use behaviour::{Behaviour, Sent, Shelf};
pub(super) use handler::PROTOCOL;
pub(super) use wants::PATIENCE;

/// Runs what reads a stranger's message (see [`crate::fuzz`]): what is read can be said again.
pub(crate) fn check_bitswap(bytes: &[u8]) {
    let bytes = bytes::Bytes::copy_from_slice(bytes);
    if let Ok(message) = message::Message::decode(&bytes) {
        let said = message.encode();
        let length = said.iter().position(|byte| byte & 0x80 == 0);
        let body = said.slice(length.expect("a length ends") + 1..);
        assert_eq!(message::Message::decode(&body), Ok(message));
    }
}
