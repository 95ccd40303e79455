//! What peers of one stream tell each other (README §8): the gateway and viewers, viewers among themselves.
//!
//! Two libp2p streams in each direction, opened by whoever has something to say and open as long as the link:
//! [`CONTROL_PROTOCOL`] carries [`Message`]s, [`PARTS_PROTOCOL`] parts, so that what is small never waits behind what is
//! large. Everything on them is a frame: its length as an unsigned varint, and so many bytes. The first frame of each
//! stream is the [name](crate::name::StreamName) as text. Then come, on a control stream, messages, of which
//! [`Message::Join`] is the first; on a stream of parts, parts, each behind its [`PartHeader`].

mod codec;
mod header;

use bytes::Bytes;
use libp2p_identity::PeerId;

pub use header::{PART_HEADER_BYTES, PartHeader};

use crate::{
    manifest::{MAX_ANNOUNCEMENT_BYTES, MAX_ENVELOPE_OVERHEAD, MAX_MANIFEST_BYTES},
    part::MAX_PART_BYTES,
};

/// Protocol of the streams that carry [`Message`]s.
pub const CONTROL_PROTOCOL: &str = "/meshlive/control/1";
/// Protocol of the streams that carry parts.
pub const PARTS_PROTOCOL: &str = "/meshlive/parts/1";

/// Parts named in one message.
pub const MAX_PLACES: usize = 256;
/// Peers named in one message, and seeds of an announcement.
pub const MAX_NEIGHBOURS: usize = 32;
/// Bytes of one encoded message other than a manifest's or announcement's envelope.
pub const MAX_MESSAGE_BYTES: usize = 8 * 1024;
/// Bytes of one frame of a control stream, whatever it holds; [`Message::limit`] tells it of each.
pub const MAX_CONTROL_FRAME_BYTES: usize =
    MAX_MANIFEST_BYTES + MAX_ENVELOPE_OVERHEAD + MAX_MESSAGE_BYTES;
/// Bytes of one frame of a stream of parts.
pub const MAX_PART_FRAME_BYTES: usize = PART_HEADER_BYTES + MAX_PART_BYTES;
/// Bytes of a peer id: the longest multihash that names a key.
pub const MAX_PEER_BYTES: usize = 42;

/// Where a part belongs in its stream: what its URL says, too. No place is ever used for two parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Number of its segment.
    pub msn: u64,
    /// Its index within the segment.
    pub part: u32,
    /// Index of its rendition in the manifest.
    pub rendition: u8,
}

/// What a peer wants of the stream, and what it gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Join {
    /// Bit n: the parts of rendition n are wanted as they appear.
    pub renditions: u16,
    /// Bytes per second that it is willing to upload; 0 when sharing is off.
    pub upload: u32,
    /// Whether it has a link to a gateway: announcements come from there first.
    pub gateway: bool,
    /// Where it is: all of one site say the same. 0: it does not know.
    pub site: u32,
}

/// One message of a control stream.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "what a variant says tells of its fields")]
pub enum Message {
    /// First, and again whenever something of it changes.
    Join(Join),
    /// A signed announcement. Two hints that are not signed: the [`tail`]s of those to whom a gateway pushes its parts, and
    /// of the viewer `by` which it came in from a gateway; 0: the sender is one.
    Announcement {
        envelope: Bytes,
        seeds: Vec<u32>,
        by: u32,
    },
    /// The whole window, signed: to whoever joins, and on [`Message::WantManifest`].
    Manifest { envelope: Bytes },
    /// An announcement was lost.
    WantManifest,
    /// The sender holds these parts and gives them to whoever wants them.
    Have(Vec<Place>),
    /// The sender wants these parts, now or as soon as they are there, until it cancels.
    Want(Vec<Place>),
    /// It no longer wants them.
    Cancel(Vec<Place>),
    /// The sender will not give these (not there any more, or no upload left): they are to be had elsewhere.
    Lack(Vec<Place>),
    /// Peers of the same stream.
    Neighbours(Vec<PeerId>),
    /// More neighbours are wanted.
    WantNeighbours,
    /// The sender knows all announcements up to this one, and is to be told those behind it as they come.
    Tell { epoch: u64, sequence: u64 },
    /// It hears them from elsewhere.
    Hush,
}

/// A peer as hints name it: the last four bytes of its id, big-endian. Two may have the same.
pub fn tail(peer: &PeerId) -> u32 {
    let digest = peer.as_ref().digest();
    let tail = digest.iter().rev().take(4).rev();
    tail.fold(0, |sum, byte| sum << 8 | u32::from(*byte))
}

/// What all envelopes of announcements of a stream begin with, so that it need not travel each time: bytes.
const HEAD_BYTES: usize = 45;

/// Longest envelope of an announcement, bytes.
const MAX_ANNOUNCEMENT_ENVELOPE: usize = MAX_ANNOUNCEMENT_BYTES + MAX_ENVELOPE_OVERHEAD;
/// Longest envelope of a manifest, bytes.
const MAX_MANIFEST_ENVELOPE: usize = MAX_MANIFEST_BYTES + MAX_ENVELOPE_OVERHEAD;
