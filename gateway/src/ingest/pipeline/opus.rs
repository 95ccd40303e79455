//! Opus as it came, beside the AAC that is made of it.

use super::passthrough::{Passed, joined, ticks};
use crate::ingest::{
    media::{Codec, Kind, Packet, Sample, SourceStream, Track, TrackId},
    timeline::Placed,
};

/// Opus is always played at this rate, whatever it was made from (RFC 7845 §4).
const RATE: u32 = 48_000;
/// Samples that a packet holds at most: 120 ms (RFC 6716 §3.2.5).
const LONGEST: u32 = 5_760;
/// OpusHead up to the channel mapping family, and with a table's counts (RFC 7845 §5.1).
const HEAD: usize = 19;
const HEAD_WITH_TABLE: usize = 21;

pub(crate) struct Opus {
    track: Track,
    next: Option<i64>,
}

impl Opus {
    /// None where the head has no place in an init segment.
    pub(super) fn new(stream: &SourceStream, id: TrackId) -> Option<Self> {
        let Codec::Opus { head } = &stream.codec else {
            return None;
        };
        let channels = *head.get(9)?;
        let length = match (head.get(HEAD - 1)?, channels) {
            (0, 1..=2) => HEAD,
            (1, 1..=8) => HEAD_WITH_TABLE + usize::from(channels),
            _ => return None,
        };
        let known = head.starts_with(b"OpusHead") && head[8] >> 4 == 0;
        if !known || head.len() < length {
            return None;
        }
        let track = Track {
            id,
            codec: Codec::Opus {
                head: head.slice(..length),
            },
            kind: Kind::Audio {
                sample_rate: RATE,
                channels: channels.into(),
            },
            timescale: RATE,
            bit_rate: stream.bit_rate,
        };
        Some(Self { track, next: None })
    }

    pub(super) fn track(&self) -> &Track {
        &self.track
    }

    /// The packet in its place.
    pub(super) fn pass(&mut self, packet: &Packet, placed: &Placed) -> Passed {
        let Some(duration) = duration(&packet.data) else {
            return Passed::Nothing { damaged: true };
        };
        let Some(dts) = joined(ticks(placed.dts, RATE), self.next, RATE) else {
            return Passed::Nothing { damaged: false };
        };
        self.next = Some(dts + i64::from(duration));
        Passed::Sample(Sample {
            track: self.track.id,
            dts,
            pts: dts,
            duration,
            key: true,
            data: packet.data.clone(),
        })
    }
}

/// Samples of a packet, by its first byte or two (RFC 6716 §3.1, §3.2); None where it is damaged.
pub(crate) fn duration(data: &[u8]) -> Option<u32> {
    let first = *data.first()?;
    let frame = match first >> 3 {
        config @ 0..=11 => [480, 960, 1_920, 2_880][usize::from(config & 3)],
        config @ 12..=15 => [480, 960][usize::from(config & 1)],
        config => [120, 240, 480, 960][usize::from(config & 3)],
    };
    let count = match first & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => u32::from(data.get(1)? & 63),
    };
    Some(frame * count).filter(|samples| (1..=LONGEST).contains(samples))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_tells_how_long_it_lasts() {
        for (bytes, samples) in [
            (&[0xfc][..], Some(960)),
            (&[0x78, 1], Some(960)),
            (&[0x19], Some(5_760)),
            (&[0xe1, 1], Some(240)),
            (&[0xff, 6], Some(5_760)),
            (&[0xff, 7], None),
            (&[0xff, 0], None),
            (&[0xff], None),
            (&[], None),
        ] {
            assert_eq!(duration(bytes), samples, "{bytes:x?}");
        }
    }

    #[test]
    fn a_head_without_its_table_or_with_too_many_channels_is_not_carried() {
        let stream = |channels: u8, family: u8, more: &[u8]| {
            let head = [
                b"OpusHead",
                &[1, channels, 56, 1, 0x80, 0xbb, 0, 0, 0, 0, family][..],
                more,
            ];
            SourceStream {
                codec: Codec::Opus {
                    head: head.concat().into(),
                },
                kind: Kind::Audio {
                    sample_rate: RATE,
                    channels: channels.into(),
                },
                bit_rate: 0,
            }
        };
        assert!(Opus::new(&stream(2, 0, &[]), 2).is_some());
        assert!(Opus::new(&stream(3, 0, &[]), 2).is_none());
        assert!(Opus::new(&stream(6, 1, &[4, 2, 0, 4, 1, 2, 3, 5]), 2).is_some());
        assert!(Opus::new(&stream(6, 1, &[4, 2, 0]), 2).is_none());
        assert!(Opus::new(&stream(9, 1, &[0; 11]), 2).is_none());
        assert!(Opus::new(&stream(2, 255, &[1, 1, 0, 1]), 2).is_none());
    }
}
