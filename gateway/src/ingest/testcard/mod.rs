//! The test card: a moving picture, the gateway's clock, a beep each second.
//!
//! Each frame shows the time at which it was drawn, twice: in digits, and as a strip that a program reads
//! ([`strip`] says how). That time is the frame's program date time: the [`Event::Anchor`] and the frame's pts give the
//! very same milliseconds. Frames lie on a grid that begins with a whole second of the clock, are drawn when their time
//! has come, and are left out, never late, when the machine is too slow. The beep is 1 kHz for the first 100 ms of each
//! second. Key frames lie on whole multiples of the key-frame interval.

pub mod strip;

mod font;
mod picture;
mod sound;

use ffmpeg_next::{color, format::Pixel, frame};

use super::{
    Error, Settings, TestcardSettings,
    encode::{Picture, VIDEO_TIMESCALE},
    ffmpeg,
    media::{Codec, Event, Format, Kind, RenditionFormat, Sample, Track},
    pipeline::ladder::{Ladder, Wanted},
    run::Output,
};
use crate::clock::Clock;

/// The sound's track; the pictures' follow.
const AUDIO: u8 = 0;
const SECOND: u64 = 1_000_000;

/// The grid of the card's frames.
#[derive(Clone, Copy, Debug)]
struct Grid {
    /// Microseconds since the Unix epoch, a whole second: the timeline's second 0.
    at: u64,
    /// Frames per second.
    rate: u64,
}

impl Grid {
    /// When frame `number` is shown, in ticks of [`VIDEO_TIMESCALE`].
    fn pts(self, number: u64) -> u64 {
        number * u64::from(VIDEO_TIMESCALE) / self.rate
    }

    /// The same in microseconds since the Unix epoch, rounded down.
    fn time(self, number: u64) -> u64 {
        self.at + self.pts(number) * SECOND / u64::from(VIDEO_TIMESCALE)
    }

    /// The frame that is on screen at `now`.
    fn current(self, now: u64) -> u64 {
        // One tick of the clock further, because `time` was rounded down.
        (now.saturating_sub(self.at) + 1) * self.rate / SECOND
    }
}

/// Draws and encodes the card until it is told to stop.
pub(super) fn run(
    card: &TestcardSettings,
    settings: &Settings,
    clock: &Clock,
    out: &Output,
) -> Result<(), Error> {
    ffmpeg::init();
    let source = Picture {
        width: card.width,
        height: card.height,
        frame_rate: (card.frame_rate, 1),
        space: color::Space::BT709,
        range: color::Range::MPEG,
    };
    let own = Wanted {
        id: "source".into(),
        height: card.height,
        bit_rate: card.bit_rate,
    };
    let smaller = Wanted::configured(settings, card.height);
    let wanted = std::iter::once(own).chain(smaller).collect();
    let mut ladder = Ladder::open(settings, &source, wanted, AUDIO + 1)?;
    let mut beep = sound::Beep::open(settings.audio_bit_rate)?;
    out.send(Event::Format(format(
        &ladder,
        &beep,
        settings.audio_bit_rate,
    )))?;

    let now = clock.now();
    let grid = Grid {
        at: now - now % SECOND,
        rate: u64::from(card.frame_rate),
    };
    out.send(Event::Anchor { at: grid.at })?;
    let interval = (settings.key_frame_interval * SECOND as f64) as u64;

    let mut canvas = picture::Canvas::new(card.width as usize, card.height as usize);
    let mut target = frame::Video::new(Pixel::YUV420P, card.width, card.height);
    let mut number = grid.current(now) + 1;
    let mut newest_key = None;
    beep.start(sound::samples(grid.pts(number)));
    loop {
        if out.stop.wait_until(clock.instant(grid.time(number))) {
            return Err(Error::Stopped);
        }
        let due = number;
        number = number.max(grid.current(clock.now()));
        if number > due {
            tracing::debug!(
                "the test card left out {} frames: the machine or the packager is too slow",
                number - due
            );
        }
        let time = grid.time(number);
        // Behind a gap of more than two frames a browser shows nothing before the next key frame
        // (Media Source Extensions, coded frame processing), so there is one.
        let key = newest_key != Some(time / interval) || number > due + 1;
        newest_key = Some(time / interval);

        canvas.draw(number, time);
        canvas.copy_to(&mut target);
        let (pts, end) = (grid.pts(number), grid.pts(number + 1));
        let mut samples: Vec<Sample> = Vec::with_capacity(8);
        let duration = u32::try_from(end - pts).expect("a frame lasts at most a second");
        ladder.encode(&target, pts as i64, duration, key, &mut |sample| {
            samples.push(sample)
        })?;
        // Sound up to the end of the picture, so that the packager never waits for it.
        beep.render_until(sound::samples(end), &mut |sample| samples.push(sample))?;
        for sample in samples {
            out.send(Event::Sample(sample))?;
        }
        number += 1;
    }
}

fn format(ladder: &Ladder, beep: &sound::Beep, bit_rate: u32) -> Format {
    let audio = Track {
        id: AUDIO,
        codec: Codec::Aac {
            config: beep.config(),
        },
        kind: Kind::Audio {
            sample_rate: sound::SAMPLE_RATE,
            channels: sound::CHANNELS,
        },
        timescale: sound::SAMPLE_RATE,
        bit_rate,
    };
    let only = RenditionFormat {
        id: "audio".into(),
        tracks: vec![AUDIO],
    };
    Format {
        tracks: ladder.tracks().chain([audio]).collect(),
        renditions: ladder.renditions(Some(AUDIO)).chain([only]).collect(),
        leader: AUDIO + 1,
    }
}

#[cfg(test)]
mod tests;
