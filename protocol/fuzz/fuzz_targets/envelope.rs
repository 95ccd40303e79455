//! `cargo +nightly fuzz run envelope`; the body is `meshlive_protocol::fuzz::envelope`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| meshlive_protocol::fuzz::envelope(bytes));
