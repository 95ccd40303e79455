//! `cargo +nightly fuzz run frames`; the body is `meshlive_wasm_peer::webrtc::fuzz::frames`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| meshlive_wasm_peer::webrtc::fuzz::frames(bytes));
