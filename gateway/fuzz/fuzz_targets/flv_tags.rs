//! `cargo +nightly fuzz run flv_tags`; the body is `meshlive_gateway::fuzz::rtmp::flv_tags`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| meshlive_gateway::fuzz::rtmp::flv_tags(bytes));
