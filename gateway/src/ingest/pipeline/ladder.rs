//! The ladder: one decoded picture to several encoded ones, all with the same time and key frames.

use ffmpeg_next::{format::Pixel, frame, software::scaling};

use crate::ingest::{
    Error, Settings, decode,
    encode::{Coded, Picture, VIDEO_TIMESCALE, VideoEncoder},
    ffmpeg,
    media::{Codec, Kind, RenditionFormat, Sample, Track, TrackId},
};

/// A rendition that is to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) id: String,
    /// Pixels, even.
    pub(crate) height: u32,
    /// Bits per second.
    pub(crate) bit_rate: u32,
}

impl Wanted {
    /// The configured renditions that are not higher than the source.
    pub(crate) fn configured(settings: &Settings, source_height: u32) -> Vec<Self> {
        let fits = settings
            .ladder
            .iter()
            .filter(|rung| rung.height <= source_height);
        fits.map(|rung| Self {
            id: rung.id.clone(),
            height: rung.height,
            bit_rate: rung.bit_rate,
        })
        .collect()
    }
}

struct Rung {
    wanted: Wanted,
    track: TrackId,
    picture: Picture,
    encoder: VideoEncoder,
    /// Made when a picture comes that has not the size and format that the encoder wants.
    scaler: Option<(scaling::Context, frame::Video)>,
}

/// Several encoders that are fed with the same pictures.
pub(crate) struct Ladder {
    rungs: Vec<Rung>,
}

impl Ladder {
    /// Opens one encoder for each of `wanted`, for pictures like `source`; their tracks are numbered from `first` on.
    pub(crate) fn open(
        settings: &Settings,
        source: &Picture,
        wanted: Vec<Wanted>,
        first: TrackId,
    ) -> Result<Self, Error> {
        let open = |(index, wanted): (usize, Wanted)| {
            let picture = scaled(source, wanted.height);
            let encoder = VideoEncoder::open(settings, &picture, wanted.bit_rate)?;
            let track =
                first + TrackId::try_from(index).expect("the settings allow eight renditions");
            Ok(Rung {
                wanted,
                track,
                picture,
                encoder,
                scaler: None,
            })
        };
        let rungs = wanted.into_iter().enumerate().map(open);
        Ok(Self {
            rungs: rungs.collect::<Result<_, Error>>()?,
        })
    }

    /// The renditions' video tracks.
    pub(crate) fn tracks(&self) -> impl Iterator<Item = Track> {
        self.rungs.iter().map(|rung| Track {
            id: rung.track,
            codec: Codec::H264 {
                avcc: rung.encoder.avcc.clone(),
            },
            kind: Kind::Video {
                width: rung.picture.width,
                height: rung.picture.height,
                frame_rate: rung.picture.frame_rate,
            },
            timescale: VIDEO_TIMESCALE,
            bit_rate: rung.wanted.bit_rate,
        })
    }

    /// The renditions, each with the track `audio` where there is sound.
    pub(crate) fn renditions(
        &self,
        audio: Option<TrackId>,
    ) -> impl Iterator<Item = RenditionFormat> {
        self.rungs.iter().map(move |rung| RenditionFormat {
            id: rung.wanted.id.clone(),
            tracks: std::iter::once(rung.track).chain(audio).collect(),
        })
    }

    /// Encodes `picture` for every rendition; `pts` and `duration` in ticks of 1/90,000 s.
    pub(crate) fn encode(
        &mut self,
        picture: &frame::Video,
        pts: i64,
        duration: u32,
        key: bool,
        sample: &mut dyn FnMut(Sample),
    ) -> Result<(), Error> {
        let format = decode::plain(picture.format());
        let (width, height) = (picture.width(), picture.height());
        for rung in &mut self.rungs {
            let track = rung.track;
            let mut coded = |coded: Coded| {
                sample(Sample {
                    track,
                    dts: coded.pts,
                    pts: coded.pts,
                    duration,
                    key: coded.key,
                    data: coded.data,
                });
            };
            let wanted = (rung.picture.width, rung.picture.height, rung.encoder.format);
            if (width, height, format) == wanted {
                let mut shared = ffmpeg::shared(picture).ok_or_else(out_of_memory)?;
                shared.set_format(format);
                rung.encoder.encode(&mut shared, pts, key, &mut coded)?;
                continue;
            }
            let input = scaling::context::Definition {
                format: picture.format(),
                width,
                height,
            };
            if rung
                .scaler
                .as_ref()
                .is_none_or(|(scaler, _)| *scaler.input() != input)
            {
                rung.scaler = Some(scaler(input, wanted)?);
            }
            let (scaler, scaled) = rung.scaler.as_mut().expect("made above");
            scaler.run(picture, scaled).map_err(|error| {
                Error::refused(format!("scaling to {} pixels failed: {error}", wanted.1))
            })?;
            rung.encoder.encode(scaled, pts, key, &mut coded)?;
        }
        Ok(())
    }
}

fn out_of_memory() -> Error {
    Error::refused("no memory for a picture: use a smaller size or fewer renditions")
}

/// The source at `height` pixels with its aspect ratio, both even.
fn scaled(source: &Picture, height: u32) -> Picture {
    let height = (height & !1).max(2);
    let width = if height == source.height & !1 {
        source.width & !1
    } else {
        let exact = u64::from(source.width) * u64::from(height) / u64::from(source.height.max(1));
        u32::try_from((exact + 1) & !1).unwrap_or(u32::MAX)
    };
    Picture {
        width: width.max(2),
        height,
        ..*source
    }
}

fn scaler(
    from: scaling::context::Definition,
    (width, height, format): (u32, u32, Pixel),
) -> Result<(scaling::Context, frame::Video), Error> {
    let context = scaling::Context::get(
        from.format,
        from.width,
        from.height,
        format,
        width,
        height,
        scaling::Flags::BILINEAR,
    );
    let context = context.map_err(|error| {
        Error::refused(format!(
            "pictures of {:?}, {} × {}, cannot be scaled: {error}; publish 4:2:0",
            from.format, from.width, from.height
        ))
    })?;
    Ok((context, frame::Video::new(format, width, height)))
}
