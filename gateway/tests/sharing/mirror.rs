//! A mirror beside viewers whom it does not reach: it is pushed each part as they are.

use std::time::Duration;

use meshlive_gateway::Gateway;
use tokio::time::sleep;

use super::viewer::{Book, Host, Viewer, config};

const WARM_UP: Duration = Duration::from_secs(6);
const MEASURED: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mirror_need_not_ask_for_what_viewers_are_pushed() {
    let host = Host::start().await;
    let book = Book::default();
    let viewers = [
        Viewer::join(&host, &book, 2_000_000).await,
        Viewer::join(&host, &book, 2_000_000).await,
    ];
    let folder = tempfile::tempdir().unwrap();
    let mut follows = config(folder.path());
    let (stream, address) = (host.stream(), host.address().await);
    follows.mirror.follow = vec![format!("{stream}@{address}?name=copy")];
    let mirror = Gateway::start(follows).await.unwrap();
    sleep(WARM_UP).await;
    assert!(mirror.streams().find("copy").unwrap().is_live());
    let (before, asked) = (viewers[0].now(), host.bitswap().await);
    sleep(MEASURED).await;
    let (after, asked_after) = (viewers[0].now(), host.bitswap().await);
    let stream = (after.announced - before.announced) as f64;
    assert!(stream > 100_000.0, "the stream had only {stream} bytes");
    let asked = (asked_after - asked) as f64 / stream;
    println!("{asked:.3} of what was announced was asked for");
    assert!(asked < 0.1, "{asked} of what was announced was asked for");
    drop(viewers);
    mirror.shutdown().await;
    host.gateway.shutdown().await;
}
