//! Fuzz target `unit_config`; what it does stands in `bodies`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| talkbridge_fuzz::run("unit_config", data));
