//! Walks a YAML tree along a message type and writes the message in wire format.
//!
//! The field table says which fields there are, so one walker serves every message of Envoy's API.
//! It never stops at a fault: what can be read is read, and every fault is noted with its place.
//! The bytes are only good if no error was noted.

use palanquin_proto::schema::{Field, Label, Message, Rule};

use crate::diagnostic::{FieldPath, Position, Problem, Problems, closest};

use super::yaml::{Node, Value, shortened};
use super::{any, pgv, scalar, well_known, wire};

/// What to do with fields that the message does not have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnknownFields {
    /// They are errors.
    #[default]
    Reject,
    /// They are warnings (`--allow-unknown-static-fields`).
    Warn,
}

/// What an unquoted `1.5` is where any value may stand (`google.protobuf.Value`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fractions {
    /// A number, in JSON.
    Numbers,
    /// A text: Envoy reads only whole numbers and booleans from YAML as what they look like.
    Texts,
}

/// The state of one walk.
pub(crate) struct Walker<'a> {
    pub(crate) path: FieldPath,
    pub(crate) problems: &'a mut Problems,
    pub(crate) unknown_fields: UnknownFields,
    pub(crate) fractions: Fractions,
}

impl<'a> Walker<'a> {
    pub(crate) fn new(problems: &'a mut Problems, unknown_fields: UnknownFields) -> Self {
        Self { path: FieldPath::new(), problems, unknown_fields, fractions: Fractions::Numbers }
    }

    /// Notes an error at a node.
    pub(crate) fn error(&mut self, at: Position, message: impl Into<String>) -> &mut Problem {
        self.problems.error(&self.path, message).at(at)
    }

    /// Encodes a node as a message of any type, the well-known ones included.
    pub(crate) fn message(&mut self, node: &Node, message: &'static Message) -> Vec<u8> {
        let mut out = Vec::new();
        if !well_known::write(self, node, message, &[], &mut out) {
            self.fields(node, message, None, &mut out);
        }
        out
    }

    /// Appends the fields of a map node. `skip` is a key that is not a field (`@type`).
    pub(crate) fn fields(
        &mut self,
        node: &Node,
        message: &'static Message,
        skip: Option<&str>,
        out: &mut Vec<u8>,
    ) {
        let Some(entries) = node.entries() else {
            let found = node.kind();
            self.error(
                node.position,
                format!("expected a mapping ({}), found {found}", message.name()),
            );
            return;
        };
        let mut seen = Seen::new(message);
        // Written in the order of field numbers: the same content gives the same bytes, and so the
        // same digest, however the text orders it.
        let mut written: Vec<(u32, Vec<u8>)> = Vec::with_capacity(entries.len());
        for (key, value) in entries {
            let Some(name) = key.text() else {
                self.error(key.position, format!("a field name is a text, found {}", key.kind()));
                continue;
            };
            if Some(name) == skip {
                continue;
            }
            let Some(field) = message.field_named(name) else {
                if let Some(meant) = self.unknown_field(key, name, message) {
                    // Its absence is no fault of its own.
                    seen.fill(meant, &message.fields()[meant]);
                }
                continue;
            };
            let Some(index) = message.fields().iter().position(|f| f.number() == field.number())
            else {
                continue;
            };
            self.path.push_field(field.name());
            if self.claim(&mut seen, index, key, message) && !is_absent(value, field) {
                seen.fill(index, field);
                let mut encoded = Vec::new();
                self.field(value, field, &mut encoded);
                written.push((field.number(), encoded));
            }
            self.path.pop();
        }
        written.sort_by_key(|(number, _)| *number);
        for (_, encoded) in written {
            out.extend_from_slice(&encoded);
        }
        self.missing(node, message, &seen);
    }

    /// Notes the fault; the result is the index of the field that was probably meant.
    fn unknown_field(&mut self, key: &Node, name: &str, message: &Message) -> Option<usize> {
        self.path.push_field(&shortened(name));
        let text = format!("{} has no such field", message.full_name());
        let close = closest(name, message.fields().iter().map(Field::name));
        let hint = match close {
            Some(close) => format!("did you mean {close:?}?"),
            None if name == "<<" => "YAML merge keys are not part of YAML 1.2".to_owned(),
            None => listed("fields: ", message.fields().iter().map(Field::name)),
        };
        let problem = match self.unknown_fields {
            UnknownFields::Reject => self.problems.error(&self.path, text),
            UnknownFields::Warn => self.problems.warning(&self.path, text),
        };
        problem.at(key.position).hint(hint);
        self.path.pop();
        message.fields().iter().position(|field| Some(field.name()) == close)
    }

    /// Whether the field may be read: it is the first of its name and of its oneof.
    fn claim(&mut self, seen: &mut Seen, index: usize, key: &Node, message: &Message) -> bool {
        let field = &message.fields()[index];
        let first = std::mem::replace(&mut seen.lines[index], key.position.line);
        if first != 0 {
            self.error(key.position, "given twice").hint(format!("first given on line {first}"));
            return false;
        }
        let Some(oneof) = field.oneof_index() else { return true };
        let Some(other) = seen.oneofs[oneof].0.replace(field.name()) else { return true };
        let oneof = message.oneofs()[oneof].name();
        let text = format!("{:?} and {other:?} exclude each other", field.name());
        self.error(key.position, text).hint(format!("each of them sets {oneof:?}"));
        false
    }

    /// Appends one field of any label.
    fn field(&mut self, node: &Node, field: &'static Field, out: &mut Vec<u8>) {
        match field.label() {
            Label::Map => self.map(node, field, out),
            Label::Repeated => self.list(node, field, out),
            Label::Optional | Label::Singular => self.value(node, field, field.rules(), out),
        }
    }

    fn list(&mut self, node: &Node, field: &'static Field, out: &mut Vec<u8>) {
        let Value::List(items) = &node.value else {
            self.error(node.position, format!("expected a list, found {}", node.kind()))
                .hint("write [...], or one \"- \" per item");
            return;
        };
        let mut rules: &[Rule] = &[];
        for rule in field.rules() {
            if let Rule::Items(nested) = rule {
                rules = nested;
            }
        }
        if let Err(text) = pgv::check_count(field.rules(), items.len()) {
            self.error(node.position, text);
        }
        if field.rules().contains(&Rule::Unique) {
            self.unique(items);
        }
        for (index, item) in items.iter().enumerate() {
            self.path.push_index(index);
            if item.is_null() && field.message().is_none_or(|m| !m.full_name().ends_with(".Value"))
            {
                self.error(item.position, "an empty item").hint("remove it or give it a value");
            } else {
                self.value(item, field, rules, out);
            }
            self.path.pop();
        }
    }

    fn unique(&mut self, items: &[Node]) {
        let mut texts: Vec<_> =
            items.iter().filter_map(|item| Some((item.text()?, item.position))).collect();
        texts.sort_by(|a, b| a.0.cmp(b.0).then(a.1.cmp(&b.1)));
        for pair in texts.windows(2) {
            if pair[0].0 == pair[1].0 {
                self.error(pair[1].1, format!("{:?} is in the list twice", shortened(pair[1].0)));
            }
        }
    }

    fn map(&mut self, node: &Node, field: &'static Field, out: &mut Vec<u8>) {
        let (Some(entries), Some(entry)) = (node.entries(), field.message()) else {
            self.error(node.position, format!("expected a mapping, found {}", node.kind()));
            return;
        };
        let (Some(key_field), Some(value_field)) = (entry.field(1), entry.field(2)) else { return };
        if let Err(text) = pgv::check_count(field.rules(), entries.len()) {
            self.error(node.position, text);
        }
        let (mut key_rules, mut value_rules): (&[Rule], &[Rule]) = (&[], &[]);
        for rule in field.rules() {
            match rule {
                Rule::Keys(nested) => key_rules = nested,
                Rule::Values(nested) => value_rules = nested,
                _ => {}
            }
        }
        let mut lines = std::collections::HashMap::new();
        for (key, value) in entries {
            self.path.push_key(key.text().unwrap_or_default());
            if let Some(first) =
                lines.insert(key.text().unwrap_or_default().to_owned(), key.position.line)
            {
                self.error(key.position, "given twice").hint(format!("first on line {first}"));
            }
            let mut encoded = Vec::new();
            self.value(key, key_field, key_rules, &mut encoded);
            if !is_absent(value, value_field) {
                self.value(value, value_field, value_rules, &mut encoded);
            }
            wire::put_bytes(out, field.number(), &encoded);
            self.path.pop();
        }
    }

    /// Appends one value of a field: the field itself, or an item, key or value of it.
    fn value(&mut self, node: &Node, field: &'static Field, rules: &[Rule], out: &mut Vec<u8>) {
        let Some(message) = field.message() else {
            scalar::write(self, node, field, rules, out);
            return;
        };
        let mut encoded = Vec::new();
        if message.full_name() == "google.protobuf.Any" {
            any::write(self, node, &mut encoded);
        } else if !well_known::write(self, node, message, rules, &mut encoded) {
            self.fields(node, message, None, &mut encoded);
        }
        wire::put_bytes(out, field.number(), &encoded);
    }

    /// Notes the fields and oneofs that must be set and are not.
    fn missing(&mut self, node: &Node, message: &'static Message, seen: &Seen) {
        let mut texts = Vec::new();
        for (index, field) in message.fields().iter().enumerate() {
            if !seen.filled[index]
                && !field.rules().is_empty()
                && field.oneof_index().is_none()
                && let Err(text) = pgv::check_absent(field)
            {
                texts.push(format!("{:?} {text}", field.name()));
            }
        }
        for (index, oneof) in message.oneofs().iter().enumerate() {
            if oneof.is_required() && !seen.oneofs[index].1 {
                let members = message.fields().iter();
                let members: Vec<_> = members
                    .filter(|field| field.oneof_index() == Some(index))
                    .map(|field| format!("{:?}", field.name()))
                    .collect();
                texts.push(match members.as_slice() {
                    [only] => format!("{only} is missing"),
                    _ => format!("one of {} is missing", members.join(", ")),
                });
            }
        }
        for text in texts {
            self.error(node.position, text);
        }
    }
}

/// Null is the absence of a field, but a value of `google.protobuf.Value`.
fn is_absent(node: &Node, field: &'static Field) -> bool {
    let holds_null = field.label() == Label::Singular
        && field.message().is_some_and(|message| message.full_name() == "google.protobuf.Value");
    node.is_null() && !holds_null && !is_text(node, field)
}

/// Whether the node is a plain word such as `null` for a text field; only an empty one is absent.
fn is_text(node: &Node, field: &'static Field) -> bool {
    field.kind() == palanquin_proto::schema::Kind::String
        && node.text().is_some_and(|text| !text.is_empty() && text != "null" && text != "~")
}

/// Joins at most a dozen names.
pub(crate) fn listed<'n>(prefix: &str, names: impl Iterator<Item = &'n str>) -> String {
    let names: Vec<_> = names.collect();
    let shown = names.len().min(12);
    let more = if names.len() > shown { ", ..." } else { "" };
    format!("{prefix}{}{more}", names[..shown].join(", "))
}

/// What of a message was met so far, by index into its fields and oneofs.
struct Seen {
    /// The line of each field's key; 0 if it was not met.
    lines: Vec<u32>,
    /// The fields that have a value.
    filled: Vec<bool>,
    /// The first field met of each oneof, and whether one of them has a value.
    oneofs: Vec<(Option<&'static str>, bool)>,
}

impl Seen {
    fn new(message: &Message) -> Self {
        Self {
            lines: vec![0; message.fields().len()],
            filled: vec![false; message.fields().len()],
            oneofs: vec![(None, false); message.oneofs().len()],
        }
    }

    fn fill(&mut self, index: usize, field: &Field) {
        self.filled[index] = true;
        if let Some(oneof) = field.oneof_index() {
            self.oneofs[oneof].1 = true;
        }
    }
}
