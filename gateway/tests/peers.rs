//! Peers from outside: a real gateway, and libp2p's own client over each transport.

#[cfg(test)]
mod peers {
    mod bitswap;
    pub(super) mod client;
    mod dht;
    mod limits;
    mod pubsub;
    mod relay;
    mod transports;
    mod wire;
}
