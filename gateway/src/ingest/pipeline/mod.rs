//! From what a source yields to what the packager reads: one timeline, passed through or transcoded.
//!
//! [`spawn`] runs a [`Pipeline`] for a source that runs elsewhere (the RTMP server); sources of this module call
//! [`Pipeline::handle`] on their own thread. What comes out keeps this order: [`Event::Format`], [`Event::Anchor`], the
//! leader's key frame, then everything else. A break in the source is told as [`Event::Discontinuity`] and a new
//! anchor right before the leader's next key frame. HEVC, AV1 and Opus go on as they came in a rendition "original" beside
//! the H.264 and AAC made of them; then the original's picture leads, and the others have key frames where it has. Where the source's pictures are reordered, transcoded samples
//! follow some pictures behind the leader's, also across a break: their pts says where they belong.

pub(crate) mod framing;
pub(crate) mod ladder;
pub(crate) mod opus;

mod passthrough;
mod path;
mod sound;
mod transcode;
mod waiting;

use std::{collections::HashMap, io, sync::Arc};

use tokio::sync::mpsc;

use super::{
    Error, Settings,
    media::{Event, Format, Packet, Sample, SourceEvent, SourceStream},
    run::{self, Handle},
    timeline::Timeline,
};
use crate::clock::Clock;
use path::Paths;
use waiting::{Chosen, Waiting};

/// How long to wait for the first packet of each stream, in microseconds, before the silent ones are left out; and how
/// much longer one may be silent while the other goes on.
const SILENT: u64 = 3_000_000;
/// What one packet adds at most to another stream's silence, in microseconds.
const MAX_STEP: u64 = 200_000;
/// Samples of sound kept for the leader's first key frame.
const MAX_EARLY: usize = 512;
/// Microseconds between two notices of the same kind.
const NOTICE_PAUSE: u64 = 30_000_000;

/// Runs a pipeline for `source` until that ends, or the handle is stopped or dropped.
///
/// A queue that is full makes the source wait: nothing grows.
///
/// # Errors
/// When the system gives no thread.
pub fn spawn(
    mut source: mpsc::Receiver<SourceEvent>,
    settings: Settings,
    clock: Arc<Clock>,
    out: mpsc::Sender<Event>,
) -> io::Result<Handle> {
    run::spawn("pipeline", out, move |out| {
        let waiter = tokio::runtime::Builder::new_current_thread()
            .build()
            .map_err(|error| Error::refused(format!("no pipeline can be started: {error}")))?;
        let mut pipeline = Pipeline::new(settings);
        loop {
            let event = source.try_recv().or_else(|_| {
                waiter.block_on(async {
                    tokio::select! {
                        () = out.stop.stopped() => Err(Error::Stopped),
                        event = source.recv() => Ok(event.unwrap_or(SourceEvent::End)),
                    }
                })
            })?;
            if event == SourceEvent::End {
                return Ok(());
            }
            pipeline.handle(event, clock.now())?;
            for event in pipeline.events() {
                out.send(event)?;
            }
        }
    })
}

/// See the module's head.
pub(crate) struct Pipeline {
    settings: Settings,
    timeline: Timeline,
    /// What the source has.
    streams: Chosen,
    waiting: Option<Waiting>,
    paths: Option<Paths>,
    /// When a packet came last.
    heard: u64,
    /// For how long video and audio have been silent while the other was not.
    quiet: [u64; 2],
    /// Video and audio that the source names but does not send.
    absent: [bool; 2],
    /// Begin anew at the next key frame.
    renew: bool,
    /// What was announced last.
    announced: Option<Format>,
    /// Whether the leader's first key frame after [`Pipeline::paths`] changed is out.
    started: bool,
    /// Why what follows the next key frame of the leader does not join what came before.
    broke: Option<String>,
    /// Sound from before the leader's first key frame.
    early: Vec<Sample>,
    noticed: HashMap<&'static str, u64>,
    /// The operator has given a title, which wins over the source's.
    titled: bool,
    events: Vec<Event>,
}

impl Pipeline {
    pub(crate) fn new(settings: Settings) -> Self {
        Self {
            settings,
            timeline: Timeline::default(),
            streams: Chosen::default(),
            waiting: None,
            paths: None,
            heard: 0,
            quiet: [0; 2],
            absent: [false; 2],
            renew: false,
            announced: None,
            started: false,
            broke: None,
            early: Vec::new(),
            noticed: HashMap::new(),
            titled: false,
            events: Vec::new(),
        }
    }

    /// The source's own titles are not passed on.
    pub(crate) fn keep_title(&mut self) {
        self.titled = true;
    }

    /// What is to be told downstream since the last call.
    pub(crate) fn events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// Takes in what the source yields at `now` (microseconds since the Unix epoch).
    ///
    /// # Errors
    /// What makes it impossible to go on: an encoder that does not start. Damaged packets do not.
    pub(crate) fn handle(&mut self, event: SourceEvent, now: u64) -> Result<(), Error> {
        match event {
            SourceEvent::Streams(streams) => self.choose(&streams, now),
            SourceEvent::Packet(packet) => return self.packet(packet, now),
            SourceEvent::Title(_) if self.titled => {}
            SourceEvent::Title(title) => self.events.push(Event::Title { title }),
            SourceEvent::Gone { reason } => {
                self.finish(now);
                self.timeline.restart(&reason);
                self.waiting = Some(Waiting::new());
            }
            SourceEvent::End => self.finish(now),
        }
        Ok(())
    }

    /// Takes the first video and the first audio stream.
    fn choose(&mut self, streams: &[SourceStream], now: u64) {
        let first = |video: bool| {
            let mut of_kind = streams
                .iter()
                .enumerate()
                .filter(move |(_, stream)| stream.is_video() == video);
            of_kind
                .next()
                .map(|(index, stream)| (index, stream.clone()))
        };
        let chosen = Chosen {
            video: first(true),
            audio: first(false),
        };
        if chosen == Chosen::default() {
            self.notice(
                "streams",
                now,
                "the source has neither video nor sound: publish H.264 and AAC".into(),
            );
        }
        if chosen != self.streams || self.paths.is_none() {
            self.finish(now);
            let before = std::mem::replace(&mut self.streams, chosen);
            let mut waiting = self.waiting.take().unwrap_or_else(Waiting::new);
            // What waits and is still of a known stream goes on waiting.
            let same = [
                before.video == self.streams.video,
                before.audio == self.streams.audio,
            ];
            waiting.packets.retain(|(packet, _)| {
                self.streams
                    .kind(packet.stream)
                    .is_some_and(|kind| same[kind])
            });
            self.waiting = Some(waiting);
            self.absent = [false; 2];
        }
    }

    fn packet(&mut self, packet: Packet, now: u64) -> Result<(), Error> {
        let Some(kind) = self.streams.kind(packet.stream) else {
            return Ok(());
        };
        self.watch_silence(kind, now);
        let switches = (kind == 0 && packet.key) || self.absent[0] || self.streams.video.is_none();
        if self.renew && switches && self.paths.is_some() {
            self.finish(now);
            self.waiting = Some(Waiting::new());
        }
        let Some(waiting) = &mut self.waiting else {
            return self.place(packet, now);
        };
        let since = *waiting.since.get_or_insert(now);
        waiting.bytes += packet.data.len();
        waiting.packets.push((packet, now));
        let complete = [&self.streams.video, &self.streams.audio]
            .into_iter()
            .zip(self.absent)
            .all(|(stream, absent)| {
                absent || stream.as_ref().is_none_or(|(index, _)| waiting.has(*index))
            });
        if complete || waiting.is_full() || now.saturating_sub(since) > SILENT / 3 {
            return self.start(now);
        }
        Ok(())
    }

    /// Sees when a stream goes silent or comes back: then everything begins anew at the next key frame.
    fn watch_silence(&mut self, kind: usize, now: u64) {
        let name = ["video", "sound"];
        let other = 1 - kind;
        let carried = |kind| self.paths.as_ref().is_some_and(|paths| paths.has(kind));
        // A pause of everything (a slow machine, a stalled network) is nobody's silence.
        let passed = now.saturating_sub(self.heard).min(MAX_STEP);
        self.heard = now;
        self.quiet[kind] = 0;
        self.quiet[other] += passed;
        if carried(other) && !self.absent[other] && self.quiet[other] > SILENT {
            self.absent[other] = true;
            self.renew = true;
            let message = format!("the source's {} has stopped; going on without", name[other]);
            self.notice("lost", now, message);
        }
        if self.absent[kind] {
            self.absent[kind] = false;
            self.renew = true;
            self.notice("found", now, format!("the source has {} again", name[kind]));
        }
    }

    /// Everything is known that can be known: opens the ways the streams take.
    fn start(&mut self, now: u64) -> Result<(), Error> {
        let Some(waiting) = self.waiting.take() else {
            return Ok(());
        };
        let present = |stream: &Option<(usize, SourceStream)>| {
            stream.clone().filter(|(index, _)| waiting.has(*index))
        };
        let (video, audio) = (present(&self.streams.video), present(&self.streams.audio));
        self.absent = [video.is_none(), audio.is_none()];
        self.renew = false;
        let mut notices = Vec::new();
        self.paths = Some(Paths::open(video, audio, &self.settings, &mut notices)?);
        for message in notices {
            self.notice("codec", now, message);
        }
        self.started = false;
        for (packet, arrived) in waiting.packets {
            self.place(packet, arrived)?;
        }
        Ok(())
    }

    fn place(&mut self, packet: Packet, now: u64) -> Result<(), Error> {
        let Some(placed) = self.timeline.place(&packet, now) else {
            return Ok(());
        };
        let Some(paths) = &mut self.paths else {
            return Ok(());
        };
        if let Some(reason) = placed.broke.clone() {
            tracing::info!("{reason}");
            self.broke = Some(reason);
            paths.force_key();
        }
        let moment = transcode::Moment {
            now,
            at: self.timeline.at(),
        };
        let step = paths.handle(&packet, &placed, moment, &self.settings)?;
        for (kind, message) in step.notices {
            self.notice(kind, now, message);
        }
        if step.changed {
            self.started = false;
        }
        self.emit(step.samples);
        Ok(())
    }

    /// Passes samples on, behind what must be told before them.
    fn emit(&mut self, samples: Vec<Sample>) {
        for sample in samples {
            let Some(paths) = &self.paths else { return };
            let leads = sample.track == paths.leader() && sample.key;
            if !self.started {
                if !leads {
                    if self.early.len() < MAX_EARLY && paths.is_audio(sample.track) {
                        self.early.push(sample);
                    }
                    continue;
                }
                let Some(format) = paths.format() else {
                    continue;
                };
                self.started = true;
                let reason = self.broke.take();
                if self.announced.as_ref() == Some(&format) {
                    let reason = reason.unwrap_or_else(|| "the source was interrupted".into());
                    self.events.push(Event::Discontinuity { reason });
                } else {
                    self.events.push(Event::Format(format.clone()));
                }
                self.events.push(Event::Anchor {
                    at: self.timeline.at(),
                });
                let begins = i128::from(sample.pts) * 1_000_000 / 90_000;
                self.announced = Some(format);
                let early = std::mem::take(&mut self.early);
                self.events.push(Event::Sample(sample));
                let joins = |sound: &Sample| {
                    let rate = self
                        .announced
                        .iter()
                        .flat_map(|format| &format.tracks)
                        .find(|track| track.id == sound.track);
                    rate.is_some_and(|track| {
                        i128::from(sound.dts) * 1_000_000 / i128::from(track.timescale) >= begins
                    })
                };
                let early: Vec<Sample> = early.into_iter().filter(joins).collect();
                self.events.extend(early.into_iter().map(Event::Sample));
                continue;
            }
            if leads && let Some(reason) = self.broke.take() {
                self.events.push(Event::Discontinuity { reason });
                self.events.push(Event::Anchor {
                    at: self.timeline.at(),
                });
            }
            self.events.push(Event::Sample(sample));
        }
    }

    /// Gets out what decoders still hold, and closes the ways.
    fn finish(&mut self, now: u64) {
        if let Some(mut paths) = self.paths.take() {
            let moment = transcode::Moment {
                now,
                at: self.timeline.at(),
            };
            let samples = paths.finish(moment, &self.settings);
            self.paths = Some(paths);
            if self.started {
                self.emit(samples);
            }
            self.paths = None;
        }
        self.started = false;
        self.early.clear();
    }

    /// Tells an operator and the viewers, but each kind of thing only now and then.
    fn notice(&mut self, kind: &'static str, now: u64, message: String) {
        let due = self
            .noticed
            .get(kind)
            .is_none_or(|&last| now.saturating_sub(last) >= NOTICE_PAUSE);
        if due {
            self.noticed.insert(kind, now);
            tracing::warn!("{message}");
            self.events.push(Event::Notice { message });
        }
    }
}

#[cfg(test)]
mod tests;
