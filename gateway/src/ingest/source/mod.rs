//! Sources that FFmpeg reads: files, URLs, SRT, cameras.
//!
//! Here their streams get the framing that [`media::Codec`](super::media::Codec) promises: H.264 and HEVC with lengths and a
//! decoder configuration record, AAC without ADTS headers. What FFmpeg's containers carry otherwise (MPEG-TS) is
//! converted, and a parameter set that changes mid-stream becomes a new [`SourceEvent::Streams`].

pub(super) mod camera;
pub(super) mod file;
pub(super) mod srt;

use bytes::Bytes;

use super::{
    aac,
    dimensions::dimensions,
    ffmpeg::Demuxed,
    h264, hevc,
    media::{Codec, Kind, Packet, SourceEvent, SourceStream},
};

/// How a stream's packets come out of the container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    /// As promised.
    Plain,
    /// H.264 with start codes.
    AnnexB,
    /// HEVC with start codes.
    HevcAnnexB,
    /// AAC with ADTS headers.
    Adts,
    /// Neither video nor sound.
    Unused,
}

/// The streams of one opened source.
pub(super) struct Streams {
    streams: Vec<SourceStream>,
    /// For each stream of the container, its framing and its number in `streams`.
    framings: Vec<(Framing, usize)>,
}

impl Streams {
    pub(super) fn new(found: Vec<Option<SourceStream>>) -> Self {
        let (mut streams, mut framings) = (Vec::new(), Vec::new());
        for stream in found {
            framings.push(match stream {
                None => (Framing::Unused, 0),
                Some(stream) => {
                    let (codec, framing) = framed(&stream);
                    streams.push(SourceStream { codec, ..stream });
                    (framing, streams.len() - 1)
                }
            });
        }
        Self { streams, framings }
    }

    pub(super) fn event(&self) -> SourceEvent {
        SourceEvent::Streams(self.streams.clone())
    }

    /// Whether there is anything to publish.
    pub(super) fn is_empty(&self) -> bool {
        self.streams.is_empty()
    }

    /// The packet with the promised framing, behind the streams where they have changed.
    pub(super) fn convert(&mut self, demuxed: Demuxed, mut event: impl FnMut(SourceEvent)) {
        let Demuxed { packet, extradata } = demuxed;
        let Some(&(framing, index)) = self.framings.get(packet.stream) else {
            return;
        };
        let stream = &mut self.streams[index];
        let (data, codec) = match framing {
            Framing::Unused => return,
            Framing::AnnexB => {
                let avcc = packet.key.then(|| h264::avcc(&packet.data)).flatten();
                (
                    h264::length_prefixed(&packet.data),
                    avcc.map(|avcc| Codec::H264 { avcc }),
                )
            }
            Framing::HevcAnnexB => {
                let hvcc = packet.key.then(|| hevc::hvcc(&packet.data)).flatten();
                (
                    hevc::length_prefixed(&packet.data),
                    hvcc.map(|hvcc| Codec::Hevc { hvcc }),
                )
            }
            Framing::Adts => match aac::adts(&packet.data) {
                Some((config, header)) => {
                    (packet.data.slice(header..), Some(Codec::Aac { config }))
                }
                None => (packet.data.clone(), None),
            },
            Framing::Plain => (
                packet.data.clone(),
                extradata.and_then(|bytes| renewed(&stream.codec, bytes)),
            ),
        };
        if let Some(codec) = codec.filter(|codec| *codec != stream.codec) {
            resize(&mut stream.kind, &codec);
            stream.codec = codec;
            event(SourceEvent::Streams(self.streams.clone()));
        }
        event(SourceEvent::Packet(Packet {
            stream: index,
            data,
            ..packet
        }));
    }
}

/// The codec as promised, and how the container has it.
fn framed(stream: &SourceStream) -> (Codec, Framing) {
    let Codec::Other {
        name, extradata, ..
    } = &stream.codec
    else {
        return (stream.codec.clone(), Framing::Plain);
    };
    let first = extradata.first().copied();
    match (name.as_str(), first) {
        ("h264", Some(1)) => (
            Codec::H264 {
                avcc: extradata.clone(),
            },
            Framing::Plain,
        ),
        ("h264", Some(_)) => match h264::avcc(extradata) {
            Some(avcc) => (Codec::H264 { avcc }, Framing::AnnexB),
            None => (stream.codec.clone(), Framing::Plain),
        },
        ("hevc", Some(1)) => (
            Codec::Hevc {
                hvcc: extradata.clone(),
            },
            Framing::Plain,
        ),
        ("hevc", Some(_)) => match hevc::hvcc(extradata) {
            Some(hvcc) => (Codec::Hevc { hvcc }, Framing::HevcAnnexB),
            None => (stream.codec.clone(), Framing::Plain),
        },
        ("av1", Some(0x81)) => (
            Codec::Av1 {
                av1c: extradata.clone(),
            },
            Framing::Plain,
        ),
        ("aac", Some(_)) => (
            Codec::Aac {
                config: extradata.clone(),
            },
            Framing::Plain,
        ),
        ("aac", None) => (
            Codec::Aac {
                config: adts_config(&stream.kind),
            },
            Framing::Adts,
        ),
        ("opus", Some(_)) => (
            Codec::Opus {
                head: extradata.clone(),
            },
            Framing::Plain,
        ),
        _ => (stream.codec.clone(), Framing::Plain),
    }
}

/// What the first ADTS header will most likely say, so that it changes nothing.
fn adts_config(kind: &Kind) -> Bytes {
    match kind {
        Kind::Audio {
            sample_rate,
            channels,
        } => aac::low_complexity(*sample_rate, *channels).unwrap_or_default(),
        Kind::Video { .. } => Bytes::new(),
    }
}

/// The codec with new extradata.
fn renewed(codec: &Codec, bytes: Bytes) -> Option<Codec> {
    Some(match codec {
        Codec::H264 { .. } if bytes.first() == Some(&1) => Codec::H264 { avcc: bytes },
        Codec::Hevc { .. } if bytes.first() == Some(&1) => Codec::Hevc { hvcc: bytes },
        Codec::Aac { .. } => Codec::Aac { config: bytes },
        _ => return None,
    })
}

/// The size or rate that a new configuration brings.
fn resize(kind: &mut Kind, codec: &Codec) {
    match (kind, codec) {
        (Kind::Video { width, height, .. }, Codec::H264 { avcc }) => {
            let sps = h264::avcc_sps(avcc).and_then(|(_, sps)| h264::Sps::parse(sps));
            if let Some(sps) = sps {
                (*width, *height) = (sps.width, sps.height);
            }
        }
        (Kind::Video { width, height, .. }, Codec::Hevc { .. }) => {
            if let Some(found) = dimensions(codec) {
                (*width, *height) = (found.width, found.height);
            }
        }
        (
            Kind::Audio {
                sample_rate,
                channels,
            },
            Codec::Aac { config },
        ) => {
            // A rate that was probed knows of HE-AAC, which the configuration need not mention.
            if let Some(config) =
                aac::Config::parse(config).filter(|config| config.rate * 2 != *sample_rate)
            {
                (*sample_rate, *channels) = (
                    config.rate,
                    if config.channels > 0 {
                        config.channels
                    } else {
                        *channels
                    },
                );
            }
        }
        _ => {}
    }
}
