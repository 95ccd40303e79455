//! `/ipfs` with what gateways of this kind never write: sharded directories, nested files, bytes in nodes, links of
//! version 0, `index.html`.

use axum::http::{HeaderMap, StatusCode};
use cid::Cid;
use meshlive_protocol::{dag, key::SigningKey, protobuf};

use super::{Bench, ipfs::read_car};

/// A store of blocks that others wrote.
struct Foreign(Bench);

/// A node's links: name, child, size.
type Links<'a> = &'a [(&'a str, Cid, u64)];

impl Foreign {
    fn new() -> Self {
        Self(Bench::new())
    }

    fn keep(&self, cid: Cid, bytes: &[u8]) -> Cid {
        let name = SigningKey::from_secret([7; 32]).name();
        self.0.store.append(&name, "v", 1, &cid, bytes).unwrap();
        cid
    }

    fn raw(&self, bytes: &[u8]) -> Cid {
        self.keep(dag::cid_of(bytes), bytes)
    }

    /// A node with this UnixFS data.
    fn node(&self, links: Links, numbers: &[(u64, u64)], data: &[u8]) -> Cid {
        let (mut node, mut unixfs) = (Vec::new(), Vec::new());
        for (name, cid, size) in links {
            let mut link = Vec::new();
            protobuf::bytes(&mut link, 1, &cid.to_bytes());
            protobuf::bytes(&mut link, 2, name.as_bytes());
            protobuf::number(&mut link, 3, *size);
            protobuf::bytes(&mut node, 2, &link);
        }
        for (field, value) in numbers {
            protobuf::number(&mut unixfs, *field, *value);
        }
        if !data.is_empty() {
            protobuf::bytes(&mut unixfs, 2, data);
        }
        protobuf::bytes(&mut node, 1, &unixfs);
        let cid = Cid::new_v1(dag::DAG_PB, *dag::cid_of(&node).hash());
        self.keep(cid, &node)
    }

    fn file(&self, children: &[(Cid, u64)]) -> Cid {
        let links: Vec<_> = children
            .iter()
            .map(|(cid, size)| ("", *cid, *size))
            .collect();
        let sizes = children.iter().map(|(_, size)| (4, *size));
        let numbers: Vec<_> = [(1, 2)].into_iter().chain(sizes).collect();
        self.node(&links, &numbers, b"")
    }

    fn directory(&self, links: Links) -> Cid {
        self.node(links, &[(1, 1)], b"")
    }

    fn shard(&self, links: Links) -> Cid {
        self.node(links, &[(1, 5), (5, 0x22), (6, 256)], b"\xff")
    }

    async fn get(&self, path: &str) -> (StatusCode, HeaderMap, Vec<u8>) {
        self.0.ask("GET", &format!("/ipfs/{path}"), &[]).await
    }

    async fn body(&self, path: &str) -> String {
        let (status, _, body) = self.get(path).await;
        assert_eq!(status, StatusCode::OK, "{path}");
        String::from_utf8(body).unwrap()
    }

    /// The blocks of a CAR.
    async fn car(&self, path: &str) -> Vec<Cid> {
        let sign = if path.contains('?') { '&' } else { '?' };
        let (status, _, body) = self.get(&format!("{path}{sign}format=car")).await;
        assert_eq!(status, StatusCode::OK, "{path}");
        read_car(&body).1
    }
}

#[tokio::test]
async fn names_are_found_through_shards_and_only_those_on_the_way_are_sent() {
    let foreign = Foreign::new();
    let [hello, other, third] = [&b"one"[..], b"two", b"three"].map(|bytes| foreign.raw(bytes));
    let file = foreign.file(&[(hello, 3)]);
    // "hello" begins with CB D8 in its hash.
    let deep = foreign.shard(&[("D8hello", file, 50), ("D9other", other, 3)]);
    let aside = foreign.shard(&[("00third", third, 5)]);
    let root = foreign.shard(&[("00", aside, 60), ("CB", deep, 120)]);

    assert_eq!(foreign.body(&format!("{root}/hello")).await, "one");
    let (_, headers, _) = foreign.get(&format!("{root}/hello")).await;
    assert_eq!(headers["x-ipfs-roots"], format!("{root},{file}"));
    for absent in ["other", "hell", "index.html", "D8hello"] {
        assert_eq!(
            foreign.get(&format!("{root}/{absent}")).await.0,
            404,
            "{absent}"
        );
    }
    let page = foreign.body(&format!("{root}/")).await;
    for name in ["hello", "other", "third"] {
        assert!(page.contains(&format!(">{name}</a>")), "{page}");
    }
    assert!(page.find("hello") < page.find("other") && !page.contains("CB"));

    assert_eq!(
        foreign.car(&format!("{root}/hello")).await,
        [root, deep, file, hello]
    );
    let block = foreign.car(&format!("{root}/hello?dag-scope=block")).await;
    assert_eq!(block, [root, deep, file]);
    for entity in [
        "dag-scope=entity",
        "dag-scope=entity&entity-bytes=1:2",
        "entity-bytes=99:*",
    ] {
        assert_eq!(
            foreign.car(&format!("{root}?{entity}")).await,
            [root, aside, deep],
            "{entity}"
        );
    }
    let all = [root, aside, third, deep, file, hello, other];
    assert_eq!(foreign.car(&root.to_string()).await, all);

    // What stands where a shard should be is told, not searched.
    let broken = foreign.shard(&[("CB", hello, 3)]);
    assert_eq!(foreign.get(&format!("{broken}/hello")).await.0, 422);
}

#[tokio::test]
async fn of_a_nested_file_only_what_holds_the_wanted_bytes_is_needed() {
    let foreign = Foreign::new();
    // 3 × 100 bytes: a raw leaf, a leaf with its bytes in a node, and one whose CID is all of it.
    let a = foreign.raw(&[b'a'; 100]);
    let b = foreign.node(&[], &[(1, 2), (3, 100)], &[b'b'; 100]);
    let gone = dag::cid_of(b"nobody has this");
    let inner = foreign.file(&[(a, 100), (b, 100)]);
    let short = Cid::new_v1(
        dag::RAW,
        cid::multihash::Multihash::wrap(0, b"short").unwrap(),
    );
    let root = foreign.file(&[(inner, 200), (gone, 300), (short, 5)]);

    let ranged = async |range: &str| {
        let path = format!("/ipfs/{root}");
        let (status, headers, body) = foreign.0.ask("GET", &path, &[("range", range)]).await;
        assert_eq!(status, 206, "{range}");
        (
            headers["content-range"].to_str().unwrap().to_owned(),
            String::from_utf8(body).unwrap(),
        )
    };
    let (range, body) = ranged("bytes=98-101").await;
    assert_eq!((&*range, &*body), ("bytes 98-101/505", "aabb"));
    assert_eq!(ranged("bytes=-5").await.1, "short");

    let bytes = async |bytes: &str| foreign.car(&format!("{root}?entity-bytes={bytes}")).await;
    assert_eq!(bytes("0:99").await, [root, inner, a]);
    assert_eq!(bytes("99:-306").await, [root, inner, a, b]);
    assert_eq!(bytes("-400:-307").await, [root, inner, b]);
    assert_eq!(
        bytes("500:*").await,
        [root],
        "what a CID is itself is never sent"
    );
    assert_eq!(bytes("-1:3").await, [root], "nothing lies between them");
    let (status, _, why) = foreign
        .get(&format!("{root}?format=car&entity-bytes=505:600"))
        .await;
    assert_eq!(status, 400);
    assert!(String::from_utf8(why).unwrap().contains("505 bytes"));

    // Each its own tag.
    let mut tags = std::collections::BTreeSet::new();
    for query in [
        "dag-scope=block",
        "dag-scope=all",
        "entity-bytes=0:9",
        "entity-bytes=0:8",
    ] {
        let path = format!("/ipfs/{root}?format=car&{query}");
        let (_, headers, _) = foreign.0.ask("HEAD", &path, &[]).await;
        tags.insert(headers["etag"].clone());
    }
    assert_eq!(tags.len(), 4);
}

/// A body that a gateway cut off in the midst of it cannot be read: `None`.
async fn whole(foreign: &Foreign, path: &str) -> Option<Vec<u8>> {
    use http_body_util::BodyExt;
    use tower::ServiceExt;
    let request = axum::http::Request::builder().uri(format!("/ipfs/{path}"));
    let request = request.body(axum::body::Body::empty()).unwrap();
    let answer = foreign.0.router.clone().oneshot(request).await.unwrap();
    let body = answer.into_body().collect().await.ok()?;
    Some(body.to_bytes().to_vec())
}

#[tokio::test]
async fn what_says_a_wrong_size_or_is_gone_is_cut_off() {
    let foreign = Foreign::new();
    let a = foreign.raw(&[b'a'; 100]);
    let inner = foreign.file(&[(a, 100)]);
    for wrong in [
        foreign.file(&[(a, 99)]),
        foreign.file(&[(a, 101)]),
        foreign.file(&[(inner, 200)]),
        foreign.file(&[(a, 100), (dag::cid_of(b"gone"), 4)]),
        foreign.file(&[(foreign.directory(&[]), 100)]),
    ] {
        assert_eq!(whole(&foreign, &wrong.to_string()).await, None);
    }
    let right = whole(&foreign, &inner.to_string()).await;
    assert_eq!(right, Some(vec![b'a'; 100]));
    let cut = foreign.file(&[(dag::cid_of(b"gone"), 4)]);
    assert_eq!(whole(&foreign, &format!("{cut}?format=car")).await, None);
}

#[tokio::test]
async fn a_directory_with_an_index_is_that_page_in_its_own_name() {
    let foreign = Foreign::new();
    let index = foreign.raw(b"<h1>hello</h1>");
    let directory = foreign.directory(&[("index.html", index, 14)]);
    let root = foreign.directory(&[
        ("a", directory, 60),
        ("bar", foreign.node(&[], &[(1, 4)], b"foo"), 5),
    ]);
    let (status, headers, body) = foreign.get(&format!("{root}/a/")).await;
    assert_eq!(
        (status, &body[..]),
        (StatusCode::OK, &b"<h1>hello</h1>"[..])
    );
    assert_eq!(headers["etag"], format!("\"{directory}\""));
    assert_eq!(headers["content-type"], "text/html; charset=utf-8");
    assert_eq!(
        headers["cache-control"],
        "public, max-age=29030400, immutable"
    );
    assert_eq!(headers["x-ipfs-roots"], format!("{root},{directory}"));
    assert_eq!(headers["content-security-policy"], "sandbox");
    let (status, headers, _) = foreign.get(&format!("{root}/a?x=1")).await;
    assert_eq!(
        (status, headers["location"].to_str().unwrap()),
        (
            StatusCode::MOVED_PERMANENTLY,
            &*format!("/ipfs/{root}/a/?x=1")
        )
    );
    assert_eq!(foreign.body(&format!("{root}/bar")).await, "foo");
    let of_a_directory = foreign.directory(&[("index.html", directory, 60)]);
    assert_eq!(foreign.get(&format!("{of_a_directory}/")).await.0, 422);
}

#[tokio::test]
async fn version_0_stays_version_0() {
    let foreign = Foreign::new();
    let leaf = foreign.raw(b"leaf");
    let file = foreign.file(&[(leaf, 4)]);
    let [file0, file1] = [Cid::new_v0(*file.hash()).unwrap(), file];
    let root = foreign.directory(&[("f", file0, 50)]);
    let root0 = Cid::new_v0(*root.hash()).unwrap();
    assert_eq!(foreign.body(&format!("{root0}/f")).await, "leaf");
    assert_eq!(foreign.car(&format!("{root0}")).await, [root0, file0, leaf]);
    assert_eq!(foreign.car(&format!("{file1}")).await, [file1, leaf]);
    let (_, headers, _) = foreign.get(&format!("{root0}/f")).await;
    assert_eq!(headers["x-ipfs-roots"], format!("{root0},{file0}"));
}

#[tokio::test]
async fn names_for_saving_are_what_the_query_says() {
    let foreign = Foreign::new();
    let leaf = foreign.raw(b"leaf");
    for (query, expected) in [
        ("format=raw", format!("attachment; filename=\"{leaf}.bin\"")),
        (
            "format=raw&filename=foobar.bin",
            "attachment; filename=\"foobar.bin\"".to_owned(),
        ),
        (
            "format=car&filename=a%22b.car",
            "attachment; filename=\"a_b.car\"; filename*=UTF-8''a%22b.car".to_owned(),
        ),
        (
            "filename=test%D1%82.txt",
            "inline; filename=\"test_.txt\"; filename*=UTF-8''test%D1%82.txt".to_owned(),
        ),
        (
            "filename=x.txt&download=true",
            "attachment; filename=\"x.txt\"".to_owned(),
        ),
        (
            "filename=a%0d%0ab",
            "inline; filename=\"a__b\"; filename*=UTF-8''a%0D%0Ab".to_owned(),
        ),
    ] {
        let (status, headers, _) = foreign.get(&format!("{leaf}?{query}")).await;
        assert_eq!(status, StatusCode::OK, "{query}");
        assert_eq!(headers["content-disposition"], expected, "{query}");
    }
}

#[tokio::test]
async fn cids_that_are_their_content_are_in_no_car() {
    let foreign = Foreign::new();
    let hello = "bafkqaf3imvwgy3zaneqgc3janfxgy2lomvscay3jmqfa";
    assert!(foreign.car(hello).await.is_empty());
    assert!(foreign.car("bafkqaaa").await.is_empty());
    assert_eq!(foreign.get(hello).await.0, 404);
    let (status, headers, _) = foreign
        .0
        .ask("OPTIONS", &format!("/ipfs/{hello}"), &[])
        .await;
    assert_eq!(status, 204);
    assert_eq!(
        headers["access-control-allow-methods"],
        "GET, HEAD, OPTIONS"
    );
}
