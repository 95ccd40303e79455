//! The built page (`www/dist`), inside the binary, in the compressed forms that its build left beside each file.

use axum::{
    extract::State as FromState,
    http::{HeaderMap, HeaderValue, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use rust_embed::{Embed, EmbeddedFile};

use super::{
    State, body,
    content::{IMMUTABLE, ascii},
    encoding::{self, Encoding},
    error::{At, Refusal},
    range,
};
use crate::metrics::Kind;

#[derive(Embed)]
#[folder = "../www/dist"]
struct Dist;

/// Only from this gateway; WebAssembly and live sockets as the player needs them, and what it asks of other gateways that
/// have the stream. Components of the player style
/// themselves by `<style>` elements, hls.js works in a worker made of a blob.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self' 'unsafe-inline'; \
     img-src 'self' data: blob:; media-src 'self' blob:; worker-src 'self' blob:; connect-src 'self' http: https: ws: wss:; \
     object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'",
);

const NOT_BUILT: &str = "<!doctype html><html lang=en><title>Meshlive</title><p>This gateway was built without its page. \
     Run <code>./deploy/build</code>, which builds the page and then the gateway with it.\n";

/// `GET /`
pub(super) async fn directory(FromState(state): FromState<State>, headers: HeaderMap) -> Response {
    page(&state, "index.html", &headers)
}

/// `GET /s/{stream}`: also for a stream that is not known yet; the page says so, and learns when it begins.
pub(super) async fn player(
    FromState(state): FromState<State>,
    At(_stream): At<String>,
    headers: HeaderMap,
) -> Response {
    page(&state, "player.html", &headers)
}

/// `GET /s/{stream}/archive`: what is past of a stream.
pub(super) async fn archive(
    FromState(state): FromState<State>,
    At(_stream): At<String>,
    headers: HeaderMap,
) -> Response {
    page(&state, "archive.html", &headers)
}

/// `GET /embed.js`
pub(super) async fn embed(
    FromState(state): FromState<State>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    file(&state, "embed.js", &headers, false)
        .ok_or(Refusal::absent("this gateway was built without its page"))
}

/// `GET /assets/{file}`: named by a hash of the content.
pub(super) async fn asset(
    FromState(state): FromState<State>,
    At(name): At<String>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    // An escaped slash would be a way through folders; a build that reads the page from disk would take it.
    let found = (!name.contains(['/', '\\']))
        .then(|| file(&state, &format!("assets/{name}"), &headers, true));
    found
        .flatten()
        .ok_or(Refusal::absent("there is nothing here"))
}

/// Every other URL: a page for people, a line for programs.
pub(super) async fn nothing(
    FromState(state): FromState<State>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    if uri.path().starts_with("/api/") {
        return super::error::ApiRefusal(Refusal::absent("there is nothing here")).into_response();
    }
    let accepts = headers
        .get(header::ACCEPT)
        .and_then(|value| value.to_str().ok())
        .unwrap_or("");
    let page = accepts
        .contains("text/html")
        .then(|| file(&state, "404.html", &headers, false))
        .flatten();
    match page {
        Some(mut page) => {
            if page.status() == StatusCode::OK {
                *page.status_mut() = StatusCode::NOT_FOUND;
            }
            page
        }
        None => Refusal::absent("there is nothing here").into_response(),
    }
}

fn page(state: &State, path: &str, request: &HeaderMap) -> Response {
    file(state, path, request, false).unwrap_or_else(|| {
        let mut answer = (StatusCode::SERVICE_UNAVAILABLE, NOT_BUILT).into_response();
        answer.headers_mut().insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("text/html; charset=utf-8"),
        );
        answer
    })
}

/// A file of the built page in the best form that the client takes. The compressed forms have no URLs of their own.
fn file(state: &State, path: &str, request: &HeaderMap, immutable: bool) -> Option<Response> {
    let media_type = media_type(path)?;
    let found = |encoding: &Encoding| match encoding {
        Encoding::Brotli => Dist::get(&format!("{path}.br")),
        Encoding::Gzip => Dist::get(&format!("{path}.gz")),
        Encoding::Identity => Dist::get(path),
    };
    let mut offered = vec![Encoding::Brotli, Encoding::Gzip];
    offered.retain(|encoding| found(encoding).is_some());
    let encoding = encoding::best(request, &offered);
    let EmbeddedFile { data, metadata } = found(&encoding)?;
    let hash: String = metadata.sha256_hash()[..16]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let etag = format!("\"{hash}\"");
    let mut answer = if range::is_known(request, &etag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let bytes = match data {
            std::borrow::Cow::Borrowed(bytes) => Bytes::from_static(bytes),
            std::borrow::Cow::Owned(bytes) => Bytes::from(bytes),
        };
        Response::new(body::memory(&state.metrics, Kind::Page, bytes))
    };
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(header::ETAG, ascii(etag));
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    headers.insert(
        header::CACHE_CONTROL,
        if immutable {
            IMMUTABLE
        } else {
            HeaderValue::from_static("no-cache")
        },
    );
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    if let Some(token) = encoding.token() {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(token));
    }
    if path.ends_with(".html") {
        headers.insert(header::CONTENT_SECURITY_POLICY, POLICY);
        headers.insert(
            header::REFERRER_POLICY,
            HeaderValue::from_static("no-referrer"),
        );
    }
    Some(answer)
}

/// By the name's end; what is not here is not served.
fn media_type(path: &str) -> Option<&'static str> {
    Some(match path.rsplit_once('.')?.1 {
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "wasm" => "application/wasm",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "woff2" => "font/woff2",
        "json" => "application/json",
        "txt" => "text/plain; charset=utf-8",
        _ => return None,
    })
}
