//! The browser's peer: all that JavaScript sees.
//!
//! One [`Peer`] follows one stream. It does no I/O: the page hands it what came over WebSocket or HTTP, from
//! whomever, and it says what that is worth. Everything it knows is signed by the stream's key, and every
//! playlist it writes is byte for byte the gateway's. Wrapped by `www/src/peer.ts`.

use meshlive_protocol::{
    Cid, dag,
    manifest::{Follower, Manifest},
    name::StreamName,
    playlist::{self, Selection, Skip},
};
use serde::Serialize;
use wasm_bindgen::prelude::*;

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = console, js_name = error)]
    fn console_error(message: &str);
}

/// Once, when the module is loaded: a panic (a bug of ours) is told to the console before it ends the module.
#[wasm_bindgen(start)]
pub fn start() {
    std::panic::set_hook(Box::new(|panic| console_error(&panic.to_string())));
}

/// One stream as this viewer knows it.
#[wasm_bindgen]
pub struct Peer(Follower);

#[wasm_bindgen]
impl Peer {
    /// Follows the stream of this name, `k51…`. Throws a string if it is none.
    #[wasm_bindgen(constructor)]
    pub fn new(stream: &str) -> Result<Peer, String> {
        let stream: StreamName = stream.parse().map_err(|error| format!("{error}"))?;
        Ok(Self(Follower::new(stream)))
    }

    /// Verifies and takes in a signed manifest or announcement. False if it is genuine but tells nothing new.
    /// Throws a string that says why if it is not accepted; then nothing has changed.
    pub fn accept(&mut self, envelope: &[u8]) -> Result<bool, String> {
        self.0.accept(envelope).map_err(|error| error.to_string())
    }

    /// Whether only a manifest helps: none came yet, or something was lost since.
    #[wasm_bindgen(getter, js_name = needsManifest)]
    pub fn needs_manifest(&self) -> bool {
        self.0.needs_manifest()
    }

    /// 0 before the first manifest.
    #[wasm_bindgen(getter)]
    pub fn epoch(&self) -> u64 {
        self.0.manifest().map_or(0, Manifest::epoch)
    }

    /// Of the last announcement in this epoch.
    #[wasm_bindgen(getter)]
    pub fn sequence(&self) -> u64 {
        self.0.manifest().map_or(0, Manifest::sequence)
    }

    /// The stream's clock at that announcement, microseconds since the Unix epoch.
    #[wasm_bindgen(getter, js_name = clockMicros)]
    pub fn clock_micros(&self) -> u64 {
        self.0.manifest().map_or(0, Manifest::clock)
    }

    /// Whether the stream has ended.
    #[wasm_bindgen(getter)]
    pub fn ended(&self) -> bool {
        self.0.manifest().is_some_and(Manifest::ended)
    }

    /// JSON: `[{id, codecs, bandwidth, width, height, frameRate, audioOnly}]`, in the order of their announcement;
    /// width, height and frame rate are 0 without video.
    pub fn renditions(&self) -> String {
        let entries = self
            .0
            .manifest()
            .map_or(&[][..], Manifest::renditions)
            .iter();
        let renditions = entries
            .filter(|entry| !entry.withdrawn)
            .map(|entry| &entry.rendition);
        let renditions: Vec<_> = renditions
            .map(|rendition| RenditionJson {
                id: &rendition.id,
                codecs: &rendition.codecs,
                bandwidth: rendition.bandwidth,
                width: rendition.width,
                height: rendition.height,
                frame_rate: f64::from(rendition.frame_rate) / 1000.0,
                audio_only: rendition.audio_only(),
            })
            .collect();
        json(&renditions)
    }

    /// A rendition's media playlist, or the multivariant playlist if `rendition` is undefined; undefined where
    /// there is none (yet). `skip`: a delta update, as by `_HLS_skip=YES`.
    pub fn playlist(&self, rendition: Option<String>, skip: bool) -> Option<String> {
        let manifest = self.0.manifest()?;
        match rendition {
            None => Some(playlist::multivariant(manifest, Selection::Main)),
            Some(id) => playlist::media(manifest, &id, if skip { Skip::Yes } else { Skip::No }),
        }
    }

    /// The multivariant playlist of the renditions without video, as `index.m3u8?audio=1`.
    #[wasm_bindgen(js_name = audioPlaylist)]
    pub fn audio_playlist(&self) -> Option<String> {
        Some(playlist::multivariant(
            self.0.manifest()?,
            Selection::AudioOnly,
        ))
    }

    /// The newest part, JSON: `{msn, part}`, or `null` before the first.
    pub fn latest(&self) -> String {
        json(
            &self
                .0
                .manifest()
                .and_then(Manifest::latest)
                .map(|(msn, part)| LatestJson { msn, part }),
        )
    }

    /// A part, JSON: `{cid, size}`; undefined if the window does not hold it.
    pub fn locate(&self, rendition: &str, msn: u64, part: u32) -> Option<String> {
        let part = self.0.manifest()?.find_part(rendition, msn, part)?;
        Some(json(&BlockJson {
            cid: part.cid.to_string(),
            size: part.size,
        }))
    }

    /// All parts of a segment that have been announced, in order, JSON: `[{cid, size}]`; undefined if the window
    /// does not hold it.
    #[wasm_bindgen(js_name = locateSegment)]
    pub fn locate_segment(&self, rendition: &str, msn: u64) -> Option<String> {
        let strand = self.0.manifest()?.find_strand(rendition, msn)?;
        let block = |part: &meshlive_protocol::manifest::PartEntry| BlockJson {
            cid: part.cid.to_string(),
            size: part.size,
        };
        Some(json(&strand.parts.iter().map(block).collect::<Vec<_>>()))
    }

    /// An init segment, JSON: `{cid, size}`; undefined if the window does not hold it.
    #[wasm_bindgen(js_name = locateInit)]
    pub fn locate_init(&self, rendition: &str, number: u32) -> Option<String> {
        let init = self.0.manifest()?.find_init(rendition, number)?;
        Some(json(&BlockJson {
            cid: init.cid.to_string(),
            size: init.size,
        }))
    }

    /// Whether `bytes` are what `cid` names (sha2-256). False for a text that is no CID.
    pub fn verify(&self, cid: &str, bytes: &[u8]) -> bool {
        cid.parse::<Cid>().is_ok_and(|cid| dag::verify(&cid, bytes))
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RenditionJson<'a> {
    id: &'a str,
    codecs: &'a str,
    bandwidth: u32,
    width: u32,
    height: u32,
    frame_rate: f64,
    audio_only: bool,
}

#[derive(Serialize)]
struct LatestJson {
    msn: u64,
    part: u32,
}

#[derive(Serialize)]
struct BlockJson {
    cid: String,
    size: u32,
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("texts and numbers always have a JSON form")
}
