//! Sound that is decoded and encoded again: whatever it was, it becomes AAC at 48 kHz.

use ffmpeg_next::{ChannelLayout, format::sample, frame, software::resampling};

use crate::ingest::{
    Error, Settings,
    decode::{AudioDecoder, Input},
    encode::{AAC_FRAME, AudioEncoder},
    ffmpeg,
    media::{Codec, Kind, Sample, SourceStream, Track, TrackId},
};

const RATE: u32 = 48_000;
/// Samples; where the source's times are off by more, sound is left out or silence put in.
const NEAR: i64 = RATE as i64 / 20;
/// Samples of silence put in at most for a hole.
const MAX_SILENCE: i64 = RATE as i64;

/// One audio stream of the source, transcoded.
pub(super) struct Sound {
    decoder: AudioDecoder,
    resampler: Option<(Shape, resampling::Context)>,
    encoder: AudioEncoder,
    track: Track,
    /// Decoded sound that does not fill a frame yet, by channel.
    rest: Vec<Vec<f32>>,
    /// Where `rest` begins on the timeline, in samples.
    begins: Option<i64>,
}

#[derive(Clone, Copy, PartialEq)]
struct Shape {
    format: sample::Sample,
    rate: u32,
    channels: u16,
}

impl Sound {
    pub(super) fn open(
        stream: &SourceStream,
        id: TrackId,
        settings: &Settings,
    ) -> Result<Self, Error> {
        let decoder = AudioDecoder::open(&stream.codec, &stream.kind)?;
        let channels = match stream.kind {
            Kind::Audio { channels: 1, .. } => 1,
            _ => 2,
        };
        let encoder = AudioEncoder::open(RATE, channels, settings.audio_bit_rate)?;
        let track = Track {
            id,
            codec: Codec::Aac {
                config: encoder.config.clone(),
            },
            kind: Kind::Audio {
                sample_rate: RATE,
                channels,
            },
            timescale: RATE,
            bit_rate: settings.audio_bit_rate,
        };
        let rest = vec![Vec::new(); usize::from(channels)];
        Ok(Self {
            decoder,
            resampler: None,
            encoder,
            track,
            rest,
            begins: None,
        })
    }

    pub(super) fn track(&self) -> &Track {
        &self.track
    }

    /// Transcodes one packet that belongs at `dts` (microseconds on the timeline); true where it was damaged.
    pub(super) fn transcode(
        &mut self,
        data: &[u8],
        dts: i64,
        samples: &mut Vec<Sample>,
    ) -> Result<bool, Error> {
        let input = Input {
            data,
            dts,
            pts: dts,
            duration: 0,
        };
        let (rest, begins, resampler) = (&mut self.rest, &mut self.begins, &mut self.resampler);
        let mut broken = false;
        let decoded = self.decoder.decode(input, |sound| {
            broken |= append(sound, resampler, rest, begins).is_err();
        });
        self.encode(samples)?;
        Ok(decoded.is_err() || broken)
    }

    fn encode(&mut self, samples: &mut Vec<Sample>) -> Result<(), Error> {
        let Some(begins) = &mut self.begins else {
            return Ok(());
        };
        while self.rest[0].len() >= AAC_FRAME {
            let channels = u16::try_from(self.rest.len()).expect("one or two");
            let mut sound = ffmpeg::sound_frame(AAC_FRAME, channels, RATE)
                .ok_or_else(|| Error::refused("no memory for a frame of sound"))?;
            for (channel, rest) in self.rest.iter_mut().enumerate() {
                ffmpeg::channel_mut(&mut sound, channel).copy_from_slice(&rest[..AAC_FRAME]);
                rest.drain(..AAC_FRAME);
            }
            let track = self.track.id;
            self.encoder.encode(&mut sound, *begins, |coded| {
                let duration = AAC_FRAME as u32;
                samples.push(Sample {
                    track,
                    dts: coded.pts,
                    pts: coded.pts,
                    duration,
                    key: true,
                    data: coded.data,
                });
            })?;
            *begins += AAC_FRAME as i64;
        }
        Ok(())
    }
}

/// Resamples decoded sound and appends it where its time says.
fn append(
    sound: &frame::Audio,
    resampler: &mut Option<(Shape, resampling::Context)>,
    rest: &mut [Vec<f32>],
    begins: &mut Option<i64>,
) -> Result<(), ffmpeg_next::Error> {
    let shape = Shape {
        format: sound.format(),
        rate: sound.rate(),
        channels: sound.channels(),
    };
    if resampler.as_ref().is_none_or(|(known, _)| *known != shape) {
        let from = ChannelLayout::default(i32::from(shape.channels));
        let to = ChannelLayout::default(rest.len() as i32);
        let wanted = sample::Sample::F32(sample::Type::Planar);
        *resampler = Some((
            shape,
            resampling::Context::get(shape.format, from, shape.rate, wanted, to, RATE)?,
        ));
    }
    let (_, context) = resampler.as_mut().expect("made above");
    let mut converted = frame::Audio::empty();
    ffmpeg::resample(context, sound, &mut converted)?;
    let said = sound
        .timestamp()
        .map(|micros| micros * i64::from(RATE) / 1_000_000);
    let have = rest[0].len() as i64;
    let at = *begins.get_or_insert(said.unwrap_or(0)) + have;
    let off = said.map_or(0, |said| said - at);
    let mut leave_out = 0;
    if off > NEAR {
        if off <= MAX_SILENCE {
            rest.iter_mut()
                .for_each(|rest| rest.resize(rest.len() + off as usize, 0.0));
        } else {
            rest.iter_mut().for_each(Vec::clear);
            *begins = said;
        }
    } else if off < -NEAR {
        leave_out = -off as usize;
    }
    for (channel, rest) in rest.iter_mut().enumerate() {
        rest.extend(
            ffmpeg::channel_mut(&mut converted, channel)
                .iter()
                .skip(leave_out),
        );
    }
    Ok(())
}
