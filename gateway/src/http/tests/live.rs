//! Parts, segments, init segments, manifest, API and metrics of a stream on air.

use std::{sync::Arc, time::Duration};

use axum::http::StatusCode;
use meshlive_protocol::{dag, manifest::Opened};
use tokio::time::Instant;

use super::{Air, Bench, PARTS, media};
use crate::metrics::Kind;

#[tokio::test]
async fn a_part_has_its_cid_as_tag_and_lasts_for_ever() {
    let bench = Bench::new();
    let _air = Air::with_segments(&bench, "cam", 1);
    let bytes = media("v", 0, 3);
    let tag = format!("\"{}\"", dag::cid_of(&bytes));
    let (status, headers, body) = bench.ask("GET", "/live/cam/v/0.3.m4s", &[]).await;
    assert_eq!((status, &body[..]), (StatusCode::OK, &bytes[..]));
    for (name, value) in [
        ("etag", &*tag),
        ("content-type", "video/mp4"),
        ("content-length", "1000"),
        ("accept-ranges", "bytes"),
        ("cache-control", "public, max-age=29030400, immutable"),
        ("access-control-allow-origin", "*"),
    ] {
        assert_eq!(headers[name], value, "{name}");
    }
    assert!(
        headers["access-control-expose-headers"]
            .to_str()
            .unwrap()
            .contains("etag")
    );
    assert!(!headers.contains_key("content-encoding"));
    let (status, _, body) = bench
        .ask("GET", "/live/cam/v/0.3.m4s", &[("if-none-match", &tag)])
        .await;
    assert_eq!((status, body.len()), (StatusCode::NOT_MODIFIED, 0));
    let (status, headers, body) = bench
        .ask("GET", "/live/cam/v/0.3.m4s", &[("range", "bytes=-10")])
        .await;
    assert_eq!(
        (
            status,
            &body[..],
            headers["content-range"].to_str().unwrap()
        ),
        (
            StatusCode::PARTIAL_CONTENT,
            &bytes[990..],
            "bytes 990-999/1000"
        )
    );
    let (status, headers, _) = bench
        .ask("GET", "/live/cam/v/0.3.m4s", &[("range", "bytes=1000-")])
        .await;
    assert_eq!(
        (status, headers["content-range"].to_str().unwrap()),
        (StatusCode::RANGE_NOT_SATISFIABLE, "bytes */1000")
    );
    let (_, headers, body) = bench.ask("GET", "/live/cam/a/0.3.m4s", &[]).await;
    assert_eq!(
        (&headers["content-type"], &body[..]),
        (&"audio/mp4".parse().unwrap(), &media("a", 0, 3)[..])
    );
    let (status, _, body) = bench.ask("GET", "/live/cam/v/init-0.mp4", &[]).await;
    assert_eq!((status, &body[..]), (StatusCode::OK, &b"....ftyp v"[..]));
}

#[tokio::test]
async fn a_segment_is_its_parts_and_the_same_file_as_in_ipfs() {
    let bench = Bench::new();
    let _air = Air::with_segments(&bench, "cam", 2);
    let whole: Vec<u8> = (0..PARTS).flat_map(|part| media("v", 1, part)).collect();
    let (status, headers, body) = bench.ask("GET", "/live/cam/v/1.m4s", &[]).await;
    assert_eq!((status, &body), (StatusCode::OK, &whole));
    let root = headers["etag"]
        .to_str()
        .unwrap()
        .trim_matches('"')
        .to_owned();
    let (status, _, body) = bench.ask("GET", &format!("/ipfs/{root}"), &[]).await;
    assert_eq!((status, &body), (StatusCode::OK, &whole));
    let (status, headers, body) = bench.ask("HEAD", "/live/cam/v/1.m4s", &[]).await;
    assert_eq!(
        (status, body.len(), &headers["content-length"]),
        (StatusCode::OK, 0, &"5000".parse().unwrap())
    );
    let (status, _, body) = bench
        .ask("GET", "/live/cam/v/1.m4s", &[("range", "bytes=999-1000")])
        .await;
    assert_eq!(
        (status, &body[..]),
        (StatusCode::PARTIAL_CONTENT, &whole[999..1001])
    );
}

#[tokio::test]
async fn bytes_are_counted_when_they_are_sent() {
    let bench = Bench::new();
    let _air = Air::with_segments(&bench, "cam", 1);
    let sent = || bench.metrics.sent_bytes(Kind::Part);
    bench.ask("GET", "/live/cam/v/0.0.m4s", &[]).await;
    assert_eq!(sent(), 1000);
    bench.ask("HEAD", "/live/cam/v/0.0.m4s", &[]).await;
    bench
        .ask("GET", "/live/cam/v/0.0.m4s", &[("if-none-match", "*")])
        .await;
    bench.ask("GET", "/live/cam/v/9.9.m4s", &[]).await;
    assert_eq!(sent(), 1000);
    bench
        .ask("GET", "/live/cam/v/0.0.m4s", &[("range", "bytes=0-9")])
        .await;
    bench.ask("GET", "/live/cam/v/0.m4s", &[]).await;
    assert_eq!(sent(), 6010);
    let (_, playlist) = bench.get("/live/cam/v.m3u8").await;
    assert_eq!(
        bench.metrics.sent_bytes(Kind::Playlist),
        playlist.len() as u64
    );
    let (_, text) = bench.get("/metrics").await;
    assert!(
        text.contains("\nmeshlive_http_sent_bytes_total{kind=\"part\"} 6010\n"),
        "{text}"
    );
    assert!(
        text.contains("\nmeshlive_parts_published_total{stream=\"k51") && text.ends_with("# EOF\n"),
        "{text}"
    );
}

#[tokio::test(start_paused = true)]
async fn the_next_part_is_waited_for_and_one_that_never_comes_is_not_there() {
    let bench = Arc::new(Bench::new());
    let mut air = Air::with_segments(&bench, "cam", 1);
    air.part();
    let ask = |uri: &'static str| {
        let bench = bench.clone();
        tokio::spawn(async move { bench.get(uri).await })
    };
    let (next, hinted, segment) = (
        ask("/live/cam/v/1.1.m4s"),
        ask("/live/cam/v/1.2.m4s"),
        ask("/live/cam/v/1.m4s"),
    );
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert!(!next.is_finished() && !hinted.is_finished() && !segment.is_finished());
    air.part();
    let (status, body) = next.await.unwrap();
    assert_eq!((status, body.as_bytes()), (200, &media("v", 1, 1)[..]));
    assert!(!hinted.is_finished());
    air.close();
    assert_eq!(hinted.await.unwrap().0, 404);
    assert_eq!(segment.await.unwrap().1.len(), 2000);
    let over_a_boundary = ask("/live/cam/v/2.2.m4s");
    for _ in 0..3 {
        air.part();
    }
    assert_eq!(over_a_boundary.await.unwrap().0, 200);
}

#[tokio::test(start_paused = true)]
async fn what_is_far_ahead_or_never_was_is_not_waited_for() {
    let bench = Bench::new();
    let mut air = Air::with_segments(&bench, "cam", 1);
    air.part();
    let begun = Instant::now();
    for file in [
        "1.4.m4s",
        "2.3.m4s",
        "3.0.m4s",
        "2.m4s",
        "0.5.m4s",
        "init-1.mp4",
        "18446744073709551615.4294967295.m4s",
        "18446744073709551615.m4s",
    ] {
        assert_eq!(
            bench.get(&format!("/live/cam/v/{file}")).await.0,
            404,
            "{file}"
        );
    }
    assert_eq!(begun.elapsed(), Duration::ZERO);
    assert_eq!(bench.get("/live/cam/v/1.3.m4s").await.0, 503);
    assert_eq!(begun.elapsed().as_secs(), 6);
    air.end();
    assert_eq!(bench.get("/live/cam/v/1.1.m4s").await.0, 404);
    assert_eq!(begun.elapsed().as_secs(), 6);
}

#[tokio::test]
async fn what_a_playlist_named_stays_when_it_leaves_the_window() {
    let bench = Bench::new();
    let mut air = Air::with_segments(&bench, "cam", 2);
    bench.get("/live/cam/v.m3u8").await;
    for _ in 0..30 * PARTS {
        air.part();
    }
    let (_, playlist) = bench.get("/live/cam/v.m3u8").await;
    assert!(!playlist.contains("v/1.m4s"));
    assert_eq!(bench.get("/live/cam/v/1.m4s").await.0, 200);
    assert_eq!(bench.get("/live/cam/v/1.2.m4s").await.0, 200);
    // This one was in no playlist that anybody has.
    assert_eq!(bench.get("/live/cam/v/5.m4s").await.0, 404);
}

#[tokio::test]
async fn the_manifest_verifies_against_the_name() {
    let bench = Bench::new();
    let air = Air::with_segments(&bench, "cam", 2);
    let (status, headers, body) = bench.ask("GET", "/live/cam/manifest", &[]).await;
    assert_eq!(
        (status, &headers["content-type"]),
        (
            StatusCode::OK,
            &"application/vnd.ipld.dag-cbor".parse().unwrap()
        )
    );
    let stream = air.publisher.stream();
    let Opened::Manifest(manifest) =
        meshlive_protocol::manifest::open(stream.name(), &body).unwrap()
    else {
        panic!()
    };
    assert_eq!(manifest, stream.snapshot().manifest);
    assert_eq!(bench.get("/live/none/manifest").await.0, 404);
}

#[tokio::test]
async fn the_api_describes_streams() {
    let bench = Bench::new();
    let air = Air::with_segments(&bench, "cam", 1);
    let _off = Air::open(&bench, "zoo");
    let name = air.publisher.stream().name().to_string();
    let (status, headers, body) = bench.ask("GET", "/api/v1/streams", &[]).await;
    assert_eq!(
        (
            status,
            &headers["content-type"],
            &headers["access-control-allow-origin"]
        ),
        (
            StatusCode::OK,
            &"application/json".parse().unwrap(),
            &"*".parse().unwrap()
        )
    );
    let json: serde_json::Value = serde_json::from_slice(&body).unwrap();
    let expected = serde_json::json!({
        "stream": name, "alias": "cam", "title": "cam", "live": true, "viewers": 0, "offload": 0.0, "notices": [],
        "gateways": [], "mirrors": [], "sought": false,
        "renditions": [
            {"id": "v", "codecs": "avc1.64001f,mp4a.40.2", "bandwidth": 2_500_000, "width": 1280, "height": 720, "frameRate": 30.0, "audioOnly": false},
            {"id": "a", "codecs": "mp4a.40.2", "bandwidth": 128_000, "width": 0, "height": 0, "frameRate": 0.0, "audioOnly": true},
        ],
    });
    assert_eq!(json["streams"][0], expected);
    assert_eq!(
        (&json["streams"][1]["alias"], &json["streams"][1]["live"]),
        (&"zoo".into(), &false.into())
    );
    for key in [&name, "cam"] {
        let one: serde_json::Value =
            serde_json::from_str(&bench.get(&format!("/api/v1/streams/{key}")).await.1).unwrap();
        assert_eq!(one, expected);
    }
    for missing in ["/api/v1/streams/none", "/api/v1/none"] {
        let (status, body) = bench.get(missing).await;
        let json: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert!(
            status == 404 && json["error"].is_string(),
            "{missing}: {body}"
        );
    }
}

#[tokio::test]
async fn players_without_a_socket_are_viewers_while_they_reload() {
    let bench = Bench::new();
    let _air = Air::with_segments(&bench, "cam", 1);
    for agent in ["mpv", "mpv", "ffplay"] {
        bench
            .ask("GET", "/live/cam/v.m3u8", &[("user-agent", agent)])
            .await;
    }
    let one: serde_json::Value =
        serde_json::from_str(&bench.get("/api/v1/streams/cam").await.1).unwrap();
    assert_eq!(one["viewers"], 2);
    assert!(
        bench
            .get("/metrics")
            .await
            .1
            .lines()
            .any(|line| line.starts_with("meshlive_viewers{stream=\"k51") && line.ends_with("} 2"))
    );
}

#[tokio::test]
async fn other_sites_get_what_a_player_needs_and_nothing_else() {
    let bench = Bench::new();
    let _air = Air::with_segments(&bench, "cam", 1);
    let origin = [("origin", "http://elsewhere.example")];
    for (uri, open) in [
        ("/live/cam/index.m3u8", true),
        ("/live/cam/v.m3u8", true),
        ("/live/cam/v/0.0.m4s", true),
        ("/live/cam/v/7.0.m4s", true),
        ("/live/cam/manifest", true),
        ("/live/cam/still.jpg", true),
        ("/embed.js", true),
        ("/assets/none.js", true),
        ("/ipfs/bafkqaaa?format=raw", true),
        ("/api/v1/streams", true),
        ("/api/v1/streams/cam", true),
        ("/", false),
        ("/s/cam", false),
        ("/metrics", false),
        ("/healthz", false),
        ("/readyz", false),
        ("/none", false),
    ] {
        let (_, headers, _) = bench.ask("GET", uri, &origin).await;
        assert_eq!(
            headers.contains_key("access-control-allow-origin"),
            open,
            "{uri}"
        );
        assert!(
            !headers.contains_key("access-control-allow-credentials"),
            "{uri}"
        );
    }
    let preflight = [
        origin[0],
        ("access-control-request-method", "GET"),
        ("access-control-request-headers", "range"),
    ];
    let (status, headers, _) = bench
        .ask("OPTIONS", "/live/cam/v/0.0.m4s", &preflight)
        .await;
    assert_eq!(
        (status, &headers["access-control-allow-headers"]),
        (StatusCode::OK, &"range,if-none-match".parse().unwrap())
    );
    assert_eq!(
        bench.ask("POST", "/api/v1/streams", &[]).await.0,
        StatusCode::METHOD_NOT_ALLOWED
    );
}

#[tokio::test]
async fn health() {
    let bench = Bench::new();
    assert_eq!(bench.get("/healthz").await, (200, "ok\n".to_owned()));
    assert_eq!(bench.get("/readyz").await, (200, "ready\n".to_owned()));
}

#[tokio::test]
async fn a_stream_whose_pictures_cannot_be_read_says_so() {
    let bench = Bench::new();
    let _never = Air::open(&bench, "never");
    let _air = Air::with_segments(&bench, "cam", 1);
    for (uri, why) in [
        (
            "/live/never/still.jpg",
            "this stream has no picture to show\n",
        ),
        (
            "/live/cam/still.jpg",
            "this picture of the stream cannot be read\n",
        ),
        (
            "/live/none/still.jpg",
            "there is no such stream on this gateway\n",
        ),
    ] {
        assert_eq!(bench.get(uri).await, (404, why.to_owned()));
    }
}
