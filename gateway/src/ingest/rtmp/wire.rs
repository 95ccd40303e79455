//! A publisher's socket.
//!
//! Until it publishes, the runtime wakes us for whatever comes. From then on the socket is taken out of the runtime's
//! poll and read on a beat of [`BEAT`] that all connections share: an encoder sends some 80 small messages a second,
//! and waking this task and its pipeline for each costs more than everything that is done with them.

use std::{
    io::{self, ErrorKind, Read, Write},
    mem,
    time::Duration,
};

use bytes::BytesMut;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, sleep_until, timeout},
};

/// How often a publisher is read: half of it is added to the latency, on average.
const BEAT: Duration = Duration::from_millis(50);
/// Room for one read; a read that fills it is followed by the next at once.
const READ_BYTES: usize = 32 << 10;
/// A peer that does not read our few answers for so long is gone.
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);
/// While publishing, answers are acknowledgements and pongs: a peer that leaves so many unread is gone.
const MAX_UNSENT: usize = 64 << 10;
/// How long, and how many bytes, we listen on after a refusal: closing with unread bytes would take back the reason.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: usize = 4 << 20;

pub(super) struct Wire {
    socket: Socket,
    /// From where beats are counted.
    started: Instant,
}

enum Socket {
    /// By the runtime, as soon as something comes.
    Woken(TcpStream),
    /// On the beat.
    Paced {
        socket: std::net::TcpStream,
        room: Box<[u8]>,
        /// The last read filled its room: there is more.
        more: bool,
    },
    Closed,
}

impl Wire {
    /// `started` is the same for all wires that share a beat.
    pub(super) fn new(socket: TcpStream, started: Instant) -> Wire {
        let _ = socket.set_nodelay(true); // without it answers are only later
        Wire {
            socket: Socket::Woken(socket),
            started,
        }
    }

    /// From here on [`Wire::read`] returns on the beat, also when nothing has come.
    pub(super) fn pace(&mut self) -> io::Result<()> {
        if let Socket::Woken(socket) = mem::replace(&mut self.socket, Socket::Closed) {
            self.socket = Socket::Paced {
                socket: socket.into_std()?,
                room: vec![0; READ_BYTES].into(),
                more: false,
            };
        }
        Ok(())
    }

    /// Appends what has come to `input`: how many bytes, 0 at the end, `None` when a beat passed without any.
    pub(super) async fn read(&mut self, input: &mut BytesMut) -> io::Result<Option<usize>> {
        match &mut self.socket {
            Socket::Woken(socket) => {
                input.reserve(READ_BYTES);
                socket.read_buf(input).await.map(Some)
            }
            Socket::Paced { socket, room, more } => {
                if !mem::take(more) {
                    let beat = BEAT.as_millis() as u64;
                    let next = (self.started.elapsed().as_millis() as u64 / beat + 1) * beat;
                    sleep_until(self.started + Duration::from_millis(next)).await;
                }
                match socket.read(room) {
                    Ok(count) => {
                        input.extend_from_slice(&room[..count]);
                        *more = count == room.len();
                        Ok(Some(count))
                    }
                    Err(error) if is_for_later(&error) => Ok(None),
                    Err(error) => Err(error),
                }
            }
            Socket::Closed => Ok(Some(0)),
        }
    }

    /// Sends `bytes`; on the beat, what the socket does not take at once stays in them.
    pub(super) async fn send(&mut self, bytes: &mut Vec<u8>) -> io::Result<()> {
        let unread = || io::Error::new(ErrorKind::TimedOut, "our answers are not read");
        match &mut self.socket {
            _ if bytes.is_empty() => {}
            Socket::Woken(socket) => {
                timeout(WRITE_TIMEOUT, socket.write_all(bytes))
                    .await
                    .map_err(|_| unread())??;
                bytes.clear();
            }
            Socket::Paced { socket, .. } => match socket.write(bytes) {
                Ok(count) => drop(bytes.drain(..count)),
                Err(error) if is_for_later(&error) && bytes.len() <= MAX_UNSENT => {}
                Err(error) if is_for_later(&error) => return Err(unread()),
                Err(error) => return Err(error),
            },
            Socket::Closed => return Err(ErrorKind::NotConnected.into()),
        }
        Ok(())
    }

    /// Closes so that the last answer arrives.
    pub(super) async fn close(self) {
        let socket = match self.socket {
            Socket::Woken(socket) => Ok(socket),
            Socket::Paced { socket, .. } => TcpStream::from_std(socket),
            Socket::Closed => return,
        };
        if let Ok(socket) = socket {
            let _ = timeout(LINGER, linger(socket)).await; // it may be gone already
        }
    }
}

async fn linger(mut socket: TcpStream) -> io::Result<()> {
    socket.shutdown().await?;
    let (mut input, mut read) = (BytesMut::with_capacity(READ_BYTES), 0);
    while read < LINGER_BYTES {
        input.clear();
        match socket.read_buf(&mut input).await? {
            0 => break,
            more => read += more,
        }
    }
    Ok(())
}

fn is_for_later(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}
