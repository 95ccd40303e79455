//! What crosses the edge to JavaScript as text.

use libp2p::{Multiaddr, PeerId};
use meshlive_protocol::{
    Cid,
    manifest::Rendition,
    scheduler::{Kind, PeerCounters, Scheduler},
};
use serde::{Deserialize, Serialize};

/// Addresses and STUN servers that are taken of one gateway.
const MAX_ADDRESSES: usize = 16;

pub fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("texts and numbers always have a JSON form")
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RenditionJson<'a> {
    id: &'a str,
    codecs: &'a str,
    bandwidth: u32,
    width: u32,
    height: u32,
    frame_rate: f64,
    part_target: f64,
    audio_only: bool,
}

impl<'a> RenditionJson<'a> {
    pub fn new(rendition: &'a Rendition) -> Self {
        Self {
            id: &rendition.id,
            codecs: &rendition.codecs,
            bandwidth: rendition.bandwidth,
            width: rendition.width,
            height: rendition.height,
            frame_rate: f64::from(rendition.frame_rate) / 1000.0,
            part_target: f64::from(rendition.part_target) / 1e6,
            audio_only: rendition.audio_only(),
        }
    }
}

#[derive(Serialize)]
pub struct LatestJson {
    pub msn: u64,
    pub part: u32,
    pub last: bool,
}

#[derive(Serialize)]
pub struct BlockJson {
    cid: String,
    size: u32,
}

impl BlockJson {
    pub fn new(cid: &Cid, size: u32) -> Self {
        Self {
            cid: cid.to_string(),
            size,
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StatsJson {
    bytes_from_peers: u64,
    bytes_from_gateway: u64,
    bytes_uploaded: u64,
    parts_from_peers: u64,
    parts_from_gateway: u64,
    parts_rejected: u64,
    parts_duplicate: u64,
    estimate: Option<u64>,
    peers: Vec<PeerJson>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PeerJson {
    id: String,
    kind: &'static str,
    rtt_ms: Option<f64>,
    bytes_in: u64,
    bytes_out: u64,
}

impl StatsJson {
    pub fn new(engine: &Scheduler) -> Self {
        let counters = engine.counters();
        Self {
            bytes_from_peers: counters.bytes_from_peers,
            bytes_from_gateway: counters.bytes_from_gateway,
            bytes_uploaded: counters.bytes_uploaded,
            parts_from_peers: counters.parts_from_peers,
            parts_from_gateway: counters.parts_from_gateway,
            parts_rejected: counters.parts_rejected,
            parts_duplicate: counters.parts_duplicate,
            estimate: engine.estimate(),
            peers: engine.peers().iter().map(PeerJson::new).collect(),
        }
    }
}

impl PeerJson {
    fn new(peer: &PeerCounters) -> Self {
        Self {
            id: peer.peer.to_string(),
            kind: match peer.kind {
                Kind::Viewer => "viewer",
                Kind::Gateway => "gateway",
            },
            rtt_ms: peer.round_trip.map(|micros| micros as f64 / 1000.0),
            bytes_in: peer.bytes_in,
            bytes_out: peer.bytes_out,
        }
    }
}

/// What `GET /api/v1/peer` says: how to reach the gateway's network.
pub struct Network {
    pub peer: PeerId,
    pub addresses: Vec<Multiaddr>,
    /// `stun:host:port`, for ICE.
    pub stun: Vec<String>,
    /// Where this page is, and where the gateway is; 0: not known.
    pub site: u32,
    pub gateway_site: u32,
}

impl Network {
    /// Of the addresses those that this peer can read; a newer gateway may name others, too.
    pub fn parse(text: &str) -> Result<Self, String> {
        let raw: NetworkJson =
            serde_json::from_str(text).map_err(|error| format!("/api/v1/peer: {error}"))?;
        let peer = raw
            .peer
            .parse()
            .map_err(|error| format!("/api/v1/peer names the peer {:?}: {error}", raw.peer))?;
        let read = |address: &String| address.parse().ok();
        Ok(Self {
            peer,
            addresses: raw
                .addresses
                .iter()
                .take(MAX_ADDRESSES)
                .filter_map(read)
                .collect(),
            stun: raw.stun.into_iter().take(MAX_ADDRESSES).collect(),
            site: raw.site,
            gateway_site: raw.gateway_site,
        })
    }
}

#[derive(Deserialize)]
struct NetworkJson {
    peer: String,
    addresses: Vec<String>,
    #[serde(default)]
    stun: Vec<String>,
    #[serde(default)]
    site: u32,
    #[serde(default)]
    gateway_site: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: &str = "12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN";

    #[test]
    fn addresses_of_a_kind_unknown_here_are_passed_over() {
        let text = format!(
            r#"{{"peer":"{PEER}","addresses":["/ip4/10.0.0.1/tcp/80/ws/p2p/{PEER}","/new/1","no"],"more":1}}"#
        );
        let network = Network::parse(&text).unwrap();
        assert_eq!(network.peer.to_string(), PEER);
        assert_eq!(network.addresses.len(), 1);
        assert!(network.stun.is_empty());
    }

    #[test]
    fn what_is_no_network_is_refused_with_its_name() {
        for text in ["", "{}", "[]", r#"{"peer":"nobody","addresses":[]}"#] {
            let error = Network::parse(text).err().unwrap();
            assert!(error.starts_with("/api/v1/peer"), "{error}");
        }
    }

    #[test]
    fn more_addresses_than_are_taken_cost_nothing() {
        let address = format!("\"/ip4/10.0.0.1/tcp/80/ws/p2p/{PEER}\"");
        let addresses = vec![address.as_str(); 1000].join(",");
        let text = format!(r#"{{"peer":"{PEER}","addresses":[{addresses}],"stun":[]}}"#);
        assert_eq!(
            Network::parse(&text).unwrap().addresses.len(),
            MAX_ADDRESSES
        );
    }
}
