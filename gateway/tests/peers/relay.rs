//! The relay: two peers that only know the gateway reach each other through it.

use libp2p::{multiaddr::Protocol, swarm::SwarmEvent};

use super::client::{Client, Host, client, peer_of, pinged, reserved, until};

/// A client with a reservation, in the background.
async fn reserve(host: &Host, part: &str) -> Client {
    let address = host.address(part).await;
    let mut client = client();
    client
        .listen_on(address.with(Protocol::P2pCircuit))
        .unwrap();
    until(&mut client, "a reservation", reserved).await;
    client
}

#[tokio::test]
async fn two_peers_meet_through_the_gateway() {
    let host = Host::start().await;
    let mut one = reserve(&host, "/ws/").await;
    let peer = *one.local_peer_id();
    let running = tokio::spawn(async move {
        until(&mut one, "never", |_| None::<()>).await;
    });
    let address = host.address("/ws/").await;
    let circuit = address.with(Protocol::P2pCircuit).with(Protocol::P2p(peer));
    let mut other = client();
    other.dial(circuit).unwrap();
    until(&mut other, "ping through the relay", |event| {
        pinged(event, peer)
    })
    .await;
    running.abort();
    host.gateway.shutdown().await;
}

#[tokio::test]
async fn a_peer_without_a_reservation_is_not_reached() {
    let host = Host::start().await;
    let address = host.address("/ws/").await;
    let gateway = peer_of(&address);
    let mut silent = client();
    silent.dial(address.clone()).unwrap();
    until(&mut silent, "ping", |event| pinged(event, gateway)).await;
    let circuit = address
        .with(Protocol::P2pCircuit)
        .with(Protocol::P2p(*silent.local_peer_id()));
    let mut other = client();
    other.dial(circuit).unwrap();
    until(&mut other, "a refusal", |event| match event {
        SwarmEvent::OutgoingConnectionError { .. } => Some(()),
        _ => None,
    })
    .await;
    host.gateway.shutdown().await;
}
