//! Protobuf on the wire, as far as spans need it: fields go straight into a buffer.
//!
//! A span has fifty attributes. As messages of generated types each of them is two texts of its own, which are
//! measured, written and freed; that cost more than everything else a recorded request does.

/// The type of a field's value, in the lowest bits of its tag.
const VARINT: u64 = 0;
const FIXED64: u64 = 1;
const LENGTH: u64 = 2;
const FIXED32: u64 = 5;

/// A message that is being written at the end of a buffer. Fields with their default value are left out, as
/// proto3 has it.
#[derive(Debug)]
pub(super) struct Message<'a>(&'a mut Vec<u8>);

impl<'a> Message<'a> {
    /// Begins a message at the end of `out`.
    pub(super) fn new(out: &'a mut Vec<u8>) -> Self {
        Self(out)
    }

    /// Appends `string` or `bytes`.
    pub(super) fn bytes(&mut self, field: u64, value: &[u8]) {
        if !value.is_empty() {
            self.length(field, value.len());
            self.0.extend_from_slice(value);
        }
    }

    /// Appends an enumeration or an unsigned number.
    pub(super) fn number(&mut self, field: u64, value: u64) {
        if value != 0 {
            self.tag(field, VARINT);
            self.varint(value);
        }
    }

    /// Appends `fixed32`.
    pub(super) fn fixed32(&mut self, field: u64, value: u32) {
        if value != 0 {
            self.tag(field, FIXED32);
            self.0.extend_from_slice(&value.to_le_bytes());
        }
    }

    /// Appends `fixed64`.
    pub(super) fn fixed64(&mut self, field: u64, value: u64) {
        if value != 0 {
            self.tag(field, FIXED64);
            self.0.extend_from_slice(&value.to_le_bytes());
        }
    }

    /// Appends a message, which `write` fills. Its length stands before it and is known after it: meant for messages
    /// that are cheap to move by a byte or two.
    pub(super) fn message(&mut self, field: u64, write: impl FnOnce(&mut Message<'_>)) {
        self.tag(field, LENGTH);
        let start = self.0.len() + 1;
        self.0.push(0);
        write(&mut Message(self.0));
        let length = self.0.len() - start;
        self.0.splice(start - 1..start, varint(length as u64, &mut [0; 10]).iter().copied());
    }

    /// Appends the tag and the length of a message of `length` bytes, which the caller appends himself.
    pub(super) fn length(&mut self, field: u64, length: usize) {
        self.tag(field, LENGTH);
        self.varint(length as u64);
    }

    /// Appends a `common.v1.KeyValue` whose value is a text.
    pub(super) fn text_attribute(&mut self, field: u64, name: &str, value: &str) {
        let any = 1 + varint_length(value.len()) + value.len();
        self.name_of_attribute(field, name, any);
        // AnyValue.string_value: written even if it is empty, or there would be no value at all.
        self.length(1, value.len());
        self.0.extend_from_slice(value.as_bytes());
    }

    /// Appends a `common.v1.KeyValue` whose value is a number.
    pub(super) fn number_attribute(&mut self, field: u64, name: &str, value: u64) {
        let mut space = [0; 10];
        let value = varint(value, &mut space);
        self.name_of_attribute(field, name, 1 + value.len());
        // AnyValue.int_value
        self.tag(3, VARINT);
        self.0.extend_from_slice(value);
    }

    /// The field `key`, and the head of the field `value`, which has `any` bytes.
    fn name_of_attribute(&mut self, field: u64, name: &str, any: usize) {
        let key = 1 + varint_length(name.len()) + name.len();
        self.length(field, key + 1 + varint_length(any) + any);
        self.length(1, name.len());
        self.0.extend_from_slice(name.as_bytes());
        self.length(2, any);
    }

    fn tag(&mut self, field: u64, kind: u64) {
        self.varint(field << 3 | kind);
    }

    fn varint(&mut self, number: u64) {
        self.0.extend_from_slice(varint(number, &mut [0; 10]));
    }
}

/// A number in groups of seven bits, the lowest first.
fn varint(mut number: u64, space: &mut [u8; 10]) -> &[u8] {
    let mut length = 0;
    while number >= 0x80 {
        space[length] = u8::try_from(number & 0x7f).unwrap_or(0) | 0x80;
        number >>= 7;
        length += 1;
    }
    space[length] = u8::try_from(number).unwrap_or(0);
    &space[..=length]
}

/// How many bytes a number takes.
fn varint_length(number: usize) -> usize {
    (number.max(1).ilog2() / 7 + 1) as usize
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::common::v1::AnyValue;
    use opentelemetry_proto::tonic::common::v1::KeyValue;
    use opentelemetry_proto::tonic::common::v1::any_value::Value;
    use opentelemetry_proto::tonic::trace::v1::Span;
    use prost::Message as _;

    use super::*;

    fn attribute(name: &str, value: Value) -> KeyValue {
        let value = Some(AnyValue { value: Some(value) });
        KeyValue { key: name.to_owned(), value, ..KeyValue::default() }
    }

    #[test]
    fn what_is_written_is_what_generated_code_writes() {
        let long = "x".repeat(20_000);
        let mut out = Vec::new();
        let mut span = Message::new(&mut out);
        span.bytes(1, &[7; 16]);
        span.bytes(3, b"");
        span.number(6, 3);
        span.fixed64(7, 1_795_275_872_000_000_000);
        for value in ["", "v", &long[..120], &long[..127], &long[..128], &long] {
            span.text_attribute(9, "key", value);
        }
        for number in [0, 1, 127, 128, u64::from(u16::MAX), u64::MAX / 2] {
            span.number_attribute(9, "number", number);
        }
        span.message(15, |status| {
            status.bytes(2, long.as_bytes());
            status.number(3, 2);
        });
        span.fixed32(16, 0x101);

        let decoded = Span::decode(&out[..]).unwrap();
        assert_eq!(decoded.encode_to_vec(), out);
        assert_eq!(decoded.trace_id, [7; 16]);
        assert_eq!(decoded.attributes[0], attribute("key", Value::StringValue(String::new())));
        assert_eq!(decoded.attributes[5], attribute("key", Value::StringValue(long)));
        let largest = Value::IntValue(i64::MAX);
        assert_eq!(decoded.attributes[11], attribute("number", largest));
        assert_eq!(decoded.status.unwrap().code, 2);
        assert_eq!(decoded.flags, 0x101);
    }
}
