//! The signed list of closed hours, from a gateway's HTTP: `GET /api/v1/streams/{stream}/archive/catalogue?from=N`.

use std::{io, net::SocketAddr};

use bytes::Bytes;
use meshlive_protocol::{
    archive::MAX_ENTRY_BYTES, manifest::MAX_ENVELOPE_OVERHEAD, name::StreamName,
};

use super::http;

/// Entries in one answer, as the API says.
pub(super) const MOST: usize = 1000;
const MAX_ENTRY: usize = MAX_ENTRY_BYTES + MAX_ENVELOPE_OVERHEAD;
/// Bytes of an answer, at most.
const MAX_BYTES: usize = MOST * (MAX_ENTRY + 2);

/// The signed entries from this position on, at most [`MOST`]; nothing is verified yet.
///
/// # Errors
/// What the connection says, and `InvalidData` for what is no such list.
pub(super) async fn get(
    http: SocketAddr,
    stream: &StreamName,
    from: usize,
) -> io::Result<Vec<Bytes>> {
    let path = format!("/api/v1/streams/{stream}/archive/catalogue?from={from}");
    let body = http::get(http, &path, MAX_BYTES).await?;
    entries(&body).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "no list of hours"))
}

/// Those of a whole list.
fn entries(body: &Bytes) -> Option<Vec<Bytes>> {
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

    fn list(lengths: &[usize]) -> Bytes {
        let mut body = Vec::new();
        for length in lengths {
            dag::varint(&mut body, *length as u64);
            body.resize(body.len() + length, 7);
        }
        body.into()
    }

    #[test]
    fn entries_are_parted_by_their_lengths() {
        let found = entries(&list(&[300, 5, 0, 127, 128])).unwrap();
        let lengths: Vec<usize> = found.iter().map(Bytes::len).collect();
        assert_eq!(lengths, [300, 5, 0, 127, 128]);
        assert_eq!(entries(&list(&[])), Some(Vec::new()));
    }

    #[test]
    fn what_is_cut_too_long_or_too_many_is_refused() {
        let good = list(&[300, 5]);
        // Cut between two entries it is a shorter list.
        for cut in (1..good.len()).filter(|cut| *cut != 302) {
            assert_eq!(entries(&good.slice(..cut)), None, "cut at {cut}");
        }
        assert!(entries(&list(&[MAX_ENTRY])).is_some());
        assert_eq!(entries(&list(&[MAX_ENTRY + 1])), None);
        assert!(entries(&list(&[1; MOST])).is_some());
        assert_eq!(entries(&list(&[1; MOST + 1])), None);
    }
}
