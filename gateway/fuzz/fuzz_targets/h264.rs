//! `cargo +nightly fuzz run h264`; the body is `meshlive_gateway::fuzz::ingest::h264`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| meshlive_gateway::fuzz::ingest::h264(bytes));
