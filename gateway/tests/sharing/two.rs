//! Two viewers, from five seconds after joining.

use std::time::Duration;

use tokio::time::sleep;

use super::viewer::{Book, Host, Viewer};

const WARM_UP: Duration = Duration::from_secs(5);
const MEASURED: Duration = Duration::from_secs(10);

struct Measured {
    /// Copies of the stream that both together took from the gateway.
    copies: f64,
    /// Copies that each gave to the other.
    uploaded: [f64; 2],
    late: u64,
}

async fn two(upload: u32) -> Measured {
    let host = Host::start().await;
    let book = Book::default();
    let viewers = [
        Viewer::join(&host, &book, upload).await,
        Viewer::join(&host, &book, upload).await,
    ];
    sleep(WARM_UP).await;
    let (before, sent) = (viewers.each_ref().map(Viewer::now), host.sent().await);
    sleep(MEASURED).await;
    let (after, sent_after) = (viewers.each_ref().map(Viewer::now), host.sent().await);
    let from_gateway = sent_after.0 - sent.0 + sent_after.1 - sent.1;
    let stream = (after[0].announced - before[0].announced) as f64;
    assert!(stream > 100_000.0, "the stream had only {stream} bytes");
    let measured = Measured {
        copies: from_gateway as f64 / stream,
        uploaded: [0, 1].map(|n| {
            let (before, after) = (before[n].counters, after[n].counters);
            (after.bytes_uploaded - before.bytes_uploaded) as f64 / stream
        }),
        late: after[0].late + after[1].late,
    };
    for seen in after {
        assert_eq!(seen.counters.parts_rejected, 0);
    }
    drop(viewers);
    host.gateway.shutdown().await;
    measured
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_viewers_take_little_more_than_one_copy_and_each_gives_half() {
    let Measured {
        copies,
        uploaded,
        late,
    } = two(2_000_000).await;
    assert!(copies <= 1.2, "{copies} copies from the gateway");
    for uploaded in uploaded {
        assert!(
            (0.3..=0.7).contains(&uploaded),
            "{uploaded} of a copy given"
        );
    }
    assert_eq!(late, 0, "parts were late");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_sharing_each_takes_its_own_copy() {
    let Measured {
        copies,
        uploaded,
        late,
    } = two(0).await;
    assert!(
        (1.8..=2.2).contains(&copies),
        "{copies} copies from the gateway"
    );
    assert_eq!(uploaded, [0.0, 0.0]);
    assert_eq!(late, 0, "parts were late");
}
