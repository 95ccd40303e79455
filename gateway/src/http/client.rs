//! One WebSocket client: what it may send, how it is sent to, and when it is given up.

use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, close_code};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::{
    sync::{OwnedSemaphorePermit, watch},
    time::{Instant, MissedTickBehavior, interval_at, timeout},
};

use super::{State, wait};
use crate::metrics::Kind;

/// Messages that a client may send at once, and how long each takes to be forgotten.
const BURST: u32 = 20;
const FORGET: Duration = Duration::from_millis(500);
/// How often a client is asked whether it is still there, and how long it may be silent.
const ASK: Duration = Duration::from_secs(20);
const SILENCE: Duration = Duration::from_secs(60);

/// Why a socket is closed.
pub(super) enum Close {
    /// The client left, or takes nothing any more.
    Gone,
    /// Told to the client with a code of RFC 6455 §7.4.1.
    Told(u16, &'static str),
}

/// What changed while a client waited.
#[derive(PartialEq)]
pub(super) enum Changed {
    News,
    Streams,
}

/// One client: what it may send, and how it is sent to.
pub(super) struct Connection {
    socket: WebSocket,
    pub(super) state: State,
    closing: watch::Receiver<bool>,
    allowance: Allowance,
    heard: Instant,
    /// Whether it wants to be told what is new.
    pub(super) announcements: bool,
    ask: tokio::time::Interval,
    _place: OwnedSemaphorePermit,
}

impl Connection {
    pub(super) fn new(socket: WebSocket, state: State, place: OwnedSemaphorePermit) -> Self {
        let (closing, now) = (state.closing.subscribe(), Instant::now());
        let mut ask = interval_at(now + ASK, ASK);
        ask.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            socket,
            state,
            closing,
            allowance: Allowance::new(now),
            heard: now,
            announcements: true,
            ask,
            _place: place,
        }
    }

    pub(super) async fn text(&mut self, text: String) -> Result<(), Close> {
        self.send(Kind::Other, text.len(), Message::Text(text.into()))
            .await
    }

    pub(super) async fn binary(&mut self, bytes: Bytes) -> Result<(), Close> {
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
    pub(super) async fn next<T>(&mut self, one: &mut watch::Receiver<T>) -> Result<(), Close> {
        let (_never, mut other) = watch::channel(());
        self.next_of(one, &mut other).await.map(|_| ())
    }

    /// Waits until one of the two changes, and answers the client meanwhile.
    pub(super) async fn next_of<A, B>(
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
                    if self.heard(message).await? {
                        return Ok(Changed::News);
                    }
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

    /// Takes in a message: a question for the clock is answered at once, a wish is kept in mind, all else is ignored.
    /// True if it wants announcements again.
    async fn heard(&mut self, message: Message) -> Result<bool, Close> {
        self.heard = Instant::now();
        if !self.allowance.takes(self.heard) {
            return Err(Close::Told(close_code::POLICY, "too many messages"));
        }
        let Message::Text(text) = message else {
            return Ok(false);
        };
        match serde_json::from_str(&text) {
            Ok(Said::Question { t0 }) => {
                let clock = self.state.clock.now();
                let answer = serde_json::to_string(&Answer { t0, clock });
                self.text(answer.expect("numbers are JSON")).await?;
                Ok(false)
            }
            Ok(Said::Wish { announcements }) => {
                self.announcements = announcements;
                Ok(announcements)
            }
            Err(_) => Ok(false),
        }
    }

    pub(super) async fn end(mut self, told: Result<(), Close>) {
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

/// What a client says.
#[derive(Deserialize)]
#[serde(untagged)]
enum Said {
    /// `{"t0":<number>}`: the client's time when it asked, in its own unit.
    Question { t0: serde_json::Number },
    /// `{"announcements":<bool>}`: whether it wants to be told what is new; who hears it elsewhere need not hear it twice.
    Wish { announcements: bool },
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
