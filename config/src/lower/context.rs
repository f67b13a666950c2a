//! Where lowering is, what it may use, and what it found.

use std::collections::BTreeSet;
use std::collections::HashMap;
use std::time::Duration;

use palanquin_filter_api::stats;
use prost::Message;

use super::Environment;
use super::Lowered;
use super::Rejected;
use crate::diagnostic::FieldPath;
use crate::diagnostic::Problem;
use crate::diagnostic::Problems;
use crate::extension::Registry;
use crate::ir::tls::SecretKind;
use crate::ir::tracing::Direction;

/// The state of lowering one message: the path of the field at hand and the problems so far.
#[derive(Debug)]
pub struct Lowering<'a> {
    environment: Environment<'a>,
    path: FieldPath,
    problems: Problems,
    /// The clusters that exist, while a bootstrap is lowered.
    clusters: Option<BTreeSet<String>>,
    /// What `static_resources.secrets` are, by name, while a bootstrap is lowered.
    secrets: Option<HashMap<String, SecretKind>>,
    /// Whether references are checked against them (`validate_clusters`).
    check_references: bool,
    /// Of the listener that is lowered: what its connection managers' spans are.
    direction: Direction,
    depth: u32,
}

/// How deep matchers and extensions may nest; a message from a peer must not exhaust the stack.
const MAX_DEPTH: u32 = 32;

impl<'a> Lowering<'a> {
    /// Begins at the root of a message.
    pub fn new(environment: Environment<'a>) -> Self {
        Self {
            environment,
            path: FieldPath::new(),
            problems: Problems::new(),
            clusters: None,
            secrets: None,
            check_references: true,
            direction: Direction::default(),
            depth: 0,
        }
    }

    /// Ends with `value`, unless there was an error.
    pub fn finish<T>(
        self,
        kind: &'static str,
        name: &str,
        value: Option<T>,
    ) -> Result<Lowered<T>, Rejected> {
        match value {
            Some(value) if !self.problems.has_errors() => {
                Ok(Lowered { value, warnings: self.problems })
            }
            _ => Err(Rejected { kind, name: name.to_owned(), problems: self.problems }),
        }
    }

    /// Runs `body` inside a field.
    pub fn field<T>(&mut self, name: &str, body: impl FnOnce(&mut Self) -> T) -> T {
        self.path.push_field(name);
        let result = body(self);
        self.path.pop();
        result
    }

    /// Runs `body` inside an item of a list.
    pub fn item<T>(&mut self, field: &str, index: usize, body: impl FnOnce(&mut Self) -> T) -> T {
        self.path.push_field(field);
        self.path.push_index(index);
        let result = body(self);
        self.path.pop();
        self.path.pop();
        result
    }

    /// Runs `body` inside a value of a map.
    pub fn entry<T>(&mut self, field: &str, key: &str, body: impl FnOnce(&mut Self) -> T) -> T {
        self.path.push_field(field);
        self.path.push_key(key);
        let result = body(self);
        self.path.pop();
        self.path.pop();
        result
    }

    /// Lowers every item of a list; the failed ones are left out (and reported).
    pub fn list<M, T>(
        &mut self,
        field: &str,
        items: &[M],
        mut one: impl FnMut(&mut Self, &M) -> Option<T>,
    ) -> Vec<T> {
        items
            .iter()
            .enumerate()
            .filter_map(|(index, item)| self.item(field, index, |cx| one(cx, item)))
            .collect()
    }

    /// Runs `body` one level deeper; `None` and an error when that is too deep.
    pub(crate) fn nested<T>(&mut self, body: impl FnOnce(&mut Self) -> Option<T>) -> Option<T> {
        if self.depth >= MAX_DEPTH {
            self.error(format!("nested more than {MAX_DEPTH} deep"));
            return None;
        }
        self.depth += 1;
        let result = body(self);
        self.depth -= 1;
        result
    }

    /// Reports an error at the current field.
    pub fn error(&mut self, message: impl Into<String>) -> &mut Problem {
        self.problems.error(&self.path, message)
    }

    /// Reports an error at a field of the current message.
    pub fn error_in(&mut self, field: &str, message: impl Into<String>) -> &mut Problem {
        self.path.push_field(field);
        let problem = self.problems.error(&self.path, message);
        self.path.pop();
        problem
    }

    /// Reports a warning at the current field.
    pub fn warning(&mut self, message: impl Into<String>) -> &mut Problem {
        self.problems.warning(&self.path, message)
    }

    /// Reports a warning at a field of the current message.
    pub fn warning_in(&mut self, field: &str, message: impl Into<String>) -> &mut Problem {
        self.path.push_field(field);
        let problem = self.problems.warning(&self.path, message);
        self.path.pop();
        problem
    }

    /// The number of errors so far: compare to learn whether a step failed.
    pub fn error_count(&self) -> usize {
        self.problems.error_count()
    }

    /// The path of the field at hand and the collection of problems, for helpers that take both.
    pub fn parts(&mut self) -> (&mut FieldPath, &mut Problems) {
        (&mut self.path, &mut self.problems)
    }

    /// The filters that exist.
    pub fn filters(&self) -> &'a Registry {
        self.environment.filters
    }

    /// Where statistics live.
    pub fn stats(&self) -> &'a stats::Registry {
        self.environment.stats
    }

    /// Declares which clusters exist, so that references can be checked.
    pub(crate) fn declare_clusters(&mut self, names: BTreeSet<String>) {
        self.clusters = Some(names);
    }

    /// Declares that the static secrets are known from now on.
    pub(crate) fn declare_secrets(&mut self) {
        self.secrets.get_or_insert_default();
    }

    /// Declares a static secret. `false`: there is one of that name already.
    pub(crate) fn declare_secret(&mut self, name: &str, kind: SecretKind) -> bool {
        let secrets = self.secrets.get_or_insert_default();
        let is_new = !secrets.contains_key(name);
        secrets.entry(name.to_owned()).or_insert(kind);
        is_new
    }

    /// What the static secret of that name is, if there is one; `None`: it is not known which there are.
    #[expect(clippy::option_option, reason = "not known, and known to be none")]
    pub(crate) fn static_secret(&self, name: &str) -> Option<Option<SecretKind>> {
        self.secrets.as_ref().map(|secrets| secrets.get(name).copied())
    }

    /// Whether references to clusters are checked from now on.
    pub(crate) fn check_references(&mut self, check: bool) {
        self.check_references = check;
    }

    /// The direction of the listener's traffic, from now on.
    pub(super) fn set_direction(&mut self, direction: Direction) {
        self.direction = direction;
    }

    /// The direction of the listener that is lowered.
    pub(super) fn direction(&self) -> Direction {
        self.direction
    }

    /// Reports a reference to a cluster that does not exist, if that is known. `what` begins the text:
    /// `unknown cluster`.
    pub(crate) fn check_cluster(&mut self, field: &str, what: &str, name: &str) {
        let Some(clusters) = &self.clusters else { return };
        if !self.check_references || clusters.contains(name) {
            return;
        }
        self.path.push_field(field);
        let problem = self.problems.error(&self.path, format!("{what} {name:?}"));
        problem.hint("clusters are listed under static_resources.clusters");
        problem.did_you_mean(name, clusters.iter().map(String::as_str));
        self.path.pop();
    }

    /// Decodes a message that is not inside an `Any`.
    pub(crate) fn decode<M: Message + Default>(&mut self, bytes: &[u8]) -> Option<M> {
        M::decode(bytes)
            .map_err(|error| self.error(format!("the bytes are not such a message: {error}")))
            .ok()
    }

    /// A duration; an error when it is negative or out of range.
    pub fn duration(
        &mut self,
        field: &str,
        value: Option<&prost_types::Duration>,
    ) -> Option<Duration> {
        let value = value?;
        let nanos = u32::try_from(value.nanos).ok().filter(|nanos| *nanos < 1_000_000_000);
        match (u64::try_from(value.seconds), nanos) {
            // protobuf's own limit: 10,000 years
            (Ok(seconds), Some(nanos)) if seconds <= 315_576_000_000 => {
                Some(Duration::new(seconds, nanos))
            }
            _ => {
                self.error_in(field, "a duration must not be negative or out of range");
                None
            }
        }
    }

    /// A limit in time where zero means none: `default` when it is not set.
    pub fn timeout(
        &mut self,
        field: &str,
        value: Option<&prost_types::Duration>,
        default: Option<Duration>,
    ) -> Option<Duration> {
        match value {
            None => default,
            Some(_) => self.duration(field, value).filter(|limit| !limit.is_zero()),
        }
    }
}
