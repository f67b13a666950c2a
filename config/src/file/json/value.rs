//! Single values of protobuf JSON: scalars, packed lists, what stands for a secret.

use std::collections::BTreeMap;

use palanquin_proto::schema::{Field, Kind, Label};
use serde_json::{Map, Value};

use super::{MAX_DEPTH, has_own_json};
use crate::file::base64;
use crate::file::wire::{Fields, Malformed, Payload, take_varint};

/// What a hidden text becomes; bytes become its base64, so that the dump still parses.
const REDACTED: &str = "[redacted]";

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "protobuf keeps the low bits of a varint"
)]
pub(super) fn scalar(field: &'static Field, payload: Payload<'_>) -> Result<Value, Malformed> {
    Ok(match (field.kind(), payload) {
        (Kind::Bool, Payload::Varint(value)) => Value::Bool(value != 0),
        (Kind::Enum(_), Payload::Varint(value)) => {
            let number = value as i32;
            match field.enumeration().and_then(|kind| kind.name_of(number)) {
                Some(name) => Value::String(name.to_owned()),
                None => Value::from(number),
            }
        }
        (Kind::Int32, Payload::Varint(value)) => Value::from(value as i32),
        (Kind::Uint32, Payload::Varint(value)) => Value::from(value as u32),
        // JSON numbers are doubles to many readers, so 64 bits go as texts.
        (Kind::Int64, Payload::Varint(value)) => Value::String((value as i64).to_string()),
        (Kind::Uint64, Payload::Varint(value)) => Value::String(value.to_string()),
        (Kind::Sint32, Payload::Varint(value)) => Value::from(unzigzag(value) as i32),
        (Kind::Sint64, Payload::Varint(value)) => Value::String(unzigzag(value).to_string()),
        (Kind::Fixed32, Payload::Fixed32(value)) => Value::from(value),
        (Kind::Sfixed32, Payload::Fixed32(value)) => Value::from(value as i32),
        (Kind::Fixed64, Payload::Fixed64(value)) => Value::String(value.to_string()),
        (Kind::Sfixed64, Payload::Fixed64(value)) => Value::String((value as i64).to_string()),
        (Kind::Float, Payload::Fixed32(value)) => {
            // By way of its shortest text, or 0.1 would show as 0.10000000149011612.
            let text = f32::from_bits(value).to_string();
            float(text.parse().unwrap_or(f64::NAN))
        }
        (Kind::Double, Payload::Fixed64(value)) => float(f64::from_bits(value)),
        (Kind::String, Payload::Bytes(bytes)) => {
            Value::String(String::from_utf8_lossy(bytes).into_owned())
        }
        (Kind::Bytes, Payload::Bytes(bytes)) => Value::String(base64::encode(bytes)),
        _ => return Err(Malformed),
    })
}

/// A sensitive field: its shape with every text hidden and every number left out.
pub(super) fn redacted(field: &'static Field, payloads: &[Payload<'_>], depth: u8) -> Value {
    let one = |payload: &Payload<'_>| match (field.kind(), field.message(), payload) {
        (Kind::Bytes, ..) => Value::String(base64::encode(REDACTED.as_bytes())),
        (_, Some(message), Payload::Bytes(bytes)) if depth < MAX_DEPTH => {
            if has_own_json(message) {
                return Value::String(REDACTED.to_owned());
            }
            let mut groups: BTreeMap<u32, Vec<Payload<'_>>> = BTreeMap::new();
            for (number, payload) in Fields::new(bytes).flatten() {
                groups.entry(number).or_default().push(payload);
            }
            let mut out = Map::new();
            for (number, payloads) in groups {
                let Some(inner) = message.field(number) else { continue };
                if matches!(inner.kind(), Kind::String | Kind::Bytes | Kind::Message(_)) {
                    let value = redacted(inner, &payloads, depth + 1);
                    out.insert(inner.name().to_owned(), value);
                }
            }
            Value::Object(out)
        }
        _ => Value::String(REDACTED.to_owned()),
    };
    match field.label() {
        Label::Repeated => Value::Array(payloads.iter().map(one).collect()),
        Label::Map => Value::Object(Map::new()),
        _ => payloads.last().map_or(Value::Null, one),
    }
}

pub(super) fn float(value: f64) -> Value {
    #[expect(clippy::cast_possible_truncation, reason = "whole and below 2^53")]
    if value.fract() == 0.0 && value.abs() < 9_007_199_254_740_992.0 {
        return Value::from(value as i64);
    }
    serde_json::Number::from_f64(value).map_or_else(
        || {
            let name = if value.is_nan() {
                "NaN"
            } else if value > 0.0 {
                "Infinity"
            } else {
                "-Infinity"
            };
            Value::String(name.to_owned())
        },
        Value::Number,
    )
}

/// Splits one scalar off a packed list.
pub(super) fn unpack(kind: Kind, bytes: &[u8]) -> Option<(Payload<'_>, &[u8])> {
    match kind {
        Kind::Fixed32 | Kind::Sfixed32 | Kind::Float => {
            let (taken, rest) = bytes.split_at_checked(4)?;
            Some((Payload::Fixed32(u32::from_le_bytes(taken.try_into().ok()?)), rest))
        }
        Kind::Fixed64 | Kind::Sfixed64 | Kind::Double => {
            let (taken, rest) = bytes.split_at_checked(8)?;
            Some((Payload::Fixed64(u64::from_le_bytes(taken.try_into().ok()?)), rest))
        }
        _ => take_varint(bytes).map(|(value, rest)| (Payload::Varint(value), rest)),
    }
}

#[expect(clippy::cast_possible_wrap, reason = "zigzag encoding is defined by wrapping")]
fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}
