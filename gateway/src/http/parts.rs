//! Parts, segments and init segments by their numbers. What comes within the next few parts is waited for.

use std::{
    ops::ControlFlow::{self, Break, Continue},
    sync::Arc,
};

use axum::{
    extract::State as FromState,
    http::{HeaderMap, HeaderValue, header},
    response::Response,
};
use cid::Cid;
use meshlive_protocol::manifest::Manifest;

use super::{
    State, body,
    content::{Content, IMMUTABLE, Stored},
    error::{At, Refusal},
    query::{self, File},
    wait,
};
use crate::{metrics::Kind, publish::Snapshot};

/// Parts that may be asked for before they exist: the one that the playlist hints at, and what an eager player
/// asks for behind it.
const PARTS_AHEAD: u32 = 3;

/// `GET /live/{stream}/{rendition}/{file}`: `{msn}.{part}.m4s`, `{msn}.m4s` or `init-{number}.mp4`
pub(super) async fn media(
    FromState(state): FromState<State>,
    At((stream, rendition, file)): At<(String, String, String)>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let live = state.live(&stream)?;
    let file = query::file(&file).ok_or(Refusal::absent("there is nothing here"))?;
    let newest = live.stream.snapshot();
    let found = match look(&newest, &rendition, file) {
        Break(Some(found)) => found,
        Break(None) => {
            let earlier = live.manifests(newest);
            let found = earlier
                .iter()
                .find_map(|snapshot| find(&snapshot.manifest, &rendition, file));
            found.ok_or(Refusal::absent(
                "this stream has no such part, or no longer",
            ))?
        }
        Continue(()) => wait::until(&state, &live.stream, |snapshot| {
            look(snapshot, &rendition, file)
        })
        .await?
        .ok_or(Refusal::absent("the segment ended without this part"))?,
    };
    let size = found.blocks.iter().map(|(_, size)| size).sum();
    live.stream.traffic().fetched(size);
    let bytes = match &found.blocks[..] {
        // What many ask for is in memory: nearly every request ends here.
        [(cid, _)] => {
            let held = state.blocks.held(Some(&live.stream), cid);
            held.map(Stored::Memory)
        }
        _ => None,
    };
    let content = Content {
        kind: Kind::Part,
        etag: format!("\"{}\"", found.cid),
        media_type: HeaderValue::from_static(if found.audio_only {
            "audio/mp4"
        } else {
            "video/mp4"
        }),
        cache: IMMUTABLE,
        bytes: bytes.unwrap_or_else(|| Stored::Blocks {
            live: Some(live.stream.clone()),
            blocks: found.blocks,
        }),
    };
    Ok(content.answer(&state, &headers))
}

/// `GET /live/{stream}/manifest`: the whole live window, signed; at a mirror the newest that its origin has signed.
pub(super) async fn manifest(
    FromState(state): FromState<State>,
    At(stream): At<String>,
) -> Result<Response, Refusal> {
    let live = state.live(&stream)?;
    let snapshot = live.stream.snapshot();
    let signed = snapshot.signed_manifest();
    let signed = signed.filter(|_| snapshot.manifest.epoch() > 0);
    let signed = signed.ok_or(Refusal::absent("nothing was ever announced of this stream"))?;
    let mut answer = Response::new(body::memory(&state.metrics, Kind::Announcement, signed));
    let headers = answer.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/vnd.ipld.dag-cbor"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    Ok(answer)
}

/// Bytes that exist: the CID of the whole, and its blocks with their sizes.
struct Found {
    cid: Cid,
    blocks: Vec<(Cid, u64)>,
    audio_only: bool,
}

fn find(manifest: &Manifest, rendition: &str, file: File) -> Option<Found> {
    let index = manifest.rendition_index(rendition)?;
    let audio_only = manifest.renditions()[index].rendition.audio_only();
    let single = |cid, size| Found {
        cid,
        blocks: vec![(cid, u64::from(size))],
        audio_only,
    };
    match file {
        File::Init(number) => manifest
            .find_init(rendition, number)
            .map(|init| single(init.cid, init.size)),
        File::Part(msn, part) => manifest
            .find_part(rendition, msn, part)
            .map(|part| single(part.cid, part.size)),
        File::Segment(msn) => {
            let strand = manifest.find_strand(rendition, msn)?;
            let blocks = strand
                .parts
                .iter()
                .map(|part| (part.cid, part.size.into()))
                .collect();
            Some(Found {
                cid: strand.root?,
                blocks,
                audio_only,
            })
        }
    }
}

/// Breaks with what was found, or with nothing if it will not come soon.
fn look(snapshot: &Arc<Snapshot>, rendition: &str, file: File) -> ControlFlow<Option<Found>> {
    let manifest = &snapshot.manifest;
    match find(manifest, rendition, file) {
        Some(found) => Break(Some(found)),
        None if comes_soon(manifest, rendition, file) => Continue(()),
        None => Break(None),
    }
}

/// Whether the file is among the next few of its rendition.
fn comes_soon(manifest: &Manifest, rendition: &str, file: File) -> bool {
    let Some(index) = manifest.rendition_index(rendition) else {
        return false;
    };
    if manifest.ended() || manifest.renditions()[index].withdrawn {
        return false;
    }
    let Some((newest, part)) = manifest.latest_of(rendition) else {
        return false;
    };
    let complete = manifest
        .find_strand(rendition, newest)
        .is_some_and(|strand| strand.root.is_some());
    // The segment that is being written, and how many parts it has.
    let (open, parts) = if complete {
        (newest + 1, 0)
    } else {
        (newest, part + 1)
    };
    match file {
        File::Init(_) => false,
        File::Segment(msn) => msn == open,
        File::Part(msn, part) if msn == open => part < parts + PARTS_AHEAD,
        // The first parts of the segment behind it: the open one may end with its next part.
        File::Part(msn, part) => msn == open + 1 && part < PARTS_AHEAD,
    }
}
