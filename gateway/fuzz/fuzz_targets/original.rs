//! `cargo +nightly fuzz run original`; the body is `meshlive_gateway::fuzz::ingest::original`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| meshlive_gateway::fuzz::ingest::original(bytes));
