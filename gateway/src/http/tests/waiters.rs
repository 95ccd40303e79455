//! Two thousand players wait for the same part, each on a connection of its own.

use std::time::{Duration, Instant};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{Air, sockets::Served};
use crate::http::Settings;

const WAITERS: usize = 2000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_are_answered_soon_and_cost_little() {
    let served = Served::new(Settings::default()).await;
    let mut air = Air::with_segments(&served.bench, "cam", 19);
    // Also measures the client's half of each connection, which lives in this process as well.
    let before = resident();
    let mut waiting = Vec::new();
    for _ in 0..WAITERS {
        let mut socket = TcpStream::connect(served.address).await.unwrap();
        let request = b"GET /live/cam/v.m3u8?_HLS_msn=19&_HLS_part=0 HTTP/1.1\r\nhost: x\r\naccept-encoding: gzip\r\n\r\n";
        socket.write_all(request).await.unwrap();
        waiting.push(tokio::spawn(async move {
            let mut head = [0; 15];
            socket.read_exact(&mut head).await.unwrap();
            (head, Instant::now(), socket)
        }));
    }
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert!(waiting.iter().all(|one| !one.is_finished()));
    let grown = resident().saturating_sub(before);
    let published = Instant::now();
    air.part();
    let mut last = Duration::ZERO;
    for one in waiting {
        let (head, at, _socket) = one.await.unwrap();
        assert_eq!(&head, b"HTTP/1.1 200 OK");
        last = last.max(at - published);
    }
    println!(
        "{WAITERS} waiters: {} KiB each, the last answered after {last:?}",
        grown / 1024 / WAITERS
    );
    assert!(grown < 150 << 20, "{grown} bytes");
    // 100 ms is what the benchmark asks of a release build on a quiet machine.
    assert!(last < Duration::from_secs(3), "{last:?}");
}

/// Bytes of memory that this process has.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    line.split_whitespace()
        .nth(1)
        .unwrap()
        .parse::<usize>()
        .unwrap()
        * 1024
}
