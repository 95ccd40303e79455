//! `cargo +nightly fuzz run announcement`; the body is `meshlive_protocol::fuzz::announcement`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| meshlive_protocol::fuzz::announcement(bytes));
