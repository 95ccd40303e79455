//! A UnixFS directory as a page without scripts.

use std::fmt::Write;

use axum::{
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use cid::Cid;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::{State, body, content::ascii, range};
use crate::metrics::Kind;

/// Names of a directory, each with its child and size in bytes.
pub(super) fn page(
    state: &State,
    request: &HeaderMap,
    cid: &Cid,
    path: &str,
    entries: &[(String, Cid, u64)],
) -> Response {
    // The page changes with this code, the directory does not.
    let etag = format!("\"DirIndex-2_CID-{cid}\"");
    let mut answer = if range::is_known(request, &etag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        Response::new(body::memory(
            &state.metrics,
            Kind::Other,
            html(path, entries).into(),
        ))
    };
    let headers = answer.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/html; charset=utf-8"),
    );
    headers.insert(header::ETAG, ascii(etag));
    headers.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("public, max-age=604800, stale-while-revalidate=2678400"),
    );
    headers.insert(header::VARY, HeaderValue::from_static("accept"));
    answer
}

fn html(path: &str, entries: &[(String, Cid, u64)]) -> String {
    let title = format!("Index of {}", escaped(path));
    let mut page = format!(
        "<!doctype html><html lang=en><meta charset=utf-8><title>{title}</title><h1>{title}</h1><ul>"
    );
    for (name, cid, size) in entries {
        let place = utf8_percent_encode(name, NON_ALPHANUMERIC);
        let name = escaped(name);
        // `./` keeps a name with a colon from being a scheme.
        write!(
            page,
            "<li><a href=\"./{place}\">{name}</a> {size} <code>{cid}</code>"
        )
        .expect("a String takes all that is written to it");
    }
    page.push_str("</ul>\n");
    page
}

/// As text of HTML or XML, also within quotes.
pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use meshlive_protocol::dag;

    use super::*;

    #[test]
    fn names_stay_names() {
        let entries = [("\"><script>&/..".to_owned(), dag::cid_of(b""), 7)];
        let page = html("<i>", &entries);
        assert!(page.contains("<h1>Index of &lt;i&gt;</h1>"));
        assert!(page.contains(
            "href=\"./%22%3E%3Cscript%3E%26%2F%2E%2E\">&quot;&gt;&lt;script&gt;&amp;/.."
        ));
        assert!(!page.contains("<script"));
    }
}
