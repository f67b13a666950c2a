//! Records and handshake messages of TLCP, and the opening of CBC records against a plain one.

#![no_main]

use libfuzzer_sys::fuzz_target;
use palanquin_tlcp::doors;

fuzz_target!(|data: &[u8]| {
    doors::read_everything(data);
    doors::compare_cbc(data);
    // A good record, and the same with one bit changed.
    if let Some(([last, at, bit], plain)) = data.split_first_chunk() {
        let mut record = doors::pad_cbc(plain, *last);
        doors::compare_cbc(&record);
        let at = usize::from(*at) % record.len();
        let place = record.len() - 1 - at;
        record[place] ^= 1 << (bit % 8);
        doors::compare_cbc(&record);
    }
});
