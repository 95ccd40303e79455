//! `cargo +nightly fuzz run message`; the body is `meshlive_protocol::fuzz::message`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| meshlive_protocol::fuzz::message(bytes));
