//! `cargo +nightly fuzz run aac`; the body is `meshlive_gateway::fuzz::ingest::aac`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| meshlive_gateway::fuzz::ingest::aac(bytes));
