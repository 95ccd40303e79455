//! The decoders: any codec FFmpeg knows to pictures and sound.

use ffmpeg_next::{self as ff, codec, format::Pixel, frame};

use super::{
    Error, ffmpeg,
    media::{Codec, Kind},
};

/// FFmpeg's name of a codec, as people know it.
pub(super) fn name(codec: &Codec) -> &str {
    match codec {
        Codec::H264 { .. } => "h264",
        Codec::Hevc { .. } => "hevc",
        Codec::Av1 { .. } => "av1",
        Codec::Aac { .. } => "aac",
        Codec::Opus { .. } => "opus",
        Codec::Other { name, .. } => name,
    }
}

fn open(codec: &Codec, kind: &Kind) -> Result<codec::decoder::Opened, Error> {
    ffmpeg::init();
    let name = name(codec);
    let refused = |error: &dyn std::fmt::Display| {
        Error::refused(format!(
            "codec {name} cannot be decoded: {error}; publish H.264 and AAC"
        ))
    };
    let (found, context) = ffmpeg::decoder(codec, kind).map_err(|error| refused(&error))?;
    let mut decoder = context.decoder();
    // Threads over slices only: threads over frames would hold back a picture for each of them.
    decoder.set_threading(codec::threading::Config {
        count: 2,
        ..codec::threading::Config::kind(codec::threading::Type::Slice)
    });
    decoder.open_as(found).map_err(|error| refused(&error))
}

/// What a decoder is fed with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Input<'a> {
    pub(super) data: &'a [u8],
    /// Any ticks; what comes out has them too.
    pub(super) dts: i64,
    pub(super) pts: i64,
    pub(super) duration: i64,
}

impl Input<'_> {
    fn packet(&self) -> ff::Packet {
        let mut packet = ff::Packet::copy(self.data);
        packet.set_dts(Some(self.dts));
        packet.set_pts(Some(self.pts));
        packet.set_duration(self.duration);
        packet
    }
}

/// Pictures from a video stream.
pub(super) struct VideoDecoder {
    decoder: codec::decoder::Video,
    picture: frame::Video,
}

impl VideoDecoder {
    pub(super) fn open(codec: &Codec, kind: &Kind) -> Result<Self, Error> {
        let decoder = open(codec, kind)?
            .video()
            .map_err(|_| Error::refused("a video codec that is none"))?;
        Ok(Self {
            decoder,
            picture: frame::Video::empty(),
        })
    }

    /// Decodes a packet; `picture` is called for each picture that is ready, in the order in which they are shown. An
    /// `Err` says that bytes were damaged; the next packet may be given all the same.
    pub(super) fn decode(
        &mut self,
        input: Input<'_>,
        mut picture: impl FnMut(&frame::Video),
    ) -> Result<(), ff::Error> {
        let sent = if input.data.is_empty() {
            Ok(())
        } else {
            self.decoder.send_packet(&input.packet())
        };
        while self.decoder.receive_frame(&mut self.picture).is_ok() {
            picture(&self.picture);
        }
        sent
    }

    /// The pictures that are still inside; then it is done.
    pub(super) fn finish(&mut self, mut picture: impl FnMut(&frame::Video)) {
        if self.decoder.send_eof().is_ok() {
            while self.decoder.receive_frame(&mut self.picture).is_ok() {
                picture(&self.picture);
            }
        }
    }
}

/// The pixel formats that differ from another only in the meaning of black and white.
pub(super) fn plain(format: Pixel) -> Pixel {
    match format {
        Pixel::YUVJ420P => Pixel::YUV420P,
        Pixel::YUVJ422P => Pixel::YUV422P,
        Pixel::YUVJ444P => Pixel::YUV444P,
        other => other,
    }
}

/// Sound from an audio stream.
pub(super) struct AudioDecoder {
    decoder: codec::decoder::Audio,
    sound: frame::Audio,
}

impl AudioDecoder {
    pub(super) fn open(codec: &Codec, kind: &Kind) -> Result<Self, Error> {
        let decoder = open(codec, kind)?
            .audio()
            .map_err(|_| Error::refused("an audio codec that is none"))?;
        Ok(Self {
            decoder,
            sound: frame::Audio::empty(),
        })
    }

    /// As [`VideoDecoder::decode`].
    pub(super) fn decode(
        &mut self,
        input: Input<'_>,
        mut sound: impl FnMut(&frame::Audio),
    ) -> Result<(), ff::Error> {
        let sent = if input.data.is_empty() {
            Ok(())
        } else {
            self.decoder.send_packet(&input.packet())
        };
        while self.decoder.receive_frame(&mut self.sound).is_ok() {
            sound(&self.sound);
        }
        sent
    }
}
