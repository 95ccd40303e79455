//! A file that is read to its end as fast as it goes, at a time that is given: for what is past already.

use super::{
    Error, Settings,
    ffmpeg::Demuxer,
    media::{Event, Packet, SourceEvent},
    pipeline::Pipeline,
    source::Streams,
};

/// Damaged reads in a row before the file counts as broken.
const MAX_DAMAGED: u32 = 100;

/// Tells what is in the file (as FFmpeg takes it, with these options) as if it had come in at `start`, µs since 1970, and
/// for each event the time at which it would have come.
///
/// # Errors
/// A file that cannot be read, or has neither video nor sound; and what `out` says.
pub(crate) fn read(
    url: &str,
    options: &[(&str, String)],
    settings: Settings,
    start: u64,
    out: &mut dyn FnMut(Event, u64) -> Result<(), Error>,
) -> Result<(), Error> {
    let refused = |error: &dyn std::fmt::Display| {
        Error::refused(format!("{url} cannot be read ({error}): give another file"))
    };
    let mut demuxer =
        Demuxer::open(url, None, options, || false).map_err(|error| refused(&error))?;
    let mut streams = Streams::new(demuxer.streams());
    if streams.is_empty() {
        return Err(refused(&"it has neither video nor sound"));
    }
    let mut pipeline = Pipeline::new(settings);
    let (mut now, mut first, mut damaged) = (start, None, 0);
    pipeline.handle(streams.event(), now)?;
    loop {
        let demuxed = match demuxer.read() {
            Ok(Some(demuxed)) => demuxed,
            Ok(None) => break,
            Err(ffmpeg_next::Error::InvalidData) if damaged < MAX_DAMAGED => {
                damaged += 1;
                continue;
            }
            Err(error) => return Err(refused(&error)),
        };
        damaged = 0;
        let Packet { dts, pts, .. } = demuxed.packet;
        let time = if dts == Packet::UNKNOWN { pts } else { dts };
        if time != Packet::UNKNOWN {
            let since = time.saturating_sub(*first.get_or_insert(time));
            now = now.max(start.saturating_add(u64::try_from(since).unwrap_or(0)));
        }
        let mut result = Ok(());
        streams.convert(demuxed, |event| {
            if result.is_ok() {
                result = pipeline.handle(event, now);
            }
        });
        result?;
        for event in pipeline.events() {
            out(event, now)?;
        }
    }
    pipeline.handle(SourceEvent::End, now)?;
    for event in pipeline.events() {
        out(event, now)?;
    }
    out(Event::End, now)
}
