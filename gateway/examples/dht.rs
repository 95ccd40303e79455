//! A node of the DHT that is not ours, for `tests/interop`: libp2p's own Kademlia, with no check of anything.
//!
//! `dht ADDRESS put NAME HEX`: puts a record for a stream's name at the peer with this multiaddr, prints `true` or `false`.
//! `dht ADDRESS get NAME`: prints what that peer has for the name in hexadecimal, or `none`.

use std::{env, error::Error, time::Duration};

use futures::StreamExt;
use libp2p::{
    Multiaddr, StreamProtocol, Swarm, Transport,
    core::upgrade::Version,
    identify,
    identity::Keypair,
    kad::{self, GetRecordOk, QueryResult, Quorum, Record, RecordKey, store::MemoryStore},
    multiaddr::Protocol,
    noise,
    swarm::{self, NetworkBehaviour, SwarmEvent},
    tcp, yamux,
};
use meshlive_protocol::name::StreamName;

type Failure = Box<dyn Error + Send + Sync>;

/// Longer than any answer takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(NetworkBehaviour)]
struct Node {
    kad: kad::Behaviour<MemoryStore>,
    identify: identify::Behaviour,
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let args: Vec<String> = env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let (address, name, value) = match args[..] {
        [address, "put", name, value] => (address, name, Some(value)),
        [address, "get", name] => (address, name, None),
        _ => return Err("give ADDRESS put NAME HEX, or ADDRESS get NAME".into()),
    };
    let address: Multiaddr = address.parse()?;
    let Some(Protocol::P2p(peer)) = address.iter().last() else {
        return Err("the address names no peer".into());
    };
    let name: StreamName = name.parse()?;
    let key = RecordKey::from([b"/ipns/", &name.to_cid().hash().to_bytes()[..]].concat());
    let mut swarm = node(&address)?;
    let kad = &mut swarm.behaviour_mut().kad;
    match value {
        Some(value) => {
            let record = Record::new(key, bytes(value)?);
            kad.put_record_to(record, [peer].into_iter(), Quorum::One);
        }
        None => drop(kad.get_record(key)),
    }
    let said = tokio::time::timeout(PATIENCE, said(&mut swarm)).await;
    println!("{}", said.unwrap_or_else(|_| "nothing in time".into()));
    Ok(())
}

async fn said(swarm: &mut Swarm<Node>) -> String {
    loop {
        let SwarmEvent::Behaviour(NodeEvent::Kad(kad::Event::OutboundQueryProgressed {
            result,
            ..
        })) = swarm.select_next_some().await
        else {
            continue;
        };
        match result {
            QueryResult::PutRecord(put) => return put.is_ok().to_string(),
            QueryResult::GetRecord(Ok(GetRecordOk::FoundRecord(found))) => {
                return found
                    .record
                    .value
                    .iter()
                    .map(|byte| format!("{byte:02x}"))
                    .collect();
            }
            QueryResult::GetRecord(_) => return "none".into(),
            _ => {}
        }
    }
}

fn node(address: &Multiaddr) -> Result<Swarm<Node>, Failure> {
    let key = Keypair::generate_ed25519();
    let me = key.public().to_peer_id();
    let transport = tcp::tokio::Transport::new(tcp::Config::default().nodelay(true))
        .upgrade(Version::V1)
        .authenticate(noise::Config::new(&key)?)
        .multiplex(yamux::Config::default())
        .boxed();
    let mut config = kad::Config::new(StreamProtocol::new("/ipfs/lan/kad/1.0.0"));
    config.set_query_timeout(PATIENCE);
    let mut kad = kad::Behaviour::with_config(me, MemoryStore::new(me), config);
    if let Some(Protocol::P2p(peer)) = address.iter().last() {
        kad.add_address(&peer, address.clone());
    }
    let identify = identify::Config::new("/test/1".into(), key.public());
    let behaviour = Node {
        kad,
        identify: identify::Behaviour::new(identify),
    };
    let settings = swarm::Config::with_tokio_executor();
    Ok(Swarm::new(transport, behaviour, me, settings))
}

fn bytes(hex: &str) -> Result<Vec<u8>, Failure> {
    let digits = hex.as_bytes().chunks(2);
    digits
        .map(|two| Ok(u8::from_str_radix(std::str::from_utf8(two)?, 16)?))
        .collect()
}
