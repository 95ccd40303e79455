//! What is past of the run that is on air, from the hour before on: the player's way back from live into the archive, before
//! its hour has closed. `/live/{stream}/earlier/index.m3u8` and a playlist for each rendition, without parts, whose segments are
//! named by their CIDs; it ends where live does, to a segment.

use axum::{
    extract::State as FromState,
    http::{HeaderValue, header},
    response::Response,
};
use bytes::Bytes;
use meshlive_protocol::{
    archive::{HOUR, Hour, Segment},
    time::{DateTime, Seconds},
};

use super::{
    State,
    archive::archive_of,
    body,
    error::{At, Refusal},
    unixfs::Node,
};
use crate::{
    archive::{Archive, read},
    metrics::Kind,
};

const NOTHING: &str = "nothing of this stream is past that is still on air";

/// `GET /live/{stream}/earlier/index.m3u8`
pub(super) async fn multivariant(
    FromState(state): FromState<State>,
    At(name): At<String>,
) -> Result<Response, Refusal> {
    let archive = archive_of(&state, &name)?;
    let made = archive.open_hours().directory();
    let block = |cid| made.blocks.iter().find(|block| block.cid == cid);
    let root = block(made.link.cid).and_then(|root| match Node::parse(&root.bytes) {
        Ok(Node::Directory(entries)) => Some(entries),
        _ => None,
    });
    let mut entries = root.into_iter().flatten();
    let index = entries.find(|(name, _, _)| name == "index.m3u8");
    let text = index
        .and_then(|(_, cid, _)| block(cid))
        .ok_or(Refusal::absent(NOTHING))?;
    Ok(playlist(&state, text.bytes.clone().into()))
}

/// `GET /live/{stream}/earlier/{rendition}/index.m3u8`
pub(super) async fn media(
    FromState(state): FromState<State>,
    At((name, rendition)): At<(String, String)>,
) -> Result<Response, Refusal> {
    let archive = archive_of(&state, &name)?;
    let store = state.store.clone();
    let made = tokio::task::spawn_blocking(move || {
        let before = last_closed(&archive).and_then(|cid| read::hour(&store, cid).ok());
        let open = archive.open_hours();
        render(&of_this_run(&before.unwrap_or_default(), &open), &rendition)
    });
    let made = made
        .await
        .map_err(|_| Refusal::busy("the reading failed"))?;
    Ok(playlist(
        &state,
        made.ok_or(Refusal::absent(NOTHING))?.into(),
    ))
}

fn playlist(state: &State, text: Bytes) -> Response {
    let mut answer = Response::new(body::memory(&state.metrics, Kind::Playlist, text));
    let headers = answer.headers_mut();
    let media_type = HeaderValue::from_static("application/vnd.apple.mpegurl");
    headers.insert(header::CONTENT_TYPE, media_type);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    answer
}

/// The hour before the first that is not over, where it has closed.
fn last_closed(archive: &Archive) -> Option<cid::Cid> {
    let first = archive.open_hours().segments().next()?.hour();
    let catalogue = archive.catalogue();
    let entry = catalogue.hours().get(&first.checked_sub(1)?);
    entry.map(|entry| entry.link.cid)
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

/// A playlist that grows; `None` where the rendition has nothing.
fn render(segments: &[Segment], rendition: &str) -> Option<String> {
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
    let mut out = format!(
        "#EXTM3U\n#EXT-X-VERSION:8\n#EXT-X-INDEPENDENT-SEGMENTS\n#EXT-X-TARGETDURATION:{target}\n#EXT-X-MEDIA-SEQUENCE:{}\n",
        shown[0].msn
    );
    let (mut init, mut dated) = (None, None);
    for segment in shown {
        let Some(strand) = strand(segment) else {
            let length = Seconds(segment.duration());
            write!(out, "#EXT-X-GAP\n#EXTINF:{length},\ngap\n").expect("a String takes all");
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
        let text = render(&all, "v").unwrap();
        assert_eq!(text.matches("EXT-X-MAP").count(), 1, "{text}");
        assert_eq!(text.matches("PROGRAM-DATE-TIME").count(), 2 - 1, "{text}");
        assert!(
            text.contains("#EXT-X-MEDIA-SEQUENCE:30\n") && !text.contains("ENDLIST"),
            "{text}"
        );
        let name = format!("/ipfs/{}?filename=31.m4s\n", all[1].strands[0].file.cid);
        assert!(text.ends_with(&name), "{text}");
        assert_eq!(render(&all, "other"), None);
    }
}
