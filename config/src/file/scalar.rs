//! A YAML scalar as a protobuf scalar, by protobuf's JSON mapping with Envoy's leniency.

use palanquin_proto::schema::{Enum, Field, Kind, Rule};

use super::walk::{Walker, listed};
use super::yaml::{Node, Value, shortened};
use super::{base64, pgv, wire};
use crate::diagnostic::closest;

/// Appends a scalar field, or notes what is wrong with it.
pub(crate) fn write(
    walker: &mut Walker<'_>,
    node: &Node,
    field: &'static Field,
    rules: &[Rule],
    out: &mut Vec<u8>,
) {
    let Value::Scalar { text, plain } = &node.value else {
        let expected = name(field.kind());
        walker.error(node.position, format!("expected {expected}, found {}", node.kind()));
        return;
    };
    let number = field.number();
    let written = match field.kind() {
        Kind::String => {
            wire::put_bytes(out, number, text.as_bytes());
            pgv::check_text(rules, text)
        }
        Kind::Bytes => match base64::decode(text) {
            Some(bytes) => {
                wire::put_bytes(out, number, &bytes);
                pgv::check_bytes(rules, bytes.len())
            }
            None => Err("bytes are written in base64".to_owned()),
        },
        Kind::Bool => match boolean(text, *plain) {
            Some(value) => {
                wire::put_varint_field(out, number, u64::from(value));
                pgv::check_number(rules, f64::from(u8::from(value)))
            }
            None => Err(format!("expected true or false, found {:?}", shortened(text))),
        },
        Kind::Enum(_) => return enumeration(walker, node, text, field, rules, out),
        Kind::Double | Kind::Float => float(text, field, rules, out),
        _ => integer(text, field, rules, out),
    };
    if let Err(message) = written {
        walker.error(node.position, message);
    }
}

/// YAML 1.2 knows `true` and `false`; Envoy also takes the words of YAML 1.1.
pub(crate) fn boolean(text: &str, plain: bool) -> Option<bool> {
    match text {
        "true" | "True" | "TRUE" => Some(true),
        "false" | "False" | "FALSE" => Some(false),
        "y" | "Y" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" if plain => Some(true),
        "n" | "N" | "no" | "No" | "NO" | "off" | "Off" | "OFF" if plain => Some(false),
        _ => None,
    }
}

fn integer(
    text: &str,
    field: &'static Field,
    rules: &[Rule],
    out: &mut Vec<u8>,
) -> Result<(), String> {
    let kind = field.kind();
    let (low, high) = range(kind);
    let value = whole(text).filter(|value| (low..=high).contains(value)).ok_or_else(|| {
        let found = shortened(text);
        match whole(text) {
            Some(_) => format!("{found} is out of range, {} is {low} to {high}", name(kind)),
            None => format!("expected {}, found {found:?}", name(kind)),
        }
    })?;
    // The casts keep the low bits, which is what the wire format asks for.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "in range")]
    match kind {
        Kind::Fixed32 | Kind::Sfixed32 => wire::put_fixed32(out, field.number(), value as u32),
        Kind::Fixed64 | Kind::Sfixed64 => wire::put_fixed64(out, field.number(), value as u64),
        Kind::Sint32 | Kind::Sint64 => {
            let value = value as i64;
            let zigzag = (value << 1) ^ (value >> 63);
            wire::put_varint_field(out, field.number(), zigzag as u64);
        }
        _ => wire::put_varint_field(out, field.number(), value as u64),
    }
    #[expect(clippy::cast_precision_loss, reason = "limits are small numbers")]
    pgv::check_number(rules, value as f64)
}

/// A whole number; protobuf's JSON also allows `5.0` and `1e3`.
fn whole(text: &str) -> Option<i128> {
    if let Some(value) = other_base(text) {
        return Some(value);
    }
    if let Ok(value) = text.parse::<i128>() {
        return Some(value);
    }
    // Only as far as a double is exact.
    let value: f64 = text.parse().ok()?;
    #[expect(clippy::cast_possible_truncation, reason = "whole and below 2^53")]
    (value.fract() == 0.0 && value.abs() < 9_007_199_254_740_992.0).then_some(value as i128)
}

/// `0x1f`, and `017` as octal: YAML 1.1, as Envoy reads it.
pub(crate) fn other_base(text: &str) -> Option<i128> {
    if let Some(digits) = text.strip_prefix("0x") {
        return i128::from_str_radix(digits, 16).ok();
    }
    let digits = text.strip_prefix('0').filter(|digits| !digits.is_empty())?;
    digits.bytes().all(|byte| byte.is_ascii_digit()).then_some(())?;
    i128::from_str_radix(digits, 8).ok()
}

fn float(
    text: &str,
    field: &'static Field,
    rules: &[Rule],
    out: &mut Vec<u8>,
) -> Result<(), String> {
    let value: f64 =
        text.parse().map_err(|_| format!("expected a number, found {:?}", shortened(text)))?;
    if field.kind() == Kind::Float {
        #[expect(clippy::cast_possible_truncation, reason = "the field holds no more")]
        wire::put_fixed32(out, field.number(), (value as f32).to_bits());
    } else {
        wire::put_fixed64(out, field.number(), value.to_bits());
    }
    pgv::check_number(rules, value)
}

fn enumeration(
    walker: &mut Walker<'_>,
    node: &Node,
    text: &str,
    field: &'static Field,
    rules: &[Rule],
    out: &mut Vec<u8>,
) {
    let Some(kind) = field.enumeration() else { return };
    let number = kind.number(text).or_else(|| text.parse().ok());
    let known = number.is_some_and(|number| kind.name_of(number).is_some());
    let Some(number) = number.filter(|_| known || !rules.contains(&Rule::DefinedOnly)) else {
        let message = format!("{:?} is not a value of {}", shortened(text), kind.name());
        let hint = enum_hint(text, kind);
        walker.error(node.position, message).hint(hint);
        return;
    };
    #[expect(clippy::cast_sign_loss, reason = "negative enums are sign-extended on the wire")]
    wire::put_varint_field(out, field.number(), i64::from(number) as u64);
    if let Err(message) = pgv::check_number(rules, f64::from(number)) {
        walker.error(node.position, message);
    }
}

fn enum_hint(text: &str, kind: &'static Enum) -> String {
    let upper = text.to_uppercase().replace('-', "_");
    match closest(&upper, kind.values().iter().map(|value| value.1)) {
        Some(close) => format!("did you mean {close}?"),
        None => listed("one of ", kind.values().iter().map(|value| value.1)),
    }
}

fn range(kind: Kind) -> (i128, i128) {
    match kind {
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => (i32::MIN.into(), i32::MAX.into()),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => (i64::MIN.into(), i64::MAX.into()),
        Kind::Uint32 | Kind::Fixed32 => (0, u32::MAX.into()),
        _ => (0, u64::MAX.into()),
    }
}

/// How a kind is called in a message.
fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Bool => "true or false",
        Kind::Bytes => "bytes in base64",
        Kind::Double | Kind::Float => "a number",
        Kind::Enum(_) => "a name",
        Kind::Fixed32 | Kind::Uint32 => "a whole number of 32 bits",
        Kind::Fixed64 | Kind::Uint64 => "a whole number of 64 bits",
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => "a signed number of 32 bits",
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => "a signed number of 64 bits",
        Kind::Message(_) => "a mapping",
        Kind::String => "a text",
    }
}
