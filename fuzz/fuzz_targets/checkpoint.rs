#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| carla_rl_fuzz::checkpoint(data));
