//! The path of a field: `static_resources.clusters[2].metadata.filter_metadata["envoy.lb"]`.

use std::fmt;
use std::fmt::Write as _;

/// Where in a message we are; grows and shrinks while the message is walked.
///
/// It is one string and a stack of lengths, so that a step costs no allocation once the string has
/// grown, and printing costs nothing.
#[derive(Clone, Debug, Default)]
pub struct FieldPath {
    text: String,
    marks: Vec<usize>,
}

impl FieldPath {
    /// Creates the empty path: the message itself.
    pub fn new() -> Self {
        Self::default()
    }

    /// Enters a field.
    pub fn push_field(&mut self, name: &str) {
        self.marks.push(self.text.len());
        if !self.text.is_empty() {
            self.text.push('.');
        }
        self.text.push_str(name);
    }

    /// Enters an item of a list.
    pub fn push_index(&mut self, index: usize) {
        self.marks.push(self.text.len());
        let _ = write!(self.text, "[{index}]");
    }

    /// Enters a value of a map.
    pub fn push_key(&mut self, key: &str) {
        self.marks.push(self.text.len());
        let _ = write!(self.text, "[{key:?}]");
    }

    /// Leaves what was entered last; does nothing at the root.
    pub fn pop(&mut self) {
        if let Some(length) = self.marks.pop() {
            self.text.truncate(length);
        }
    }

    /// Runs `body` inside a field.
    pub fn in_field<T>(&mut self, name: &str, body: impl FnOnce(&mut Self) -> T) -> T {
        self.push_field(name);
        let result = body(self);
        self.pop();
        result
    }

    /// Runs `body` inside an item of a list.
    pub fn in_index<T>(&mut self, index: usize, body: impl FnOnce(&mut Self) -> T) -> T {
        self.push_index(index);
        let result = body(self);
        self.pop();
        result
    }

    /// The path as text; empty at the root.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// How many steps it has.
    pub fn depth(&self) -> usize {
        self.marks.len()
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A step of a printed path.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Field(String),
    Index(usize),
    Key(String),
}

/// Reads a printed path back. What is not a path gives the steps up to the fault.
pub(crate) fn steps(path: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut rest = path;
    while !rest.is_empty() {
        if let Some(quoted) = rest.strip_prefix("[\"") {
            let Some((key, after)) = quoted_key(quoted) else { break };
            steps.push(Step::Key(key));
            rest = after;
        } else if let Some(number) = rest.strip_prefix('[') {
            let Some((index, after)) = number.split_once(']') else { break };
            let Ok(index) = index.parse() else { break };
            steps.push(Step::Index(index));
            rest = after;
        } else {
            let name = rest.strip_prefix('.').unwrap_or(rest);
            let end = name.find(['.', '[']).unwrap_or(name.len());
            let (field, after) = name.split_at(end);
            if field.is_empty() {
                break;
            }
            steps.push(Step::Field(field.to_owned()));
            rest = after;
        }
    }
    steps
}

/// Splits `key"]rest` where `key` is escaped as `{:?}` does it; only `\"` and `\\` are undone.
fn quoted_key(text: &str) -> Option<(String, &str)> {
    let mut key = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '\\' => key.push(characters.next()?.1),
            '"' => return Some((key, text[at + 1..].strip_prefix(']')?)),
            _ => key.push(character),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::{FieldPath, Step, steps};

    #[test]
    fn leaving_a_step_restores_the_path() {
        let mut path = FieldPath::new();
        path.push_field("routes");
        path.in_index(3, |path| assert_eq!(path.as_str(), "routes[3]"));
        path.push_key("a\"b");
        assert_eq!(path.as_str(), r#"routes["a\"b"]"#);
        path.pop();
        path.pop();
        path.pop();
        assert_eq!(path.as_str(), "");
    }

    #[test]
    fn a_printed_path_is_read_back() {
        let read = steps(r#"a.b[2]["x.y\"[z"].c"#);
        assert_eq!(
            read,
            [
                Step::Field("a".into()),
                Step::Field("b".into()),
                Step::Index(2),
                Step::Key("x.y\"[z".into()),
                Step::Field("c".into()),
            ]
        );
    }

    #[test]
    fn reading_a_broken_path_stops_at_the_fault() {
        assert_eq!(steps("a[x]"), [Step::Field("a".into())]);
        assert_eq!(steps("[\"open"), []);
        assert_eq!(steps("a..b"), [Step::Field("a".into())]);
    }
}
