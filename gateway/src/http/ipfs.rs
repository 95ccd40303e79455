//! `/ipfs`: the path gateway and the trustless gateway (specs.ipfs.tech/http-gateways), from this gateway's store alone:
//! nothing is ever asked of anyone else, so what is not stored here is not found.

use axum::{
    extract::{RawQuery, State as FromState},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use cid::Cid;
use meshlive_protocol::{dag::RAW, name::StreamName};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::{
    State, body, car,
    content::{Content, IMMUTABLE, Stored, ascii},
    error::{At, Refusal},
    format::{self, Format, Refused, Scope},
    listing, query, range,
    resolve::{Way, fetch, leaves, node, walk},
    unixfs::Node,
};
use crate::metrics::Kind;

/// How long the newest of a stream may be taken for the newest.
const NEWEST: HeaderValue = HeaderValue::from_static("public, max-age=10");

/// What stands unescaped in a path of a header or a page.
const PATH: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'/')
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// `GET /ipfs/{cid}[/path]`
pub(super) async fn content(
    FromState(state): FromState<State>,
    At(path): At<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let place = Place {
        shown: format!("ipfs/{path}"),
        path,
    };
    sandboxed(answer(&state, &place, &query.unwrap_or_default(), &headers).await)
}

/// `GET /ipns/{stream}[/path]`: the newest directory of a stream's past.
pub(super) async fn newest(
    FromState(state): FromState<State>,
    At(path): At<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let found = async {
        let (name, rest) = path.split_once('/').unwrap_or((&path, ""));
        let name: StreamName = name.parse().map_err(|_| {
            Refusal::wrong("this is no stream's name: it begins with k51 and has 62 characters")
        })?;
        let query = query.unwrap_or_default();
        if wants_record(&query, &headers) {
            return record(&state, &headers, &name, rest);
        }
        let root = state.streams.root_of(&name).ok_or(Refusal::absent(
            "nothing is known here of this stream's past: it is not on this gateway, or its first hour is not over",
        ))?;
        let slash = if path.contains('/') { "/" } else { "" };
        let place = Place {
            path: format!("{root}{slash}{rest}"),
            shown: format!("ipns/{path}"),
        };
        let mut answer = answer(&state, &place, &query, &headers).await?;
        if answer.status() != StatusCode::MOVED_PERMANENTLY {
            // Another hour may close at any time.
            (answer.headers_mut()).insert(header::CACHE_CONTROL, NEWEST);
        }
        Ok(answer)
    };
    sandboxed(found.await)
}

/// The media type of IPNS records.
const IPNS_RECORD: &str = "application/vnd.ipfs.ipns-record";

fn wants_record(query: &str, headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT);
    let accept = accept.and_then(|value| value.to_str().ok()).unwrap_or("");
    match query::value(query, "format") {
        Some(format) => format == "ipns-record",
        None => accept.split(',').any(|item| {
            let media_type = item.split(';').next().unwrap_or("");
            media_type.trim().eq_ignore_ascii_case(IPNS_RECORD)
        }),
    }
}

/// The record itself (specs.ipfs.tech/http-gateways/trustless-gateway, "IPNS record"): whoever has the name can check it.
fn record(
    state: &State,
    headers: &HeaderMap,
    name: &StreamName,
    rest: &str,
) -> Result<Response, Refusal> {
    if !rest.is_empty() {
        return Err(Refusal::wrong(
            "a name has a record, a path below it has none",
        ));
    }
    let bytes = state.streams.record_of(name).ok_or(Refusal::absent(
        "no record of this name is known here: it is not on this gateway, or its first hour is not over",
    ))?;
    let content = Content {
        kind: Kind::Other,
        etag: format!("\"{}\"", meshlive_protocol::dag::cid_of(&bytes)),
        media_type: HeaderValue::from_static(IPNS_RECORD),
        cache: NEWEST,
        bytes: Stored::Memory(bytes),
    };
    let mut answer = content.answer(state, headers);
    let disposition = ascii(format!("attachment; filename=\"{name}.ipns-record\""));
    (answer.headers_mut()).insert(header::CONTENT_DISPOSITION, disposition);
    vary(&mut answer);
    Ok(answer)
}

/// Where something was asked for.
struct Place {
    /// A CID, and names below it.
    path: String,
    /// As the URL has it, with `ipfs/` or `ipns/`.
    shown: String,
}

fn sandboxed(answer: Result<Response, Refusal>) -> Response {
    let mut answer = answer.unwrap_or_else(IntoResponse::into_response);
    // This shares its origin with the page: it may neither run scripts there nor pass for what it is not.
    let headers = answer.headers_mut();
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("sandbox"),
    );
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    answer
}

async fn answer(
    state: &State,
    place: &Place,
    query: &str,
    headers: &HeaderMap,
) -> Result<Response, Refusal> {
    let text = |name: &HeaderName| {
        headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or("")
    };
    if text(&HeaderName::from_static("service-worker")) == "script" {
        return Err(Refusal::wrong(
            "no service worker may be taken from here: it would rule the whole gateway",
        ));
    }
    let format = format::wanted(query, text(&header::ACCEPT)).map_err(|refused| match refused {
        Refused::Malformed(why) => Refusal::wrong(why),
        Refused::NotAcceptable(why) => Refusal::new(StatusCode::NOT_ACCEPTABLE, why),
    })?;
    let way = match walk(state, &place.path).await {
        Err(refusal)
            if refusal.status == StatusCode::NOT_FOUND
                && text(&header::CACHE_CONTROL).contains("only-if-cached") =>
        {
            return Err(Refusal {
                status: StatusCode::PRECONDITION_FAILED,
                ..refusal
            });
        }
        way => way?,
    };
    let mut answer = match format {
        Format::Raw => raw(state, headers, &way),
        Format::Car(scope) => car_of(state, headers, &way, scope),
        Format::Content => whole(state, headers, &way, &place.shown, query).await?,
    };
    let roots: Vec<_> = way.cids.iter().map(Cid::to_string).collect();
    let headers = answer.headers_mut();
    headers.insert("x-ipfs-roots", ascii(roots.join(",")));
    headers.insert(
        "x-ipfs-path",
        ascii(format!("/{}", utf8_percent_encode(&place.shown, PATH))),
    );
    Ok(answer)
}

fn raw(state: &State, headers: &HeaderMap, way: &Way) -> Response {
    let cid = way.cid();
    let content = Content {
        kind: if cid.codec() == RAW {
            Kind::Part
        } else {
            Kind::Other
        },
        etag: format!("\"{cid}.raw\""),
        media_type: HeaderValue::from_static("application/vnd.ipld.raw"),
        cache: IMMUTABLE,
        bytes: Stored::Memory(way.block.clone()),
    };
    let mut answer = content.answer(state, headers);
    let disposition = ascii(format!("attachment; filename=\"{cid}.bin\""));
    answer
        .headers_mut()
        .insert(header::CONTENT_DISPOSITION, disposition);
    vary(&mut answer);
    answer
}

fn car_of(state: &State, request: &HeaderMap, way: &Way, scope: Scope) -> Response {
    let cid = way.cid();
    // Weak: another version of this gateway may order the same blocks in another way.
    let etag = format!("W/\"{cid}.car.{scope:?}\"").replace(' ', "");
    let mut answer = if range::is_known(request, &etag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let walk = car::Walk::new(
            state.blocks.clone(),
            &way.cids[..way.cids.len() - 1],
            cid,
            scope,
        );
        Response::new(body::read(&state.metrics, Kind::Part, walk, None))
    };
    let headers = answer.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static(car::MEDIA_TYPE),
    );
    headers.insert(
        header::CONTENT_DISPOSITION,
        ascii(format!("attachment; filename=\"{cid}.car\"")),
    );
    headers.insert(header::ETAG, ascii(etag));
    headers.insert(header::CACHE_CONTROL, IMMUTABLE);
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("none"));
    vary(&mut answer);
    answer
}

/// Files as files, directories as pages.
async fn whole(
    state: &State,
    headers: &HeaderMap,
    way: &Way,
    path: &str,
    query: &str,
) -> Result<Response, Refusal> {
    let cid = way.cid();
    let (bytes, start) = match node(&cid, &way.block)? {
        None => (Stored::Memory(way.block.clone()), way.block.clone()),
        Some(Node::Directory(_)) if !path.ends_with('/') => {
            let place = format!("/{}/", utf8_percent_encode(path, PATH));
            let place = if query.is_empty() {
                place
            } else {
                format!("{place}?{query}")
            };
            let place = HeaderValue::try_from(place)
                .map_err(|_| Refusal::wrong("this query is not ASCII"))?;
            return Ok((StatusCode::MOVED_PERMANENTLY, [(header::LOCATION, place)]).into_response());
        }
        Some(Node::Directory(entries)) => {
            return Ok(listing::page(state, headers, &cid, path, &entries));
        }
        Some(Node::File(_)) => {
            let leaves = leaves(state, cid).await?;
            let start = match leaves.first() {
                Some((first, _)) => fetch(state, *first).await?,
                None => Bytes::new(),
            };
            (
                Stored::Blocks {
                    live: None,
                    blocks: leaves,
                },
                start,
            )
        }
    };
    let given = query::value(query, "filename")
        .map(|name| percent_decode_str(name).decode_utf8_lossy().into_owned());
    let in_path = path
        .trim_end_matches('/')
        .split_once('/')
        .and_then(|(_, rest)| rest.rsplit('/').next());
    let media_type = media_type(given.as_deref().or(in_path).unwrap_or(""), &start);
    let content = Content {
        kind: Kind::Part,
        etag: format!("\"{cid}\""),
        media_type: HeaderValue::from_static(media_type),
        cache: IMMUTABLE,
        bytes,
    };
    let mut answer = content.answer(state, headers);
    if let Some(name) = given {
        let how = if query::value(query, "download") == Some("true") {
            "attachment"
        } else {
            "inline"
        };
        let name = utf8_percent_encode(&name, NON_ALPHANUMERIC);
        answer.headers_mut().insert(
            header::CONTENT_DISPOSITION,
            ascii(format!("{how}; filename*=UTF-8''{name}")),
        );
    }
    vary(&mut answer);
    Ok(answer)
}

fn vary(answer: &mut Response) {
    answer
        .headers_mut()
        .insert(header::VARY, HeaderValue::from_static("accept"));
}

/// By the name's end, else by how the content begins. What a browser would run, the sandbox keeps from running.
fn media_type(name: &str, start: &[u8]) -> &'static str {
    let by_name = match name
        .rsplit_once('.')
        .map(|(_, end)| end.to_ascii_lowercase())
        .as_deref()
    {
        Some("m3u8") => "application/vnd.apple.mpegurl",
        Some("m4s" | "mp4" | "m4v") => "video/mp4",
        Some("m4a") => "audio/mp4",
        Some("jpg" | "jpeg") => "image/jpeg",
        Some("png") => "image/png",
        Some("json") => "application/json",
        Some("txt" | "md") => "text/plain; charset=utf-8",
        Some("html" | "htm") => "text/html; charset=utf-8",
        _ => "",
    };
    match start.get(4..8) {
        _ if !by_name.is_empty() => by_name,
        Some(b"ftyp" | b"styp" | b"moof" | b"sidx") => "video/mp4",
        _ if start.starts_with(b"#EXTM3U") => "application/vnd.apple.mpegurl",
        _ if start.starts_with(b"\xff\xd8\xff") => "image/jpeg",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_types_by_name_then_by_content() {
        assert_eq!(media_type("a.M3U8", b""), "application/vnd.apple.mpegurl");
        assert_eq!(media_type("", b"\0\0\0\x18moof...."), "video/mp4");
        assert_eq!(
            media_type("", b"#EXTM3U\n"),
            "application/vnd.apple.mpegurl"
        );
        assert_eq!(
            media_type("", b"<html><script>"),
            "application/octet-stream"
        );
        assert_eq!(media_type("noend", b""), "application/octet-stream");
    }
}
