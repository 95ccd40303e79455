//! STUN for viewers (RFC 8489): a browser that asks learns the address its packets come from, and so has one that other
//! viewers can reach although it hides its own (webpages see none of the machine's addresses). No server outside of the
//! mesh is ever asked.
//!
//! [`answer`] is pure; [`respond`] is the socket around it. Nothing is remembered of who asks.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use tokio::{net::UdpSocket, time::sleep};

/// §5: what every message of RFC 5389 and later carries.
const COOKIE: u32 = 0x2112_a442;
const HEADER_BYTES: usize = 20;
/// No question is longer; the rest of a longer packet is cut off, and then its length is wrong.
const MAX_REQUEST_BYTES: usize = 512;
const BINDING_REQUEST: u16 = 0x0001;
const BINDING_SUCCESS: u16 = 0x0101;
const BINDING_ERROR: u16 = 0x0111;
const ERROR_CODE: u16 = 0x0009;
const UNKNOWN_ATTRIBUTES: u16 = 0x000a;
const XOR_MAPPED_ADDRESS: u16 = 0x0020;
/// What is meant for servers with users and for ICE: a server without either passes over it.
const PASSED_OVER: [u16; 6] = [0x0006, 0x0008, 0x001c, 0x001e, 0x0024, 0x0025];
/// At most so many attributes are named as not understood, so that an answer is never longer than 64 bytes.
const MAX_UNKNOWN: usize = 8;
/// After a socket error, before the next try.
const BREATH: Duration = Duration::from_millis(50);

/// The answer to a binding request that came from `from`; none to anything else.
pub fn answer(request: &[u8], from: SocketAddr) -> Option<Vec<u8>> {
    let (header, attributes) = request.split_at_checked(HEADER_BYTES)?;
    let kind = u16::from_be_bytes([header[0], header[1]]);
    let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
    let whole = length == attributes.len() && length.is_multiple_of(4);
    if kind != BINDING_REQUEST || header[4..8] != COOKIE.to_be_bytes() || !whole {
        return None;
    }
    let transaction = &header[4..];
    let unknown = unknown(attributes)?;
    if !unknown.is_empty() {
        // 420: class 4, number 20 (§14.8)
        let listed: Vec<u8> = unknown.iter().flat_map(|kind| kind.to_be_bytes()).collect();
        let body = [
            attribute(ERROR_CODE, &[0, 0, 4, 20]),
            attribute(UNKNOWN_ATTRIBUTES, &listed),
        ];
        return Some(message(BINDING_ERROR, transaction, &body.concat()));
    }
    let mapped = attribute(XOR_MAPPED_ADDRESS, &xored(from, transaction));
    Some(message(BINDING_SUCCESS, transaction, &mapped))
}

/// The attributes that must be understood (§14: below 0x8000) and are not; none when they are cut short.
fn unknown(mut attributes: &[u8]) -> Option<Vec<u16>> {
    let mut unknown = Vec::new();
    while let Some((head, rest)) = attributes.split_at_checked(4) {
        let kind = u16::from_be_bytes([head[0], head[1]]);
        let padded = usize::from(u16::from_be_bytes([head[2], head[3]])).next_multiple_of(4);
        if kind < 0x8000 && !PASSED_OVER.contains(&kind) && unknown.len() < MAX_UNKNOWN {
            unknown.push(kind);
        }
        attributes = rest.get(padded..)?;
    }
    Some(unknown)
}

/// §14.2: port and address XORed with the cookie and the transaction, so that no middlebox rewrites them.
/// `transaction` begins with the cookie.
fn xored(from: SocketAddr, transaction: &[u8]) -> Vec<u8> {
    let (family, address) = match from.ip().to_canonical() {
        IpAddr::V4(ip) => (1, ip.octets().to_vec()),
        IpAddr::V6(ip) => (2, ip.octets().to_vec()),
    };
    let port = from.port().to_be_bytes();
    let mask = |bytes: &[u8]| -> Vec<u8> {
        let pairs = bytes.iter().zip(transaction);
        pairs.map(|(byte, mask)| byte ^ mask).collect()
    };
    [vec![0, family], mask(&port), mask(&address)].concat()
}

fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let mut bytes = [kind.to_be_bytes(), (value.len() as u16).to_be_bytes()].concat();
    bytes.extend_from_slice(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

fn message(kind: u16, transaction: &[u8], attributes: &[u8]) -> Vec<u8> {
    let length = attributes.len() as u16;
    [
        &kind.to_be_bytes(),
        &length.to_be_bytes(),
        transaction,
        attributes,
    ]
    .concat()
}

/// Answers until it is aborted.
pub(super) async fn respond(socket: UdpSocket) {
    let mut buffer = [0; MAX_REQUEST_BYTES];
    loop {
        match exchange(&socket, &mut buffer).await {
            Ok(()) => {}
            Err(error) => {
                // A client that is gone answers with "unreachable": nobody's fault, and not the socket's end.
                tracing::debug!(%error, "STUN");
                sleep(BREATH).await;
            }
        }
    }
}

async fn exchange(socket: &UdpSocket, buffer: &mut [u8]) -> io::Result<()> {
    let (length, from) = socket.recv_from(buffer).await?;
    if let Some(answer) = answer(&buffer[..length], from) {
        socket.send_to(&answer, from).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The transaction id of RFC 5769's vectors.
    const TRANSACTION: [u8; 12] = [
        0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86, 0xfa, 0x87, 0xdf, 0xae,
    ];

    fn request(attributes: &[u8]) -> Vec<u8> {
        let head = [&COOKIE.to_be_bytes()[..], &TRANSACTION].concat();
        message(BINDING_REQUEST, &head, attributes)
    }

    #[test]
    fn the_mapped_addresses_are_those_of_rfc_5769() {
        // §2.2 and §2.3: the XOR-MAPPED-ADDRESS of the sample responses.
        let v4 = answer(&request(&[]), "192.0.2.1:32853".parse().unwrap()).unwrap();
        assert_eq!(v4[..4], [0x01, 0x01, 0x00, 0x0c]);
        assert_eq!(v4[8..20], TRANSACTION);
        assert_eq!(
            v4[20..],
            [
                0x00, 0x20, 0x00, 0x08, 0x00, 0x01, 0xa1, 0x47, 0xe1, 0x12, 0xa6, 0x43
            ]
        );
        let from = "[2001:db8:1234:5678:11:2233:4455:6677]:32853";
        let v6 = answer(&request(&[]), from.parse().unwrap()).unwrap();
        assert_eq!(
            v6[20..],
            [
                0x00, 0x20, 0x00, 0x14, 0x00, 0x02, 0xa1, 0x47, 0x01, 0x13, 0xa9, 0xfa, 0xa5, 0xd3,
                0xf1, 0x79, 0xbc, 0x25, 0xf4, 0xb5, 0xbe, 0xd2, 0xb9, 0xd9
            ]
        );
    }

    #[test]
    fn a_mapped_v4_address_is_told_as_v4() {
        let v6 = answer(&request(&[]), "[::ffff:192.0.2.1]:32853".parse().unwrap());
        let v4 = answer(&request(&[]), "192.0.2.1:32853".parse().unwrap());
        assert_eq!(v6, v4);
    }

    #[test]
    fn optional_attributes_are_passed_over_and_required_ones_are_named() {
        let from = "192.0.2.1:32853".parse().unwrap();
        let software = attribute(0x8022, b"test vector");
        let success = answer(&request(&software), from).unwrap();
        assert_eq!(success[..2], BINDING_SUCCESS.to_be_bytes());
        let change = attribute(0x0003, &[0, 0, 0, 6]);
        let error = answer(&request(&change), from).unwrap();
        assert_eq!(error[..2], BINDING_ERROR.to_be_bytes());
        assert_eq!(
            error[20..],
            [0, 9, 0, 4, 0, 0, 4, 20, 0, 10, 0, 2, 0, 3, 0, 0]
        );
    }

    #[test]
    fn what_is_no_whole_binding_request_has_no_answer() {
        let from = "192.0.2.1:1".parse().unwrap();
        let good = request(&attribute(0x8022, b"x"));
        assert!(answer(&good, from).is_some());
        for length in 0..good.len() {
            assert_eq!(answer(&good[..length], from), None, "{length} bytes");
        }
        for (at, byte) in [(0, 1), (1, 0x11), (4, 0), (3, 0xff), (23, 0xff)] {
            let mut bad = good.clone();
            bad[at] = byte;
            assert_eq!(answer(&bad, from), None, "byte {at} = {byte}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_answered_shortly_or_not_at_all(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
            prop_assert_eq!(answer(&bytes, "192.0.2.1:1".parse().unwrap()), None, "random bytes have no cookie");
        }

        #[test]
        fn any_attributes_are_answered_shortly_or_not_at_all(bytes in prop::collection::vec(any::<u8>(), 0..480)) {
            if let Some(answer) = answer(&request(&bytes), "[2001:db8::1]:1".parse().unwrap()) {
                prop_assert!(answer.len() <= 64 && answer.len().is_multiple_of(4));
                prop_assert_eq!(usize::from(u16::from_be_bytes([answer[2], answer[3]])), answer.len() - HEADER_BYTES);
            }
        }
    }

    #[tokio::test]
    async fn the_socket_answers_and_survives_a_client_that_left() {
        let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = server.local_addr().unwrap();
        let serving = tokio::spawn(respond(server));
        let gone = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        gone.send_to(&request(&[]), address).await.unwrap();
        drop(gone);
        let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        client.send_to(&[0; 700], address).await.unwrap();
        client.send_to(&request(&[]), address).await.unwrap();
        let mut reply = [0; 100];
        let (length, _) = client.recv_from(&mut reply).await.unwrap();
        let expected = answer(&request(&[]), client.local_addr().unwrap());
        assert_eq!(Some(reply[..length].to_vec()), expected);
        serving.abort();
    }
}
