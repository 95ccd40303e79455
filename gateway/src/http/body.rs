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

use super::blocks::Blocks;
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

/// These bytes of these blocks, one after another.
pub(super) struct Sequence {
    pub(super) blocks: Arc<Blocks>,
    pub(super) live: Option<Arc<Stream>>,
    pub(super) rest: std::vec::IntoIter<(Cid, Range<usize>)>,
}

impl Sequence {
    /// Those of `all` (each with its size) that lie in `range` of the whole.
    pub(super) fn new(
        blocks: Arc<Blocks>,
        live: Option<Arc<Stream>>,
        all: &[(Cid, u64)],
        range: Range<u64>,
    ) -> Self {
        let mut rest = Vec::new();
        let mut start = 0;
        for (cid, size) in all {
            let end = start + size;
            let (from, to) = (range.start.max(start), range.end.min(end));
            if from < to {
                rest.push((*cid, (from - start) as usize..(to - start) as usize));
            }
            start = end;
        }
        Self {
            blocks,
            live,
            rest: rest.into_iter(),
        }
    }
}

impl Source for Sequence {
    async fn next(mut self) -> io::Result<Option<(Bytes, Self)>> {
        let Some((cid, range)) = self.rest.next() else {
            return Ok(None);
        };
        let bytes = self.blocks.clone().get(self.live.clone(), cid).await?;
        let bytes = bytes
            .filter(|bytes| range.end <= bytes.len())
            .ok_or(io::ErrorKind::NotFound)?;
        Ok(Some((bytes.slice(range), self)))
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
