//! `cargo +nightly fuzz run manifest`; the body is `meshlive_protocol::fuzz::manifest`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| meshlive_protocol::fuzz::manifest(bytes));
