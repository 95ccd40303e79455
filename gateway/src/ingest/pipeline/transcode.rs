//! Decoded and encoded again: one decoder, one ladder.

use std::{collections::VecDeque, time::Instant};

use ffmpeg_next::frame;

use super::{
    ladder::{Ladder, Wanted},
    passthrough::ticks,
};
use crate::ingest::{
    Error, Settings,
    decode::{self, Input, VideoDecoder},
    encode::{ASSUMED_FRAME_RATE, Picture, VIDEO_TIMESCALE},
    media::{Kind, Sample, SourceStream, TrackId},
};

/// Key frames of the source that the decoder has not given back yet; more are never in flight.
const MAX_KEYS: usize = 64;
/// Microseconds a picture may come out after its time before the machine counts as too slow.
const LATE: i64 = 500_000;

/// Where the key frames are.
enum Keys {
    /// Where the source has them, in ticks.
    Source(VecDeque<i64>),
    /// At whole multiples of the key-frame interval on the timeline.
    Own { newest: Option<i64> },
}

/// Which renditions are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Make {
    /// The ladder beside the source, which passes through.
    Ladder,
    /// A rendition "source" of the source's size, and the ladder.
    Everything,
    /// The same beside the original, with key frames where that has them.
    Beside,
}

/// One video stream of the source, transcoded.
pub(super) struct Video {
    decoder: VideoDecoder,
    stage: Stage,
}

/// All behind the decoder.
struct Stage {
    make: Make,
    first: TrackId,
    frame_rate: (u32, u32),
    ladder: Option<Ladder>,
    /// What the ladder was opened for.
    picture: Option<Picture>,
    keys: Keys,
    newest: Option<i64>,
    /// The next picture must be a key frame.
    force: bool,
    /// How much of real time encoding takes, smoothed: 1 is all of it.
    busy: f64,
    /// Pictures left out because the machine is too slow, not yet told.
    left_out: u32,
    /// The tracks are others than before.
    changed: bool,
}

/// What came out of a packet.
#[derive(Debug, Default)]
pub(super) struct Done {
    pub(super) samples: Vec<Sample>,
    /// [`Video::ladder`] has other tracks now; the samples are already theirs.
    pub(super) changed: bool,
    /// Bytes were damaged.
    pub(super) damaged: bool,
    /// Pictures left out.
    pub(super) left_out: u32,
}

/// When the packet is handled, and how late that is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    /// Microseconds since the Unix epoch.
    pub(super) now: u64,
    /// As in [`super::super::media::Event::Anchor`].
    pub(super) at: u64,
}

impl Video {
    /// Opens the decoder, and the encoders where the size is known; their tracks are numbered from `first` on.
    pub(super) fn open(
        stream: &SourceStream,
        make: Make,
        first: TrackId,
        settings: &Settings,
    ) -> Result<Self, Error> {
        let decoder = VideoDecoder::open(&stream.codec, &stream.kind)?;
        let (width, height, frame_rate) = match stream.kind {
            Kind::Video {
                width,
                height,
                frame_rate,
            } => (width, height, frame_rate),
            Kind::Audio { .. } => (0, 0, (0, 1)),
        };
        let frame_rate = if frame_rate.0 > 0 && frame_rate.1 > 0 {
            frame_rate
        } else {
            ASSUMED_FRAME_RATE
        };
        let keys = match make {
            Make::Ladder | Make::Beside => Keys::Source(VecDeque::new()),
            Make::Everything => Keys::Own { newest: None },
        };
        let mut stage = Stage {
            make,
            first,
            frame_rate,
            ladder: None,
            picture: None,
            keys,
            newest: None,
            force: false,
            busy: 0.0,
            left_out: 0,
            changed: false,
        };
        if width > 0 && height > 0 {
            let (space, range) = (
                ffmpeg_next::color::Space::Unspecified,
                ffmpeg_next::color::Range::Unspecified,
            );
            stage.open(
                Picture {
                    width,
                    height,
                    frame_rate,
                    space,
                    range,
                },
                settings,
            )?;
            stage.changed = false;
        }
        Ok(Self { decoder, stage })
    }

    /// The original is beside it no longer: its key frames are its own from the next picture on.
    pub(super) fn go_alone(&mut self) {
        self.stage.keys = Keys::Own { newest: None };
    }

    /// The encoders; None until the first picture has told its size.
    pub(super) fn ladder(&self) -> Option<&Ladder> {
        self.stage.ladder.as_ref()
    }

    /// The next picture is to be a key frame.
    pub(super) fn force_key(&mut self) {
        self.stage.force = true;
    }

    /// Feeds the decoder without encoding: it catches up with what has passed through already.
    pub(super) fn prime(&mut self, data: &[u8], dts: i64, pts: i64) {
        let input = Input {
            data,
            dts: ticks(dts, VIDEO_TIMESCALE),
            pts: ticks(pts, VIDEO_TIMESCALE),
            duration: 0,
        };
        let stage = &mut self.stage;
        // Damaged or not, its time has gone by.
        let _ = self.decoder.decode(input, |picture| {
            stage.newest = stage.newest.max(picture.timestamp())
        });
    }

    /// Transcodes one packet; times in microseconds on the timeline. `key` is whether the source has a key frame here.
    pub(super) fn transcode(
        &mut self,
        data: &[u8],
        (dts, pts, duration): (i64, i64, i64),
        key: bool,
        moment: Moment,
        settings: &Settings,
    ) -> Result<Done, Error> {
        let stage = &mut self.stage;
        let input = Input {
            data,
            dts: ticks(dts, VIDEO_TIMESCALE),
            pts: ticks(pts, VIDEO_TIMESCALE),
            duration: ticks(duration, VIDEO_TIMESCALE),
        };
        if let (true, Keys::Source(keys)) = (key, &mut stage.keys) {
            keys.truncate(MAX_KEYS - 1);
            keys.push_back(input.pts);
        }
        let (mut done, mut failed) = (Done::default(), None);
        let decoded = self.decoder.decode(input, |picture| {
            if failed.is_none() {
                failed = stage
                    .encode(picture, moment, settings, &mut done.samples)
                    .err();
            }
        });
        failed.map_or(Ok(()), Err)?;
        done.damaged = decoded.is_err();
        done.changed = std::mem::take(&mut stage.changed);
        done.left_out = std::mem::take(&mut stage.left_out);
        Ok(done)
    }

    /// What is still inside the decoder, for a stream that ends or changes.
    pub(super) fn finish(&mut self, moment: Moment, settings: &Settings) -> Vec<Sample> {
        let (stage, mut samples) = (&mut self.stage, Vec::new());
        self.decoder.finish(|picture| {
            let sized = stage
                .picture
                .is_some_and(|p| (p.width, p.height) == (picture.width(), picture.height()));
            if sized
                && stage
                    .encode(picture, moment, settings, &mut samples)
                    .is_err()
            {
                tracing::debug!("a picture at the end of a stream was not encoded");
            }
        });
        samples
    }
}

impl Stage {
    fn open(&mut self, picture: Picture, settings: &Settings) -> Result<(), Error> {
        let mut wanted = Wanted::configured(settings, picture.height);
        if self.make != Make::Ladder {
            let bit_rate = if settings.video_bit_rate > 0 {
                settings.video_bit_rate
            } else {
                fitting(&picture)
            };
            wanted.insert(
                0,
                Wanted {
                    id: "source".into(),
                    height: picture.height & !1,
                    bit_rate,
                },
            );
        }
        self.ladder = Some(Ladder::open(settings, &picture, wanted, self.first)?);
        self.picture = Some(picture);
        self.force = true;
        self.changed = true;
        Ok(())
    }

    fn encode(
        &mut self,
        picture: &frame::Video,
        moment: Moment,
        settings: &Settings,
        samples: &mut Vec<Sample>,
    ) -> Result<(), Error> {
        let Some(pts) = picture
            .timestamp()
            .filter(|&pts| self.newest.is_none_or(|newest| pts > newest))
        else {
            return Ok(());
        };
        let (width, height) = (picture.width(), picture.height());
        if self
            .picture
            .is_none_or(|known| (known.width, known.height) != (width, height))
        {
            let (space, range) = (picture.color_space(), picture.color_range());
            self.open(
                Picture {
                    width,
                    height,
                    frame_rate: self.frame_rate,
                    space,
                    range,
                },
                settings,
            )?;
        }
        let duration = u32::try_from(picture.packet().duration).unwrap_or(0);
        // Behind a gap of more than two frames a browser shows nothing before the next key frame
        // (Media Source Extensions, coded frame processing), so there is one.
        let gap = duration > 0
            && self
                .newest
                .is_some_and(|newest| pts - newest > 2 * i64::from(duration));
        let key = self.is_key(pts, settings) | self.force | gap;
        let shown = i64::try_from(moment.at)
            .unwrap_or(i64::MAX)
            .saturating_add(pts / 9 * 100);
        let late = i64::try_from(moment.now)
            .unwrap_or(i64::MAX)
            .saturating_sub(shown);
        if late > LATE && self.busy > 1.0 && !key {
            self.left_out += 1;
            // Or nothing would ever be encoded again, and `busy` never fall.
            self.busy *= 0.98;
            return Ok(());
        }
        let passed = self.newest.map_or(0, |newest| pts - newest);
        self.newest = Some(pts);
        self.force = false;
        let began = Instant::now();
        let ladder = self.ladder.as_mut().expect("opened above or before");
        ladder.encode(picture, pts, duration, key, &mut |sample| {
            samples.push(sample)
        })?;
        if (1..i64::from(VIDEO_TIMESCALE)).contains(&passed) {
            let share = began.elapsed().as_secs_f64() * f64::from(VIDEO_TIMESCALE) / passed as f64;
            self.busy += (share.min(10.0) - self.busy) / 16.0;
        }
        Ok(())
    }

    fn is_key(&mut self, pts: i64, settings: &Settings) -> bool {
        match &mut self.keys {
            Keys::Source(keys) => {
                let mut due = false;
                while keys.front().is_some_and(|&key| key <= pts) {
                    keys.pop_front();
                    due = true;
                }
                due
            }
            Keys::Own { newest } => {
                let interval = (settings.key_frame_interval * f64::from(VIDEO_TIMESCALE)) as i64;
                let number = pts / interval.max(1);
                newest.replace(number) != Some(number)
            }
        }
    }
}

/// Bits per second for a picture of this size and rate: 2.5 Mbit/s for 1280 × 720 at 30 frames per second.
fn fitting(picture: &Picture) -> u32 {
    let pixels = f64::from(picture.width) * f64::from(picture.height);
    let rate = f64::from(picture.frame_rate.0) / f64::from(picture.frame_rate.1.max(1));
    (pixels * rate * 0.0904).clamp(200_000.0, 20_000_000.0) as u32
}

/// Why a codec is not passed through.
pub(super) fn reason(stream: &SourceStream) -> String {
    match decode::name(&stream.codec) {
        "h264" => "this kind of H.264 does not play in every browser: transcoded".into(),
        name => format!(
            "{} does not play in every browser: transcoded to H.264",
            name.to_uppercase()
        ),
    }
}
