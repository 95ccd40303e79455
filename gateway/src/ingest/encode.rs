//! The encoders: pictures to H.264, sound to AAC.

use bytes::Bytes;
use ffmpeg_next::{self as ff, codec, color, format::Pixel, frame, picture};

use super::{Error, Settings, ffmpeg, h264};

/// Ticks per second of every video track.
pub(super) const VIDEO_TIMESCALE: u32 = 90_000;

/// Frames per second, as a fraction, of a source that does not say.
pub(super) const ASSUMED_FRAME_RATE: (u32, u32) = (30, 1);

/// Samples of one AAC frame, per channel.
pub(super) const AAC_FRAME: usize = 1024;

/// What a picture looks like before it is encoded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Picture {
    /// Pixels, even.
    pub(crate) width: u32,
    /// Pixels, even.
    pub(crate) height: u32,
    /// Nominal frames per second as (numerator, denominator).
    pub(crate) frame_rate: (u32, u32),
    pub(crate) space: color::Space,
    pub(crate) range: color::Range,
}

/// One coded picture or sound frame.
#[derive(Debug)]
pub(super) struct Coded {
    /// As the frame that went in had it.
    pub(super) pts: i64,
    pub(super) key: bool,
    /// AVCC or raw AAC.
    pub(super) data: Bytes,
}

/// An H.264 encoder without delay: no frame waits for a later one, dts is pts.
pub(super) struct VideoEncoder {
    encoder: codec::encoder::Video,
    /// What it wants to be fed with.
    pub(super) format: Pixel,
    /// The AVCDecoderConfigurationRecord.
    pub(super) avcc: Bytes,
}

impl VideoEncoder {
    /// Opens the configured encoder for `bit_rate` bits per second.
    pub(super) fn open(
        settings: &Settings,
        picture: &Picture,
        bit_rate: u32,
    ) -> Result<Self, Error> {
        ffmpeg::init();
        let name = settings.encoder.as_str();
        let codec = codec::encoder::find_by_name(name).ok_or_else(|| {
            Error::refused(format!(
                "ingest.encoder is {name}, which this FFmpeg does not have: set libx264, or install an FFmpeg with it"
            ))
        })?;
        let format = input_format(codec);
        let encoder = configured(codec, settings, picture, bit_rate, format)?;
        let config = h264::avcc(&ffmpeg::extradata(&encoder));
        let mut this = Self {
            encoder,
            format,
            avcc: config.clone().unwrap_or_default(),
        };
        if config.is_none() {
            // Hardware encoders write SPS and PPS into the stream: one grey picture shows them, then it starts anew.
            let mut grey = frame::Video::new(format, picture.width, picture.height);
            (0..grey.planes()).for_each(|plane| grey.data_mut(plane).fill(128));
            this.send(&mut grey, 0, true)?;
            this.encoder.send_eof().map_err(failed)?;
            let mut packet = ff::Packet::empty();
            this.encoder.receive_packet(&mut packet).map_err(failed)?;
            let config = packet.data().and_then(h264::avcc);
            this.avcc = config.ok_or_else(|| {
                Error::refused(format!(
                    "{name} gives no SPS and PPS: set ingest.encoder to libx264"
                ))
            })?;
            this.encoder = configured(codec, settings, picture, bit_rate, format)?;
        }
        Ok(this)
    }

    /// Encodes one picture; `pts` in ticks of [`VIDEO_TIMESCALE`] grows with each call, `key` asks for a key frame.
    pub(super) fn encode(
        &mut self,
        picture: &mut frame::Video,
        pts: i64,
        key: bool,
        mut coded: impl FnMut(Coded),
    ) -> Result<(), Error> {
        self.send(picture, pts, key)?;
        let mut packet = ff::Packet::empty();
        while self.encoder.receive_packet(&mut packet).is_ok() {
            let data = h264::length_prefixed(packet.data().unwrap_or_default());
            let key = h264::is_key(&data, 4);
            coded(Coded {
                pts: packet.pts().unwrap_or(pts),
                key,
                data,
            });
        }
        Ok(())
    }

    fn send(&mut self, picture: &mut frame::Video, pts: i64, key: bool) -> Result<(), Error> {
        picture.set_pts(Some(pts));
        // A decoded picture carries the kind it had in the source, which would bind the encoder.
        picture.set_kind(if key {
            picture::Type::I
        } else {
            picture::Type::None
        });
        self.encoder.send_frame(picture).map_err(failed)
    }
}

fn failed(error: ff::Error) -> Error {
    Error::refused(format!(
        "the encoder failed: {error}; set ingest.encoder to libx264"
    ))
}

/// The first of the formats we have at no cost that the encoder takes.
fn input_format(codec: ff::Codec) -> Pixel {
    let formats: Vec<Pixel> = codec
        .video()
        .ok()
        .and_then(|video| video.formats())
        .into_iter()
        .flatten()
        .collect();
    let known = [Pixel::YUV420P, Pixel::NV12]
        .into_iter()
        .find(|format| formats.contains(format));
    known.or(formats.first().copied()).unwrap_or(Pixel::YUV420P)
}

fn configured(
    codec: ff::Codec,
    settings: &Settings,
    picture: &Picture,
    bit_rate: u32,
    format: Pixel,
) -> Result<codec::encoder::Video, Error> {
    let mut video = codec::Context::new_with_codec(codec)
        .encoder()
        .video()
        .map_err(failed)?;
    let (rate, scale) = (picture.frame_rate.0 as i32, picture.frame_rate.1 as i32);
    video.set_width(picture.width);
    video.set_height(picture.height);
    video.set_format(format);
    video.set_time_base((1, VIDEO_TIMESCALE as i32));
    video.set_frame_rate(Some((rate, scale)));
    video.set_bit_rate(bit_rate as usize);
    video.set_max_bit_rate(bit_rate as usize);
    video.set_max_b_frames(0);
    // Key frames come when they are asked for; by itself the encoder makes none before this many frames.
    video.set_gop(
        u32::try_from(20 * rate / scale.max(1))
            .unwrap_or(600)
            .max(1),
    );
    video.set_flags(codec::Flags::GLOBAL_HEADER);
    video.set_colorspace(picture.space);
    video.set_color_range(picture.range);
    let mut options = ff::Dictionary::new();
    options.set("bufsize", &bit_rate.to_string());
    options.set("threads", &settings.encoder_threads.to_string());
    options.set("sc_threshold", "0");
    options.set("forced-idr", "1");
    match settings.encoder.as_str() {
        "libx264" => {
            options.set("preset", &settings.preset);
            options.set("tune", "zerolatency");
        }
        "h264_nvenc" => {
            options.set("zerolatency", "1");
            options.set("delay", "0");
        }
        _ => {}
    }
    video.open_with(options).map_err(|error| {
        Error::refused(format!(
            "{} does not start for {} × {} with preset {}: {error}; try ingest.encoder = \"libx264\", preset = \"superfast\"",
            settings.encoder, picture.width, picture.height, settings.preset
        ))
    })
}

/// An AAC-LC encoder. What comes out carries the time of the sound in it: the encoder's own delay is taken off.
pub(super) struct AudioEncoder {
    encoder: codec::encoder::Audio,
    /// The AudioSpecificConfig.
    pub(super) config: Bytes,
}

impl AudioEncoder {
    /// Opens FFmpeg's AAC encoder; `sample_rate` in hertz, `bit_rate` in bits per second for all channels.
    pub(super) fn open(sample_rate: u32, channels: u16, bit_rate: u32) -> Result<Self, Error> {
        ffmpeg::init();
        let refused = |error: ff::Error| {
            Error::refused(format!(
                "AAC does not start for {channels} channels at {sample_rate} Hz: {error}; use 48000 Hz stereo"
            ))
        };
        let codec = codec::encoder::find(codec::Id::AAC).ok_or_else(|| {
            Error::refused("this FFmpeg has no AAC encoder: install one that was built with it")
        })?;
        let mut audio = codec::Context::new_with_codec(codec)
            .encoder()
            .audio()
            .map_err(refused)?;
        audio.set_rate(sample_rate as i32);
        audio.set_format(ff::format::Sample::F32(ff::format::sample::Type::Planar));
        ffmpeg::set_channels(&mut audio, channels);
        audio.set_time_base((1, sample_rate as i32));
        audio.set_bit_rate(bit_rate as usize);
        audio.set_flags(codec::Flags::GLOBAL_HEADER);
        let encoder = audio.open().map_err(refused)?;
        let config = ffmpeg::extradata(&encoder);
        Ok(Self { encoder, config })
    }

    /// Encodes [`AAC_FRAME`] samples that begin at `pts` (in samples).
    ///
    /// FFmpeg stamps each packet with the time of its input less the encoder's priming (one frame), which is the time
    /// at which a decoder that starts anywhere plays its sound; ISO/IEC 14496-12 says the rest in an edit list, we need none.
    pub(super) fn encode(
        &mut self,
        sound: &mut frame::Audio,
        pts: i64,
        mut coded: impl FnMut(Coded),
    ) -> Result<(), Error> {
        sound.set_pts(Some(pts));
        let failed = |error: ff::Error| Error::refused(format!("the AAC encoder failed: {error}"));
        self.encoder.send_frame(sound).map_err(failed)?;
        let mut packet = ff::Packet::empty();
        while self.encoder.receive_packet(&mut packet).is_ok() {
            let data = Bytes::copy_from_slice(packet.data().unwrap_or_default());
            coded(Coded {
                pts: packet.pts().unwrap_or(pts),
                key: true,
                data,
            });
        }
        Ok(())
    }
}
