//! A stretch of a stream's past as one MP4: our own parts one behind another, moved in time so that it begins with zero and
//! has no hole. Nothing is encoded anew, and nothing is stored: the length is known before, and any range of it can be asked for.

use std::{io, ops::Range, sync::Arc};

use axum::{
    extract::{RawQuery, State as FromState},
    http::{HeaderMap, HeaderValue, StatusCode},
    response::Response,
};
use bytes::Bytes;
use cid::Cid;
use meshlive_protocol::{
    archive::{Catalogue, HOUR, Labels, Segment, Strand, day_name, hour_name},
    dag::{self, DAG_PB},
};

use super::{
    State,
    archive::archive_of,
    blocks::Blocks,
    body::Source,
    clip::stretch,
    content::{Content, IMMUTABLE, Stored},
    error::{At, Refusal},
    ipfs::disposition,
    query, resolve,
    retime::{self, Shift},
    unixfs::{self, Node},
};
use crate::{
    archive::read::{self, block},
    metrics::Kind,
    store::Store,
};

/// Longest stretch, microseconds: a day, and the hour that one is longer where clocks are set back.
const LONGEST: u64 = 25 * HOUR;
/// Between two stretches that do not join, microseconds: one track may have ended a little behind another.
const SEAM: u64 = 100_000;
/// Pieces of which one is thrown away in the midst.
const BROKEN: &str = "a part of this stretch is not as the gateway wrote it";

/// What is sent.
pub(super) struct Recording {
    init: Bytes,
    /// Segment files in order, each with its bytes and its place in `shifts`.
    segments: Vec<(Cid, u64, usize)>,
    shifts: Vec<Shift>,
    /// A name of all of it: what differs has another.
    name: Cid,
    audio_only: bool,
}

/// Why there is none.
enum Failed {
    Nothing,
    /// From this time on (µs) another init segment is needed.
    Changes(u64),
    Disk(io::Error),
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Self {
        Self::Disk(error)
    }
}

impl Recording {
    /// Bytes of the file.
    pub(super) fn length(&self) -> u64 {
        let segments = self.segments.iter().map(|(_, bytes, _)| bytes);
        self.init.len() as u64 + segments.sum::<u64>()
    }

    /// A range of the file.
    pub(super) fn bytes(
        self: Arc<Self>,
        blocks: Arc<Blocks>,
        range: &Range<u64>,
    ) -> impl Source + use<> {
        let init = self.init.len() as u64;
        let head = range.start.min(init) as usize..range.end.min(init) as usize;
        let wanted = range.start.saturating_sub(init)..range.end.saturating_sub(init);
        let (mut left, mut start) = (Vec::new(), 0);
        for (cid, size, shift) in &self.segments {
            let end = start + size;
            let (from, to) = (wanted.start.max(start), wanted.end.min(end));
            if from < to {
                left.push((*cid, *size, from - start..to - start, *shift));
            }
            start = end;
        }
        left.reverse();
        Reading {
            head: (!head.is_empty()).then(|| self.init.slice(head)),
            recording: self,
            blocks,
            left,
        }
    }
}

struct Reading {
    recording: Arc<Recording>,
    blocks: Arc<Blocks>,
    head: Option<Bytes>,
    /// The next one last: a segment or a part, its bytes, those wanted of them, and how it is moved.
    left: Vec<(Cid, u64, Range<u64>, usize)>,
}

impl Source for Reading {
    async fn next(mut self) -> io::Result<Option<(Bytes, Self)>> {
        if let Some(head) = self.head.take() {
            return Ok(Some((head, self)));
        }
        let broken = || io::Error::new(io::ErrorKind::InvalidData, BROKEN);
        while let Some((cid, size, wanted, by)) = self.left.pop() {
            let block = resolve::load(&self.blocks, cid).await?;
            let block = block.ok_or(io::ErrorKind::NotFound)?;
            if cid.codec() == DAG_PB {
                let Ok(Node::File(children)) = Node::parse(&block) else {
                    return Err(broken());
                };
                let inside = unixfs::overlapping(&children, &wanted).into_iter().rev();
                self.left
                    .extend(inside.map(|(cid, size, wanted)| (cid, size, wanted, by)));
                continue;
            }
            if block.len() as u64 != size {
                return Err(broken());
            }
            let mut part = block.to_vec();
            retime::shift(&mut part, &self.recording.shifts[by]).ok_or_else(broken)?;
            let part = Bytes::from(part).slice(wanted.start as usize..wanted.end as usize);
            return Ok(Some((part, self)));
        }
        Ok(None)
    }
}

/// `GET /api/v1/streams/{stream}/archive/recording.mp4?from=SECONDS&to=SECONDS&rendition=ID`: from the segment that is on
/// screen at `from` (since the Unix epoch) to the one before `to`; without `rendition` the best one.
pub(super) async fn recording(
    FromState(state): FromState<State>,
    At(name): At<String>,
    RawQuery(asked): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let archive = archive_of(&state, &name)?;
    let asked = asked.unwrap_or_default();
    let range = stretch(&asked, LONGEST).ok_or(Refusal::wrong(
        "from and to are not times in seconds since 1970, at most 25 hours apart",
    ))?;
    let from = range.start;
    let rendition = query::value(&asked, "rendition").map(str::to_owned);
    let (store, catalogue, labels) = (state.store.clone(), archive.catalogue(), archive.labels());
    let _turn = (state.recordings.acquire().await).expect("this semaphore is never closed");
    let made = tokio::task::spawn_blocking(move || {
        plan(&store, &catalogue, &labels, &range, rendition.as_deref())
    });
    let made = made
        .await
        .map_err(|_| Refusal::busy("the reading failed"))?;
    let recording = made.map_err(|failed| match failed {
        Failed::Nothing => Refusal::absent("nothing of this time is kept here in this rendition"),
        Failed::Changes(at) => Refusal::new(
            StatusCode::CONFLICT,
            format!(
                "the codec or the picture's size changes at {} ({} seconds since 1970), and an MP4 has one: \
                 ask for the time before and the time from then on",
                clock(at),
                at.div_ceil(1_000_000)
            ),
        ),
        Failed::Disk(error) if error.kind() == io::ErrorKind::NotFound => {
            Refusal::absent("an hour of this time is not kept here any more")
        }
        Failed::Disk(error) => Refusal::unreadable(&error),
    })?;
    let (kind, end) = match recording.audio_only {
        true => ("audio/mp4", "m4a"),
        false => ("video/mp4", "mp4"),
    };
    let content = Content {
        kind: Kind::Part,
        etag: format!("\"{}\"", recording.name),
        media_type: HeaderValue::from_static(kind),
        cache: IMMUTABLE,
        bytes: Stored::Recording(Arc::new(recording)),
    };
    let mut answer = content.answer(&state, &headers);
    // More may come for the time that was asked for.
    let newest = HeaderValue::from_static("public, no-cache");
    (answer.headers_mut()).insert(axum::http::header::CACHE_CONTROL, newest);
    let file = format!("{name}-{}.{end}", clock(from).replace(':', ""));
    disposition(&mut answer, "attachment", &file);
    Ok(answer)
}

/// `2026-11-22T10:00:07Z`
fn clock(at: u64) -> String {
    let (day, hour) = (day_name(at / HOUR / 24), hour_name(at / HOUR));
    let seconds = at % HOUR / 1_000_000;
    format!("{day}T{hour}:{:02}:{:02}Z", seconds / 60, seconds % 60)
}

fn plan(
    store: &Store,
    catalogue: &Catalogue,
    labels: &Labels,
    range: &Range<u64>,
    rendition: Option<&str>,
) -> Result<Recording, Failed> {
    let hours = (range.start / HOUR).saturating_sub(1)..range.end / HOUR + 1;
    let (mut found, mut chosen) = (Vec::new(), None);
    for (_, entry) in catalogue.hours().range(hours) {
        // The hour before may have been let go: what reaches from it into this time is then not there.
        let hour = match read::hour(store, entry.link.cid) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            hour => hour?,
        };
        let inside: Vec<&Segment> = (hour.segments())
            .filter(|segment| {
                segment.start < range.end && segment.start + segment.duration() > range.start
            })
            .collect();
        if inside.is_empty() {
            continue;
        }
        let id = match (&chosen, rendition) {
            (Some((id, _)), _) => String::clone(id),
            (None, wanted) => {
                let all = (hour.renditions.iter())
                    .filter(|one| wanted.is_none_or(|wanted| one.id == wanted));
                let best = all.max_by_key(|one| (!one.audio_only(), one.bandwidth));
                let Some(best) = best else { continue };
                chosen = Some((best.id.clone(), best.audio_only()));
                best.id.clone()
            }
        };
        for segment in inside {
            let mut strands = segment.strands.iter();
            if let Some(strand) = strands.find(|strand| *strand.rendition == *id) {
                found.push((
                    segment.msn,
                    segment.start,
                    segment.discontinuity,
                    strand.clone(),
                ));
            }
        }
    }
    let (Some((_, audio_only)), Some(first)) = (chosen, found.first()) else {
        return Err(Failed::Nothing);
    };
    let cid = first.3.init.cid;
    if let Some((_, at, _, _)) = found
        .iter()
        .find(|(_, _, _, strand)| strand.init.cid != cid)
    {
        return Err(Failed::Changes(*at));
    }
    assemble(store, labels, cid, &found, audio_only)
}

/// Number, beginning and files of segments, in order, which all need the same init segment.
fn assemble(
    store: &Store,
    labels: &Labels,
    init: Cid,
    found: &[(u64, u64, bool, Strand)],
    audio_only: bool,
) -> Result<Recording, Failed> {
    let broken = || Failed::Disk(io::Error::new(io::ErrorKind::InvalidData, BROKEN));
    let init = block(store, init)?;
    let tracks = retime::tracks(&init).ok_or_else(broken)?;
    let (mut segments, mut shifts) = (Vec::new(), Vec::new());
    let (mut end, mut before, mut named) = (0_u64, None, Vec::new());
    let mut chapters = Vec::new();
    for (msn, start, discontinuity, strand) in found {
        let node = block(store, strand.file.cid)?;
        let Ok(Node::File(parts)) = Node::parse(&node) else {
            return Err(broken());
        };
        let size = parts.iter().map(|(_, size)| size).sum();
        if *discontinuity || before != Some(msn.wrapping_sub(1)) {
            let (first, _) = parts.first().ok_or_else(broken)?;
            let begin = if before.is_none() { 0 } else { end + SEAM };
            let times = retime::times(&block(store, *first)?).ok_or_else(broken)?;
            shifts.push(to_begin_at(begin, &tracks, &times).ok_or_else(broken)?);
            end = begin;
        }
        for (at, name) in labels.within(&(*start..start + strand.duration)) {
            chapters.push((end + (at - start), name));
        }
        end += strand.duration;
        before = Some(*msn);
        segments.push((strand.file.cid, size, shifts.len() - 1));
        named.extend_from_slice(&strand.file.cid.to_bytes());
    }
    // One file takes so many.
    chapters.truncate(usize::from(u8::MAX));
    let title = (found.iter()).find_map(|(_, start, _, _)| labels.titles.get(&(start / HOUR)));
    let init = retime::with_duration(&init, end / 1000)
        .and_then(|init| retime::with_names(&init, title.map(String::as_str), &chapters))
        .ok_or_else(broken)?;
    named.extend_from_slice(&init);
    Ok(Recording {
        init: init.into(),
        segments,
        shifts,
        name: dag::cid_of(&named),
        audio_only,
    })
}

/// How parts are moved of which the first has these times, for its first track to begin at `begin` (µs). All tracks are
/// moved by the same time: what was heard with a picture stays with it.
fn to_begin_at(begin: u64, tracks: &[(u32, u32)], times: &[(u32, u64)]) -> Option<Shift> {
    let ticks = |track: u32| tracks.iter().find(|(number, _)| *number == track);
    let seconds = |(track, time): &(u32, u64)| {
        let (_, ticks) = ticks(*track)?;
        Some(u128::from(*time) * 1_000_000 / u128::from(*ticks))
    };
    let all: Option<Vec<u128>> = times.iter().map(seconds).collect();
    let first = all?.into_iter().min()?;
    let shift = tracks.iter().map(|(number, ticks)| {
        let at = |micros: u128| micros * u128::from(*ticks) / 1_000_000;
        let by = (at(u128::from(begin)) as u64).wrapping_sub(at(first) as u64);
        (*number, by)
    });
    Some(shift.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tracks_move_together_and_the_first_begins_where_it_is_to() {
        let tracks = [(1, 90_000), (2, 48_000)];
        // Video at 100 s, sound 10 ms earlier.
        let times = [(1, 9_000_000), (2, 4_799_520)];
        let moved = |begin| {
            let shift = to_begin_at(begin, &tracks, &times).unwrap();
            [0, 1].map(|at| times[at].1.wrapping_add(shift[at].1))
        };
        assert_eq!(moved(0), [900, 0]);
        assert_eq!(moved(2_000_000), [180_900, 96_000]);
        assert_eq!(to_begin_at(0, &tracks, &[(3, 1)]), None);
        assert_eq!(to_begin_at(0, &tracks, &[]), None);
    }

    #[test]
    fn times_are_said_as_people_read_them() {
        assert_eq!(clock(1_795_341_607_900_000), "2026-11-22T10:00:07Z");
    }
}
