//! The doors of a stream's past: list, signed entries, directories by name.

use meshlive_protocol::archive::{Catalogue, Entry, HOUR};

use super::*;

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
