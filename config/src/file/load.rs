//! Loads whole files: bootstraps, discovery responses, single messages.

use palanquin_proto::envoy::config::bootstrap::v3::Bootstrap;
use palanquin_proto::envoy::service::discovery::v3::DiscoveryResponse;
use palanquin_proto::schema::{self, Message};
use prost::Name;

use super::span::SpanIndex;
use super::walk::{Fractions, UnknownFields, Walker};
use super::yaml::{Node, parse};
use super::{Fields, Payload};
use crate::diagnostic::{Problem, Problems, Report, Severity, Source};

/// A message read from a text, with what is needed to point back into it.
#[derive(Debug)]
pub struct Loaded<M> {
    /// The message; it has the right form, not necessarily a sensible content.
    pub message: M,
    /// Where its fields are.
    pub spans: SpanIndex,
    /// The texts it came from.
    pub sources: Vec<Source>,
    /// What reading warned about.
    pub warnings: Problems,
}

impl<M> Loaded<M> {
    /// Makes a report of the problems found in the message later, with positions, and of the
    /// warnings found while reading it.
    pub fn report(&self, mut problems: Problems) -> Report {
        self.spans.locate_all(&mut problems);
        for warning in self.warnings.iter() {
            problems.push(warning.clone());
        }
        Report { sources: self.sources.clone(), problems }
    }
}

/// How a configuration file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// An Envoy v3 bootstrap.
    Envoy,
    /// Our short form.
    Short,
}

/// Tells the form of a text by its top-level keys. What is neither is taken for Envoy's.
pub fn form(text: &str) -> Form {
    let Ok(Some(root)) = parse(text, 0) else { return Form::Envoy };
    form_of(&root)
}

pub(crate) fn form_of(root: &Node) -> Form {
    let keys: Vec<_> =
        root.entries().unwrap_or_default().iter().filter_map(|(key, _)| key.text()).collect();
    let any = |names: &[&str]| keys.iter().any(|key| names.contains(key));
    // `admin` and `tracing` exist in both forms.
    if any(&["static_resources", "staticResources", "dynamic_resources", "dynamicResources"]) {
        Form::Envoy
    } else if any(&["listen", "routes", "upstreams", "tenants"]) {
        Form::Short
    } else {
        Form::Envoy
    }
}

/// Loads an Envoy bootstrap. `name` is for messages only.
///
/// # Errors
/// The report has every fault of the text: YAML syntax, unknown or doubled fields, wrong types,
/// broken rules of the API.
pub fn load_bootstrap(
    name: &str,
    text: &str,
    unknown_fields: UnknownFields,
) -> Result<Loaded<Bootstrap>, Report> {
    load_merged_bootstrap(vec![Source::new(name, text)], unknown_fields)
}

/// Loads an Envoy bootstrap from several texts, later ones merged into earlier ones as protobuf
/// merges: lists are appended, scalars replaced (`-c FILE --config-yaml TEXT`).
///
/// # Errors
/// As [`load_bootstrap`].
pub fn load_merged_bootstrap(
    sources: Vec<Source>,
    unknown_fields: UnknownFields,
) -> Result<Loaded<Bootstrap>, Report> {
    load(sources, &Bootstrap::full_name(), unknown_fields)
}

/// Loads what a `path_config_source` names: a `DiscoveryResponse`, or one resource with `"@type"`.
///
/// # Errors
/// As [`load_bootstrap`].
pub fn load_discovery(name: &str, text: &str) -> Result<Loaded<DiscoveryResponse>, Report> {
    let single = parse(text, 0).ok().flatten().is_some_and(|root| {
        let url = root.get("@type").and_then(Node::text).unwrap_or_default();
        root.entries().is_some() && !url.is_empty() && !url.ends_with(".DiscoveryResponse")
    });
    let sources = vec![Source::new(name, text)];
    if !single {
        return load(sources, &DiscoveryResponse::full_name(), UnknownFields::Reject);
    }
    let loaded: Loaded<prost_types::Any> =
        load(sources, "google.protobuf.Any", UnknownFields::Reject)?;
    let message = DiscoveryResponse {
        type_url: loaded.message.type_url.clone(),
        resources: vec![loaded.message],
        ..DiscoveryResponse::default()
    };
    let Loaded { spans, sources, warnings, .. } = loaded;
    Ok(Loaded { message, spans, sources, warnings })
}

/// Loads any message that has Rust code, for instance one cluster in a test.
///
/// # Errors
/// As [`load_bootstrap`].
pub fn load_message<M>(name: &str, text: &str) -> Result<Loaded<M>, Report>
where
    M: prost::Message + Name + Default,
{
    load(vec![Source::new(name, text)], &M::full_name(), UnknownFields::Reject)
}

fn load<M: prost::Message + Default>(
    sources: Vec<Source>,
    full_name: &str,
    unknown_fields: UnknownFields,
) -> Result<Loaded<M>, Report> {
    let mut problems = Problems::new();
    let mut trees = Vec::new();
    let mut bytes = Vec::new();
    for (source, index) in sources.iter().zip(0u8..) {
        match parse(&source.text, index) {
            Ok(Some(tree)) => {
                let mut walker = Walker::new(&mut problems, unknown_fields);
                if !source.text.trim_start().starts_with('{') {
                    walker.fractions = Fractions::Texts;
                }
                bytes.extend(root(&mut walker, &tree, full_name));
                trees.push(tree);
            }
            Ok(None) => {
                problems.push(fault("the text is empty".to_owned()));
            }
            Err(problem) => {
                problems.push(problem);
            }
        }
    }
    if problems.has_errors() {
        return Err(Report { sources, problems });
    }
    let spans = SpanIndex::of_trees(trees);
    match M::decode(bytes.as_slice()) {
        Ok(message) => Ok(Loaded { message, spans, sources, warnings: problems }),
        Err(error) => {
            problems.push(fault(format!("cannot be read as {full_name}: {error}")));
            Err(Report { sources, problems })
        }
    }
}

fn root(walker: &mut Walker<'_>, tree: &Node, full_name: &str) -> Vec<u8> {
    let Some(message) = schema::message(full_name) else { return Vec::new() };
    // A message may name its own type at the top.
    let named = |message: &Message| {
        tree.get("@type").and_then(Node::text).is_some_and(|url| url.ends_with(message.full_name()))
    };
    if full_name != "google.protobuf.Any" && named(message) {
        let mut body = Vec::new();
        walker.fields(tree, message, Some("@type"), &mut body);
        return body;
    }
    walker.message(tree, message)
}

fn fault(message: String) -> Problem {
    Problem { severity: Severity::Error, path: "".into(), message, hint: None, position: None }
}

/// The type URL and value of an encoded `Any`.
pub(crate) fn split_any(any: &[u8]) -> (&str, &[u8]) {
    let (mut url, mut value) = ("", &[][..]);
    for (number, payload) in Fields::new(any).flatten() {
        match (number, payload) {
            (1, Payload::Bytes(bytes)) => url = std::str::from_utf8(bytes).unwrap_or_default(),
            (2, Payload::Bytes(bytes)) => value = bytes,
            _ => {}
        }
    }
    (url, value)
}
