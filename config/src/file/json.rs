//! Encoded messages as protobuf JSON, with the field names of the definition, as Envoy's
//! `/config_dump` writes them.
//!
//! It cannot fail: what is unknown or malformed is shown as base64. Envoy's own dump fails as a
//! whole there.

use std::collections::BTreeMap;

use palanquin_proto::schema::{self, Field, Kind, Label, Message};
use serde_json::{Map, Value};

use super::base64;
use super::load::split_any;
use super::wire::{Fields, Malformed, Payload, last_bytes, take_varint};

/// Whether sensitive fields are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Secrets {
    /// Replaced by `[redacted]`, for whatever leaves the process.
    Redact,
    /// As they are, for a file written from a file.
    Show,
}

/// What a hidden text becomes; bytes become its base64, so that the dump still parses.
const REDACTED: &str = "[redacted]";
/// Deeper messages are shown as base64.
const MAX_DEPTH: u8 = 100;

/// Renders an `Any`: the fields with `"@type"`; of an unknown type `"value"` in base64.
pub fn any_to_json(type_url: &str, value: &[u8], secrets: Secrets) -> Value {
    Printer { secrets }.any(type_url, value, 0)
}

/// Renders a message of the type that `type_url` names, without `"@type"`.
pub fn message_to_json(type_url: &str, value: &[u8], secrets: Secrets) -> Value {
    let printed = schema::message_of_url(type_url)
        .and_then(|message| Printer { secrets }.message(message, value, 0).ok());
    printed.unwrap_or_else(|| Value::String(base64::encode(value)))
}

#[derive(Clone, Copy)]
struct Printer {
    secrets: Secrets,
}

impl Printer {
    fn any(self, type_url: &str, value: &[u8], depth: u8) -> Value {
        let mut out = Map::new();
        out.insert("@type".to_owned(), Value::String(type_url.to_owned()));
        let printed = schema::message_of_url(type_url)
            .and_then(|message| Some((message, self.message(message, value, depth).ok()?)));
        match printed {
            Some((message, Value::Object(fields))) if !has_own_json(message) => out.extend(fields),
            Some((_, printed)) => {
                out.insert("value".to_owned(), printed);
            }
            None => {
                out.insert("value".to_owned(), Value::String(base64::encode(value)));
            }
        }
        Value::Object(out)
    }

    fn message(
        self,
        message: &'static Message,
        bytes: &[u8],
        depth: u8,
    ) -> Result<Value, Malformed> {
        if depth > MAX_DEPTH {
            return Err(Malformed);
        }
        if has_own_json(message) {
            return self.well_known(message, bytes, depth);
        }
        // Grouped by field, in the order of the definition.
        let mut groups: BTreeMap<usize, Vec<Payload<'_>>> = BTreeMap::new();
        for field in Fields::new(bytes) {
            let (number, payload) = field?;
            let index = message.fields().iter().position(|field| field.number() == number);
            if let Some(index) = index {
                groups.entry(index).or_default().push(payload);
            }
        }
        let mut out = Map::new();
        for (index, payloads) in groups {
            let field = &message.fields()[index];
            let shown = if field.is_sensitive() && self.secrets == Secrets::Redact {
                Some(self.redacted(field, &payloads, depth))
            } else {
                self.field(field, &payloads, depth)?
            };
            if let Some(value) = shown {
                out.insert(field.name().to_owned(), value);
            }
        }
        Ok(Value::Object(out))
    }

    /// A whole field; `None` if it holds nothing but its default.
    fn field(
        self,
        field: &'static Field,
        payloads: &[Payload<'_>],
        depth: u8,
    ) -> Result<Option<Value>, Malformed> {
        match field.label() {
            Label::Map => {
                let mut out = Map::new();
                let entry = field.message().ok_or(Malformed)?;
                for payload in payloads {
                    let Payload::Bytes(bytes) = payload else { return Err(Malformed) };
                    let (key, value) = self.entry(entry, bytes, depth)?;
                    out.insert(key, value);
                }
                Ok(Some(Value::Object(out)))
            }
            Label::Repeated => {
                let mut out = Vec::new();
                for payload in payloads {
                    self.item(field, *payload, depth, &mut out)?;
                }
                Ok(Some(Value::Array(out)))
            }
            Label::Optional | Label::Singular => {
                if let Some(message) = field.message() {
                    // Occurrences merge, and merging is what concatenation means.
                    let mut whole = Vec::new();
                    for payload in payloads {
                        let Payload::Bytes(bytes) = payload else { return Err(Malformed) };
                        whole.extend_from_slice(bytes);
                    }
                    return self.message(message, &whole, depth + 1).map(Some);
                }
                let Some(last) = payloads.last() else { return Ok(None) };
                let implicit = field.label() == Label::Singular && field.oneof_index().is_none();
                if implicit && is_default(*last) {
                    return Ok(None);
                }
                self.scalar(field, *last).map(Some)
            }
        }
    }

    fn entry(
        self,
        entry: &'static Message,
        bytes: &[u8],
        depth: u8,
    ) -> Result<(String, Value), Malformed> {
        let (mut key, mut value) = (String::new(), None);
        let value_field = entry.field(2).ok_or(Malformed)?;
        for field in Fields::new(bytes) {
            match field? {
                (1, payload) => {
                    key = match self.scalar(entry.field(1).ok_or(Malformed)?, payload)? {
                        Value::String(text) => text,
                        other => other.to_string(),
                    };
                }
                (2, Payload::Bytes(bytes)) if value_field.message().is_some() => {
                    let message = value_field.message().ok_or(Malformed)?;
                    value = Some(self.message(message, bytes, depth + 1)?);
                }
                (2, payload) => value = Some(self.scalar(value_field, payload)?),
                _ => {}
            }
        }
        let value = match (value, value_field.message()) {
            (Some(value), _) => value,
            (None, Some(message)) => self.message(message, &[], depth + 1)?,
            (None, None) => match value_field.kind() {
                Kind::Bool => Value::Bool(false),
                Kind::Bytes | Kind::String => Value::String(String::new()),
                _ => Value::from(0),
            },
        };
        Ok((key, value))
    }

    fn item(
        self,
        field: &'static Field,
        payload: Payload<'_>,
        depth: u8,
        out: &mut Vec<Value>,
    ) -> Result<(), Malformed> {
        match (field.kind(), payload) {
            (Kind::Message(_), Payload::Bytes(bytes)) => {
                out.push(self.message(field.message().ok_or(Malformed)?, bytes, depth + 1)?);
            }
            (Kind::String | Kind::Bytes, _) => out.push(self.scalar(field, payload)?),
            (_, Payload::Bytes(packed)) => {
                let mut rest = packed;
                while !rest.is_empty() {
                    let (payload, after) = unpack(field.kind(), rest).ok_or(Malformed)?;
                    out.push(self.scalar(field, payload)?);
                    rest = after;
                }
            }
            _ => out.push(self.scalar(field, payload)?),
        }
        Ok(())
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_possible_wrap,
        reason = "protobuf keeps the low bits of a varint"
    )]
    fn scalar(self, field: &'static Field, payload: Payload<'_>) -> Result<Value, Malformed> {
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
    fn redacted(self, field: &'static Field, payloads: &[Payload<'_>], depth: u8) -> Value {
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
                        let value = self.redacted(inner, &payloads, depth + 1);
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

    fn well_known(
        self,
        message: &'static Message,
        bytes: &[u8],
        depth: u8,
    ) -> Result<Value, Malformed> {
        let name = message.full_name().rsplit('.').next().unwrap_or_default();
        Ok(match name {
            "Any" => {
                let (url, value) = split_any(bytes);
                if url.is_empty() {
                    return Ok(Value::Object(Map::new()));
                }
                self.any(url, value, depth + 1)
            }
            "Duration" => Value::String(duration(bytes)?),
            "Timestamp" => {
                let time: prost_types::Timestamp =
                    prost::Message::decode(bytes).map_err(|_| Malformed)?;
                Value::String(time.to_string())
            }
            "FieldMask" => {
                let paths = Fields::new(bytes).flatten().filter_map(|(_, payload)| match payload {
                    Payload::Bytes(bytes) => std::str::from_utf8(bytes).ok(),
                    _ => None,
                });
                Value::String(paths.collect::<Vec<_>>().join(","))
            }
            "Struct" => {
                let mut out = Map::new();
                for field in Fields::new(bytes) {
                    let (_, Payload::Bytes(entry)) = field? else { return Err(Malformed) };
                    let key = last_bytes(entry, 1).unwrap_or_default();
                    let value = last_bytes(entry, 2).unwrap_or_default();
                    out.insert(String::from_utf8_lossy(key).into_owned(), free(value, depth + 1)?);
                }
                Value::Object(out)
            }
            "ListValue" => list(bytes, depth + 1)?,
            "Value" => free(bytes, depth + 1)?,
            _ => {
                let value = message.field(1).ok_or(Malformed)?;
                let last = Fields::new(bytes).flatten().last();
                match (last, value.kind()) {
                    (Some((_, payload)), _) => self.scalar(value, payload)?,
                    (None, Kind::Bool) => Value::Bool(false),
                    (None, Kind::String | Kind::Bytes) => Value::String(String::new()),
                    (None, Kind::Int64 | Kind::Uint64) => Value::String("0".to_owned()),
                    (None, _) => Value::from(0),
                }
            }
        })
    }
}

fn has_own_json(message: &Message) -> bool {
    super::well_known::has_own_json(message)
}

/// A `google.protobuf.Value`.
fn free(bytes: &[u8], depth: u8) -> Result<Value, Malformed> {
    if depth > MAX_DEPTH {
        return Err(Malformed);
    }
    let Some(field) = Fields::new(bytes).last() else { return Ok(Value::Null) };
    Ok(match field? {
        (2, Payload::Fixed64(bits)) => float(f64::from_bits(bits)),
        (3, Payload::Bytes(text)) => Value::String(String::from_utf8_lossy(text).into_owned()),
        (4, Payload::Varint(value)) => Value::Bool(value != 0),
        (5, Payload::Bytes(bytes)) => {
            let mut out = Map::new();
            for field in Fields::new(bytes) {
                let (_, Payload::Bytes(entry)) = field? else { return Err(Malformed) };
                let key = String::from_utf8_lossy(last_bytes(entry, 1).unwrap_or_default());
                let value = free(last_bytes(entry, 2).unwrap_or_default(), depth + 1)?;
                out.insert(key.into_owned(), value);
            }
            Value::Object(out)
        }
        (6, Payload::Bytes(bytes)) => list(bytes, depth + 1)?,
        _ => Value::Null,
    })
}

fn list(bytes: &[u8], depth: u8) -> Result<Value, Malformed> {
    let mut out = Vec::new();
    for field in Fields::new(bytes) {
        let (_, Payload::Bytes(item)) = field? else { return Err(Malformed) };
        out.push(free(item, depth)?);
    }
    Ok(Value::Array(out))
}

fn float(value: f64) -> Value {
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

/// Seconds with 0, 3, 6 or 9 digits, as protobuf writes them.
fn duration(bytes: &[u8]) -> Result<String, Malformed> {
    let duration: prost_types::Duration = prost::Message::decode(bytes).map_err(|_| Malformed)?;
    let sign = if duration.seconds < 0 || duration.nanos < 0 { "-" } else { "" };
    let (seconds, nanos) = (duration.seconds.unsigned_abs(), duration.nanos.unsigned_abs());
    let fraction = match nanos {
        0 => String::new(),
        _ if nanos % 1_000_000 == 0 => format!(".{:03}", nanos / 1_000_000),
        _ if nanos % 1_000 == 0 => format!(".{:06}", nanos / 1_000),
        _ => format!(".{nanos:09}"),
    };
    Ok(format!("{sign}{seconds}{fraction}s"))
}

fn is_default(payload: Payload<'_>) -> bool {
    match payload {
        Payload::Varint(value) | Payload::Fixed64(value) => value == 0,
        Payload::Fixed32(value) => value == 0,
        Payload::Bytes(bytes) => bytes.is_empty(),
    }
}

/// Splits one scalar off a packed list.
fn unpack(kind: Kind, bytes: &[u8]) -> Option<(Payload<'_>, &[u8])> {
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
