//! `cargo +nightly fuzz run input_spec`; the body is `meshlive_gateway::fuzz::ingest::spec`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| meshlive_gateway::fuzz::ingest::spec(bytes));
