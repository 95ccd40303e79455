//! Pushes over WebSockets, which do not count against a browser's six connections per host: a stream's announcements,
//! and the directory.
//!
//! Nothing is queued for a client. Each one has a place in the stream's `watch`: when it was too slow for an
//! announcement it gets the whole manifest instead, and when it takes nothing for [`Settings::write_timeout`](super::Settings)
//! it is dropped.

use std::{sync::Arc, time::Duration};

use axum::{
    Extension,
    extract::{
        State as FromState,
        ws::{CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketUpgrade, close_code},
    },
    http::HeaderMap,
    response::Response,
};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::{
    sync::{OwnedSemaphorePermit, watch},
    time::{Instant, MissedTickBehavior, interval_at, timeout},
};

use super::{
    State,
    api::{self, Object},
    blocks::UNPOISONED,
    error::{At, Refusal},
    live::Live,
    serve::Peer,
    viewers::Client,
    wait,
};
use crate::{metrics::Kind, publish::Snapshot};

/// The longest message of a client.
const MAX_MESSAGE_BYTES: usize = 1024;
/// Buffers of a connection. Announcements of four renditions have about 700 bytes; whatever is longer goes out in several writes.
const BUFFER_BYTES: usize = 4096;
/// Messages that a client may send at once, and how long each takes to be forgotten.
const BURST: u32 = 20;
const FORGET: Duration = Duration::from_millis(500);
/// How often a client is asked whether it is still there, and how long it may be silent.
const ASK: Duration = Duration::from_secs(20);
const SILENCE: Duration = Duration::from_secs(60);
/// The directory is pushed no more often than this.
const CALM: Duration = Duration::from_millis(200);

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

/// Why a socket is closed.
enum Close {
    /// The client left, or takes nothing any more.
    Gone,
    /// Told to the client with a code of RFC 6455 §7.4.1.
    Told(u16, &'static str),
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
    loop {
        let snapshot = news.borrow_and_update().clone();
        told = tell(client, &snapshot, told).await?;
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
        let now = Object::of(&live);
        // Another number of viewers alone is not worth a message to all of them.
        if (Object {
            viewers: object.viewers,
            ..now.clone()
        }) != object
        {
            client.text(now.json()).await?;
            object = now;
        }
    }
}

/// Tells what is new in `snapshot` to a client that was told of (epoch, sequence) last.
async fn tell(
    client: &mut Connection,
    snapshot: &Arc<Snapshot>,
    told: (u64, u64),
) -> Result<(u64, u64), Close> {
    let now = (snapshot.manifest.epoch(), snapshot.manifest.sequence());
    if now == told || now.0 == 0 {
        return Ok(told);
    }
    let next = now == (told.0, told.1 + 1);
    let news = snapshot
        .announcement
        .clone()
        .filter(|_| next)
        .unwrap_or_else(|| snapshot.signed_manifest());
    client.binary(news).await?;
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

/// What changed while a client waited.
#[derive(PartialEq)]
enum Changed {
    News,
    Streams,
}

/// One client: what it may send, and how it is sent to.
struct Connection {
    socket: WebSocket,
    state: State,
    closing: watch::Receiver<bool>,
    allowance: Allowance,
    heard: Instant,
    ask: tokio::time::Interval,
    _place: OwnedSemaphorePermit,
}

impl Connection {
    fn new(socket: WebSocket, state: State, place: OwnedSemaphorePermit) -> Self {
        let (closing, now) = (state.closing.subscribe(), Instant::now());
        let mut ask = interval_at(now + ASK, ASK);
        ask.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            socket,
            state,
            closing,
            allowance: Allowance::new(now),
            heard: now,
            ask,
            _place: place,
        }
    }

    async fn text(&mut self, text: String) -> Result<(), Close> {
        self.send(Kind::Other, text.len(), Message::Text(text.into()))
            .await
    }

    async fn binary(&mut self, bytes: Bytes) -> Result<(), Close> {
        self.send(Kind::Announcement, bytes.len(), Message::Binary(bytes))
            .await
    }

    async fn send(&mut self, kind: Kind, bytes: usize, message: Message) -> Result<(), Close> {
        let sent = timeout(self.state.settings.write_timeout, self.socket.send(message)).await;
        let Ok(Ok(())) = sent else {
            return Err(Close::Gone);
        };
        self.state.metrics.sent(kind, bytes);
        Ok(())
    }

    /// Waits until `one` changes, and answers the client meanwhile.
    async fn next<T>(&mut self, one: &mut watch::Receiver<T>) -> Result<(), Close> {
        let (_never, mut other) = watch::channel(());
        self.next_of(one, &mut other).await.map(|_| ())
    }

    /// Waits until one of the two changes, and answers the client meanwhile.
    async fn next_of<A, B>(
        &mut self,
        news: &mut watch::Receiver<A>,
        streams: &mut watch::Receiver<B>,
    ) -> Result<Changed, Close> {
        const ENDS: Close = Close::Told(close_code::AWAY, "the gateway is shutting down");
        loop {
            tokio::select! {
                // An announcement goes before the object that it changed.
                biased;
                changed = news.changed() => return changed.map(|()| Changed::News).map_err(|_| ENDS),
                changed = streams.changed() => return changed.map(|()| Changed::Streams).map_err(|_| ENDS),
                () = wait::closes(&mut self.closing) => return Err(ENDS),
                message = self.socket.recv() => {
                    let Some(Ok(message)) = message else { return Err(Close::Gone) };
                    self.heard(message).await?;
                }
                _ = self.ask.tick() => {
                    if self.heard.elapsed() > SILENCE {
                        return Err(Close::Gone);
                    }
                    self.send(Kind::Other, 0, Message::Ping(Bytes::new())).await?;
                }
            }
        }
    }

    /// Takes in a message: a question for the clock is answered at once, all else is ignored.
    async fn heard(&mut self, message: Message) -> Result<(), Close> {
        self.heard = Instant::now();
        if !self.allowance.takes(self.heard) {
            return Err(Close::Told(close_code::POLICY, "too many messages"));
        }
        let Message::Text(text) = message else {
            return Ok(());
        };
        let Ok(Question { t0 }) = serde_json::from_str(&text) else {
            return Ok(());
        };
        let answer = Answer {
            t0,
            clock: self.state.clock.now(),
        };
        self.text(serde_json::to_string(&answer).expect("numbers are JSON"))
            .await
    }

    async fn end(mut self, told: Result<(), Close>) {
        if let Err(Close::Told(code, reason)) = told {
            let frame = CloseFrame {
                code,
                reason: Utf8Bytes::from_static(reason),
            };
            let _ = timeout(
                Duration::from_secs(1),
                self.socket.send(Message::Close(Some(frame))),
            )
            .await;
        }
    }
}

/// `{"t0":<number>}`: the client's time when it asked, in its own unit.
#[derive(Deserialize)]
struct Question {
    t0: serde_json::Number,
}

/// The same number again, and the gateway's clock in microseconds since the Unix epoch.
#[derive(Serialize)]
struct Answer {
    t0: serde_json::Number,
    clock: u64,
}

/// How many messages a client may still send: [`BURST`] at once, then one for each [`FORGET`].
struct Allowance {
    sent: u32,
    since: Instant,
}

impl Allowance {
    fn new(now: Instant) -> Self {
        Self {
            sent: 0,
            since: now,
        }
    }

    fn takes(&mut self, now: Instant) -> bool {
        let forgotten = (now.duration_since(self.since).as_millis() / FORGET.as_millis()) as u32;
        self.since += FORGET * forgotten;
        self.sent = self.sent.saturating_sub(forgotten) + 1;
        self.sent <= BURST
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_taken_and_then_a_steady_trickle() {
        let start = Instant::now();
        let mut allowance = Allowance::new(start);
        for _ in 0..BURST {
            assert!(allowance.takes(start));
        }
        assert!(!allowance.takes(start));
        for n in 1..100 {
            let mut allowance = Allowance::new(start);
            assert!((0..n).all(|k| allowance.takes(start + FORGET * k)), "{n}");
        }
    }
}
