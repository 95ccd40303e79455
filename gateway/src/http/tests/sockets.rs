//! Pushes, over real sockets and with a foreign WebSocket client.

use std::{sync::Arc, time::Duration};

use futures_util::{SinkExt, StreamExt};
use meshlive_protocol::{
    manifest::{self, Opened},
    name::StreamName,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::oneshot,
    task::JoinHandle,
    time::timeout,
};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async, tungstenite::Message};

use super::{Air, Bench};
use crate::http::{Settings, serve};

type Client = WebSocketStream<MaybeTlsStream<TcpStream>>;

pub(super) const SOON: Duration = Duration::from_secs(10);

/// A bench that is served on a port of its own.
pub(super) struct Served {
    pub(super) bench: Arc<Bench>,
    pub(super) address: std::net::SocketAddr,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<()>,
}

impl Served {
    pub(super) async fn new(settings: Settings) -> Self {
        let bench = Arc::new(Bench::with(settings));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let serving = tokio::spawn(serve(listener, bench.state.clone(), async {
            stopped.await.unwrap()
        }));
        Self {
            bench,
            address,
            stop,
            serving,
        }
    }

    async fn socket(&self, path: &str) -> Client {
        connect_async(format!("ws://{}{path}", self.address))
            .await
            .unwrap()
            .0
    }

    /// Sends `request` as it is, and gives all that comes back.
    pub(super) async fn raw(&self, request: &[u8]) -> String {
        let mut socket = TcpStream::connect(self.address).await.unwrap();
        let _ = socket.write_all(request).await;
        let mut answer = Vec::new();
        let _ = timeout(SOON, socket.read_to_end(&mut answer))
            .await
            .expect("the connection ends");
        String::from_utf8_lossy(&answer).into_owned()
    }

    pub(super) async fn stop(self) {
        self.stop.send(()).unwrap();
        timeout(SOON, self.serving)
            .await
            .expect("serving ends soon")
            .unwrap();
    }
}

/// The next message that is no ping.
async fn next(client: &mut Client) -> Message {
    loop {
        let message = timeout(SOON, client.next())
            .await
            .expect("a message comes")
            .unwrap()
            .unwrap();
        if !message.is_ping() && !message.is_pong() {
            return message;
        }
    }
}

async fn json(client: &mut Client) -> serde_json::Value {
    serde_json::from_str(next(client).await.to_text().unwrap()).unwrap()
}

async fn opened(client: &mut Client, name: &StreamName) -> Opened {
    let message = next(client).await;
    assert!(message.is_binary(), "{message:?}");
    manifest::open(name, &message.into_data()).unwrap()
}

#[tokio::test]
async fn a_player_is_told_the_object_the_manifest_and_each_announcement() {
    let served = Served::new(Settings::default()).await;
    let mut air = Air::with_segments(&served.bench, "cam", 1);
    let name = air.publisher.stream().name().clone();
    let mut client = served.socket("/live/cam/announcements").await;
    client.send(Message::text("{\"t0\":1}")).await.unwrap();
    let object = json(&mut client).await;
    assert_eq!(
        (&object["stream"], &object["live"], &object["viewers"]),
        (&name.to_string().into(), &true.into(), &1.into())
    );
    let Opened::Manifest(mut manifest) = opened(&mut client, &name).await else {
        panic!("no manifest first")
    };
    let answer = json(&mut client).await;
    assert_eq!(answer["t0"], 1, "when all there is was told");
    for _ in 0..7 {
        let (msn, part) = air.part();
        while manifest.latest() != Some((msn, part)) {
            let Opened::Announcement(announcement) = opened(&mut client, &name).await else {
                panic!("no announcement")
            };
            manifest.apply(&announcement).unwrap();
        }
    }
    air.end();
    let Opened::Announcement(_) = opened(&mut client, &name).await else {
        panic!("no announcement")
    };
    assert_eq!(json(&mut client).await["live"], false);
    let sent = served
        .bench
        .metrics
        .sent_bytes(crate::metrics::Kind::Announcement);
    assert!(sent > 1000, "{sent}");
    drop(client);
    served.stop().await;
}

#[tokio::test]
async fn who_hears_it_elsewhere_is_told_nothing_until_it_wants_it_again() {
    let served = Served::new(Settings::default()).await;
    let mut air = Air::with_segments(&served.bench, "cam", 1);
    let name = air.publisher.stream().name().clone();
    let mut client = served.socket("/live/cam/announcements").await;
    assert_eq!(json(&mut client).await["live"], true);
    let Opened::Manifest(_) = opened(&mut client, &name).await else {
        panic!("the first is a manifest")
    };
    let wish = |wanted: bool| Message::text(format!("{{\"announcements\":{wanted}}}"));
    client.send(wish(false)).await.unwrap();
    // The answer says that the wish before it was heard.
    client.send(Message::text("{\"t0\":1}")).await.unwrap();
    assert_eq!(json(&mut client).await["t0"], 1);
    air.part();
    let latest = air.part();
    client.send(Message::text("{\"t0\":2}")).await.unwrap();
    assert_eq!(json(&mut client).await["t0"], 2, "nothing came before");
    client.send(wish(true)).await.unwrap();
    let Opened::Manifest(manifest) = opened(&mut client, &name).await else {
        panic!("something was missed: only a manifest helps")
    };
    assert_eq!(manifest.latest(), Some(latest));
    served.stop().await;
}

#[tokio::test]
async fn the_clock_is_answered_and_nonsense_is_not() {
    let served = Served::new(Settings::default()).await;
    let mut client = served.socket("/live/later/announcements").await;
    assert_eq!(json(&mut client).await["stream"], serde_json::Value::Null);
    for nonsense in [
        "",
        "{}",
        "[]",
        "{\"t0\":null}",
        "{\"t0\":\"1\"}",
        "\u{0}",
        "{\"t0\":1",
    ] {
        client.send(Message::text(nonsense)).await.unwrap();
    }
    client.send(Message::binary(vec![0; 1024])).await.unwrap();
    let before = served.bench.state.clock.now();
    client.send(Message::text("{\"t0\":1234.5}")).await.unwrap();
    let answer = json(&mut client).await;
    assert_eq!(answer["t0"], 1234.5);
    let clock = answer["clock"].as_u64().unwrap();
    assert!(clock >= before && clock <= served.bench.state.clock.now());
    served.stop().await;
}

#[tokio::test]
async fn a_stream_that_is_not_known_yet_is_waited_for() {
    let served = Served::new(Settings::default()).await;
    let mut client = served.socket("/live/later/announcements").await;
    let object = json(&mut client).await;
    assert_eq!(
        (&object["alias"], &object["live"]),
        (&"later".into(), &false.into())
    );
    let mut air = Air::open(&served.bench, "later");
    let object = json(&mut client).await;
    assert_eq!(
        (&object["stream"], &object["live"]),
        (
            &air.publisher.stream().name().to_string().into(),
            &false.into()
        )
    );
    air.part();
    let name = air.publisher.stream().name().clone();
    let (mut live, mut parts) = (false, 0);
    while !live || parts == 0 {
        match next(&mut client).await {
            Message::Text(text) => {
                live = serde_json::from_str::<serde_json::Value>(&text).unwrap()["live"] == true
            }
            message => {
                match manifest::open(&name, &message.into_data()).unwrap() {
                    Opened::Manifest(manifest) => parts += usize::from(manifest.latest().is_some()),
                    Opened::Announcement(_) => parts += 1,
                };
            }
        }
    }
    served.stop().await;
}

#[tokio::test]
async fn the_directory_is_pushed_on_each_change() {
    let served = Served::new(Settings::default()).await;
    let mut client = served.socket("/api/v1/streams/watch").await;
    assert_eq!(json(&mut client).await, serde_json::json!({"streams": []}));
    let mut air = Air::open(&served.bench, "cam");
    assert_eq!(json(&mut client).await["streams"][0]["live"], false);
    air.part();
    let mut directory = json(&mut client).await;
    while directory["streams"][0]["live"] != true {
        directory = json(&mut client).await;
    }
    served.stop().await;
}

#[tokio::test]
async fn a_client_that_says_too_much_is_sent_away() {
    let served = Served::new(Settings::default()).await;
    let mut flood = served.socket("/live/cam/announcements").await;
    for _ in 0..100 {
        let _ = flood.send(Message::text("{\"t0\":1}")).await;
    }
    let mut last = next(&mut flood).await;
    while last.is_text() {
        last = next(&mut flood).await;
    }
    let Message::Close(Some(frame)) = last else {
        panic!("{last:?}")
    };
    assert_eq!(u16::from(frame.code), 1008);

    let mut long = served.socket("/live/cam/announcements").await;
    next(&mut long).await;
    long.send(Message::text("x".repeat(1025))).await.unwrap();
    let end = timeout(SOON, long.next()).await.unwrap();
    assert!(
        matches!(end, None | Some(Err(_)) | Some(Ok(Message::Close(_)))),
        "{end:?}"
    );
    served.stop().await;
}

#[tokio::test]
async fn a_player_is_told_how_many_watch_with_it() {
    let served = Served::new(Settings::default()).await;
    let mut air = Air::with_segments(&served.bench, "cam", 1);
    let mut first = served.socket("/live/cam/announcements").await;
    assert_eq!(json(&mut first).await["viewers"], 1);
    let mut second = served.socket("/live/cam/announcements").await;
    assert_eq!(json(&mut second).await["viewers"], 2);
    let told = async {
        loop {
            air.part();
            let message = next(&mut first).await;
            if message.is_text() {
                return message.into_text().unwrap();
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let object = timeout(3 * SOON, told).await.expect("it is told");
    assert!(object.contains("\"viewers\":2"), "{object}");
    served.stop().await;
}

#[tokio::test]
async fn a_client_that_never_reads_is_dropped_and_a_slow_one_gets_the_manifest() {
    let settings = Settings {
        write_timeout: Duration::from_secs(1),
        ..Settings::default()
    };
    let served = Served::new(settings).await;
    let mut air = Air::with_segments(&served.bench, "cam", 1);
    let name = air.publisher.stream().name().clone();
    let mut slow = served.socket("/live/cam/announcements").await;
    let mut deaf = served.socket("/live/cam/announcements").await;
    next(&mut slow).await;
    next(&mut deaf).await;
    let Opened::Manifest(mut manifest) = opened(&mut slow, &name).await else {
        panic!("no manifest first")
    };
    // Without letting the sockets' tasks go on: to them this is one change.
    let mut newest = (0, 0);
    for _ in 0..12 {
        newest = air.part();
    }
    while manifest.latest() != Some(newest) {
        match opened(&mut slow, &name).await {
            Opened::Manifest(whole) => manifest = whole,
            Opened::Announcement(announcement) => manifest.apply(&announcement).unwrap(),
        }
    }
    // Manifests are large, and soon fill what the system buffers for a client that takes none.
    let viewers = || {
        served
            .bench
            .state
            .live("cam")
            .ok()
            .unwrap()
            .viewers
            .lock()
            .unwrap()
            .count(tokio::time::Instant::now())
    };
    assert_eq!(viewers(), 2);
    let begun = std::time::Instant::now();
    while viewers() == 2 {
        for _ in 0..3 {
            air.part();
        }
        // The slow one goes on reading.
        let _ = timeout(Duration::from_millis(2), slow.next()).await;
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "a client that takes nothing is kept"
        );
    }
    assert_eq!(viewers(), 1);
    drop((slow, deaf));
    served.stop().await;
}

#[tokio::test]
async fn no_more_sockets_than_the_limit() {
    let settings = Settings {
        websockets: 2,
        ..Settings::default()
    };
    let served = Served::new(settings).await;
    let first = served.socket("/api/v1/streams/watch").await;
    let _second = served.socket("/live/cam/announcements").await;
    let refused = connect_async(format!("ws://{}/live/cam/announcements", served.address))
        .await
        .unwrap_err();
    let tokio_tungstenite::tungstenite::Error::Http(answer) = refused else {
        panic!("{refused}")
    };
    assert_eq!(answer.status(), 503);
    drop(first);
    for _ in 0..100 {
        if connect_async(format!("ws://{}/live/cam/announcements", served.address))
            .await
            .is_ok()
        {
            served.stop().await;
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the place of a client that left is not given to another");
}

#[tokio::test]
async fn sockets_end_when_the_gateway_ends() {
    let served = Served::new(Settings::default()).await;
    let mut client = served.socket("/api/v1/streams/watch").await;
    next(&mut client).await;
    let ended = tokio::spawn(async move { next(&mut client).await });
    served.stop().await;
    let Message::Close(Some(frame)) = ended.await.unwrap() else {
        panic!("no close frame")
    };
    assert_eq!(u16::from(frame.code), 1001);
}
