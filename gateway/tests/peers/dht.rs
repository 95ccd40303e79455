//! IPNS records over the DHT, with libp2p's own Kademlia as the other side: they come whole and are told to new peers;
//! forged, older and expired ones are refused and replace nothing.

use std::time::Duration;

use futures::StreamExt;
use libp2p::{
    Multiaddr, PeerId, StreamProtocol, Swarm, Transport,
    core::upgrade::Version,
    identify,
    identity::Keypair,
    kad::{
        self, GetRecordOk, Mode, QueryResult, Quorum, Record as Stored, RecordKey,
        store::{MemoryStore, RecordStore},
    },
    noise,
    swarm::{self, NetworkBehaviour, SwarmEvent},
    tcp, yamux,
};
use meshlive_gateway::names;
use meshlive_protocol::{dag, ipns::Record, key::SigningKey, name::StreamName};
use tokio::time::{sleep, timeout};

use super::client::{Host, PATIENCE, peer_of};

const DAY: u64 = 86_400_000_000;

#[derive(NetworkBehaviour)]
struct Node {
    kad: kad::Behaviour<MemoryStore>,
    identify: identify::Behaviour,
}

/// A node that speaks this DHT, listens, and knows the gateway.
async fn node(gateway: &Multiaddr, protocol: &'static str) -> Swarm<Node> {
    let key = Keypair::generate_ed25519();
    let me = key.public().to_peer_id();
    let transport = tcp::tokio::Transport::new(tcp::Config::default().nodelay(true))
        .upgrade(Version::V1)
        .authenticate(noise::Config::new(&key).unwrap())
        .multiplex(yamux::Config::default())
        .boxed();
    let mut config = kad::Config::new(StreamProtocol::new(protocol));
    // What is refused is not answered.
    config.set_substreams_timeout(Duration::from_secs(2));
    let mut kad = kad::Behaviour::with_config(me, MemoryStore::new(me), config);
    kad.set_mode(Some(Mode::Server));
    kad.add_address(&peer_of(gateway), gateway.clone());
    let identify = identify::Config::new("/test/1".into(), key.public());
    let behaviour = Node {
        kad,
        identify: identify::Behaviour::new(identify),
    };
    let settings = swarm::Config::with_tokio_executor().with_idle_connection_timeout(PATIENCE);
    let mut swarm = Swarm::new(transport, behaviour, me, settings);
    swarm
        .listen_on("/ip4/127.0.0.1/tcp/0".parse().unwrap())
        .unwrap();
    loop {
        if let SwarmEvent::NewListenAddr { .. } = swarm.select_next_some().await {
            swarm.dial(gateway.clone()).unwrap();
            return swarm;
        }
    }
}

/// Runs a node until a query ends in something that `wanted` makes something of.
async fn until<T>(node: &mut Swarm<Node>, wanted: impl Fn(&QueryResult) -> Option<T>) -> T {
    let seen = timeout(PATIENCE, async {
        loop {
            if let SwarmEvent::Behaviour(NodeEvent::Kad(kad::Event::OutboundQueryProgressed {
                result,
                ..
            })) = node.select_next_some().await
                && let Some(found) = wanted(&result)
            {
                return found;
            }
        }
    });
    seen.await.expect("the query ends in time")
}

fn key_of(name: &StreamName) -> RecordKey {
    RecordKey::from([b"/ipns/", &name.to_cid().hash().to_bytes()[..]].concat())
}

/// Whether the gateway takes a record.
async fn puts(node: &mut Swarm<Node>, gateway: PeerId, name: &StreamName, value: &[u8]) -> bool {
    let record = Stored::new(key_of(name), value.to_vec());
    let kad = &mut node.behaviour_mut().kad;
    kad.put_record_to(record, [gateway].into_iter(), Quorum::One);
    until(node, |result| match result {
        QueryResult::PutRecord(put) => Some(put.is_ok()),
        _ => None,
    })
    .await
}

/// The value that the gateway has.
async fn gets(node: &mut Swarm<Node>, name: &StreamName) -> Option<Vec<u8>> {
    node.behaviour_mut().kad.get_record(key_of(name));
    until(node, |result| match result {
        QueryResult::GetRecord(Ok(GetRecordOk::FoundRecord(found))) => {
            Some(Some(found.record.value.clone()))
        }
        QueryResult::GetRecord(Err(_)) => Some(None),
        _ => None,
    })
    .await
}

fn signed(sequence: u64, end: u64, by: &SigningKey) -> Vec<u8> {
    Record::of(&dag::cid_of(b"root"), sequence, end, 1).sign(by)
}

#[tokio::test]
async fn a_record_of_ours_comes_whole_and_is_told_to_who_is_new() {
    let host = Host::start().await;
    let address = host.tcp().await;
    let key = SigningKey::generate();
    let names = host.gateway.streams().names();
    let record = names.publish(&key, &dag::cid_of(b"root"), names::now());
    let mut asks = node(&address, "/ipfs/lan/kad/1.0.0").await;
    assert_eq!(gets(&mut asks, &key.name()).await, Some(record.to_vec()));
    assert_eq!(gets(&mut asks, &SigningKey::generate().name()).await, None);
    let path = format!("/ipns/{}?format=ipns-record", key.name());
    let over_http = host.get(&path, "localhost").await;
    assert_eq!(over_http, String::from_utf8_lossy(&record));
    // Another, who asks for nothing, is told.
    let mut hears = node(&address, "/ipfs/lan/kad/1.0.0").await;
    let told = timeout(PATIENCE, async {
        loop {
            let _ = timeout(Duration::from_millis(100), hears.select_next_some()).await;
            let store = hears.behaviour_mut().kad.store_mut();
            if let Some(told) = store.get(&key_of(&key.name())) {
                return told.value.clone();
            }
        }
    });
    assert_eq!(told.await.expect("it is told"), record);
    host.gateway.shutdown().await;
}

#[tokio::test]
async fn forged_older_and_expired_records_are_refused() {
    let host = Host::start().await;
    let address = host.tcp().await;
    let gateway = peer_of(&address);
    let mut node = node(&address, "/ipfs/lan/kad/1.0.0").await;
    let (key, other) = (SigningKey::generate(), SigningKey::generate());
    let (name, now) = (key.name(), names::now());
    let good = signed(5, now + DAY, &key);
    assert!(puts(&mut node, gateway, &name, &good).await);
    for (bad, why) in [
        (signed(9, now + DAY, &other), "forged"),
        (signed(4, now + 9 * DAY, &key), "older"),
        (signed(9, now - DAY, &key), "expired"),
        (vec![0; 12_000], "too long"),
    ] {
        assert!(!puts(&mut node, gateway, &name, &bad).await, "{why}");
        assert_eq!(gets(&mut node, &name).await.as_ref(), Some(&good), "{why}");
    }
    let newer = signed(6, now + DAY, &key);
    assert!(puts(&mut node, gateway, &name, &newer).await);
    assert_eq!(gets(&mut node, &name).await, Some(newer));
    host.gateway.shutdown().await;
}

/// What the gateway has of `name` after it asked a node that has `value`.
async fn asked(value: Vec<u8>, name: &StreamName) -> Option<Vec<u8>> {
    let host = Host::start().await;
    let mut node = node(&host.tcp().await, "/ipfs/lan/kad/1.0.0").await;
    let record = Stored::new(key_of(name), value);
    node.behaviour_mut().kad.store_mut().put(record).unwrap();
    let serves = async {
        loop {
            node.select_next_some().await;
        }
    };
    let looks = async {
        for _ in 0..20 {
            host.gateway.look_for(name).await.unwrap();
            sleep(Duration::from_millis(100)).await;
            let names = host.gateway.streams().names();
            if let Some((found, _)) = names.get(name, names::now()) {
                return Some(found.to_vec());
            }
        }
        None
    };
    let found = tokio::select! {
        found = looks => found,
        () = serves => None,
    };
    host.gateway.shutdown().await;
    found
}

#[tokio::test]
async fn what_others_have_of_a_name_is_found_and_checked() {
    let (key, other) = (SigningKey::generate(), SigningKey::generate());
    let good = signed(5, names::now() + DAY, &key);
    assert_eq!(asked(good.clone(), &key.name()).await, Some(good));
    let forged = signed(5, names::now() + DAY, &other);
    assert_eq!(asked(forged, &key.name()).await, None);
}

#[tokio::test]
async fn the_public_dht_is_not_spoken() {
    let host = Host::start().await;
    let address = host.tcp().await;
    let key = SigningKey::generate();
    let names = host.gateway.streams().names();
    names.publish(&key, &dag::cid_of(b"root"), names::now());
    let mut stranger = node(&address, "/ipfs/kad/1.0.0").await;
    assert_eq!(gets(&mut stranger, &key.name()).await, None);
    host.gateway.shutdown().await;
}
