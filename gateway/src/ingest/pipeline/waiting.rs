//! What is kept until it is known which streams the source really sends.

use crate::ingest::media::{Packet, SourceStream};

/// Packets and bytes kept while waiting for the first packet of each stream.
const MAX_WAITING: usize = 1_000;
const MAX_WAITING_BYTES: usize = 32 << 20;

/// Packets from before the format is known.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) packets: Vec<(Packet, u64)>,
    pub(super) bytes: usize,
    pub(super) since: Option<u64>,
}

impl Waiting {
    pub(super) fn new() -> Self {
        Self {
            packets: Vec::new(),
            bytes: 0,
            since: None,
        }
    }

    pub(super) fn is_full(&self) -> bool {
        self.packets.len() >= MAX_WAITING || self.bytes >= MAX_WAITING_BYTES
    }

    pub(super) fn has(&self, stream: usize) -> bool {
        self.packets
            .iter()
            .any(|(packet, _)| packet.stream == stream)
    }
}

/// The streams of the source that are used.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Chosen {
    pub(super) video: Option<(usize, SourceStream)>,
    pub(super) audio: Option<(usize, SourceStream)>,
}

impl Chosen {
    /// 0 for the video stream, 1 for the audio stream.
    pub(super) fn kind(&self, stream: usize) -> Option<usize> {
        let is = |chosen: &Option<(usize, SourceStream)>| {
            chosen.as_ref().is_some_and(|(index, _)| *index == stream)
        };
        if is(&self.video) {
            Some(0)
        } else {
            is(&self.audio).then_some(1)
        }
    }
}
