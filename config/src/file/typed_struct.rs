//! TypedStruct as it comes over xDS: a message written as `google.protobuf.Struct`.

use palanquin_proto::schema;
use prost::Message as _;
use prost_types::value::Kind;
use prost_types::{Any, Struct, Value as PbValue};

use super::any::{TYPE_URL_PREFIX, is_typed_struct};
use super::walk::{UnknownFields, Walker};
use super::wire::last_bytes;
use super::yaml::{MAX_DEPTH, Node, Value};
use crate::diagnostic::{FieldPath, Position, Problems};

/// The type that a TypedStruct says it is; `None` if `any` is none, or is malformed.
pub fn typed_struct_type(any: &Any) -> Option<&str> {
    if !is_typed_struct(&any.type_url) {
        return None;
    }
    std::str::from_utf8(last_bytes(&any.value, 1)?).ok()
}

/// Turns a TypedStruct of a type that we know into an `Any` of that type.
///
/// `None` when there is nothing to turn: it is not a TypedStruct, or nobody here knows its type.
/// Faults of its content are noted at `path`; then the result must not be used.
pub fn unpack_typed_struct(any: &Any, path: &FieldPath, problems: &mut Problems) -> Option<Any> {
    let message = schema::message_of_url(typed_struct_type(any)?)?;
    let type_url = format!("{TYPE_URL_PREFIX}{}", message.full_name());
    let value = last_bytes(&any.value, 2).unwrap_or_default();
    let value = match Struct::decode(value) {
        Ok(value) => value,
        Err(error) => {
            problems.error(path, format!("the TypedStruct cannot be decoded: {error}"));
            return None;
        }
    };
    let Some(tree) = tree_of_struct(value, MAX_DEPTH) else {
        problems.error(path, format!("nested deeper than {MAX_DEPTH} levels"));
        return None;
    };
    let mut found = Problems::new();
    let mut walker = Walker::new(&mut found, UnknownFields::Reject);
    walker.path = path.clone();
    let value = walker.message(&tree, message);
    // The tree was made here: its positions mean nothing.
    for problem in found.iter_mut() {
        problem.position = None;
    }
    problems.append(found);
    Some(Any { type_url, value })
}

fn tree_of_struct(value: Struct, depth: u16) -> Option<Node> {
    let entries = value.fields.into_iter().map(|(key, value)| {
        Some((Node::scalar(key, false, Position::default()), tree_of_value(value, depth)?))
    });
    Some(Node::of(Value::Map(entries.collect::<Option<_>>()?), Position::default()))
}

fn tree_of_value(value: PbValue, depth: u16) -> Option<Node> {
    let depth = depth.checked_sub(1)?;
    let at = Position::default();
    Some(match value.kind {
        None | Some(Kind::NullValue(_)) => Node::scalar("null", true, at),
        Some(Kind::BoolValue(value)) => Node::scalar(value.to_string(), true, at),
        Some(Kind::NumberValue(value)) => Node::scalar(value.to_string(), true, at),
        Some(Kind::StringValue(text)) => Node::scalar(text, false, at),
        Some(Kind::StructValue(value)) => tree_of_struct(value, depth)?,
        Some(Kind::ListValue(list)) => {
            let items = list.values.into_iter().map(|value| tree_of_value(value, depth));
            Node::of(Value::List(items.collect::<Option<_>>()?), at)
        }
    })
}

#[cfg(test)]
mod tests {
    use palanquin_proto::palanquin::tenant::v1::TenantFilter;
    use palanquin_proto::xds::r#type::v3::TypedStruct;
    use prost::{Message as _, Name};
    use prost_types::{Any, Struct, Value, value::Kind};

    use super::unpack_typed_struct;
    use crate::diagnostic::{FieldPath, Problems};

    fn typed(type_url: &str, fields: &[(&str, Kind)]) -> Any {
        let value = Struct {
            fields: fields
                .iter()
                .map(|(name, kind)| ((*name).to_owned(), Value { kind: Some(kind.clone()) }))
                .collect(),
        };
        let message = TypedStruct { type_url: type_url.to_owned(), value: Some(value) };
        Any { type_url: TypedStruct::type_url(), value: message.encode_to_vec() }
    }

    #[test]
    fn a_typed_struct_of_a_known_type_becomes_that_type() {
        let any = typed(
            "type.googleapis.com/palanquin.tenant.v1.TenantFilter",
            &[
                ("stat_prefix", Kind::StringValue("t".to_owned())),
                ("shadow", Kind::BoolValue(true)),
                ("on_unknown", Kind::NumberValue(1.0)),
            ],
        );
        let mut problems = Problems::new();
        let any = unpack_typed_struct(&any, &FieldPath::new(), &mut problems).unwrap();
        let filter = TenantFilter::decode(any.value.as_slice()).unwrap();
        assert!(problems.is_empty());
        assert_eq!(any.type_url, TenantFilter::type_url());
        assert_eq!((filter.stat_prefix.as_str(), filter.shadow, filter.on_unknown), ("t", true, 1));
    }

    #[test]
    fn faults_inside_are_noted_below_the_path_of_the_extension() {
        let any = typed(
            "palanquin.tenant.v1.TenantFilter",
            &[("stat_prefx", Kind::StringValue("t".to_owned()))],
        );
        let mut problems = Problems::new();
        let mut path = FieldPath::new();
        path.push_field("typed_config");
        unpack_typed_struct(&any, &path, &mut problems);
        assert_eq!(
            problems.summary(),
            "typed_config.stat_prefx: palanquin.tenant.v1.TenantFilter has no such field \
             (did you mean \"stat_prefix\"?)"
        );
    }

    #[test]
    fn a_type_that_nobody_knows_stays_as_it_is() {
        let any = typed("type.googleapis.com/istio.metadata_exchange", &[]);
        assert!(unpack_typed_struct(&any, &FieldPath::new(), &mut Problems::new()).is_none());
    }
}
