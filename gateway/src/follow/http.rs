//! What is asked of another gateway's HTTP.

use std::{io, net::SocketAddr, time::Duration};

use bytes::Bytes;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// An answer takes so long at most.
const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of an answer's head, at most.
const MAX_HEAD: u64 = 16 << 10;

/// The body of what is at this path, at most `max` bytes.
///
/// # Errors
/// What the connection says, and `InvalidData` for anything but a whole answer with status 200.
pub(super) async fn get(http: SocketAddr, path: &str, max: usize) -> io::Result<Bytes> {
    let asking = async {
        let mut socket = TcpStream::connect(http).await?;
        let request = format!("GET {path} HTTP/1.1\r\nhost: {http}\r\nconnection: close\r\n\r\n");
        socket.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        let most = max as u64 + MAX_HEAD;
        socket.take(most).read_to_end(&mut answer).await?;
        Ok::<_, io::Error>(answer)
    };
    let answer = timeout(PATIENCE, asking).await??;
    body(answer).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "no whole answer"))
}

/// That of a whole answer with status 200.
fn body(mut answer: Vec<u8>) -> Option<Bytes> {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n")?;
    let body = Bytes::from(answer.split_off(end + 4));
    let head = std::str::from_utf8(&answer).ok()?.to_ascii_lowercase();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"));
    let whole = length.and_then(|length| length.trim().parse().ok()) == Some(body.len());
    (head.starts_with("http/1.1 200 ") && whole).then_some(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_answer_counts() {
        let good = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
        assert_eq!(body(good.to_vec()).as_deref(), Some(&b"hello"[..]));
        for cut in 0..good.len() {
            assert_eq!(body(good[..cut].to_vec()), None, "cut at {cut}");
        }
        assert_eq!(
            body(b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n".to_vec()),
            None
        );
    }
}
