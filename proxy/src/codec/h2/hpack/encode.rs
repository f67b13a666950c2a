//! From fields to header blocks.
//!
//! A field enters the table when it comes for the second time: what repeats (most fields of most
//! connections) becomes a reference, what does not (ids, dates, paths) costs the table nothing. Strings are
//! written as they are, without Huffman code: it would save a quarter of the bytes of fields that are sent
//! once, for more time than it takes to send them.

use std::collections::HashMap;
use std::collections::VecDeque;
use std::hash::BuildHasher;
use std::hash::Hash;
use std::hash::Hasher;

use foldhash::fast::FixedState;
use http::HeaderName;
use http::HeaderValue;

use super::OVERHEAD;
use super::Pseudo;
use super::TABLE_SIZE;
use super::table;

/// The encoding side of a connection.
#[derive(Debug)]
pub(in super::super) struct Encoder {
    /// The newest first.
    entries: VecDeque<Entry>,
    /// By hash of name and value: the entry's number, counted from the first one ever.
    places: HashMap<u64, u64, FixedState>,
    /// How many entries there have been.
    inserted: u64,
    size: usize,
    max_size: usize,
    /// The peer's limit changed: it is told before the next field.
    announced: bool,
    /// Hashes of fields that came lately, by their low bits.
    seen: Box<[u64; SEEN]>,
    hasher: FixedState,
}

#[derive(Debug)]
struct Entry {
    hash: u64,
    name: EntryName,
    value: HeaderValue,
    size: usize,
}

#[derive(Debug, PartialEq, Eq)]
enum EntryName {
    Pseudo(&'static str),
    Regular(HeaderName),
}

/// How many hashes are remembered.
const SEEN: usize = 64;

impl Default for Encoder {
    fn default() -> Self {
        Self {
            entries: VecDeque::new(),
            places: HashMap::default(),
            inserted: 0,
            size: 0,
            max_size: TABLE_SIZE,
            announced: true,
            seen: Box::new([0; SEEN]),
            hasher: FixedState::with_seed(0x5eed),
        }
    }
}

impl Encoder {
    /// The peer's SETTINGS_HEADER_TABLE_SIZE. We use 4 KiB at most.
    pub(in super::super) fn set_max_size(&mut self, size: usize) {
        let size = size.min(TABLE_SIZE);
        if size != self.max_size {
            self.max_size = size;
            self.announced = false;
            self.evict(0);
        }
    }

    /// Must come first in a block.
    pub(in super::super) fn begin(&mut self, out: &mut Vec<u8>) {
        if !self.announced {
            self.announced = true;
            integer(out, 0x20, 5, self.max_size);
        }
    }

    /// A pseudo-header field.
    pub(in super::super) fn pseudo(&mut self, out: &mut Vec<u8>, name: Pseudo, value: &[u8]) {
        if let Some(index) = table::index_of_pair(name, value) {
            return integer(out, 0x80, 7, index);
        }
        let index = table::index_of_pseudo(name);
        let text = name.as_str();
        // Paths differ from request to request.
        if name == Pseudo::Path {
            return literal(out, index, text, value);
        }
        let hash = self.hash(text, value);
        if let Some(place) = self.find(hash, |entry| {
            entry.name == EntryName::Pseudo(text) && entry.value.as_bytes() == value
        }) {
            return integer(out, 0x80, 7, place);
        }
        match HeaderValue::from_bytes(value) {
            Ok(value) if self.is_second(hash) => {
                self.insert(out, hash, EntryName::Pseudo(text), index, text, value);
            }
            _ => literal(out, index, text, value),
        }
    }

    /// The fields of a header section. Hop-by-hop fields must be gone.
    pub(in super::super) fn fields<'h>(
        &mut self,
        out: &mut Vec<u8>,
        fields: impl Iterator<Item = (&'h HeaderName, &'h HeaderValue)>,
    ) {
        for (name, value) in fields {
            self.field(out, name, value);
        }
    }

    fn field(&mut self, out: &mut Vec<u8>, name: &HeaderName, value: &HeaderValue) {
        let index = table::index_of(name);
        if value.is_sensitive() {
            return never_indexed(out, index, name.as_str(), value.as_bytes());
        }
        let hash = self.hash(name.as_str(), value.as_bytes());
        if let Some(place) = self.find(hash, |entry| {
            entry.value == *value
                && matches!(&entry.name, EntryName::Regular(known) if known == name)
        }) {
            return integer(out, 0x80, 7, place);
        }
        if self.is_second(hash) {
            let known = EntryName::Regular(name.clone());
            self.insert(out, hash, known, index, name.as_str(), value.clone());
        } else {
            literal(out, index, name.as_str(), value.as_bytes());
        }
    }

    fn hash(&self, name: &str, value: &[u8]) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        name.hash(&mut hasher);
        value.hash(&mut hasher);
        hasher.finish()
    }

    /// The index of an entry that is what `is` says.
    fn find(&self, hash: u64, is: impl FnOnce(&Entry) -> bool) -> Option<usize> {
        let number = self.places.get(&hash)?;
        let place = usize::try_from(self.inserted - 1 - number).ok()?;
        self.entries.get(place).filter(|entry| is(entry))?;
        Some(table::STATIC + 1 + place)
    }

    /// Whether the field came before, not long ago. A place that others took costs a reference, no more.
    fn is_second(&mut self, hash: u64) -> bool {
        let [low, ..] = hash.to_le_bytes();
        let place = &mut self.seen[usize::from(low) % SEEN];
        let second = *place == hash;
        *place = hash;
        second
    }

    fn insert(
        &mut self,
        out: &mut Vec<u8>,
        hash: u64,
        name: EntryName,
        index: Option<usize>,
        text: &str,
        value: HeaderValue,
    ) {
        let size = text.len() + value.len() + OVERHEAD;
        // A big field would drive everything else out.
        if size > self.max_size / 2 {
            return literal(out, index, text, value.as_bytes());
        }
        string_field(out, 0x40, 6, index, text, value.as_bytes());
        self.evict(size);
        self.size += size;
        self.places.insert(hash, self.inserted);
        self.inserted += 1;
        self.entries.push_front(Entry { hash, name, value, size });
    }

    fn evict(&mut self, wanted: usize) {
        while self.size + wanted > self.max_size {
            let Some(entry) = self.entries.pop_back() else { return };
            self.size -= entry.size;
            let number = self.inserted - 1 - self.entries.len() as u64;
            // A later entry of the same hash stays findable.
            if self.places.get(&entry.hash) == Some(&number) {
                self.places.remove(&entry.hash);
            }
        }
    }
}

fn literal(out: &mut Vec<u8>, index: Option<usize>, name: &str, value: &[u8]) {
    string_field(out, 0x00, 4, index, name, value);
}

/// A field that no proxy on the way may put into a table either (section 6.2.3).
fn never_indexed(out: &mut Vec<u8>, index: Option<usize>, name: &str, value: &[u8]) {
    string_field(out, 0x10, 4, index, name, value);
}

fn string_field(
    out: &mut Vec<u8>,
    pattern: u8,
    prefix: u32,
    index: Option<usize>,
    name: &str,
    value: &[u8],
) {
    integer(out, pattern, prefix, index.unwrap_or(0));
    if index.is_none() {
        string(out, name.as_bytes());
    }
    string(out, value);
}

fn string(out: &mut Vec<u8>, text: &[u8]) {
    integer(out, 0, 7, text.len());
    out.extend_from_slice(text);
}

/// An integer with a prefix of so many bits (section 5.1).
fn integer(out: &mut Vec<u8>, pattern: u8, prefix: u32, value: usize) {
    let mask = u8::MAX >> (8 - prefix);
    match u8::try_from(value) {
        Ok(value) if value < mask => return out.push(pattern | value),
        _ => out.push(pattern | mask),
    }
    let mut rest = value - usize::from(mask);
    loop {
        let [low, ..] = rest.to_le_bytes();
        rest >>= 7;
        if rest == 0 {
            return out.push(low);
        }
        out.push(low | 0x80);
    }
}
