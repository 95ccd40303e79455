//! The beep: 1 kHz for the first 100 ms of each second, silence in between.

use bytes::Bytes;

use crate::ingest::{
    Error,
    encode::{AAC_FRAME, AudioEncoder, VIDEO_TIMESCALE},
    ffmpeg,
    media::Sample,
};

/// Hertz.
pub(super) const SAMPLE_RATE: u32 = 48_000;
pub(super) const CHANNELS: u16 = 2;

const TONE: u64 = 1_000;
/// Samples of sound at the beginning of each second.
const BEEP: u64 = 4_800;
const LOUDNESS: f32 = 0.25;

/// A video time (ticks) in samples of sound.
pub(super) fn samples(ticks: u64) -> u64 {
    ticks * u64::from(SAMPLE_RATE) / u64::from(VIDEO_TIMESCALE)
}

/// Renders and encodes the beep; sample 0 is a whole second of the clock.
pub(super) struct Beep {
    encoder: AudioEncoder,
    /// One period of the tone.
    wave: Vec<f32>,
    /// The sample that is rendered next.
    next: u64,
    /// The end of what has come out of the encoder.
    coded: u64,
    /// Nothing before this sample goes out.
    start: u64,
}

impl Beep {
    /// `bit_rate` in bits per second.
    pub(super) fn open(bit_rate: u32) -> Result<Self, Error> {
        let period = u64::from(SAMPLE_RATE) / TONE;
        let angle = |at: u64| std::f32::consts::TAU * at as f32 / period as f32;
        Ok(Self {
            encoder: AudioEncoder::open(SAMPLE_RATE, CHANNELS, bit_rate)?,
            wave: (0..period).map(|at| LOUDNESS * angle(at).sin()).collect(),
            next: 0,
            coded: 0,
            start: 0,
        })
    }

    pub(super) fn config(&self) -> Bytes {
        self.encoder.config.clone()
    }

    /// Begins at `sample`. Two frames earlier go into the encoder first, to fill it.
    pub(super) fn start(&mut self, sample: u64) {
        self.start = sample;
        self.next = sample.saturating_sub(2 * AAC_FRAME as u64);
        self.coded = self.next;
    }

    /// Renders until what has come out reaches `end`.
    pub(super) fn render_until(
        &mut self,
        end: u64,
        sample: &mut dyn FnMut(Sample),
    ) -> Result<(), Error> {
        while self.coded < end {
            let mut sound = ffmpeg::sound_frame(AAC_FRAME, CHANNELS, SAMPLE_RATE)
                .ok_or_else(|| Error::refused("no memory for a frame of sound"))?;
            for channel in 0..usize::from(CHANNELS) {
                for (value, at) in ffmpeg::channel_mut(&mut sound, channel)
                    .iter_mut()
                    .zip(self.next..)
                {
                    *value = self.wave_at(at);
                }
            }
            let (start, coded_until) = (self.start, &mut self.coded);
            self.encoder.encode(&mut sound, self.next as i64, |coded| {
                *coded_until = (coded.pts + AAC_FRAME as i64).max(0) as u64;
                if coded.pts >= start as i64 {
                    sample(Sample {
                        track: super::AUDIO,
                        dts: coded.pts,
                        pts: coded.pts,
                        duration: AAC_FRAME as u32,
                        key: true,
                        data: coded.data,
                    });
                }
            })?;
            self.next += AAC_FRAME as u64;
        }
        Ok(())
    }

    fn wave_at(&self, sample: u64) -> f32 {
        if sample % u64::from(SAMPLE_RATE) < BEEP {
            self.wave[(sample % self.wave.len() as u64) as usize]
        } else {
            0.0
        }
    }
}
