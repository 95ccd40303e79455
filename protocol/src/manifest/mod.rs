//! What is new and all that is live, signed by the stream's key (README §4 to §6).
//!
//! An [`Announcement`] says what is new since the last one. A [`Manifest`] is the whole live window, for whoever
//! joins or lost something. Both carry (epoch, sequence), strictly ordered, the higher epoch winning. Applying
//! every announcement to a manifest gives the very manifest that the gateway has: bytes and playlists are equal.

mod announcement;
mod apply;
pub(crate) mod envelope;
mod follow;
mod rejected;
mod rendition;
mod segment;
mod whole;
mod window;

pub use announcement::{Announcement, News};
pub use envelope::DOMAIN;
pub use follow::Follower;
pub use rejected::Rejected;
pub use rendition::{InitEntry, Rendition, RenditionEntry, Tracks};
pub use segment::{PartEntry, Segment, Strand};
pub use window::{Manifest, Settings};

use crate::{key::SigningKey, name::StreamName};

/// Payload type of an announcement; the `1` of [`DOMAIN`] is the version of both.
pub const ANNOUNCEMENT_TYPE: &[u8] = b"/ml/a";
/// Payload type of a manifest.
pub const MANIFEST_TYPE: &[u8] = b"/ml/m";

/// Longest payload of an announcement, bytes; [`MAX_NEWS`] of the longest kind fit.
pub const MAX_ANNOUNCEMENT_BYTES: usize = 128 * 1024;
/// Longest payload of a manifest, bytes; a window of [`MAX_PARTS`] fits.
pub const MAX_MANIFEST_BYTES: usize = 2 * 1024 * 1024;
/// What the envelope adds to a payload, bytes, at most.
pub const MAX_ENVELOPE_OVERHEAD: usize = 128;
/// News in one announcement.
pub const MAX_NEWS: usize = 512;
/// Renditions of a stream over its life.
pub const MAX_RENDITIONS: usize = 16;
/// Init segments of one rendition that a window knows; the oldest segments go before it is full.
pub const MAX_INITS: usize = 32;
/// Segments in a window; the oldest go first.
pub const MAX_SEGMENTS: usize = 512;
/// Parts of all renditions in a window; the oldest segments go first.
pub const MAX_PARTS: usize = 32_768;
/// Parts of one rendition in one segment.
pub const MAX_PARTS_PER_SEGMENT: usize = 256;
/// Bytes of a rendition's id, `[a-z0-9-]`.
pub const MAX_ID_BYTES: usize = 32;
/// Bytes of a CODECS value.
pub const MAX_CODECS_BYTES: usize = 128;
/// Every number on the wire fits into a JavaScript number.
pub const MAX_NUMBER: u64 = (1 << 53) - 1;
/// Longest target duration, seconds.
pub const MAX_TARGET_SECONDS: u32 = 60;
/// Longest window, microseconds: 5 minutes.
pub const MAX_WINDOW_MICROS: u64 = 300_000_000;

/// What an envelope held.
#[derive(Clone, Debug, PartialEq)]
pub enum Opened {
    /// Of [`ANNOUNCEMENT_TYPE`].
    Announcement(Announcement),
    /// Of [`MANIFEST_TYPE`].
    Manifest(Manifest),
}

/// The announcement as a signed envelope.
///
/// It is the caller's to keep within the bounds of this module: what breaks one, [`open`] rejects.
/// [`Manifest::apply`] tells in advance.
pub fn sign_announcement(key: &SigningKey, announcement: &Announcement) -> Vec<u8> {
    envelope::seal(key, ANNOUNCEMENT_TYPE, &announcement.encode())
}

/// The manifest as a signed envelope.
pub fn sign_manifest(key: &SigningKey, manifest: &Manifest) -> Vec<u8> {
    envelope::seal(key, MANIFEST_TYPE, &manifest.encode())
}

/// Verifies an envelope of `stream` and reads what is inside. Nothing is believed before the signature is
/// verified, and nothing is allocated beyond the limits of this module.
pub fn open(stream: &StreamName, envelope: &[u8]) -> Result<Opened, Rejected> {
    let limit = |payload_type: &[u8]| match payload_type {
        ANNOUNCEMENT_TYPE => Ok(MAX_ANNOUNCEMENT_BYTES),
        MANIFEST_TYPE => Ok(MAX_MANIFEST_BYTES),
        _ => Err(Rejected::UnknownType),
    };
    let (payload_type, payload) = envelope::open(stream, envelope, limit)?;
    if payload_type == ANNOUNCEMENT_TYPE {
        Announcement::decode(payload).map(Opened::Announcement)
    } else {
        Manifest::decode(payload).map(Opened::Manifest)
    }
}
