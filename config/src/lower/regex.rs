//! Regular expressions: RE2's language, compiled by the `regex` crate.
//!
//! Both are automata without back-references, with nearly one syntax. The differences that change what
//! a pattern matches are translated: in RE2 `\d`, `\w`, `\s` and `\b` are ASCII, `\Q..\E` quotes, and
//! within brackets only `]`, `\`, `^`, `-` and `[:` are special.

use palanquin_proto::envoy::r#type::matcher::v3::RegexMatchAndSubstitute;
use palanquin_proto::envoy::r#type::matcher::v3::RegexMatcher;
use regex::Regex;
use regex::RegexBuilder;
use regex::bytes;

use super::Lowering;
use crate::ir::route::RegexRewrite;

/// The most memory a compiled pattern may take; larger ones are refused.
const SIZE_LIMIT: usize = 2 << 20;

impl Lowering<'_> {
    /// A pattern that must match a whole text.
    pub(super) fn full_match(&mut self, matcher: &RegexMatcher) -> Option<Regex> {
        self.compile(&anchored(&matcher.regex), &matcher.regex)
    }

    /// As [`Self::full_match`], for texts that need not be UTF-8.
    pub(super) fn full_match_bytes(&mut self, pattern: &str) -> Option<bytes::Regex> {
        bytes::RegexBuilder::new(&anchored(pattern))
            .size_limit(SIZE_LIMIT)
            .build()
            .map_err(|error| self.invalid(pattern, &error))
            .ok()
    }

    /// A rewrite: the pattern matches anywhere, every match is replaced.
    pub(super) fn regex_rewrite(
        &mut self,
        rewrite: &RegexMatchAndSubstitute,
    ) -> Option<RegexRewrite> {
        let Some(pattern) = &rewrite.pattern else {
            self.error_in("pattern", "a pattern is necessary");
            return None;
        };
        let regex =
            self.field("pattern", |cx| cx.compile(&translated(&pattern.regex), &pattern.regex))?;
        match substitution(&rewrite.substitution, regex.captures_len()) {
            Ok(substitution) => Some(RegexRewrite { regex, substitution }),
            Err(fault) => {
                self.error_in("substitution", fault);
                None
            }
        }
    }

    fn compile(&mut self, translated: &str, pattern: &str) -> Option<Regex> {
        RegexBuilder::new(translated)
            .size_limit(SIZE_LIMIT)
            .build()
            .map_err(|error| self.invalid(pattern, &error))
            .ok()
    }

    fn invalid(&mut self, pattern: &str, error: &regex::Error) {
        let reason = match error {
            regex::Error::CompiledTooBig(_) => "it is too big".to_owned(),
            // The last line says what is wrong; those before it draw the translated pattern.
            other => {
                let text = other.to_string();
                let last = text.lines().last().unwrap_or_default();
                last.strip_prefix("error: ").unwrap_or(last).to_owned()
            }
        };
        self.error_in("regex", format!("{pattern:?} is not a regular expression: {reason}"))
            .hint("RE2 syntax; look-around and back-references do not exist in it");
    }
}

fn anchored(pattern: &str) -> String {
    format!("^(?:{})$", translated(pattern))
}

/// RE2's syntax in the `regex` crate's.
fn translated(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len() + 8);
    let mut rest = pattern;
    let mut in_class = false;
    // The first characters of a class may be a literal `]`.
    let mut class_start = false;
    while let Some(character) = rest.chars().next() {
        let mut taken = character.len_utf8();
        let first = std::mem::take(&mut class_start);
        match character {
            '\\' => {
                let next = rest.chars().nth(1);
                taken += next.map_or(0, char::len_utf8);
                match next {
                    Some('Q') if !in_class => {
                        let quoted = rest.get(taken..).unwrap_or_default();
                        let (literal, length) = match quoted.split_once("\\E") {
                            Some((literal, _)) => (literal, literal.len() + 2),
                            None => (quoted, quoted.len()),
                        };
                        out.push_str(&regex::escape(literal));
                        taken += length;
                    }
                    Some(next) => out.push_str(&escape(next, in_class)),
                    None => out.push('\\'),
                }
            }
            '[' if in_class => match rest.strip_prefix("[:").and_then(|named| named.find(":]")) {
                Some(end) => {
                    taken = end + 4;
                    out.push_str(rest.get(..taken).unwrap_or_default());
                }
                None => out.push_str("\\["),
            },
            '[' => {
                in_class = true;
                class_start = true;
                out.push('[');
                if rest[1..].starts_with('^') {
                    out.push('^');
                    taken += 1;
                }
            }
            ']' if in_class && first => out.push_str("\\]"),
            ']' => {
                in_class = false;
                out.push(']');
            }
            // Set operators of the `regex` crate are plain characters in RE2.
            '&' | '~' if in_class => {
                out.push('\\');
                out.push(character);
            }
            _ => out.push(character),
        }
        rest = rest.get(taken..).unwrap_or_default();
    }
    out
}

/// One escape sequence.
fn escape(letter: char, in_class: bool) -> String {
    let inside = match letter {
        'd' | 'D' => "0-9",
        'w' | 'W' => "0-9A-Za-z_",
        's' | 'S' => "\\t\\n\\x0C\\r ",
        'b' | 'B' if !in_class => return format!("(?-u:\\{letter})"),
        _ => return format!("\\{letter}"),
    };
    match (letter.is_uppercase(), in_class) {
        (true, _) => format!("[^{inside}]"),
        (false, true) => inside.to_owned(),
        (false, false) => format!("[{inside}]"),
    }
}

/// RE2's rewrite string (`\1`, `\0`, `\\`) in the `regex` crate's (`${1}`). `groups` counts the whole
/// match.
fn substitution(text: &str, groups: usize) -> Result<Box<str>, String> {
    let mut out = String::with_capacity(text.len() + 4);
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '$' => out.push_str("$$"),
            '\\' => match characters.next() {
                Some('\\') => out.push('\\'),
                Some(digit) if digit.is_ascii_digit() => {
                    let group = digit.to_digit(10).unwrap_or(0) as usize;
                    if group >= groups {
                        return Err(format!(
                            "group \\{group} does not exist: the pattern has {} groups",
                            groups.saturating_sub(1)
                        ));
                    }
                    out.push_str("${");
                    out.push(digit);
                    out.push('}');
                }
                _ => return Err(format!("{text:?} has a backslash without a digit or backslash")),
            },
            other => out.push(other),
        }
    }
    Ok(out.into())
}

#[cfg(test)]
mod tests {
    use super::{anchored, substitution, translated};

    #[test]
    fn shorthand_classes_are_ascii_as_in_re2() {
        assert_eq!(translated(r"\d+[\w.-]\S"), r"[0-9]+[0-9A-Za-z_.-][^\t\n\x0C\r ]");
        assert_eq!(translated(r"\Qa.b\E+"), r"a\.b+");
        assert_eq!(translated(r"[]a[b&&[:alpha:]]"), r"[\]a\[b\&\&[:alpha:]]");
        assert_eq!(translated(r"[^]\]]\["), r"[^\]\]]\[");
    }

    #[test]
    fn every_translated_pattern_compiles_and_matches_as_a_whole() {
        for (pattern, yes, no) in [
            (r"/v\d/.*", "/v1/x", "/v٣/x"),
            ("a|b", "b", "ab"),
            (r"[\d]{2,}", "12", "1x"),
            (r"\Q(a)\E", "(a)", "a"),
            (r"(?i)abc", "ABC", "ABCD"),
        ] {
            let regex = regex::Regex::new(&anchored(pattern)).unwrap();
            assert!(regex.is_match(yes), "{pattern} {yes}");
            assert!(!regex.is_match(no), "{pattern} {no}");
        }
    }

    #[test]
    fn substitutions_are_translated_and_checked() {
        assert_eq!(&*substitution(r"/\1/$x\\", 2).unwrap(), r"/${1}/$$x\");
        assert!(substitution(r"\2", 2).is_err());
        assert!(substitution(r"\x", 2).is_err());
    }
}
