//! The few lines of SDP that `/webrtc-direct` needs (libp2p/specs webrtc/webrtc-direct.md): both sides know the other's
//! description without having been told.

use std::net::{IpAddr, SocketAddr};

/// SHA-256 of a certificate.
pub type Fingerprint = [u8; 32];

/// The description a server would have answered with. It is its own controlled agent, passive in DTLS; `ufrag` is also
/// its password.
pub fn answer(server: SocketAddr, certificate: &Fingerprint, ufrag: &str) -> String {
    let (family, ip, port) = match server.ip() {
        IpAddr::V4(ip) => ("IP4", ip.to_string(), server.port()),
        IpAddr::V6(ip) => ("IP6", ip.to_string(), server.port()),
    };
    let certificate = colons(certificate);
    let lines = [
        "v=0".into(),
        format!("o=- 0 0 IN {family} {ip}"),
        "s=-".into(),
        "t=0 0".into(),
        "a=ice-lite".into(),
        format!("m=application {port} UDP/DTLS/SCTP webrtc-datachannel"),
        format!("c=IN {family} {ip}"),
        "a=mid:0".into(),
        "a=ice-options:ice2".into(),
        format!("a=ice-ufrag:{ufrag}"),
        format!("a=ice-pwd:{ufrag}"),
        format!("a=fingerprint:sha-256 {certificate}"),
        "a=setup:passive".into(),
        "a=sctp-port:5000".into(),
        "a=max-message-size:16384".into(),
        format!("a=candidate:1 1 UDP 1 {ip} {port} typ host"),
        "a=end-of-candidates".into(),
    ];
    lines.map(|line: String| line + "\r\n").concat()
}

/// `offer` with `ufrag` as user fragment and password: the server learns it from the first packet, and nothing else.
pub fn with_ufrag(offer: &str, ufrag: &str) -> String {
    let mut munged = String::with_capacity(offer.len() + 2 * ufrag.len());
    for line in offer.lines() {
        match line.split_once(':') {
            Some((name @ ("a=ice-ufrag" | "a=ice-pwd"), _)) => {
                munged += &format!("{name}:{ufrag}\r\n")
            }
            _ => munged += &format!("{line}\r\n"),
        }
    }
    munged
}

/// The fingerprint of the certificate of whoever wrote this description; `None` if it is not SHA-256.
pub fn fingerprint(description: &str) -> Option<Fingerprint> {
    let hex = description
        .lines()
        .find_map(|line| line.strip_prefix("a=fingerprint:sha-256 "))?;
    let mut bytes = [0; 32];
    let mut digits = hex.trim().split(':');
    for byte in &mut bytes {
        *byte = u8::from_str_radix(digits.next()?, 16).ok()?;
    }
    digits.next().is_none().then_some(bytes)
}

/// What both sides of the Noise handshake must agree on, so that it proves the DTLS certificates.
pub fn prologue(client: &Fingerprint, server: &Fingerprint) -> Vec<u8> {
    const MULTIHASH: &[u8] = &[0x12, 32]; // SHA-256, its length
    [
        b"libp2p-webrtc-noise:",
        MULTIHASH,
        client,
        MULTIHASH,
        server,
    ]
    .concat()
}

fn colons(fingerprint: &Fingerprint) -> String {
    fingerprint.map(|byte| format!("{byte:02X}")).join(":")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn print(hex: &str) -> Fingerprint {
        std::array::from_fn(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap())
    }

    /// The specification's test vector.
    #[test]
    fn the_prologue_of_the_specification() {
        let client = print("3e79af40d6059617a0d83b83a52ce73b0c1f37a72c6043ad2969e2351bdca870");
        let server = print("30fc9f469c207419dfdd0aab5f27a86c973c94e40548db9375cca2e915973b99");
        let hex: String = prologue(&client, &server)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert_eq!(
            hex,
            "6c69627032702d7765627274632d6e6f6973653a12203e79af40d6059617a0d83b83a52ce73b0c1f37a72c6043ad2969e2351bdca870122030fc9f469c207419dfdd0aab5f27a86c973c94e40548db9375cca2e915973b99"
        );
    }

    #[test]
    fn a_fingerprint_is_read_as_it_is_written() {
        let certificate = std::array::from_fn(|at| at as u8 * 7);
        let text = answer("192.0.2.1:4001".parse().unwrap(), &certificate, "u");
        assert_eq!(fingerprint(&text), Some(certificate));
        assert_eq!(fingerprint(&text.replace("sha-256", "sha-1")), None);
        assert_eq!(fingerprint(&text.replace("sha-256 00:", "sha-256 ")), None);
        assert_eq!(fingerprint(&text.replace("sha-256 ", "sha-256 AA:")), None);
        assert_eq!(fingerprint(""), None);
    }

    #[test]
    fn the_answer_names_the_server() {
        let text = answer(
            "[2001:db8::1]:9".parse().unwrap(),
            &[0; 32],
            "libp2p+webrtc+v1/x",
        );
        for line in [
            "c=IN IP6 2001:db8::1",
            "a=candidate:1 1 UDP 1 2001:db8::1 9 typ host",
            "a=ice-pwd:libp2p+webrtc+v1/x",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}");
        }
    }

    #[test]
    fn fragment_and_password_are_replaced_and_nothing_else() {
        let offer = "v=0\r\na=ice-ufrag:abcd\r\na=ice-pwd:efgh\r\na=mid:0\r\n";
        assert_eq!(
            with_ufrag(offer, "u"),
            "v=0\r\na=ice-ufrag:u\r\na=ice-pwd:u\r\na=mid:0\r\n"
        );
    }
}
