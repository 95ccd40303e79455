//! What is past of the run that is on air, from the hour before on: the player's way back from live into the archive, before
//! its hour has closed. `/live/{stream}/earlier/index.m3u8` and a playlist for each rendition, without parts, whose segments are
//! named by their CIDs; it ends where live does, to a segment. Who has it already asks for what is new alone (`_HLS_skip`).
//! The last line of each is its proof: its hour is in no signed list yet.

use std::{collections::BTreeMap, io, sync::Arc};

use axum::{
    extract::{RawQuery, State as FromState},
    http::HeaderMap,
    response::Response,
};
use cid::Cid;
use meshlive_protocol::{
    archive::{HOUR, Hour, Segment, Vouched},
    manifest::Rendition,
    playlist::{self, Selection},
    time::{DateTime, Seconds},
};
use tokio::{
    sync::{Mutex, OnceCell},
    task::spawn_blocking,
};

use super::{
    State,
    error::{At, Refusal},
    live::{Live, Playlist, Rendering},
    playlists, query,
};
use crate::{
    archive::{Archive, read},
    store::Store,
};

const NOTHING: &str = "nothing of this stream is past that is still on air";
/// EXT-X-SKIP (RFC 8216bis §8).
const VERSION: u8 = 9;
/// CAN-SKIP-UNTIL in target durations: the least that RFC 8216bis §4.4.3.8 allows.
const SKIP_TARGETS: u64 = 6;

/// The run as it was when someone asked last, and its playlists: one rendering serves all who ask before the next segment.
/// At most two playlists for each rendition and one more.
#[derive(Default)]
pub(super) struct Kept(Mutex<Option<Arc<Run>>>);

/// What was known when a run was read: as long as it is the same, so is the run.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Edge {
    newest: Option<u64>,
    count: usize,
    /// The hour before the first that is not over, where it has closed.
    before: Option<Cid>,
    /// Of a mirror, the newest segment of which it has proofs: there its run ends.
    proved: Option<u64>,
}

/// The segments that follow on each other up to the newest, and the playlists that were made of them.
pub(super) struct Run {
    edge: Edge,
    /// Kept for the next run: it is read once an hour.
    before: Arc<Hour>,
    segments: Arc<Vec<Segment>>,
    renditions: Arc<Vec<Rendition>>,
    /// All that there are, made when one is asked for.
    playlists: BTreeMap<Playlist, OnceCell<Option<Rendering>>>,
}

/// `GET /live/{stream}/earlier/index.m3u8`
pub(super) async fn multivariant(
    FromState(state): FromState<State>,
    At(name): At<String>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let playlist = Playlist::Multivariant { audio_only: false };
    answer(&state, &name, &playlist, &headers).await
}

/// `GET /live/{stream}/earlier/{rendition}/index.m3u8[?_HLS_skip=YES]`
pub(super) async fn media(
    FromState(state): FromState<State>,
    At((name, rendition)): At<(String, String)>,
    RawQuery(asked): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let reload = query::reload(asked.as_deref().unwrap_or("")).map_err(Refusal::wrong)?;
    let skip = reload.skip;
    let playlist = Playlist::Media { rendition, skip };
    answer(&state, &name, &playlist, &headers).await
}

async fn answer(
    state: &State,
    name: &str,
    playlist: &Playlist,
    headers: &HeaderMap,
) -> Result<Response, Refusal> {
    let live = state.live(name)?;
    let run = run(&state.store, &live).await?;
    let run = run.ok_or(Refusal::absent(NOTHING))?;
    let made = run.playlist(&live, playlist).await?;
    let made = made.ok_or(Refusal::absent(NOTHING))?;
    Ok(playlists::answer(state, headers, made))
}

/// `GET /live/{stream}/earlier/proofs`: the last lines of all of these playlists, for mirrors, which make the rest themselves.
pub(super) async fn proofs(
    FromState(state): FromState<State>,
    At(name): At<String>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let live = state.live(&name)?;
    let run = run(&state.store, &live).await?;
    let run = run.ok_or(Refusal::absent(NOTHING))?;
    let mut lines = String::new();
    for playlist in run.playlists.keys() {
        let Some(made) = run.playlist(&live, playlist).await? else {
            continue;
        };
        let text = std::str::from_utf8(&made.plain).expect("playlists are text");
        lines.extend(Vouched::line(text).map(|line| format!("{line}\n")));
    }
    Ok(playlists::answer(&state, &headers, &Rendering::of(lines)))
}

/// The run that is on air, as it is now; `None` where nothing is past of it.
pub(super) async fn run(store: &Store, live: &Live) -> Result<Option<Arc<Run>>, Refusal> {
    let archive = live.stream.archive().cloned();
    let archive = archive.ok_or(Refusal::absent("no archive is kept of this stream"))?;
    // Whoever comes first reads, the others wait for that.
    let mut kept = live.earlier.0.lock().await;
    let known = kept.clone();
    archive.want_proofs();
    let edge = |archive: &Archive, before| {
        let (newest, count) = archive.open_edge();
        Edge {
            newest,
            count,
            before,
            proved: archive.proved_to(),
        }
    };
    let is_new = known.as_ref().is_none_or(|known| {
        // What closes an hour changes the count. Between two hours nothing is open for a moment: what was on air still is.
        let now = edge(&archive, known.edge.before);
        known.edge != now && now.newest.is_some()
    });
    if is_new {
        let store = store.clone();
        let read = spawn_blocking(move || {
            let open = archive.open_hours();
            let before = before(&archive, &open);
            let edge = Edge {
                newest: open.segments().next_back().map(|one| one.msn),
                count: open.segments().len(),
                before,
                proved: archive.proved_to(),
            };
            // A mirror may have known of it before it had it.
            let is_read = |known: &Arc<Run>| known.before.segments().len() > 0;
            let known = known.filter(|known| known.edge.before == before && is_read(known));
            let hour = match (known, before) {
                (Some(known), _) => known.before.clone(),
                (None, Some(cid)) => Arc::new(read_or_none(&store, cid)),
                (None, None) => Arc::default(),
            };
            Run::of(edge, hour, &open)
        });
        let read = read
            .await
            .map_err(|_| Refusal::busy("the reading failed"))?;
        *kept = Some(Arc::new(read));
    }
    Ok(kept.clone().filter(|run| !run.segments.is_empty()))
}

/// One that is not here, or damaged, is no reason to show nothing.
fn read_or_none(store: &Store, cid: Cid) -> Hour {
    read::hour(store, cid).unwrap_or_else(|error| {
        if error.kind() != io::ErrorKind::NotFound {
            tracing::warn!(%cid, %error, "the hour before the one on air cannot be read");
        }
        Hour::default()
    })
}

/// The hour before the first that is not over, where it has closed.
fn before(archive: &Archive, open: &Hour) -> Option<Cid> {
    let first = open.segments().next()?.hour();
    let catalogue = archive.catalogue();
    let entry = catalogue.hours().get(&first.checked_sub(1)?);
    entry.map(|entry| entry.link.cid)
}

impl Run {
    fn of(edge: Edge, before: Arc<Hour>, open: &Hour) -> Self {
        let mut segments = of_this_run(&before, open);
        segments.retain(|segment| edge.proved.is_none_or(|last| segment.msn <= last));
        let mut renditions = open.renditions.clone();
        for rendition in &before.renditions {
            if !renditions.iter().any(|known| known.id == rendition.id) {
                renditions.push(rendition.clone());
            }
        }
        renditions.retain(|rendition| {
            let mut strands = segments.iter().flat_map(|segment| &segment.strands);
            strands.any(|strand| *strand.rendition == *rendition.id)
        });
        renditions.sort_by(|a, b| a.id.cmp(&b.id));
        let multivariant = Playlist::Multivariant { audio_only: false };
        let media = renditions.iter().flat_map(|rendition| {
            [false, true].map(|skip| Playlist::Media {
                rendition: rendition.id.clone(),
                skip,
            })
        });
        let playlists = std::iter::once(multivariant).chain(media);
        Self {
            playlists: playlists.map(|one| (one, OnceCell::new())).collect(),
            edge,
            before,
            segments: Arc::new(segments),
            renditions: Arc::new(renditions),
        }
    }

    /// One of its playlists, with its proof; `None` where there is nothing to show in it.
    async fn playlist(
        &self,
        live: &Live,
        playlist: &Playlist,
    ) -> Result<Option<&Rendering>, Refusal> {
        let Some(kept) = self.playlists.get(playlist) else {
            return Ok(None);
        };
        let made = kept.get_or_try_init(async || {
            let (segments, renditions) = (self.segments.clone(), self.renditions.clone());
            let (playlist, newest) = (playlist.clone(), self.newest());
            let archive = live.stream.archive().cloned();
            let made = spawn_blocking(move || {
                let (name, text) = match &playlist {
                    Playlist::Multivariant { .. } => ("index.m3u8".into(), variants(&renditions)),
                    Playlist::Media { rendition, skip } => {
                        let asked = if *skip { "?_HLS_skip=YES" } else { "" };
                        let name = format!("{rendition}/index.m3u8{asked}");
                        (name, render(&segments, rendition, *skip)?)
                    }
                };
                Some(Rendering::of(archive?.prove(newest, &name, text)))
            });
            made.await.map_err(|_| Refusal::busy("the reading failed"))
        });
        Ok(made.await?.as_ref())
    }

    /// The number of its last segment.
    fn newest(&self) -> u64 {
        self.segments.last().map_or(0, |segment| segment.msn)
    }

    /// From when to when, µs since 1970; `None` where there is nothing.
    pub(super) fn time(&self) -> Option<(u64, u64)> {
        let (first, last) = (self.segments.first()?, self.segments.last()?);
        Some((first.start, last.start + last.duration()))
    }
}

/// The segments that follow on each other up to the newest: one timeline, from its beginning or that of the hour before.
fn of_this_run(before: &Hour, open: &Hour) -> Vec<Segment> {
    let mut segments: Vec<Segment> = Vec::new();
    for segment in before.segments().chain(open.segments()) {
        let follows = segments
            .last()
            .is_some_and(|last| last.msn + 1 == segment.msn);
        if segment.discontinuity || !follows {
            segments.clear();
        }
        segments.push(segment.clone());
    }
    segments
}

/// The multivariant playlist.
fn variants(renditions: &[Rendition]) -> String {
    let place = |id: &str| format!("{id}/index.m3u8");
    let renditions = renditions.iter().collect();
    playlist::variants(VERSION, renditions, Selection::Main, place)
}

/// A playlist that grows; `None` where the rendition has nothing. With `skip`, what is far enough behind is left out.
fn render(segments: &[Segment], rendition: &str, skip: bool) -> Option<String> {
    use std::fmt::Write;
    let strand = |segment: &Segment| {
        let mut strands = segment.strands.iter();
        strands
            .find(|strand| *strand.rendition == *rendition)
            .cloned()
    };
    // One that came later begins later, and one that is gone has nothing to show.
    let first = segments
        .iter()
        .position(|segment| strand(segment).is_some())?;
    let shown = &segments[first..];
    let longest = shown.iter().map(Segment::duration).max()?;
    let target = ((longest + 500_000) / 1_000_000).max(1);
    let until = SKIP_TARGETS * target * 1_000_000;
    let mut out = format!(
        "#EXTM3U\n#EXT-X-VERSION:{VERSION}\n#EXT-X-INDEPENDENT-SEGMENTS\n#EXT-X-TARGETDURATION:{target}\n\
         #EXT-X-SERVER-CONTROL:CAN-SKIP-UNTIL={}\n#EXT-X-MEDIA-SEQUENCE:{}\n",
        Seconds(until),
        shown[0].msn
    );
    let mut skipped = 0;
    if skip {
        // Those that end farther from the playlist's end than that.
        let mut behind = 0;
        let kept = shown.iter().rev().take_while(|segment| {
            let is_near = behind < until;
            behind += segment.duration();
            is_near
        });
        skipped = shown.len() - kept.count();
    }
    if skipped > 0 {
        writeln!(out, "#EXT-X-SKIP:SKIPPED-SEGMENTS={skipped}").expect("a String takes all");
    }
    let (mut init, mut dated) = (None, None);
    for segment in &shown[skipped..] {
        let Some(strand) = strand(segment) else {
            let length = Seconds(segment.duration());
            write!(out, "#EXT-X-GAP\n#EXTINF:{length},\ngap\n").expect("as above");
            continue;
        };
        if init.replace(strand.init.cid) != Some(strand.init.cid) {
            let cid = strand.init.cid;
            writeln!(out, "#EXT-X-MAP:URI=\"/ipfs/{cid}?filename=init.mp4\"").expect("as above");
        }
        // Each minute, so that a player knows the time of each place.
        if dated.replace(segment.start / (HOUR / 60)) != Some(segment.start / (HOUR / 60)) {
            writeln!(out, "#EXT-X-PROGRAM-DATE-TIME:{}", DateTime(segment.start))
                .expect("as above");
        }
        let (length, cid) = (Seconds(strand.duration), strand.file.cid);
        write!(
            out,
            "#EXTINF:{length},\n/ipfs/{cid}?filename={}.m4s\n",
            segment.msn
        )
        .expect("as above");
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use meshlive_protocol::{
        archive::{Link, Strand},
        dag,
    };

    use super::*;

    fn segment(msn: u64, discontinuity: bool) -> Segment {
        let link = Link {
            cid: dag::cid_of(&msn.to_be_bytes()),
            bytes: 1,
        };
        let strand = Strand {
            rendition: "v".into(),
            init: Link {
                cid: dag::cid_of(b"init"),
                bytes: 1,
            },
            file: link,
            duration: 2_000_000,
        };
        Segment {
            msn,
            start: msn * 2_000_000,
            discontinuity,
            init: 0,
            strands: vec![strand],
        }
    }

    fn hour(segments: &[(u64, bool)]) -> Hour {
        let mut hour = Hour::default();
        for (msn, discontinuity) in segments {
            assert!(hour.add(segment(*msn, *discontinuity)));
        }
        hour
    }

    #[test]
    fn it_begins_where_the_timeline_does_and_ends_with_the_newest_segment() {
        let numbers = |before: &[(u64, bool)], open: &[(u64, bool)]| {
            let all = of_this_run(&hour(before), &hour(open)).into_iter();
            all.map(|segment| segment.msn).collect::<Vec<_>>()
        };
        let plain = |from: u64, to: u64| (from..to).map(|msn| (msn, false)).collect::<Vec<_>>();
        assert_eq!(numbers(&plain(1, 3), &plain(3, 5)), [1, 2, 3, 4]);
        assert_eq!(
            numbers(&plain(1, 3), &plain(4, 6)),
            [4, 5],
            "a number is missing"
        );
        assert_eq!(
            numbers(&[(1, false)], &[(2, true), (3, false)]),
            [2, 3],
            "another run"
        );
        assert_eq!(numbers(&[], &[]), [0; 0]);
    }

    #[test]
    fn segments_are_named_by_what_they_are() {
        let all = of_this_run(&Hour::default(), &hour(&[(30, false), (31, false)]));
        let text = render(&all, "v", false).unwrap();
        assert_eq!(text.matches("EXT-X-MAP").count(), 1, "{text}");
        assert_eq!(text.matches("PROGRAM-DATE-TIME").count(), 2 - 1, "{text}");
        assert!(
            text.contains("#EXT-X-MEDIA-SEQUENCE:30\n") && !text.contains("ENDLIST"),
            "{text}"
        );
        let name = format!("/ipfs/{}?filename=31.m4s\n", all[1].strands[0].file.cid);
        assert!(text.ends_with(&name), "{text}");
        assert_eq!(render(&all, "other", false), None);
    }

    #[test]
    fn who_has_it_is_told_what_is_new_alone() {
        let plain: Vec<_> = (0..1000).map(|msn| (msn, false)).collect();
        let all = of_this_run(&Hour::default(), &hour(&plain));
        let delta = render(&all, "v", true).unwrap();
        // Segments and target are 2 s: the last six end less than 12 s before the end.
        assert!(delta.contains("CAN-SKIP-UNTIL=12.0"), "{delta}");
        assert!(delta.contains("SKIPPED-SEGMENTS=994\n"), "{delta}");
        assert_eq!(delta.matches("#EXTINF").count(), 6);
        assert!(
            delta.contains("#EXT-X-MAP") && delta.contains("#EXT-X-PROGRAM-DATE-TIME"),
            "{delta}"
        );
        let whole = render(&all, "v", false).unwrap();
        assert!(delta.len() < whole.len() / 50);
        let few = render(&all[..5], "v", true).unwrap();
        assert!(!few.contains("EXT-X-SKIP"), "{few}");
    }
}
