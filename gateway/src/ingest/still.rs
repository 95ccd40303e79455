//! A still picture of a stream: one key frame as a small JPEG, for the directory of streams.

use ffmpeg_next::{self as ff, codec, color, format::Pixel, frame, software::scaling};

use super::{
    Error,
    decode::{Input, VideoDecoder},
    media::{Codec, Kind},
};

/// JPEG's quality as FFmpeg counts it: 2 is best, 31 is worst.
const QUALITY: &str = "6";

/// Decodes `key_frame` (a sample of a track with this `codec`) and encodes it as a JPEG at most `max_width` pixels wide.
///
/// Takes some 10 ms of processor time: not for an asynchronous task.
///
/// # Errors
/// Where the bytes are no key frame of this codec.
pub fn jpeg(codec: &Codec, key_frame: &[u8], max_width: u32) -> Result<Vec<u8>, Error> {
    let kind = Kind::Video {
        width: 0,
        height: 0,
        frame_rate: (0, 1),
    };
    let mut decoder = VideoDecoder::open(codec, &kind)?;
    let mut result = None;
    let mut encode = |picture: &frame::Video| {
        if result.is_none() {
            result = Some(encoded(picture, max_width).map_err(failed));
        }
    };
    let input = Input {
        data: key_frame,
        dts: 0,
        pts: 0,
        duration: 0,
    };
    let decoded = decoder.decode(input, &mut encode);
    decoder.finish(&mut encode);
    result.unwrap_or_else(|| {
        Err(Error::refused(match decoded {
            Ok(()) => "no picture in this key frame".into(),
            Err(error) => format!("this key frame cannot be decoded: {error}"),
        }))
    })
}

fn failed(error: ff::Error) -> Error {
    Error::refused(format!("no still picture: {error}"))
}

fn encoded(picture: &frame::Video, max_width: u32) -> Result<Vec<u8>, ff::Error> {
    let (from_width, from_height) = (picture.width(), picture.height());
    if from_width == 0 || from_height == 0 {
        return Err(ff::Error::InvalidData);
    }
    let width = from_width.min(max_width.max(16)) & !1;
    let height = u64::from(from_height) * u64::from(width) / u64::from(from_width);
    let height = u32::try_from(height.max(2)).unwrap_or(2) & !1;
    // JPEG has the full range of black to white, video usually has not: the scaler converts.
    let mut scaler = scaling::Context::get(
        picture.format(),
        from_width,
        from_height,
        Pixel::YUVJ420P,
        width,
        height,
        scaling::Flags::AREA,
    )?;
    let mut small = frame::Video::new(Pixel::YUVJ420P, width, height);
    scaler.run(picture, &mut small)?;
    small.set_pts(Some(0));
    let found = codec::encoder::find(codec::Id::MJPEG).ok_or(ff::Error::EncoderNotFound)?;
    let mut video = codec::Context::new_with_codec(found).encoder().video()?;
    video.set_width(width);
    video.set_height(height);
    video.set_format(Pixel::YUVJ420P);
    video.set_color_range(color::Range::JPEG);
    video.set_time_base((1, 1));
    let mut options = ff::Dictionary::new();
    options.set("qmin", QUALITY);
    options.set("qmax", QUALITY);
    options.set("threads", "1");
    let mut encoder = video.open_with(options)?;
    encoder.send_frame(&small)?;
    encoder.send_eof()?;
    let mut packet = ff::Packet::empty();
    encoder.receive_packet(&mut packet)?;
    packet
        .data()
        .map(<[u8]>::to_vec)
        .ok_or(ff::Error::InvalidData)
}
