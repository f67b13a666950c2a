//! The protobuf wire format, by hand: what reading and writing messages without their types needs.

/// A field's payload as it is on the wire.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Payload<'a> {
    Varint(u64),
    Fixed64(u64),
    Bytes(&'a [u8]),
    Fixed32(u32),
}

/// The bytes are not a protobuf message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// Iterates over the fields of an encoded message; stops after the first fault.
#[derive(Clone, Debug)]
pub(crate) struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    pub(crate) fn new(message: &'a [u8]) -> Self {
        Self(message)
    }

    fn next_field(&mut self) -> Option<(u32, Payload<'a>)> {
        let tag = self.varint()?;
        let number = u32::try_from(tag >> 3).ok().filter(|number| *number != 0)?;
        let payload = match tag & 7 {
            0 => Payload::Varint(self.varint()?),
            1 => Payload::Fixed64(u64::from_le_bytes(self.take(8)?.try_into().ok()?)),
            2 => {
                let length = usize::try_from(self.varint()?).ok()?;
                Payload::Bytes(self.take(length)?)
            }
            5 => Payload::Fixed32(u32::from_le_bytes(self.take(4)?.try_into().ok()?)),
            _ => return None,
        };
        Some((number, payload))
    }

    fn varint(&mut self) -> Option<u64> {
        let (value, rest) = take_varint(self.0)?;
        self.0 = rest;
        Some(value)
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u32, Payload<'a>), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.next_field();
        if field.is_none() {
            self.0 = &[];
        }
        Some(field.ok_or(Malformed))
    }
}

/// Splits a varint off the front.
pub(crate) fn take_varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0u64;
    for (index, byte) in bytes.iter().enumerate().take(10) {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Some((value, &bytes[index + 1..]));
        }
    }
    None
}

/// The last payload of a length-delimited field, as protobuf reads a repeated scalar.
pub(crate) fn last_bytes(message: &[u8], wanted: u32) -> Option<&[u8]> {
    let fields = Fields::new(message).flatten();
    fields
        .filter_map(|(number, payload)| match payload {
            Payload::Bytes(bytes) if number == wanted => Some(bytes),
            _ => None,
        })
        .last()
}

/// Appends a varint field.
pub(crate) fn put_varint_field(out: &mut Vec<u8>, number: u32, value: u64) {
    put_varint(out, u64::from(number) << 3);
    put_varint(out, value);
}

/// Appends a length-delimited field.
pub(crate) fn put_bytes(out: &mut Vec<u8>, number: u32, bytes: &[u8]) {
    put_varint(out, u64::from(number) << 3 | 2);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Appends a 64-bit field.
pub(crate) fn put_fixed64(out: &mut Vec<u8>, number: u32, value: u64) {
    put_varint(out, u64::from(number) << 3 | 1);
    out.extend_from_slice(&value.to_le_bytes());
}

/// Appends a 32-bit field.
pub(crate) fn put_fixed32(out: &mut Vec<u8>, number: u32, value: u32) {
    put_varint(out, u64::from(number) << 3 | 5);
    out.extend_from_slice(&value.to_le_bytes());
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    loop {
        let byte = value.to_le_bytes()[0];
        value >>= 7;
        if value == 0 {
            out.push(byte & 0x7f);
            return;
        }
        out.push(byte | 0x80);
    }
}

#[cfg(test)]
mod tests {
    use super::{
        Fields, Malformed, Payload, put_bytes, put_fixed32, put_fixed64, put_varint_field,
    };

    #[test]
    fn what_is_written_is_read_back() {
        let mut out = Vec::new();
        put_varint_field(&mut out, 1, u64::MAX);
        put_bytes(&mut out, 300, b"abc");
        put_fixed64(&mut out, 3, 7);
        put_fixed32(&mut out, 4, 8);
        let fields: Result<Vec<_>, _> = Fields::new(&out).collect();
        assert_eq!(
            fields.unwrap(),
            [
                (1, Payload::Varint(u64::MAX)),
                (300, Payload::Bytes(b"abc")),
                (3, Payload::Fixed64(7)),
                (4, Payload::Fixed32(8)),
            ]
        );
    }

    #[test]
    fn truncated_and_group_fields_are_malformed() {
        for bytes in [&b"\x0a\x05ab"[..], b"\x0b", b"\x08", b"\x00\x01", b"\x09\x01"] {
            assert_eq!(Fields::new(bytes).last(), Some(Err(Malformed)));
        }
    }
}
