//! libp2p-fetch (github.com/libp2p/specs/tree/master/fetch): one key is asked, and what the other has for it is answered.

use std::{io, iter, time::Duration};

use bytes::Bytes;
use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use libp2p::{
    StreamProtocol,
    request_response::{self, Config, ProtocolSupport},
};
use meshlive_protocol::{
    ipns,
    protobuf::{self, Fields, Value},
};

const PROTOCOL: StreamProtocol = StreamProtocol::new("/libp2p/fetch/0.0.1");
/// The longest request: the key of a name has 44 bytes, those of RSA keys fewer.
pub(super) const MAX_REQUEST_BYTES: usize = 256;
/// The longest answer: a record and its two headers.
pub(super) const MAX_ANSWER_BYTES: usize = ipns::MAX_BYTES + 16;
/// A request is answered within this, either way.
const PATIENCE: Duration = Duration::from_secs(10);
/// Requests of one connection that may be under way at once.
const MAX_STREAMS: usize = 8;

/// Fields of `FetchRequest` and `FetchResponse`.
const IDENTIFIER: u64 = 1;
const STATUS: u64 = 1;
const DATA: u64 = 2;
const OK: u64 = 0;
const NOT_FOUND: u64 = 1;

/// What is there for a key.
pub(in crate::swarm) type Answer = Option<Bytes>;
pub(in crate::swarm) type Behaviour = request_response::Behaviour<Codec>;
pub(in crate::swarm) type Event = request_response::Event<Vec<u8>, Answer>;

pub(super) fn behaviour() -> Behaviour {
    let config = Config::default()
        .with_request_timeout(PATIENCE)
        .with_max_concurrent_streams(MAX_STREAMS);
    Behaviour::new(iter::once((PROTOCOL, ProtocolSupport::Full)), config)
}

/// How both are written: each with its length before it.
#[derive(Clone, Default)]
pub(in crate::swarm) struct Codec;

impl request_response::Codec for Codec {
    type Protocol = StreamProtocol;
    type Request = Vec<u8>;
    type Response = Answer;

    async fn read_request<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Vec<u8>>
    where
        T: AsyncRead + Unpin + Send,
    {
        key(&read(io, MAX_REQUEST_BYTES).await?)
    }

    async fn read_response<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Answer>
    where
        T: AsyncRead + Unpin + Send,
    {
        answer(&read(io, MAX_ANSWER_BYTES).await?)
    }

    async fn write_request<T>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        key: Vec<u8>,
    ) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        let mut message = Vec::with_capacity(key.len() + 4);
        protobuf::bytes(&mut message, IDENTIFIER, &key);
        write(io, &message).await
    }

    async fn write_response<T>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        answer: Answer,
    ) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        let mut message = Vec::new();
        match answer {
            Some(record) => protobuf::bytes(&mut message, DATA, &record),
            None => protobuf::number(&mut message, STATUS, NOT_FOUND),
        }
        write(io, &message).await
    }
}

fn key(message: &[u8]) -> io::Result<Vec<u8>> {
    let mut key = None;
    for field in Fields(message) {
        if let (IDENTIFIER, Value::Bytes(bytes)) = field.map_err(|_| wrong("no request"))? {
            key = Some(bytes.to_vec());
        }
    }
    key.ok_or_else(|| wrong("a request for no key"))
}

fn answer(message: &[u8]) -> io::Result<Answer> {
    let (mut status, mut data) = (OK, None);
    for field in Fields(message) {
        match field.map_err(|_| wrong("no answer"))? {
            (STATUS, Value::Number(number)) => status = number,
            (DATA, Value::Bytes(bytes)) => data = Some(Bytes::copy_from_slice(bytes)),
            _ => {}
        }
    }
    match status {
        OK => Ok(data),
        NOT_FOUND => Ok(None),
        _ => Err(wrong("the peer says that it failed")),
    }
}

async fn read<T: AsyncRead + Unpin>(io: &mut T, most: usize) -> io::Result<Vec<u8>> {
    let (mut length, mut header) = (0_usize, [0]);
    for shift in [0, 7, 14] {
        io.read_exact(&mut header).await?;
        length |= usize::from(header[0] & 0x7f) << shift;
        if header[0] & 0x80 == 0 {
            break;
        }
    }
    // A length of more than three bytes has its third above all that is allowed, or is written in a way that nobody does.
    if header[0] & 0x80 != 0 || length > most {
        return Err(wrong("a message that is too long"));
    }
    let mut message = vec![0; length];
    io.read_exact(&mut message).await?;
    Ok(message)
}

async fn write<T: AsyncWrite + Unpin>(io: &mut T, message: &[u8]) -> io::Result<()> {
    let mut out = Vec::with_capacity(message.len() + 3);
    protobuf::varint(&mut out, message.len() as u64);
    out.extend_from_slice(message);
    io.write_all(&out).await?;
    io.close().await
}

fn wrong(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use futures::{executor::block_on, io::Cursor};
    use libp2p::request_response::Codec as _;

    use super::*;

    fn asked(key: &[u8]) -> Vec<u8> {
        let mut message = Vec::new();
        protobuf::bytes(&mut message, IDENTIFIER, key);
        message
    }

    fn framed(message: &[u8]) -> Vec<u8> {
        let mut out = Cursor::new(Vec::new());
        block_on(write(&mut out, message)).unwrap();
        out.into_inner()
    }

    fn requested(bytes: &[u8]) -> io::Result<Vec<u8>> {
        block_on(Codec.read_request(&PROTOCOL, &mut Cursor::new(bytes)))
    }

    fn answered(bytes: &[u8]) -> io::Result<Answer> {
        block_on(Codec.read_response(&PROTOCOL, &mut Cursor::new(bytes)))
    }

    #[test]
    fn what_is_written_is_read() {
        let mut out = Cursor::new(Vec::new());
        block_on(Codec.write_request(&PROTOCOL, &mut out, b"/ipns/x".to_vec())).unwrap();
        assert_eq!(requested(out.get_ref()).unwrap(), b"/ipns/x");
        for answer in [None, Some(Bytes::from(vec![7; ipns::MAX_BYTES]))] {
            let mut out = Cursor::new(Vec::new());
            block_on(Codec.write_response(&PROTOCOL, &mut out, answer.clone())).unwrap();
            assert_eq!(answered(out.get_ref()).unwrap(), answer);
        }
    }

    #[test]
    fn no_more_than_the_limits_is_read_and_nonsense_is_refused() {
        let most = MAX_REQUEST_BYTES - 3;
        assert_eq!(
            requested(&framed(&asked(&vec![1; most]))).unwrap().len(),
            most
        );
        assert!(requested(&framed(&asked(&vec![1; most + 1]))).is_err());
        let most = vec![1; MAX_ANSWER_BYTES - 3];
        let more = vec![1; MAX_ANSWER_BYTES - 2];
        let answer = |data: &[u8]| {
            let mut message = Vec::new();
            protobuf::bytes(&mut message, DATA, data);
            framed(&message)
        };
        assert_eq!(answered(&answer(&most)).unwrap().unwrap(), most);
        assert!(answered(&answer(&more)).is_err());
        // The length alone is enough: nothing of it is waited for.
        for endless in [&[0xff; 10][..], &[0xff, 0xff, 0x7f], &[0x80, 0x80, 0x80, 0]] {
            assert!(requested(endless).is_err());
        }
        for nonsense in [&b""[..], b"\x05", b"\xff\xff", b"\x0a\x09a"] {
            assert!(requested(&framed(nonsense)).is_err(), "{nonsense:?}");
        }
        let mut failed = Vec::new();
        protobuf::number(&mut failed, STATUS, 2);
        assert!(answered(&framed(&failed)).is_err());
    }
}
