//! Formats whose result is one line of JSON.
//!
//! As in Envoy the keys come out sorted, a value that is one operator keeps its type (numbers and
//! structures are not quoted), and a missing value is `null`, or left out with `omit_empty_values`.
//! Bytes that are no UTF-8 are written as `\u0080` to `\u00ff`.

use std::collections::BTreeMap;

use palanquin_filter_api::MetadataMap;
use palanquin_filter_api::MetadataValue;

use super::Format;
use super::FormatCx;
use super::FormatError;
use super::Missing;
use super::Needs;
use super::Piece;
use super::Value;
use super::put;
use super::value::Escape;

/// A JSON object whose texts are formats.
#[derive(Debug, Clone)]
pub struct JsonFormat {
    root: Node,
    missing: Missing,
}

#[derive(Debug, Clone)]
enum Node {
    /// JSON that never changes.
    Fixed(Box<str>),
    List(Vec<Self>),
    Null,
    /// Fields, sorted; each key is quoted and escaped already.
    Object(Vec<(Box<str>, Self)>),
    /// Text with operators in it.
    Text(Format),
    /// One operator alone.
    Typed(Value),
}

impl JsonFormat {
    /// Compiles an object. `error` is told the keys that lead to each text that is no format.
    pub fn compile(
        object: &MetadataMap,
        missing: Missing,
        error: &mut dyn FnMut(&[&str], FormatError),
    ) -> Self {
        Self { root: compile_object(object, missing, &mut Vec::new(), error), missing }
    }

    /// Appends the object, without a line end.
    pub fn write(&self, cx: &FormatCx<'_>, out: &mut Vec<u8>) {
        self.root.write(cx, self.missing, out);
    }

    /// Adds the headers this format reads.
    pub fn needs(&self, needs: &mut Needs) {
        self.root.each_value(&mut |value| needs.add(&value.operator));
    }

    /// Operators whose fact is not measured, for warnings.
    pub fn unmeasured(&self) -> Vec<&'static str> {
        let mut names = Vec::new();
        self.root.each_value(&mut |value| names.extend(value.operator.unmeasured()));
        names
    }
}

impl Node {
    /// Appends the node; false when it has no value. Then nothing was appended.
    fn write(&self, cx: &FormatCx<'_>, missing: Missing, out: &mut Vec<u8>) -> bool {
        match self {
            Self::Fixed(json) => out.extend_from_slice(json.as_bytes()),
            Self::Null => return false,
            Self::Typed(value) => return value.operator.read(cx).write_json(value.limit, out),
            Self::Text(format) => {
                out.push(b'"');
                let start = out.len();
                format.write_escaped(cx, Escape::None, out);
                escape_from(start, out);
                out.push(b'"');
            }
            Self::List(items) => {
                out.push(b'[');
                let start = out.len();
                for item in items {
                    write_member(&[], item, start, cx, missing, out);
                }
                out.push(b']');
            }
            Self::Object(fields) => {
                out.push(b'{');
                let start = out.len();
                for (key, node) in fields {
                    write_member(key.as_bytes(), node, start, cx, missing, out);
                }
                out.push(b'}');
            }
        }
        true
    }

    fn each_value(&self, visit: &mut dyn FnMut(&Value)) {
        match self {
            Self::Fixed(_) | Self::Null => {}
            Self::List(items) => items.iter().for_each(|item| item.each_value(visit)),
            Self::Object(fields) => fields.iter().for_each(|(_, node)| node.each_value(visit)),
            Self::Text(format) => format.values().for_each(visit),
            Self::Typed(value) => visit(value),
        }
    }
}

/// Appends a member with its comma and key; takes both back when it has no value and is left out.
fn write_member(
    key: &[u8],
    node: &Node,
    start: usize,
    cx: &FormatCx<'_>,
    missing: Missing,
    out: &mut Vec<u8>,
) {
    let before = out.len();
    if before > start {
        out.push(b',');
    }
    out.extend_from_slice(key);
    if !node.write(cx, missing, out) {
        match missing {
            Missing::Dash => out.extend_from_slice(b"null"),
            Missing::Empty => out.truncate(before),
        }
    }
}

fn compile_object<'a>(
    object: &'a MetadataMap,
    missing: Missing,
    at: &mut Vec<&'a str>,
    error: &mut dyn FnMut(&[&str], FormatError),
) -> Node {
    let sorted: BTreeMap<_, _> = object.iter().collect();
    let fields = sorted.into_iter().map(|(key, value)| {
        at.push(key);
        let node = compile(value, missing, at, error);
        at.pop();
        let mut quoted = vec![b'"'];
        write_escaped(key.as_bytes(), &mut quoted);
        quoted.extend_from_slice(b"\":");
        (String::from_utf8_lossy(&quoted).into(), node)
    });
    Node::Object(fields.collect())
}

fn compile<'a>(
    value: &'a MetadataValue,
    missing: Missing,
    at: &mut Vec<&'a str>,
    error: &mut dyn FnMut(&[&str], FormatError),
) -> Node {
    match value {
        MetadataValue::Null => Node::Null,
        MetadataValue::List(items) => {
            Node::List(items.iter().map(|item| compile(item, missing, at, error)).collect())
        }
        MetadataValue::Struct(fields) => compile_object(fields, missing, at, error),
        MetadataValue::String(text) => match Format::compile(text, missing) {
            Err(problem) => {
                error(at, problem);
                Node::Null
            }
            Ok(format) => match &*format.pieces {
                [Piece::Value(value)] => Node::Typed(value.clone()),
                _ => match format.as_literal() {
                    Some(literal) => fixed(&MetadataValue::String(literal.into())),
                    None => Node::Text(format),
                },
            },
        },
        MetadataValue::Bool(_) | MetadataValue::Number(_) => fixed(value),
    }
}

fn fixed(value: &MetadataValue) -> Node {
    let mut json = Vec::new();
    write_metadata(value, &mut json);
    Node::Fixed(String::from_utf8_lossy(&json).into())
}

/// Appends metadata as JSON.
pub(super) fn write_metadata(value: &MetadataValue, out: &mut Vec<u8>) {
    match value {
        MetadataValue::Null => out.extend_from_slice(b"null"),
        MetadataValue::Bool(value) => put(out, format_args!("{value}")),
        MetadataValue::Number(number) if number.is_finite() => put(out, format_args!("{number}")),
        MetadataValue::Number(_) => out.extend_from_slice(b"null"),
        MetadataValue::String(text) => {
            out.push(b'"');
            write_escaped(text.as_bytes(), out);
            out.push(b'"');
        }
        MetadataValue::List(items) => {
            out.push(b'[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                write_metadata(item, out);
            }
            out.push(b']');
        }
        MetadataValue::Struct(fields) => write_metadata_map(fields, out),
    }
}

/// Appends fields as a JSON object.
pub(super) fn write_metadata_map(fields: &MetadataMap, out: &mut Vec<u8>) {
    out.push(b'{');
    for (i, (key, value)) in fields.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        out.push(b'"');
        write_escaped(key.as_bytes(), out);
        out.extend_from_slice(b"\":");
        write_metadata(value, out);
    }
    out.push(b'}');
}

/// Whether a character can be written to a log as it is: it neither ends a line nor moves a cursor.
pub(super) fn is_harmless(character: char) -> bool {
    !character.is_control() && !matches!(character, '\u{2028}' | '\u{2029}')
}

/// Escapes what stands in `out` from `start` on: text between the quotes of a JSON string.
pub(super) fn escape_from(start: usize, out: &mut Vec<u8>) {
    if !is_plain(&out[start..]) {
        let text = out.split_off(start);
        write_escaped(&text, out);
    }
}

/// Whether text stands for itself between the quotes of a JSON string.
fn is_plain(text: &[u8]) -> bool {
    text.iter().all(|byte| is_plain_byte(*byte))
}

fn is_plain_byte(byte: u8) -> bool {
    PLAIN[usize::from(byte)]
}

/// Visible ASCII and spaces, without quotes and backslashes. A table: every byte of every log line is looked up.
static PLAIN: [bool; 256] = {
    let mut plain = [false; 256];
    let mut byte = b' ';
    while byte <= b'~' {
        plain[byte as usize] = !matches!(byte, b'"' | b'\\');
        byte += 1;
    }
    plain
};

/// Appends text between the quotes of a JSON string.
pub(super) fn write_escaped(text: &[u8], out: &mut Vec<u8>) {
    if is_plain(text) {
        out.extend_from_slice(text);
        return;
    }
    let Ok(text) = std::str::from_utf8(text) else {
        // As Envoy: one bad byte, and every byte above ASCII counts as Latin-1.
        for byte in text {
            if is_plain_byte(*byte) {
                out.push(*byte);
            } else {
                escape_character(char::from(*byte), true, out);
            }
        }
        return;
    };
    for character in text.chars() {
        escape_character(character, false, out);
    }
}

fn escape_character(character: char, latin1: bool, out: &mut Vec<u8>) {
    match character {
        '"' => out.extend_from_slice(b"\\\""),
        '\\' => out.extend_from_slice(b"\\\\"),
        // Envoy's short forms, which it uses for valid UTF-8 only.
        '\u{8}' if !latin1 => out.extend_from_slice(b"\\b"),
        '\t' if !latin1 => out.extend_from_slice(b"\\t"),
        '\n' if !latin1 => out.extend_from_slice(b"\\n"),
        '\u{c}' if !latin1 => out.extend_from_slice(b"\\f"),
        '\r' if !latin1 => out.extend_from_slice(b"\\r"),
        _ if !is_harmless(character) || latin1 && !character.is_ascii() => {
            put(out, format_args!("\\u{:04x}", u32::from(character)));
        }
        _ => out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
    }
}
