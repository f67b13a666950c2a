//! Records and handshake messages of TLCP, and the opening of CBC records against a plain one.

#![no_main]

use libfuzzer_sys::fuzz_target;
use palanquin_tlcp::fuzzing;

fuzz_target!(|data: &[u8]| {
    fuzzing::read_everything(data);
    fuzzing::compare_cbc(data);
    // A good record, and the same with one bit changed.
    if let Some(([last, at, bit], plain)) = data.split_first_chunk() {
        let mut record = fuzzing::pad_cbc(plain, *last);
        fuzzing::compare_cbc(&record);
        let at = usize::from(*at) % record.len();
        let place = record.len() - 1 - at;
        record[place] ^= 1 << (bit % 8);
        fuzzing::compare_cbc(&record);
    }
});
