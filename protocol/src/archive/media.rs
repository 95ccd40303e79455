//! A rendition's playlist over what is past: VOD, without parts (README §10).

use super::Segment;
use crate::{
    playlist::line,
    time::{DateTime, Seconds},
};

/// EXT-X-GAP (draft-pantos-hls-rfc8216bis §8).
pub(super) const VERSION: u8 = 8;

/// A playlist in the making. All renditions of a directory are given all of its segments, so that their numbers and
/// discontinuities agree; a segment that this one lacks is a gap, but for those before its first and behind its last.
#[derive(Clone, Default)]
pub(super) struct Media {
    body: String,
    started: bool,
    /// Segments, and discontinuities among them, before the first shown.
    skipped: (u64, u64),
    /// Lines for segments that it lacks, until one follows that it has.
    gaps: String,
    /// The init segment named last.
    init: Option<u32>,
    /// The segment before, of any rendition.
    last: Option<u64>,
    /// Microseconds.
    longest: u64,
    /// The next segment's time is to be written.
    date: bool,
}

impl Media {
    pub(super) fn new() -> Self {
        Self {
            date: true,
            ..Self::default()
        }
    }

    /// The next segment's time is written, also where it follows from those before.
    pub(super) fn tell_date(&mut self) {
        self.date = true;
    }

    /// The next segment in the order of their numbers; what it names lies below `folder`. `dates`: each one's time is written.
    pub(super) fn add(&mut self, segment: &Segment, rendition: &str, folder: &str, dates: bool) {
        let msn = segment.msn;
        let follows = self.last.replace(msn).is_none_or(|last| last + 1 == msn);
        let breaks = segment.discontinuity || !follows;
        let strand = segment.strand(rendition);
        if strand.is_none() && !self.started {
            self.skipped.0 += 1;
            self.skipped.1 += u64::from(breaks);
            return;
        }
        self.started = true;
        self.date |= dates || breaks;
        let out = &mut self.gaps;
        if breaks {
            out.push_str("#EXT-X-DISCONTINUITY\n");
        }
        if strand.is_some() && self.init.replace(segment.init) != Some(segment.init) {
            line(
                out,
                format_args!("#EXT-X-MAP:URI=\"{folder}init-{}.mp4\"\n", segment.init),
            );
        }
        if std::mem::take(&mut self.date) {
            line(
                out,
                format_args!("#EXT-X-PROGRAM-DATE-TIME:{}\n", DateTime(segment.start)),
            );
        }
        if strand.is_none() {
            out.push_str("#EXT-X-GAP\n");
        }
        let duration = strand.map_or(segment.duration(), |strand| strand.duration);
        self.longest = self.longest.max(duration);
        line(
            out,
            format_args!("#EXTINF:{},\n{folder}{msn}.m4s\n", Seconds(duration)),
        );
        if strand.is_some() {
            self.body.push_str(&self.gaps);
            self.gaps.clear();
        }
    }

    /// The whole; `None` where the rendition has nothing.
    pub(super) fn finish(&self) -> Option<String> {
        if !self.started {
            return None;
        }
        let mut out = format!(
            "#EXTM3U\n#EXT-X-VERSION:{VERSION}\n#EXT-X-INDEPENDENT-SEGMENTS\n#EXT-X-PLAYLIST-TYPE:VOD\n"
        );
        let target = ((self.longest + 500_000) / 1_000_000).max(1);
        line(&mut out, format_args!("#EXT-X-TARGETDURATION:{target}\n"));
        let (segments, discontinuities) = self.skipped;
        line(&mut out, format_args!("#EXT-X-MEDIA-SEQUENCE:{segments}\n"));
        line(
            &mut out,
            format_args!("#EXT-X-DISCONTINUITY-SEQUENCE:{discontinuities}\n"),
        );
        out.push_str(&self.body);
        out.push_str("#EXT-X-ENDLIST\n");
        Some(out)
    }
}
