//! What lies in files of memory too is served whole, to the byte, however it is asked for and taken.

use std::{
    fs::File,
    io::{self, Write},
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::sleep,
};

use super::{Air, sockets::Served};
use crate::{
    http::{Settings, files::ASKS},
    package::{Packaged, Part},
};

const SIZE: usize = 1_000_000;
const PART: &str = "/live/cam/v/0.1.m4s";
/// A gateway on air with a large part at [`PART`].
async fn on_air(settings: Settings) -> (Served, Air, Bytes) {
    let served = Served::new(settings).await;
    let mut air = Air::open(&served.bench, "cam");
    air.part();
    let block = media(0);
    let parts = [block.clone(), Bytes::from_static(b"small")].map(|data| Part {
        data,
        duration: 200_000,
        independent: false,
    });
    let packaged = Packaged::Parts {
        segment: 0,
        part: 1,
        parts: parts.into(),
    };
    air.publisher.publish(vec![packaged]).unwrap();
    let cid = meshlive_protocol::dag::cid_of(&block);
    let block = air.publisher.stream().recent_block(&cid).unwrap();
    (served, air, block)
}

/// Bytes that are nowhere the same for long; with another `mark` they differ everywhere.
fn media(mark: u8) -> Bytes {
    (0..SIZE)
        .map(|i| mark ^ (i ^ i >> 8 ^ i >> 16) as u8)
        .collect()
}

fn file(bytes: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file
}

fn request(method: &str, range: Option<(usize, usize)>) -> String {
    let range = range.map(|(from, to)| format!("range: bytes={from}-{}\r\n", to - 1));
    let range = range.unwrap_or_default();
    format!("{method} {PART} HTTP/1.1\r\nhost: x\r\n{range}\r\n")
}

/// The next answer's length as its head tells it.
async fn head(socket: &mut TcpStream) -> io::Result<usize> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(socket.read_u8().await?);
    }
    let head = String::from_utf8(head).unwrap();
    assert!(head.starts_with("HTTP/1.1 20"), "{head}");
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    Ok(length.unwrap().parse().unwrap())
}

async fn answer(socket: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut body = vec![0; head(socket).await?];
    socket.read_exact(&mut body).await?;
    Ok(body)
}

/// Whether `body` came out of `file`, except perhaps ends of writes that were cut: too little for it, from `memory`.
fn is_from_file(body: &[u8], file: &[u8], memory: &[u8]) -> bool {
    let of_either = |at| body[at] == file[at] || body[at] == memory[at];
    body.len() == file.len() && body[0] == file[0] && (0..body.len()).all(of_either)
}

#[tokio::test]
async fn answers_come_from_files_whole_and_in_order() {
    let (served, _air, block) = on_air(Settings::default()).await;
    // Other bytes in the file show where an answer came from.
    let other = media(0xff);
    let files = served.bench.state.blocks.files();
    files.keep(block.clone(), file(&other));
    let mut socket = TcpStream::connect(served.address).await.unwrap();
    let ranges = [
        (0, SIZE),
        (1, 70_000),
        (99_999, SIZE - 1),
        (SIZE - 65_536, SIZE),
    ];
    // Many requests at once, none of which waits for the answer before it.
    let mut all = request("HEAD", None) + &request("GET", None);
    for range in ranges {
        all += &request("GET", Some(range));
    }
    socket.write_all(all.as_bytes()).await.unwrap();
    assert_eq!(head(&mut socket).await.unwrap(), SIZE);
    let body = answer(&mut socket).await.unwrap();
    assert!(is_from_file(&body, &other, &block));
    for (from, to) in ranges {
        let body = answer(&mut socket).await.unwrap();
        let (file, memory) = (&other[from..to], &block[from..to]);
        assert!(is_from_file(&body, file, memory), "{from}");
    }
    // A range that is too small to be worth it is written as ever.
    let small = request("GET", Some((500, 1000)));
    socket.write_all(small.as_bytes()).await.unwrap();
    assert!(answer(&mut socket).await.unwrap() == block[500..1000]);
    served.stop().await;
}

#[tokio::test]
async fn what_a_file_does_not_give_comes_from_memory() {
    let (served, _air, block) = on_air(Settings::default()).await;
    let files = served.bench.state.blocks.files();
    let ask = async || {
        let mut socket = TcpStream::connect(served.address).await.unwrap();
        let request = request("GET", None);
        socket.write_all(request.as_bytes()).await.unwrap();
        answer(&mut socket).await.unwrap()
    };
    let written = tempfile::NamedTempFile::new().unwrap();
    let unreadable = File::options().write(true).open(written.path()).unwrap();
    for useless in [file(b""), unreadable] {
        files.keep(block.clone(), useless);
        assert!(ask().await == block);
    }
    // A file that ends too early: all that it has, and then the rest.
    let half = SIZE / 2;
    let other = &media(0xff)[..half];
    files.keep(block.clone(), file(other));
    let body = ask().await;
    assert!(is_from_file(&body[..half], other, &block[..half]));
    assert!(body[half..] == block[half..]);
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_slow_viewers_get_the_same_bytes_with_and_without_files() {
    for memory_bytes in [Settings::default().memory_bytes, 0] {
        let settings = Settings {
            memory_bytes,
            ..Settings::default()
        };
        let (served, _air, block) = on_air(settings).await;
        let viewers = (0..50).map(|viewer| {
            let (address, block) = (served.address, block.clone());
            tokio::spawn(async move {
                let socket = TcpSocket::new_v4().unwrap();
                // Takes little at a time, so that the gateway's writes are cut anywhere.
                socket.set_recv_buffer_size(10_000 + 777 * viewer).unwrap();
                let mut socket = socket.connect(address).await.unwrap();
                let requests = request("GET", None).repeat(2);
                socket.write_all(requests.as_bytes()).await.unwrap();
                for _ in 0..2 {
                    assert_eq!(head(&mut socket).await.unwrap(), SIZE);
                    let mut body = vec![0; SIZE];
                    for piece in body.chunks_mut(100_003) {
                        socket.read_exact(piece).await.unwrap();
                        sleep(Duration::from_millis(2)).await;
                    }
                    assert!(body == block);
                }
            })
        });
        for viewer in viewers.collect::<Vec<_>>() {
            viewer.await.unwrap();
        }
        let files = served.bench.state.blocks.files();
        assert_eq!(files.find(&block).is_some(), memory_bytes > 0);
        served.stop().await;
    }
}

#[tokio::test]
async fn a_part_that_many_ask_for_comes_into_a_file() {
    let (served, _air, block) = on_air(Settings::default()).await;
    let files = served.bench.state.blocks.files();
    let mut socket = TcpStream::connect(served.address).await.unwrap();
    for _ in 0..ASKS {
        assert!(files.find(&block).is_none());
        let request = request("GET", None);
        socket.write_all(request.as_bytes()).await.unwrap();
        assert!(answer(&mut socket).await.unwrap() == block);
    }
    assert!(files.find(&block).is_some());
    served.stop().await;
}
