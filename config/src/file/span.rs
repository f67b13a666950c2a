//! Maps the path of a field back to its place in the text.

use std::collections::BTreeMap;

use palanquin_proto::schema;

use super::any::is_typed_struct;
use super::yaml::{Node, Value};
use crate::diagnostic::{Position, Problems, Step, steps};

/// Knows where in its sources each field of a message came from.
///
/// For a file in Envoy's form the tree of the text is kept and searched when someone asks, so that
/// a good file pays nothing. The short form records what it expanded from what.
#[derive(Debug, Default)]
pub struct SpanIndex(Index);

#[derive(Debug)]
enum Index {
    /// One tree, or several whose messages were merged in this order.
    Trees(Vec<Node>),
    /// Path in the message to place and path in the short form.
    Expanded(BTreeMap<String, Origin>),
}

/// Where in the short form something came from.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    pub(crate) position: Position,
    pub(crate) path: Box<str>,
}

impl Default for Index {
    fn default() -> Self {
        Self::Trees(Vec::new())
    }
}

impl SpanIndex {
    pub(crate) fn of_trees(trees: Vec<Node>) -> Self {
        Self(Index::Trees(trees))
    }

    pub(crate) fn of_expansion(origins: BTreeMap<String, Origin>) -> Self {
        Self(Index::Expanded(origins))
    }

    /// The place of a field; of the nearest message around it if the text does not mention it.
    pub fn locate(&self, path: &str) -> Option<Position> {
        match &self.0 {
            Index::Trees(trees) => locate_in(trees, path),
            Index::Expanded(origins) => nearest(origins, path).map(|origin| origin.position),
        }
    }

    /// Gives each problem that lacks one its position, and in the short form its path.
    pub fn locate_all(&self, problems: &mut Problems) {
        for problem in problems.iter_mut().filter(|problem| problem.position.is_none()) {
            problem.position = self.locate(&problem.path);
            if let Index::Expanded(origins) = &self.0 {
                let origin = nearest(origins, &problem.path);
                problem.path = origin.map(|origin| origin.path.clone()).unwrap_or_default();
            }
        }
    }
}

/// The entry of the longest prefix of `path` that ends at a step.
fn nearest<'o>(origins: &'o BTreeMap<String, Origin>, path: &str) -> Option<&'o Origin> {
    let mut prefix = path;
    loop {
        if let Some(origin) = origins.get(prefix) {
            return Some(origin);
        }
        prefix = match prefix.rfind(['.', '[']) {
            Some(end) => &prefix[..end],
            None if !prefix.is_empty() => "",
            None => return None,
        };
    }
}

fn locate_in(trees: &[Node], path: &str) -> Option<Position> {
    let mut current: Vec<&Node> = trees.iter().collect();
    let mut found = current.first().map(|node| node.position);
    for step in steps(path) {
        let mut next = Vec::new();
        let mut index = if let Step::Index(index) = step { index } else { 0 };
        for node in current {
            let entered = match &step {
                Step::Field(name) => field(node, name),
                Step::Key(name) => entry(node, |key| key == name),
                Step::Index(_) => match &node.value {
                    // Merged lists follow each other.
                    Value::List(items) if index >= items.len() => {
                        index -= items.len();
                        None
                    }
                    Value::List(items) => items.get(index).map(|item| (item.position, item)),
                    _ => None,
                },
            };
            if let Some((position, node)) = entered {
                found = Some(position);
                next.push(node);
                if matches!(step, Step::Index(_)) {
                    break;
                }
            }
        }
        if next.is_empty() {
            break;
        }
        current = next;
    }
    found
}

fn field<'n>(node: &'n Node, name: &str) -> Option<(Position, &'n Node)> {
    let matches = |key: &str| key == name || schema::is_json_name(name, key);
    if let Some(found) = entry(node, matches) {
        return Some(found);
    }
    // The message sees through a TypedStruct, and well-known types sit under "value".
    let typed = node.get("@type")?.text()?;
    let value = node.get("value")?;
    if name != "value" && (is_typed_struct(typed) || typed.contains("/google.protobuf.")) {
        return entry(value, matches);
    }
    None
}

/// A value is best pointed at itself when it is a scalar, and by its key when it is a block.
fn entry(node: &Node, wanted: impl Fn(&str) -> bool) -> Option<(Position, &Node)> {
    let entries = node.entries()?;
    let (key, value) = entries.iter().find(|(key, _)| key.text().is_some_and(&wanted))?;
    let position = if value.text().is_some() { value.position } else { key.position };
    Some((position, value))
}

#[cfg(test)]
mod tests {
    use super::SpanIndex;
    use crate::file::yaml::parse;

    fn index(texts: &[&str]) -> SpanIndex {
        let trees = texts.iter().zip(0..).filter_map(|(text, at)| parse(text, at).unwrap());
        SpanIndex::of_trees(trees.collect())
    }

    fn at(index: &SpanIndex, path: &str) -> (u32, u32) {
        let position = index.locate(path).unwrap();
        (position.line, position.column)
    }

    #[test]
    fn a_field_is_found_by_either_name_and_in_maps_and_lists() {
        let index = index(&["staticResources:\n  clusters:\n  - name: a\n    m: {\"x.y\": 1}\n"]);
        assert_eq!(at(&index, "static_resources.clusters[0].name"), (3, 11));
        assert_eq!(at(&index, "static_resources.clusters[0].m[\"x.y\"]"), (4, 16));
    }

    #[test]
    fn a_field_that_is_not_there_is_placed_at_what_is_around_it() {
        let index = index(&["a:\n  b:\n  - c: 1\n"]);
        assert_eq!(at(&index, "a.b[0].d.e"), (3, 5));
        assert_eq!(at(&index, "a.b[7]"), (2, 3));
    }

    #[test]
    fn a_typed_struct_is_seen_through() {
        let text =
            "f:\n  \"@type\": type.googleapis.com/xds.type.v3.TypedStruct\n  value:\n    p: 1\n";
        assert_eq!(at(&index(&[text]), "f.p"), (4, 8));
    }

    #[test]
    fn lists_of_merged_texts_follow_each_other() {
        let index = index(&["l: [a, b]", "l: [c]"]);
        let position = index.locate("l[2]").unwrap();
        assert_eq!((position.source, position.column), (1, 5));
    }
}
