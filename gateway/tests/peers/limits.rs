//! Peers that want too much: they are bounded, and the others lose nothing.

use std::time::Duration;

use libp2p::{
    Multiaddr,
    multiaddr::Protocol,
    swarm::{
        SwarmEvent,
        dial_opts::{DialOpts, PeerCondition},
    },
};
use tokio::time::{sleep, timeout};

use super::client::{Client, Happened, Host, PlainEvent, client, peer_of, pinged, until};

/// Long enough to be refused on a busy machine.
const MOMENT: Duration = Duration::from_secs(3);

fn closed(event: &Happened) -> Option<()> {
    match event {
        SwarmEvent::ConnectionClosed { .. } | SwarmEvent::OutgoingConnectionError { .. } => {
            Some(())
        }
        _ => None,
    }
}

/// Connects and pings, or not.
async fn comes_in(address: &Multiaddr) -> Option<Client> {
    let mut client = client();
    client.dial(address.clone()).unwrap();
    let gateway = peer_of(address);
    let got_in = until(&mut client, "in or out", |event| {
        pinged(event, gateway)
            .map(|_| true)
            .or_else(|| closed(event).map(|()| false))
    });
    got_in.await.then_some(client)
}

#[tokio::test]
async fn one_peer_more_than_the_limit_is_sent_away_until_another_leaves() {
    let host = Host::with(|config| config.p2p.connections = 3).await;
    let address = host.address("/ws/").await;
    let mut inside = Vec::new();
    for _ in 0..3 {
        inside.push(comes_in(&address).await.expect("there is room"));
    }
    assert!(comes_in(&address).await.is_none(), "a fourth");
    assert!(host.get("/healthz", "localhost").await.contains("ok"));
    drop(inside.pop());
    let again = timeout(Duration::from_secs(60), async {
        while comes_in(&address).await.is_none() {
            sleep(Duration::from_millis(200)).await;
        }
    });
    again.await.expect("the place of one that left is free");
    host.gateway.shutdown().await;
}

#[tokio::test]
async fn one_peer_has_no_more_connections_than_its_share() {
    let host = Host::with(|config| config.p2p.connections_per_peer = 2).await;
    let address = host.address("/ws/").await;
    let gateway = peer_of(&address);
    let mut greedy = client();
    for _ in 0..10 {
        let dial = DialOpts::peer_id(gateway)
            .addresses(vec![address.clone()])
            .condition(PeerCondition::Always)
            .build();
        greedy.dial(dial).unwrap();
    }
    let _ = timeout(MOMENT, until(&mut greedy, "never", |_| None::<()>)).await;
    let text = host.get("/metrics", "localhost").await;
    let line = text
        .lines()
        .find(|line| line.starts_with("meshlive_p2p_connections{"));
    assert_eq!(line, Some(r#"meshlive_p2p_connections{transport="ws"} 2"#));
    assert!(comes_in(&address).await.is_some(), "others are served");
    host.gateway.shutdown().await;
}

#[tokio::test]
async fn reservations_are_not_had_by_the_dozen() {
    let host = Host::start().await;
    let address = host.address("/ws/").await;
    let mut greedy = client();
    let mut refused = 0;
    for _ in 0..30 {
        let circuit = address.clone().with(Protocol::P2pCircuit);
        greedy.listen_on(circuit).unwrap();
        let refusal = until(&mut greedy, "an answer", |event| match event {
            SwarmEvent::Behaviour(PlainEvent::Relay(_)) => Some(0),
            SwarmEvent::ListenerClosed { .. } | SwarmEvent::ListenerError { .. } => Some(1),
            _ => None,
        });
        refused += refusal.await;
    }
    assert!(refused >= 10, "{refused} of 30 refused");
    assert!(comes_in(&address).await.is_some(), "others are served");
    host.gateway.shutdown().await;
}
