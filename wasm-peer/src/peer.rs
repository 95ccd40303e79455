//! The browser's peer: all that JavaScript sees.
//!
//! One [`Peer`] follows one stream. The page hands it what came over WebSocket or HTTP, and does over HTTP what it
//! asks of its [`Host`]; other viewers and the gateway's network it reaches by itself, once it is told how
//! ([`Peer::connect`]). Everything it knows is signed by the stream's key, everything it gives was verified, and every
//! playlist it writes is byte for byte the gateway's. Wrapped by `www/src/peer.ts`.

use std::rc::Rc;

use bytes::Bytes;
use meshlive_protocol::{
    Cid, dag,
    manifest::{Manifest, PartEntry},
    message::Place,
    name::StreamName,
    playlist::{self, Group, Selection},
    scheduler::{Input, Scheduler},
};
use wasm_bindgen::prelude::*;

use crate::{
    host::{Host, complain},
    json::{BlockJson, LatestJson, Network, RenditionJson, StatsJson, json},
    place::{format_key, parse_key},
    run::Run,
};

/// Once, when the module is loaded: a panic (a bug of ours) is told to the console before it ends the module.
#[wasm_bindgen(start)]
pub fn start() {
    std::panic::set_hook(Box::new(|panic| complain(&panic.to_string())));
}

/// One stream as this viewer knows it, and its place among the stream's viewers.
#[wasm_bindgen]
pub struct Peer(Rc<Run>);

#[cfg(feature = "liar")]
impl Peer {
    pub(crate) fn run(&self) -> &Run {
        &self.0
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.0.close();
    }
}

#[wasm_bindgen]
impl Peer {
    /// Follows the stream of this name, `k51…`. Throws a string if it is none.
    #[wasm_bindgen(constructor)]
    pub fn new(stream: &str, host: Host) -> Result<Peer, String> {
        let stream: StreamName = stream.parse().map_err(|error| format!("{error}"))?;
        Ok(Self(Run::start(stream, host)))
    }

    /// Brings the network; no other viewer is dialled before [`Self::meet`]. `peer` is the body of `GET /api/v1/peer`; a later
    /// one takes the place of the earlier. Throws a string if it is none.
    pub fn connect(&self, peer: &str) -> Result<(), String> {
        let network = Network::parse(peer)?;
        let (mine, gateway) = (network.site, network.gateway_site);
        let _ = self.0.input(Input::Site { mine, gateway });
        self.0
            .connect(network.peer, &network.addresses, &network.stun);
        Ok(())
    }

    /// Dials other viewers from now on, those first that it has heard of.
    pub fn meet(&self) {
        self.0.meet();
    }

    /// Leaves the network; playback goes on over HTTP.
    pub fn disconnect(&self) {
        self.0.disconnect();
    }

    /// Verifies and takes in a signed manifest or announcement. False if it is genuine but tells nothing new.
    /// Throws a string that says why if it is not accepted; then nothing has changed.
    pub fn accept(&self, envelope: &[u8]) -> Result<bool, String> {
        let before = self.position();
        self.0
            .input(Input::Envelope(envelope))
            .map_err(|error| error.to_string())?;
        Ok(self.position() != before)
    }

    /// Asks for a part that the page needs. Gives its key; `Host.ready` or `Host.gone` follows with it. Undefined if
    /// there is no such rendition. The player gets it with those of its segment from part `first` on.
    pub fn demand(&self, rendition: &str, msn: u64, part: u32, first: u32) -> Option<String> {
        let place = Place {
            msn,
            part,
            rendition: self.index(rendition)?,
        };
        self.input(Input::Demand { place, first });
        Some(format_key(place))
    }

    /// The verified bytes of a part; undefined if they are not (or no longer) here.
    pub fn part(&self, key: &str) -> Option<Vec<u8>> {
        let place = parse_key(key)?;
        let part = self.0.ask(|engine| engine.part(place)).flatten()?;
        Some(part.to_vec())
    }

    /// What became of `Host.fetch`: the answer's bytes, or undefined if the gateway does not have it or cannot be
    /// reached. `took_ms`: from the request to its last byte.
    pub fn fetched(&self, key: &str, bytes: Option<Vec<u8>>, took_ms: f64) {
        if let Some(place) = parse_key(key) {
            let (bytes, took) = (bytes.map(Bytes::from), (took_ms * 1000.0) as u64);
            self.input(Input::Fetched { place, bytes, took });
        }
    }

    /// Where playback is, milliseconds since the Unix epoch on the stream's timeline, and whether it moves.
    pub fn playhead(&self, program_date_ms: f64, moving: bool) {
        let micros = (program_date_ms * 1000.0) as u64;
        self.input(Input::Playhead { micros, moving });
    }

    /// The renditions wanted from now on, by their ids; none while the player is paused for long.
    pub fn select(&self, renditions: Vec<String>) {
        let bit = |id: &String| {
            self.index(id)
                .map_or(0, |index| 1u16.checked_shl(index.into()).unwrap_or(0))
        };
        let renditions = renditions.iter().map(bit).fold(0, |all, one| all | one);
        self.input(Input::Select { renditions });
    }

    /// What may be given to others, bytes per second; 0 turns sharing off.
    pub fn upload(&self, bytes_per_second: u32) {
        self.input(Input::Upload { bytes_per_second });
    }

    /// What peers and gateway together give at the moment, bits per second; undefined until it is known.
    #[wasm_bindgen(getter)]
    pub fn estimate(&self) -> Option<f64> {
        let estimate = self.0.ask(Scheduler::estimate).flatten()?;
        Some(estimate as f64)
    }

    /// Other viewers that are linked to this one.
    #[wasm_bindgen(getter)]
    pub fn neighbours(&self) -> u32 {
        self.0.ask(Scheduler::neighbours).unwrap_or(0)
    }

    /// Whether links to the gateway or to other viewers bring announcements, so that the page's own socket need not.
    #[wasm_bindgen(getter, js_name = isTold)]
    pub fn is_told(&self) -> bool {
        self.0.ask(Scheduler::is_told).unwrap_or(false)
    }

    /// The numbers of this visit, JSON: `{bytesFromPeers, bytesFromGateway, bytesUploaded, partsFromPeers,
    /// partsFromGateway, partsRejected, partsDuplicate, estimate, peers: [{id, kind, rttMs, bytesIn, bytesOut}]}`;
    /// `estimate` is what peers and gateway together give, bits per second, or null.
    pub fn stats(&self) -> String {
        self.0
            .ask(|engine| json(&StatsJson::new(engine)))
            .unwrap_or_default()
    }

    /// Whether only a manifest helps: none came yet, or something was lost since.
    #[wasm_bindgen(getter, js_name = needsManifest)]
    pub fn needs_manifest(&self) -> bool {
        self.0.ask(Scheduler::needs_manifest).unwrap_or(true)
    }

    /// 0 before the first manifest.
    #[wasm_bindgen(getter)]
    pub fn epoch(&self) -> u64 {
        self.manifest(Manifest::epoch).unwrap_or(0)
    }

    /// Of the last announcement in this epoch.
    #[wasm_bindgen(getter)]
    pub fn sequence(&self) -> u64 {
        self.manifest(Manifest::sequence).unwrap_or(0)
    }

    /// The stream's clock at that announcement, microseconds since the Unix epoch.
    #[wasm_bindgen(getter, js_name = clockMicros)]
    pub fn clock_micros(&self) -> u64 {
        self.manifest(Manifest::clock).unwrap_or(0)
    }

    /// Whether the stream has ended.
    #[wasm_bindgen(getter)]
    pub fn ended(&self) -> bool {
        self.manifest(Manifest::ended).unwrap_or(false)
    }

    /// JSON: `[{id, codecs, bandwidth, width, height, frameRate, partTarget, audioOnly}]`, in the order of their announcement;
    /// width, height and frame rate are 0 without video; `partTarget` in seconds.
    pub fn renditions(&self) -> String {
        self.manifest(|manifest| {
            let entries = manifest.renditions().iter();
            let offered = entries.filter(|entry| !entry.withdrawn);
            json(
                &offered
                    .map(|entry| RenditionJson::new(&entry.rendition))
                    .collect::<Vec<_>>(),
            )
        })
        .unwrap_or_else(|| "[]".to_owned())
    }

    /// A rendition's media playlist, or the multivariant playlist if `rendition` is undefined; undefined where
    /// there is none (yet). `groups`: segments whose parts are listed several at a time; of each its number, and how many.
    pub fn playlist(&self, rendition: Option<String>, groups: &[u64]) -> Option<String> {
        let groups: Vec<Group> = groups
            .chunks_exact(2)
            .map(|group| Group {
                msn: group[0],
                parts: u8::try_from(group[1]).unwrap_or(u8::MAX),
            })
            .collect();
        self.manifest(|manifest| match rendition {
            None => Some(playlist::multivariant(manifest, Selection::Main)),
            Some(id) => playlist::grouped(manifest, &id, &groups),
        })?
    }

    /// The multivariant playlist of the renditions without video, as `index.m3u8?audio=1`.
    #[wasm_bindgen(js_name = audioPlaylist)]
    pub fn audio_playlist(&self) -> Option<String> {
        self.manifest(|manifest| playlist::multivariant(manifest, Selection::AudioOnly))
    }

    /// The newest part, JSON: `{msn, part, last}` (`last`: its segment is closed), or `null` before the first.
    pub fn latest(&self) -> String {
        let latest = self.manifest(|manifest| {
            let (msn, part) = manifest.latest()?;
            let last = manifest.is_closed(msn);
            Some(LatestJson { msn, part, last })
        });
        json(&latest.flatten())
    }

    /// A part, JSON: `{cid, size}`; undefined if the window does not hold it.
    pub fn locate(&self, rendition: &str, msn: u64, part: u32) -> Option<String> {
        self.manifest(|manifest| {
            let part = manifest.find_part(rendition, msn, part)?;
            Some(json(&BlockJson::new(&part.cid, part.size)))
        })?
    }

    /// The parts of a segment from `first` to before `end` that have been announced, in order, JSON: `[{cid, size}]`;
    /// undefined if the window does not hold it.
    #[wasm_bindgen(js_name = locateParts)]
    pub fn locate_parts(&self, rendition: &str, msn: u64, first: u32, end: u32) -> Option<String> {
        self.manifest(|manifest| {
            let parts = &manifest.find_strand(rendition, msn)?.parts;
            let some = parts.iter().take(end as usize).skip(first as usize);
            let block = |part: &PartEntry| BlockJson::new(&part.cid, part.size);
            Some(json(&some.map(block).collect::<Vec<_>>()))
        })?
    }

    /// An init segment, JSON: `{cid, size}`; undefined if the window does not hold it.
    #[wasm_bindgen(js_name = locateInit)]
    pub fn locate_init(&self, rendition: &str, number: u32) -> Option<String> {
        self.manifest(|manifest| {
            let init = manifest.find_init(rendition, number)?;
            Some(json(&BlockJson::new(&init.cid, init.size)))
        })?
    }

    /// Whether `bytes` are what `cid` names (sha2-256). False for a text that is no CID.
    pub fn verify(&self, cid: &str, bytes: &[u8]) -> bool {
        cid.parse::<Cid>().is_ok_and(|cid| dag::verify(&cid, bytes))
    }
}

impl Peer {
    /// None before the first manifest.
    fn manifest<T>(&self, ask: impl FnOnce(&Manifest) -> T) -> Option<T> {
        self.0.ask(|engine| engine.manifest().map(ask)).flatten()
    }

    /// What has been taken in: changes with each news.
    fn position(&self) -> Option<(u64, u64)> {
        self.manifest(|manifest| (manifest.epoch(), manifest.sequence()))
    }

    fn index(&self, rendition: &str) -> Option<u8> {
        let index = self.manifest(|manifest| manifest.rendition_index(rendition))??;
        u8::try_from(index).ok()
    }

    fn input(&self, input: Input<'_>) {
        self.0
            .input(input)
            .expect("only an envelope can be rejected");
    }
}
