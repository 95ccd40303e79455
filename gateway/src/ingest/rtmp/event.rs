//! What a publisher does, as [`super::session`] understands it.

use bytes::Bytes;

use super::metadata::Metadata;

/// What the publisher does.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// It wants to publish with this stream key: [`Session::accept`](super::session::Session::accept) or its `refuse` answers.
    Publish {
        /// The publish secret it offers.
        key: String,
    },
    /// It describes its stream.
    Metadata(Metadata),
    /// An FLV video tag's body.
    Video {
        /// Milliseconds, wrapping.
        timestamp: u32,
        /// See [`super::flv`].
        tag: Bytes,
    },
    /// An FLV audio tag's body.
    Audio {
        /// Milliseconds, wrapping.
        timestamp: u32,
        /// See [`super::flv`].
        tag: Bytes,
    },
    /// It has ended its stream properly.
    Ended,
}
