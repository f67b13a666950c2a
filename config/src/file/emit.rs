//! Writes a JSON value as YAML for people: block style, quotes only where they are needed.

use std::fmt::Write;

use serde_json::Value;

use super::scalar;
use super::yaml::Node;
use crate::diagnostic::Position;

/// Renders a mapping or list as a YAML document.
pub fn to_yaml(value: &Value) -> String {
    let mut out = String::new();
    match value {
        Value::Object(map) if map.is_empty() => out.push_str("{}\n"),
        Value::Array(list) if list.is_empty() => out.push_str("[]\n"),
        Value::Object(_) | Value::Array(_) => block(&mut out, value, 0, false),
        _ => {
            leaf(&mut out, value);
            out.push('\n');
        }
    }
    out
}

/// Appends a non-empty mapping or list; `inline` if the first line is already indented.
fn block(out: &mut String, value: &Value, indent: usize, inline: bool) {
    let mut first = inline;
    let mut start = |out: &mut String| {
        if !std::mem::take(&mut first) {
            let _ = write!(out, "{:indent$}", "");
        }
    };
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                start(out);
                text(out, key);
                out.push(':');
                match value {
                    Value::Object(inner) if !inner.is_empty() => {
                        out.push('\n');
                        block(out, value, indent + 2, false);
                    }
                    // Lists are not indented below their key.
                    Value::Array(inner) if !inner.is_empty() => {
                        out.push('\n');
                        block(out, value, indent, false);
                    }
                    _ => {
                        out.push(' ');
                        leaf(out, value);
                        out.push('\n');
                    }
                }
            }
        }
        Value::Array(list) => {
            for item in list {
                start(out);
                out.push_str("- ");
                match item {
                    Value::Object(inner) if !inner.is_empty() => block(out, item, indent + 2, true),
                    Value::Array(inner) if !inner.is_empty() => block(out, item, indent + 2, true),
                    _ => {
                        leaf(out, item);
                        out.push('\n');
                    }
                }
            }
        }
        _ => {}
    }
}

fn leaf(out: &mut String, value: &Value) {
    match value {
        Value::String(content) => text(out, content),
        Value::Object(_) => out.push_str("{}"),
        Value::Array(_) => out.push_str("[]"),
        other => {
            let _ = write!(out, "{other}");
        }
    }
}

fn text(out: &mut String, content: &str) {
    if is_plain(content) {
        out.push_str(content);
    } else {
        // A JSON string is a YAML double-quoted scalar.
        out.push_str(&Value::String(content.to_owned()).to_string());
    }
}

/// Whether a text can stand without quotes and is still read as that text, in YAML 1.1 too.
fn is_plain(content: &str) -> bool {
    let node = Node::scalar(content, true, Position::default());
    let begins = |first: char| first.is_ascii_alphanumeric() || "/_.".contains(first);
    let allowed = |byte: u8| {
        byte.is_ascii_alphanumeric() || b"/_.-+=~$()<>^;|".contains(&byte) || byte == b'*'
    };
    content.starts_with(begins)
        && content.bytes().all(allowed)
        && !node.is_null()
        && scalar::boolean(content, true).is_none()
        && !looks_like_number(content)
}

/// Numbers of YAML 1.1 and 1.2; `0.5s` and `10.0.0.1` are none.
fn looks_like_number(content: &str) -> bool {
    content.parse::<f64>().is_ok()
        || content.starts_with("0x")
        || content.starts_with("0o")
        || content.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_' || byte == b'-')
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::to_yaml;

    #[test]
    fn nesting_reads_as_a_person_would_write_it() {
        let value = json!({"a": {"b": [1, {"c": "x", "d": {}}, [true, null]]}, "e": []});
        assert_eq!(
            to_yaml(&value),
            "a:\n  b:\n  - 1\n  - c: x\n    d: {}\n  - - true\n    - null\ne: []\n"
        );
    }

    #[test]
    fn texts_that_would_be_read_as_something_else_are_quoted() {
        let value = json!({"@type": "type.googleapis.com/a.B", "n": "0", "y": "yes", "z": "a: b",
            "s": "0.5s", "e": "", "t": "~"});
        assert_eq!(
            to_yaml(&value),
            "\"@type\": type.googleapis.com/a.B\n\"n\": \"0\"\n\"y\": \"yes\"\nz: \"a: b\"\n\
             s: 0.5s\ne: \"\"\nt: \"~\"\n"
        );
    }
}
