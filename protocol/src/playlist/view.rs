//! One rendition's media playlist, tag by tag (README §7).

use super::{Group, VERSION, line};
use crate::{
    manifest::{Manifest, PartEntry, Segment},
    time::{DateTime, Seconds},
};

/// Parts are listed in the segment of the next part and this many before it. Draft §4.4.4.9 wants them gone once
/// they are more than three target durations old, and a strict parser counts three segments for that; who is
/// further behind takes whole segments.
const SEGMENTS_WITH_PARTS: u64 = 2;
/// CAN-SKIP-UNTIL in target durations: the least that §4.4.3.8 allows.
const SKIP_TARGETS: u64 = 6;

/// What one rendition's playlist shows of the window.
pub(super) struct View<'a> {
    manifest: &'a Manifest,
    index: usize,
    id: &'a str,
    /// From the first segment that has parts of the rendition to its newest.
    pub(super) segments: Vec<&'a Segment>,
    /// Of each, microseconds from its end to the playlist's end.
    behind: Vec<u64>,
    /// Discontinuities before the first of them.
    discontinuities: u64,
    /// The segments whose parts are listed several at a time.
    groups: &'a [Group],
}

impl<'a> View<'a> {
    pub(super) fn new(manifest: &'a Manifest, index: usize) -> Option<Self> {
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
            groups: &[],
        };
        for at in (1..view.segments.len()).rev() {
            view.behind[at - 1] = view.behind[at] + view.duration(view.segments[at]);
        }
        Some(view)
    }

    pub(super) fn grouped(self, groups: &'a [Group]) -> Self {
        Self { groups, ..self }
    }

    /// How many parts of a segment are listed at a time.
    fn group(&self, msn: u64) -> usize {
        let group = self.groups.iter().find(|group| group.msn == msn);
        group.map_or(1, |group| usize::from(group.parts.max(1)))
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

    /// Segment and number of the part that comes next, as far as is known.
    fn next_part(&self) -> (u64, usize) {
        let last = self.segments[self.segments.len() - 1];
        let strand = last.strand(self.index);
        match strand.root {
            Some(_) => (last.msn + 1, 0),
            None => (last.msn, strand.parts.len()),
        }
    }

    /// How many of the oldest segments lie beyond the skip boundary.
    pub(super) fn skippable(&self) -> usize {
        let Some(until) = self.skip_until() else {
            return 0;
        };
        self.behind
            .iter()
            .take_while(|behind| **behind >= until)
            .count()
    }

    pub(super) fn head(&self, out: &mut String) {
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
        let listed = self.groups.iter().map(|group| group.parts.max(1)).max();
        line(
            out,
            format_args!(
                "\n#EXT-X-PART-INF:PART-TARGET={}\n",
                Seconds(u64::from(listed.unwrap_or(1)) * self.part_target())
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

    /// The segment at `at`; `first`: nothing is written before it. Its init segment is then named also behind a skip,
    /// because not every player remembers it.
    pub(super) fn segment(&self, out: &mut String, at: usize, first: bool) {
        let segment = self.segments[at];
        let strand = segment.strand(self.index);
        let msn = segment.msn;
        if segment.discontinuity {
            out.push_str("#EXT-X-DISCONTINUITY\n");
        }
        if first || self.segments[at - 1].init != segment.init {
            line(
                out,
                format_args!("#EXT-X-MAP:URI=\"{}/init-{}.mp4\"\n", self.id, segment.init),
            );
        }
        line(
            out,
            format_args!("#EXT-X-PROGRAM-DATE-TIME:{}\n", DateTime(segment.start)),
        );
        if msn + SEGMENTS_WITH_PARTS >= self.next_part().0 {
            let size = self.group(msn);
            for (at, parts) in strand.parts.chunks(size).enumerate() {
                if parts.len() == size || strand.root.is_some() || self.ended() {
                    self.parts(out, msn, at * size, parts);
                }
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

    /// One line for these parts, the first of which has the number `first`.
    fn parts(&self, out: &mut String, msn: u64, first: usize, parts: &[PartEntry]) {
        let duration = Seconds(parts.iter().map(|part| u64::from(part.duration)).sum());
        line(
            out,
            format_args!(
                "#EXT-X-PART:DURATION={duration},URI=\"{}/{msn}.{first}",
                self.id
            ),
        );
        if parts.len() > 1 {
            line(out, format_args!("-{}", first + parts.len() - 1));
        }
        out.push_str(if parts[0].independent {
            ".m4s\",INDEPENDENT=YES\n"
        } else {
            ".m4s\"\n"
        });
    }

    pub(super) fn tail(&self, out: &mut String) {
        if self.ended() {
            out.push_str("#EXT-X-ENDLIST\n");
            return;
        }
        let (msn, part) = self.next_part();
        line(
            out,
            format_args!(
                "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"{}/{msn}.{part}.m4s\"\n",
                self.id
            ),
        );
        if !self.groups.is_empty() {
            return;
        }
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
