//! What gateways and viewers agree on: names, parts, announcements, manifests, playlists.
//!
//! Pure: no clock, no socket, no randomness of its own, native and wasm32 alike. `README.md` beside this
//! crate is the normative specification; the code cites its sections.
//!
//! # The rooms
//!
//! `protocol` ← `gateway`; `protocol` ← `wasm-peer` ← `www`; the gateway embeds the built `www`. `gateway` and
//! `wasm-peer` meet only here, `www` and `gateway` only in the gateway's URLs. No arrow runs the other way.
//!
//! # The walk of a part
//!
//! | step | room | in → out |
//! |---|---|---|
//! | 1 | `gateway/ingest` | publisher, camera, file or test card → encoded samples |
//! | 2 | `gateway/package` | samples → init segments and [parts](part) of about 200 ms, grouped into segments of about 2 s |
//! | 3 | `gateway/publish` | part → [CID](dag) → next signed [announcement](manifest); segment closed → [UnixFS file](dag::segment_file) |
//! | 4 | `gateway/store` | on disk, written before it is announced |
//! | 5 | `gateway/swarm`, `gateway/http` | announced to a few peers, who tell the others, pushed to a few [seeds](scheduler) right behind; named by its number in the [playlist] for whoever has no peer |
//! | 6 | `wasm-peer` | announcement [verified](manifest::open) (signature), bytes [verified](dag::verify) (CID), cached |
//! | 7 | `www` | hls.js asks for a number → CID by the verified [window](manifest::Manifest) → bytes → screen |
//! | 8 | `wasm-peer` → `wasm-peer` | the same step passes it on |
//!
//! From a stream's [name] one can verify everything: name → key → announcement → CID → bytes, and of what is past
//! name → key → signed list → directories → CID → bytes ([archive]).
//!
//! # The files
//!
//! - [`name`], [`key`]: who a stream is
//! - [`part`], [`dag`]: what is stored, and what it is called
//! - [`ipns`]: where the newest of a stream's past is, signed, for any IPFS node
//! - [`manifest`]: what is new, and all that is live, signed
//! - [`playlist`], [`time`]: the window as HLS
//! - [`archive`]: hours, days and the signed list of them
//! - [`message`]: what peers tell each other
//! - [`channel`]: libp2p's streams over WebRTC data channels: frames and flags
//! - [`scheduler`]: the peer engine: which part from whom, and to whom
//! - `behaviour` (feature): the engine's libp2p driver, for gateway and browser
//! - `sim` (feature): a swarm of engines in virtual time
//! - [`fuzz`]: what the fuzzers in `fuzz/` and the replay of their corpora call

#![warn(missing_docs)]

pub mod archive;
#[cfg(feature = "behaviour")]
pub mod behaviour;
mod cbor;
pub mod channel;
pub mod dag;
pub mod fuzz;
pub mod ipns;
pub mod key;
pub mod manifest;
pub mod message;
pub mod name;
pub mod part;
pub mod playlist;
pub mod protobuf;
pub mod scheduler;
#[cfg(any(test, feature = "sim"))]
pub mod sim;
mod sorted;
pub mod time;

pub use cid::Cid;
