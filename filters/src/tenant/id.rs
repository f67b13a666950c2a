//! Tenant ids.

use palanquin_config::ir::matcher::StringMatcher;

/// The longest id, also where a pattern of the configuration decides on the rest.
const MAX_LEN: usize = 63;

/// Brings an id into its one form (ASCII lower case) and checks it: `[a-z0-9._-]{1,63}`, or `valid` in
/// place of the alphabet. A leading underscore is ours (`_other`). The text is normalised in `buffer`.
pub(super) fn normalize<'b>(
    raw: &str,
    valid: Option<&StringMatcher>,
    buffer: &'b mut String,
) -> Option<&'b str> {
    if raw.is_empty() || raw.len() > MAX_LEN || raw.starts_with('_') {
        return None;
    }
    buffer.clear();
    buffer.push_str(raw);
    buffer.make_ascii_lowercase();
    let good = match valid {
        // What goes into headers, statistics and logs stays printable whatever the pattern says.
        Some(pattern) => {
            pattern.matches(buffer.as_bytes()) && buffer.bytes().all(|byte| byte.is_ascii_graphic())
        }
        None => buffer
            .bytes()
            .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-')),
    };
    good.then_some(buffer.as_str())
}

#[cfg(test)]
mod tests {
    use super::normalize;

    #[test]
    fn ids_are_lower_case_and_plain() {
        let mut buffer = String::new();
        assert_eq!(normalize("Acme-1.eu", None, &mut buffer), Some("acme-1.eu"));
        for wrong in ["", "_other", "a/b", "a b", "ä", &"x".repeat(64)] {
            assert_eq!(normalize(wrong, None, &mut buffer), None, "{wrong}");
        }
    }
}
