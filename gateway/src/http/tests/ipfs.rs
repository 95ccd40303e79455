//! `/ipfs` from a real store.

use axum::http::{HeaderMap, StatusCode};
use cid::Cid;
use meshlive_protocol::dag;

use super::Bench;

/// A segment of three parts, and a directory with a playlist and the segment.
struct Stored {
    bench: Bench,
    parts: Vec<(Cid, Vec<u8>)>,
    segment: (Cid, Vec<u8>),
    directory: (Cid, Vec<u8>),
    playlist: &'static [u8],
}

impl Stored {
    fn new() -> Self {
        let bench = Bench::new();
        let parts: Vec<_> = (1..=3_u8)
            .map(|n| {
                let mut bytes = vec![n; 1000 * usize::from(n)];
                bytes[4..8].copy_from_slice(b"moof");
                (dag::cid_of(&bytes), bytes)
            })
            .collect();
        let sizes: Vec<_> = parts
            .iter()
            .map(|(cid, bytes)| (*cid, bytes.len() as u64))
            .collect();
        let segment = dag::segment_file(&sizes);
        let playlist: &[u8] = b"#EXTM3U\n";
        let entries = [
            (
                "index.m3u8".to_owned(),
                dag::cid_of(playlist),
                playlist.len() as u64,
            ),
            ("a b\u{fc}.m4s".to_owned(), segment.0, 6000),
        ];
        let directory = dag::directory(&entries);
        for (cid, bytes) in parts.iter().chain([
            &segment,
            &directory,
            &(dag::cid_of(playlist), playlist.to_vec()),
        ]) {
            bench
                .store
                .append(
                    &meshlive_protocol::key::SigningKey::from_secret([7; 32]).name(),
                    "720p",
                    1,
                    cid,
                    bytes,
                )
                .unwrap();
        }
        Self {
            bench,
            parts,
            segment,
            directory,
            playlist,
        }
    }

    fn whole(&self) -> Vec<u8> {
        self.parts
            .iter()
            .flat_map(|(_, bytes)| bytes.clone())
            .collect()
    }

    async fn get(&self, path: &str, headers: &[(&str, &str)]) -> (StatusCode, HeaderMap, Vec<u8>) {
        let (status, headers, body) = self
            .bench
            .ask("GET", &format!("/ipfs/{path}"), headers)
            .await;
        assert_eq!(headers["content-security-policy"], "sandbox", "{path}");
        assert_eq!(headers["x-content-type-options"], "nosniff", "{path}");
        assert_eq!(headers["access-control-allow-origin"], "*", "{path}");
        (status, headers, body)
    }

    async fn status(&self, path: &str, headers: &[(&str, &str)]) -> u16 {
        self.get(path, headers).await.0.as_u16()
    }
}

#[tokio::test]
async fn a_part_is_its_bytes() {
    let stored = Stored::new();
    let (cid, bytes) = &stored.parts[1];
    let (status, headers, body) = stored.get(&cid.to_string(), &[]).await;
    assert_eq!((status, &body), (StatusCode::OK, bytes));
    assert_eq!(headers["content-type"], "video/mp4");
    assert_eq!(headers["content-length"], "2000");
    assert_eq!(
        headers["cache-control"],
        "public, max-age=29030400, immutable"
    );
    assert_eq!(headers["etag"], format!("\"{cid}\""));
    assert_eq!(headers["x-ipfs-path"], format!("/ipfs/{cid}"));
    assert_eq!(headers["x-ipfs-roots"], cid.to_string());

    let (status, headers, body) = stored.get(&format!("{cid}?format=raw"), &[]).await;
    assert_eq!((status, &body), (StatusCode::OK, bytes));
    assert_eq!(headers["content-type"], "application/vnd.ipld.raw");
    assert_eq!(headers["etag"], format!("\"{cid}.raw\""));
    assert_eq!(
        headers["content-disposition"],
        format!("attachment; filename=\"{cid}.bin\"")
    );

    let known = [("if-none-match", &*format!("\"x\", W/\"{cid}\""))];
    let (status, headers, body) = stored.get(&cid.to_string(), &known).await;
    assert_eq!((status, body.len()), (StatusCode::NOT_MODIFIED, 0));
    assert_eq!(headers["etag"], format!("\"{cid}\""));

    let (status, headers, body) = stored.bench.ask("HEAD", &format!("/ipfs/{cid}"), &[]).await;
    assert_eq!((status, body.len()), (StatusCode::OK, 0));
    assert_eq!(headers["content-length"], "2000");
}

#[tokio::test]
async fn a_segment_is_one_file_with_ranges_across_its_parts() {
    let stored = Stored::new();
    let (segment, whole) = (stored.segment.0.to_string(), stored.whole());
    let (status, headers, body) = stored.get(&segment, &[]).await;
    assert_eq!((status, &body), (StatusCode::OK, &whole));
    assert_eq!(
        (&headers["content-length"], &headers["content-type"]),
        (&"6000".parse().unwrap(), &"video/mp4".parse().unwrap())
    );
    for (range, expected) in [
        ("bytes=999-1000", 999..1001),
        ("bytes=0-5999", 0..6000),
        ("bytes=-1", 5999..6000),
        ("bytes=500-", 500..6000),
        ("bytes=6000-,990-1010,0-1", 990..1011),
    ] {
        let (status, headers, body) = stored.get(&segment, &[("range", range)]).await;
        assert_eq!(
            (status, &body[..]),
            (StatusCode::PARTIAL_CONTENT, &whole[expected.clone()]),
            "{range}"
        );
        let of = format!("bytes {}-{}/6000", expected.start, expected.end - 1);
        assert_eq!(headers["content-range"], of);
        assert_eq!(headers["content-length"], expected.len().to_string());
    }
    let (status, headers, body) = stored.get(&segment, &[("range", "bytes=6000-")]).await;
    assert_eq!((status, body.len()), (StatusCode::RANGE_NOT_SATISFIABLE, 0));
    assert_eq!(headers["content-range"], "bytes */6000");
    for ignored in [
        "bytes=0-1,5-4",
        "bytes=9-1",
        "lines=1-2",
        "bytes=x",
        "bytes=99999999999999999999999-0",
    ] {
        assert_eq!(
            stored.status(&segment, &[("range", ignored)]).await,
            200,
            "{ignored}"
        );
    }
    let other = [("range", "bytes=0-1"), ("if-range", "\"other\"")];
    assert_eq!(stored.status(&segment, &other).await, 200);
    let same = [
        ("range", "bytes=0-1"),
        ("if-range", &*format!("\"{segment}\"")),
    ];
    assert_eq!(stored.status(&segment, &same).await, 206);
}

#[tokio::test]
async fn paths_lead_through_directories() {
    let stored = Stored::new();
    let directory = stored.directory.0;
    let (status, headers, body) = stored.get(&format!("{directory}/index.m3u8"), &[]).await;
    assert_eq!((status, &body[..]), (StatusCode::OK, stored.playlist));
    assert_eq!(headers["content-type"], "application/vnd.apple.mpegurl");
    assert_eq!(
        headers["x-ipfs-roots"],
        format!("{directory},{}", dag::cid_of(stored.playlist))
    );
    let (status, headers, body) = stored
        .get(&format!("{directory}/a%20b%C3%BC.m4s"), &[])
        .await;
    assert_eq!((status, body), (StatusCode::OK, stored.whole()));
    assert_eq!(
        headers["x-ipfs-path"],
        format!("/ipfs/{directory}/a%20b%C3%BC.m4s")
    );

    let (status, headers, _) = stored.get(&directory.to_string(), &[]).await;
    assert_eq!(status, StatusCode::MOVED_PERMANENTLY);
    assert_eq!(headers["location"], format!("/ipfs/{directory}/"));
    let (status, headers, page) = stored.get(&format!("{directory}/"), &[]).await;
    assert_eq!(
        (status, &headers["content-type"]),
        (StatusCode::OK, &"text/html; charset=utf-8".parse().unwrap())
    );
    assert!(
        String::from_utf8(page)
            .unwrap()
            .contains("href=\"./index%2Em3u8\"")
    );

    for (path, expected) in [
        ("none", 404),
        ("index.m3u8/more", 404),
        ("../index.m3u8", 404),
        ("%2e%2e/", 404),
        ("%ff", 404),
    ] {
        assert_eq!(
            stored.status_or_plain(&format!("{directory}/{path}")).await,
            expected,
            "{path}"
        );
    }
    assert_eq!(
        stored
            .status(&format!("{directory}/{}", "a/".repeat(40)), &[])
            .await,
        404
    );
}

impl Stored {
    /// What never reaches `/ipfs` (a path that is no UTF-8) carries no header of it.
    async fn status_or_plain(&self, path: &str) -> u16 {
        self.bench
            .ask("GET", &format!("/ipfs/{path}"), &[])
            .await
            .0
            .as_u16()
    }
}

#[tokio::test]
async fn cars_hold_the_way_and_what_the_scope_says() {
    let stored = Stored::new();
    let (segment, directory) = (stored.segment.0, stored.directory.0);
    let parts: Vec<_> = stored.parts.iter().map(|(cid, _)| *cid).collect();
    let car = async |path: String| {
        let (status, headers, body) = stored.get(&path, &[]).await;
        assert_eq!(status, StatusCode::OK, "{path}");
        assert_eq!(
            headers["content-type"],
            "application/vnd.ipld.car; version=1; order=dfs; dups=y"
        );
        read_car(&body)
    };
    assert_eq!(
        car(format!("{segment}?format=car")).await,
        (segment, vec![segment, parts[0], parts[1], parts[2]])
    );
    assert_eq!(
        car(format!("{segment}?format=car&dag-scope=block")).await,
        (segment, vec![segment])
    );
    let some = car(format!("{segment}?format=car&entity-bytes=1000:2999")).await;
    assert_eq!(some, (segment, vec![segment, parts[1]]));
    let named = car(format!(
        "{directory}/a%20b%C3%BC.m4s?format=car&dag-scope=entity"
    ))
    .await;
    assert_eq!(
        named,
        (
            segment,
            vec![directory, segment, parts[0], parts[1], parts[2]]
        )
    );
    assert_eq!(
        car(format!("{directory}/?format=car&dag-scope=entity")).await,
        (directory, vec![directory])
    );
    let all = car(format!("{directory}?format=car")).await.1;
    assert_eq!(all.len(), 6);
    let (status, _, body) = stored
        .bench
        .ask("HEAD", &format!("/ipfs/{directory}?format=car"), &[])
        .await;
    assert_eq!((status, body.len()), (StatusCode::OK, 0));
}

/// The root and the CIDs of a CAR, each block verified.
pub(super) fn read_car(mut bytes: &[u8]) -> (Cid, Vec<Cid>) {
    let mut section = || -> Option<Vec<u8>> {
        let mut length = 0;
        for shift in (0..).step_by(7) {
            let (byte, rest) = bytes.split_first()?;
            bytes = rest;
            length |= usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                break;
            }
        }
        let (section, rest) = bytes.split_at(length);
        bytes = rest;
        Some(section.to_vec())
    };
    #[derive(serde::Deserialize)]
    struct Header {
        roots: Vec<Cid>,
        version: u64,
    }
    let header: Header = serde_ipld_dagcbor::from_slice(&section().unwrap()).unwrap();
    assert_eq!((header.version, header.roots.len()), (1, 1));
    let mut cids = Vec::new();
    while let Some(section) = section() {
        let mut rest = &section[..];
        let cid = Cid::read_bytes(&mut rest).unwrap();
        assert!(dag::verify(&cid, rest));
        cids.push(cid);
    }
    (header.roots[0], cids)
}

#[tokio::test]
async fn wrong_requests_are_told_so() {
    let stored = Stored::new();
    let cid = stored.parts[0].0;
    let elsewhere = dag::cid_of(b"elsewhere");
    for (path, headers, expected) in [
        ("nonsense".to_owned(), &[][..], 400),
        ("..".to_owned(), &[], 400),
        ("Qm".to_owned(), &[], 400),
        ("b".repeat(900), &[], 400),
        ("\u{430}".repeat(3), &[], 400),
        (elsewhere.to_string(), &[], 404),
        (
            elsewhere.to_string(),
            &[("cache-control", "only-if-cached")],
            412,
        ),
        (cid.to_string(), &[("cache-control", "only-if-cached")], 200),
        (format!("{cid}/below"), &[], 404),
        (format!("{cid}?format=tar"), &[], 406),
        (format!("{cid}?format=car&dag-scope=x"), &[], 400),
        (format!("{cid}?format=car&entity-bytes=999:*"), &[], 200),
        (format!("{cid}?format=car&entity-bytes=1000:*"), &[], 400),
        (
            cid.to_string(),
            &[("accept", "application/vnd.ipld.dag-json")],
            406,
        ),
        (cid.to_string(), &[("service-worker", "script")], 400),
        // Identity: the CID carries its content, which is not this gateway's to serve; but the empty one is a probe.
        ("bafkqablimvwgy3y".to_owned(), &[], 404),
        ("bafkqablimvwgy3y?format=raw".to_owned(), &[], 404),
        (
            "bafkqaaa".to_owned(),
            &[("accept", "application/vnd.ipld.raw")],
            200,
        ),
    ] {
        let path: String =
            percent_encoding::utf8_percent_encode(&path, percent_encoding::CONTROLS).to_string();
        assert_eq!(
            stored.status(&path, headers).await,
            expected,
            "{path} {headers:?}"
        );
    }
    // As a node, these bytes are none.
    let as_node = Cid::new_v1(0x70, *cid.hash());
    assert_eq!(stored.status(&as_node.to_string(), &[]).await, 422);
    assert_eq!(
        stored.status(&format!("{as_node}?format=raw"), &[]).await,
        200
    );
    // Version 0 is another name of a node.
    let v0 = Cid::new_v0(*stored.segment.0.hash()).unwrap();
    assert_eq!(stored.status(&v0.to_string(), &[]).await, 200);
}
