//! YAML text into a tree whose nodes know where they are.
//!
//! JSON is read as the subset of YAML that it is. The tree keeps scalars as text: what a scalar
//! means depends on the field it is for. Size, depth and alias expansion are bounded.

use std::collections::HashMap;

use granit_parser::{Event, Parser, ScalarStyle, Span};

use crate::diagnostic::{Position, Problem, Severity};

/// The largest text that is read, in bytes.
const MAX_BYTES: usize = 64 << 20;
/// The most nodes of a tree, with each use of an alias counted as often as it is used.
const MAX_NODES: usize = 4_000_000;
/// The deepest nesting.
pub(crate) const MAX_DEPTH: u16 = 100;

/// A value of the document.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) value: Value,
    pub(crate) position: Position,
    /// Nodes in it, itself included.
    size: usize,
    depth: u16,
}

/// What a node holds.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    /// A scalar; `plain` unless it was quoted, tagged as a string or a block scalar.
    Scalar {
        text: String,
        plain: bool,
    },
    List(Vec<Node>),
    /// In order of the text; duplicates are the reader's business.
    Map(Vec<(Node, Node)>),
}

impl Node {
    /// A scalar that came from elsewhere than a text.
    pub(crate) fn scalar(text: impl Into<String>, plain: bool, position: Position) -> Self {
        Self { value: Value::Scalar { text: text.into(), plain }, position, size: 1, depth: 1 }
    }

    /// A list or map that came from elsewhere than a text.
    pub(crate) fn of(value: Value, position: Position) -> Self {
        let mut node = Self { value, position, size: 1, depth: 1 };
        node.measure();
        node
    }

    /// The text of a scalar.
    pub(crate) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar { text, .. } => Some(text),
            _ => None,
        }
    }

    /// Whether it is an unquoted null, the absence of a value.
    pub(crate) fn is_null(&self) -> bool {
        matches!(&self.value, Value::Scalar { text, plain: true }
            if matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL"))
    }

    /// The entries of a map.
    pub(crate) fn entries(&self) -> Option<&[(Self, Self)]> {
        match &self.value {
            Value::Map(entries) => Some(entries),
            _ => None,
        }
    }

    /// The value of a key of a map.
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        let entries = self.entries()?;
        entries.iter().find(|(name, _)| name.text() == Some(key)).map(|(_, value)| value)
    }

    /// What it is, for "expected ..., found ...".
    pub(crate) fn kind(&self) -> String {
        match &self.value {
            _ if self.is_null() => "nothing".to_owned(),
            Value::Scalar { text, .. } => format!("{:?}", shortened(text)),
            Value::List(_) => "a list".to_owned(),
            Value::Map(_) => "a mapping".to_owned(),
        }
    }

    fn measure(&mut self) {
        let (size, depth) = match &self.value {
            Value::Scalar { .. } => (0, 0),
            Value::List(items) => items
                .iter()
                .fold((0, 0), |(size, depth), item| (size + item.size, depth.max(item.depth))),
            Value::Map(entries) => entries.iter().fold((0, 0), |(size, depth), (key, value)| {
                (size + key.size + value.size, depth.max(key.depth).max(value.depth))
            }),
        };
        self.size = size + 1;
        self.depth = depth + 1;
    }
}

/// Cuts a long text for a message.
pub(crate) fn shortened(text: &str) -> String {
    if text.chars().count() <= 60 {
        return text.to_owned();
    }
    text.chars().take(57).chain("...".chars()).collect()
}

/// Parses a document; `source` goes into the positions. `None` is an empty document.
pub(crate) fn parse(text: &str, source: u8) -> Result<Option<Node>, Problem> {
    if text.len() > MAX_BYTES {
        let message = format!("the text has {} bytes, the limit is {MAX_BYTES}", text.len());
        return Err(problem(message, Position { source, ..Position::default() }));
    }
    let mut builder = Builder { source, ..Builder::default() };
    let options = granit_parser::options! {
        flow_nesting_limit: MAX_DEPTH.into(),
        block_nesting_limit: MAX_DEPTH.into(),
    };
    for event in Parser::new_from_str_with_options(text, options) {
        let (event, span) = event.map_err(|error| {
            let marker = error.marker();
            let at = Position {
                source,
                line: count(marker.line()),
                column: count(marker.col() + 1),
                width: 1,
            };
            problem(format!("not YAML: {}", error.info()), at)
        })?;
        builder.event(event, &span)?;
    }
    Ok(builder.root)
}

#[derive(Default)]
struct Builder {
    source: u8,
    root: Option<Node>,
    documents: usize,
    open: Vec<Open>,
    anchors: HashMap<usize, Node>,
    nodes: usize,
}

/// A list or map that is not closed yet.
struct Open {
    node: Node,
    anchor: usize,
    key: Option<Node>,
    /// The entry under `key` is to be left out: its key has the tag `!ignore`.
    ignored: bool,
}

impl Builder {
    fn event(&mut self, event: Event<'_>, span: &Span) -> Result<(), Problem> {
        let position = self.position(span);
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let plain = style == ScalarStyle::Plain
                    && tag.as_ref().is_none_or(|tag| tag.core_suffix() != Some("str"));
                // Envoy's way to keep anchors somewhere: `!ignore shared: ...` is skipped.
                let ignored = tag.is_some_and(|tag| tag.original() == "!ignore");
                self.add(Node::scalar(text.into_owned(), plain, position), anchor, ignored)
            }
            Event::SequenceStart(_, anchor, _) => {
                self.open(Value::List(Vec::new()), anchor, position)
            }
            Event::MappingStart(_, anchor, _) => {
                self.open(Value::Map(Vec::new()), anchor, position)
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(mut open) = self.open.pop() else { return Ok(()) };
                open.node.measure();
                self.add(open.node, open.anchor, false)
            }
            Event::Alias(id) => {
                let Some(node) = self.anchors.get(&id) else {
                    return Err(problem("an alias inside its own anchor".to_owned(), position));
                };
                // Checked before the copy is made, or the copy would be the bomb.
                self.nodes += node.size;
                if self.nodes > MAX_NODES {
                    return Err(problem(
                        format!("aliases expand the document beyond {MAX_NODES} values"),
                        position,
                    ));
                }
                let node = node.clone();
                self.add(node, 0, false)
            }
            Event::DocumentStart(..) => {
                self.documents += 1;
                if self.documents > 1 {
                    return Err(problem(
                        "a second YAML document; one is read".to_owned(),
                        position,
                    ));
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn open(&mut self, value: Value, anchor: usize, position: Position) -> Result<(), Problem> {
        self.check_depth(1, position)?;
        let node = Node { value, position, size: 1, depth: 1 };
        self.open.push(Open { node, anchor, key: None, ignored: false });
        Ok(())
    }

    fn add(&mut self, node: Node, anchor: usize, ignored: bool) -> Result<(), Problem> {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            return Err(problem(format!("more than {MAX_NODES} values"), node.position));
        }
        self.check_depth(node.depth, node.position)?;
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        let Some(parent) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        match (&mut parent.node.value, parent.key.take()) {
            (Value::List(items), _) => items.push(node),
            (Value::Map(_), None) => {
                parent.key = Some(node);
                parent.ignored = ignored;
            }
            (Value::Map(entries), Some(key)) => {
                if !parent.ignored {
                    entries.push((key, node));
                }
            }
            (Value::Scalar { .. }, _) => {}
        }
        Ok(())
    }

    fn check_depth(&self, below: u16, position: Position) -> Result<(), Problem> {
        if self.open.len() + usize::from(below) > usize::from(MAX_DEPTH) {
            return Err(problem(format!("nested deeper than {MAX_DEPTH} levels"), position));
        }
        Ok(())
    }

    fn position(&self, span: &Span) -> Position {
        let one_line = span.end.line() == span.start.line();
        let width = if one_line { span.end.index().saturating_sub(span.start.index()) } else { 1 };
        Position {
            source: self.source,
            line: count(span.start.line()),
            column: count(span.start.col() + 1),
            width: count(width.max(1)),
        }
    }
}

fn problem(message: String, position: Position) -> Problem {
    Problem {
        severity: Severity::Error,
        path: "".into(),
        message,
        hint: None,
        position: Some(position),
    }
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::{MAX_DEPTH, Node, parse};

    fn read(text: &str) -> Node {
        parse(text, 0).unwrap().unwrap()
    }

    fn fault(text: &str) -> String {
        parse(text, 0).unwrap_err().message
    }

    #[test]
    fn values_know_their_line_and_column() {
        let root = read("a:\n  - b: \"x y\"\n");
        let item = &root.get("a").unwrap().value;
        let super::Value::List(items) = item else { panic!("a list") };
        let value = items[0].get("b").unwrap();
        assert_eq!((value.position.line, value.position.column, value.position.width), (2, 8, 5));
    }

    #[test]
    fn json_with_tabs_and_trailing_commas_is_read() {
        let root = read("{\n\t\"a\": [1, 2,],\n\t\"b\": {\"c\": null,},\n}\n");
        assert!(root.get("b").unwrap().get("c").unwrap().is_null());
    }

    #[test]
    fn a_quoted_null_is_a_text() {
        assert!(read("a: ~").get("a").unwrap().is_null());
        assert!(!read("a: 'null'").get("a").unwrap().is_null());
        assert!(!read("a: !!str null").get("a").unwrap().is_null());
    }

    #[test]
    fn aliases_repeat_their_anchor_and_ignored_keys_vanish() {
        let root = read("!ignore shared: &s {p: 1}\nuse: *s\n");
        assert!(root.get("shared").is_none());
        assert_eq!(root.get("use").unwrap().get("p").unwrap().text(), Some("1"));
    }

    #[test]
    fn an_alias_bomb_is_refused_before_it_goes_off() {
        let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for level in 1..10 {
            let alias = format!("*a{}", level - 1);
            let items = vec![alias; 10].join(", ");
            let _ = writeln!(text, "a{level}: &a{level} [{items}]");
        }
        assert!(fault(&text).contains("aliases expand"));
    }

    #[test]
    fn deep_nesting_is_refused() {
        let deep = usize::from(MAX_DEPTH) + 1;
        assert!(parse(&format!("{}{}", "[".repeat(deep), "]".repeat(deep)), 0).is_err());
        let mut text = String::from("a0: &a0 [x]\n");
        for level in 1..=MAX_DEPTH {
            let _ = writeln!(text, "a{level}: &a{level} [*a{}]", level - 1);
        }
        assert!(fault(&text).contains("nested deeper"));
    }

    #[test]
    fn a_second_document_is_refused() {
        assert!(fault("a: 1\n---\nb: 2\n").contains("second YAML document"));
    }

    #[test]
    fn an_empty_document_is_nothing() {
        assert!(parse("# only a comment\n", 0).unwrap().is_none());
    }
}
