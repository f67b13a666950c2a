//! Translates `validate.FieldRules` into the constants of `palanquin_proto::schema::Rule`.

use prost_reflect::{DynamicMessage, Value};

/// Renders the rules of one field as a Rust slice literal.
pub(crate) fn render(rules: &DynamicMessage) -> String {
    let mut out = Vec::new();
    for (field, value) in rules.fields() {
        let Some(set) = value.as_message() else { continue };
        match field.name() {
            "message" | "any" | "timestamp" | "duration" => common(set, &mut out),
            "repeated" => {
                common(set, &mut out);
                nested(set, "items", "Items", &mut out);
            }
            "map" => {
                common(set, &mut out);
                nested(set, "keys", "Keys", &mut out);
                nested(set, "values", "Values", &mut out);
            }
            "string" => strings(set, &mut out),
            _ => common(set, &mut out),
        }
    }
    if out.is_empty() { "&[]".to_owned() } else { format!("&[{}]", out.join(",")) }
}

/// Every rule that reads the same wherever it occurs.
fn common(set: &DynamicMessage, out: &mut Vec<String>) {
    for (field, value) in set.fields() {
        let rule = match (field.name(), value) {
            ("required", Value::Bool(true)) => "V::Required".to_owned(),
            ("ignore_empty", Value::Bool(true)) => "V::IgnoreEmpty".to_owned(),
            ("defined_only", Value::Bool(true)) => "V::DefinedOnly".to_owned(),
            ("unique", Value::Bool(true)) => "V::Unique".to_owned(),
            ("gt", limit) => format!("V::Gt({:?})", float(limit)),
            ("gte", limit) => format!("V::Gte({:?})", float(limit)),
            ("lt", limit) => format!("V::Lt({:?})", float(limit)),
            ("lte", limit) => format!("V::Lte({:?})", float(limit)),
            ("min_len", limit) => format!("V::MinLen({})", float(limit)),
            ("max_len", limit) => format!("V::MaxLen({})", float(limit)),
            ("min_bytes", limit) => format!("V::MinBytes({})", float(limit)),
            ("max_bytes", limit) => format!("V::MaxBytes({})", float(limit)),
            ("min_items", limit) => format!("V::MinItems({})", float(limit)),
            ("max_items", limit) => format!("V::MaxItems({})", float(limit)),
            ("min_pairs", limit) => format!("V::MinPairs({})", float(limit)),
            ("max_pairs", limit) => format!("V::MaxPairs({})", float(limit)),
            ("const", Value::Bool(value)) => format!("V::InNumbers(&[{}])", i64::from(*value)),
            ("in", Value::List(list)) => listed("In", list),
            ("not_in", Value::List(list)) => listed("NotIn", list),
            _ => continue,
        };
        out.push(rule);
    }
}

fn strings(set: &DynamicMessage, out: &mut Vec<String>) {
    // `well_known_regex` is strict unless said otherwise.
    let strict = !set.has_field_by_name("strict")
        || set.get_field_by_name("strict").is_some_and(|value| value.as_bool() == Some(true));
    common(set, out);
    for (field, value) in set.fields() {
        let rule = match (field.name(), value) {
            ("pattern", Value::String(text)) => format!("V::Pattern({text:?})"),
            ("prefix", Value::String(text)) => format!("V::Prefix({text:?})"),
            ("suffix", Value::String(text)) => format!("V::Suffix({text:?})"),
            ("const", Value::String(text)) => format!("V::InStrings(&[{text:?}])"),
            ("uri", Value::Bool(true)) => "V::Uri".to_owned(),
            ("uri_ref", Value::Bool(true)) => "V::UriRef".to_owned(),
            ("ip", Value::Bool(true)) => "V::Ip".to_owned(),
            ("address", Value::Bool(true)) => "V::Address".to_owned(),
            ("hostname", Value::Bool(true)) => "V::Hostname".to_owned(),
            ("well_known_regex", Value::EnumNumber(1)) => format!("V::HeaderName({strict})"),
            ("well_known_regex", Value::EnumNumber(2)) => format!("V::HeaderValue({strict})"),
            _ => continue,
        };
        out.push(rule);
    }
}

fn nested(set: &DynamicMessage, field: &str, name: &str, out: &mut Vec<String>) {
    if !set.has_field_by_name(field) {
        return;
    }
    let Some(value) = set.get_field_by_name(field) else { return };
    let rules = value.as_message().map(render).unwrap_or_default();
    if !rules.is_empty() && rules != "&[]" {
        out.push(format!("V::{name}({rules})"));
    }
}

fn listed(name: &str, list: &[Value]) -> String {
    let strings: Vec<_> = list.iter().filter_map(|value| value.as_str()).collect();
    if strings.is_empty() {
        let numbers: Vec<_> = list.iter().map(|value| float(value).to_string()).collect();
        format!("V::{name}Numbers(&[{}])", numbers.join(","))
    } else {
        format!("V::{name}Strings(&{strings:?})")
    }
}

/// A number, or a duration in seconds.
fn float(value: &Value) -> f64 {
    match value {
        Value::I32(number) => f64::from(*number),
        Value::EnumNumber(number) => f64::from(*number),
        Value::U32(number) => f64::from(*number),
        Value::F32(number) => f64::from(*number),
        Value::F64(number) => *number,
        #[expect(clippy::cast_precision_loss, reason = "limits in the definitions are small")]
        Value::I64(number) => *number as f64,
        #[expect(clippy::cast_precision_loss, reason = "limits in the definitions are small")]
        Value::U64(number) => *number as f64,
        Value::Message(duration) => {
            let part = |name| duration.get_field_by_name(name).map_or(0.0, |value| float(&value));
            part("seconds") + part("nanos") / 1e9
        }
        _ => 0.0,
    }
}
