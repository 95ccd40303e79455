//! `cargo +nightly fuzz run http_file`; the body is `meshlive_gateway::fuzz::http::file`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| meshlive_gateway::fuzz::http::file(bytes));
