use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use futures::io::Cursor;

use super::*;
use crate::message::{Join, MAX_MESSAGE_BYTES, MAX_PLACES};

fn name() -> StreamName {
    "k51qzi5uqu5dm0t4vbwri4lkg76q03b4x9tsvekgvbu4zli6454ff7w8wdosa4"
        .parse()
        .unwrap()
}

fn place() -> Place {
    Place {
        msn: 101,
        part: 3,
        rendition: 1,
    }
}

fn frame(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    put_length(&mut out, body.len());
    out.extend_from_slice(body);
    out
}

fn part_frame(size: u32, body: &[u8]) -> Vec<u8> {
    let header = PartHeader {
        place: place(),
        size,
    };
    frame(&[&header.encode()[..], body].concat())
}

/// All that is read of `after` behind the stream's name.
fn read(protocol: Protocol, after: &[u8]) -> Vec<Result<Read, String>> {
    let mut io = Cursor::new([&frame(name().to_string().as_bytes()), after].concat());
    let mut frames = Frames::new(protocol);
    frames.max_message = MAX_MESSAGE_BYTES;
    let mut all = Vec::new();
    loop {
        let mut cx = Context::from_waker(Waker::noop());
        let Poll::Ready(read) = frames.poll(&mut io, &mut cx) else {
            panic!("a cursor is always ready");
        };
        let last = matches!(read, Err(_) | Ok(Read::End));
        all.push(read.map_err(|fault| fault.to_string()));
        if last {
            assert_eq!(all.remove(0), Ok(Read::Name(name())));
            return all;
        }
    }
}

fn fault(protocol: Protocol, after: &[u8]) -> String {
    read(protocol, after).pop().unwrap().unwrap_err()
}

#[test]
fn messages_and_parts_come_as_they_were_sent() {
    let join = Message::Join(Join {
        renditions: 3,
        upload: 5_000_000,
        gateway: true,
        site: 0,
    });
    let have = Message::Have(vec![place(); MAX_PLACES]);
    let bytes = [frame(&join.encode()), frame(&have.encode())].concat();
    assert_eq!(
        read(Protocol::Control, &bytes),
        [
            Ok(Read::Message(join)),
            Ok(Read::Message(have)),
            Ok(Read::End)
        ]
    );
    let part = Bytes::from((0..50_000u32).map(|n| n as u8).collect::<Vec<_>>());
    let bytes = [part_frame(50_000, &part), part_frame(1, b"x")].concat();
    let progress = |bytes| {
        Ok(Read::Progress {
            place: place(),
            bytes,
        })
    };
    let came = |bytes| {
        Ok(Read::Part {
            place: place(),
            bytes,
        })
    };
    let expected = [
        progress(0),
        progress(16384),
        progress(32768),
        progress(49152),
        came(part),
        progress(0),
        came(Bytes::from_static(b"x")),
        Ok(Read::End),
    ];
    assert_eq!(read(Protocol::Parts, &bytes), expected);
}

#[test]
fn lengths_are_checked_before_anything_of_them_is_read() {
    let control = |bytes: &[u8]| fault(Protocol::Control, bytes);
    assert!(control(&[0x80, 0x00]).contains("as short as possible"));
    assert!(control(&[0xff, 0xff, 0xff, 0xff, 0x01]).contains("as short as possible"));
    assert!(control(&[0x01, 0x00]).contains("too short"));
    // A manifest that no viewer has for a gateway: 8,193 bytes are promised, and none of them has to come.
    assert!(control(&[0x81, 0x40]).contains("8193"));
    assert!(control(&frame(&[0x81, 0x17])).contains("no kind"));
    let parts = |bytes: &[u8]| fault(Protocol::Parts, bytes);
    assert!(parts(&frame(&[0; 16])).contains("too short"));
    let mut long = Vec::new();
    put_length(&mut long, MAX_PART_FRAME_BYTES + 1);
    assert!(parts(&long).contains("1048593"));
    assert!(parts(&part_frame(2, b"x")).contains("as it says"));
    let cut = part_frame(5, b"parts");
    assert!(parts(&cut[..cut.len() - 1]).contains("end of file"));
}

#[test]
fn a_stream_begins_with_a_name() {
    for bytes in [frame(&[b'k'; 62]), frame(&[b'k'; 61]), frame(b"")] {
        let mut frames = Frames::new(Protocol::Control);
        let mut cx = Context::from_waker(Waker::noop());
        let read = frames.poll(&mut Cursor::new(bytes), &mut cx);
        assert!(matches!(read, Poll::Ready(Err(Fault::Broken(_)))));
    }
}

#[test]
fn memory_grows_with_what_has_come_and_a_part_takes_no_more_than_its_bytes() {
    let bytes = part_frame(1 << 20, &vec![7; 1 << 20]);
    let mut frames = Frames::new(Protocol::Parts);
    frames.stream = Some(crate::key::SigningKey::from_secret([7; 32]).name());
    let mut cx = Context::from_waker(Waker::noop());
    let mut io = Cursor::new(&bytes[..40_000]);
    let mut largest = 0;
    while let Poll::Ready(Ok(_)) = frames.poll(&mut io, &mut cx) {
        largest = largest.max(frames.frame.capacity());
    }
    assert!(largest <= 80_000, "{largest} bytes for 40,000");

    let mut frames = Frames::new(Protocol::Parts);
    frames.stream = Some(crate::key::SigningKey::from_secret([7; 32]).name());
    let mut io = Cursor::new(&bytes[..]);
    loop {
        let capacity = frames.frame.capacity();
        if let Poll::Ready(Ok(Read::Part { .. })) = frames.poll(&mut io, &mut cx) {
            assert!(capacity <= MAX_PART_FRAME_BYTES);
            break;
        }
    }
}
