//! Typed extensions in files: `"@type"` mappings, and TypedStruct inside them.

use palanquin_proto::schema::{self, Message};

use super::walk::Walker;
use super::yaml::{Node, shortened};
use super::{well_known, wire};
use crate::diagnostic::closest;

/// What begins every type URL that we write.
pub(crate) const TYPE_URL_PREFIX: &str = "type.googleapis.com/";

/// Both names of TypedStruct.
pub(crate) const TYPED_STRUCTS: [&str; 2] = ["xds.type.v3.TypedStruct", "udpa.type.v1.TypedStruct"];

/// Whether a message or type URL names a TypedStruct.
pub fn is_typed_struct(type_url: &str) -> bool {
    TYPED_STRUCTS.contains(&type_url.rsplit('/').next().unwrap_or(type_url))
}

/// Appends the fields of an `Any`.
///
/// A TypedStruct of a type that we know is written as that type, so that whoever lowers it sees
/// one form only; of another type it stays a TypedStruct.
pub(crate) fn write(walker: &mut Walker<'_>, node: &Node, out: &mut Vec<u8>) {
    let Some((message, at)) = message_type(walker, node) else { return };
    let (message, body) = if is_typed_struct(message.full_name()) {
        match typed_struct(walker, node) {
            Some((inner, value)) => {
                walker.path.push_field("value");
                let body = match value {
                    Some(value) => walker.message(value, inner),
                    None => walker.message(&Node::of(super::yaml::Value::Map(vec![]), at), inner),
                };
                walker.path.pop();
                (inner, body)
            }
            None => (message, plain(walker, node, message)),
        }
    } else {
        (message, plain(walker, node, message))
    };
    wire::put_bytes(out, 1, format!("{TYPE_URL_PREFIX}{}", message.full_name()).as_bytes());
    wire::put_bytes(out, 2, &body);
}

/// The type that `"@type"` names.
fn message_type(
    walker: &mut Walker<'_>,
    node: &Node,
) -> Option<(&'static Message, crate::diagnostic::Position)> {
    if node.entries().is_none() {
        let text = format!("expected a typed extension (a mapping), found {}", node.kind());
        walker.error(node.position, text);
        return None;
    }
    if node.entries().is_some_and(<[_]>::is_empty) {
        // `{}` is the empty Any in protobuf's JSON; who needs a type says so itself.
        return None;
    }
    let Some(url) = node.get("@type") else {
        walker.error(node.position, "\"@type\" is missing").hint(
            "e.g. \"@type\": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router",
        );
        return None;
    };
    let text = url.text().unwrap_or_default();
    let Some(message) = schema::message_of_url(text) else {
        walker.path.push_field("@type");
        unknown_type(walker, url, text);
        walker.path.pop();
        return None;
    };
    Some((message, url.position))
}

fn unknown_type(walker: &mut Walker<'_>, node: &Node, url: &str) {
    let name = url.rsplit('/').next().unwrap_or(url);
    // Among types of the same last name first: the package is what people get wrong.
    let last = |name: &str| name.rsplit('.').next().unwrap_or_default().to_owned();
    let same: Vec<_> = schema::messages()
        .iter()
        .map(Message::full_name)
        .filter(|known| last(known) == last(name))
        .collect();
    let close = closest(name, same)
        .or_else(|| closest(name, schema::messages().iter().map(Message::full_name)));
    let problem = walker.error(node.position, format!("unknown type {:?}", shortened(name)));
    match close {
        Some(close) => problem.hint(format!("did you mean {close}?")),
        None => problem.hint(
            "for a type that only the extension knows, use xds.type.v3.TypedStruct (Envoy too)",
        ),
    };
}

/// The known type inside a TypedStruct, and its value.
fn typed_struct<'n>(
    walker: &mut Walker<'_>,
    node: &'n Node,
) -> Option<(&'static Message, Option<&'n Node>)> {
    let url = node.get("type_url").or_else(|| node.get("typeUrl"))?;
    let message = schema::message_of_url(url.text()?)?;
    for (key, _) in node.entries().unwrap_or_default() {
        if !matches!(key.text(), Some("@type" | "type_url" | "typeUrl" | "value")) {
            let text = "TypedStruct has the fields type_url and value only";
            walker.error(key.position, text).hint("settings go under \"value\"");
        }
    }
    Some((message, node.get("value").filter(|value| !value.is_null())))
}

/// The body of an `Any` of this type.
fn plain(walker: &mut Walker<'_>, node: &Node, message: &'static Message) -> Vec<u8> {
    let mut body = Vec::new();
    if !well_known::has_own_json(message) {
        walker.fields(node, message, Some("@type"), &mut body);
    } else if let Some(value) = node.get("value") {
        walker.path.push_field("value");
        body = walker.message(value, message);
        walker.path.pop();
    }
    body
}
