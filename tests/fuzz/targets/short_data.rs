//! Fuzz target `short_data`; what it does stands in `bodies`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| talkbridge_fuzz::run("short_data", data));
