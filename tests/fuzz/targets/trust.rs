//! Fuzz target `trust`; what it does stands in `bodies`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| talkbridge_fuzz::run("trust", data));
