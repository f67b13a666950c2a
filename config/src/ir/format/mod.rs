//! Texts with command operators: `%REQ(:PATH)%`.
//!
//! A [`Format`] is compiled once, when configuration is lowered, and written many times: into access
//! logs, into headers, into span attributes. Writing reads a [`FormatCx`] and cannot fail; what has no
//! value is written as a dash or as nothing, as [`Missing`] says. [`JsonFormat`] is the form whose
//! result is a JSON object with typed values.
//!
//! At the end of an exchange its header maps are gone: they went upstream and downstream. So formats
//! say in advance which headers they read ([`Needs`]), and the data path keeps these values only
//! ([`Captured`]): a reference count each, no copy of the map.

mod context;
mod decimal;
mod facts;
mod json;
mod names;
mod operator;
mod time;
mod value;

use std::fmt;
use std::io::Write as _;
use std::sync::Arc;

pub use context::{
    Capture, Captured, CapturedRequest, FormatCx, Headers, Needs, RequestHead, TraceIds,
};
pub use json::JsonFormat;
pub use time::TimeFormat;

use http::HeaderValue;

use operator::Operator;
use value::Escape;

/// A text with operators, ready to be written. Cloning is cheap.
#[derive(Clone)]
pub struct Format {
    pieces: Arc<[Piece]>,
    missing: Missing,
    /// The text as a header's value, when it is always the same and may be one.
    fixed: Option<HeaderValue>,
}

/// What is written for an operator without a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Missing {
    /// `-`, as in access logs.
    #[default]
    Dash,
    /// Nothing, as in headers and with `omit_empty_values`.
    Empty,
}

#[derive(Debug, Clone, PartialEq)]
enum Piece {
    Literal(Box<str>),
    Value(Value),
}

/// An operator with its length limit in bytes.
#[derive(Debug, Clone, PartialEq)]
struct Value {
    operator: Operator,
    limit: Option<usize>,
}

/// Why a text is no format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind} at byte {position}")]
pub struct FormatError {
    /// Where the operator begins.
    pub position: usize,
    /// What is wrong with it.
    pub kind: FormatErrorKind,
}

/// What is wrong with an operator.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FormatErrorKind {
    /// A parameter that the operator does not take.
    #[error("%{operator}% {expected}")]
    Parameter {
        /// The operator.
        operator: Box<str>,
        /// What it takes.
        expected: &'static str,
    },
    /// A `%` that begins no operator.
    #[error("\"%\" begins no %OPERATOR% (a percent sign is written %%)")]
    Syntax,
    /// No operator has that name.
    #[error("unknown operator %{0}%")]
    UnknownOperator(Box<str>),
}

impl FormatErrorKind {
    /// The operator that may have been meant.
    pub fn suggestion(&self) -> Option<&'static str> {
        match self {
            Self::UnknownOperator(name) => crate::diagnostic::closest(name, operator::names()),
            _ => None,
        }
    }
}

impl Default for Format {
    fn default() -> Self {
        Self::new(Vec::new(), Missing::Dash)
    }
}

impl Format {
    /// Compiles a text. The first thing that is wrong is the error.
    pub fn compile(text: &str, missing: Missing) -> Result<Self, FormatError> {
        let mut pieces = Vec::new();
        let mut literal = String::new();
        let mut at = 0;
        while let Some(offset) = text[at..].find('%') {
            let start = at + offset;
            literal.push_str(&text[at..start]);
            if text[start + 1..].starts_with('%') {
                literal.push('%');
                at = start + 2;
                continue;
            }
            let wrong = |kind| FormatError { position: start, kind };
            let token =
                Token::read(&text[start + 1..]).ok_or_else(|| wrong(FormatErrorKind::Syntax))?;
            let operator = operator::operator(token.name, token.parameter).map_err(wrong)?;
            match operator {
                // Known by now: part of the text.
                Operator::Constant(Some(value)) if token.limit.is_none() => {
                    literal.push_str(&value);
                }
                operator => {
                    flush(&mut literal, &mut pieces);
                    pieces.push(Piece::Value(Value { operator, limit: token.limit }));
                }
            }
            at = start + 1 + token.length;
        }
        literal.push_str(&text[at..]);
        flush(&mut literal, &mut pieces);
        Ok(Self::new(pieces, missing))
    }

    /// A text without operators, taken as it is.
    pub fn literal(text: &str) -> Self {
        let mut pieces = Vec::new();
        flush(&mut text.to_owned(), &mut pieces);
        Self::new(pieces, Missing::Dash)
    }

    /// The text as a header's value, made in advance, when it is the same for every request.
    pub fn as_header_value(&self) -> Option<&HeaderValue> {
        self.fixed.as_ref()
    }

    /// The text, when it is the same for every request.
    pub fn as_literal(&self) -> Option<&str> {
        match &*self.pieces {
            [] => Some(""),
            [Piece::Literal(text)] => Some(text),
            _ => None,
        }
    }

    /// Appends the text as a header's value: bytes that must not stand in one become `?`.
    pub fn write_header(&self, cx: &FormatCx<'_>, out: &mut Vec<u8>) {
        let start = out.len();
        self.write(cx, out);
        for byte in &mut out[start..] {
            if *byte != b'\t' && byte.is_ascii_control() {
                *byte = b'?';
            }
        }
    }

    /// Appends the text with raw values, for span attributes.
    pub fn write(&self, cx: &FormatCx<'_>, out: &mut Vec<u8>) {
        self.write_escaped(cx, Escape::None, out);
    }

    /// Appends the text as part of a log line: what could end the line or move a terminal's cursor is
    /// written as `\xNN`. Envoy writes values raw; a value it may print unharmed comes out the same.
    pub fn write_line(&self, cx: &FormatCx<'_>, out: &mut Vec<u8>) {
        self.write_escaped(cx, Escape::Controls, out);
    }

    /// Adds the headers this format reads.
    pub fn needs(&self, needs: &mut Needs) {
        for value in self.values() {
            needs.add(&value.operator);
        }
    }

    /// Operators whose fact is not measured: they never have a value. For warnings.
    pub fn unmeasured(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.values().flat_map(|value| value.operator.unmeasured())
    }

    fn new(pieces: Vec<Piece>, missing: Missing) -> Self {
        let fixed = match pieces.as_slice() {
            [] => Some(HeaderValue::from_static("")),
            [Piece::Literal(text)] => HeaderValue::from_str(text).ok(),
            _ => None,
        };
        Self { pieces: pieces.into(), missing, fixed }
    }

    fn values(&self) -> impl Iterator<Item = &Value> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Literal(_) => None,
            Piece::Value(value) => Some(value),
        })
    }

    fn write_escaped(&self, cx: &FormatCx<'_>, escape: Escape, out: &mut Vec<u8>) {
        for piece in &*self.pieces {
            match piece {
                Piece::Literal(text) => out.extend_from_slice(text.as_bytes()),
                Piece::Value(value) => {
                    let written = value.operator.read(cx).write(value.limit, escape, out);
                    if !written && self.missing == Missing::Dash {
                        out.push(b'-');
                    }
                }
            }
        }
    }
}

impl fmt::Debug for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.pieces.iter()).finish()
    }
}

impl Operator {
    fn unmeasured(&self) -> Vec<&'static str> {
        match self {
            Self::Unmeasured(name) => vec![name],
            Self::Coalesce(alternatives) => {
                alternatives.iter().flat_map(|(operator, _)| operator.unmeasured()).collect()
            }
            _ => Vec::new(),
        }
    }
}

/// Writing to a vector cannot fail.
fn put(out: &mut Vec<u8>, text: fmt::Arguments<'_>) {
    let _ = out.write_fmt(text);
}

fn flush(literal: &mut String, pieces: &mut Vec<Piece>) {
    if !literal.is_empty() {
        pieces.push(Piece::Literal(std::mem::take(literal).into()));
    }
}

/// `NAME(parameter):limit%` less the first `%`.
struct Token<'a> {
    name: &'a str,
    parameter: Option<&'a str>,
    limit: Option<usize>,
    /// Bytes up to and with the closing `%`.
    length: usize,
}

impl<'a> Token<'a> {
    /// Reads Envoy's grammar: `%NAME%`, `%NAME(parameter)%`, each with `:limit` before the last `%`.
    /// A parameter may hold `)` and `%`; it ends where the rest of the operator fits.
    fn read(text: &'a str) -> Option<Self> {
        let end = text
            .find(|c: char| !(c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_'))
            .filter(|end| *end > 0)?;
        let (name, rest) = text.split_at(end);
        let Some(inside) = rest.strip_prefix('(') else {
            let (limit, length) = tail(rest)?;
            return Some(Self { name, parameter: None, limit, length: end + length });
        };
        for (close, _) in inside.match_indices(')') {
            let parameter = &inside[..close];
            if parameter.contains(['\r', '\n']) {
                return None;
            }
            if let Some((limit, length)) = tail(&inside[close + 1..]) {
                let length = end + 1 + close + 1 + length;
                return Some(Self { name, parameter: Some(parameter), limit, length });
            }
        }
        None
    }
}

/// Reads `%` or `:limit%`.
fn tail(text: &str) -> Option<(Option<usize>, usize)> {
    if text.starts_with('%') {
        return Some((None, 1));
    }
    let digits = text.strip_prefix(':')?;
    let (number, _) = digits.split_once('%')?;
    // `parse` alone would take a sign.
    let plain = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    let limit = plain.then(|| number.parse().unwrap_or(usize::MAX))?;
    Some((Some(limit), 1 + number.len() + 1))
}

#[cfg(test)]
mod tests;
