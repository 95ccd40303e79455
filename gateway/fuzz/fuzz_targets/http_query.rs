//! `cargo +nightly fuzz run http_query`; the body is `meshlive_gateway::fuzz::http::query`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| meshlive_gateway::fuzz::http::query(bytes));
