//! A stretch of the past as a clip: the directory that `archive clip` would make and keep, made for whoever asks. Its name
//! is known, and its blocks can be had, without anything being stored: that is for whoever runs the gateway.

use std::{collections::HashMap, io, ops::Range, sync::Arc};

use axum::{
    extract::{RawQuery, State as FromState},
    http::{HeaderValue, StatusCode, header},
    response::Response,
};
use bytes::Bytes;
use cid::Cid;
use meshlive_protocol::archive::{HOUR, Made};
use serde::Serialize;

use super::{
    State, api,
    archive::archive_of,
    body, car,
    error::{ApiRefusal, At, Refusal},
    ipfs::disposition,
    query,
};
use crate::metrics::Kind;

/// Longest stretch, microseconds: so many segments as an hour can have are more than these.
const LONGEST: u64 = 2 * HOUR;

/// What `/api/v1/streams/{stream}/archive/clip` says.
#[derive(Serialize)]
struct Object {
    /// Of its directory.
    cid: String,
    bytes: u64,
    /// Whether it is kept here as a clip: then `/ipfs/<cid>/index.m3u8` plays it.
    kept: bool,
}

/// `GET /api/v1/streams/{stream}/archive/clip?from=SECONDS&to=SECONDS`: what the stretch is called.
pub(super) async fn name(
    FromState(state): FromState<State>,
    At(name): At<String>,
    RawQuery(asked): RawQuery,
) -> Result<Response, ApiRefusal> {
    let made = made(&state, &name, &asked.unwrap_or_default()).await;
    let link = made.map_err(ApiRefusal)?.link;
    let object = Object {
        cid: link.cid.to_string(),
        bytes: link.bytes,
        kept: state.store.has(&link.cid).unwrap_or(false),
    };
    let text = serde_json::to_string(&object).expect("texts and numbers are JSON");
    Ok(api::json(&state, text))
}

/// `GET /api/v1/streams/{stream}/archive/clip.car?from=SECONDS&to=SECONDS`: its blocks.
pub(super) async fn car(
    FromState(state): FromState<State>,
    At(name): At<String>,
    RawQuery(asked): RawQuery,
) -> Result<Response, Refusal> {
    let made = made(&state, &name, &asked.unwrap_or_default()).await?;
    let cid = made.link.cid;
    let blocks = made.blocks.into_iter();
    let blocks: HashMap<Cid, Bytes> = blocks.map(|one| (one.cid, one.bytes.into())).collect();
    let walk = car::Walk::of_made(state.blocks.clone(), cid, Arc::new(blocks));
    let mut answer = Response::new(body::read(&state.metrics, Kind::Part, walk, None));
    disposition(&mut answer, "attachment", &format!("{cid}.car"));
    let headers = answer.headers_mut();
    let media_type = HeaderValue::from_static(car::MEDIA_TYPE);
    headers.insert(header::CONTENT_TYPE, media_type);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    Ok(answer)
}

async fn made(state: &State, name: &str, asked: &str) -> Result<Made, Refusal> {
    let archive = archive_of(state, name)?;
    let time = stretch(asked, LONGEST).ok_or(Refusal::wrong(
        "from and to are not times in seconds since 1970, at most 2 hours apart",
    ))?;
    let _turn = (state.recordings.acquire().await).expect("this semaphore is never closed");
    let made = tokio::task::spawn_blocking(move || Ok(archive.cut(&time)?.directory()));
    let made: io::Result<Made> = made
        .await
        .map_err(|_| Refusal::busy("the reading failed"))?;
    made.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Refusal::absent("nothing of this time is kept here"),
        io::ErrorKind::InvalidInput => Refusal::new(StatusCode::BAD_REQUEST, error.to_string()),
        _ => Refusal::unreadable(&error),
    })
}

/// `from` and `to` of a URL, in seconds since 1970, as microseconds; `None` where they are none or too far apart.
pub(super) fn stretch(asked: &str, longest: u64) -> Option<Range<u64>> {
    let time = |key: &'static str| {
        let at = query::value(asked, key)?.parse::<u32>().ok()?;
        Some(u64::from(at) * 1_000_000)
    };
    let (from, to) = (time("from")?, time("to")?);
    (from < to && to - from <= longest).then_some(from..to)
}
