//! `/ipns`: the newest directory of a stream's past, by its name, and the signed record that says so: also where routers are
//! asked for it (specs.ipfs.tech/routing/http-routing-v1), so that `@helia/ipns` and others find it with this gateway alone.

use axum::{
    extract::{RawQuery, State as FromState},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::Response,
};
use cid::{Cid, multihash::Multihash};
use meshlive_protocol::{ipns::Record, name::StreamName};
use multibase::Base;

use super::{
    State,
    content::{Content, Stored, ascii},
    error::{At, Refusal},
    ipfs::{Place, answer, disposition, given, redirect, sandboxed, vary},
    query,
};
use crate::{metrics::Kind, names};

/// How long the newest of a stream may be taken for the newest.
const NEWEST: HeaderValue = HeaderValue::from_static("public, max-age=10");

/// `GET /ipns/{stream}[/path]`: the newest directory of a stream's past.
pub(super) async fn newest(
    FromState(state): FromState<State>,
    At(path): At<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let found = async {
        let (first, rest) = path.split_once('/').unwrap_or((&path, ""));
        let slash = if path.contains('/') { "/" } else { "" };
        let query = query.unwrap_or_default();
        let name: StreamName = match first.parse() {
            Ok(name) => name,
            Err(_) => {
                let name = canonical(first).ok_or(Refusal::wrong(
                    "this is no stream's name: it begins with k51 and has 62 characters",
                ))?;
                return redirect(
                    StatusCode::FOUND,
                    &format!("ipns/{name}{slash}{rest}"),
                    &query,
                );
            }
        };
        if wants_record(&query, &headers) {
            if !rest.is_empty() {
                return Err(Refusal::wrong(
                    "a name has a record, a path below it has none",
                ));
            }
            return record(&state, &headers, &query, &name);
        }
        let below = newest_of(&state, &name).ok_or(Refusal::absent(
            "nothing is known here of this stream's past: it is not on this gateway, or its first hour is not over",
        ))?;
        let place = Place {
            path: format!("{below}{slash}{rest}"),
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

/// A stream's newest directory: a CID, and names below it where a record of another gateway has some.
fn newest_of(state: &State, name: &StreamName) -> Option<String> {
    if let Some(root) = state.streams.root_of(name) {
        return Some(root.to_string());
    }
    let now = names::now();
    let (record, _) = state.streams.names().get(name, now)?;
    let record = Record::open(name, &record, now).ok()?;
    let path = record.value.strip_prefix("/ipfs/")?;
    Some(path.trim_end_matches('/').to_owned())
}

/// A key's name as everybody writes it, if `text` is one in another form: a peer's id, or a CID in another base.
fn canonical(text: &str) -> Option<String> {
    const LIBP2P_KEY: u64 = 0x72;
    let cid = if text.starts_with("12D3") || text.starts_with("Qm") {
        let hash = Base::Base58Btc.decode(text).ok()?;
        Cid::new_v1(LIBP2P_KEY, Multihash::from_bytes(&hash).ok()?)
    } else {
        Cid::try_from(text).ok()?
    };
    let name = cid.to_string_of_base(Base::Base36Lower).ok()?;
    (cid.codec() == LIBP2P_KEY && name != text).then_some(name)
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
    query: &str,
    name: &StreamName,
) -> Result<Response, Refusal> {
    let bytes = state.streams.record_of(name).ok_or(Refusal::absent(
        "no record of this name is known here: it is not on this gateway, or its first hour is not over",
    ))?;
    let content = Content {
        kind: Kind::Other,
        etag: format!("\"{}\"", meshlive_protocol::dag::cid_of(&bytes)),
        media_type: HeaderValue::from_static(IPNS_RECORD),
        cache: lifetime(Record::open(name, &bytes, names::now()).map_or(0, |record| record.ttl)),
        bytes: Stored::Memory(bytes),
    };
    let mut answer = content.answer(state, headers);
    let file = given(query).unwrap_or(format!("{name}.ipns-record"));
    disposition(&mut answer, "attachment", &file);
    vary(&mut answer);
    Ok(answer)
}

/// How long a record may be taken for the newest: its own time to live, nanoseconds.
fn lifetime(ttl: u64) -> HeaderValue {
    ascii(format!("public, max-age={}", ttl / 1_000_000_000))
}

/// `GET /routing/v1/ipns/{name}`: the record, whatever form of it is asked for; there is one.
pub(super) async fn routed(
    FromState(state): FromState<State>,
    At(name): At<String>,
    headers: HeaderMap,
) -> Response {
    let name = canonical(&name).unwrap_or(name);
    let found = name
        .parse()
        .map_err(|_| Refusal::wrong("this is no stream's name"))
        .and_then(|name| record(&state, &headers, "", &name));
    sandboxed(found)
}
