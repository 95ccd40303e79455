//! The live window as LL-HLS (draft-pantos-hls-rfc8216bis §4; README §7).
//!
//! Everything comes from the [`Manifest`], so gateway and viewer write the same bytes. URIs are relative to
//! `/live/{stream}/`, where both kinds of playlist are.

use std::fmt::{self, Write};

use crate::manifest::{Manifest, PartEntry, Segment};

/// What a player must understand: EXT-X-SKIP (RFC 8216bis §8).
const VERSION: u8 = 9;
/// Parts are listed for segments that end less than this many target durations before the playlist's end
/// (§4.4.4.9 asks for no more; older segments are fetched whole).
const PARTS_FOR_TARGETS: u64 = 3;
/// CAN-SKIP-UNTIL in target durations: the least that §4.4.3.8 allows.
const SKIP_TARGETS: u64 = 6;

/// Which renditions a multivariant playlist holds.
///
/// Players drop audio-only variants that stand beside video ones, so "audio only" is a playlist of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Selection {
    /// All with video; where there are none, all.
    #[default]
    Main,
    /// All without video.
    AudioOnly,
}

/// Whether the player has the older segments already (`_HLS_skip=YES`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Skip {
    /// The whole playlist.
    #[default]
    No,
    /// A delta update (§6.2.5.1), where it would leave out anything.
    Yes,
}

/// The multivariant playlist, best first. It has no variants before the first rendition is announced.
pub fn multivariant(manifest: &Manifest, selection: Selection) -> String {
    let mut live: Vec<_> = manifest
        .renditions()
        .iter()
        .filter(|entry| !entry.withdrawn)
        .collect();
    let video = live.iter().any(|entry| !entry.rendition.audio_only());
    live.retain(|entry| match selection {
        Selection::Main => !(video && entry.rendition.audio_only()),
        Selection::AudioOnly => entry.rendition.audio_only(),
    });
    // Players begin with the first; equals stay in the order of their announcement.
    live.sort_by_key(|entry| std::cmp::Reverse(entry.rendition.bandwidth));
    let mut out = format!("#EXTM3U\n#EXT-X-VERSION:{VERSION}\n#EXT-X-INDEPENDENT-SEGMENTS\n");
    for entry in live {
        let rendition = &entry.rendition;
        line(
            &mut out,
            format_args!("#EXT-X-STREAM-INF:BANDWIDTH={},", rendition.bandwidth),
        );
        line(&mut out, format_args!("CODECS=\"{}\"", rendition.codecs));
        if rendition.width > 0 {
            line(
                &mut out,
                format_args!(",RESOLUTION={}x{}", rendition.width, rendition.height),
            );
        }
        if rendition.frame_rate > 0 {
            let (whole, thousandths) = (rendition.frame_rate / 1000, rendition.frame_rate % 1000);
            line(
                &mut out,
                format_args!(",FRAME-RATE={whole}.{thousandths:03}"),
            );
        }
        line(&mut out, format_args!("\n{}.m3u8\n", rendition.id));
    }
    out
}

/// The media playlist of a rendition; `None` if there is no such rendition, or nothing of it yet.
pub fn media(manifest: &Manifest, rendition_id: &str, skip: Skip) -> Option<String> {
    let index = manifest.rendition_index(rendition_id)?;
    let view = View::new(manifest, index)?;
    let skipped = if skip == Skip::Yes {
        view.skippable()
    } else {
        0
    };
    let mut out = String::with_capacity(200 * view.segments.len() + 2000);
    view.head(&mut out);
    if skipped > 0 {
        line(
            &mut out,
            format_args!("#EXT-X-SKIP:SKIPPED-SEGMENTS={skipped}\n"),
        );
    }
    for at in skipped..view.segments.len() {
        view.segment(&mut out, at);
    }
    view.tail(&mut out);
    Some(out)
}

/// What one rendition's playlist shows of the window.
struct View<'a> {
    manifest: &'a Manifest,
    index: usize,
    id: &'a str,
    /// From the first segment that has parts of the rendition to its newest.
    segments: Vec<&'a Segment>,
    /// Of each, microseconds from its end to the playlist's end.
    behind: Vec<u64>,
    /// Discontinuities before the first of them.
    discontinuities: u64,
}

impl<'a> View<'a> {
    fn new(manifest: &'a Manifest, index: usize) -> Option<Self> {
        let entry = &manifest.renditions()[index];
        let has_parts = |segment: &Segment| !segment.parts(index).is_empty();
        let first = manifest.segments().position(has_parts)?;
        let last = manifest.segments().rposition(has_parts)?;
        let before = manifest
            .segments()
            .take(first)
            .filter(|segment| segment.discontinuity)
            .count() as u64;
        let mut view = Self {
            manifest,
            index,
            id: &entry.rendition.id,
            behind: vec![0; last + 1 - first],
            segments: manifest
                .segments()
                .skip(first)
                .take(last + 1 - first)
                .collect(),
            discontinuities: manifest.discontinuity_sequence() + before,
        };
        for at in (1..view.segments.len()).rev() {
            view.behind[at - 1] = view.behind[at] + view.duration(view.segments[at]);
        }
        Some(view)
    }

    fn part_target(&self) -> u64 {
        u64::from(self.manifest.renditions()[self.index].rendition.part_target)
    }

    fn target_micros(&self) -> u64 {
        u64::from(self.manifest.settings().target_duration) * 1_000_000
    }

    /// CAN-SKIP-UNTIL, microseconds; `None` where the window holds too little to skip any of it. The same for a
    /// stream's whole life.
    fn skip_until(&self) -> Option<u64> {
        let until = SKIP_TARGETS * self.target_micros();
        (self.manifest.settings().window > until).then_some(until)
    }

    /// Whether nothing will follow in this playlist.
    fn ended(&self) -> bool {
        self.manifest.ended() || self.manifest.renditions()[self.index].withdrawn
    }

    /// Microseconds; a segment without parts of this rendition lasts as long as in the others.
    fn duration(&self, segment: &Segment) -> u64 {
        match segment.strand(self.index).duration() {
            0 => segment.duration(),
            duration => duration,
        }
    }

    /// How many of the oldest segments lie beyond the skip boundary.
    fn skippable(&self) -> usize {
        let Some(until) = self.skip_until() else {
            return 0;
        };
        self.behind
            .iter()
            .take_while(|behind| **behind >= until)
            .count()
    }

    fn head(&self, out: &mut String) {
        let settings = self.manifest.settings();
        line(
            out,
            format_args!("#EXTM3U\n#EXT-X-VERSION:{VERSION}\n#EXT-X-INDEPENDENT-SEGMENTS\n"),
        );
        line(
            out,
            format_args!("#EXT-X-TARGETDURATION:{}\n", settings.target_duration),
        );
        // Below three part targets a player that asks for the next part has no second one left to show (§4.4.3.8).
        let hold_back = Seconds(settings.hold_back.max(3 * self.part_target()));
        line(
            out,
            format_args!("#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK={hold_back}"),
        );
        if let Some(until) = self.skip_until() {
            line(out, format_args!(",CAN-SKIP-UNTIL={}", Seconds(until)));
        }
        line(
            out,
            format_args!(
                "\n#EXT-X-PART-INF:PART-TARGET={}\n",
                Seconds(self.part_target())
            ),
        );
        line(
            out,
            format_args!("#EXT-X-MEDIA-SEQUENCE:{}\n", self.segments[0].msn),
        );
        line(
            out,
            format_args!("#EXT-X-DISCONTINUITY-SEQUENCE:{}\n", self.discontinuities),
        );
    }

    fn segment(&self, out: &mut String, at: usize) {
        let segment = self.segments[at];
        let strand = segment.strand(self.index);
        let msn = segment.msn;
        if segment.discontinuity {
            out.push_str("#EXT-X-DISCONTINUITY\n");
        }
        if at == 0 || self.segments[at - 1].init != segment.init {
            line(
                out,
                format_args!("#EXT-X-MAP:URI=\"{}/init-{}.mp4\"\n", self.id, segment.init),
            );
        }
        line(
            out,
            format_args!("#EXT-X-PROGRAM-DATE-TIME:{}\n", DateTime(segment.start)),
        );
        if self.behind[at] < PARTS_FOR_TARGETS * self.target_micros() {
            for (part, entry) in strand.parts.iter().enumerate() {
                self.part(out, msn, part, entry);
            }
        }
        if strand.root.is_some() || strand.parts.is_empty() {
            if strand.parts.is_empty() {
                out.push_str("#EXT-X-GAP\n");
            }
            let duration = Seconds(self.duration(segment));
            line(
                out,
                format_args!("#EXTINF:{duration},\n{}/{msn}.m4s\n", self.id),
            );
        }
    }

    fn part(&self, out: &mut String, msn: u64, part: usize, entry: &PartEntry) {
        let duration = Seconds(u64::from(entry.duration));
        line(
            out,
            format_args!(
                "#EXT-X-PART:DURATION={duration},URI=\"{}/{msn}.{part}.m4s\"",
                self.id
            ),
        );
        out.push_str(if entry.independent {
            ",INDEPENDENT=YES\n"
        } else {
            "\n"
        });
    }

    fn tail(&self, out: &mut String) {
        if self.ended() {
            out.push_str("#EXT-X-ENDLIST\n");
            return;
        }
        let last = self.segments[self.segments.len() - 1];
        let strand = last.strand(self.index);
        let (msn, part) = match strand.root {
            Some(_) => (last.msn + 1, 0),
            None => (last.msn, strand.parts.len()),
        };
        line(
            out,
            format_args!(
                "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"{}/{msn}.{part}.m4s\"\n",
                self.id
            ),
        );
        for (index, entry) in self.manifest.renditions().iter().enumerate() {
            if index == self.index || entry.withdrawn {
                continue;
            }
            let Some((msn, part)) = self.manifest.latest_at(index) else {
                continue;
            };
            let id = &entry.rendition.id;
            line(
                out,
                format_args!(
                    "#EXT-X-RENDITION-REPORT:URI=\"{id}.m3u8\",LAST-MSN={msn},LAST-PART={part}\n"
                ),
            );
        }
    }
}

fn line(out: &mut String, text: fmt::Arguments) {
    out.write_fmt(text)
        .expect("a String takes all that is written to it");
}

/// Microseconds, shown as seconds with six decimals.
struct Seconds(u64);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06}", self.0 / 1_000_000, self.0 % 1_000_000)
    }
}

/// Microseconds since the Unix epoch, shown as ISO 8601 in UTC with milliseconds.
struct DateTime(u64);

impl fmt::Display for DateTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (second, millisecond) = (self.0 / 1_000_000, self.0 / 1000 % 1000);
        let (year, month, day) = civil_date(second / 86_400);
        let (hour, minute, second) = (second / 3600 % 24, second / 60 % 60, second % 60);
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millisecond:03}Z"
        )
    }
}

/// Year, month and day in the Gregorian calendar of a day counted from 1970-01-01.
fn civil_date(mut day: u64) -> (u64, u64, u64) {
    let leap =
        |year: u64| year.is_multiple_of(4) && !year.is_multiple_of(100) || year.is_multiple_of(400);
    // Years and months are walked, in eras of 400 years that are all 146,097 days long.
    let mut year = 1970 + day / 146_097 * 400;
    day %= 146_097;
    loop {
        let length = if leap(year) { 366 } else { 365 };
        if day < length {
            break;
        }
        day -= length;
        year += 1;
    }
    let february = if leap(year) { 29 } else { 28 };
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if day < length {
            break;
        }
        day -= length;
        month += 1;
    }
    (year, month, day + 1)
}
