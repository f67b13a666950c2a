//! Which of Envoy's fields are implemented, and a report of those that are set and are not.
//!
//! The list is data (`supported.txt`); the walk is over wire bytes, so that it can run on every
//! resource of a control plane. It goes into typed extensions whose message is listed, TypedStruct
//! included; an extension that is not listed is the business of the registry of extensions, which
//! knows whether it may be ignored.

use palanquin_proto::schema::{self, Field, Kind, Label, Message};
use prost_types::Any;

use crate::diagnostic::{FieldPath, Problems};
use crate::file::{Fields, Payload, split_any, typed_struct_type, unpack_typed_struct};

mod list;

use list::{Fate, List};

/// Deeper messages are not looked into; the decoder refuses them anyway.
const MAX_DEPTH: u8 = 100;

/// Reports every field that is set in a message and has no effect here: as a warning, or as an
/// error where ignoring it would weaken security.
///
/// `path` is where the message is; it is as before afterwards. A message whose type is unknown or
/// not listed gives no report, neither do malformed bytes: decoding them does.
pub fn unsupported(type_url: &str, bytes: &[u8], path: &mut FieldPath, problems: &mut Problems) {
    let Some(message) = schema::message_of_url(type_url) else { return };
    Walk { list: list::get(), path, problems }.message(message, bytes, 0);
}

struct Walk<'a> {
    list: &'static List,
    path: &'a mut FieldPath,
    problems: &'a mut Problems,
}

impl Walk<'_> {
    fn message(&mut self, message: &'static Message, bytes: &[u8], depth: u8) {
        if message.full_name() == "google.protobuf.Any" {
            self.any(bytes, depth);
            return;
        }
        let Some(fates) = self.list.fates(message) else { return };
        if depth > MAX_DEPTH {
            return;
        }
        // How often each repeated field was met: indexes for the path.
        let mut counts: Vec<(u32, usize)> = Vec::new();
        for (number, payload) in Fields::new(bytes).map_while(Result::ok) {
            let Some(field) = message.field(number) else {
                self.unknown(message, number);
                continue;
            };
            let index = match field.label() {
                Label::Repeated | Label::Map => count(&mut counts, number),
                Label::Optional | Label::Singular => 0,
            };
            match fates.of(field) {
                Fate::Supported => self.inside(field, index, payload, depth),
                Fate::Silent => {}
                // Once per field is enough.
                Fate::Unsupported | Fate::Rejected(_) if index > 0 => {}
                Fate::Unsupported if !is_default(field, payload) => {
                    self.path.push_field(field.name());
                    self.problems.warning(self.path, "not supported yet, it has no effect");
                    self.path.pop();
                }
                Fate::Rejected(reason) if !is_default(field, payload) => {
                    self.path.push_field(field.name());
                    let text = "not supported yet, and not safe to ignore";
                    self.problems.error(self.path, text).hint(reason);
                    self.path.pop();
                }
                Fate::Unsupported | Fate::Rejected(_) => {}
            }
        }
    }

    fn inside(&mut self, field: &'static Field, index: usize, payload: Payload<'_>, depth: u8) {
        let (Some(message), Payload::Bytes(bytes)) = (field.message(), payload) else { return };
        self.path.push_field(field.name());
        match field.label() {
            Label::Repeated => {
                self.path.push_index(index);
                self.message(message, bytes, depth + 1);
                self.path.pop();
            }
            Label::Map => self.entry(message, bytes, depth),
            Label::Optional | Label::Singular => self.message(message, bytes, depth + 1),
        }
        self.path.pop();
    }

    fn entry(&mut self, entry: &'static Message, bytes: &[u8], depth: u8) {
        let Some(value) = entry.field(2).and_then(Field::message) else { return };
        let key = crate::file::last_bytes(bytes, 1).unwrap_or_default();
        self.path.push_key(&String::from_utf8_lossy(key));
        let bytes = crate::file::last_bytes(bytes, 2).unwrap_or_default();
        self.message(value, bytes, depth + 1);
        self.path.pop();
    }

    fn any(&mut self, bytes: &[u8], depth: u8) {
        let (type_url, value) = split_any(bytes);
        let Some(message) = schema::message_of_url(type_url) else { return };
        let any = Any { type_url: type_url.to_owned(), value: Vec::new() };
        if !crate::file::is_typed_struct(type_url) {
            self.message(message, value, depth + 1);
            return;
        }
        let any = Any { value: value.to_vec(), ..any };
        if typed_struct_type(&any).and_then(schema::message_of_url).is_none() {
            return;
        }
        // Faults of the content are reported by whoever uses it.
        let mut ignored = Problems::new();
        if let Some(inner) = unpack_typed_struct(&any, self.path, &mut ignored)
            && let Some(message) = schema::message_of_url(&inner.type_url)
        {
            self.message(message, &inner.value, depth + 1);
        }
    }

    /// A field that the table does not have: the sender is newer than we are.
    fn unknown(&mut self, message: &'static Message, number: u32) {
        let text = format!("field {number} of {} is not known here", message.full_name());
        self.problems.warning(self.path, text);
    }
}

fn count(counts: &mut Vec<(u32, usize)>, number: u32) -> usize {
    if let Some(entry) = counts.iter_mut().find(|entry| entry.0 == number) {
        entry.1 += 1;
        return entry.1;
    }
    counts.push((number, 0));
    0
}

/// Whether setting the field to this is the same as not setting it.
fn is_default(field: &'static Field, payload: Payload<'_>) -> bool {
    let implicit = field.label() == Label::Singular && field.oneof_index().is_none();
    implicit
        && match payload {
            Payload::Varint(value) | Payload::Fixed64(value) => value == 0,
            Payload::Fixed32(value) => value == 0,
            Payload::Bytes(bytes) => {
                bytes.is_empty() && matches!(field.kind(), Kind::String | Kind::Bytes)
            }
        }
}

#[cfg(test)]
mod tests;
