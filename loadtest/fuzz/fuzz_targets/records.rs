#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| amphi_loadtest_decoders::records(bytes));
