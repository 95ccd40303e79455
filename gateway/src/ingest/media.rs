//! What flows from ingest to package: the vocabulary between the two rooms.
//!
//! A source (test card, file, camera, RTMP publisher, SRT) yields elementary streams as [`Packet`]s of
//! described [`Codec`]s. The pipeline (normalise, pass through or transcode) turns them into [`Event`]s.
//! The packager reads nothing else.

use bytes::Bytes;

/// A codec of an elementary stream, with what a decoder needs to start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Codec {
    /// H.264.
    H264 {
        /// AVCDecoderConfigurationRecord (ISO/IEC 14496-15 §5.3.3.1).
        avcc: Bytes,
    },
    /// HEVC.
    Hevc {
        /// HEVCDecoderConfigurationRecord (ISO/IEC 14496-15 §8.3.3.1).
        hvcc: Bytes,
    },
    /// AV1.
    Av1 {
        /// AV1CodecConfigurationRecord (AV1-ISOBMFF §2.3).
        av1c: Bytes,
    },
    /// AAC.
    Aac {
        /// AudioSpecificConfig (ISO/IEC 14496-3 §1.6.2.1).
        config: Bytes,
    },
    /// Opus.
    Opus {
        /// OpusHead packet (RFC 7845 §5.1).
        head: Bytes,
    },
    /// Anything else; it can only be transcoded.
    Other {
        /// FFmpeg's.
        name: String,
        /// What FFmpeg's decoder is opened with.
        extradata: Bytes,
        /// What else it needs.
        hints: Hints,
    },
}

/// What a container of FFmpeg's knows about a codec beyond its extradata; all 0 where nothing is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hints {
    /// FourCC, the first letter in the lowest byte.
    pub tag: u32,
    /// Bytes of a block of sound.
    pub block_align: i32,
    /// Of sound without a codec of its own.
    pub bits_per_sample: i32,
    /// FFmpeg's number of the pixel or sample format plus 1, for raw pictures.
    pub format: i32,
}

/// What kind of elementary stream a track is, with what only that kind has.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// A picture.
    Video {
        /// Pixels.
        width: u32,
        /// Pixels.
        height: u32,
        /// Nominal frames per second as (numerator, denominator); the numerator is 0 where nobody says.
        frame_rate: (u32, u32),
    },
    /// Sound.
    Audio {
        /// Hertz.
        sample_rate: u32,
        /// 0 where nobody says.
        channels: u16,
    },
}

/// Number of a track within one [`Format`]; small and dense.
pub type TrackId = u8;

/// One elementary stream.
#[derive(Clone, Debug, PartialEq)]
pub struct Track {
    /// Unique in its [`Format`].
    pub id: TrackId,
    /// How it is coded.
    pub codec: Codec,
    /// What it is.
    pub kind: Kind,
    /// Ticks per second of `dts`, `pts` and `duration`: 90,000 for video, the sample rate for audio.
    pub timescale: u32,
    /// Bits per second, as configured or measured; a hint for the multivariant playlist.
    pub bit_rate: u32,
}

/// A rendition is one or two tracks muxed together; tracks may be shared between renditions.
#[derive(Clone, Debug, PartialEq)]
pub struct RenditionFormat {
    /// `[a-z0-9-]{1,32}`, unique in the stream: "source", "720p", "audio".
    pub id: String,
    /// Video first where there is video.
    pub tracks: Vec<TrackId>,
}

/// All tracks and renditions from here on. All tracks share one timeline.
#[derive(Clone, Debug, PartialEq)]
pub struct Format {
    /// Every track, also those that several renditions share.
    pub tracks: Vec<Track>,
    /// In the order in which they are announced.
    pub renditions: Vec<RenditionFormat>,
    /// The track whose frames decide where parts and segments are cut: the source's video, or its audio when there is none.
    pub leader: TrackId,
}

/// One coded frame. `dts` of a track never goes back and, shifted so that dts equals pts at each key frame
/// (composition offsets may then be negative), is comparable between tracks of one [`Format`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Of the newest [`Format`].
    pub track: TrackId,
    /// In the track's timescale, from the start of the timeline (never wraps, may start anywhere ≥ 0).
    pub dts: i64,
    /// `dts` plus the composition offset.
    pub pts: i64,
    /// In the track's timescale; 0 where the source does not say: then it lasts until the next sample.
    pub duration: u32,
    /// A frame that decoding can start from, and where every transcoded rendition has one as well.
    pub key: bool,
    /// AVCC/HVCC length-prefixed (4 bytes) NAL units, AV1 temporal unit without delimiter, or one raw audio frame.
    pub data: Bytes,
}

/// What ingest tells the packager, in order.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// Before the first sample, and whenever anything in it changes: a new init segment behind a discontinuity.
    Format(Format),
    /// The timeline's second 0 is `at` on the gateway's clock; sent after each [`Event::Format`] and whenever
    /// the timeline is anchored anew (a discontinuity).
    Anchor {
        /// Microseconds since the Unix epoch.
        at: u64,
    },
    /// The timeline goes on, but what follows does not join what came before (publisher returned, timestamps jumped).
    Discontinuity {
        /// Readable.
        reason: String,
    },
    /// A coded frame.
    Sample(Sample),
    /// Something an operator and a viewer should read (log, API, page).
    Notice {
        /// One sentence.
        message: String,
    },
    /// The title as the publisher gives it.
    Title {
        /// As it came, however long or odd.
        title: String,
    },
    /// The source has ended and is not expected back by itself.
    End,
}

/// A packet as a source yields it, before the pipeline: microseconds, any origin, not yet to be trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Index into the source's own list of streams.
    pub stream: usize,
    /// Microseconds; may jump, wrap or go back. [`Packet::UNKNOWN`] where the source does not say.
    pub dts: i64,
    /// Microseconds. [`Packet::UNKNOWN`] where the source does not say.
    pub pts: i64,
    /// Microseconds, 0 if unknown.
    pub duration: i64,
    /// Whether the source says that decoding can start here.
    pub key: bool,
    /// Framed as the stream's [`Codec`] says: H.264 and HEVC with the length prefix of their configuration record.
    pub data: Bytes,
}

impl Packet {
    /// A time that the source does not know.
    pub const UNKNOWN: i64 = i64::MIN;
}

/// One elementary stream of a source.
#[derive(Clone, Debug, PartialEq)]
pub struct SourceStream {
    /// How it is coded.
    pub codec: Codec,
    /// What it is; sizes and rates are 0 where the source does not say.
    pub kind: Kind,
    /// Bits per second, 0 if unknown.
    pub bit_rate: u32,
}

impl SourceStream {
    /// Whether it is video; else it is sound.
    pub fn is_video(&self) -> bool {
        matches!(self.kind, Kind::Video { .. })
    }
}

/// What a source (file, camera, RTMP, SRT) tells the pipeline, in order.
#[derive(Clone, Debug, PartialEq)]
pub enum SourceEvent {
    /// Before the first packet and whenever a codec configuration changes mid-stream.
    Streams(Vec<SourceStream>),
    /// A coded frame of one of the streams.
    Packet(Packet),
    /// The title as the publisher gives it.
    Title(String),
    /// The publisher went away; it may come back.
    Gone {
        /// Readable.
        reason: String,
    },
    /// The source has ended for good.
    End,
}
