//! `cargo +nightly fuzz run http_range`; the body is `meshlive_gateway::fuzz::http::range`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| meshlive_gateway::fuzz::http::range(bytes));
