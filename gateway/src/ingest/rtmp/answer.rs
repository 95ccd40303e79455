//! What the gateway says: commands and protocol messages, appended to what is to be sent.

use super::{
    amf0::{self, Value},
    chunk::{self, kind},
};

/// The chunk stream of the protocol itself (§5.4).
const CONTROL: u8 = 2;
/// The chunk stream of our answers.
const COMMANDS: u8 = 3;
/// A message of the protocol itself.
pub(super) fn control(send: &mut Vec<u8>, kind: u8, payload: &[u8]) {
    chunk::write(send, CONTROL, kind, 0, payload);
}

/// Answers the command of this transaction.
pub(super) fn answer(
    send: &mut Vec<u8>,
    name: &str,
    transaction: f64,
    properties: Value,
    information: Value,
) {
    let values = [
        Value::text(name),
        Value::Number(transaction),
        properties,
        information,
    ];
    chunk::write(send, COMMANDS, kind::COMMAND, 0, &amf0::write(&values));
}

/// An onStatus: what OBS and ffmpeg show when `level` is "error".
pub(super) fn status(send: &mut Vec<u8>, stream: u32, level: &str, code: &str, description: &str) {
    let information = information(level, code, description);
    let values = [
        Value::text("onStatus"),
        Value::Number(0.0),
        Value::Null,
        information,
    ];
    chunk::write(send, COMMANDS, kind::COMMAND, stream, &amf0::write(&values));
}

/// The information object of an answer.
pub(super) fn information(level: &str, code: &str, description: &str) -> Value {
    Value::object([
        ("level", Value::text(level)),
        ("code", Value::text(code)),
        ("description", Value::text(description)),
    ])
}

/// What follows a `connect` that is accepted; `window` in bytes between acknowledgements.
pub(super) fn connected(send: &mut Vec<u8>, transaction: f64, window: u32) {
    control(send, kind::WINDOW_SIZE, &window.to_be_bytes());
    let bandwidth = [&window.to_be_bytes()[..], &[2]].concat(); // 2: dynamic (§5.4.5)
    control(send, kind::PEER_BANDWIDTH, &bandwidth);
    let server = Value::object([
        ("fmsVer", Value::text("FMS/3,0,1,123")), // publishers read features into it; this promises none
        ("capabilities", Value::Number(31.0)),
    ]);
    let success = information("status", "NetConnection.Connect.Success", "connected");
    answer(send, "_result", transaction, server, success);
}
