//! JSON about streams, health, and metrics.

use std::sync::Arc;

use axum::{
    extract::State as FromState,
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use tokio::time::Instant;

use super::{
    State,
    blocks::UNPOISONED,
    body,
    error::{ApiRefusal, At, Refusal},
    live::Live,
};
use crate::metrics::Kind;

/// One stream, as API and announcement sockets describe it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Object {
    /// `k51…`; null for a name that belongs to no stream yet.
    pub(super) stream: Option<String>,
    pub(super) alias: String,
    pub(super) title: String,
    pub(super) live: bool,
    /// It is followed here, and nothing has been heard of it yet.
    pub(super) sought: bool,
    pub(super) renditions: Vec<RenditionObject>,
    pub(super) viewers: usize,
    /// The share of media bytes that viewers got from each other in the last ten seconds, 0 to 1.
    pub(super) offload: f64,
    /// What viewers should know, newest last.
    pub(super) notices: Vec<String>,
    /// URLs of other gateways that have it.
    pub(super) gateways: Vec<String>,
    /// Those of them that follow it here.
    pub(super) mirrors: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RenditionObject {
    id: String,
    codecs: String,
    /// Peak, bits per second.
    bandwidth: u32,
    width: u32,
    height: u32,
    /// Frames per second; 0 without video.
    frame_rate: f64,
    audio_only: bool,
}

impl Object {
    /// `live` as it is now.
    pub(super) fn of(live: &Live) -> Self {
        let stream = &live.stream;
        let snapshot = stream.snapshot();
        let viewers = live.viewers.lock().expect(UNPOISONED).count(Instant::now());
        let renditions = snapshot
            .manifest
            .renditions()
            .iter()
            .filter(|entry| !entry.withdrawn);
        Self {
            stream: Some(stream.text().to_owned()),
            alias: stream.alias().to_owned(),
            title: stream.title(),
            live: snapshot.live,
            sought: stream.is_sought(),
            renditions: renditions
                .map(|entry| &entry.rendition)
                .map(|rendition| RenditionObject {
                    id: rendition.id.clone(),
                    codecs: rendition.codecs.clone(),
                    bandwidth: rendition.bandwidth,
                    width: rendition.width,
                    height: rendition.height,
                    frame_rate: f64::from(rendition.frame_rate) / 1000.0,
                    audio_only: rendition.audio_only(),
                })
                .collect(),
            viewers,
            offload: stream.traffic().offload(viewers),
            notices: stream.notices(),
            gateways: stream.gateways(),
            mirrors: stream.mirrors(),
        }
    }

    /// A name or alias that nothing is known of.
    pub(super) fn unknown(name: &str) -> Self {
        Self {
            stream: None,
            alias: name.to_owned(),
            title: String::new(),
            live: false,
            sought: false,
            renditions: Vec::new(),
            viewers: 0,
            offload: 0.0,
            notices: Vec::new(),
            gateways: Vec::new(),
            mirrors: Vec::new(),
        }
    }

    pub(super) fn json(&self) -> String {
        serde_json::to_string(self).expect("texts and numbers are JSON")
    }
}

/// What `/api/v1/streams` says: every stream of this gateway, live or not, in order of alias.
pub(super) fn directory(state: &State) -> String {
    let streams: Vec<_> = state
        .streams
        .list()
        .into_iter()
        .map(|stream| Object::of(&state.live_of(stream)))
        .collect();
    serde_json::json!({ "streams": streams }).to_string()
}

/// `GET /api/v1/streams`
pub(super) async fn streams(FromState(state): FromState<State>) -> Response {
    json(&state, directory(&state))
}

/// `GET /api/v1/streams/{stream}`
pub(super) async fn stream(
    FromState(state): FromState<State>,
    name: Result<At<String>, Refusal>,
) -> Result<Response, ApiRefusal> {
    let live = name
        .and_then(|At(name)| state.live(&name))
        .map_err(ApiRefusal)?;
    Ok(json(&state, Object::of(&live).json()))
}

/// `GET /healthz`: the process answers.
pub(super) async fn healthz() -> &'static str {
    "ok\n"
}

/// `GET /readyz`: viewers can be served, of every stream that is followed here, and what they see can be stored.
pub(super) async fn readyz(FromState(state): FromState<State>) -> Result<&'static str, Refusal> {
    if *state.closing.borrow() {
        return Err(Refusal::busy("the gateway is shutting down"));
    }
    if state.store.trouble().is_some() {
        // The reason names folders: it is in the log.
        return Err(Refusal::busy(
            "the store takes nothing at the moment; see the log",
        ));
    }
    if let Some(sought) = state.streams.list().iter().find(|one| one.is_sought()) {
        return Err(Refusal::busy(format!(
            "nothing has been heard yet of the stream {}, which is followed here",
            sought.alias()
        )));
    }
    Ok("ready\n")
}

/// `GET /metrics`
pub(super) async fn metrics(FromState(state): FromState<State>) -> Response {
    for stream in state.streams.list() {
        let live: Arc<Live> = state.live_of(stream);
        let viewers = live.viewers.lock().expect(UNPOISONED).count(Instant::now());
        state.metrics.viewers(live.stream.text(), viewers);
    }
    let stored = state.store.stats();
    let takes = state.store.trouble().is_none();
    (state.metrics).store(stored.bytes, takes, stored.not_stored);
    if let Some(up) = stored.tier_up {
        state.metrics.store_s3(stored.tier_bytes, up);
    }
    let tasks = tokio::runtime::Handle::current().metrics();
    state.metrics.tasks(tasks.num_alive_tasks());
    let body = body::memory(&state.metrics, Kind::Other, state.metrics.render().into());
    (
        [(
            header::CONTENT_TYPE,
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
        )],
        body,
    )
        .into_response()
}

pub(super) fn json(state: &State, text: String) -> Response {
    let mut answer = Response::new(body::memory(&state.metrics, Kind::Other, text.into()));
    let headers = answer.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    answer
}
