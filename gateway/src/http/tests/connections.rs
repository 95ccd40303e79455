//! Connections that are too many, too slow, or never end.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use super::sockets::{SOON, Served};
use crate::http::Settings;

#[tokio::test]
async fn connections_beyond_the_limit_are_told_so() {
    let served = Served::new(Settings {
        connections: 2,
        ..Settings::default()
    })
    .await;
    let _first = TcpStream::connect(served.address).await.unwrap();
    let _second = TcpStream::connect(served.address).await.unwrap();
    let answer = served.raw(b"").await;
    assert!(
        answer.starts_with("HTTP/1.1 503 ") && answer.ends_with("all the connections it takes\n"),
        "{answer}"
    );
    let length = answer.split("\r\n\r\n").nth(1).unwrap().len();
    assert!(
        answer.contains(&format!("content-length: {length}\r\n")),
        "{length}"
    );
    served.stop().await;
}

#[tokio::test]
async fn slow_and_endless_requests_are_cut_off() {
    let settings = Settings {
        read_timeout: Duration::from_secs(1),
        ..Settings::default()
    };
    let served = Served::new(settings).await;
    let begun = std::time::Instant::now();
    // No request, half a request, and a connection kept alive that asks nothing more.
    for request in [
        &b""[..],
        b"GET /healthz HTTP/1.1\r\nhost: x\r\n",
        b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n",
    ] {
        served.raw(request).await;
    }
    assert!(
        begun.elapsed() < Duration::from_secs(8),
        "{:?}",
        begun.elapsed()
    );
    let endless = [
        b"GET /healthz HTTP/1.1\r\nx: ".to_vec(),
        vec![b'y'; 100_000],
        b"\r\n\r\n".to_vec(),
    ]
    .concat();
    let answer = served.raw(&endless).await;
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 431 "),
        "{answer}"
    );
    let long = format!(
        "GET /live/{}/v.m3u8 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
        "x".repeat(10_000)
    );
    assert!(
        served
            .raw(long.as_bytes())
            .await
            .starts_with("HTTP/1.1 404 ")
    );
    for garbage in [
        &b"\0\0\0\0\r\n\r\n"[..],
        b"\x16\x03\x01\x02\x00\x01",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ] {
        let answer = served.raw(garbage).await;
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 4"),
            "{answer}"
        );
    }
    served.stop().await;
}

#[tokio::test]
async fn who_takes_no_bytes_is_cut_off() {
    let settings = Settings {
        write_timeout: Duration::from_secs(1),
        ..Settings::default()
    };
    let served = Served::new(settings).await;
    let block = vec![7; 1 << 20];
    let cid = meshlive_protocol::dag::cid_of(&block);
    served
        .bench
        .store
        .append(
            &meshlive_protocol::key::SigningKey::from_secret([7; 32]).name(),
            "v",
            1,
            &cid,
            &block,
        )
        .unwrap();
    let mut socket = TcpStream::connect(served.address).await.unwrap();
    let request = format!("GET /ipfs/{cid} HTTP/1.1\r\nhost: x\r\n\r\n").repeat(64);
    socket.write_all(request.as_bytes()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(3)).await;
    // What the system had buffered can still be read, and then there is the end instead of 64 MiB.
    let mut taken = 0;
    let mut buffer = vec![0; 1 << 16];
    while let Ok(Ok(read @ 1..)) = timeout(SOON, socket.read(&mut buffer)).await {
        taken += read;
    }
    assert!(taken < 32 << 20, "{taken}");
    served.stop().await;
}
