//! From header blocks to fields.

use std::collections::VecDeque;

use bytes::Bytes;
use http::HeaderName;
use http::HeaderValue;

use super::OVERHEAD;
use super::Pseudo;
use super::TABLE_SIZE;
use super::huffman;
use super::table;

/// A field. A clone costs no allocation.
#[derive(Debug, Clone)]
pub(in super::super) struct Field {
    pub(in super::super) name: FieldName,
    pub(in super::super) value: HeaderValue,
}

/// The name of a field.
#[derive(Debug, Clone)]
pub(in super::super) enum FieldName {
    Pseudo(Pseudo),
    Regular(HeaderName),
}

impl Field {
    /// What it counts against limits (RFC 7541 section 4.1), in bytes.
    pub(in super::super) fn size(&self) -> usize {
        let name = match &self.name {
            FieldName::Pseudo(pseudo) => pseudo.as_str().len(),
            FieldName::Regular(name) => name.as_str().len(),
        };
        name + self.value.len() + OVERHEAD
    }
}

/// A block that cannot be decoded: the connection's state is lost (COMPRESSION_ERROR).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct Malformed(pub(in super::super) &'static str);

/// The decoding side of a connection.
#[derive(Debug)]
pub(in super::super) struct Decoder {
    /// The newest first. `None`: a field that HTTP does not allow; whoever refers to it is malformed too.
    entries: VecDeque<(Option<Field>, usize)>,
    size: usize,
    max_size: usize,
    scratch: Vec<u8>,
}

impl Default for Decoder {
    fn default() -> Self {
        Self { entries: VecDeque::new(), size: 0, max_size: TABLE_SIZE, scratch: Vec::new() }
    }
}

impl Decoder {
    /// Decodes a whole block. `each` gets every field in order, `None` for one that HTTP does not allow
    /// (an upper-case name, a line break), with its size as [`Field::size`] counts it.
    pub(in super::super) fn decode(
        &mut self,
        block: &[u8],
        mut each: impl FnMut(Option<&Field>, usize),
    ) -> Result<(), Malformed> {
        let mut input = Input(block);
        let mut sizes_allowed = true;
        while let Some(first) = input.peek() {
            if first & 0x80 != 0 {
                let index = input.integer(7)?;
                let (field, size) = self.get(index)?;
                each(field, size);
            } else if first & 0x40 != 0 {
                let (field, size) = self.literal(&mut input, 6)?;
                each(field.as_ref(), size);
                self.insert(field, size);
            } else if first & 0x20 != 0 {
                let size = input.integer(5)?;
                if !sizes_allowed || size > TABLE_SIZE {
                    return Err(Malformed("a table size that was not agreed on"));
                }
                self.max_size = size;
                self.evict(0);
                continue;
            } else {
                let (field, size) = self.literal(&mut input, 4)?;
                each(field.as_ref(), size);
            }
            sizes_allowed = false;
        }
        Ok(())
    }

    fn get(&self, index: usize) -> Result<(Option<&Field>, usize), Malformed> {
        if let Some(field) = table::entry(index) {
            return Ok((Some(field), field.size()));
        }
        let place = index.checked_sub(table::STATIC + 1).ok_or(Malformed("index 0"))?;
        let (field, size) =
            self.entries.get(place).ok_or(Malformed("an index behind the table"))?;
        Ok((field.as_ref(), *size))
    }

    fn literal(
        &mut self,
        input: &mut Input<'_>,
        prefix: u32,
    ) -> Result<(Option<Field>, usize), Malformed> {
        let index = input.integer(prefix)?;
        let (name, name_size) = if index == 0 {
            let text = input.string(&mut self.scratch)?;
            (parse_name(text), text.len() + OVERHEAD)
        } else {
            let (field, size) = self.get(index)?;
            let value = field.map_or(0, |field| field.value.len());
            (field.map(|field| field.name.clone()), size.saturating_sub(value))
        };
        let text = input.string(&mut self.scratch)?;
        let size = name_size + text.len();
        let value = if text.is_empty() {
            Some(HeaderValue::from_static(""))
        } else {
            HeaderValue::from_maybe_shared(Bytes::copy_from_slice(text)).ok()
        };
        let field = name.zip(value).map(|(name, value)| Field { name, value });
        Ok((field, size))
    }

    fn insert(&mut self, field: Option<Field>, size: usize) {
        self.evict(size);
        if size <= self.max_size {
            self.size += size;
            self.entries.push_front((field, size));
        }
    }

    /// Makes room for `wanted` bytes.
    fn evict(&mut self, wanted: usize) {
        while self.size + wanted > self.max_size {
            let Some((_, size)) = self.entries.pop_back() else { return };
            self.size -= size;
        }
    }
}

fn parse_name(text: &[u8]) -> Option<FieldName> {
    if text.first() == Some(&b':') {
        return Pseudo::parse(text).map(FieldName::Pseudo);
    }
    HeaderName::from_lowercase(text).ok().map(FieldName::Regular)
}

/// What is left of a block.
struct Input<'b>(&'b [u8]);

impl<'b> Input<'b> {
    fn peek(&self) -> Option<u8> {
        self.0.first().copied()
    }

    fn byte(&mut self) -> Result<u8, Malformed> {
        let (first, rest) = self.0.split_first().ok_or(Malformed("a block that ends early"))?;
        self.0 = rest;
        Ok(*first)
    }

    /// An integer with a prefix of so many bits (section 5.1).
    fn integer(&mut self, prefix: u32) -> Result<usize, Malformed> {
        let mask = (1 << prefix) - 1;
        let first = usize::from(self.byte()? & mask);
        if first < usize::from(mask) {
            return Ok(first);
        }
        let mut value = first;
        for shift in [0, 7, 14, 21] {
            let byte = self.byte()?;
            value += usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Malformed("an integer that is too long"))
    }

    /// A string (section 5.2); one in Huffman code is decoded into `scratch`.
    fn string<'t>(&mut self, scratch: &'t mut Vec<u8>) -> Result<&'t [u8], Malformed>
    where
        'b: 't,
    {
        let huffman = self.peek().is_some_and(|first| first & 0x80 != 0);
        let length = self.integer(7)?;
        let (text, rest) =
            self.0.split_at_checked(length).ok_or(Malformed("a string behind the block"))?;
        self.0 = rest;
        if !huffman {
            return Ok(text);
        }
        scratch.clear();
        huffman::decode(text, scratch).map_err(|_| Malformed("no Huffman code"))?;
        Ok(scratch)
    }
}
