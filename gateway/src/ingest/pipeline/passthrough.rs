//! Coded frames that go on as they came: only their times and framing are put in order.

use bytes::Bytes;

use super::framing::Framing;
use crate::ingest::{
    aac,
    encode::{ASSUMED_FRAME_RATE, VIDEO_TIMESCALE},
    h264,
    media::{Codec, Kind, Packet, Sample, SourceStream, Track, TrackId},
    timeline::Placed,
};

/// What of a group of pictures is kept for the decoder that may have to take over, in bytes.
const KEPT: usize = 32 << 20;

/// Microseconds in ticks of `timescale`.
pub(super) fn ticks(micros: i64, timescale: u32) -> i64 {
    let product = i128::from(micros) * i128::from(timescale);
    i64::try_from((product + 500_000).div_euclid(1_000_000)).unwrap_or(i64::MAX)
}

/// A coded picture with its place, kept since the newest key frame.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    pub(super) data: Bytes,
    pub(super) dts: i64,
    pub(super) pts: i64,
}

/// What became of a packet.
pub(super) enum Passed {
    Sample(Sample),
    /// Before the first key frame, or damaged.
    Nothing {
        damaged: bool,
    },
}

/// Video as it came.
pub(super) struct Video {
    track: Track,
    framing: Framing,
    /// Microseconds that dts is moved on, so that it equals pts at key frames.
    reorder: i64,
    newest_key: Option<i64>,
    newest_dts: i64,
    kept: Vec<Kept>,
    kept_bytes: usize,
}

impl Video {
    /// None where the stream can only be transcoded.
    pub(super) fn new(stream: &SourceStream, id: TrackId) -> Option<Self> {
        let Kind::Video {
            width,
            height,
            frame_rate,
        } = stream.kind
        else {
            return None;
        };
        let (framing, codec, size, rate) = match h264(&stream.codec) {
            Some((prefix, codec, info)) => {
                let size = (info.width, info.height);
                (Framing::H264(prefix), codec, size, info.frame_rate)
            }
            None => {
                let (framing, codec) = Framing::beside(stream)?;
                (framing, codec, (width, height), None)
            }
        };
        if size.0 == 0 || size.1 == 0 {
            return None;
        }
        let frame_rate = if frame_rate.0 > 0 {
            frame_rate
        } else {
            rate.unwrap_or(ASSUMED_FRAME_RATE)
        };
        let track = Track {
            id,
            codec,
            kind: Kind::Video {
                width: size.0,
                height: size.1,
                frame_rate,
            },
            timescale: VIDEO_TIMESCALE,
            bit_rate: stream.bit_rate,
        };
        let (newest_key, kept) = (None, Vec::new());
        Some(Self {
            track,
            framing,
            reorder: 0,
            newest_key,
            newest_dts: 0,
            kept,
            kept_bytes: 0,
        })
    }

    /// Whether every browser plays it; else something must be transcoded beside it.
    pub(super) fn plays_everywhere(&self) -> bool {
        matches!(self.framing, Framing::H264(_))
    }

    pub(super) fn track(&self) -> &Track {
        &self.track
    }

    /// Pixels.
    pub(super) fn height(&self) -> u32 {
        match self.track.kind {
            Kind::Video { height, .. } => height,
            Kind::Audio { .. } => 0,
        }
    }

    /// Microseconds from the newest key frame to a packet at `dts`; 0 before the first.
    pub(super) fn since_key(&self, dts: i64) -> i64 {
        self.newest_key.map_or(0, |newest| dts - newest)
    }

    /// What a decoder needs to go on where this ends; empty when it was too much to keep.
    pub(super) fn kept(&self) -> &[Kept] {
        if self.kept_bytes > KEPT {
            &[]
        } else {
            &self.kept
        }
    }

    pub(super) fn pass(&mut self, packet: &Packet, placed: &Placed) -> Passed {
        if !self.framing.is_whole(&packet.data) {
            return Passed::Nothing { damaged: true };
        }
        let key = self.framing.is_key(&packet.data, packet.key);
        if key {
            self.newest_key = Some(placed.dts);
            // The distance must not shrink, or dts would go back.
            self.reorder = self
                .reorder
                .max(placed.pts - placed.dts)
                .clamp(0, 2_000_000);
            self.kept.clear();
            self.kept_bytes = 0;
        }
        if self.newest_key.is_none() {
            return Passed::Nothing { damaged: false };
        }
        self.keep(packet, placed);
        let dts = ticks(placed.dts + self.reorder, VIDEO_TIMESCALE).max(self.newest_dts);
        self.newest_dts = dts + 1;
        Passed::Sample(Sample {
            track: self.track.id,
            dts,
            pts: ticks(placed.pts, VIDEO_TIMESCALE),
            duration: u32::try_from(ticks(packet.duration, VIDEO_TIMESCALE)).unwrap_or(0),
            key,
            data: self.framing.sample(&packet.data),
        })
    }

    fn keep(&mut self, packet: &Packet, placed: &Placed) {
        if !self.plays_everywhere() {
            return; // its decoder goes along all the time
        }
        self.kept_bytes += packet.data.len();
        if self.kept_bytes > KEPT {
            self.kept.clear();
        } else {
            self.kept.push(Kept {
                data: packet.data.clone(),
                dts: placed.dts,
                pts: placed.pts,
            });
        }
    }
}

/// The codec as its track has it, the bytes of a NAL unit's length in the source's packets, and what the SPS says, of
/// H.264 that every browser decodes: Baseline, Main, Extended, High with 4:2:0 and 8 bits.
fn h264(codec: &Codec) -> Option<(usize, Codec, h264::Sps)> {
    let Codec::H264 { avcc } = codec else {
        return None;
    };
    let (prefix, sps) = h264::avcc_sps(avcc)?;
    let info = h264::Sps::parse(sps)?;
    let common = matches!(sps.get(1)?, 66 | 77 | 88 | 100) && info.is_common();
    if !common || avcc.len() < 11 {
        return None;
    }
    let mut avcc = avcc.to_vec();
    // Samples have 4-byte lengths, whatever the source's have.
    avcc[4] |= 3;
    Some((prefix, Codec::H264 { avcc: avcc.into() }, info))
}

/// Where a frame of sound begins that the source puts at `said`, in ticks: frames follow one another without a gap as
/// long as the source's (rounded) times agree with that within 20 ms. None for an overlap: its sound was already there.
pub(super) fn joined(said: i64, next: Option<i64>, timescale: u32) -> Option<i64> {
    match next {
        Some(next) if (said - next).abs() <= i64::from(timescale) / 50 => Some(next),
        Some(next) if said < next => None,
        _ => Some(said),
    }
}

/// AAC as it is.
pub(super) struct Audio {
    track: Track,
    /// Samples of a frame at the track's rate.
    frame: i64,
    next: Option<i64>,
}

impl Audio {
    /// None where the stream must be transcoded.
    pub(super) fn new(stream: &SourceStream, id: TrackId) -> Option<Self> {
        let (
            Codec::Aac { config },
            Kind::Audio {
                sample_rate,
                channels,
            },
        ) = (&stream.codec, &stream.kind)
        else {
            return None;
        };
        let info = aac::Config::parse(config).filter(aac::Config::is_common)?;
        let rate = if *sample_rate > 0 {
            *sample_rate
        } else {
            info.rate
        };
        let channels = if *channels > 0 {
            *channels
        } else {
            info.channels
        };
        if channels > 2 || !(7_350..=96_000).contains(&rate) {
            return None;
        }
        let track = Track {
            id,
            codec: stream.codec.clone(),
            kind: Kind::Audio {
                sample_rate: rate,
                channels,
            },
            timescale: rate,
            bit_rate: stream.bit_rate,
        };
        Some(Self {
            track,
            frame: 1024 * i64::from(rate) / i64::from(info.rate),
            next: None,
        })
    }

    pub(super) fn track(&self) -> &Track {
        &self.track
    }

    /// The packet in its place.
    pub(super) fn pass(&mut self, packet: &Packet, placed: &Placed) -> Passed {
        if packet.data.is_empty() {
            return Passed::Nothing { damaged: true };
        }
        let said = ticks(placed.dts, self.track.timescale);
        let Some(dts) = joined(said, self.next, self.track.timescale) else {
            return Passed::Nothing { damaged: false };
        };
        self.next = Some(dts + self.frame);
        Passed::Sample(Sample {
            track: self.track.id,
            dts,
            pts: dts,
            duration: u32::try_from(self.frame).unwrap_or(0),
            key: true,
            data: packet.data.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_of_pictures_that_is_too_large_is_not_kept() {
        let stream = SourceStream {
            codec: Codec::H264 {
                avcc: Bytes::from_static(h264::tests::AVCC),
            },
            kind: Kind::Video {
                width: 0,
                height: 0,
                frame_rate: (0, 1),
            },
            bit_rate: 0,
        };
        let mut video = Video::new(&stream, 0).unwrap();
        let mut pass = |key: bool, bytes: u32| {
            let mut data = bytes.to_be_bytes().to_vec();
            data.resize(4 + bytes as usize, if key { 0x65 } else { 0x41 });
            let packet = Packet {
                stream: 0,
                dts: 0,
                pts: 0,
                duration: 0,
                key,
                data: data.into(),
            };
            let placed = Placed {
                dts: 0,
                pts: 0,
                broke: None,
            };
            assert!(matches!(video.pass(&packet, &placed), Passed::Sample(_)));
            (video.kept().len(), video.kept.len())
        };
        assert_eq!(pass(true, 8 << 20), (1, 1));
        assert_eq!(pass(false, 16 << 20), (2, 2));
        assert_eq!(pass(false, 16 << 20), (0, 0), "more than {KEPT} bytes");
        assert_eq!(pass(false, 1), (0, 0), "nothing to catch up with");
        assert_eq!(pass(true, 1), (1, 1));
    }
}
