//! RTMP's chunk stream (RTMP 1.0 §5.3): bytes in, messages out, and back.
//!
//! "Chunk" is RTMP's own word for an interleaved slice of a message and is used for nothing else.
//! Memory: at most [`Reader`]'s message limit plus [`SPARE_BYTES`] of unfinished messages, on at most
//! [`MAX_CHUNK_STREAMS`] chunk streams; a message's announced length reserves no more than [`FIRST_BYTES`].

use bytes::{Buf, Bytes, BytesMut};

use super::violation::ChunkError;

/// Chunk size of both sides until they say otherwise (§5.4.1).
const INITIAL_CHUNK_SIZE: usize = 128;
/// Chunk size of what we send: all our messages fit into one.
pub(super) const OUR_CHUNK_SIZE: usize = 4096;
/// Publishers use two to six.
pub(super) const MAX_CHUNK_STREAMS: usize = 32;
/// Limit of everything that is not video: commands, metadata, frames of sound (AAC's have at most 768 bytes a channel).
const MAX_SMALL_BYTES: usize = 64 << 10;
/// What smaller messages may have unfinished beside a largest one.
const SPARE_BYTES: usize = 256 << 10;
/// Reserved at once for a message; more as its bytes arrive.
const FIRST_BYTES: usize = 32 << 10;
/// A timestamp field that says: the timestamp follows in 32 bits.
const EXTENDED: u32 = 0xff_ffff;

/// Message types (§5.4, §6.2, §7.1).
pub(super) mod kind {
    pub(in super::super) const SET_CHUNK_SIZE: u8 = 1;
    pub(in super::super) const ABORT: u8 = 2;
    pub(in super::super) const ACKNOWLEDGEMENT: u8 = 3;
    pub(in super::super) const USER_CONTROL: u8 = 4;
    pub(in super::super) const WINDOW_SIZE: u8 = 5;
    pub(in super::super) const PEER_BANDWIDTH: u8 = 6;
    pub(in super::super) const AUDIO: u8 = 8;
    pub(in super::super) const VIDEO: u8 = 9;
    pub(in super::super) const DATA_AMF3: u8 = 15;
    pub(in super::super) const COMMAND_AMF3: u8 = 17;
    pub(in super::super) const DATA: u8 = 18;
    pub(in super::super) const COMMAND: u8 = 20;
    pub(in super::super) const AGGREGATE: u8 = 22;
}

/// One whole message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Message {
    /// One of [`kind`].
    pub(super) kind: u8,
    /// The message stream it belongs to, 0 for the connection itself.
    pub(super) stream: u32,
    /// Milliseconds; wraps after 49.7 days.
    pub(super) timestamp: u32,
    pub(super) payload: Bytes,
}

/// Reassembles messages.
#[derive(Debug)]
pub(super) struct Reader {
    chunk_size: usize,
    max_message: usize,
    streams: Vec<ChunkStream>,
    /// Index of the chunk stream whose chunk is being read, and the bytes of the chunk that are to come.
    reading: Option<(usize, usize)>,
    /// Bytes of all unfinished messages.
    buffered: usize,
}

#[derive(Debug, Default)]
struct ChunkStream {
    id: u32,
    timestamp: u32,
    /// The last header's timestamp or delta: what a header of type 3 repeats.
    field: u32,
    extended: bool,
    length: usize,
    kind: u8,
    stream: u32,
    payload: Option<Vec<u8>>,
}

impl Reader {
    /// `max_message` is the limit of a video message in bytes.
    pub(super) fn new(max_message: usize) -> Reader {
        Reader {
            chunk_size: INITIAL_CHUNK_SIZE,
            max_message,
            streams: Vec::new(),
            reading: None,
            buffered: 0,
        }
    }

    /// What the peer's chunks are cut to from here on.
    pub(super) fn set_chunk_size(&mut self, size: u32) -> Result<(), ChunkError> {
        if size == 0 || size > i32::MAX as u32 {
            return Err(ChunkError::ChunkSize(size));
        }
        self.chunk_size = size as usize;
        Ok(())
    }

    /// Forgets what came of the unfinished message on chunk stream `id` (§5.4.2).
    pub(super) fn abort(&mut self, id: u32) {
        if let Some(stream) = self.streams.iter_mut().find(|stream| stream.id == id)
            && let Some(payload) = stream.payload.take()
        {
            self.buffered -= payload.len();
        }
    }

    /// Takes bytes from `input` until a message is whole; `None` when more bytes are needed.
    /// What it leaves in `input` is the beginning of a header, at most 18 bytes.
    pub(super) fn read(&mut self, input: &mut BytesMut) -> Result<Option<Message>, ChunkError> {
        loop {
            let Some((index, left)) = self.reading else {
                if self.read_header(input)? {
                    continue;
                }
                return Ok(None);
            };
            let stream = &mut self.streams[index];
            let payload = stream.payload.get_or_insert_default();
            let taken = left.min(input.len());
            self.buffered += taken;
            if self.buffered > self.max_message + SPARE_BYTES {
                return Err(ChunkError::Buffered(self.max_message + SPARE_BYTES));
            }
            payload.extend_from_slice(&input[..taken]);
            input.advance(taken);
            if taken < left {
                self.reading = Some((index, left - taken));
                return Ok(None);
            }
            self.reading = None;
            if payload.len() == stream.length {
                self.buffered -= stream.length;
                return Ok(Some(Message {
                    kind: stream.kind,
                    stream: stream.stream,
                    timestamp: stream.timestamp,
                    payload: stream.payload.take().unwrap_or_default().into(),
                }));
            }
        }
    }

    /// Reads one chunk header (§5.3.1); false when `input` does not hold all of it.
    fn read_header(&mut self, input: &mut BytesMut) -> Result<bool, ChunkError> {
        let Some((format, id, start)) = basic_header(input) else {
            return Ok(false);
        };
        let size = [11, 7, 3, 0][usize::from(format)];
        let Some(header) = input.get(start..start + size) else {
            return Ok(false);
        };
        let mut end = start + size;
        let known = self.streams.iter().position(|stream| stream.id == id);
        // librtmp opens a chunk stream with a header of type 1: then the message stream is 0.
        if known.is_none() && format > 1 {
            return Err(ChunkError::NoHeader { id, format });
        }
        let last = known.map(|index| &self.streams[index]);

        let mut field = last.map_or(0, |stream| stream.field);
        let mut extended = last.is_some_and(|stream| stream.extended);
        if size >= 3 {
            field = u24(header);
            extended = field == EXTENDED;
        }
        if extended {
            let Some(bytes) = input.get(end..end + 4) else {
                return Ok(false);
            };
            let value = u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
            // Not every publisher repeats it before a header of type 3: there it counts only when it is the same.
            if size >= 3 || value == field {
                field = value;
                end += 4;
            }
        }
        let (mut length, mut kind) = last.map_or((0, 0), |stream| (stream.length, stream.kind));
        if size >= 7 {
            (length, kind) = (u24(&header[3..]) as usize, header[6]);
            let limit = match kind {
                kind::VIDEO => self.max_message,
                _ => self.max_message.min(MAX_SMALL_BYTES),
            };
            if length > limit {
                return Err(ChunkError::Long {
                    kind,
                    length,
                    limit,
                });
            }
        }
        let message_stream =
            (size == 11).then(|| u32::from_le_bytes([header[7], header[8], header[9], header[10]]));

        let index = match known {
            Some(index) => index,
            None if self.streams.len() == MAX_CHUNK_STREAMS => return Err(ChunkError::Streams),
            None => {
                self.streams.push(ChunkStream {
                    id,
                    ..ChunkStream::default()
                });
                self.streams.len() - 1
            }
        };
        let stream = &mut self.streams[index];
        let received = match &stream.payload {
            Some(payload) if format < 3 => {
                let missing = stream.length - payload.len();
                return Err(ChunkError::Unfinished { id, missing });
            }
            Some(payload) => payload.len(),
            None => {
                stream.timestamp = match format {
                    0 => field,
                    _ => stream.timestamp.wrapping_add(field),
                };
                stream.payload = Some(Vec::with_capacity(length.min(FIRST_BYTES)));
                0
            }
        };
        (stream.field, stream.extended) = (field, extended);
        (stream.length, stream.kind) = (length, kind);
        stream.stream = message_stream.unwrap_or(stream.stream);
        self.reading = Some((index, self.chunk_size.min(length - received)));
        input.advance(end);
        Ok(true)
    }
}

/// Format, chunk stream id and the header's length so far (§5.3.1.1).
fn basic_header(input: &[u8]) -> Option<(u8, u32, usize)> {
    let first = *input.first()?;
    let (id, length) = match first & 63 {
        0 => (64 + u32::from(*input.get(1)?), 2),
        1 => (
            64 + u32::from(*input.get(1)?) + 256 * u32::from(*input.get(2)?),
            3,
        ),
        id => (u32::from(id), 1),
    };
    Some((first >> 6, id, length))
}

fn u24(bytes: &[u8]) -> u32 {
    u32::from_be_bytes([0, bytes[0], bytes[1], bytes[2]])
}

/// Writes a message with timestamp 0, cut to [`OUR_CHUNK_SIZE`].
pub(super) fn write(send: &mut Vec<u8>, id: u8, kind: u8, stream: u32, payload: &[u8]) {
    send.push(id);
    send.extend_from_slice(&[0; 3]);
    send.extend_from_slice(&(payload.len() as u32).to_be_bytes()[1..]);
    send.push(kind);
    send.extend_from_slice(&stream.to_le_bytes());
    for (index, chunk) in payload.chunks(OUR_CHUNK_SIZE).enumerate() {
        if index > 0 {
            send.push(3 << 6 | id);
        }
        send.extend_from_slice(chunk);
    }
}
