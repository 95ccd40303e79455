//! Peers that want too much: they are bounded, and the others lose nothing.

use std::{net::UdpSocket, time::Duration};

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
    for part in ["/ws/", "/webrtc-direct/"] {
        let host = Host::with(|config| config.p2p.connections = 3).await;
        let address = host.address(part).await;
        let mut inside = Vec::new();
        for _ in 0..3 {
            inside.push(comes_in(&address).await.expect("there is room"));
        }
        assert!(comes_in(&address).await.is_none(), "a fourth over {part}");
        assert!(host.get("/healthz", "localhost").await.contains("ok"));
        drop(inside.pop());
        // A peer that left without a word over UDP is noticed by its silence.
        let again = timeout(Duration::from_secs(60), async {
            while comes_in(&address).await.is_none() {
                sleep(Duration::from_millis(200)).await;
            }
        });
        again.await.expect("the place of one that left is free");
        host.gateway.shutdown().await;
    }
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

/// A STUN binding request as the first packet of a connection.
fn knock(n: u32) -> Vec<u8> {
    let name = format!("libp2p+webrtc+v1/{n:07}");
    let name = format!("{name}:{name}");
    let padded = name.len().next_multiple_of(4);
    let mut packet = vec![0, 1];
    packet.extend(((4 + padded + 8 + 24) as u16).to_be_bytes());
    packet.extend([0x21, 0x12, 0xa4, 0x42]);
    packet.extend([7; 12]);
    packet.extend([0, 6]);
    packet.extend((name.len() as u16).to_be_bytes());
    packet.extend(name.as_bytes());
    packet.resize(20 + 4 + padded, 0);
    packet.extend([0, 0x24, 0, 4, 0, 0, 0, 1]); // priority
    packet.extend([0, 8, 0, 20]); // integrity, which nobody looks at yet
    packet.extend([0; 20]);
    packet
}

#[tokio::test]
async fn who_only_knocks_at_webrtc_is_forgotten() {
    let host = Host::start().await;
    let address = host.address("/webrtc-direct/").await;
    let mut parts = address.iter();
    let (Some(Protocol::Ip4(ip)), Some(Protocol::Udp(port))) = (parts.next(), parts.next()) else {
        panic!("{address}");
    };
    let tasks = || async {
        let text = host.get("/metrics", "localhost").await;
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("meshlive_tasks "));
        line.unwrap().parse::<usize>().unwrap()
    };
    const COUNTED: Duration = Duration::from_secs(6); // every 5 s
    sleep(COUNTED).await;
    let before = tasks().await;
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    // Many names, from one address and from many.
    for n in 0..1000 {
        let socket = if n % 4 == 0 {
            UdpSocket::bind("127.0.0.1:0").unwrap()
        } else {
            socket.try_clone().unwrap()
        };
        socket.send_to(&knock(n), (ip, port)).unwrap();
    }
    sleep(Duration::from_secs(1)).await; // these packets do not fit the socket's buffer beside others
    // Another host is not kept out by them.
    let other = UdpSocket::bind("127.0.0.2:0").unwrap();
    for n in 1000..1016 {
        other.send_to(&knock(n), (ip, port)).unwrap();
    }
    sleep(COUNTED).await;
    let most = tasks().await;
    // 32 of one host may be unknown at once, and none of these is gone yet; each has a task here and one of libp2p's.
    assert!(
        (before + 2 * 40..before + 2 * 52).contains(&most),
        "{most} tasks, {before} before"
    );
    sleep(Duration::from_secs(16)).await;
    let left = tasks().await;
    assert!(left < before + 10, "{left} tasks, {before} before");
    assert!(comes_in(&address).await.is_some(), "others are served");
    host.gateway.shutdown().await;
}
