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
use super::wire::{Fields, Malformed, Payload, last_bytes};

mod value;

use value::{float, redacted, scalar, unpack};

/// Whether sensitive fields are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Secrets {
    /// Replaced by `[redacted]`, for whatever leaves the process.
    Redact,
    /// As they are, for a file written from a file.
    Show,
}

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
                Some(redacted(field, &payloads, depth))
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
                scalar(field, *last).map(Some)
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
                    key = match scalar(entry.field(1).ok_or(Malformed)?, payload)? {
                        Value::String(text) => text,
                        other => other.to_string(),
                    };
                }
                (2, Payload::Bytes(bytes)) if value_field.message().is_some() => {
                    let message = value_field.message().ok_or(Malformed)?;
                    value = Some(self.message(message, bytes, depth + 1)?);
                }
                (2, payload) => value = Some(scalar(value_field, payload)?),
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
            (Kind::String | Kind::Bytes, _) => out.push(scalar(field, payload)?),
            (_, Payload::Bytes(packed)) => {
                let mut rest = packed;
                while !rest.is_empty() {
                    let (payload, after) = unpack(field.kind(), rest).ok_or(Malformed)?;
                    out.push(scalar(field, payload)?);
                    rest = after;
                }
            }
            _ => out.push(scalar(field, payload)?),
        }
        Ok(())
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
                    (Some((_, payload)), _) => scalar(value, payload)?,
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
