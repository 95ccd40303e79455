//! Blocking reload (RFC 8216bis §6.2.5.2), on tokio's time: what waits costs no test time, and what must not wait may not.

use std::{io::Read, sync::Arc, time::Duration};

use tokio::{task::JoinHandle, time::Instant};

use super::{Air, Bench, PARTS};

type Waiting = JoinHandle<(u16, String)>;

impl Bench {
    /// Asks, and lets everything go on that can.
    async fn begin(self: &Arc<Self>, uri: &str) -> Waiting {
        let (bench, uri) = (self.clone(), uri.to_owned());
        let waiting = tokio::spawn(async move { bench.get(&uri).await });
        settle().await;
        waiting
    }
}

/// A stream with one whole segment behind it.
fn on_air() -> (Arc<Bench>, Air) {
    let bench = Arc::new(Bench::new());
    let air = Air::with_segments(&bench, "cam", 1);
    (bench, air)
}

async fn settle() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

async fn answered(waiting: Waiting) -> (u16, String) {
    settle().await;
    assert!(waiting.is_finished(), "still waiting");
    waiting.await.unwrap()
}

/// A playlist with `text` in it.
async fn answered_with(waiting: Waiting, text: &str) -> String {
    let (status, playlist) = answered(waiting).await;
    assert!(status == 200 && playlist.contains(text), "{playlist}");
    playlist
}

#[tokio::test(start_paused = true)]
async fn without_directives_the_answer_is_what_there_is() {
    let bench = Bench::new();
    let _air = Air::with_segments(&bench, "cam", 2);
    let (status, playlist) = bench.get("/live/cam/v.m3u8").await;
    assert_eq!(status, 200);
    assert!(
        playlist.starts_with("#EXTM3U\n")
            && playlist.contains("v/1.4.m4s")
            && playlist.contains("v/1.m4s\n")
    );
    let name = bench.streams.find("cam").unwrap().name().to_string();
    assert_eq!(bench.get(&format!("/live/{name}/v.m3u8")).await.1, playlist);
    let (status, index) = bench.get("/live/cam/index.m3u8").await;
    assert!(
        status == 200 && index.contains("v.m3u8") && !index.contains("a.m3u8"),
        "{index}"
    );
    let (status, index) = bench.get("/live/cam/index.m3u8?audio=1").await;
    assert!(
        status == 200 && index.contains("a.m3u8") && !index.contains("v.m3u8"),
        "{index}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_part_is_waited_for() {
    let (bench, mut air) = on_air();
    air.part();
    let waiting = bench.begin("/live/cam/v.m3u8?_HLS_msn=1&_HLS_part=2").await;
    air.part();
    settle().await;
    assert!(!waiting.is_finished());
    air.part();
    let playlist = answered_with(waiting, "URI=\"v/1.2.m4s\"").await;
    assert!(!playlist.contains("PART:DURATION=0.200000,URI=\"v/1.3"));
    let there = bench.begin("/live/cam/v.m3u8?_HLS_msn=1&_HLS_part=2").await;
    assert_eq!(answered(there).await.1, playlist);
}

#[tokio::test(start_paused = true)]
async fn a_segment_is_waited_for_until_it_is_complete() {
    let (bench, mut air) = on_air();
    let waiting = bench.begin("/live/cam/v.m3u8?_HLS_msn=1").await;
    for _ in 1..PARTS {
        air.part();
        settle().await;
        assert!(!waiting.is_finished());
    }
    air.part();
    answered_with(waiting, "\nv/1.m4s\n").await;
}

#[tokio::test(start_paused = true)]
async fn a_part_behind_the_segments_end_means_the_next_segments_first() {
    let (bench, mut air) = on_air();
    air.part();
    air.part();
    let waiting = bench.begin("/live/cam/v.m3u8?_HLS_msn=1&_HLS_part=9").await;
    air.close();
    settle().await;
    assert!(!waiting.is_finished());
    air.part();
    answered_with(waiting, "v/2.0.m4s").await;
}

#[tokio::test(start_paused = true)]
async fn too_far_ahead_is_refused_at_once() {
    let (bench, mut air) = on_air();
    air.part();
    for query in [
        "_HLS_msn=4",
        "_HLS_msn=4&_HLS_part=0",
        "_HLS_msn=18446744073709551615",
        "_HLS_msn=1&_HLS_part=16",
        "_HLS_msn=2&_HLS_part=16",
    ] {
        let refused = bench.begin(&format!("/live/cam/v.m3u8?{query}")).await;
        assert_eq!(answered(refused).await.0, 400, "{query}");
    }
    for query in [
        "_HLS_msn=3",
        "_HLS_msn=3&_HLS_part=0",
        "_HLS_msn=1&_HLS_part=15",
    ] {
        let waiting = bench.begin(&format!("/live/cam/v.m3u8?{query}")).await;
        assert!(!waiting.is_finished(), "{query}");
        waiting.abort();
    }
    // What was near enough when it was asked for is not refused later.
    let waiting = bench.begin("/live/cam/v.m3u8?_HLS_msn=3").await;
    for _ in 0..3 * PARTS {
        air.part();
        settle().await;
    }
    assert_eq!(answered(waiting).await.0, 200);
}

#[tokio::test(start_paused = true)]
async fn malformed_directives_are_refused() {
    let bench = Bench::new();
    let _air = Air::with_segments(&bench, "cam", 1);
    for query in [
        "_HLS_part=1",
        "_HLS_msn=x",
        "_HLS_msn=-1",
        "_HLS_msn=1&_HLS_msn=1",
        "_HLS_skip=perhaps",
        "_HLS_msn=99999999999999999999",
    ] {
        assert_eq!(
            bench.get(&format!("/live/cam/v.m3u8?{query}")).await.0,
            400,
            "{query}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_longer_than_three_target_durations() {
    let (bench, _air) = on_air();
    let begun = Instant::now();
    assert_eq!(
        bench.get("/live/cam/v.m3u8?_HLS_msn=1&_HLS_part=0").await.0,
        503
    );
    assert_eq!(begun.elapsed().as_secs(), 6);
}

#[tokio::test(start_paused = true)]
async fn the_end_answers_all_who_wait() {
    let (bench, mut air) = on_air();
    let waiting = bench.begin("/live/cam/v.m3u8?_HLS_msn=1&_HLS_part=0").await;
    air.end();
    let playlist = answered_with(waiting, "#EXT-X-ENDLIST\n").await;
    let late = bench.begin("/live/cam/v.m3u8?_HLS_msn=7").await;
    assert_eq!(answered(late).await, (200, playlist));
}

#[tokio::test(start_paused = true)]
async fn shutting_down_answers_all_who_wait() {
    let (bench, _air) = on_air();
    let waiting = bench.begin("/live/cam/v.m3u8?_HLS_msn=1&_HLS_part=0").await;
    let part = bench.begin("/live/cam/v/1.0.m4s").await;
    bench.state.closing.send_replace(true);
    assert_eq!(answered(waiting).await.0, 503);
    assert_eq!(answered(part).await.0, 503);
    assert_eq!(bench.get("/readyz").await.0, 503);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_there_is_not_waited_for() {
    let bench = Bench::new();
    let _never = Air::open(&bench, "never");
    let _air = Air::with_segments(&bench, "cam", 1);
    let begun = Instant::now();
    for uri in [
        "/live/none/index.m3u8",
        "/live/none/v.m3u8",
        "/live/never/index.m3u8",
        "/live/never/v.m3u8?_HLS_msn=0",
        "/live/cam/w.m3u8",
        "/live/cam/w.m3u8?_HLS_msn=1",
        "/live/cam/v.m3u",
    ] {
        assert_eq!(bench.get(uri).await.0, 404, "{uri}");
    }
    assert_eq!(begun.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn updates_leave_out_what_the_player_has() {
    let bench = Bench::new();
    let _air = Air::with_segments(&bench, "cam", 18);
    let (_, whole) = bench.get("/live/cam/v.m3u8").await;
    for skip in ["YES", "v2"] {
        let (status, delta) = bench
            .get(&format!("/live/cam/v.m3u8?_HLS_skip={skip}"))
            .await;
        assert!(
            status == 200
                && delta.contains("#EXT-X-SKIP:SKIPPED-SEGMENTS=")
                && delta.len() < whole.len()
        );
    }
}

#[tokio::test(start_paused = true)]
async fn one_rendering_serves_all_and_both_encodings_are_the_same_text() {
    let bench = Bench::new();
    let mut air = Air::with_segments(&bench, "cam", 3);
    let live = bench.state.live("cam").ok().unwrap();
    let playlist = || crate::http::live::Playlist::Media {
        rendition: "v".into(),
        skip: false,
    };
    let snapshot = live.stream.snapshot();
    let first = live.rendering(&snapshot, playlist()).unwrap();
    assert!(Arc::ptr_eq(
        &first,
        &live.rendering(&snapshot, playlist()).unwrap()
    ));
    let unknown = crate::http::live::Playlist::Media {
        rendition: "w".into(),
        skip: false,
    };
    assert!(live.rendering(&snapshot, unknown).is_none());

    let (_, headers, packed) = bench
        .ask(
            "GET",
            "/live/cam/v.m3u8",
            &[("accept-encoding", "gzip, deflate")],
        )
        .await;
    assert_eq!(
        (&headers["content-encoding"], &headers["vary"]),
        (
            &"gzip".parse().unwrap(),
            &"accept-encoding".parse().unwrap()
        )
    );
    assert_eq!(
        (&headers["content-type"], &headers["cache-control"]),
        (
            &"application/vnd.apple.mpegurl".parse().unwrap(),
            &"no-cache".parse().unwrap()
        )
    );
    let mut text = Vec::new();
    flate2::read::GzDecoder::new(&packed[..])
        .read_to_end(&mut text)
        .unwrap();
    assert_eq!(text, first.plain);

    air.part();
    let next = live.rendering(&live.stream.snapshot(), playlist()).unwrap();
    assert!(!Arc::ptr_eq(&first, &next) && next.plain != first.plain);
}
