//! Peers at the HTTP port: what they need to join, and the WebSockets they come over.
//!
//! libp2p's `/ws` addresses carry no path, so the upgrade is accepted at `/` as well as at `/p2p`.

use axum::{
    Extension, Json,
    extract::{State as FromState, WebSocketUpgrade, ws::rejection::WebSocketUpgradeRejection},
    http::{HeaderMap, HeaderValue, header},
    response::{IntoResponse, Response},
};

use super::{
    State,
    error::{ApiRefusal, Refusal},
    page,
    serve::Peer,
};
use crate::swarm::MAX_MESSAGE_BYTES;

const NO_SWARM: Refusal = Refusal {
    status: axum::http::StatusCode::NOT_FOUND,
    why: std::borrow::Cow::Borrowed("this gateway takes no peers"),
};
/// What a connection reads at once.
const READ_BYTES: usize = 4096;
/// What may wait in a connection beyond what its client takes; libp2p writes no more than this before it waits.
const WRITE_BYTES: usize = 256 * 1024;

type Upgrade = Result<WebSocketUpgrade, WebSocketUpgradeRejection>;

/// `GET /api/v1/peer`
pub(super) async fn peer(
    FromState(state): FromState<State>,
    from: Option<Extension<Peer>>,
    headers: HeaderMap,
) -> Result<Response, ApiRefusal> {
    let swarm = state.swarm.as_ref().ok_or(ApiRefusal(NO_SWARM))?;
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    let from = from.map(|Extension(Peer(from))| from.ip());
    let mut answer = Json(swarm.described(host, from)).into_response();
    // Each one who asks gets an answer of its own.
    answer
        .headers_mut()
        .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(answer)
}

/// `GET /p2p`: a WebSocket and nothing else.
pub(super) async fn p2p(
    FromState(state): FromState<State>,
    peer: Option<Extension<Peer>>,
    upgrade: Upgrade,
) -> Response {
    match upgrade {
        Ok(upgrade) => accept(&state, peer, upgrade).unwrap_or_else(IntoResponse::into_response),
        Err(rejection) => rejection.into_response(),
    }
}

/// `GET /`: the page, or a WebSocket for whom asks for one.
pub(super) async fn root(
    state: FromState<State>,
    peer: Option<Extension<Peer>>,
    upgrade: Upgrade,
    headers: HeaderMap,
) -> Response {
    match upgrade {
        Ok(upgrade) => accept(&state.0, peer, upgrade).unwrap_or_else(IntoResponse::into_response),
        Err(_) => page::directory(state, headers).await,
    }
}

fn accept(
    state: &State,
    peer: Option<Extension<Peer>>,
    upgrade: WebSocketUpgrade,
) -> Result<Response, Refusal> {
    let swarm = state.swarm.clone().ok_or(NO_SWARM)?;
    let Extension(Peer(from)) = peer.ok_or(NO_SWARM)?;
    let full = || Refusal::busy("this gateway has all the peers it takes");
    let place = swarm.place().ok_or_else(full)?;
    Ok(upgrade
        .max_message_size(MAX_MESSAGE_BYTES)
        .max_frame_size(MAX_MESSAGE_BYTES)
        .read_buffer_size(READ_BYTES)
        .write_buffer_size(0)
        .max_write_buffer_size(WRITE_BYTES)
        .on_upgrade(async move |socket| swarm.arrive(socket, from, place)))
}
