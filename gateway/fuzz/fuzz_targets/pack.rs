//! `cargo +nightly fuzz run pack`; the body is `meshlive_gateway::fuzz::store::pack`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| meshlive_gateway::fuzz::store::pack(bytes));
