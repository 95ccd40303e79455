//! One connection: reads the socket, drives [`Session`] and [`Source`], and says goodbye.

use std::{
    net::SocketAddr,
    sync::{Arc, atomic::Ordering},
};

use bytes::BytesMut;
use tokio::{
    net::TcpStream,
    sync::watch,
    time::{Instant, timeout_at},
};

use super::{
    end::End, event::Event, live::Claim, queue::Queue, server::Shared, session::Session,
    source::Source, wire::Wire,
};
use crate::ingest::media::SourceEvent;

/// The same answer to a wrong secret and to a stream that does not exist.
const UNKNOWN: &str = "this stream key is not known here: copy it anew from the gateway's operator";

struct Connection {
    wire: Wire,
    peer: SocketAddr,
    shared: Arc<Shared>,
    stopping: watch::Receiver<bool>,
    session: Session,
    input: BytesMut,
    send: Vec<u8>,
    events: Vec<SourceEvent>,
    publishing: Option<Publishing>,
    /// When the peer must have done what is expected of it.
    deadline: Instant,
}

struct Publishing {
    alias: String,
    claim: Claim,
    source: Source,
    queue: Queue,
}

/// Serves one publisher to its end.
pub(super) async fn run(
    socket: TcpStream,
    peer: SocketAddr,
    shared: Arc<Shared>,
    stopping: watch::Receiver<bool>,
) {
    let mut connection = Connection {
        wire: Wire::new(socket, shared.live.started()),
        peer,
        stopping,
        session: Session::new(shared.settings.max_message_bytes),
        input: BytesMut::new(),
        send: Vec::new(),
        events: Vec::new(),
        publishing: None,
        deadline: Instant::now() + shared.settings.handshake_timeout,
        shared,
    };
    let end = connection.serve().await;
    connection.close(&end).await;
}

impl Connection {
    async fn serve(&mut self) -> End {
        loop {
            let step = match self.read().await {
                Ok(()) => self.process().await,
                Err(end) => return end,
            };
            // What was answered is sent, also before the end.
            let sent = self.wire.send(&mut self.send).await;
            match (step, sent) {
                (Err(end), _) => return end,
                (_, Err(error)) => return error.into(),
                _ => {}
            }
        }
    }

    async fn read(&mut self) -> Result<(), End> {
        let settings = &self.shared.settings;
        let publishing = self.publishing.is_some();
        let late = || match publishing {
            true => End::Silent(settings.idle_timeout),
            false => End::Slow(settings.handshake_timeout),
        };
        let read = match publishing {
            true => self.wire.read(&mut self.input).await,
            false => tokio::select! {
                read = timeout_at(self.deadline, self.wire.read(&mut self.input)) => read.map_err(|_| late())?,
                _ = self.stopping.wait_for(|stop| *stop) => return Err(End::Stopping),
            },
        };
        // A publisher is read on a beat: these are seen then.
        if *self.stopping.borrow() {
            return Err(End::Stopping);
        }
        if self
            .publishing
            .as_ref()
            .is_some_and(|publishing| publishing.claim.is_evicted())
        {
            return Err(End::Evicted);
        }
        match read? {
            Some(0) => Err(End::Closed),
            Some(_) if publishing => {
                self.deadline = Instant::now() + settings.idle_timeout;
                Ok(())
            }
            None if Instant::now() > self.deadline => Err(late()),
            _ => Ok(()),
        }
    }

    async fn process(&mut self) -> Result<(), End> {
        while let Some(event) = self.session.receive(&mut self.input, &mut self.send)? {
            if let Event::Publish { key } = event {
                self.publish(key).await?;
                continue;
            }
            let Some(publishing) = &mut self.publishing else {
                continue; // the session yields nothing else before it was accepted
            };
            let Publishing {
                source,
                queue,
                claim,
                ..
            } = publishing;
            let events = &mut self.events;
            let taken = match event {
                Event::Video { timestamp, tag } => {
                    claim.heard();
                    source.video(timestamp, &tag, events)
                }
                Event::Audio { timestamp, tag } => {
                    claim.heard();
                    source.audio(timestamp, &tag, events)
                }
                Event::Metadata(metadata) => {
                    source.metadata(metadata, events);
                    Ok(())
                }
                Event::Ended | Event::Publish { .. } => return Err(End::Finished),
            };
            if let Err(error) = taken {
                self.session.fail(&error.to_string(), &mut self.send);
                return Err(error.into());
            }
            let before = queue.dropped();
            for event in events.drain(..) {
                queue.send(event).await?;
            }
            let dropped = queue.dropped() - before;
            if dropped > 0 {
                self.shared
                    .dropped_frames
                    .fetch_add(dropped, Ordering::Relaxed);
                if before == 0 {
                    tracing::warn!(
                        alias = publishing.alias,
                        "the pipeline is too slow: frames are dropped up to the next key frame"
                    );
                }
            }
        }
        Ok(())
    }

    async fn publish(&mut self, key: String) -> Result<(), End> {
        match self.admit(key).await {
            Ok(publishing) => {
                tracing::info!(peer = %self.peer, alias = publishing.alias, "an RTMP publisher has begun");
                self.publishing = Some(publishing);
                self.deadline = Instant::now() + self.shared.settings.idle_timeout;
                self.session.accept(&mut self.send);
                Ok(self.wire.pace()?)
            }
            Err(reason) => {
                self.session.refuse(&reason, &mut self.send);
                Err(End::Refused(reason))
            }
        }
    }

    async fn admit(&self, key: String) -> Result<Publishing, String> {
        let keys = self.shared.keys.clone();
        let found = tokio::task::spawn_blocking(move || keys.find(&key)).await;
        let alias = found.ok().flatten().ok_or(UNKNOWN)?;
        let claim = self.shared.live.claim(&alias, self.peer).await.map_err(|busy| {
            let after = self.shared.settings.takeover_after;
            format!(
                "stream {alias} is already live from {}: end it there, or try again when it has been silent for {after:?}",
                busy.peer
            )
        })?;
        // A stream that is opened for the first time reads and writes files.
        let (publishers, name, peer) = (self.shared.publishers.clone(), alias.clone(), self.peer);
        let opened = tokio::task::spawn_blocking(move || publishers.publish(&name, peer)).await;
        let out = opened.map_err(|_| "the gateway could not open the stream: see its log")??;
        let queue = Queue::new(out, 2 * self.shared.settings.max_message_bytes);
        Ok(Publishing {
            alias,
            claim,
            source: Source::default(),
            queue,
        })
    }

    async fn close(mut self, end: &End) {
        let peer = self.peer;
        match (end, &self.publishing) {
            (_, Some(Publishing { alias, queue, .. })) => {
                tracing::info!(%peer, alias, dropped_frames = queue.dropped(), "an RTMP publisher has gone: {end}");
            }
            // A port scan or health check, or nothing to complain of.
            (End::Closed | End::Broken(_) | End::Stopping, None) => {
                tracing::debug!(%peer, "an RTMP connection has ended before it published: {end}");
            }
            _ => tracing::warn!(%peer, "an RTMP connection was closed: {end}"),
        }
        // First what the stream's next publisher waits for.
        if let Some(Publishing {
            mut source,
            mut queue,
            claim,
            ..
        }) = self.publishing.take()
        {
            source.finish(&mut self.events);
            self.events.push(SourceEvent::Gone {
                reason: end.to_string(),
            });
            for event in self.events.drain(..) {
                if queue.send(event).await.is_err() {
                    break;
                }
            }
            drop(claim);
        }
        if matches!(end, End::Refused(_) | End::Violation(_) | End::Tag(_)) {
            self.wire.close().await;
        }
    }
}
