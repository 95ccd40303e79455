//! Each way in: dialled as announced, identified, pinged.

use libp2p::multiaddr::Protocol;

use super::client::{Host, client, identified, peer_of, pinged, until};

async fn reached(part: &str) {
    let host = Host::start().await;
    let address = host.address(part).await;
    let gateway = peer_of(&address);
    let mut client = client();
    client.dial(address).unwrap();
    let info = until(&mut client, "identify", |event| identified(event, gateway)).await;
    assert_eq!(info.public_key.to_peer_id(), gateway);
    assert!(info.agent_version.starts_with("meshlive/"), "{info:?}");
    let hop = info
        .protocols
        .iter()
        .any(|name| name.as_ref() == "/libp2p/circuit/relay/0.2.0/hop");
    assert!(hop, "{info:?}");
    until(&mut client, "ping", |event| pinged(event, gateway)).await;
    let counted = host.get("/metrics", "localhost").await;
    assert!(
        counted.contains("meshlive_p2p_connections{transport="),
        "{counted}"
    );
    host.gateway.shutdown().await;
}

#[tokio::test]
async fn over_websocket_at_the_http_port() {
    reached("/ws/").await;
}

#[tokio::test]
async fn over_tcp() {
    // The WebSocket has a TCP port, too; it comes first, and "/p2p/" stands right behind this one's port.
    let host = Host::start().await;
    let all = host.told().await;
    let all = all["addresses"].as_array().unwrap().clone();
    let tcp = all.iter().map(|address| address.as_str().unwrap());
    let tcp: Vec<_> = tcp
        .filter(|address| address.contains("/tcp/") && !address.contains("/ws"))
        .collect();
    assert_eq!(tcp.len(), 1, "{all:?}");
    let mut client = client();
    let address = tcp[0].parse().unwrap();
    let gateway = peer_of(&address);
    client.dial(address).unwrap();
    until(&mut client, "ping", |event| pinged(event, gateway)).await;
    host.gateway.shutdown().await;
}

#[tokio::test]
async fn over_quic() {
    reached("/quic-v1/").await;
}

#[tokio::test]
async fn over_webrtc_direct() {
    reached("/webrtc-direct/").await;
}

#[tokio::test]
async fn another_peer_id_than_the_announced_one_is_not_accepted() {
    let host = Host::start().await;
    let mut address = host.address("/ws/").await;
    address.pop();
    let wrong = libp2p::PeerId::random();
    let mut client = client();
    client.dial(address.with(Protocol::P2p(wrong))).unwrap();
    let error = until(&mut client, "a refusal", |event| match event {
        libp2p::swarm::SwarmEvent::OutgoingConnectionError { error, .. } => Some(error.to_string()),
        _ => None,
    });
    assert!(error.await.contains("peer"));
    host.gateway.shutdown().await;
}

#[tokio::test]
async fn the_page_and_the_peers_share_the_root() {
    let host = Host::start().await;
    let page = host.get("/", "localhost").await;
    assert!(page.contains("html"), "{page}");
    let told = host.told().await;
    assert_eq!(told["stun"].as_array().unwrap().len(), 1, "{told}");
    let refused = host.get("/p2p", "localhost").await;
    assert!(
        refused.to_lowercase().contains("upgrade") || refused.contains("header"),
        "{refused}"
    );
    host.gateway.shutdown().await;
}

#[tokio::test]
async fn the_peer_id_stays_over_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_owned();
    let start = || Host::with(|config| config.data.clone_from(&path));
    let first = start().await;
    let before = first.told().await["peer"].clone();
    first.gateway.shutdown().await;
    let second = start().await;
    assert_eq!(second.told().await["peer"], before);
    second.gateway.shutdown().await;
}
