//! The signed list of closed hours, from a gateway's HTTP: `GET /api/v1/streams/{stream}/archive/catalogue?from=N`.

use std::{io, net::SocketAddr, time::Duration};

use bytes::Bytes;
use meshlive_protocol::{
    archive::MAX_ENTRY_BYTES, manifest::MAX_ENVELOPE_OVERHEAD, name::StreamName,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// An answer takes so long at most.
const PATIENCE: Duration = Duration::from_secs(10);
/// Entries in one answer, as the API says.
pub(super) const MOST: usize = 1000;
const MAX_ENTRY: usize = MAX_ENTRY_BYTES + MAX_ENVELOPE_OVERHEAD;
/// Bytes of an answer with its head, at most.
const MAX_BYTES: u64 = (MOST * (MAX_ENTRY + 2) + (16 << 10)) as u64;

/// The signed entries from this position on, at most [`MOST`]; nothing is verified yet.
///
/// # Errors
/// What the connection says, and `InvalidData` for what is no such list.
pub(super) async fn get(
    http: SocketAddr,
    stream: &StreamName,
    from: usize,
) -> io::Result<Vec<Bytes>> {
    let asking = async {
        let mut socket = TcpStream::connect(http).await?;
        let request = format!(
            "GET /api/v1/streams/{stream}/archive/catalogue?from={from} HTTP/1.1\r\nhost: {http}\r\nconnection: close\r\n\r\n"
        );
        socket.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        socket.take(MAX_BYTES).read_to_end(&mut answer).await?;
        Ok::<_, io::Error>(answer)
    };
    let answer = timeout(PATIENCE, asking).await??;
    entries(answer).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "no list of hours"))
}

/// Those of a whole answer with status 200.
fn entries(mut answer: Vec<u8>) -> Option<Vec<Bytes>> {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n")?;
    let body = Bytes::from(answer.split_off(end + 4));
    let head = std::str::from_utf8(&answer).ok()?.to_ascii_lowercase();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"));
    let whole = length.and_then(|length| length.trim().parse().ok()) == Some(body.len());
    if !head.starts_with("http/1.1 200 ") || !whole {
        return None;
    }
    let (mut all, mut at) = (Vec::new(), 0);
    while at < body.len() {
        let mut length = 0_usize;
        for shift in [0, 7] {
            let byte = *body.get(at)?;
            at += 1;
            length |= usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                break;
            }
            if shift == 7 {
                return None;
            }
        }
        if length > MAX_ENTRY || all.len() == MOST || at + length > body.len() {
            return None;
        }
        all.push(body.slice(at..at + length));
        at += length;
    }
    Some(all)
}

#[cfg(test)]
mod tests {
    use meshlive_protocol::dag;

    use super::*;

    fn answer(status: &str, lengths: &[usize]) -> Vec<u8> {
        let mut body = Vec::new();
        for length in lengths {
            dag::varint(&mut body, *length as u64);
            body.resize(body.len() + length, 7);
        }
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        [head.into_bytes(), body].concat()
    }

    #[test]
    fn entries_are_parted_by_their_lengths() {
        let found = entries(answer("200 OK", &[300, 5, 0, 127, 128])).unwrap();
        let lengths: Vec<usize> = found.iter().map(Bytes::len).collect();
        assert_eq!(lengths, [300, 5, 0, 127, 128]);
        assert_eq!(entries(answer("200 OK", &[])), Some(Vec::new()));
    }

    #[test]
    fn what_is_cut_too_long_too_many_or_no_list_is_refused() {
        let good = answer("200 OK", &[300, 5]);
        for cut in 0..good.len() {
            assert_eq!(entries(good[..cut].to_vec()), None, "cut at {cut}");
        }
        assert_eq!(entries(answer("404 Not Found", &[3])), None);
        assert!(entries(answer("200 OK", &[MAX_ENTRY])).is_some());
        assert_eq!(entries(answer("200 OK", &[MAX_ENTRY + 1])), None);
        assert!(entries(answer("200 OK", &[1; MOST])).is_some());
        assert_eq!(entries(answer("200 OK", &[1; MOST + 1])), None);
    }
}
