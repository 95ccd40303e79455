//! `cargo +nightly fuzz run name`; the body is `meshlive_protocol::fuzz::name`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| meshlive_protocol::fuzz::name(bytes));
