//! One publisher's RTMP conversation as a state machine without socket or clock: bytes in, answers and events out.
//!
//! [`Session::receive`] takes bytes from the front of its input and yields one [`Event`] at a time; answers are
//! appended to a buffer that the driver sends before it reads on, so a peer that does not read cannot fill it.

use bytes::BytesMut;

use super::{
    amf0::{self, Value},
    answer::{answer, connected, control, information, status},
    chunk::{Message, OUR_CHUNK_SIZE, Reader, kind},
    event::Event,
    handshake::Handshake,
    metadata::Metadata,
    violation::Violation,
};

/// The one application: `rtmp://host/live/SECRET`.
const APP: &str = "live";
/// The message stream that `createStream` answers; one connection publishes one stream.
const MESSAGE_STREAM: u32 = 1;
/// Bytes after which each side acknowledges, unless the peer asks for another number.
const WINDOW: u32 = 2_500_000;
/// An argument of the peer's is repeated in a message up to here.
const SHOWN_CHARACTERS: usize = 40;

#[derive(Debug)]
enum Phase {
    Handshake(Handshake),
    /// The handshake is done, `connect` has not come.
    Greeted,
    /// `connect` named this application path (`live`, perhaps with more behind it).
    Connected(String),
    /// [`Event::Publish`] waits for its answer on this message stream.
    Asked(u32),
    /// On this message stream.
    Publishing(u32),
    Ended,
}

/// The state machine.
#[derive(Debug)]
pub struct Session {
    phase: Phase,
    reader: Reader,
    /// Bytes received, wrapping as acknowledgements do, and as last acknowledged.
    received: u32,
    acknowledged: u32,
    /// Bytes after which the peer wants an acknowledgement.
    window: u32,
}

impl Session {
    /// `max_message` is the limit of one video message in bytes.
    pub fn new(max_message: usize) -> Session {
        Session {
            phase: Phase::Handshake(Handshake::default()),
            reader: Reader::new(max_message),
            received: 0,
            acknowledged: 0,
            window: WINDOW,
        }
    }

    /// Whether [`Session::accept`] was called and the stream has not ended.
    pub fn is_publishing(&self) -> bool {
        matches!(self.phase, Phase::Publishing(_))
    }

    /// Takes bytes from `input` until something happens; `None` when more bytes are needed (what is left in
    /// `input`, at most 1.5 KiB, must stay at its front). Answers are appended to `send`.
    ///
    /// # Errors
    /// The connection is to be closed, after `send` has been sent.
    pub fn receive(
        &mut self,
        input: &mut BytesMut,
        send: &mut Vec<u8>,
    ) -> Result<Option<Event>, Violation> {
        let before = input.len();
        let result = self.advance(input, send);
        self.received = self.received.wrapping_add((before - input.len()) as u32);
        if self.received.wrapping_sub(self.acknowledged) >= self.window {
            self.acknowledged = self.received;
            let count = self.received.to_be_bytes();
            control(send, kind::ACKNOWLEDGEMENT, &count);
        }
        result
    }

    /// Lets the publisher begin: answer to [`Event::Publish`].
    pub fn accept(&mut self, send: &mut Vec<u8>) {
        if let Phase::Asked(stream) = self.phase {
            let begin = [&[0, 0], &stream.to_be_bytes()[..]].concat();
            control(send, kind::USER_CONTROL, &begin);
            status(
                send,
                stream,
                "status",
                "NetStream.Publish.Start",
                "the gateway is listening",
            );
            self.phase = Phase::Publishing(stream);
        }
    }

    /// Turns the publisher away with a reason it can show: answer to [`Event::Publish`]. Close after sending.
    pub fn refuse(&mut self, reason: &str, send: &mut Vec<u8>) {
        if let Phase::Asked(stream) = self.phase {
            status(send, stream, "error", "NetStream.Publish.BadName", reason);
            self.phase = Phase::Ended;
        }
    }

    /// Ends a stream that cannot be carried, with a reason the publisher can show. Close after sending.
    pub fn fail(&mut self, reason: &str, send: &mut Vec<u8>) {
        if let Phase::Publishing(stream) = self.phase {
            status(send, stream, "error", "NetStream.Failed", reason);
            self.phase = Phase::Ended;
        }
    }

    fn advance(
        &mut self,
        input: &mut BytesMut,
        send: &mut Vec<u8>,
    ) -> Result<Option<Event>, Violation> {
        if let Phase::Handshake(handshake) = &mut self.phase {
            if !handshake.receive(input, send).map_err(Violation::NotRtmp)? {
                return Ok(None);
            }
            self.phase = Phase::Greeted;
        }
        while let Some(message) = self.reader.read(input)? {
            if let Some(event) = self.message(message, send)? {
                return Ok(Some(event));
            }
        }
        Ok(None)
    }

    fn message(
        &mut self,
        message: Message,
        send: &mut Vec<u8>,
    ) -> Result<Option<Event>, Violation> {
        let Message {
            kind,
            timestamp,
            stream,
            payload,
        } = message;
        match kind {
            kind::VIDEO if self.is_publishing() => Ok(Some(Event::Video {
                timestamp,
                tag: payload,
            })),
            kind::AUDIO if self.is_publishing() => Ok(Some(Event::Audio {
                timestamp,
                tag: payload,
            })),
            // Some publishers send what they had queued behind the end.
            kind::VIDEO | kind::AUDIO if matches!(self.phase, Phase::Ended) => Ok(None),
            kind::VIDEO | kind::AUDIO => Err(Violation::OutOfOrder("media before publish".into())),
            kind::COMMAND => self.command(&payload, stream, send),
            // AMF3's commands are AMF0 behind a byte that says so.
            kind::COMMAND_AMF3 => self.command(payload.get(1..).unwrap_or_default(), stream, send),
            kind::DATA => self.data(&payload),
            kind::DATA_AMF3 => self.data(payload.get(1..).unwrap_or_default()),
            kind::AGGREGATE => Err(Violation::Aggregate),
            _ => self.control(kind, &payload, send).map(|()| None),
        }
    }

    /// Protocol control (§5.4) and user control (§6.2).
    fn control(&mut self, kind: u8, payload: &[u8], send: &mut Vec<u8>) -> Result<(), Violation> {
        let length = payload.len();
        let number = || match payload.first_chunk() {
            Some(bytes) => Ok(u32::from_be_bytes(*bytes)),
            None => Err(Violation::Control { kind, length }),
        };
        match kind {
            kind::SET_CHUNK_SIZE => self.reader.set_chunk_size(number()?)?,
            kind::ABORT => self.reader.abort(number()?),
            // 0 would ask for an acknowledgement of every read.
            kind::WINDOW_SIZE => self.window = number()?.max(OUR_CHUNK_SIZE as u32),
            kind::USER_CONTROL => match payload {
                [0, 6, time @ ..] if time.len() == 4 => {
                    let pong = [&[0, 7], time].concat();
                    control(send, kind::USER_CONTROL, &pong);
                }
                [_, _, ..] => {}
                _ => return Err(Violation::Control { kind, length }),
            },
            _ => {} // acknowledgements, bandwidth, shared objects: nothing for us
        }
        Ok(())
    }

    fn data(&self, payload: &[u8]) -> Result<Option<Event>, Violation> {
        if !self.is_publishing() {
            return Ok(None);
        }
        let values = amf0::read(payload)?;
        let mut values = values.iter();
        let mut name = values.next().and_then(Value::as_str);
        if name == Some("@setDataFrame") {
            name = values.next().and_then(Value::as_str);
        }
        let description = values.next().filter(|_| name == Some("onMetaData"));
        Ok(description.map(|description| Event::Metadata(Metadata::read(description))))
    }

    fn command(
        &mut self,
        payload: &[u8],
        stream: u32,
        send: &mut Vec<u8>,
    ) -> Result<Option<Event>, Violation> {
        let values = amf0::read(payload)?;
        let Some(name) = values.first().and_then(Value::as_str) else {
            return Err(Violation::OutOfOrder("a command without a name".into()));
        };
        let transaction = values.get(1).and_then(Value::as_number).unwrap_or(0.0);
        let text = |at: usize| values.get(at).and_then(Value::as_str);
        match (name, &self.phase) {
            ("connect", Phase::Greeted) => {
                let app = values.get(2).and_then(|fields| fields.get("app")?.as_str());
                self.connect(app.unwrap_or_default(), transaction, send)?;
            }
            ("connect", _) | (_, Phase::Greeted) => {
                return Err(Violation::OutOfOrder(format!(
                    "command {:?}",
                    shorten(name)
                )));
            }
            ("createStream", _) => {
                let stream = Value::Number(MESSAGE_STREAM.into());
                answer(send, "_result", transaction, Value::Null, stream);
            }
            ("publish", Phase::Connected(app)) => {
                let path = format!("{app}/{}", text(3).unwrap_or_default());
                let path = path.split('?').next().unwrap_or_default();
                let key = path.strip_prefix(APP).unwrap_or_default().trim_matches('/');
                let key = key.to_owned();
                self.phase = Phase::Asked(stream);
                return Ok(Some(Event::Publish { key }));
            }
            ("publish", _) => return Err(Violation::OutOfOrder("a second publish".into())),
            ("play" | "play2", _) => {
                status(
                    send,
                    stream,
                    "error",
                    "NetStream.Play.Failed",
                    &Violation::Play.to_string(),
                );
                return Err(Violation::Play);
            }
            ("deleteStream" | "closeStream" | "FCUnpublish", Phase::Publishing(_)) => {
                self.phase = Phase::Ended;
                return Ok(Some(Event::Ended));
            }
            // releaseStream, FCPublish, _checkbw and what else asks for a word: nothing to do, and said so.
            _ if transaction != 0.0 => {
                answer(send, "_result", transaction, Value::Null, Value::Undefined);
            }
            _ => {}
        }
        Ok(None)
    }

    fn connect(
        &mut self,
        app: &str,
        transaction: f64,
        send: &mut Vec<u8>,
    ) -> Result<(), Violation> {
        let chunk_size = (OUR_CHUNK_SIZE as u32).to_be_bytes();
        control(send, kind::SET_CHUNK_SIZE, &chunk_size);
        let path = app.split('?').next().unwrap_or_default().trim_matches('/');
        if path.split('/').next() != Some(APP) {
            let violation = Violation::Application(shorten(app));
            let reason = information(
                "error",
                "NetConnection.Connect.Rejected",
                &violation.to_string(),
            );
            answer(send, "_error", transaction, Value::Null, reason);
            return Err(violation);
        }
        connected(send, transaction, WINDOW);
        self.phase = Phase::Connected(path.to_owned());
        Ok(())
    }
}

fn shorten(text: &str) -> String {
    text.chars().take(SHOWN_CHARACTERS).collect()
}
