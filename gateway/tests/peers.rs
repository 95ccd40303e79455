//! Peers from outside: a real gateway, and libp2p's own client over each transport.

mod peers {
    pub(super) mod client;
    mod relay;
    mod transports;
}
