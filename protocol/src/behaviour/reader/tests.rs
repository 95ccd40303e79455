use std::{
    collections::VecDeque,
    io,
    pin::Pin,
    task::{Context, Poll, Waker},
};

use super::{super::frames::put_length, *};
use crate::message::{MAX_CONTROL_FRAME_BYTES, Message, PartHeader, Place};

/// What has come so far.
#[derive(Default)]
struct Wire(VecDeque<u8>);

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        if self.0.is_empty() {
            return Poll::Pending;
        }
        Poll::Ready(io::Read::read(&mut self.0, into))
    }
}

fn frame(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    put_length(&mut out, body.len());
    out.extend_from_slice(body);
    out
}

fn name() -> Vec<u8> {
    frame(b"k51qzi5uqu5dm0t4vbwri4lkg76q03b4x9tsvekgvbu4zli6454ff7w8wdosa4")
}

fn poll(reader: &mut Reader<Wire>, now: Micros) -> Poll<Result<Read, Fault>> {
    reader.poll(&mut Context::from_waker(Waker::noop()), now)
}

/// A reader that was accepted at 0.
fn open(protocol: Protocol) -> Reader<Wire> {
    let mut reader = Reader::new(1, protocol, Wire::default(), 0);
    reader.io.0.extend(name());
    assert!(matches!(
        poll(&mut reader, 0),
        Poll::Ready(Ok(Read::Name(_)))
    ));
    assert!(poll(&mut reader, 0).is_pending());
    reader.accept(MAX_CONTROL_FRAME_BYTES);
    reader
}

#[test]
fn a_flood_of_messages_is_read_at_its_pace() {
    let mut reader = open(Protocol::Control);
    let message = frame(&Message::WantNeighbours.encode());
    for _ in 0..5_000 {
        reader.io.0.extend(&message);
    }
    let mut read = |now| {
        let mut count = 0;
        while poll(&mut reader, now).is_ready() {
            count += 1;
        }
        (count, reader.wake_at(now))
    };
    let (burst, wake) = read(0);
    assert_eq!(burst, 1_001);
    let wake = wake.expect("it is woken when it may read on");
    assert!((1..=PACE).contains(&wake), "{wake}");
    assert_eq!(read(1_000_000).0, 250);
    assert_eq!(read(2_000_000).0, 250);
}

#[test]
fn who_does_not_name_a_stream_in_time_is_late() {
    let mut reader = Reader::new(1, Protocol::Control, Wire::default(), 0);
    for (second, byte) in name().into_iter().enumerate() {
        let now = second as Micros * 1_000_000;
        reader.io.0.push_back(byte);
        assert!(poll(&mut reader, now).is_pending());
        assert_eq!(reader.is_late(now), now >= PATIENCE);
        assert!(reader.wake_at(now).is_some());
        if now >= PATIENCE {
            return;
        }
    }
    panic!("it had all the time of the world");
}

#[test]
fn a_part_may_be_slow_but_not_one_byte_a_second() {
    let part = {
        let header = PartHeader {
            place: Place {
                msn: 1,
                part: 0,
                rendition: 0,
            },
            size: 1 << 20,
        };
        frame(&[&header.encode()[..], &vec![0; 1 << 20]].concat())
    };
    // 20 kB/s, shared by four parts.
    for (bytes_per_second, is_late) in [(5_000, false), (1, true)] {
        let mut reader = open(Protocol::Parts);
        reader.io.0.extend(&part[..4]);
        let mut late = false;
        for second in 0..100u64 {
            let now = second * 1_000_000;
            let from = 4 + second as usize * bytes_per_second;
            reader.io.0.extend(&part[from..from + bytes_per_second]);
            while poll(&mut reader, now).is_ready() {}
            late |= reader.is_late(now);
        }
        assert_eq!(late, is_late, "{bytes_per_second} bytes a second");
    }
}

#[test]
fn silence_between_frames_is_nobodys_fault() {
    let mut reader = open(Protocol::Control);
    for hour in 0..10 {
        let now = hour * 3_600_000_000;
        assert!(poll(&mut reader, now).is_pending());
        assert!(!reader.is_late(now));
        assert_eq!(reader.wake_at(now), None);
        reader.io.0.extend(frame(&Message::WantManifest.encode()));
        assert!(poll(&mut reader, now).is_ready());
    }
}
