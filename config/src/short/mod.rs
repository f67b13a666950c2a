//! The short form: what a developer types first, expanded to an Envoy bootstrap.
//!
//! ```yaml
//! listen: :8080
//! routes:
//!   /api/: localhost:3000
//!   /: localhost:5173
//! ```
//!
//! It is a front end only: it expands to the JSON of a bootstrap, which then goes the way of every
//! other file. `docs/short-form.md` is its reference. Whatever later steps find wrong in the bootstrap is
//! reported at the place in the short form that it came from.

use std::collections::BTreeMap;

use palanquin_proto::envoy::config::bootstrap::v3::Bootstrap;
use palanquin_proto::schema;
use prost::{Message as _, Name};
use serde_json::{Value as Json, json};

use crate::diagnostic::{Position, Problems, Report, Source};
use crate::file::{Loaded, Node, Origin, SpanIndex, UnknownFields, Value, Walker, parse, to_yaml};

mod listen;
mod observe;
mod reader;
mod route;
mod route_key;
mod tenant;
mod units;
mod upstream;

use reader::Reader;

/// What a short form says.
#[derive(Debug)]
pub struct Expanded {
    /// The bootstrap, with the way back to the short form.
    pub loaded: Loaded<Bootstrap>,
    /// `log.level`, which a bootstrap cannot carry.
    pub log_level: Option<String>,
    /// The bootstrap as it was written, before it was encoded.
    json: Json,
}

impl Expanded {
    /// The bootstrap as Envoy's YAML: what `palanquin expand` prints.
    pub fn to_yaml(&self) -> String {
        to_yaml(&self.json)
    }
}

/// Reads and expands a short form. `name` is for messages only.
///
/// # Errors
/// The report has every fault of the text, with positions.
pub fn expand(name: &str, text: &str) -> Result<Expanded, Report> {
    let sources = vec![Source::new(name, text)];
    let mut reader = Reader::default();
    let tree = match parse(text, 0) {
        Ok(Some(tree)) => tree,
        Ok(None) => {
            reader.problems.error(&reader.path, "the text is empty");
            return Err(Report { sources, problems: reader.problems });
        }
        Err(problem) => {
            reader.problems.push(problem);
            return Err(Report { sources, problems: reader.problems });
        }
    };
    let mut build = Build::default();
    let log_level = document(&mut reader, &tree, &mut build);
    let mut problems = reader.problems;
    if problems.has_errors() {
        return Err(Report { sources, problems });
    }

    let json = build.bootstrap;
    let spans = SpanIndex::of_expansion(build.origins);
    let message = encode(&json, &spans, &mut problems);
    match message {
        Some(message) if !problems.has_errors() => {
            let loaded = Loaded { message, spans, sources, warnings: problems };
            Ok(Expanded { loaded, log_level, json })
        }
        _ => Err(Report { sources, problems }),
    }
}

/// The bootstrap under construction.
#[derive(Debug)]
struct Build {
    bootstrap: Json,
    origins: BTreeMap<String, Origin>,
}

impl Default for Build {
    fn default() -> Self {
        Self { bootstrap: json!({}), origins: BTreeMap::new() }
    }
}

impl Build {
    /// Remembers where a part of the bootstrap came from.
    fn origin(&mut self, path: impl Into<String>, position: Position, short: impl Into<Box<str>>) {
        self.origins.insert(path.into(), Origin { position, path: short.into() });
    }
}

const KEYS: &[&str] =
    &["listen", "tls", "upstreams", "routes", "tenants", "tracing", "log", "admin", "auth"];

/// Reads the whole document; the result is the level of the log.
fn document(reader: &mut Reader, tree: &Node, build: &mut Build) -> Option<String> {
    let top = reader.entries(tree, "a configuration", KEYS);
    build.origin("", tree.position, "");
    if let Some(auth) = top.key("auth") {
        reader.within("auth", |reader| reader.not_yet(auth, "authentication"));
    }
    let default_tls =
        top.get("tls").and_then(|node| reader.within("tls", |reader| listen::tls(reader, node)));
    let listeners = if let Some(node) = top.get("listen") {
        reader.within("listen", |reader| listen::read(reader, node))
    } else {
        reader.error(tree, "\"listen\" is missing").hint("e.g. listen: :8080");
        Vec::new()
    };
    let mut upstreams = upstream::Upstreams::default();
    if let Some(node) = top.get("upstreams") {
        reader.within("upstreams", |reader| upstreams.read(reader, node));
    }
    let routes = if let Some(node) = top.get("routes") {
        reader.within("routes", |reader| route::read(reader, node, &mut upstreams))
    } else {
        reader.error(tree, "\"routes\" is missing").hint("e.g. routes: { /: localhost:3000 }");
        Vec::new()
    };
    let tenants = top
        .get("tenants")
        .map(|node| reader.within("tenants", |reader| tenant::read(reader, node, &mut upstreams)));
    let observe = observe::read(reader, &top, &mut upstreams);
    upstreams.warn_unused(reader);

    let manager = listen::Manager {
        routes: &routes,
        tenants: tenants.as_ref().and_then(Option::as_ref),
        observe: &observe,
    };
    let listeners = listen::build(&listeners, default_tls.as_ref(), &manager, build);
    let clusters = upstreams.build(build);
    build.bootstrap = json!({
        "static_resources": {"listeners": listeners, "clusters": clusters},
    });
    if let Some(address) = &observe.admin {
        build.bootstrap["admin"] = json!({"address": address.to_json()});
    }
    observe.log_level
}

/// Encodes the JSON of a bootstrap as any other file is.
fn encode(json: &Json, spans: &SpanIndex, problems: &mut Problems) -> Option<Bootstrap> {
    let message = schema::message(&Bootstrap::full_name())?;
    let mut found = Problems::new();
    let bytes = Walker::new(&mut found, UnknownFields::Reject).message(&tree(json), message);
    // The tree was made here: positions come from what it was made of.
    for problem in found.iter_mut() {
        problem.position = None;
    }
    spans.locate_all(&mut found);
    problems.append(found);
    Bootstrap::decode(bytes.as_slice()).ok()
}

fn tree(json: &Json) -> Node {
    let at = Position::default();
    match json {
        Json::String(text) => Node::scalar(text.clone(), false, at),
        Json::Array(items) => Node::of(Value::List(items.iter().map(tree).collect()), at),
        Json::Object(map) => {
            let entries =
                map.iter().map(|(key, value)| (Node::scalar(key.clone(), false, at), tree(value)));
            Node::of(Value::Map(entries.collect()), at)
        }
        scalar => Node::scalar(scalar.to_string(), true, at),
    }
}

/// Sets `object[key]` if there is a value.
fn set(object: &mut Json, key: &str, value: Option<impl Into<Json>>) {
    if let Some(value) = value {
        object[key] = value.into();
    }
}
