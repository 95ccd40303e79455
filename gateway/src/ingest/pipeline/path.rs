//! The way each stream takes: passed through or transcoded, and when that changes.

use super::{
    opus::Opus,
    passthrough::{self, Passed},
    sound::Sound,
    transcode::{self, Done, Make, Moment},
};
use crate::ingest::{
    Error, Settings, decode,
    media::{Format, Packet, RenditionFormat, Sample, SourceStream, TrackId},
    timeline::Placed,
};

/// Tracks: the source's video, its sound as AAC and as the Opus it was, then what is encoded of the video.
const VIDEO: TrackId = 0;
const AUDIO: TrackId = 1;
const OPUS: TrackId = 2;
const LADDER: TrackId = 3;

/// The rendition that is just what the publisher sends, where not every browser plays that.
const ORIGINAL: &str = "original";

/// How long before the limit, in microseconds, the decoder begins to catch up.
const EARLY: i64 = 500_000;
/// How many packets it catches up with for each that comes.
const CATCH_UP: usize = 6;

enum VideoPath {
    /// As it came, and what will take over. Beside it the ladder, where one is configured; beside HEVC and AV1 always
    /// all that is transcoded.
    Copied(
        Box<passthrough::Video>,
        Option<Box<transcode::Video>>,
        Option<Box<Takeover>>,
    ),
    Transcoded(Box<transcode::Video>),
}

/// A transcoder that takes over from passthrough: its decoder first catches up with what has passed, some packets at a
/// time, so that nothing waits for it.
struct Takeover {
    video: Box<transcode::Video>,
    /// Packets of the group of pictures that the decoder has.
    primed: usize,
    /// The key frames are too far apart: it takes over as soon as it has caught up.
    decided: bool,
    caught_up: bool,
}

impl Takeover {
    fn open(stream: &SourceStream, settings: &Settings) -> Result<Self, Error> {
        let make = Make::Everything;
        Ok(Self {
            video: Box::new(transcode::Video::open(stream, make, LADDER, settings)?),
            primed: 0,
            decided: false,
            caught_up: false,
        })
    }

    /// Feeds the decoder with the next of what has passed.
    fn catch_up(&mut self, copied: &passthrough::Video, key: bool) {
        if key {
            self.primed = 0;
        }
        let left = copied.kept().get(self.primed..).unwrap_or_default();
        for kept in left.iter().take(CATCH_UP) {
            self.video.prime(&kept.data, kept.dts, kept.pts);
        }
        self.primed += left.len().min(CATCH_UP);
        self.caught_up = left.len() <= CATCH_UP && !copied.kept().is_empty();
    }
}

fn too_far_apart(settings: &Settings) -> String {
    let Settings {
        max_key_frame_gap: limit,
        key_frame_interval,
        ..
    } = settings;
    format!(
        "key frames are more than {limit} s apart: transcoding; set the encoder's key-frame interval to {key_frame_interval} s"
    )
}

enum AudioPath {
    Copied(passthrough::Audio),
    /// With the Opus it is made of, where it is that.
    Transcoded(Box<Sound>, Option<Opus>),
}

/// What became of a packet.
#[derive(Default)]
pub(super) struct Step {
    pub(super) samples: Vec<Sample>,
    /// [`Paths::format`] is another than before.
    pub(super) changed: bool,
    /// Kind and text.
    pub(super) notices: Vec<(&'static str, String)>,
}

/// The ways of a source's streams.
pub(super) struct Paths {
    video: Option<(usize, SourceStream, VideoPath)>,
    audio: Option<(usize, SourceStream, AudioPath)>,
}

impl Paths {
    /// Opens the ways of the streams that are there. A codec that cannot be carried is left out with a notice.
    pub(super) fn open(
        video: Option<(usize, SourceStream)>,
        audio: Option<(usize, SourceStream)>,
        settings: &Settings,
        notices: &mut Vec<String>,
    ) -> Result<Self, Error> {
        let mut tell = |error: Error| match error {
            Error::Refused(message) => notices.push(message),
            Error::Stopped => {}
        };
        let audio = audio.and_then(|(index, stream)| {
            let path = open_audio(&stream, settings).map_err(&mut tell).ok()?;
            Some((index, stream, path))
        });
        let carried = !matches!(audio, Some((_, _, AudioPath::Transcoded(_, None))));
        let video = video.and_then(|(index, stream)| {
            let path = open_video(&stream, carried, settings)
                .map_err(&mut tell)
                .ok()?;
            Some((index, stream, path))
        });
        match &video {
            Some((_, _, VideoPath::Copied(copied, ..))) if copied.plays_everywhere() => {}
            Some((_, stream, _)) => notices.push(transcode::reason(stream)),
            None => {}
        }
        if let Some((_, stream, AudioPath::Transcoded(..))) = &audio {
            notices.push(format!(
                "sound is {}: transcoded to AAC",
                decode::name(&stream.codec)
            ));
        }
        Ok(Self { video, audio })
    }

    /// Whether there is a way for video (0) or audio (1).
    pub(super) fn has(&self, kind: usize) -> bool {
        if kind == 0 {
            self.video.is_some()
        } else {
            self.audio.is_some()
        }
    }

    pub(super) fn is_audio(&self, track: TrackId) -> bool {
        track == AUDIO || track == OPUS
    }

    /// The tracks of the rendition "original": what the publisher sends, where that is not "source" already and can be
    /// carried.
    fn original(&self) -> Option<Vec<TrackId>> {
        let Some((_, _, VideoPath::Copied(copied, ..))) = &self.video else {
            return None;
        };
        let sound = match self.audio.as_ref().map(|(_, _, path)| path) {
            None => None,
            Some(AudioPath::Copied(_)) => Some(AUDIO),
            Some(AudioPath::Transcoded(_, Some(_))) => Some(OPUS),
            Some(AudioPath::Transcoded(_, None)) => return None,
        };
        let differs = !copied.plays_everywhere() || sound == Some(OPUS);
        differs.then(|| std::iter::once(VIDEO).chain(sound).collect())
    }

    pub(super) fn leader(&self) -> TrackId {
        match &self.video {
            Some((_, _, VideoPath::Copied(..))) => VIDEO,
            Some((_, _, VideoPath::Transcoded(_))) => LADDER,
            None => AUDIO,
        }
    }

    /// All tracks and renditions; None while a size is not known yet.
    pub(super) fn format(&self) -> Option<Format> {
        let audio = self.audio.as_ref().map(|(_, _, path)| match path {
            AudioPath::Copied(copied) => copied.track().clone(),
            AudioPath::Transcoded(sound, _) => sound.track().clone(),
        });
        let with_sound = audio.as_ref().map(|_| AUDIO);
        let (mut tracks, mut renditions) = (Vec::new(), Vec::new());
        let ladder = match self.video.as_ref().map(|(_, _, path)| path) {
            None => None,
            Some(VideoPath::Copied(copied, ladder, _)) => {
                tracks.push(copied.track().clone());
                if copied.plays_everywhere() {
                    renditions.push(RenditionFormat {
                        id: "source".into(),
                        tracks: std::iter::once(VIDEO).chain(with_sound).collect(),
                    });
                }
                match ladder {
                    Some(ladder) => Some(ladder.ladder()?),
                    None => None,
                }
            }
            Some(VideoPath::Transcoded(transcoded)) => Some(transcoded.ladder()?),
        };
        if let Some(ladder) = ladder {
            tracks.extend(ladder.tracks());
            renditions.extend(ladder.renditions(with_sound));
        }
        if let Some(track) = audio {
            tracks.push(track);
            renditions.push(RenditionFormat {
                id: "audio".into(),
                tracks: vec![AUDIO],
            });
        }
        // Last, so that players begin with what plays everywhere.
        if let Some(original) = self.original() {
            if let Some((_, _, AudioPath::Transcoded(_, Some(opus)))) = &self.audio {
                tracks.push(opus.track().clone());
            }
            renditions.push(RenditionFormat {
                id: ORIGINAL.into(),
                tracks: original,
            });
        }
        Some(Format {
            tracks,
            renditions,
            leader: self.leader(),
        })
    }

    /// Transcoded pictures go on with a key frame.
    pub(super) fn force_key(&mut self) {
        if let Some((_, _, VideoPath::Transcoded(transcoded))) = &mut self.video {
            transcoded.force_key();
        }
    }

    /// Takes one packet its way.
    pub(super) fn handle(
        &mut self,
        packet: &Packet,
        placed: &Placed,
        moment: Moment,
        settings: &Settings,
    ) -> Result<Step, Error> {
        let mut step = Step::default();
        let has_original = self.original().is_some();
        if self
            .video
            .as_ref()
            .is_some_and(|(index, ..)| *index == packet.stream)
        {
            self.picture(packet, placed, moment, settings, &mut step)?;
        } else if let Some((_, _, path)) = self
            .audio
            .as_mut()
            .filter(|(index, ..)| *index == packet.stream)
        {
            match path {
                AudioPath::Copied(copied) => step.take(copied.pass(packet, placed)),
                AudioPath::Transcoded(sound, opus) => {
                    if let Some(opus) = opus.as_mut().filter(|_| has_original) {
                        step.take(opus.pass(packet, placed));
                    }
                    if sound.transcode(&packet.data, placed.dts, &mut step.samples)? {
                        step.damaged();
                    }
                }
            }
        }
        Ok(step)
    }

    fn picture(
        &mut self,
        packet: &Packet,
        placed: &Placed,
        moment: Moment,
        settings: &Settings,
        step: &mut Step,
    ) -> Result<(), Error> {
        let Some((_, stream, path)) = &mut self.video else {
            return Ok(());
        };
        let times = (placed.dts, placed.pts, packet.duration);
        if let VideoPath::Copied(_, _, takeover) = path
            && let Some(mut next) = takeover.take_if(|next| next.decided && next.caught_up)
        {
            next.video.force_key();
            *path = VideoPath::Transcoded(next.video);
            step.changed = true;
        }
        let limit = (settings.max_key_frame_gap * 1e6) as i64;
        if let VideoPath::Copied(copied, beside, _) = path
            && !copied.plays_everywhere()
            && copied.since_key(placed.dts) > limit
            && let Some(mut alone) = beside.take()
        {
            // The original leaves; what was made beside it goes on.
            alone.go_alone();
            *path = VideoPath::Transcoded(alone);
            step.changed = true;
            step.notices.push(("gap", too_far_apart(settings)));
        }
        match path {
            VideoPath::Transcoded(transcoded) => {
                step.done(transcoded.transcode(
                    &packet.data,
                    times,
                    packet.key,
                    moment,
                    settings,
                )?);
            }
            VideoPath::Copied(copied, ladder, takeover) => {
                let passed = copied.pass(packet, placed);
                let key = matches!(&passed, Passed::Sample(sample) if sample.key);
                let began = matches!(passed, Passed::Sample(_));
                step.take(passed);
                if let Some(ladder) = ladder.as_mut().filter(|_| began) {
                    step.done(ladder.transcode(&packet.data, times, key, moment, settings)?);
                }
                if !copied.plays_everywhere() {
                    return Ok(());
                }
                let gap = copied.since_key(placed.dts);
                if gap <= limit - EARLY
                    && !takeover.as_ref().is_some_and(|takeover| takeover.decided)
                {
                    *takeover = None;
                } else if began {
                    let mut next = match takeover.take() {
                        Some(next) => next,
                        None => Box::new(Takeover::open(stream, settings)?),
                    };
                    if gap > limit && !next.decided {
                        next.decided = true;
                        step.notices.push(("gap", too_far_apart(settings)));
                    }
                    next.catch_up(copied, key);
                    *takeover = Some(next);
                }
            }
        }
        Ok(())
    }

    /// What decoders still hold.
    pub(super) fn finish(&mut self, moment: Moment, settings: &Settings) -> Vec<Sample> {
        match &mut self.video {
            Some((_, _, VideoPath::Copied(_, Some(video), _) | VideoPath::Transcoded(video))) => {
                video.finish(moment, settings)
            }
            _ => Vec::new(),
        }
    }
}

impl Step {
    fn take(&mut self, passed: Passed) {
        match passed {
            Passed::Sample(sample) => self.samples.push(sample),
            Passed::Nothing { damaged: true } => self.damaged(),
            Passed::Nothing { damaged: false } => {}
        }
    }

    fn done(&mut self, done: Done) {
        self.samples.extend(done.samples);
        self.changed |= done.changed;
        if done.damaged {
            self.damaged();
        }
        if done.left_out > 0 {
            let message = "this machine encodes slower than real time: pictures are left out; set a faster ingest.preset, a smaller ladder, or a hardware encoder";
            self.notices.push(("slow", message.into()));
        }
    }

    fn damaged(&mut self) {
        self.notices.push((
            "damaged",
            "the source sends damaged packets: check the connection to it".into(),
        ));
    }
}

/// `carried` is whether the sound, if any, can stand beside the video as it came.
fn open_video(
    stream: &SourceStream,
    carried: bool,
    settings: &Settings,
) -> Result<VideoPath, Error> {
    let copied = passthrough::Video::new(stream, VIDEO);
    let Some(copied) = copied.filter(|copied| carried || copied.plays_everywhere()) else {
        let make = Make::Everything;
        return Ok(VideoPath::Transcoded(Box::new(transcode::Video::open(
            stream, make, LADDER, settings,
        )?)));
    };
    let stream = SourceStream {
        kind: copied.track().kind.clone(),
        ..stream.clone()
    };
    let make = if copied.plays_everywhere() {
        let mut rungs = settings.ladder.iter();
        let fits = rungs.any(|rung| copied.height() >= rung.height);
        fits.then_some(Make::Ladder)
    } else {
        Some(Make::Beside)
    };
    let beside = make.map(|make| transcode::Video::open(&stream, make, LADDER, settings));
    Ok(VideoPath::Copied(
        Box::new(copied),
        beside.transpose()?.map(Box::new),
        None,
    ))
}

fn open_audio(stream: &SourceStream, settings: &Settings) -> Result<AudioPath, Error> {
    Ok(match passthrough::Audio::new(stream, AUDIO) {
        Some(copied) => AudioPath::Copied(copied),
        None => AudioPath::Transcoded(
            Box::new(Sound::open(stream, AUDIO, settings)?),
            Opus::new(stream, OPUS),
        ),
    })
}
