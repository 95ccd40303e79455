//! Bad input: whatever stands in a URL or a header, the answer is a small no that tells nothing of the inside.

use axum::http::{Method, Request, StatusCode};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use proptest::prelude::*;

use super::{Air, Bench};

const PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/');

/// Answers that a stranger may get.
fn is_calm(status: StatusCode) -> bool {
    [200, 206, 301, 304, 400, 404, 405, 406, 416, 422, 501].contains(&status.as_u16())
}

fn tells_nothing(body: &[u8]) -> bool {
    let text = String::from_utf8_lossy(body);
    [
        "/tmp",
        "src/",
        ".rs",
        "panicked",
        "::",
        "No such file",
        "os error",
    ]
    .iter()
    .all(|inside| !text.contains(inside))
}

#[tokio::test]
async fn names_that_are_none_are_not_found() {
    let bench = Bench::new();
    let _air = Air::with_segments(&bench, "cam", 1);
    let long = "x".repeat(10_000);
    for name in [
        "..",
        ".",
        "../../etc/passwd",
        "..\\..",
        "cam/..",
        "CAM",
        "cam ",
        " cam",
        "cam\0",
        "c\u{430}m",
        "ｃａｍ",
        "cam\u{200b}",
        "cam%2f",
        "k51",
        &long,
        &"é".repeat(5000),
        "k51qzi5uqu5d",
        "\u{202e}mac",
        "cam.",
        "~",
        "*",
        "'",
        "\"",
        "<script>",
        "{stream}",
    ] {
        let name = utf8_percent_encode(name, NON_ALPHANUMERIC).to_string();
        for uri in [
            format!("/live/{name}/index.m3u8"),
            format!("/live/{name}/v.m3u8"),
            format!("/live/cam/{name}.m3u8"),
            format!("/live/{name}/v/0.0.m4s"),
            format!("/live/cam/{name}/0.0.m4s"),
            format!("/live/cam/v/{name}"),
            format!("/live/cam/v/{name}.m4s"),
            format!("/live/{name}/manifest"),
            format!("/live/{name}/still.jpg"),
            format!("/api/v1/streams/{name}"),
            format!("/assets/{name}"),
            format!("/{name}"),
        ] {
            let (status, _, body) = bench.ask("GET", &uri, &[]).await;
            let shown: String = uri.chars().take(100).collect();
            assert_eq!(status, StatusCode::NOT_FOUND, "{shown}");
            assert!(
                tells_nothing(&body) && body.len() < 3000,
                "{shown}: {}",
                String::from_utf8_lossy(&body)
            );
        }
    }
    // No UTF-8 at all, and escapes that are none.
    for uri in [
        "/live/%ff%fe/index.m3u8",
        "/live/cam/%80.m3u8",
        "/api/v1/streams/%c3",
        "/assets/%ff",
        "/ipfs/%ff",
        "/live/%zz/v.m3u8",
    ] {
        assert_eq!(
            bench.ask("GET", uri, &[]).await.0,
            StatusCode::NOT_FOUND,
            "{uri}"
        );
    }
    // Dots are not resolved here: no path leads out of a door.
    for uri in [
        "/live/../metrics",
        "/assets/../index.html",
        "/assets/..%2findex.html",
        "/assets/%2e%2e%2fembed.js",
        "//metrics",
    ] {
        assert_eq!(
            bench.ask("GET", uri, &[]).await.0,
            StatusCode::NOT_FOUND,
            "{uri}"
        );
    }
}

#[tokio::test]
async fn methods_that_change_something_are_refused_everywhere() {
    let bench = Bench::new();
    let _air = Air::with_segments(&bench, "cam", 1);
    for uri in [
        "/",
        "/live/cam/v.m3u8",
        "/live/cam/v/0.0.m4s",
        "/api/v1/streams",
        "/ipfs/bafkqaaa",
        "/metrics",
        "/embed.js",
    ] {
        for method in ["POST", "PUT", "DELETE", "PATCH", "TRACE", "BREW"] {
            assert_eq!(
                bench.ask(method, uri, &[]).await.0,
                StatusCode::METHOD_NOT_ALLOWED,
                "{method} {uri}"
            );
        }
    }
}

/// Asks with anything; whatever is no request at all (hyper refuses it before it comes here) does not count.
async fn calm(
    bench: &Bench,
    uri: &str,
    header: Option<(&str, &[u8])>,
) -> Result<(), TestCaseError> {
    let mut request = Request::builder().method(Method::GET).uri(uri);
    if let Some((name, value)) = header {
        request = request.header(name, value);
    }
    let Ok(request) = request.body(axum::body::Body::empty()) else {
        return Ok(());
    };
    let answer = tower::ServiceExt::oneshot(bench.router.clone(), request)
        .await
        .unwrap();
    prop_assert!(
        is_calm(answer.status()),
        "{} for {:?} {:?}",
        answer.status(),
        uri,
        header
    );
    Ok(())
}

/// One stream that has ended, so that nothing is worth waiting for, for all cases.
fn with_ended_stream(
    test: impl AsyncFn(&Bench) -> Result<(), TestCaseError>,
) -> Result<(), TestCaseError> {
    thread_local! {
        static BENCH: (tokio::runtime::Runtime, Bench) = {
            let bench = Bench::new();
            let mut air = Air::with_segments(&bench, "cam", 2);
            air.end();
            (tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap(), bench)
        };
    }
    BENCH.with(|(runtime, bench)| runtime.block_on(test(bench)))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn random_queries_are_answered_calmly(query in "(_HLS_(msn|part|skip)=([0-9]{1,22}|YES|.{0,4})&){0,4}.{0,30}") {
        let query = utf8_percent_encode(&query, percent_encoding::CONTROLS).to_string().replace(['#', ' ', '"', '<', '>'], "");
        with_ended_stream(async |bench| {
            calm(bench, &format!("/live/cam/v.m3u8?{query}"), None).await?;
            calm(bench, &format!("/live/cam/index.m3u8?{query}"), None).await?;
            calm(bench, &format!("/ipfs/bafkqaaa?{query}"), None).await
        })?;
    }

    #[test]
    fn random_files_are_answered_calmly(file in "([0-9]{1,22}\\.){0,3}(m4s|mp4|m3u8)|init-[0-9]{0,12}\\.mp4|.{0,40}") {
        let file = utf8_percent_encode(&file, NON_ALPHANUMERIC).to_string();
        with_ended_stream(async |bench| calm(bench, &format!("/live/cam/v/{file}"), None).await)?;
    }

    #[test]
    fn random_cids_are_answered_calmly(cid in "(bafkrei|bafybei|Qm|k51|z|f|m|u)?[a-zA-Z0-9]{0,70}", path in "(/.{0,10}){0,3}") {
        let path = utf8_percent_encode(&path, PATH).to_string();
        with_ended_stream(async |bench| calm(bench, &format!("/ipfs/{cid}{path}"), None).await)?;
    }

    #[test]
    fn random_headers_are_answered_calmly(name in 0..6_usize, value in proptest::collection::vec(any::<u8>(), 0..80), text in "(bytes=)?[-0-9, ]{0,60}") {
        let name = ["range", "if-none-match", "if-range", "accept", "accept-encoding", "cache-control"][name];
        with_ended_stream(async |bench| {
            for uri in ["/live/cam/v/0.0.m4s", "/live/cam/v/1.m4s", "/live/cam/v.m3u8", "/", "/ipfs/bafkqaaa"] {
                for value in [&value[..], text.as_bytes()] {
                    let answer = calm(bench, uri, Some((name, value))).await;
                    // The page may not be built.
                    if uri != "/" { answer?; }
                }
            }
            Ok(())
        })?;
    }
}
