//! IPNS over PubSub, with libp2p's own GossipSub as the other side: records come whole, at once or when asked for; forged,
//! older and expired ones are refused, replace nothing and are not passed on; floods end.

use std::{io, iter, time::Duration};

use futures::{AsyncReadExt, AsyncWriteExt, StreamExt};
use libp2p::{
    Multiaddr, StreamProtocol, Swarm, Transport,
    core::upgrade::Version,
    gossipsub::{self, IdentTopic, MessageAuthenticity},
    identity::Keypair,
    noise,
    request_response::{self, Message, ProtocolSupport},
    swarm::{self, NetworkBehaviour, SwarmEvent},
    tcp, yamux,
};
use meshlive_gateway::{
    config::Config,
    names,
    swarm::{Dht, Place},
};
use meshlive_protocol::{dag, ipns::Record, key::SigningKey, name::StreamName};
use multibase::Base;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::client::{Host, PATIENCE, peer_of};

const DAY: u64 = 86_400_000_000;
/// In which nothing comes that would come.
const SILENCE: Duration = Duration::from_secs(3);

#[derive(NetworkBehaviour)]
struct Node {
    gossip: gossipsub::Behaviour,
    fetch: request_response::Behaviour<Plain>,
}

/// libp2p-fetch without a notion of it: bytes there, bytes back.
#[derive(Clone, Default)]
struct Plain;

impl request_response::Codec for Plain {
    type Protocol = StreamProtocol;
    type Request = Vec<u8>;
    type Response = Vec<u8>;

    async fn read_request<T: futures::AsyncRead + Unpin + Send>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
    ) -> io::Result<Vec<u8>> {
        let mut bytes = [0; 47];
        io.read_exact(&mut bytes).await?; // a key has 44
        Ok(bytes.into())
    }

    async fn read_response<T: futures::AsyncRead + Unpin + Send>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
    ) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        io.read_to_end(&mut bytes).await?;
        Ok(bytes)
    }

    async fn write_request<T: futures::AsyncWrite + Unpin + Send>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        bytes: Vec<u8>,
    ) -> io::Result<()> {
        io.write_all(&bytes).await?;
        io.close().await
    }

    async fn write_response<T: futures::AsyncWrite + Unpin + Send>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        bytes: Vec<u8>,
    ) -> io::Result<()> {
        io.write_all(&bytes).await?;
        io.close().await
    }
}

/// A node that is connected to the gateway.
async fn node(gateway: &Multiaddr) -> Swarm<Node> {
    let key = Keypair::generate_ed25519();
    let me = key.public().to_peer_id();
    let transport = tcp::tokio::Transport::new(tcp::Config::default().nodelay(true))
        .upgrade(Version::V1)
        .authenticate(noise::Config::new(&key).unwrap())
        .multiplex(yamux::Config::default())
        .boxed();
    let config = gossipsub::ConfigBuilder::default()
        .heartbeat_initial_delay(Duration::from_millis(100))
        .build()
        .unwrap();
    let gossip = gossipsub::Behaviour::new(MessageAuthenticity::Signed(key), config).unwrap();
    let protocol = StreamProtocol::new("/libp2p/fetch/0.0.1");
    let fetch = request_response::Behaviour::new(
        iter::once((protocol, ProtocolSupport::Full)),
        request_response::Config::default(),
    );
    let settings = swarm::Config::with_tokio_executor().with_idle_connection_timeout(PATIENCE);
    let mut swarm = Swarm::new(transport, Node { gossip, fetch }, me, settings);
    swarm.dial(gateway.clone()).unwrap();
    loop {
        if let SwarmEvent::ConnectionEstablished { .. } = swarm.select_next_some().await {
            return swarm;
        }
    }
}

fn key_of(name: &StreamName) -> Vec<u8> {
    [b"/ipns/", &name.to_cid().hash().to_bytes()[..]].concat()
}

fn topic_of(name: &StreamName) -> IdentTopic {
    IdentTopic::new(format!("/record/{}", Base::Base64Url.encode(key_of(name))))
}

fn signed(sequence: u64, end: u64, by: &SigningKey) -> Vec<u8> {
    Record::of(&dag::cid_of(b"root"), sequence, end, 1).sign(by)
}

/// The next record that a node hears of; nothing when none comes in time.
async fn heard(node: &mut Swarm<Node>, within: Duration) -> Option<Vec<u8>> {
    let until = Instant::now() + within;
    loop {
        let event = timeout_at(until, node.select_next_some()).await.ok()?;
        if let SwarmEvent::Behaviour(NodeEvent::Gossip(gossipsub::Event::Message {
            message, ..
        })) = event
        {
            return Some(message.data);
        }
    }
}

/// Runs a node until the gateway has the topic as well.
async fn joined(node: &mut Swarm<Node>, topic: &IdentTopic) {
    let joined = timeout(PATIENCE, async {
        loop {
            if let SwarmEvent::Behaviour(NodeEvent::Gossip(gossipsub::Event::Subscribed {
                topic: theirs,
                ..
            })) = node.select_next_some().await
                && theirs == topic.hash()
            {
                return;
            }
        }
    });
    joined.await.expect("the gateway subscribes");
}

/// What the gateway answers to a fetch request; an error where it closes the stream instead.
async fn fetched(node: &mut Swarm<Node>, gateway: &Multiaddr, request: Vec<u8>) -> Vec<u8> {
    let fetch = &mut node.behaviour_mut().fetch;
    fetch.send_request(&peer_of(gateway), request);
    let answer = timeout(PATIENCE, async {
        loop {
            match node.select_next_some().await {
                SwarmEvent::Behaviour(NodeEvent::Fetch(request_response::Event::Message {
                    message: Message::Response { response, .. },
                    ..
                })) => return response,
                SwarmEvent::Behaviour(NodeEvent::Fetch(
                    request_response::Event::OutboundFailure { .. },
                )) => return Vec::new(),
                _ => {}
            }
        }
    });
    answer.await.expect("it is answered or refused")
}

/// A request for a key.
fn asking(key: &[u8]) -> Vec<u8> {
    let mut message = vec![0x0a];
    dag::varint(&mut message, key.len() as u64);
    message.extend_from_slice(key);
    let mut out = Vec::new();
    dag::varint(&mut out, message.len() as u64);
    out.extend_from_slice(&message);
    out
}

/// The answer that there is this.
fn found(record: &[u8]) -> Vec<u8> {
    let mut message = vec![0x12];
    dag::varint(&mut message, record.len() as u64);
    message.extend_from_slice(record);
    let mut out = Vec::new();
    dag::varint(&mut out, message.len() as u64);
    out.extend_from_slice(&message);
    out
}

const NOT_FOUND: &[u8] = &[2, 0x08, 1];

#[tokio::test]
async fn a_record_of_ours_is_told_when_it_changes_and_when_it_is_asked_for() {
    let host = Host::start().await;
    let address = host.tcp().await;
    let key = SigningKey::generate();
    let (name, topic) = (key.name(), topic_of(&key.name()));
    let mut node = node(&address).await;
    node.behaviour_mut().gossip.subscribe(&topic).unwrap();
    let names = host.gateway.streams().names();
    for root in [b"a", b"b"] {
        let record = names.publish(&key, &dag::cid_of(root), names::now());
        let told = heard(&mut node, PATIENCE).await;
        assert_eq!(told.as_deref(), Some(&record[..]));
        let answer = fetched(&mut node, &address, asking(&key_of(&name))).await;
        assert_eq!(answer, found(&record));
    }
    let nobody = SigningKey::generate().name();
    for (key, why) in [
        (key_of(&nobody), "no record"),
        (b"/pk/x".to_vec(), "no name"),
        (vec![7; 253], "the longest request"),
    ] {
        let answer = fetched(&mut node, &address, asking(&key)).await;
        assert_eq!(answer, NOT_FOUND, "{why}");
    }
    for wrong in [asking(&[7; 254]), vec![0xff; 10], vec![0], vec![2, 0x0a, 9]] {
        let answer = fetched(&mut node, &address, wrong.clone()).await;
        assert_eq!(answer, b"", "{wrong:?}");
    }
    let again = fetched(&mut node, &address, asking(&key_of(&name))).await;
    assert!(again.len() > 100, "it serves on");
    host.gateway.shutdown().await;
}

#[tokio::test]
async fn forged_older_and_expired_records_replace_nothing_and_go_no_further() {
    let host = Host::start().await;
    let address = host.tcp().await;
    let (key, other) = (SigningKey::generate(), SigningKey::generate());
    let (name, topic, now) = (key.name(), topic_of(&key.name()), names::now());
    let names = host.gateway.streams().names().clone();
    names.follow(&name);
    let (mut tells, mut hears) = (node(&address).await, node(&address).await);
    for one in [&mut tells, &mut hears] {
        one.behaviour_mut().gossip.subscribe(&topic).unwrap();
        joined(one, &topic).await;
    }
    let mut says = async |record: &[u8], within| {
        let gossip = &mut tells.behaviour_mut().gossip;
        gossip.publish(topic.clone(), record).unwrap();
        let until = Instant::now() + within;
        loop {
            tokio::select! {
                _ = tells.select_next_some() => {}
                heard = heard(&mut hears, until - Instant::now()) => return heard,
            }
        }
    };
    let good = signed(5, now + DAY, &key);
    assert_eq!(says(&good, PATIENCE).await.as_ref(), Some(&good));
    for (bad, why) in [
        (signed(9, now + DAY, &other), "forged"),
        (signed(4, now + 9 * DAY, &key), "older"),
        (signed(9, now - DAY, &key), "expired"),
        (vec![0; 12_000], "too long"),
    ] {
        assert_eq!(says(&bad, SILENCE).await, None, "{why}");
        let held = names.get(&name, now).map(|(record, _)| record);
        assert_eq!(held.as_deref(), Some(&good[..]), "{why}");
    }
    let newer = signed(6, now + DAY, &key);
    assert_eq!(says(&newer, PATIENCE).await.as_ref(), Some(&newer));
    let held = names.get(&name, now).map(|(record, _)| record);
    assert_eq!(held.as_deref(), Some(&newer[..]));
    host.gateway.shutdown().await;
}

/// What the gateway has of a followed stream after a peer that subscribes was asked for it, and says this.
async fn asked(answer: Vec<u8>, name: &StreamName) -> Option<Vec<u8>> {
    let host = Host::start().await;
    let names = host.gateway.streams().names();
    names.follow(name);
    let mut node = node(&host.tcp().await).await;
    let topic = topic_of(name);
    node.behaviour_mut().gossip.subscribe(&topic).unwrap();
    let request = asking(&key_of(name));
    let asked = timeout(PATIENCE, async {
        loop {
            if let SwarmEvent::Behaviour(NodeEvent::Fetch(request_response::Event::Message {
                message:
                    Message::Request {
                        request: theirs,
                        channel,
                        ..
                    },
                ..
            })) = node.select_next_some().await
            {
                assert_eq!(theirs, request);
                let fetch = &mut node.behaviour_mut().fetch;
                fetch.send_response(channel, answer.clone()).unwrap();
                return;
            }
        }
    });
    asked.await.expect("it asks");
    // What is taken is told on the topic, too.
    let told = heard(&mut node, SILENCE).await;
    let held = names.get(name, names::now());
    let held = held.map(|(record, _)| record.to_vec());
    assert_eq!(told, held);
    host.gateway.shutdown().await;
    held
}

#[tokio::test]
async fn whoever_subscribes_is_asked_and_not_believed() {
    let (key, other) = (SigningKey::generate(), SigningKey::generate());
    let good = signed(5, names::now() + DAY, &key);
    let forged = signed(5, names::now() + DAY, &other);
    let held = asked(found(&good), &key.name()).await;
    assert_eq!(held, Some(good));
    for (answer, why) in [
        (found(&forged), "forged"),
        (NOT_FOUND.to_vec(), "none"),
        (vec![0xff; 20_000], "endless"),
        (found(&vec![1; 20_000]), "too long"),
    ] {
        assert_eq!(asked(answer, &key.name()).await, None, "{why}");
    }
}

#[tokio::test]
async fn a_mirror_tells_the_record_when_its_origin_is_gone() {
    let alone = |config: &mut Config| config.p2p.dht = Dht::Off;
    let (origin, mirror) = (Host::with(alone).await, Host::with(alone).await);
    let key = SigningKey::generate();
    let names = origin.gateway.streams().names();
    let record = names.publish(&key, &dag::cid_of(b"root"), names::now());
    let names = mirror.gateway.streams().names();
    names.follow(&key.name());
    let has = timeout(PATIENCE, async {
        while names.get(&key.name(), names::now()).is_none() {
            sleep(Duration::from_millis(100)).await;
        }
    });
    let connects = async {
        let place = Place {
            stream: key.name(),
            rendition: "any".into(),
            start: 0,
        };
        let (at, gateway) = (origin.tcp().await, &mirror.gateway);
        let _ = gateway.fetch(at, dag::cid_of(b"nothing"), &place).await;
        std::future::pending::<()>().await
    };
    tokio::select! {
        has = has => has.expect("the mirror hears of it"),
        () = connects => {}
    }
    origin.gateway.shutdown().await;
    let mut node = node(&mirror.tcp().await).await;
    let topic = topic_of(&key.name());
    node.behaviour_mut().gossip.subscribe(&topic).unwrap();
    assert_eq!(
        heard(&mut node, PATIENCE).await.as_deref(),
        Some(&record[..])
    );
    mirror.gateway.shutdown().await;
}

#[tokio::test]
async fn topics_of_a_peer_have_a_limit() {
    let host = Host::start().await;
    let address = host.tcp().await;
    for (others, hears) in [(255, true), (256, false)] {
        let key = SigningKey::generate();
        let mut node = node(&address).await;
        for _ in 0..others {
            let other = topic_of(&SigningKey::generate().name());
            node.behaviour_mut().gossip.subscribe(&other).unwrap();
        }
        let topic = topic_of(&key.name());
        node.behaviour_mut().gossip.subscribe(&topic).unwrap();
        // All of them are on their way before there is anything to tell.
        assert_eq!(heard(&mut node, SILENCE).await, None);
        let names = host.gateway.streams().names();
        let record = names.publish(&key, &dag::cid_of(b"root"), names::now());
        let told = heard(&mut node, if hears { PATIENCE } else { SILENCE }).await;
        assert_eq!(told, hears.then(|| record.to_vec()), "{others} others");
    }
    host.gateway.shutdown().await;
}

#[tokio::test]
async fn whoever_floods_is_disconnected_and_others_are_served() {
    let host = Host::start().await;
    let address = host.tcp().await;
    let key = SigningKey::generate();
    let topic = topic_of(&key.name());
    let names = host.gateway.streams().names();
    names.publish(&key, &dag::cid_of(b"a"), names::now());
    let (mut floods, mut calm) = (node(&address).await, node(&address).await);
    for one in [&mut floods, &mut calm] {
        one.behaviour_mut().gossip.subscribe(&topic).unwrap();
        joined(one, &topic).await;
    }
    let ended = timeout(PATIENCE, async {
        let mut sent = 0_u64;
        loop {
            let record = signed(sent, names::now() + DAY, &SigningKey::from_secret([9; 32]));
            sent += u64::from(
                floods
                    .behaviour_mut()
                    .gossip
                    .publish(topic.clone(), record)
                    .is_ok(),
            );
            while let Ok(event) = timeout(Duration::ZERO, floods.select_next_some()).await {
                if let SwarmEvent::ConnectionClosed { .. } = event {
                    return sent;
                }
            }
        }
    });
    let sent = ended.await.expect("it is disconnected");
    assert!(sent > 400, "{sent}: not for so little");
    let record = names.publish(&key, &dag::cid_of(b"b"), names::now());
    let told = timeout(PATIENCE, async {
        while heard(&mut calm, PATIENCE).await.as_deref() != Some(&record[..]) {}
    });
    told.await.expect("the other one is told");
    host.gateway.shutdown().await;
}

#[tokio::test]
async fn where_it_is_off_it_is_not_spoken() {
    let host = Host::with(|config| config.p2p.pubsub = false).await;
    let address = host.tcp().await;
    let key = SigningKey::generate();
    let mut node = node(&address).await;
    let topic = topic_of(&key.name());
    node.behaviour_mut().gossip.subscribe(&topic).unwrap();
    let names = host.gateway.streams().names();
    names.publish(&key, &dag::cid_of(b"root"), names::now());
    assert_eq!(heard(&mut node, SILENCE).await, None);
    let answer = fetched(&mut node, &address, asking(&key_of(&key.name()))).await;
    assert_eq!(answer, b"");
    host.gateway.shutdown().await;
}
