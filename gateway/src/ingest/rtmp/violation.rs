//! What a peer can do wrong, each with the reason that stands in the log.

use super::{amf0::AmfError, chunk::MAX_CHUNK_STREAMS};

/// Why a connection is closed: what the peer did. Where RTMP has an answer for it, it has been written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// The first byte is not RTMP's.
    #[error("not RTMP: the first byte is {0:#04x}, RTMP begins with 0x03")]
    NotRtmp(u8),
    /// The chunk stream cannot be read.
    #[error(transparent)]
    Chunk(#[from] ChunkError),
    /// A command or metadata cannot be read.
    #[error("a command or metadata cannot be read: {0}")]
    Amf(#[from] AmfError),
    /// A protocol message has the wrong length.
    #[error("a protocol message of type {kind} has {length} bytes")]
    Control {
        /// Message type.
        kind: u8,
        /// Its payload's length.
        length: usize,
    },
    /// Something other than `connect` came first, or a command has no name.
    #[error("{0} came where RTMP does not allow it")]
    OutOfOrder(String),
    /// Another application than `live`.
    #[error(
        "application {0:?} is not known here: publish to rtmp://HOST/live with the publish secret as stream key"
    )]
    Application(String),
    /// A player.
    #[error("asked to play: this gateway sends video over HTTP only, open its page")]
    Play,
    /// A message type that no publisher in use sends.
    #[error("aggregate messages are not carried: publish audio and video messages")]
    Aggregate,
}

/// Why the bytes cannot be read as messages.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChunkError {
    /// A short header refers to a header that never came.
    #[error(
        "chunk stream {id} begins with a header of type {format}, which refers to an earlier one"
    )]
    NoHeader {
        /// Which chunk stream.
        id: u32,
        /// 2 or 3.
        format: u8,
    },
    /// A message begins before the last one on the same chunk stream has ended.
    #[error("a message begins on chunk stream {id} with {missing} bytes of the last one missing")]
    Unfinished {
        /// Which chunk stream.
        id: u32,
        /// What is missing.
        missing: usize,
    },
    /// A message is longer than we take.
    #[error("a message of type {kind} announces {length} bytes, the limit is {limit}")]
    Long {
        /// The message type.
        kind: u8,
        /// Announced.
        length: usize,
        /// Allowed.
        limit: usize,
    },
    /// Too many chunk streams.
    #[error("more than {MAX_CHUNK_STREAMS} chunk streams in one connection")]
    Streams,
    /// Too many unfinished messages.
    #[error("unfinished messages hold more than {0} bytes")]
    Buffered(usize),
    /// A chunk size of 0 or above 2^31-1.
    #[error("chunk size {0} is not possible: 1 to 2147483647")]
    ChunkSize(u32),
}
