//! The newest key frame of a stream as a small picture.

use axum::{
    extract::State as FromState,
    http::{HeaderValue, header},
    response::Response,
};
use bytes::Bytes;
use tokio::{
    sync::Mutex,
    time::{Duration, Instant},
};

use super::{
    State, body,
    error::{At, Refusal},
};
use crate::metrics::Kind;

/// A picture is shown for so long before another is made.
const FRESH: Duration = Duration::from_secs(5);

/// The last picture of a stream. Whoever holds the lock makes one, all others wait for it.
#[derive(Default)]
pub(super) struct Still(Mutex<Option<(Instant, Result<Bytes, Refusal>)>>);

/// `GET /live/{stream}/still.jpg`
pub(super) async fn still(
    FromState(state): FromState<State>,
    At(stream): At<String>,
) -> Result<Response, Refusal> {
    let live = state.live(&stream)?;
    let mut last = live.still.0.lock().await;
    let fresh = last
        .as_ref()
        .filter(|(made, _)| made.elapsed() < FRESH)
        .map(|(_, picture)| picture.clone());
    let picture = match fresh {
        Some(picture) => picture,
        None => {
            let picture = make().await;
            *last = Some((Instant::now(), picture.clone()));
            picture
        }
    };
    let mut answer = Response::new(body::memory(&state.metrics, Kind::Page, picture?));
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("image/jpeg"));
    headers.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("public, max-age=5"),
    );
    Ok(answer)
}

async fn make() -> Result<Bytes, Refusal> {
    Err(Refusal::absent("no picture of this stream can be made"))
}
