//! Content that never changes under its name: with `ETag`, ranges and conditions (RFC 9110 §13, §14).

use std::{ops::Range, sync::Arc};

use axum::{
    body::Body,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::Response,
};
use bytes::Bytes;
use cid::Cid;

use super::{
    State, body,
    range::{self, Wanted},
    recording::Recording,
};
use crate::{metrics::Kind, publish::Stream};

/// For 48 weeks (the number that all gateways say), and never asked for again.
pub(super) const IMMUTABLE: HeaderValue =
    HeaderValue::from_static("public, max-age=29030400, immutable");

/// Something to be sent, whole or a range of it.
pub(super) struct Content {
    pub(super) kind: Kind,
    /// With its quotes.
    pub(super) etag: String,
    pub(super) media_type: HeaderValue,
    pub(super) cache: HeaderValue,
    pub(super) bytes: Stored,
}

/// Where the bytes are.
pub(super) enum Stored {
    /// In memory.
    Memory(Bytes),
    /// In blocks, each with its size, to be read while they are sent (a node stands for what is below it); `live` is the
    /// stream they belong to.
    Blocks {
        live: Option<Arc<Stream>>,
        blocks: Vec<(Cid, u64)>,
    },
    /// A stretch of the past.
    Recording(Arc<Recording>),
}

impl Stored {
    fn length(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::Blocks { blocks, .. } => blocks.iter().map(|(_, size)| size).sum(),
            Self::Recording(recording) => recording.length(),
        }
    }
}

impl Content {
    /// The answer to a request with these headers: 200, 206, 304 or 416.
    pub(super) fn answer(self, state: &State, request: &HeaderMap) -> Response {
        let length = self.bytes.length();
        let text = |name: HeaderName| request.get(name).and_then(|value| value.to_str().ok());
        if range::is_known(request, &self.etag) {
            return self.head(StatusCode::NOT_MODIFIED, Body::empty());
        }
        let wanted = match text(header::RANGE) {
            Some(_)
                if !text(header::IF_RANGE)
                    .is_none_or(|tag| range::if_range_allows(tag, &self.etag)) =>
            {
                Wanted::Whole
            }
            Some(header) => range::wanted(header, length),
            None => Wanted::Whole,
        };
        let (status, of) = match wanted {
            Wanted::Whole => (StatusCode::OK, None),
            Wanted::Bytes(range) => (
                StatusCode::PARTIAL_CONTENT,
                Some((
                    format!("bytes {}-{}/{length}", range.start, range.end - 1),
                    range,
                )),
            ),
            Wanted::Unsatisfiable => {
                let mut answer = self.head(StatusCode::RANGE_NOT_SATISFIABLE, Body::empty());
                answer.headers_mut().remove(header::CONTENT_TYPE);
                answer
                    .headers_mut()
                    .insert(header::CONTENT_RANGE, ascii(format!("bytes */{length}")));
                return answer;
            }
        };
        let (content_range, range) = of.unzip();
        let body = self.body(state, range.unwrap_or(0..length));
        let mut answer = self.head(status, body);
        if let Some(content_range) = content_range {
            answer
                .headers_mut()
                .insert(header::CONTENT_RANGE, ascii(content_range));
        }
        answer
    }

    fn body(&self, state: &State, range: Range<u64>) -> Body {
        match &self.bytes {
            Stored::Memory(bytes) => {
                let bytes = bytes.slice(range.start as usize..range.end as usize);
                body::memory(&state.metrics, self.kind, bytes)
            }
            Stored::Blocks { live, blocks } => {
                let length = range.end - range.start;
                let sequence =
                    body::Sequence::new(state.blocks.clone(), live.clone(), blocks, &range);
                body::read(&state.metrics, self.kind, sequence, Some(length))
            }
            Stored::Recording(recording) => {
                let length = range.end - range.start;
                let bytes = recording.clone().bytes(state.blocks.clone(), &range);
                body::read(&state.metrics, self.kind, bytes, Some(length))
            }
        }
    }

    fn head(self, status: StatusCode, body: Body) -> Response {
        let mut answer = Response::new(body);
        *answer.status_mut() = status;
        let headers = answer.headers_mut();
        headers.insert(header::CONTENT_TYPE, self.media_type);
        headers.insert(header::CACHE_CONTROL, self.cache);
        headers.insert(header::ETAG, ascii(self.etag));
        headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        answer
    }
}

/// A header value that we composed of ASCII.
pub(super) fn ascii(text: String) -> HeaderValue {
    HeaderValue::try_from(text).expect("numbers and CIDs are visible ASCII")
}
