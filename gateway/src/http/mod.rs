//! The doors: every URL of the gateway, at one glance in [`router`].
//!
//! Files: `serve`, `taken` (connections and their limits) → `query`, `range`, `encoding`, `error` (what is asked, purely) →
//! `playlists`, `parts`, `wait`, `live` (LL-HLS; one rendering serves all who wait) → `sockets`, `client` (pushes) → `api`, `peers` (the swarm's WebSockets), `pinning` →
//! `ipfs`, `ipns`, `format`, `resolve`, `unixfs`, `hamt`, `listing`, `car` (path and trustless gateway) → `archive`, `feed`, `earlier`, `clip`, `recording`, `retime` (what is past, and as MP4) → `page`, `still`, `key_frame` → `content`, `body`, `blocks`, `files` (bytes out).

mod api;
mod archive;
pub(crate) mod blocks;
mod body;
pub(crate) mod car;
mod client;
mod clip;
mod content;
mod earlier;
mod encoding;
mod error;
mod feed;
mod files;
mod format;
mod hamt;
mod ipfs;
mod ipns;
mod key_frame;
mod listing;
mod live;
mod page;
mod parts;
mod peers;
mod pinning;
mod playlists;
pub mod query;
pub mod range;
mod recording;
mod resolve;
mod retime;
mod serve;
mod settings;
mod sockets;
mod still;
mod taken;
pub(crate) mod unixfs;
mod viewers;
mod wait;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    http::{Method, header},
    routing::get,
};
use meshlive_protocol::name::StreamName;
use tokio::sync::{Semaphore, watch};
use tower_http::cors::{Any, CorsLayer};

pub use serve::serve;
pub use settings::Settings;

use crate::{
    clock::Clock,
    metrics::Metrics,
    pinning::{Elsewhere, Service},
    publish::{Stream, Streams},
    store::Store,
    swarm::Door,
};
use blocks::{Blocks, UNPOISONED};
use error::Refusal;
use live::Live;

/// All doors of this gateway.
pub fn router(state: State) -> Router {
    // What a player on another site needs, open to scripts from everywhere …
    let open = Router::new()
        .route("/live/{stream}/index.m3u8", get(playlists::multivariant))
        .route("/live/{stream}/announcements", get(sockets::announcements))
        .route("/live/{stream}/manifest", get(parts::manifest))
        .route("/live/{stream}/still.jpg", get(still::still))
        .route(
            "/live/{stream}/earlier/index.m3u8",
            get(earlier::multivariant),
        )
        .route("/live/{stream}/earlier/proofs", get(earlier::proofs))
        .route(
            "/live/{stream}/earlier/{rendition}/index.m3u8",
            get(earlier::media),
        )
        .route("/live/{stream}/{file}", get(playlists::media))
        .route("/live/{stream}/{rendition}/{file}", get(parts::media))
        .route("/api/v1/streams", get(api::streams))
        .route("/api/v1/streams/watch", get(sockets::directory))
        .route("/api/v1/streams/{stream}", get(api::stream))
        .route("/api/v1/streams/{stream}/archive", get(archive::list))
        .route(
            "/api/v1/streams/{stream}/archive/catalogue",
            get(archive::catalogue),
        )
        .route(
            "/api/v1/streams/{stream}/archive/still.jpg",
            get(archive::still),
        )
        .route(
            "/api/v1/streams/{stream}/archive/recording.mp4",
            get(recording::recording),
        )
        .route(
            "/api/v1/streams/{stream}/archive/pins",
            get(pinning::elsewhere),
        )
        .route("/api/v1/streams/{stream}/archive/clip", get(clip::name))
        .route("/api/v1/streams/{stream}/archive/clip.car", get(clip::car))
        .route("/api/v1/peer", get(peers::peer))
        .route("/embed.js", get(page::embed))
        .route("/assets/{file}", get(page::asset))
        .layer(cors());
    // … what every IPFS gateway is open to …
    let ipfs = Router::new()
        .route("/ipfs/{*path}", get(ipfs::content).options(ipfs::allowed))
        .route("/ipns/{*path}", get(ipns::newest).options(ipfs::allowed))
        .route(
            "/routing/v1/ipns/{name}",
            get(ipns::routed).options(ipfs::allowed),
        );
    // … and nothing else.
    Router::new()
        .route("/", get(peers::root))
        .route("/p2p", get(peers::p2p))
        .route("/s/{stream}", get(page::player))
        .route("/s/{stream}/archive", get(page::archive))
        .route("/s/{stream}/archive/feed.xml", get(feed::feed))
        .route(
            "/api/v1/pinning/pins",
            get(pinning::list).post(pinning::add),
        )
        .route(
            "/api/v1/pinning/pins/{requestid}",
            get(pinning::get)
                .post(pinning::replace)
                .delete(pinning::remove),
        )
        .route("/healthz", get(api::healthz))
        .route("/readyz", get(api::readyz))
        .route("/metrics", get(api::metrics))
        .merge(open)
        .merge(ipfs)
        .fallback(page::nothing)
        .with_state(state)
}

fn cors() -> CorsLayer {
    CorsLayer::new()
        .allow_origin(Any)
        .allow_methods([Method::GET, Method::HEAD])
        .allow_headers([header::RANGE, header::IF_NONE_MATCH])
        .expose_headers([header::ETAG, header::CONTENT_RANGE, header::CONTENT_LENGTH])
}

/// What all doors share; a clone is the same.
#[derive(Clone)]
pub struct State(Arc<Shared>);

/// The inside of [`State`].
pub struct Shared {
    streams: Arc<Streams>,
    store: Store,
    clock: Arc<Clock>,
    metrics: Arc<Metrics>,
    settings: Settings,
    blocks: Arc<Blocks>,
    lives: Mutex<HashMap<StreamName, Arc<Live>>>,
    sockets: Arc<Semaphore>,
    /// Recordings that are being looked up at once: each reads the playlists of its hours.
    recordings: Semaphore,
    closing: watch::Sender<bool>,
    swarm: Option<Door>,
    /// Where the operator has set tokens.
    pinning: Option<Arc<Service>>,
    /// Where the operator names services.
    elsewhere: Option<Arc<Elsewhere>>,
}

impl std::ops::Deref for State {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl State {
    /// What the doors serve from; without a swarm there are no doors for peers.
    pub(crate) fn new(
        streams: Arc<Streams>,
        store: Store,
        blocks: Arc<Blocks>,
        clock: Arc<Clock>,
        metrics: Arc<Metrics>,
        settings: Settings,
        swarm: Option<Door>,
    ) -> Self {
        Self(Arc::new(Shared {
            blocks,
            lives: Mutex::default(),
            sockets: Arc::new(Semaphore::new(settings.websockets)),
            recordings: Semaphore::new(2),
            closing: watch::Sender::new(false),
            streams,
            store,
            clock,
            metrics,
            settings,
            swarm,
            pinning: None,
            elsewhere: None,
        }))
    }

    /// With what others pin here, and what this gateway has others keep.
    pub(crate) fn with_pinning(
        mut self,
        here: Option<Arc<Service>>,
        elsewhere: Option<Arc<Elsewhere>>,
    ) -> Self {
        let shared = Arc::get_mut(&mut self.0).expect("it was made just now, and not cloned yet");
        (shared.pinning, shared.elsewhere) = (here, elsewhere);
        self
    }

    /// A stream of this gateway, by name or alias.
    fn live(&self, name: &str) -> Result<Arc<Live>, Refusal> {
        self.find(name)
            .ok_or(Refusal::absent("there is no such stream on this gateway"))
    }

    fn find(&self, name: &str) -> Option<Arc<Live>> {
        Some(self.live_of(self.streams.find(name)?))
    }

    /// At most one for each stream that this gateway has or had.
    fn live_of(&self, stream: Arc<Stream>) -> Arc<Live> {
        let mut lives = self.lives.lock().expect(UNPOISONED);
        let live = lives
            .entry(stream.name().clone())
            .or_insert_with(|| Arc::new(Live::new(stream.clone())));
        if !Arc::ptr_eq(&live.stream, &stream) {
            *live = Arc::new(Live::new(stream));
        }
        live.clone()
    }
}

/// Runs what reads a stranger's bytes below `/ipfs` (see [`crate::fuzz`]).
pub(crate) fn check_ipfs(bytes: &[u8]) {
    if let Ok(node) = unixfs::Node::parse(bytes) {
        let length = node.file_bytes().unwrap_or(0);
        assert!(unixfs::links(bytes).is_ok(), "a node is a block of dag-pb");
        if let unixfs::Node::File(children) = &node {
            assert!(unixfs::overlapping(children, &(0..length)).len() <= children.len());
        }
        if let unixfs::Node::Shard(shard) = &node {
            let named = shard.entries().count() + shard.below().count();
            assert!(named <= shard.children().len());
            let _ = shard.find("index.html", 0);
        }
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        let (query, accept) = text.split_once('\n').unwrap_or((text, ""));
        if let Ok(format::Format::Car(format::Scope::Entity(Some(bytes)))) =
            format::wanted(query, accept)
        {
            let range = bytes.of(1000);
            assert!(range.start <= range.end && range.end <= 1000);
        }
    }
}

#[cfg(test)]
mod tests;
