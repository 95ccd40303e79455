//! The IPFS Pinning Service API (1.0.0) below `/api/v1/pinning`: who has a token pins here. And what is pinned elsewhere.

use std::{sync::Arc, time::Duration};

use axum::{
    body::{Body, to_bytes},
    extract::{RawQuery, State as FromState},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use tokio::{task::spawn_blocking, time::timeout};

use super::{
    State, api,
    error::{ApiRefusal, At, Refusal},
};
use crate::pinning::{Failure, Filter, MAX_BODY_BYTES, Pin, Service, Token};

/// A body has so long to come.
const BODY: Duration = Duration::from_secs(10);

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let error = serde_json::json!({ "reason": self.reason, "details": self.details });
        let body = axum::Json(serde_json::json!({ "error": error }));
        let status = StatusCode::from_u16(self.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut answer = (status, body).into_response();
        let headers = answer.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        answer
    }
}

/// Who asks, and of which service.
struct Asker {
    service: Arc<Service>,
    token: Token,
    delegates: Vec<String>,
}

fn asker(state: &State, headers: &HeaderMap) -> Result<Asker, Failure> {
    let off = || {
        Failure::new(
            404,
            "NOT_FOUND",
            "this gateway pins for nobody: its operator has set no pinning.tokens",
        )
    };
    let service = state.pinning.clone().ok_or_else(off)?;
    let swarm = state.swarm.as_ref().ok_or_else(off)?;
    let given = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    let given = given.and_then(|value| value.split_once(' '));
    let given = given.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    let token = given.and_then(|(_, token)| service.admit(token.trim()));
    let token = token.ok_or_else(|| {
        Failure::new(
            401,
            "UNAUTHORIZED",
            "the access token is missing or none of this gateway's",
        )
    })?;
    Ok(Asker {
        token,
        delegates: swarm.dialled(),
        service,
    })
}

/// `GET /api/v1/pinning/pins`
pub(super) async fn list(
    FromState(state): FromState<State>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, Failure> {
    let asker = asker(&state, &headers)?;
    let filter = Filter::read(&query.unwrap_or_default())?;
    let found = asker.service.find(&asker.token, &filter, &asker.delegates);
    Ok(said(StatusCode::OK, &found))
}

/// `POST /api/v1/pinning/pins`
pub(super) async fn add(
    FromState(state): FromState<State>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Failure> {
    ask(&state, &headers, body, None).await
}

/// `POST /api/v1/pinning/pins/{requestid}`
pub(super) async fn replace(
    FromState(state): FromState<State>,
    id: Result<At<String>, Refusal>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Failure> {
    let id = known(id, &state, &headers)?;
    ask(&state, &headers, body, Some(id)).await
}

async fn ask(
    state: &State,
    headers: &HeaderMap,
    body: Body,
    instead_of: Option<String>,
) -> Result<Response, Failure> {
    let Asker {
        service,
        token,
        delegates,
    } = asker(state, headers)?;
    let body = timeout(BODY, to_bytes(body, MAX_BODY_BYTES)).await;
    let body =
        body.map_err(|_| Failure::new(408, "REQUEST_TIMEOUT", "the body did not come in time"))?;
    let body = body.map_err(|_| {
        Failure::new(
            413,
            "CONTENT_TOO_LARGE",
            format!("the body cannot be read, or has more than {MAX_BODY_BYTES} bytes"),
        )
    })?;
    let pin = Pin::read(&body)?;
    let asked = spawn_blocking(move || service.ask(&token, pin, instead_of.as_deref(), &delegates));
    let told = asked.await.map_err(|_| ending())??;
    Ok(said(StatusCode::ACCEPTED, &told))
}

/// `GET /api/v1/pinning/pins/{requestid}`
pub(super) async fn get(
    FromState(state): FromState<State>,
    id: Result<At<String>, Refusal>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let id = known(id, &state, &headers)?;
    let asker = asker(&state, &headers)?;
    let told = asker.service.get(&asker.token, &id, &asker.delegates)?;
    Ok(said(StatusCode::OK, &told))
}

/// `DELETE /api/v1/pinning/pins/{requestid}`
pub(super) async fn remove(
    FromState(state): FromState<State>,
    id: Result<At<String>, Refusal>,
    headers: HeaderMap,
) -> Result<StatusCode, Failure> {
    let id = known(id, &state, &headers)?;
    let Asker { service, token, .. } = asker(&state, &headers)?;
    let removed = spawn_blocking(move || service.remove(&token, &id));
    removed.await.map_err(|_| ending())??;
    Ok(StatusCode::ACCEPTED)
}

/// `GET /api/v1/streams/{stream}/archive/pins`: what of a stream's past other services keep, and whether they answer.
pub(super) async fn elsewhere(
    FromState(state): FromState<State>,
    name: Result<At<String>, Refusal>,
) -> Result<Response, ApiRefusal> {
    let At(name) = name.map_err(ApiRefusal)?;
    let live = state.live(&name).map_err(ApiRefusal)?;
    let nothing = || serde_json::json!({ "services": [], "pins": [] }).to_string();
    let outlook = state
        .elsewhere
        .as_ref()
        .map(|elsewhere| elsewhere.outlook(live.stream.name()));
    let text = outlook.map_or_else(nothing, |outlook| {
        serde_json::to_string(&outlook).expect("texts are JSON")
    });
    Ok(api::json(&state, text))
}

/// The id in the path; that there may be none is told to those alone who have a token.
fn known(
    id: Result<At<String>, Refusal>,
    state: &State,
    headers: &HeaderMap,
) -> Result<String, Failure> {
    asker(state, headers)?;
    id.map(|At(id)| id)
        .map_err(|_| Failure::new(404, "NOT_FOUND", "there is no such request"))
}

fn said(status: StatusCode, what: &impl Serialize) -> Response {
    let mut answer = (status, axum::Json(what)).into_response();
    answer
        .headers_mut()
        .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

fn ending() -> Failure {
    Failure::new(503, "SERVICE_UNAVAILABLE", "the gateway is ending")
}
