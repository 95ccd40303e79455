//! Files and URLs: paced in real time, begun again at the end where asked, opened again when they break off.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use super::Streams;
use crate::{
    clock::Clock,
    ingest::{
        Error,
        ffmpeg::Demuxer,
        media::{Packet, SourceEvent},
        pipeline::Pipeline,
        run::{Output, Stop},
    },
};

/// Pauses before a live source is tried again: the first and the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// How long a device that has nothing yet is left alone.
const NOTHING_YET: Duration = Duration::from_millis(3);
/// A step of a file's timestamps beyond this, in microseconds, is not waited for.
const HOLE: i64 = 1_000_000;
/// Damaged reads in a row before a source counts as broken.
const MAX_DAMAGED: u32 = 100;

/// Formats that are taken from a socket: none of them refers to anything outside itself.
const STREAMED: &str = "mpegts,flv,matroska,webm,nut";

/// What is read, and how.
#[derive(Clone, Debug)]
pub(in crate::ingest) struct Reading {
    /// As FFmpeg takes it.
    pub(in crate::ingest) url: String,
    /// FFmpeg's demuxer, where it cannot be told from the URL (devices).
    pub(in crate::ingest) format: Option<&'static str>,
    pub(in crate::ingest) options: Vec<(&'static str, String)>,
    pub(in crate::ingest) looped: bool,
    /// Begins again by itself when it breaks off, and sets the pace itself: not a file.
    pub(in crate::ingest) live: bool,
}

impl Reading {
    /// A file or URL from the command line.
    pub(in crate::ingest) fn url(url: &str, looped: bool) -> Self {
        let scheme = url.split_once("://").map_or("", |(scheme, _)| scheme);
        let live = [
            "rtsp", "rtsps", "rtp", "udp", "srt", "rtmp", "rtmps", "tcp", "rist",
        ]
        .contains(&scheme);
        let options = match scheme {
            "rtsp" | "rtsps" => vec![
                ("rtsp_transport", "tcp".into()),
                ("timeout", "10000000".into()),
            ],
            "http" | "https" => vec![("rw_timeout", "10000000".into())],
            // Whoever connects chooses the bytes: they must not name files and addresses that FFmpeg then opens.
            "srt" | "tcp" | "udp" | "rist" => vec![("format_whitelist", STREAMED.into())],
            _ => Vec::new(),
        };
        Self {
            url: url.into(),
            format: None,
            options,
            looped,
            live,
        }
    }
}

/// How a reading ended.
enum Ended {
    /// The file's end.
    End,
    /// It broke off, for this reason.
    Broke(String),
}

/// Reads until the end or until told to stop; `event` takes what comes.
///
/// # Errors
/// A file that cannot be opened, with the remedy. A live source is tried again instead.
pub(in crate::ingest) fn read(
    reading: &Reading,
    stop: &Arc<Stop>,
    event: &mut dyn FnMut(SourceEvent) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut pause = FIRST_PAUSE;
    loop {
        let told = stop.clone();
        let opened = Demuxer::open(&reading.url, reading.format, &reading.options, move || {
            told.is_set()
        });
        if stop.is_set() {
            return Err(Error::Stopped);
        }
        let reason = match opened {
            Err(error) => {
                let message = cannot_open(reading, error);
                if !reading.live {
                    return Err(Error::Refused(message));
                }
                message
            }
            Ok(demuxer) => match play(reading, demuxer, stop, event)? {
                Ended::End if !reading.live => return Ok(()),
                Ended::End => {
                    pause = FIRST_PAUSE;
                    format!("{} has ended", shown(&reading.url))
                }
                Ended::Broke(reason) if !reading.live => return Err(Error::Refused(reason)),
                Ended::Broke(reason) => {
                    pause = FIRST_PAUSE;
                    reason
                }
            },
        };
        tracing::warn!("{reason}; trying again in {pause:?}");
        event(SourceEvent::Gone { reason })?;
        if stop.wait_until(Instant::now() + pause) {
            return Err(Error::Stopped);
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

fn play(
    reading: &Reading,
    mut demuxer: Demuxer,
    stop: &Arc<Stop>,
    event: &mut dyn FnMut(SourceEvent) -> Result<(), Error>,
) -> Result<Ended, Error> {
    let mut streams = Streams::new(demuxer.streams());
    if streams.is_empty() {
        return Ok(Ended::Broke(format!(
            "{} has neither video nor sound: give another file",
            shown(&reading.url)
        )));
    }
    if let Some(title) = demuxer.title() {
        event(SourceEvent::Title(title))?;
    }
    event(streams.event())?;
    let mut pace = Pace::default();
    let (mut damaged, mut since_start) = (0, 0u64);
    loop {
        if stop.is_set() {
            return Err(Error::Stopped);
        }
        let demuxed = match demuxer.read() {
            Ok(Some(demuxed)) => demuxed,
            Ok(None) if !reading.looped || reading.live => return Ok(Ended::End),
            Ok(None) if since_start == 0 => {
                return Ok(Ended::Broke(format!(
                    "{} is empty: give another file",
                    shown(&reading.url)
                )));
            }
            Ok(None) => {
                // The end is shown as long as it lasts before the beginning comes again.
                if stop.wait_until(pace.end()) {
                    return Err(Error::Stopped);
                }
                if let Err(error) = demuxer.rewind() {
                    return Ok(Ended::Broke(format!(
                        "{} cannot be begun again: {error}",
                        shown(&reading.url)
                    )));
                }
                (pace, since_start) = (Pace::default(), 0);
                event(SourceEvent::Gone {
                    reason: "the file begins again".into(),
                })?;
                continue;
            }
            Err(ffmpeg_next::Error::Other { errno }) if errno == ffmpeg_next::ffi::EAGAIN => {
                if stop.wait_until(Instant::now() + NOTHING_YET) {
                    return Err(Error::Stopped);
                }
                continue;
            }
            Err(ffmpeg_next::Error::InvalidData) if damaged < MAX_DAMAGED => {
                damaged += 1;
                continue;
            }
            Err(error) => {
                return Ok(Ended::Broke(format!(
                    "{} broke off: {error}",
                    shown(&reading.url)
                )));
            }
        };
        damaged = 0;
        since_start += 1;
        if !reading.live && stop.wait_until(pace.due(&demuxed.packet)) {
            return Err(Error::Stopped);
        }
        let mut result = Ok(());
        streams.convert(demuxed, |next| {
            if result.is_ok() {
                result = event(next);
            }
        });
        result?;
    }
}

/// When a file's packets are due.
#[derive(Debug, Default)]
struct Pace {
    /// The moment of timestamp 0, as of the newest packet, and that packet's timestamp.
    origin: Option<(Instant, i64)>,
    last: Option<Instant>,
    duration: Duration,
}

impl Pace {
    /// When `packet` is due: as long after the first as its timestamp says. Jumps are not waited for, and time that was
    /// lost elsewhere is not made up for beyond a second.
    fn due(&mut self, packet: &Packet) -> Instant {
        let now = Instant::now();
        let time = if packet.dts == Packet::UNKNOWN {
            packet.pts
        } else {
            packet.dts
        };
        let Some((moment, newest)) = self.origin.filter(|_| time != Packet::UNKNOWN) else {
            if time != Packet::UNKNOWN {
                self.origin = Some((now, time));
            }
            return *self.last.insert(now);
        };
        let step = time.saturating_sub(newest);
        let due = if step.abs() > HOLE {
            now
        } else if step < 0 {
            moment
                .checked_sub(Duration::from_micros(step.unsigned_abs()))
                .unwrap_or(now)
        } else {
            moment + Duration::from_micros(step.unsigned_abs())
        };
        let due = due.max(now.checked_sub(Duration::from_secs(1)).unwrap_or(now));
        self.origin = Some((due, time));
        self.duration = Duration::from_micros(packet.duration.clamp(0, HOLE).unsigned_abs());
        *self.last.insert(due)
    }

    /// When the newest packet's time is over.
    fn end(&self) -> Instant {
        self.last.unwrap_or_else(Instant::now) + self.duration
    }
}

/// Reads and publishes on this thread.
pub(in crate::ingest) fn run(
    reading: &Reading,
    mut pipeline: Pipeline,
    clock: &Clock,
    out: &Output,
) -> Result<(), Error> {
    let done = read(reading, &out.stop, &mut |event| {
        pipeline.handle(event, clock.now())?;
        pipeline
            .events()
            .into_iter()
            .try_for_each(|event| out.send(event))
    });
    if done.is_ok() {
        pipeline.handle(SourceEvent::End, clock.now())?;
        pipeline
            .events()
            .into_iter()
            .try_for_each(|event| out.send(event))?;
    }
    done
}

/// A URL without what is secret in it: what stands before `@`, and the query.
pub(in crate::ingest) fn shown(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.into();
    };
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    let (host, path) = rest
        .split_once('/')
        .map_or((rest, None), |(host, path)| (host, Some(path)));
    let host = host.rsplit('@').next().unwrap_or_default();
    path.map_or_else(
        || format!("{scheme}://{host}"),
        |path| format!("{scheme}://{host}/{path}"),
    )
}

fn cannot_open(reading: &Reading, error: ffmpeg_next::Error) -> String {
    let url = shown(&reading.url);
    let is_file = !reading.url.contains("://") && reading.format.is_none();
    if is_file && !Path::new(&reading.url).exists() {
        return format!(
            "input {url}: there is no such file; give testcard, a file or URL that FFmpeg reads, or v4l2:/dev/video0"
        );
    }
    let remedy = match error {
        ffmpeg_next::Error::InvalidData => {
            "FFmpeg does not know this format, or the file is damaged; try it with ffprobe"
        }
        ffmpeg_next::Error::ProtocolNotFound => {
            "this FFmpeg lacks the protocol; use another, or install an FFmpeg with it"
        }
        ffmpeg_next::Error::DemuxerNotFound => {
            "this FFmpeg lacks the device; install one with libavdevice"
        }
        _ => "check the address and that it may be read; try it with ffprobe",
    };
    format!("input {url} cannot be opened: {error}; {remedy}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_of_a_url_are_not_shown() {
        for (url, told) in [
            (
                "rtsp://me:secret@cam.local/live?token=1",
                "rtsp://cam.local/live",
            ),
            ("srt://0.0.0.0:9000?passphrase=secret", "srt://0.0.0.0:9000"),
            ("https://cam.local/a@b#secret", "https://cam.local/a@b"),
            ("/media/What? A film.mp4", "/media/What? A film.mp4"),
        ] {
            assert_eq!(shown(url), told);
        }
    }

    #[test]
    fn whoever_connects_cannot_choose_a_format_that_names_other_files() {
        for url in [
            "srt://0.0.0.0:9000?mode=listener",
            "tcp://[::]:9000?listen=1",
            "udp://:9000",
        ] {
            let options = Reading::url(url, false).options;
            assert_eq!(
                options,
                [("format_whitelist", STREAMED.to_owned())],
                "{url}"
            );
        }
        assert!(!STREAMED.contains("hls") && !STREAMED.contains("concat"));
    }
}
