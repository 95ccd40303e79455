//! The newest key frame of a stream as a small picture.

use std::sync::Arc;

use axum::{
    extract::State as FromState,
    http::{HeaderValue, header},
    response::Response,
};
use bytes::Bytes;
use cid::Cid;
use meshlive_protocol::manifest::Manifest;
use tokio::{
    sync::{Mutex, Semaphore},
    time::{Duration, Instant},
};

use super::{
    State, body,
    error::{At, Refusal},
    key_frame,
    live::Live,
};
use crate::{
    ingest::{media::Codec, still::jpeg},
    metrics::Kind,
};

/// A picture is shown for so long before another is made.
const FRESH: Duration = Duration::from_secs(5);
/// Pixels.
const WIDTH: u32 = 320;
/// Pictures that are made at once: a directory page asks for those of all streams.
static MAKING: Semaphore = Semaphore::const_new(1);

/// The last picture of a stream. Whoever holds the lock makes one, all others wait for it.
#[derive(Default)]
pub(super) struct Still(Mutex<Option<(Instant, Bytes)>>);

impl Still {
    /// The picture, made by `make` where the last one is not fresh any more.
    async fn newest(
        &self,
        make: impl Future<Output = Result<Bytes, Refusal>>,
    ) -> Result<Bytes, Refusal> {
        let mut last = self.0.lock().await;
        if let Some((made, picture)) = &*last
            && made.elapsed() < FRESH
        {
            return Ok(picture.clone());
        }
        // That there is nothing yet may change with the next part: it is not remembered.
        let picture = make.await?;
        *last = Some((Instant::now(), picture.clone()));
        Ok(picture)
    }
}

/// `GET /live/{stream}/still.jpg`
pub(super) async fn still(
    FromState(state): FromState<State>,
    At(stream): At<String>,
) -> Result<Response, Refusal> {
    let live = state.live(&stream)?;
    let picture = live.still.newest(make(&state, &live)).await?;
    let mut answer = Response::new(body::memory(&state.metrics, Kind::Page, picture));
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("image/jpeg"));
    headers.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("public, max-age=5"),
    );
    Ok(answer)
}

async fn make(state: &State, live: &Arc<Live>) -> Result<Bytes, Refusal> {
    let (init, part) = newest_key_frame(&live.stream.snapshot().manifest)
        .ok_or(Refusal::absent("this stream has no picture to show"))?;
    let block = async |cid| {
        let block = state
            .blocks
            .clone()
            .get(Some(live.stream.clone()), cid)
            .await;
        let block = block.map_err(|error| Refusal::unreadable(&error))?;
        block.ok_or(Refusal::absent("the newest picture of this stream is gone"))
    };
    picture(block(init).await?, block(part).await?).await
}

/// The first key frame of a part as a small picture.
pub(super) async fn picture(init: Bytes, part: Bytes) -> Result<Bytes, Refusal> {
    let _turn = MAKING
        .acquire()
        .await
        .expect("this semaphore is never closed");
    let made = tokio::task::spawn_blocking(move || {
        let (avcc, sample) = key_frame::first(&init, &part)?;
        let picture = jpeg(&Codec::H264 { avcc }, &sample, WIDTH);
        picture
            .inspect_err(|error| tracing::debug!(%error, "no still picture"))
            .ok()
    });
    let picture = made.await.ok().flatten();
    picture
        .map(Bytes::from)
        .ok_or(Refusal::absent("this picture of the stream cannot be read"))
}

/// CIDs of an init segment and of the newest part that begins with a key frame, of the smallest rendition with H.264.
fn newest_key_frame(manifest: &Manifest) -> Option<(Cid, Cid)> {
    let entries = manifest.renditions().iter().enumerate();
    let usable =
        entries.filter(|(_, entry)| !entry.withdrawn && entry.rendition.codecs.contains("avc1."));
    let (index, entry) = usable.min_by_key(|(_, entry)| entry.rendition.bandwidth)?;
    manifest.segments().rev().find_map(|segment| {
        let init = entry
            .inits
            .iter()
            .find(|init| init.number == segment.init)?;
        let part = segment
            .parts(index)
            .iter()
            .rev()
            .find(|part| part.independent)?;
        Some((init.cid, part.cid))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_picture_is_made_once_in_a_while_however_many_ask() {
        let still = Still::default();
        let ask = async |picture: Option<&'static str>| {
            let made = picture.map(Bytes::from).ok_or(Refusal::absent("nothing"));
            still.newest(async move { made }).await.ok()
        };
        assert_eq!(ask(None).await, None);
        assert_eq!(ask(Some("one")).await.unwrap(), "one");
        tokio::time::advance(FRESH - Duration::from_millis(1)).await;
        assert_eq!(ask(Some("two")).await.unwrap(), "one");
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(ask(Some("two")).await.unwrap(), "two");
        tokio::time::advance(FRESH).await;
        assert_eq!(ask(None).await, None, "an old picture is not shown");
    }
}
