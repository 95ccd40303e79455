//! Bitswap 1.2.0: any IPFS node reads our blocks, and we read other nodes'. No crate of it fits this libp2p.
//!
//! Files: `message` (bytes, purely) → `ledger` (what peers want of us, purely) → `handler` (one connection) →
//! `behaviour` (the driver: connections, ledger and store).
//!
//! specs.ipfs.tech/bitswap-protocol. Of its versions only 1.2.0 is spoken: what came before cannot say that something
//! is not here.

mod behaviour;
mod handler;
mod ledger;
mod message;

pub(super) use behaviour::{Behaviour, Sent, Shelf};
