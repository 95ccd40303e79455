//! Why a connection has ended: what the log and the pipeline are told.

use std::{io, time::Duration};

use super::{flv::TagError, queue::Stuck, violation::Violation};

/// Why a connection has ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum End {
    #[error("the publisher ended the stream")]
    Finished,
    #[error("the connection was closed")]
    Closed,
    #[error("the connection broke: {0}")]
    Broken(#[from] io::Error),
    #[error("nothing was published within {0:?}")]
    Slow(Duration),
    #[error("nothing came for {0:?}")]
    Silent(Duration),
    #[error("another publisher with the same stream key took over")]
    Evicted,
    #[error("the gateway stops")]
    Stopping,
    #[error("refused: {0}")]
    Refused(String),
    #[error(transparent)]
    Violation(#[from] Violation),
    #[error(transparent)]
    Tag(#[from] TagError),
    #[error(transparent)]
    Stuck(#[from] Stuck),
}
