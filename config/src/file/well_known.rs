//! The messages of `google.protobuf` that have a JSON form of their own.

use palanquin_proto::schema::{Message, Rule};

use super::walk::{Fractions, Walker};
use super::yaml::{Node, Value, shortened};
use super::{any, pgv, scalar, wire};

/// Whether a message is written as something else than a mapping of its fields.
pub(crate) fn has_own_json(message: &Message) -> bool {
    message.full_name().strip_prefix("google.protobuf.").is_some_and(|name| name != "Empty")
}

/// Appends a message with a JSON form of its own; `false` if it has none.
pub(crate) fn write(
    walker: &mut Walker<'_>,
    node: &Node,
    message: &'static Message,
    rules: &[Rule],
    out: &mut Vec<u8>,
) -> bool {
    let Some(name) = message.full_name().strip_prefix("google.protobuf.") else { return false };
    match name {
        "Any" => any::write(walker, node, out),
        "Duration" => duration(walker, node, rules, out),
        "FieldMask" => field_mask(walker, node, out),
        "ListValue" => list_value(walker, node, out),
        "Struct" => structure(walker, node, out),
        "Timestamp" => timestamp(walker, node, out),
        "Value" => any_value(node, walker.fractions, out),
        _ => {
            let Some(value) = message.field(1).filter(|field| field.name() == "value") else {
                return false;
            };
            scalar::write(walker, node, value, rules, out);
        }
    }
    true
}

fn duration(walker: &mut Walker<'_>, node: &Node, rules: &[Rule], out: &mut Vec<u8>) {
    let Some(text) = node.text() else {
        let text = format!("expected a duration such as 1.5s, found {}", node.kind());
        walker.error(node.position, text);
        return;
    };
    let Some((seconds, nanos)) = parse_duration(text) else {
        let problem =
            walker.error(node.position, format!("{:?} is not a duration", shortened(text)));
        problem.hint(duration_hint(text));
        return;
    };
    #[expect(clippy::cast_sign_loss, reason = "negative numbers are sign-extended on the wire")]
    {
        wire::put_varint_field(out, 1, seconds as u64);
        wire::put_varint_field(out, 2, i64::from(nanos) as u64);
    }
    #[expect(clippy::cast_precision_loss, reason = "limits are seconds or milliseconds")]
    if let Err(text) = pgv::check_number(rules, seconds as f64 + f64::from(nanos) / 1e9) {
        walker.error(node.position, format!("{text} (seconds)"));
    }
}

/// Reads `-?[0-9]+(.[0-9]{1,9})?s` into seconds and nanoseconds of the same sign.
fn parse_duration(text: &str) -> Option<(i64, i32)> {
    let number = text.strip_suffix('s')?;
    let (negative, number) = match number.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, number),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() && fraction.is_empty() || !digits(whole) || !digits(fraction) {
        return None;
    }
    if fraction.len() > 9 {
        return None;
    }
    let seconds: i64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let nanos: i32 = format!("{fraction:0<9}").parse().ok()?;
    // The limit of google.protobuf.Duration, about 10,000 years.
    if seconds > 315_576_000_000 {
        return None;
    }
    Some(if negative { (-seconds, -nanos) } else { (seconds, nanos) })
}

fn duration_hint(text: &str) -> String {
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let Ok(number) = number.parse::<f64>() else {
        return "a number of seconds with the unit: 1.5s".to_owned();
    };
    let seconds = match unit.trim() {
        "" | "sec" | "secs" | "second" | "seconds" => number,
        "ms" => number / 1e3,
        "us" => number / 1e6,
        "m" | "min" => number * 60.0,
        "h" => number * 3600.0,
        _ => return "a number of seconds with the unit: 1.5s".to_owned(),
    };
    format!("durations are in seconds: write {seconds}s")
}

fn timestamp(walker: &mut Walker<'_>, node: &Node, out: &mut Vec<u8>) {
    let parsed = node.text().and_then(|text| text.parse::<prost_types::Timestamp>().ok());
    let Some(time) = parsed else {
        let text = format!("expected a time such as 2026-01-31T12:00:00Z, found {}", node.kind());
        walker.error(node.position, text);
        return;
    };
    #[expect(clippy::cast_sign_loss, reason = "negative numbers are sign-extended on the wire")]
    {
        wire::put_varint_field(out, 1, time.seconds as u64);
        wire::put_varint_field(out, 2, i64::from(time.nanos) as u64);
    }
}

fn field_mask(walker: &mut Walker<'_>, node: &Node, out: &mut Vec<u8>) {
    let Some(text) = node.text() else {
        let text = format!("expected field names such as \"a,b.c\", found {}", node.kind());
        walker.error(node.position, text);
        return;
    };
    for path in text.split(',').map(str::trim).filter(|path| !path.is_empty()) {
        let mut snake = String::new();
        for character in path.chars() {
            if character.is_ascii_uppercase() {
                snake.push('_');
            }
            snake.push(character.to_ascii_lowercase());
        }
        wire::put_bytes(out, 1, snake.as_bytes());
    }
}

fn structure(walker: &mut Walker<'_>, node: &Node, out: &mut Vec<u8>) {
    if let Some(entries) = node.entries() {
        map_of_values(entries, walker.fractions, out);
    } else {
        let text = format!("expected a mapping (free form), found {}", node.kind());
        walker.error(node.position, text);
    }
}

fn list_value(walker: &mut Walker<'_>, node: &Node, out: &mut Vec<u8>) {
    match &node.value {
        Value::List(items) => list_of_values(items, walker.fractions, out),
        _ => {
            walker.error(node.position, format!("expected a list, found {}", node.kind()));
        }
    }
}

fn map_of_values(entries: &[(Node, Node)], fractions: Fractions, out: &mut Vec<u8>) {
    for (key, value) in entries {
        let mut entry = Vec::new();
        wire::put_bytes(&mut entry, 1, key.text().unwrap_or_default().as_bytes());
        let mut encoded = Vec::new();
        any_value(value, fractions, &mut encoded);
        wire::put_bytes(&mut entry, 2, &encoded);
        wire::put_bytes(out, 1, &entry);
    }
}

fn list_of_values(items: &[Node], fractions: Fractions, out: &mut Vec<u8>) {
    for item in items {
        let mut encoded = Vec::new();
        any_value(item, fractions, &mut encoded);
        wire::put_bytes(out, 1, &encoded);
    }
}

/// Appends a `google.protobuf.Value`; anything is one.
///
/// Plain scalars are typed as Envoy 1.40 types them: null, boolean, whole number, else text; in JSON
/// fractions are numbers too. A whole number that a double cannot hold stays a text.
fn any_value(node: &Node, fractions: Fractions, out: &mut Vec<u8>) {
    let mut nested = Vec::new();
    match &node.value {
        Value::Map(entries) => {
            map_of_values(entries, fractions, &mut nested);
            wire::put_bytes(out, 5, &nested);
        }
        Value::List(items) => {
            list_of_values(items, fractions, &mut nested);
            wire::put_bytes(out, 6, &nested);
        }
        Value::Scalar { .. } if node.is_null() => wire::put_varint_field(out, 1, 0),
        Value::Scalar { text, plain } => {
            match (scalar::boolean(text, *plain), number(text, fractions)) {
                (Some(value), _) if *plain => wire::put_varint_field(out, 4, u64::from(value)),
                (_, Some(value)) if *plain => wire::put_fixed64(out, 2, value.to_bits()),
                _ => wire::put_bytes(out, 3, text.as_bytes()),
            }
        }
    }
}

fn number(text: &str, fractions: Fractions) -> Option<f64> {
    if fractions == Fractions::Texts {
        let whole = scalar::other_base(text).or_else(|| text.parse().ok())?;
        #[expect(clippy::cast_precision_loss, reason = "below 2^53")]
        return (whole.unsigned_abs() < 1 << 53).then_some(whole as f64);
    }
    // Rust also reads "inf", "nan" and "1e400"; these are texts here.
    let first = text.trim_start_matches(['-', '+', '.']).as_bytes().first()?;
    let value: f64 = text.parse().ok()?;
    let exact = value.fract() != 0.0 || value.abs() < 9_007_199_254_740_992.0;
    (first.is_ascii_digit() && value.is_finite() && exact).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::{Fractions, duration_hint, number, parse_duration};

    #[test]
    fn durations_keep_nanoseconds_and_sign() {
        assert_eq!(parse_duration("1.5s"), Some((1, 500_000_000)));
        assert_eq!(parse_duration("0.000000001s"), Some((0, 1)));
        assert_eq!(parse_duration("-2.25s"), Some((-2, -250_000_000)));
    }

    #[test]
    fn what_is_no_duration_is_refused_with_the_right_spelling() {
        for text in ["5", "15ms", "s", "-s", "1.2.3s", "1e3s", "+1s", "400000000000s"] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
        assert_eq!(duration_hint("15ms"), "durations are in seconds: write 0.015s");
        assert_eq!(duration_hint("5"), "durations are in seconds: write 5s");
        assert_eq!(duration_hint("2m"), "durations are in seconds: write 120s");
    }

    #[test]
    fn words_that_rust_reads_as_numbers_stay_texts() {
        let number = |text| number(text, Fractions::Numbers);
        assert_eq!(number("inf"), None);
        assert_eq!(number("1e999"), None);
        assert_eq!(number("9007199254740993"), None);
        assert_eq!(number("-1.5"), Some(-1.5));
    }

    #[test]
    fn in_yaml_only_whole_numbers_are_numbers_as_envoy_has_it() {
        let number = |text| number(text, Fractions::Texts);
        assert_eq!(number("0x10"), Some(16.0));
        assert_eq!(number("012"), Some(10.0));
        assert_eq!(number("-5"), Some(-5.0));
        assert_eq!(number("1.5"), None);
        assert_eq!(number("1e3"), None);
        assert_eq!(number("9007199254740993"), None);
    }
}
