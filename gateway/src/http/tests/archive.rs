//! The doors of a stream's past: list, signed entries, directories by name.

use meshlive_protocol::archive::{Catalogue, Entry, HOUR, Labelled, Vouched};

use super::{super::earlier, *};

/// A segment of one part that begins at this time.
fn segment_at(air: &mut Air, start: u64) {
    let segment = air.segment;
    let mut packaged = Vec::new();
    if segment == 0 {
        let renditions = vec![rendition("v", false), rendition("a", true)];
        packaged.push(Packaged::Renditions {
            number: 0,
            renditions,
        });
    }
    packaged.push(Packaged::Opened {
        segment,
        start,
        discontinuity: false,
        init: 0,
    });
    let parts = ["v", "a"].map(|id| Part {
        data: media(id, segment, 0),
        duration: 200_000,
        independent: true,
    });
    packaged.push(Packaged::Parts {
        segment,
        part: 0,
        parts: parts.into(),
    });
    packaged.push(Packaged::Closed { segment });
    air.publisher.publish(packaged).unwrap();
    air.segment += 1;
}

async fn with_two_hours(bench: &Bench) -> (Air, String) {
    let mut air = Air::open(bench, "cam");
    let stream = air.publisher.stream().clone();
    for hour in 0..3 {
        for segment in 0..3 {
            segment_at(&mut air, START + hour * HOUR + segment * 200_000);
        }
    }
    let archive = stream.archive().unwrap();
    for _ in 0..400 {
        if archive.catalogue().last().1 == 2 {
            return (air, stream.text().to_owned());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("no hour closed");
}

#[tokio::test]
async fn hours_are_listed_and_their_directories_served_by_cid_and_by_name() {
    let bench = Bench::new();
    let (_air, name) = with_two_hours(&bench).await;
    let (status, text) = bench.get("/api/v1/streams/cam/archive").await;
    assert_eq!(status, 200, "{text}");
    let past: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(past["stream"], name);
    assert_eq!(past["sequence"], 2);
    let signed = past["signed"].as_str().unwrap();
    let entry = Entry::open_text(&name.parse().unwrap(), signed).unwrap();
    assert_eq!(entry.root.unwrap().cid.to_string(), past["root"]);
    // 2023-11-14T22:13:20Z: the second hour ends the day, the third is not over.
    let days = past["days"].as_array().unwrap();
    assert_eq!(days.len(), 1);
    assert_eq!(days[0]["day"], "2023-11-14");
    let hours = days[0]["hours"].as_array().unwrap();
    assert_eq!(hours[0]["start"], "2023-11-14T22:00:00Z");
    assert_eq!(hours[1]["duration"], 0.6);
    assert_eq!(hours[1]["held"], true);
    let hour = hours[0]["cid"].as_str().unwrap();
    let (status, playlist) = bench.get(&format!("/ipfs/{hour}/v/index.m3u8")).await;
    assert_eq!(
        (status, playlist.matches(".m4s").count()),
        (200, 3),
        "{playlist}"
    );
    let by_name = format!("/ipns/{name}/2023-11-14/22/v/index.m3u8");
    let (status, headers, body) = bench.ask("GET", &by_name, &[]).await;
    assert_eq!(status, 200);
    assert_eq!(headers["cache-control"], "public, max-age=10");
    assert_eq!(headers["x-ipfs-path"].to_str().unwrap(), by_name);
    assert_eq!(headers["content-type"], "application/vnd.apple.mpegurl");
    assert_eq!(
        headers["x-ipfs-roots"].to_str().unwrap().split(',').next(),
        past["root"].as_str()
    );
    assert_eq!(body, playlist.as_bytes());
    let (status, headers, _) = bench.ask("GET", &format!("/ipns/{name}"), &[]).await;
    assert_eq!(status, 301);
    assert_eq!(
        headers["location"].to_str().unwrap(),
        format!("/ipns/{name}/")
    );
    let (status, page) = bench.get(&format!("/ipns/{name}/")).await;
    assert_eq!(status, 200);
    assert!(page.contains("2023-11-14"));
    let segment = format!("/ipns/{name}/2023-11-14/22/v/1.m4s");
    let (status, _, body) = bench.ask("GET", &segment, &[]).await;
    assert_eq!((status.as_u16(), body), (200, media("v", 1, 0).to_vec()));
}

#[tokio::test]
async fn the_signed_list_can_be_followed_from_any_entry() {
    let bench = Bench::new();
    let (air, _) = with_two_hours(&bench).await;
    let stream = air.publisher.stream();
    let url = "/api/v1/streams/cam/archive/catalogue";
    let (_, _, bytes) = bench.ask("GET", url, &[]).await;
    let (mut catalogue, mut rest, mut starts) = (Catalogue::default(), &bytes[..], Vec::new());
    while !rest.is_empty() {
        starts.push(bytes.len() - rest.len());
        // Entries are longer than 127 and shorter than 16384 bytes.
        let length = usize::from(rest[0] & 0x7f) | usize::from(rest[1]) << 7;
        let entry = Entry::open(stream.name(), &rest[2..2 + length]).unwrap();
        catalogue.apply(&entry).unwrap();
        rest = &rest[2 + length..];
    }
    assert_eq!(catalogue, stream.archive().unwrap().catalogue());
    let (_, _, behind) = bench.ask("GET", &format!("{url}?from=1"), &[]).await;
    assert_eq!(behind, bytes[starts[1]..]);
    let (_, _, none) = bench.ask("GET", &format!("{url}?from=99999"), &[]).await;
    assert!(none.is_empty());
    assert_eq!(bench.get(&format!("{url}?from=x")).await.0, 400);
}

#[tokio::test]
async fn what_is_not_there_is_said() {
    let bench = Bench::new();
    let air = Air::open(&bench, "cam");
    let name = air.publisher.stream().text();
    for (url, expected) in [
        ("/api/v1/streams/other/archive".to_owned(), 404),
        (format!("/ipns/{name}"), 404),
        ("/ipns/cam/".to_owned(), 400),
        (
            "/api/v1/streams/cam/archive/still.jpg?at=1700000000".to_owned(),
            404,
        ),
        ("/api/v1/streams/cam/archive/still.jpg".to_owned(), 400),
    ] {
        assert_eq!(bench.get(&url).await.0, expected, "{url}");
    }
    let (status, text) = bench.get("/api/v1/streams/cam/archive").await;
    assert_eq!(status, 200);
    assert!(
        text.contains("\"root\":null") && text.contains("\"days\":[]"),
        "{text}"
    );
}

#[tokio::test]
async fn recordings_are_a_feed_the_newest_first_and_what_is_taken_down_is_in_no_door() {
    let bench = Bench::new();
    let (air, name) = with_two_hours(&bench).await;
    let place = "/s/cam/archive/feed.xml";
    let (status, headers, text) = bench.ask("GET", place, &[("host", "node.mesh:81")]).await;
    assert_eq!(status, 200);
    assert_eq!(
        headers["content-type"],
        "application/rss+xml; charset=utf-8"
    );
    let text = String::from_utf8(text).unwrap();
    assert_eq!(text.matches("<item>").count(), 2, "{text}");
    let [newer, older] = ["2023-11-14 23:00 UTC", "2023-11-14 22:00 UTC"].map(|at| text.find(at));
    assert!(newer.is_some() && newer < older, "{text}");
    let link = format!("<link>http://node.mesh:81/s/{name}/archive#t=1700002800</link>");
    assert!(text.contains(&link), "{text}");
    let tag = headers["etag"].to_str().unwrap();
    let known = [("host", "node.mesh:81"), ("if-none-match", tag)];
    assert_eq!(bench.ask("GET", place, &known).await.0, 304);
    assert_eq!(bench.get("/s/nobody/archive/feed.xml").await.0, 404);

    let archive = air.publisher.stream().archive().unwrap().clone();
    let hour = START / HOUR;
    let cid = archive.catalogue().hours()[&hour].link.cid;
    assert_eq!(bench.get(&format!("/ipfs/{cid}/index.m3u8")).await.0, 200);
    let taken = tokio::task::spawn_blocking(move || archive.take_down(hour));
    taken.await.unwrap().unwrap();
    let (_, text) = bench.get(place).await;
    assert_eq!(text.matches("<item>").count(), 1, "{text}");
    let (_, text) = bench.get("/api/v1/streams/cam/archive").await;
    assert!(!text.contains(&cid.to_string()) && text.contains("2023-11-14T23:00:00Z"));
    let from = START / 1_000_000;
    let recording = format!(
        "/api/v1/streams/cam/archive/recording.mp4?from={from}&to={}",
        from + 1
    );
    assert_eq!(bench.get(&recording).await.0, 404);
}

#[tokio::test]
async fn a_clip_has_a_name_and_its_blocks_can_be_had_and_nothing_is_stored_of_it() {
    let bench = Bench::new();
    let (air, _) = with_two_hours(&bench).await;
    let archive = air.publisher.stream().archive().unwrap().clone();
    let (from, before) = (START / 1_000_000, bench.store.stats().bytes);
    let door = "/api/v1/streams/cam/archive/clip";
    let (status, text) = bench
        .get(&format!("{door}?from={from}&to={}", from + 3601))
        .await;
    assert_eq!(status, 200, "{text}");
    let object: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(object["kept"], false);
    let cid: cid::Cid = object["cid"].as_str().unwrap().parse().unwrap();
    let (status, headers, car) = bench
        .ask(
            "GET",
            &format!("{door}.car?from={from}&to={}", from + 3601),
            &[],
        )
        .await;
    assert_eq!(status, 200);
    assert_eq!(headers["content-type"], crate::http::car::MEDIA_TYPE);
    assert_eq!(bench.store.stats().bytes, before, "nothing was stored");
    assert_eq!(bench.get(&format!("/ipfs/{cid}/index.m3u8")).await.0, 404);

    // It is whole: another store takes it in, and it is what the operator's command keeps.
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &car).unwrap();
    let time = START..START + 3_601_000_000;
    let kept = tokio::task::spawn_blocking(move || {
        let car = crate::archive::car::Car::open(file.path()).unwrap();
        assert_eq!(car.root, cid);
        let mut blocks = 0;
        let mut seen = std::collections::HashSet::new();
        crate::archive::walk(&car, cid, "clip", &mut seen, &mut |_, block| {
            blocks += 1;
            block.map(drop).map_err(|fault| fault.error)
        })
        .unwrap();
        assert!(blocks > 10, "{blocks}");
        archive.clip(&time).unwrap()
    });
    assert_eq!(kept.await.unwrap().cid, cid);
    let (_, text) = bench
        .get(&format!("{door}?from={from}&to={}", from + 3601))
        .await;
    assert!(text.contains("\"kept\":true"), "{text}");
    assert_eq!(bench.get(&format!("/ipfs/{cid}/index.m3u8")).await.0, 200);
    for (query, expected) in [
        ("", 400),
        ("?from=1&to=2", 404),
        ("?from=2&to=1", 400),
        ("?from=1700000000&to=1700007201", 400),
    ] {
        let (status, text) = bench.get(&format!("{door}{query}")).await;
        assert_eq!(status, expected, "{query}: {text}");
    }
}

#[tokio::test]
async fn what_is_past_of_the_run_on_air_plays_before_its_hour_has_closed() {
    let bench = Bench::new();
    let (mut air, _) = with_two_hours(&bench).await;
    let (status, index) = bench.get("/live/cam/earlier/index.m3u8").await;
    assert_eq!(status, 200, "{index}");
    assert!(index.contains("\nv/index.m3u8\n"), "{index}");
    let (status, text) = bench.get("/live/cam/earlier/v/index.m3u8").await;
    assert_eq!(status, 200, "{text}");
    // The hour before, which has closed, and the one that has not.
    assert_eq!(text.matches("#EXTINF").count(), 6, "{text}");
    assert!(text.contains("#EXT-X-MEDIA-SEQUENCE:3\n"), "{text}");
    let last = text.lines().nth_back(1).unwrap();
    let (status, _, body) = bench.ask("GET", last, &[]).await;
    assert_eq!((status.as_u16(), body), (200, media("v", 8, 0).to_vec()));
    // Each is proved by the stream's key, in the order of what has closed; a mirror finds the proofs in one place.
    let name = air.publisher.stream().name().clone();
    let archive = air.publisher.stream().archive().unwrap();
    let check = |path: &str, text: &str| Vouched::check(&name, path, text).unwrap();
    let skip = "v/index.m3u8?_HLS_skip=YES";
    let (_, delta) = bench.get(&format!("/live/cam/earlier/{skip}")).await;
    let (_, proofs) = bench.get("/live/cam/earlier/proofs").await;
    let all = [
        ("index.m3u8", &index),
        ("v/index.m3u8", &text),
        (skip, &delta),
    ];
    for (path, text) in all {
        let vouched = check(path, text);
        assert_eq!((vouched.msn, vouched.list), (8, archive.catalogue().last()));
        let line = text.lines().last().unwrap();
        assert!(proofs.lines().any(|one| one == line), "{path}: {proofs}");
    }
    assert_eq!(proofs.lines().count(), 5, "two of each rendition, and one");
    // It is read once for all who ask before there is more.
    let live = bench.state.live("cam").unwrap();
    let run = async || earlier::run(&bench.store, &live).await.unwrap().unwrap();
    let before = run().await;
    assert!(Arc::ptr_eq(&before, &run().await));
    segment_at(&mut air, START + 2 * HOUR + 600_000);
    assert!(!Arc::ptr_eq(&before, &run().await));
    let (_, text) = bench.get("/live/cam/earlier/v/index.m3u8").await;
    assert_eq!(text.matches("#EXTINF").count(), 7, "{text}");
    let (_, text) = bench.get("/api/v1/streams/cam/archive").await;
    assert!(
        text.contains("\"open\":{\"from\":1700003600.0,\"to\":1700007200.8}"),
        "{text}"
    );
    // When it was on air in an hour that is no whole one.
    assert!(
        text.contains("\"stretches\":[{\"from\":1700000000.0,\"to\":1700000000.6}]"),
        "{text}"
    );
    let skip = "/live/cam/earlier/v/index.m3u8?_HLS_skip";
    let (status, text) = bench.get(&format!("{skip}=YES")).await;
    // 1.4 s are nothing that could be left out.
    assert_eq!((status, text.matches("#EXTINF").count()), (200, 7));
    assert_eq!(bench.get(&format!("{skip}=NO")).await.0, 400);
    assert_eq!(bench.get("/live/cam/earlier/x/index.m3u8").await.0, 404);
    assert_eq!(bench.get("/live/other/earlier/index.m3u8").await.0, 404);
}

#[tokio::test]
async fn titles_and_chapters_are_in_the_list_and_in_the_feed() {
    let bench = Bench::new();
    let (air, _) = with_two_hours(&bench).await;
    let archive = air.publisher.stream().archive().unwrap().clone();
    let set = tokio::task::spawn_blocking(move || {
        let title = Labelled::Hour(START / HOUR);
        archive.label(title, "Opening <talk>").unwrap();
        let chapter = Labelled::Chapter(START + 200_000);
        archive.label(chapter, "Questions").unwrap();
    });
    set.await.unwrap();
    let (_, text) = bench.get("/api/v1/streams/cam/archive").await;
    let past: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(past["days"][0]["hours"][0]["title"], "Opening <talk>");
    assert_eq!(
        past["days"][0]["hours"][1]["title"],
        serde_json::Value::Null
    );
    assert_eq!(past["chapters"][0]["title"], "Questions");
    assert_eq!(past["chapters"][0]["at"], 1_700_000_000.2);
    let (_, feed) = bench.get("/s/cam/archive/feed.xml").await;
    assert!(feed.contains("<title>Opening &lt;talk&gt;, "), "{feed}");
    assert!(feed.contains("; 22:13 Questions</description>"), "{feed}");
}
