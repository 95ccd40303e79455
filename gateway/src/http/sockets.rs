//! Pushes over WebSockets, which do not count against a browser's six connections per host: a stream's announcements,
//! and the directory.
//!
//! Nothing is queued for a client. Each one has a place in the stream's `watch`: when it was too slow for an
//! announcement it gets the whole manifest instead, and when it takes nothing for [`Settings::write_timeout`](super::Settings)
//! it is dropped. All that there is goes out before any answer about the clock: who asks at once knows by that when it
//! has all.

use std::{sync::Arc, time::Duration};

use axum::{
    Extension,
    extract::{
        State as FromState,
        ws::{WebSocket, WebSocketUpgrade, close_code},
    },
    http::HeaderMap,
    response::Response,
};
use tokio::{sync::OwnedSemaphorePermit, time::Instant};

use super::{
    State,
    api::{self, Object},
    blocks::UNPOISONED,
    client::{Changed, Close, Connection},
    error::{At, Refusal},
    live::Live,
    serve::Peer,
    viewers::Client,
};
use crate::publish::Snapshot;

/// The longest message of a client.
const MAX_MESSAGE_BYTES: usize = 1024;
/// Buffers of a connection. Announcements of four renditions have about 700 bytes; whatever is longer goes out in several writes.
const BUFFER_BYTES: usize = 4096;
/// The directory is pushed no more often than this.
const CALM: Duration = Duration::from_millis(200);
/// Another number of viewers alone is not worth a message to all of them more often than this.
const COUNT_EVERY: Duration = Duration::from_secs(5);

/// `GET /live/{stream}/announcements`
pub(super) async fn announcements(
    FromState(state): FromState<State>,
    At(name): At<String>,
    peer: Option<Extension<Peer>>,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Result<Response, Refusal> {
    let place = place(&state)?;
    Ok(accept(upgrade, move |socket| async move {
        let mut client = Connection::new(socket, state, place);
        let told = tell_announcements(&mut client, &name, peer, &headers).await;
        client.end(told).await;
    }))
}

/// `GET /api/v1/streams/watch`
pub(super) async fn directory(
    FromState(state): FromState<State>,
    upgrade: WebSocketUpgrade,
) -> Result<Response, Refusal> {
    let place = place(&state)?;
    Ok(accept(upgrade, move |socket| async move {
        let mut client = Connection::new(socket, state, place);
        let told = tell_directory(&mut client).await;
        client.end(told).await;
    }))
}

fn place(state: &State) -> Result<OwnedSemaphorePermit, Refusal> {
    let place = state.sockets.clone().try_acquire_owned();
    place.map_err(|_| Refusal::busy("this gateway has all the WebSockets it takes"))
}

fn accept<F: Future<Output = ()> + Send + 'static>(
    upgrade: WebSocketUpgrade,
    serve: impl FnOnce(WebSocket) -> F + Send + 'static,
) -> Response {
    upgrade
        .max_message_size(MAX_MESSAGE_BYTES)
        .max_frame_size(MAX_MESSAGE_BYTES)
        .read_buffer_size(BUFFER_BYTES)
        .write_buffer_size(0)
        .on_upgrade(serve)
}

/// Tells a stream's announcements until someone closes.
async fn tell_announcements(
    client: &mut Connection,
    name: &str,
    peer: Option<Extension<Peer>>,
    headers: &HeaderMap,
) -> Result<(), Close> {
    let mut streams = client.state.streams.changed();
    streams.borrow_and_update();
    let live = match client.state.find(name) {
        Some(live) => live,
        None => {
            client.text(Object::unknown(name).json()).await?;
            loop {
                client.next(&mut streams).await?;
                streams.borrow_and_update();
                if let Some(live) = client.state.find(name) {
                    break live;
                }
            }
        }
    };
    let _viewer = Viewer::new(live.clone(), peer, headers);
    let mut news = live.stream.subscribe();
    let mut object = Object::of(&live);
    client.text(object.json()).await?;
    let mut told = (0, 0);
    let mut counted = Instant::now();
    loop {
        let snapshot = news.borrow_and_update().clone();
        told = tell(client, &snapshot, told).await?;
        if counted.elapsed() >= COUNT_EVERY {
            counted = Instant::now();
            object = tell_object(client, &live, object).await?;
        }
        if client.next_of(&mut news, &mut streams).await? == Changed::News {
            continue;
        }
        streams.borrow_and_update();
        // The stream may have been taken away and come back as another.
        if !client
            .state
            .find(name)
            .is_some_and(|now| Arc::ptr_eq(&now, &live))
        {
            return Err(Close::Told(
                close_code::RESTART,
                "the stream is another now; connect again",
            ));
        }
        let viewers = object.viewers;
        let now = Object::of(&live);
        if (Object { viewers, ..now }) != object {
            object = tell_object(client, &live, object).await?;
        }
    }
}

/// Tells the stream as it is now, if it is not as it was told.
async fn tell_object(client: &mut Connection, live: &Live, told: Object) -> Result<Object, Close> {
    let now = Object::of(live);
    if now != told {
        client.text(now.json()).await?;
    }
    Ok(now)
}

/// Tells what is new in `snapshot` to a client that was told of (epoch, sequence) last.
async fn tell(
    client: &mut Connection,
    snapshot: &Arc<Snapshot>,
    told: (u64, u64),
) -> Result<(u64, u64), Close> {
    let now = (snapshot.manifest.epoch(), snapshot.manifest.sequence());
    if now == told || now.0 == 0 || !client.announcements {
        return Ok(told);
    }
    for envelope in snapshot.news_since(told) {
        client.binary(envelope).await?;
    }
    Ok(now)
}

/// Tells the whole directory on each change.
async fn tell_directory(client: &mut Connection) -> Result<(), Close> {
    let mut streams = client.state.streams.changed();
    loop {
        streams.borrow_and_update();
        client.text(api::directory(&client.state)).await?;
        client.next(&mut streams).await?;
        tokio::time::sleep(CALM).await;
    }
}

/// Counts as a viewer while it lives.
struct Viewer {
    live: Arc<Live>,
    client: Client,
}

impl Viewer {
    fn new(live: Arc<Live>, peer: Option<Extension<Peer>>, headers: &HeaderMap) -> Self {
        let mut viewers = live.viewers.lock().expect(UNPOISONED);
        let client = viewers.client(peer, headers);
        viewers.opened(client);
        drop(viewers);
        Self { live, client }
    }
}

impl Drop for Viewer {
    fn drop(&mut self) {
        self.live
            .viewers
            .lock()
            .expect(UNPOISONED)
            .closed(self.client);
    }
}
