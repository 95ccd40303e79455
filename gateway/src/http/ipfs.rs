//! `/ipfs`: the path gateway and the trustless gateway (specs.ipfs.tech/http-gateways), from this gateway's store alone:
//! nothing is ever asked of anyone else, so what is not stored here is not found.

use axum::{
    extract::{RawQuery, State as FromState},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use cid::Cid;
use meshlive_protocol::dag::RAW;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::{
    State, body, car,
    content::{Content, IMMUTABLE, Stored, ascii},
    error::{At, Refusal},
    format::{self, Format, Refused, Scope},
    listing, query, range,
    resolve::{self, Way, fetch, node, walk},
    unixfs::Node,
};
use crate::metrics::Kind;

/// What stands unescaped in a path of a header or a page.
const PATH: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'/')
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// What stands unescaped in a name of a header (`attr-char` of RFC 8187, without the rare ones).
const FILE: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_');

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

/// Where something was asked for.
pub(super) struct Place {
    /// A CID, and names below it.
    pub(super) path: String,
    /// As the URL has it, with `ipfs/` or `ipns/`.
    pub(super) shown: String,
}

/// To read is open to scripts from everywhere (path gateway specification, "Access-Control-…").
const OPEN: [(HeaderName, &str); 4] = [
    (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
    (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, HEAD, OPTIONS"),
    (
        header::ACCESS_CONTROL_ALLOW_HEADERS,
        "Content-Type, If-None-Match, Range, User-Agent, X-Requested-With",
    ),
    (
        header::ACCESS_CONTROL_EXPOSE_HEADERS,
        "Content-Length, Content-Range, ETag, X-Chunked-Output, X-Ipfs-Path, X-Ipfs-Roots, X-Stream-Output",
    ),
];

/// `OPTIONS` below `/ipfs` and `/ipns`.
pub(super) async fn allowed() -> Response {
    sandboxed(Ok(StatusCode::NO_CONTENT.into_response()))
}

pub(super) fn sandboxed(answer: Result<Response, Refusal>) -> Response {
    let mut answer = answer.unwrap_or_else(IntoResponse::into_response);
    let headers = answer.headers_mut();
    for (name, value) in OPEN {
        headers.insert(name, HeaderValue::from_static(value));
    }
    // This shares its origin with the page: it may neither run scripts there nor pass for what it is not.
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

pub(super) async fn answer(
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
    // Of a CID that is its own content a CAR holds nothing: it is not served by that.
    let inline = matches!(format, Format::Car(_));
    let only_here = text(&header::CACHE_CONTROL).contains("only-if-cached");
    let blocks = match only_here {
        true => &state.blocks.here(),
        false => &state.blocks,
    };
    let way = match walk(blocks, &place.path, inline).await {
        Err(refusal) if refusal.status == StatusCode::NOT_FOUND && only_here => {
            return Err(Refusal {
                status: StatusCode::PRECONDITION_FAILED,
                ..refusal
            });
        }
        way => way?,
    };
    let mut answer = match format {
        Format::Raw => raw(state, headers, &way, query),
        Format::Car(scope) => car_of(state, headers, &way, &scope, query)?,
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

fn raw(state: &State, headers: &HeaderMap, way: &Way, query: &str) -> Response {
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
    let file = given(query).unwrap_or(format!("{cid}.bin"));
    disposition(&mut answer, "attachment", &file);
    vary(&mut answer);
    answer
}

fn car_of(
    state: &State,
    request: &HeaderMap,
    way: &Way,
    scope: &Scope,
    query: &str,
) -> Result<Response, Refusal> {
    let cid = way.cid();
    // What is no node is one block for a CAR.
    let length = match (cid.codec(), Node::parse(&way.block)) {
        (RAW, _) => Some(way.block.len() as u64),
        (_, node) => node.ok().and_then(|node| node.file_bytes()),
    };
    if let (Scope::Entity(Some(bytes)), Some(length)) = (scope, length)
        && bytes.are_outside(length)
    {
        return Err(Refusal::wrong(format!(
            "entity-bytes lie behind this file of {length} bytes"
        )));
    }
    // Weak: another version of this gateway may order the same blocks in another way.
    let etag = format!("W/\"{cid}.car.{scope}\"");
    let mut answer = if range::is_known(request, &etag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let walk = car::Walk::new(state.blocks.clone(), &way.passed, cid, length, scope);
        Response::new(body::read(&state.metrics, Kind::Part, walk, None))
    };
    let file = given(query).unwrap_or(format!("{cid}.car"));
    disposition(&mut answer, "attachment", &file);
    let headers = answer.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static(car::MEDIA_TYPE),
    );
    headers.insert(header::ETAG, ascii(etag));
    headers.insert(header::CACHE_CONTROL, IMMUTABLE);
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("none"));
    vary(&mut answer);
    Ok(answer)
}

/// Files as files, directories as pages.
async fn whole(
    state: &State,
    headers: &HeaderMap,
    way: &Way,
    path: &str,
    query: &str,
) -> Result<Response, Refusal> {
    let mut cid = way.cid();
    let mut block = way.block.clone();
    let mut found = node(&cid, &block)?;
    let mut name = path
        .trim_end_matches('/')
        .split_once('/')
        .and_then(|(_, rest)| rest.rsplit('/').next())
        .unwrap_or("");
    // The file that stands for a directory answers in its name.
    let etag = format!("\"{cid}\"");
    if let Some(directory @ (Node::Directory(_) | Node::Shard(_))) = found {
        if !path.ends_with('/') {
            return redirect(StatusCode::MOVED_PERMANENTLY, &format!("{path}/"), query);
        }
        let Some(index) = resolve::child(&state.blocks, &directory, INDEX, &mut Vec::new()).await?
        else {
            let entries = resolve::entries(&state.blocks, directory).await?;
            return Ok(listing::page(state, headers, &cid, path, &entries));
        };
        (cid, name) = (index, INDEX);
        block = fetch(&state.blocks, cid).await?;
        found = node(&cid, &block)?;
    }
    let (bytes, start) = match found {
        None => (Stored::Memory(block.clone()), block),
        Some(Node::Bytes(bytes)) => {
            let bytes = Bytes::from(bytes);
            (Stored::Memory(bytes.clone()), bytes)
        }
        Some(Node::Symlink(target)) => (Stored::Memory(target.into()), Bytes::new()),
        Some(Node::File(blocks)) => {
            // A block that is not here may lie outside of what is wanted.
            let start = match blocks.first() {
                Some((first, _)) if first.codec() == RAW && media_type(name, b"") == UNKNOWN => {
                    fetch(&state.blocks, *first).await.unwrap_or_default()
                }
                _ => Bytes::new(),
            };
            (Stored::Blocks { live: None, blocks }, start)
        }
        Some(Node::Directory(_) | Node::Shard(_)) => {
            return Err(Refusal::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "index.html of this directory is a directory",
            ));
        }
    };
    let given = given(query);
    let content = Content {
        kind: Kind::Part,
        etag,
        media_type: HeaderValue::from_static(media_type(given.as_deref().unwrap_or(name), &start)),
        cache: IMMUTABLE,
        bytes,
    };
    let mut answer = content.answer(state, headers);
    let download = query::value(query, "download") == Some("true");
    match given {
        Some(file) if download => disposition(&mut answer, "attachment", &file),
        Some(file) => disposition(&mut answer, "inline", &file),
        None if download => disposition(&mut answer, "attachment", name),
        None => {}
    }
    vary(&mut answer);
    Ok(answer)
}

/// What stands for a directory, where it has it.
const INDEX: &str = "index.html";

/// To a path of this gateway, unescaped, with the query it was asked with.
pub(super) fn redirect(status: StatusCode, path: &str, query: &str) -> Result<Response, Refusal> {
    let mut place = format!("/{}", utf8_percent_encode(path, PATH));
    if !query.is_empty() {
        place = format!("{place}?{query}");
    }
    let place =
        HeaderValue::try_from(place).map_err(|_| Refusal::wrong("this query is not ASCII"))?;
    Ok((status, [(header::LOCATION, place)]).into_response())
}

/// The name that the query gives to what is saved.
pub(super) fn given(query: &str) -> Option<String> {
    let name = query::value(query, "filename")?;
    Some(percent_decode_str(name).decode_utf8_lossy().into_owned())
}

/// Says whether to show or to save, and under which name: in ASCII for those who know no other (RFC 6266 appendix D).
pub(super) fn disposition(answer: &mut Response, how: &str, name: &str) {
    let plain = |c: char| (c.is_ascii_graphic() || c == ' ') && !matches!(c, '"' | '\\' | '%');
    let ascii_name: String = name
        .chars()
        .map(|c| if plain(c) { c } else { '_' })
        .collect();
    let mut value = format!("{how}; filename=\"{ascii_name}\"");
    if ascii_name != name {
        let escaped = utf8_percent_encode(name, FILE);
        value = format!("{value}; filename*=UTF-8''{escaped}");
    }
    (answer.headers_mut()).insert(header::CONTENT_DISPOSITION, ascii(value));
}

pub(super) fn vary(answer: &mut Response) {
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
        _ if is_json(start) => "application/json",
        _ => UNKNOWN,
    }
}

/// Longer ones may be JSON as well; nobody would look at them in a browser.
const MAX_JSON_BYTES: usize = 64 * 1024;

/// Whether all of it is an object or a list of JSON.
fn is_json(bytes: &[u8]) -> bool {
    matches!(bytes.trim_ascii_start().first(), Some(b'{' | b'['))
        && bytes.len() <= MAX_JSON_BYTES
        && serde_json::from_slice::<serde::de::IgnoredAny>(bytes).is_ok()
}

const UNKNOWN: &str = "application/octet-stream";

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
        assert_eq!(media_type("", b" {\"a\": [1]}\n"), "application/json");
        assert_eq!(media_type("", b"{\"a\": [1]"), "application/octet-stream");
        let long = format!("[{}1]", "1,".repeat(MAX_JSON_BYTES));
        assert_eq!(media_type("", long.as_bytes()), "application/octet-stream");
    }
}
