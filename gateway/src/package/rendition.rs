//! What is told of a rendition beside its parts.

use bytes::Bytes;

use super::{codecs, codecs::Unfit, cutter, init, lane, lane::Lane};
use crate::ingest::media::{Kind, RenditionFormat, Track};

/// Assumed where ingest does not know, bits per second.
const UNKNOWN_VIDEO: u32 = 3_000_000;
const UNKNOWN_AUDIO: u32 = 128_000;

/// A rendition as viewers choose it.
#[derive(Clone, Debug, PartialEq)]
pub struct Rendition {
    /// As in [`RenditionFormat`].
    pub id: String,
    /// RFC 6381, comma-separated, video first.
    pub codecs: String,
    /// Bits per second.
    pub bandwidth: u32,
    /// Pixels; 0 × 0 without video.
    pub width: u32,
    /// As the width.
    pub height: u32,
    /// Frames per second as (numerator, denominator); (0, 1) without video.
    pub frame_rate: (u32, u32),
    /// PART-TARGET in µs.
    pub part_target: u32,
    /// The init segment.
    pub init: Bytes,
}

impl Rendition {
    /// Describes `format` with the tracks that `lanes` (in its order) carry. `leader_target` is in µs.
    ///
    /// # Errors
    /// When a track has no place in a part.
    pub(super) fn new(
        format: &RenditionFormat,
        lanes: &[&Lane],
        leader_target: i64,
        is_leader: bool,
    ) -> Result<Self, Unfit> {
        let tracks: Vec<&Track> = lanes.iter().map(|lane| &lane.track).collect();
        let codecs = tracks
            .iter()
            .map(|track| codecs::string(track))
            .collect::<Result<Vec<_>, _>>()?;
        let first = lanes
            .first()
            .ok_or_else(|| Unfit("a rendition without tracks; give it one".into()))?;
        let (width, height, frame_rate) = match first.track.kind {
            Kind::Video {
                width,
                height,
                frame_rate,
            } => {
                let believed = lane::rate(frame_rate);
                let honest = f64::from(frame_rate.0) / f64::from(frame_rate.1) == believed;
                (
                    width,
                    height,
                    if honest {
                        frame_rate
                    } else {
                        (believed as u32, 1)
                    },
                )
            }
            Kind::Audio { .. } => (0, 0, (0, 1)),
        };
        let part_target = if is_leader {
            leader_target
        } else {
            let ticks = cutter::follower_target(leader_target, first.frame, first.track.timescale);
            first.micros(ticks) + 1
        };
        let bandwidth = tracks
            .iter()
            .map(|track| match (track.bit_rate, &track.kind) {
                (0, Kind::Video { .. }) => UNKNOWN_VIDEO,
                (0, Kind::Audio { .. }) => UNKNOWN_AUDIO,
                (known, _) => known,
            });
        Ok(Self {
            id: format.id.clone(),
            codecs: codecs.join(","),
            bandwidth: bandwidth.fold(0, u32::saturating_add),
            width,
            height,
            frame_rate,
            part_target: u32::try_from(part_target).unwrap_or(u32::MAX),
            init: init::segment(&tracks)?,
        })
    }
}
