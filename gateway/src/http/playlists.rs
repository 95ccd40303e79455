//! Playlists, with blocking reload (RFC 8216bis §6.2.5.2).

use std::ops::ControlFlow::{self, Break, Continue};

use axum::{
    extract::{Extension, RawQuery, State as FromState},
    http::{HeaderMap, HeaderValue, header},
    response::Response,
};
use meshlive_protocol::manifest::Manifest;
use tokio::time::Instant;

use super::{
    State,
    blocks::UNPOISONED,
    body,
    encoding::{self, Encoding},
    error::{At, Refusal},
    live::{Live, Playlist, Rendering},
    query::{self, Reload},
    serve::Peer,
    wait,
};
use crate::metrics::Kind;

const NOTHING_YET: &str = "this stream shows nothing yet";
const MEDIA_TYPE: HeaderValue = HeaderValue::from_static("application/vnd.apple.mpegurl");

/// `GET /live/{stream}/index.m3u8[?audio=1]`
pub(super) async fn multivariant(
    FromState(state): FromState<State>,
    At(stream): At<String>,
    RawQuery(query): RawQuery,
    peer: Option<Extension<Peer>>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let live = state.live(&stream)?;
    asked(&live, peer, &headers);
    let audio_only = query::flag(query.as_deref().unwrap_or(""), "audio");
    let stream = &live.stream;
    // A stream that begins right now has its first part in a moment.
    let snapshot = wait::until(&state, stream, |snapshot| {
        if snapshot.manifest.latest().is_some() || !snapshot.live {
            Break(snapshot.clone())
        } else {
            Continue(())
        }
    })
    .await?;
    if snapshot.manifest.latest().is_none() {
        return Err(Refusal::absent(NOTHING_YET));
    }
    let rendering = live.rendering(&snapshot, Playlist::Multivariant { audio_only });
    Ok(answer(
        &state,
        &headers,
        &*rendering.ok_or(Refusal::absent(NOTHING_YET))?,
    ))
}

/// `GET /live/{stream}/{rendition}.m3u8`
pub(super) async fn media(
    FromState(state): FromState<State>,
    At((stream, file)): At<(String, String)>,
    RawQuery(query): RawQuery,
    peer: Option<Extension<Peer>>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let rendition = file
        .strip_suffix(".m3u8")
        .ok_or(Refusal::absent("there is nothing here"))?;
    let live = state.live(&stream)?;
    asked(&live, peer, &headers);
    let reload = query::reload(query.as_deref().unwrap_or("")).map_err(Refusal::wrong)?;
    let mut first = true;
    let snapshot = wait::until(&state, &live.stream, |snapshot| {
        let asked_now = std::mem::replace(&mut first, false);
        look(
            &snapshot.manifest,
            rendition,
            &reload,
            asked_now,
            snapshot.live,
        )
        .map_break(|ok| ok.map(|()| snapshot.clone()))
    })
    .await??;
    let playlist = Playlist::Media {
        rendition: rendition.to_owned(),
        skip: reload.skip,
    };
    let rendering = live
        .rendering(&snapshot, playlist)
        .ok_or(Refusal::absent(NOTHING_YET))?;
    Ok(answer(&state, &headers, &rendering))
}

/// Whether `manifest` has what `reload` waits for. Only when it is `asked_now` can it be asked for too early.
fn look(
    manifest: &Manifest,
    rendition: &str,
    reload: &Reload,
    asked_now: bool,
    live: bool,
) -> ControlFlow<Result<(), Refusal>> {
    let Some(index) = manifest.rendition_index(rendition) else {
        // The renditions of a stream that begins are announced with its first part.
        let begins = live && manifest.latest().is_none();
        return if begins {
            Continue(())
        } else {
            Break(Err(Refusal::absent("this stream has no such rendition")))
        };
    };
    let entry = &manifest.renditions()[index];
    let Some((msn, part)) = manifest.latest_of(rendition) else {
        return if live && !entry.withdrawn {
            Continue(())
        } else {
            Break(Err(Refusal::absent(NOTHING_YET)))
        };
    };
    // Nothing will follow: "the server MUST … return a Media Playlist" with what there is.
    if manifest.ended() || entry.withdrawn {
        return Break(Ok(()));
    }
    let Some(wanted) = reload.msn else {
        return Break(Ok(()));
    };
    let complete = manifest
        .find_strand(rendition, msn)
        .is_some_and(|strand| strand.root.is_some());
    let there = wanted < msn
        || wanted == msn
            && match reload.part {
                // A part behind the segment's last one means the first of the next segment.
                Some(wanted) => wanted <= part,
                None => complete,
            };
    if there {
        return Break(Ok(()));
    }
    let limit = wait::parts_ahead(entry.rendition.part_target);
    let parts_ahead = reload.part.map_or(0, |wanted_part| {
        if wanted == msn {
            wanted_part.saturating_sub(part)
        } else {
            wanted_part
        }
    });
    if asked_now && (wanted - msn > wait::SEGMENTS_AHEAD || parts_ahead > limit) {
        return Break(Err(Refusal::wrong(format!(
            "segment {wanted} is too far ahead: the newest part is {msn}.{part}"
        ))));
    }
    Continue(())
}

fn asked(live: &Live, peer: Option<Extension<Peer>>, headers: &HeaderMap) {
    let mut viewers = live.viewers.lock().expect(UNPOISONED);
    let client = viewers.client(peer, headers);
    viewers.asked(client, Instant::now());
}

pub(super) fn answer(state: &State, request: &HeaderMap, rendering: &Rendering) -> Response {
    let encoding = encoding::best(request, &[Encoding::Gzip]);
    let bytes = match encoding {
        Encoding::Gzip => rendering.gzip.clone(),
        _ => rendering.plain.clone(),
    };
    let mut answer = Response::new(body::memory(&state.metrics, Kind::Playlist, bytes));
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, MEDIA_TYPE);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    if let Some(token) = encoding.token() {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(token));
    }
    answer
}
