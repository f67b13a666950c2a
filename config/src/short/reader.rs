//! Reads the tree of a short form: every fault is noted, none stops the reading.

use crate::diagnostic::{FieldPath, Problem, Problems};
use crate::file::{Node, Value, shortened};

/// Where we are, and what was wrong so far.
#[derive(Debug, Default)]
pub(super) struct Reader {
    pub(super) path: FieldPath,
    pub(super) problems: Problems,
}

/// The entries of a mapping whose keys were checked.
#[derive(Debug)]
pub(super) struct Entries<'n>(Vec<(&'n str, &'n Node, &'n Node)>);

impl<'n> Entries<'n> {
    /// The value of a key; a null value is none.
    pub(super) fn get(&self, name: &str) -> Option<&'n Node> {
        let found = self.0.iter().find(|(key, ..)| *key == name);
        found.map(|(_, _, value)| *value).filter(|value| !value.is_null())
    }

    /// The key itself, to point at.
    pub(super) fn key(&self, name: &str) -> Option<&'n Node> {
        self.0.iter().find(|(key, ..)| *key == name).map(|(_, key, _)| *key)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&'n str, &'n Node, &'n Node)> {
        self.0.iter().copied()
    }
}

impl Reader {
    /// Notes an error at a node.
    pub(super) fn error(&mut self, node: &Node, message: impl Into<String>) -> &mut Problem {
        self.problems.error(&self.path, message).at(node.position)
    }

    /// Notes that something exists in the notation but not in the proxy.
    pub(super) fn not_yet(&mut self, node: &Node, what: &str) {
        self.error(node, format!("{what} is not supported yet")).hint("remove it for now");
    }

    /// Runs `body` one step deeper.
    pub(super) fn within<T>(&mut self, name: &str, body: impl FnOnce(&mut Self) -> T) -> T {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if name.bytes().all(plain) {
            self.path.push_field(name);
        } else {
            self.path.push_key(name);
        }
        let result = body(self);
        self.path.pop();
        result
    }

    /// The entries of a mapping with any keys.
    pub(super) fn any_entries<'n>(&mut self, node: &'n Node, what: &str) -> Entries<'n> {
        let Some(entries) = node.entries() else {
            self.error(node, format!("expected {what}, found {}", node.kind()));
            return Entries(Vec::new());
        };
        let mut read: Vec<(&str, &Node, &Node)> = Vec::new();
        for (key, value) in entries {
            let Some(name) = key.text() else {
                self.error(key, format!("a key is a text, found {}", key.kind()));
                continue;
            };
            if let Some((_, first, _)) = read.iter().find(|(known, ..)| *known == name) {
                let line = first.position.line;
                self.within(name, |reader| {
                    reader.error(key, "given twice").hint(format!("first given on line {line}"));
                });
                continue;
            }
            read.push((name, key, value));
        }
        Entries(read)
    }

    /// The entries of a mapping with these keys only.
    pub(super) fn entries<'n>(
        &mut self,
        node: &'n Node,
        what: &str,
        known: &[&str],
    ) -> Entries<'n> {
        let mut read = self.any_entries(node, what);
        read.0.retain(|(name, key, _)| {
            let is_known = known.contains(name);
            if !is_known {
                self.within(&shortened(name), |reader| {
                    let problem = reader.error(key, format!("{what} has no such key"));
                    problem.hint(format!("keys: {}", known.join(", ")));
                    problem.did_you_mean(name, known.iter().copied());
                });
            }
            is_known
        });
        read
    }

    /// A text, or a number as the text that it is.
    pub(super) fn text<'n>(&mut self, node: &'n Node, what: &str) -> Option<&'n str> {
        let text = node.text().filter(|text| !text.is_empty());
        if text.is_none() {
            self.error(node, format!("expected {what}, found {}", node.kind()));
        }
        text
    }

    /// A text in some notation.
    pub(super) fn parsed<T>(
        &mut self,
        node: &Node,
        what: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let text = self.text(node, what)?;
        match parse(text) {
            Ok(value) => Some(value),
            Err(message) => {
                self.error(node, message);
                None
            }
        }
    }

    /// `true` or `false`.
    pub(super) fn boolean(&mut self, node: &Node) -> Option<bool> {
        match node.text() {
            Some("true") => Some(true),
            Some("false") => Some(false),
            _ => {
                self.error(node, format!("expected true or false, found {}", node.kind()));
                None
            }
        }
    }

    /// One text or a list of texts.
    pub(super) fn texts<'n>(&mut self, node: &'n Node, what: &str) -> Vec<(&'n Node, &'n str)> {
        let items = match &node.value {
            Value::List(items) => items.iter().collect(),
            _ => vec![node],
        };
        items.into_iter().filter_map(|item| Some((item, self.text(item, what)?))).collect()
    }
}
