//! One connection: reads the socket, drives [`Session`] and [`Source`], and says goodbye.

use std::{
    future::pending,
    io,
    net::SocketAddr,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bytes::BytesMut;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::watch,
    time::{Instant, timeout, timeout_at},
};

use super::{
    end::End,
    live::Claim,
    queue::Queue,
    server::Shared,
    session::{Event, Session},
    source::Source,
};
use crate::ingest::media::SourceEvent;

/// Room for one read of the socket.
const READ_BYTES: usize = 32 << 10;
/// A peer that does not read our few answers for so long is gone.
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long, and how many bytes, we listen on after a refusal: closing with unread bytes would take back the reason.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: usize = 4 << 20;
/// The same answer to a wrong secret and to a stream that does not exist.
const UNKNOWN: &str = "this stream key is not known here: copy it anew from the gateway's operator";

struct Connection {
    socket: TcpStream,
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
    let _ = socket.set_nodelay(true); // without it answers are only later
    let mut connection = Connection {
        socket,
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
            let sent = self.flush().await;
            match (step, sent) {
                (Err(end), _) => return end,
                (_, Err(error)) => return error.into(),
                _ => {}
            }
        }
    }

    async fn read(&mut self) -> Result<(), End> {
        self.input.reserve(READ_BYTES);
        let evicted = async {
            match &self.publishing {
                Some(publishing) => publishing.claim.evicted().await,
                None => pending().await,
            }
        };
        let read = tokio::select! {
            read = timeout_at(self.deadline, self.socket.read_buf(&mut self.input)) => read,
            () = evicted => return Err(End::Evicted),
            _ = self.stopping.wait_for(|stop| *stop) => return Err(End::Stopping),
        };
        let settings = &self.shared.settings;
        match (read, &self.publishing) {
            (Ok(Ok(0)), _) => Err(End::Closed),
            (Ok(Err(error)), _) => Err(error.into()),
            (Err(_), None) => Err(End::Slow(settings.handshake_timeout)),
            (Err(_), Some(_)) => Err(End::Silent(settings.idle_timeout)),
            (Ok(Ok(_)), None) => Ok(()),
            (Ok(Ok(_)), Some(_)) => {
                self.deadline = Instant::now() + settings.idle_timeout;
                Ok(())
            }
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
                Ok(())
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
        let out = self.shared.publishers.publish(&alias, self.peer)?;
        let queue = Queue::new(out, 2 * self.shared.settings.max_message_bytes);
        Ok(Publishing {
            alias,
            claim,
            source: Source::default(),
            queue,
        })
    }

    async fn flush(&mut self) -> io::Result<()> {
        if !self.send.is_empty() {
            timeout(WRITE_TIMEOUT, self.socket.write_all(&self.send))
                .await
                .map_err(|_| {
                    io::Error::new(io::ErrorKind::TimedOut, "our answers are not read")
                })??;
            self.send.clear();
        }
        Ok(())
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
            let _ = timeout(LINGER, self.linger()).await;
        }
    }

    async fn linger(&mut self) -> io::Result<()> {
        self.socket.shutdown().await?;
        let mut read = 0;
        while read < LINGER_BYTES {
            self.input.clear();
            self.input.reserve(READ_BYTES);
            match self.socket.read_buf(&mut self.input).await? {
                0 => break,
                more => read += more,
            }
        }
        Ok(())
    }
}
