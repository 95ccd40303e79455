//! Bodies: bytes from memory, or blocks read one after another while the connection takes them. What goes out is
//! counted when it goes, not when it is promised.

use std::{
    future::Future,
    io,
    ops::Range,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use axum::body::Body;
use bytes::Bytes;
use cid::Cid;
use http_body::{Frame, SizeHint};
use meshlive_protocol::dag::DAG_PB;

use super::{
    blocks::Blocks,
    resolve,
    unixfs::{self, Node},
};
use crate::{
    metrics::{Kind, Metrics},
    publish::Stream,
};

/// Given to the connection at once. A viewer that leaves in the midst of a part is not counted with all of it.
const FRAME_BYTES: usize = 256 * 1024;

/// A body of `kind` that is in memory.
pub(super) fn memory(metrics: &Arc<Metrics>, kind: Kind, bytes: Bytes) -> Body {
    Body::new(Counted {
        metrics: metrics.clone(),
        kind,
        left: Some(bytes.len() as u64),
        source: Memory(bytes),
    })
}

/// A body of `kind` that `source` gives block by block; its length in bytes, where that is known in advance.
pub(super) fn read<S: Source + 'static>(
    metrics: &Arc<Metrics>,
    kind: Kind,
    source: S,
    length: Option<u64>,
) -> Body {
    let source = Reading::Idle(Some(source));
    Body::new(Counted {
        metrics: metrics.clone(),
        kind,
        left: length,
        source,
    })
}

/// Bytes that are read as they are needed.
pub(super) trait Source: Sized + Send + Unpin {
    /// The next bytes, and what is left behind them; `None` at the end.
    fn next(self) -> impl Future<Output = io::Result<Option<(Bytes, Self)>>> + Send;
}

/// These bytes of these blocks, one after another. A block that is a node of a file stands for what is below it.
pub(super) struct Sequence {
    blocks: Arc<Blocks>,
    live: Option<Arc<Stream>>,
    /// The next one last, each with the bytes of the file that it holds and those of them that are wanted.
    left: Vec<(Cid, u64, Range<u64>)>,
}

impl Sequence {
    /// Those of `all` (each with its size) that lie in `range` of the whole.
    pub(super) fn new(
        blocks: Arc<Blocks>,
        live: Option<Arc<Stream>>,
        all: &[(Cid, u64)],
        range: &Range<u64>,
    ) -> Self {
        let mut left = unixfs::overlapping(all, range);
        left.reverse();
        Self { blocks, live, left }
    }
}

/// Blocks that wait: those of one file of an hour, and of some nodes around it.
const MAX_LEFT: usize = 500_000;

impl Source for Sequence {
    async fn next(mut self) -> io::Result<Option<(Bytes, Self)>> {
        while let Some((cid, size, wanted)) = self.left.pop() {
            let block = match &self.live {
                Some(live) => self.blocks.clone().get(Some(live.clone()), cid).await?,
                None => resolve::load(&self.blocks, cid).await?,
            };
            let block = block.ok_or(io::ErrorKind::NotFound)?;
            let bytes = match (cid.codec() == DAG_PB).then(|| Node::parse(&block)) {
                None => block,
                Some(Ok(Node::Bytes(bytes))) => bytes.into(),
                // What it says of itself is what was said of it: the answer has the length that its head promised.
                Some(Ok(node @ Node::File(_))) if node.file_bytes() == Some(size) => {
                    let Node::File(children) = node else {
                        unreachable!("matched just above")
                    };
                    let inside = unixfs::overlapping(&children, &wanted);
                    self.left.extend(inside.into_iter().rev());
                    if self.left.len() > MAX_LEFT {
                        return Err(io::ErrorKind::InvalidData.into());
                    }
                    continue;
                }
                Some(_) => return Err(io::ErrorKind::InvalidData.into()),
            };
            if bytes.len() as u64 != size {
                return Err(io::ErrorKind::InvalidData.into());
            }
            let bytes = bytes.slice(wanted.start as usize..wanted.end as usize);
            return Ok(Some((bytes, self)));
        }
        Ok(None)
    }
}

struct Counted<F> {
    metrics: Arc<Metrics>,
    kind: Kind,
    /// Bytes that are still to come, where that is known.
    left: Option<u64>,
    source: F,
}

impl<F: Frames> http_body::Body for Counted<F> {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let Some(bytes) = ready!(self.source.poll_bytes(cx)?) else {
            return Poll::Ready(None);
        };
        self.metrics.sent(self.kind, bytes.len());
        if let Some(left) = &mut self.left {
            *left = left.saturating_sub(bytes.len() as u64);
        }
        Poll::Ready(Some(Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == Some(0)
    }

    fn size_hint(&self) -> SizeHint {
        self.left
            .map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

trait Frames: Unpin {
    fn poll_bytes(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Bytes>>>;
}

struct Memory(Bytes);

impl Frames for Memory {
    fn poll_bytes(&mut self, _: &mut Context<'_>) -> Poll<io::Result<Option<Bytes>>> {
        let next = self.0.split_to(self.0.len().min(FRAME_BYTES));
        Poll::Ready(Ok((!next.is_empty()).then_some(next)))
    }
}

type Next<S> = Pin<Box<dyn Future<Output = io::Result<Option<(Bytes, S)>>> + Send>>;

enum Reading<S> {
    Idle(Option<S>),
    Busy(Next<S>),
}

impl<S: Source + 'static> Frames for Reading<S> {
    fn poll_bytes(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Bytes>>> {
        if let Self::Idle(source) = self {
            let Some(source) = source.take() else {
                return Poll::Ready(Ok(None));
            };
            *self = Self::Busy(Box::pin(source.next()));
        }
        let Self::Busy(next) = self else {
            unreachable!("idle became busy just above")
        };
        let result = ready!(next.as_mut().poll(cx));
        let (bytes, source) = match result? {
            Some((bytes, source)) => (Some(bytes), Some(source)),
            None => (None, None),
        };
        *self = Self::Idle(source);
        Poll::Ready(Ok(bytes))
    }
}
