//! Conversations without a socket: what is wrong is named, what is odd is taken, and cuts do not matter.

use proptest::prelude::*;

use super::{
    super::{amf0::Value, chunk::kind, event::Event, violation::Violation},
    client::{
        chunk_size, command, configuration, connect, frame, hello, message, opening, publish,
    },
};
use crate::fuzz;

/// Feeds `bytes` in `steps` of so many bytes (the last for all that follow); events, answers and the end.
fn converse(bytes: &[u8], steps: &[usize]) -> (Vec<Event>, Vec<u8>, Option<Violation>) {
    let mut rest = bytes;
    let mut steps = steps
        .iter()
        .copied()
        .chain(std::iter::repeat(*steps.last().unwrap()));
    let reads = std::iter::from_fn(|| {
        let step = steps.next()?.clamp(1, rest.len().max(1));
        let (read, behind) = rest.split_at_checked(step)?;
        rest = behind;
        Some(read)
    });
    fuzz::rtmp::converse(100_000, reads)
}

/// A conversation as publishers lead it, with everything in it that has a length.
fn good() -> Vec<u8> {
    let extended = [
        &[4, 255, 255, 255, 0, 0, 9, 9, 1, 0, 0, 0, 1, 0, 0, 0][..],
        &[0x27, 1, 0, 0, 0, 0, 0, 0, 0],
    ]
    .concat();
    let delete = command(&[
        Value::text("deleteStream"),
        Value::Number(0.0),
        Value::Null,
        Value::Number(1.0),
    ]);
    let frames = [
        frame(40, true, 5000),
        chunk_size(77),
        frame(80, false, 68),
        extended,
        delete,
    ];
    [opening("secret"), configuration(), frames.concat()].concat()
}

#[test]
fn what_is_wrong_is_named() {
    let text = Value::text;
    let number = |n: u32| n.to_be_bytes();
    let play = command(&[text("play"), Value::Number(2.0), Value::Null, text("x")]);
    let streams: Vec<u8> = (3..=35)
        .flat_map(|id| [id, 0, 0, 0, 0, 0, 0, kind::ACKNOWLEDGEMENT, 0, 0, 0, 0])
        .collect();
    let unfinished: Vec<u8> = (3..=10)
        .flat_map(|id| {
            [
                &[id, 0, 0, 0, 0, 0xff, 0xff, 8, 1, 0, 0, 0][..],
                &[0; 60_000],
            ]
            .concat()
        })
        .collect();
    let interrupted = [&[4, 0, 0, 0, 0, 1, 0, 8, 1, 0, 0, 0][..], &[0; 128], &[4]].concat();
    let cases: Vec<(Vec<u8>, &str)> = vec![
        (
            connect("vod"),
            "application \"vod\" is not known here: publish to rtmp://HOST/live",
        ),
        (connect("liver"), "application \"liver\""),
        (
            connect(&"x".repeat(9000)),
            "application \"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\" is",
        ),
        ([connect("live"), play].concat(), "asked to play"),
        (
            [connect("live"), connect("live")].concat(),
            "command \"connect\" came where",
        ),
        (publish("x"), "command \"releaseStream\" came where"),
        (
            [connect("live"), publish("x"), publish("x")].concat(),
            "a second publish came where",
        ),
        (
            [connect("live"), frame(0, true, 10)].concat(),
            "media before publish",
        ),
        (command(&[]), "a command without a name"),
        (command(&[Value::Number(1.0)]), "a command without a name"),
        (
            message(kind::COMMAND, 0, b"\x02\x00\xffconnect"),
            "AMF0 value is cut off",
        ),
        (
            message(kind::COMMAND, 0, b"\x0d"),
            "AMF0 type 13 is not known",
        ),
        (
            message(kind::COMMAND, 0, b"\x02\x00\x02\xff\xfe"),
            "not UTF-8",
        ),
        (chunk_size(0), "chunk size 0 is not possible"),
        (chunk_size(1 << 31), "chunk size 2147483648"),
        (
            message(kind::SET_CHUNK_SIZE, 0, &[1]),
            "protocol message of type 1 has 1 bytes",
        ),
        (
            message(kind::USER_CONTROL, 0, &[]),
            "protocol message of type 4 has 0 bytes",
        ),
        (
            message(kind::AGGREGATE, 0, &number(0)),
            "aggregate messages",
        ),
        (
            [4, 0, 0, 0, 0x01, 0x86, 0xa1, 9, 1, 0, 0, 0].to_vec(),
            "type 9 announces 100001 bytes, the limit is 100000",
        ),
        (
            [4, 0, 0, 0, 1, 0, 1, 20, 1, 0, 0, 0].to_vec(),
            "type 20 announces 65537 bytes, the limit is 65536",
        ),
        (
            [4, 0, 0, 0, 1, 0, 1, 8, 1, 0, 0, 0].to_vec(),
            "type 8 announces 65537 bytes, the limit is 65536",
        ),
        (vec![0xc5], "chunk stream 5 begins with a header of type 3"),
        (
            vec![0x81, 1, 2, 0, 0, 0],
            "chunk stream 577 begins with a header of type 2",
        ),
        (streams, "more than 32 chunk streams"),
        (
            [chunk_size(60_000), unfinished].concat(),
            "unfinished messages hold more than 362144 bytes",
        ),
        (
            [interrupted, vec![0; 11]].concat(),
            "chunk stream 4 with 128 bytes of the last one missing",
        ),
    ];
    for (bytes, reason) in cases {
        let sizes: &[&[usize]] = &[&[usize::MAX], &[1]];
        for steps in sizes {
            let start = if bytes.len() > 128 {
                [hello(), chunk_size(1 << 20)].concat()
            } else {
                hello()
            };
            let start = if reason.contains("last one missing") {
                hello()
            } else {
                start
            };
            let (_, _, end) = converse(&[start, bytes.clone()].concat(), steps);
            let end = end
                .unwrap_or_else(|| panic!("nothing wrong, should be: {reason}"))
                .to_string();
            assert!(end.contains(reason), "{end}, should be: {reason}");
            assert!(end.len() < 200 && !end.contains('\n'));
        }
    }
    assert_eq!(
        converse(b"GET / HTTP/1.1\r\n", &[100]).2,
        Some(Violation::NotRtmp(b'G'))
    );
}

#[test]
fn what_is_odd_but_used_in_the_field_is_taken() {
    for (app, name) in [
        ("live", "secret"),
        ("live/", "secret?x=y"),
        ("live/secret", ""),
        ("/live", "/secret/"),
    ] {
        let (events, _, end) = converse(
            &[hello(), chunk_size(4096), connect(app), publish(name)].concat(),
            &[7],
        );
        assert_eq!(
            (events, end),
            (
                vec![Event::Publish {
                    key: "secret".into()
                }],
                None
            ),
            "{app}/{name}"
        );
    }
    // librtmp opens a chunk stream with a short header.
    let short = [&[0x42, 0, 0, 0, 0, 0, 6, 4][..], &[0, 3, 0, 0, 0, 1]].concat();
    assert_eq!(converse(&[hello(), short].concat(), &[9]).2, None);
}

#[test]
fn timestamps_are_absolute_relative_extended_and_wrap() {
    let empty = |header: &[u8]| [header, &[0x27, 1]].concat();
    let bytes = [
        opening("x"),
        empty(&[4, 0, 0, 100, 0, 0, 2, 9, 1, 0, 0, 0]),
        empty(&[0x44, 0, 0, 40, 0, 0, 2, 9]),
        empty(&[0x84, 0, 0, 33]),
        empty(&[0xc4]),
        empty(&[4, 255, 255, 255, 0, 0, 2, 9, 1, 0, 0, 0, 255, 255, 255, 250]),
        empty(&[0x84, 0, 0, 10]),
    ];
    let (events, _, end) = converse(&bytes.concat(), &[3]);
    assert_eq!(end, None);
    let times: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            Event::Video { timestamp, .. } => Some(*timestamp),
            _ => None,
        })
        .collect();
    assert_eq!(times, [100, 140, 173, 206, u32::MAX - 5, 4]);
}

#[test]
fn an_extended_timestamp_may_be_repeated_or_not_and_an_aborted_message_is_forgotten() {
    let start = [
        hello(),
        connect_small(),
        vec![4, 255, 255, 255, 0, 0, 200, 9, 1, 0, 0, 0, 1, 2, 3, 4],
    ]
    .concat();
    let repeated = [&start[..], &[7; 128], &[0xc4, 1, 2, 3, 4], &[8; 72]].concat();
    let left_out = [&start[..], &[7; 128], &[0xc4], &[8; 72]].concat();
    for bytes in [repeated, left_out] {
        let (events, _, end) = converse(&bytes, &[5]);
        let Some(Event::Video { timestamp, tag }) = events.last() else {
            panic!("{end:?}");
        };
        assert_eq!(
            (*timestamp, tag.len(), &tag[128..]),
            (0x01020304, 200, &[8; 72][..])
        );
    }
    let aborted = [
        &start[..],
        &[7; 128],
        &[2, 0, 0, 0, 0, 0, 4, 2, 0, 0, 0, 0, 0, 0, 0, 4],
    ]
    .concat();
    let again = [4, 0, 0, 1, 0, 0, 1, 9, 1, 0, 0, 0, 9];
    let (events, _, end) = converse(&[&aborted[..], &again].concat(), &[6]);
    assert_eq!(end, None);
    assert!(matches!(events.last(), Some(Event::Video { timestamp: 1, tag }) if tag[..] == [9]));
}

/// Connects and publishes in chunks of 128 bytes.
fn connect_small() -> Vec<u8> {
    let publish = command(&[
        Value::text("publish"),
        Value::Number(2.0),
        Value::Null,
        Value::text("x"),
    ]);
    [connect("live"), publish].concat()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn however_bytes_are_cut_the_conversation_is_the_same(steps in prop::collection::vec(1usize..3000, 1..40)) {
        let whole = converse(&good(), &[usize::MAX]);
        prop_assert_eq!(&whole.2, &None);
        prop_assert_eq!(whole.0.len(), 6);
        prop_assert_eq!(converse(&good(), &steps), whole);
    }

    #[test]
    fn random_bytes_are_survived(
        bytes in prop::collection::vec(any::<u8>(), 0..4000),
        behind in prop::sample::select(vec![vec![], hello(), opening("x")]),
    ) {
        let (_, send, _) = converse(&[behind, bytes].concat(), &[1000]);
        prop_assert!(send.len() < 40_000, "answers of {} bytes", send.len());
    }

    #[test]
    fn one_wrong_byte_is_survived(at in 0..good().len(), byte: u8) {
        let mut bytes = good();
        bytes[at] = byte;
        let _ = converse(&bytes, &[100]);
    }
}
