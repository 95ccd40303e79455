//! Coded frames that go on as they came: only their times and framing are put in order.

use bytes::Bytes;

use crate::ingest::{
    aac,
    encode::VIDEO_TIMESCALE,
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

/// H.264 that browsers play as it is.
pub(super) struct Video {
    track: Track,
    /// Bytes of a NAL unit's length in the source's packets.
    prefix: usize,
    /// Microseconds that dts is moved on, so that it equals pts at key frames.
    reorder: i64,
    newest_key: Option<i64>,
    newest_dts: i64,
    kept: Vec<Kept>,
    kept_bytes: usize,
}

impl Video {
    /// None where the stream must be transcoded.
    pub(super) fn new(stream: &SourceStream, id: TrackId) -> Option<Self> {
        let (Codec::H264 { avcc }, Kind::Video { frame_rate, .. }) = (&stream.codec, &stream.kind)
        else {
            return None;
        };
        let (prefix, sps) = h264::avcc_sps(avcc)?;
        let info = h264::Sps::parse(sps)?;
        // Baseline, Main, Extended, High with 4:2:0 and 8 bits: what every browser decodes.
        let common = matches!(sps.get(1)?, 66 | 77 | 88 | 100) && info.is_common();
        if !common || avcc.len() < 11 {
            return None;
        }
        let frame_rate = if frame_rate.0 > 0 {
            *frame_rate
        } else {
            info.frame_rate.unwrap_or((30, 1))
        };
        let mut avcc = avcc.to_vec();
        // Samples have 4-byte lengths, whatever the source's have.
        avcc[4] |= 3;
        let track = Track {
            id,
            codec: Codec::H264 { avcc: avcc.into() },
            kind: Kind::Video {
                width: info.width,
                height: info.height,
                frame_rate,
            },
            timescale: VIDEO_TIMESCALE,
            bit_rate: stream.bit_rate,
        };
        let (newest_key, kept) = (None, Vec::new());
        Some(Self {
            track,
            prefix,
            reorder: 0,
            newest_key,
            newest_dts: 0,
            kept,
            kept_bytes: 0,
        })
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
        if !h264::is_whole(&packet.data, self.prefix) {
            return Passed::Nothing { damaged: true };
        }
        let key = h264::is_key(&packet.data, self.prefix);
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
            data: h264::widened(&packet.data, self.prefix),
        })
    }

    fn keep(&mut self, packet: &Packet, placed: &Placed) {
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

    /// Frames follow one another without a gap as long as the source's (rounded) times agree with that within 20 ms.
    pub(super) fn pass(&mut self, packet: &Packet, placed: &Placed) -> Passed {
        if packet.data.is_empty() {
            return Passed::Nothing { damaged: true };
        }
        let said = ticks(placed.dts, self.track.timescale);
        let near = i64::from(self.track.timescale) / 50;
        let dts = match self.next {
            Some(next) if (said - next).abs() <= near => next,
            // An overlap: the frame's sound was already there.
            Some(next) if said < next => return Passed::Nothing { damaged: false },
            _ => said,
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
