//! Write buffers that a worker keeps for its connections: an idle one holds none.

use std::cell::RefCell;

thread_local! {
    static SPARE: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// A buffer to write into.
pub(super) fn take() -> Vec<u8> {
    SPARE.with_borrow_mut(Vec::pop).unwrap_or_default()
}

/// Takes back a buffer whose content is not needed.
pub(super) fn give_back(mut buffer: Vec<u8>) {
    buffer.clear();
    SPARE.with_borrow_mut(|spare| {
        if spare.len() < BUFFERS && (1..=CAPACITY).contains(&buffer.capacity()) {
            spare.push(buffer);
        }
    });
}

/// How many are kept, and the largest, in bytes.
const BUFFERS: usize = 64;
const CAPACITY: usize = 64 * 1024;
