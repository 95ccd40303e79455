//! Bitswap byte by byte, so that a peer can say what no library would: libp2p's own TCP, Noise and yamux, and on top of
//! them multistream-select and bitswap's messages by hand.

use std::{future::poll_fn, task::Poll, time::Duration};

use futures::{AsyncReadExt, AsyncWriteExt};
use libp2p::{
    Multiaddr, Transport,
    core::{
        Endpoint,
        muxing::{StreamMuxerBox, StreamMuxerExt, SubstreamBox},
        transport::{DialOpts, PortUse},
        upgrade::Version,
    },
    identity::Keypair,
    noise, tcp, yamux,
};
use meshlive_protocol::{Cid, protobuf as out};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
    time::timeout,
};

use super::client::PATIENCE;

const MULTISTREAM: &[u8] = b"\x13/multistream/1.0.0\n";
const BITSWAP: &[u8] = b"\x14/ipfs/bitswap/1.2.0\n";

/// One connection to a gateway.
pub(crate) struct Peer {
    open: mpsc::Sender<oneshot::Sender<SubstreamBox>>,
    /// Bodies of messages that the gateway sent.
    messages: mpsc::Receiver<Vec<u8>>,
    task: JoinHandle<()>,
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Peer {
    /// Connects. `reads`: whether it takes what it is sent.
    pub(crate) async fn connect(address: &Multiaddr, reads: bool) -> Self {
        let key = Keypair::generate_ed25519();
        let mut transport = tcp::tokio::Transport::new(tcp::Config::default().nodelay(true))
            .upgrade(Version::V1)
            .authenticate(noise::Config::new(&key).unwrap())
            .multiplex(yamux::Config::default());
        let how = DialOpts {
            role: Endpoint::Dialer,
            port_use: PortUse::New,
        };
        let (_, muxer) = transport.dial(address.clone(), how).unwrap().await.unwrap();
        let (open, opens) = mpsc::channel(8);
        let (tell, messages) = mpsc::channel(1024);
        let task = tokio::spawn(drive(StreamMuxerBox::new(muxer), opens, tell, reads));
        Self {
            open,
            messages,
            task,
        }
    }

    /// A stream on which messages can be written, or `None` where the connection has ended.
    pub(crate) async fn stream(&self) -> Option<SubstreamBox> {
        let (answer, answered) = oneshot::channel();
        self.open.send(answer).await.ok()?;
        let mut stream = answered.await.ok()?;
        stream.write_all(MULTISTREAM).await.ok()?;
        stream.write_all(BITSWAP).await.ok()?;
        stream.flush().await.ok()?;
        let mut agreed = vec![0; MULTISTREAM.len() + BITSWAP.len()];
        stream.read_exact(&mut agreed).await.ok()?;
        assert_eq!(agreed, [MULTISTREAM, BITSWAP].concat());
        Some(stream)
    }

    /// Says one message on a stream of its own; whether it could be said.
    pub(crate) async fn say(&self, body: &[u8]) -> bool {
        let Some(mut stream) = self.stream().await else {
            return false;
        };
        write(&mut stream, body).await && stream.close().await.is_ok()
    }

    /// The next message of the gateway.
    pub(crate) async fn hears(&mut self) -> Heard {
        let body = timeout(PATIENCE, self.messages.recv()).await;
        read(&body.expect("in time").expect("the connection is there"))
    }

    /// Whether the gateway has ended the connection, within this time.
    pub(crate) async fn is_closed(&mut self, within: Duration) -> bool {
        timeout(within, &mut self.task).await.is_ok()
    }
}

/// Writes a message with its length before it.
pub(crate) async fn write(stream: &mut SubstreamBox, body: &[u8]) -> bool {
    let mut head = Vec::new();
    out::varint(&mut head, body.len() as u64);
    stream.write_all(&head).await.is_ok()
        && stream.write_all(body).await.is_ok()
        && stream.flush().await.is_ok()
}

/// Until the connection ends.
async fn drive(
    mut muxer: StreamMuxerBox,
    mut opens: mpsc::Receiver<oneshot::Sender<SubstreamBox>>,
    tell: mpsc::Sender<Vec<u8>>,
    reads: bool,
) {
    let mut wanted: Option<oneshot::Sender<SubstreamBox>> = None;
    let mut kept = Vec::new();
    poll_fn(|cx| {
        loop {
            if muxer.poll_unpin(cx).is_ready() {
                return Poll::Ready(()); // this muxer only says when it has ended
            }
            match muxer.poll_inbound_unpin(cx) {
                Poll::Ready(Ok(stream)) if reads => {
                    tokio::spawn(listen(stream, tell.clone()));
                    continue;
                }
                Poll::Ready(Ok(stream)) => {
                    // Agreed to, and then not read.
                    kept.push(tokio::spawn(agree(stream)));
                    continue;
                }
                Poll::Ready(Err(_)) => return Poll::Ready(()),
                Poll::Pending => {}
            }
            if wanted.is_none() {
                match opens.poll_recv(cx) {
                    Poll::Ready(Some(answer)) => wanted = Some(answer),
                    Poll::Ready(None) => return Poll::Ready(()),
                    Poll::Pending => return Poll::Pending,
                }
            }
            match muxer.poll_outbound_unpin(cx) {
                Poll::Ready(Ok(stream)) => {
                    let answer = wanted.take().expect("it was wanted a line above");
                    let _ = answer.send(stream);
                }
                Poll::Ready(Err(_)) => return Poll::Ready(()),
                Poll::Pending => return Poll::Pending,
            }
        }
    })
    .await;
}

/// Takes a stream for bitswap; `None` for any other protocol.
async fn agree(mut stream: SubstreamBox) -> Option<SubstreamBox> {
    let mut header = vec![0; MULTISTREAM.len()];
    stream.read_exact(&mut header).await.ok()?;
    stream.write_all(MULTISTREAM).await.ok()?;
    let mut length = [0];
    stream.read_exact(&mut length).await.ok()?;
    let mut name = vec![0; length[0].into()];
    stream.read_exact(&mut name).await.ok()?;
    let is_bitswap = name == BITSWAP[1..];
    let answer = if is_bitswap { BITSWAP } else { b"\x03na\n" };
    stream.write_all(answer).await.ok()?;
    stream.flush().await.ok()?;
    is_bitswap.then_some(stream)
}

async fn listen(stream: SubstreamBox, tell: mpsc::Sender<Vec<u8>>) -> Option<()> {
    let mut stream = agree(stream).await?;
    loop {
        let mut length = 0;
        for shift in (0..28).step_by(7) {
            let mut byte = [0];
            stream.read_exact(&mut byte).await.ok()?;
            length |= usize::from(byte[0] & 0x7f) << shift;
            if byte[0] & 0x80 == 0 {
                break;
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await.ok()?;
        tell.send(body).await.ok()?;
    }
}

/// Kinds of wants.
pub(crate) const BLOCK: u64 = 0;
pub(crate) const HAVE: u64 = 1;

/// A message of wants.
pub(crate) fn wants(cids: &[Cid], kind: u64) -> Vec<u8> {
    wantlist(cids, |entry| {
        out::number(entry, 4, kind);
        out::number(entry, 5, 1);
    })
}

/// A message of cancels.
pub(crate) fn cancels(cids: &[Cid]) -> Vec<u8> {
    wantlist(cids, |entry| out::number(entry, 3, 1))
}

fn wantlist(cids: &[Cid], more: impl Fn(&mut Vec<u8>)) -> Vec<u8> {
    let mut list = Vec::new();
    for cid in cids {
        let mut entry = Vec::new();
        out::bytes(&mut entry, 1, &cid.to_bytes());
        out::number(&mut entry, 2, 1);
        more(&mut entry);
        out::bytes(&mut list, 1, &entry);
    }
    let mut message = Vec::new();
    out::bytes(&mut message, 1, &list);
    message
}

/// A message with a block that is said to be raw.
pub(crate) fn raw_block(data: &[u8]) -> Vec<u8> {
    let mut block = Vec::new();
    out::bytes(&mut block, 1, &[1, 0x55, 0x12, 32]);
    out::bytes(&mut block, 2, data);
    let mut message = Vec::new();
    out::bytes(&mut message, 3, &block);
    message
}

/// What the gateway said.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    pub(crate) blocks: Vec<Vec<u8>>,
    pub(crate) here: usize,
    pub(crate) absent: usize,
}

fn read(message: &[u8]) -> Heard {
    let mut heard = Heard::default();
    for (field, value) in fields(message) {
        match field {
            3 => {
                let block = fields(value).into_iter().find(|(field, _)| *field == 2);
                heard.blocks.push(block.unwrap().1.to_vec());
            }
            // The last byte of a presence is its kind.
            4 if value.last() == Some(&1) => heard.absent += 1,
            4 => heard.here += 1,
            _ => {}
        }
    }
    heard
}

/// Fields that hold bytes; all of a message of the gateway but for kinds do.
fn fields(mut bytes: &[u8]) -> Vec<(u64, &[u8])> {
    let mut fields = Vec::new();
    while let Some((tag, rest)) = bytes.split_first() {
        let (mut length, mut at) = (0, 0);
        loop {
            length |= usize::from(rest[at] & 0x7f) << (7 * at);
            at += 1;
            if rest[at - 1] & 0x80 == 0 {
                break;
            }
        }
        let length = if tag & 7 == 0 { 0 } else { length };
        fields.push((u64::from(tag >> 3), &rest[at..at + length]));
        bytes = &rest[at + length..];
    }
    fields
}
