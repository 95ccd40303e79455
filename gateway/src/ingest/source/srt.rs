//! The SRT listener: FFmpeg's, for one publisher at a time.
//!
//! SRT's handshake carries no stream key that FFmpeg's listener hands out, so one port is one stream, and the publisher
//! proves that it knows the publish secret by using it as the passphrase: the connection is encrypted with it.

use std::{
    io,
    net::{SocketAddr, UdpSocket},
};

use crate::ingest::{Error, Source, Spec};

/// Lengths that SRT takes for a passphrase, in bytes.
const PASSPHRASE: std::ops::RangeInclusive<usize> = 10..=79;

/// A source that listens at `address` for the stream `alias`; port 0 is replaced by a free one. The publisher uses
/// `srt://HOST:PORT?passphrase=SECRET`, with MPEG-TS in it.
///
/// # Errors
/// An address that is taken, a secret that SRT does not take.
pub fn listener(
    address: SocketAddr,
    alias: &str,
    secret: &str,
) -> Result<(Spec, SocketAddr), Error> {
    let plain = secret
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    if !plain || !PASSPHRASE.contains(&secret.len()) {
        let message = format!(
            "the publish secret of {alias} is not 10 to 79 letters and digits, which SRT needs: rotate it with meshlive-gateway keys rotate {alias}"
        );
        return Err(Error::Refused(message));
    }
    // Taken for a moment: FFmpeg binds for itself, and would tell nobody which port it got.
    let taken = |error: io::Error| {
        Error::Refused(format!(
            "listen.srt = {address} cannot be used: {error}; choose another port"
        ))
    };
    let address = UdpSocket::bind(address)
        .and_then(|socket| socket.local_addr())
        .map_err(taken)?;
    let url =
        format!("srt://{address}?mode=listener&passphrase={secret}&pbkeylen=16&latency=120000");
    let source = Source::Url(url);
    Ok((
        Spec {
            source,
            alias: alias.into(),
            title: None,
            looped: false,
        },
        address,
    ))
}
