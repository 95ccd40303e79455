//! `cargo +nightly fuzz run journal`; the body is `meshlive_gateway::fuzz::store::journal`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| meshlive_gateway::fuzz::store::journal(bytes));
