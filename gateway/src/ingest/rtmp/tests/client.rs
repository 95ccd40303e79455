//! A publisher made of bytes, for what ffmpeg would never do.

use bytes::BytesMut;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{
    super::{
        amf0::{self, Value},
        chunk::{Message, Reader, kind},
    },
    *,
};
use crate::ingest::h264::tests::AVCC;

/// C0, C1 and C2.
pub(super) fn hello() -> Vec<u8> {
    let mut hello = vec![3];
    hello.resize(1 + 2 * 1536, 0);
    hello
}

/// A message in one chunk, for whoever has announced a chunk size that allows it.
pub(super) fn message(kind: u8, timestamp: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![4];
    bytes.extend_from_slice(&timestamp.to_be_bytes()[1..]);
    bytes.extend_from_slice(&(payload.len() as u32).to_be_bytes()[1..]);
    bytes.push(kind);
    bytes.extend_from_slice(&1u32.to_le_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

pub(super) fn command(values: &[Value]) -> Vec<u8> {
    message(kind::COMMAND, 0, &amf0::write(values))
}

pub(super) fn chunk_size(size: u32) -> Vec<u8> {
    message(kind::SET_CHUNK_SIZE, 0, &size.to_be_bytes())
}

pub(super) fn connect(app: &str) -> Vec<u8> {
    let app = Value::object([("app", Value::text(app))]);
    command(&[Value::text("connect"), Value::Number(1.0), app])
}

pub(super) fn publish(key: &str) -> Vec<u8> {
    let number = Value::Number;
    let text = Value::text;
    [
        command(&[text("releaseStream"), number(2.0), Value::Null, text(key)]),
        command(&[text("FCPublish"), number(3.0), Value::Null, text(key)]),
        command(&[text("createStream"), number(4.0), Value::Null]),
        command(&[
            text("publish"),
            number(5.0),
            Value::Null,
            text(key),
            text("live"),
        ]),
    ]
    .concat()
}

/// Everything up to and with the publish command.
pub(super) fn opening(key: &str) -> Vec<u8> {
    [hello(), chunk_size(1 << 20), connect("live"), publish(key)].concat()
}

/// The H.264 decoder configuration.
pub(super) fn configuration() -> Vec<u8> {
    message(kind::VIDEO, 0, &[&[0x17, 0, 0, 0, 0], AVCC].concat())
}

/// A frame with one NAL unit of `size` bytes.
pub(super) fn frame(timestamp: u32, key: bool, size: usize) -> Vec<u8> {
    let mut tag = vec![if key { 0x17 } else { 0x27 }, 1, 0, 0, 0];
    tag.extend_from_slice(&(size as u32).to_be_bytes());
    tag.resize(9 + size, 0x41);
    message(kind::VIDEO, timestamp, &tag)
}

pub(super) struct Client {
    pub(super) socket: TcpStream,
    reader: Reader,
    input: BytesMut,
}

impl Client {
    /// Connects and sends `bytes`.
    pub(super) async fn send(gateway: &Gateway, bytes: &[u8]) -> Client {
        let mut socket = TcpStream::connect(gateway.server.address()).await.unwrap();
        socket.write_all(bytes).await.unwrap();
        let (reader, input) = (Reader::new(1 << 20), BytesMut::new());
        Client {
            socket,
            reader,
            input,
        }
    }

    /// Publishes; the gateway has accepted it when this returns.
    pub(super) async fn publish(gateway: &Gateway, key: &str) -> Client {
        let mut client = Client::send(gateway, &opening(key)).await;
        client.skip_handshake().await;
        assert_eq!(client.status().await.0, "NetStream.Publish.Start");
        client
    }

    pub(super) async fn skip_handshake(&mut self) {
        let mut answer = [0; 1 + 2 * 1536];
        timeout(PATIENCE, self.socket.read_exact(&mut answer))
            .await
            .unwrap()
            .unwrap();
    }

    pub(super) async fn write(&mut self, bytes: &[u8]) {
        timeout(PATIENCE, self.socket.write_all(bytes))
            .await
            .expect("the gateway reads on")
            .unwrap();
    }

    pub(super) async fn next(&mut self) -> Message {
        loop {
            if let Some(message) = self.reader.read(&mut self.input).unwrap() {
                if message.kind == kind::SET_CHUNK_SIZE {
                    let size = message.payload[..].try_into().unwrap();
                    self.reader
                        .set_chunk_size(u32::from_be_bytes(size))
                        .unwrap();
                }
                return message;
            }
            let read = self.socket.read_buf(&mut self.input);
            assert_ne!(
                timeout(PATIENCE, read).await.expect("an answer").unwrap(),
                0,
                "closed"
            );
        }
    }

    /// Code and description of the next onStatus or _error.
    pub(super) async fn status(&mut self) -> (String, String) {
        loop {
            let message = self.next().await;
            if message.kind == kind::COMMAND {
                let values = amf0::read(&message.payload).unwrap();
                if matches!(values[0].as_str(), Some("onStatus" | "_error")) {
                    let field = |name| values[3].get(name).unwrap().as_str().unwrap().to_owned();
                    return (field("code"), field("description"));
                }
            }
        }
    }

    /// Reads until the gateway closes; everything it said.
    pub(super) async fn closed(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        // A reset is a close as well.
        let _ = timeout(PATIENCE, self.socket.read_to_end(&mut rest))
            .await
            .expect("the gateway closes");
        rest
    }
}

#[tokio::test]
async fn a_ping_is_answered_and_what_was_received_acknowledged() {
    let gateway = Gateway::start().await;
    let (secret, _events) = gateway.stream("studio", 16);
    let mut client = Client::publish(&gateway, &secret).await;
    client
        .write(&message(kind::USER_CONTROL, 0, &[0, 6, 1, 2, 3, 4]))
        .await;
    assert_eq!(client.next().await.payload[..], [0, 7, 1, 2, 3, 4]);

    client
        .write(&message(kind::WINDOW_SIZE, 0, &100_000u32.to_be_bytes()))
        .await;
    client.write(&configuration()).await;
    client.write(&frame(0, true, 100_000)).await;
    let answer = client.next().await;
    assert_eq!(answer.kind, kind::ACKNOWLEDGEMENT);
    let count = u32::from_be_bytes(answer.payload[..].try_into().unwrap());
    assert!((100_000..110_000).contains(&count), "{count}");
}
