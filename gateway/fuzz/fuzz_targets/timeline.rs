//! `cargo +nightly fuzz run timeline`; the body is `meshlive_gateway::fuzz::ingest::timeline`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| meshlive_gateway::fuzz::ingest::timeline(bytes));
