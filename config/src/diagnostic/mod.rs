//! Problems of a configuration: where they are, what is wrong, what to do about it.
//!
//! Reading and lowering collect every problem of a file or resource in [`Problems`] and go on, so
//! that one run shows them all. The same problems become the text for people ([`Report`], with file,
//! line and caret) and the text of a NACK ([`Problems::summary`], without positions).

use std::fmt;
use std::fmt::Write as _;

mod path;
mod render;

pub use path::FieldPath;
pub(crate) use path::{Step, steps};
pub use render::{Position, Report, Source};

/// The most problems that are kept; later ones are only counted. A file with more is broken as a
/// whole, and a peer must not make us hoard text.
const MAX_KEPT: usize = 500;

/// How bad a [`Problem`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The configuration cannot be used.
    Error,
    /// It can be used, but does not do all that it says.
    Warning,
}

/// One thing that is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// The field, as [`FieldPath`] prints it; empty when it is the document as a whole.
    pub path: Box<str>,
    /// What was found and what is accepted; lower case, no period at the end.
    pub message: String,
    /// What the author may have meant, or could do.
    pub hint: Option<String>,
    /// The position in the source, when the reader of the file knew it already.
    pub position: Option<Position>,
}

impl Problem {
    /// Adds a hint.
    pub fn hint(&mut self, hint: impl Into<String>) -> &mut Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds the hint `did you mean "..."?` if one of `known` is close to `found`.
    pub fn did_you_mean<'a>(
        &mut self,
        found: &str,
        known: impl IntoIterator<Item = &'a str>,
    ) -> &mut Self {
        if let Some(close) = closest(found, known) {
            self.hint = Some(format!("did you mean {close:?}?"));
        }
        self
    }

    /// Adds a position.
    pub fn at(&mut self, position: Position) -> &mut Self {
        self.position = Some(position);
        self
    }
}

impl fmt::Display for Problem {
    /// One line without the position: `path: message (hint)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)?;
        match &self.hint {
            Some(hint) => write!(f, " ({hint})"),
            None => Ok(()),
        }
    }
}

/// Collects problems in the order in which they are found.
#[derive(Debug, Default)]
pub struct Problems {
    kept: Vec<Problem>,
    errors: usize,
    dropped: usize,
    /// Takes the hints of a problem that was not kept.
    overflow: Option<Box<Problem>>,
}

impl Problems {
    /// Creates an empty collection.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an error; the result takes a hint.
    pub fn error(&mut self, path: &FieldPath, message: impl Into<String>) -> &mut Problem {
        self.push(new_problem(Severity::Error, path, message.into()))
    }

    /// Adds a warning; the result takes a hint.
    pub fn warning(&mut self, path: &FieldPath, message: impl Into<String>) -> &mut Problem {
        self.push(new_problem(Severity::Warning, path, message.into()))
    }

    /// Adds a problem made elsewhere.
    pub fn push(&mut self, problem: Problem) -> &mut Problem {
        self.errors += usize::from(problem.severity == Severity::Error);
        if self.kept.len() < MAX_KEPT {
            self.kept.push(problem);
            let last = self.kept.len() - 1;
            return &mut self.kept[last];
        }
        self.dropped += 1;
        self.overflow.insert(Box::new(problem))
    }

    /// Moves all problems of `other` to the end of this collection.
    pub fn append(&mut self, other: Self) {
        let errors_kept = count_errors(&other.kept);
        for problem in other.kept {
            self.push(problem);
        }
        self.dropped += other.dropped;
        self.errors += other.errors - errors_kept;
    }

    /// Whether there is an error; warnings do not count.
    pub fn has_errors(&self) -> bool {
        self.errors > 0
    }

    /// The number of errors so far. Compare before and after a step to learn whether it failed.
    pub fn error_count(&self) -> usize {
        self.errors
    }

    /// Whether there is neither an error nor a warning.
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// All kept problems in the order found.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.kept.iter()
    }

    /// Only the errors.
    pub fn errors(&self) -> impl Iterator<Item = &Problem> {
        self.iter().filter(|problem| problem.severity == Severity::Error)
    }

    /// Only the warnings.
    pub fn warnings(&self) -> impl Iterator<Item = &Problem> {
        self.iter().filter(|problem| problem.severity == Severity::Warning)
    }

    /// How many problems were counted but not kept.
    pub fn dropped(&self) -> usize {
        self.dropped
    }

    /// The errors on one line, joined by `; `: the message of a NACK.
    pub fn summary(&self) -> String {
        let mut out = String::new();
        for problem in self.errors() {
            if !out.is_empty() {
                out.push_str("; ");
            }
            let _ = write!(out, "{problem}");
        }
        if self.dropped > 0 {
            let _ = write!(out, "; and {} more", self.dropped);
        }
        out
    }

    /// The kept problems.
    pub fn into_vec(self) -> Vec<Problem> {
        self.kept
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Problem> {
        self.kept.iter_mut()
    }
}

fn new_problem(severity: Severity, path: &FieldPath, message: String) -> Problem {
    Problem { severity, path: path.as_str().into(), message, hint: None, position: None }
}

fn count_errors(problems: &[Problem]) -> usize {
    problems.iter().filter(|problem| problem.severity == Severity::Error).count()
}

/// The one of `known` that `found` is probably a misspelling of, if one is close enough.
pub fn closest<'a>(found: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // A third of the letters may be wrong: "paymnets" finds "payments", "web" does not find "api".
    let limit = found.chars().count().div_ceil(3).max(1);
    known
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(found, name), name))
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::{FieldPath, MAX_KEPT, Problems, closest};

    #[test]
    fn a_misspelled_name_finds_its_neighbour_and_a_foreign_one_finds_none() {
        assert_eq!(closest("paymnets", ["orders", "payments"]), Some("payments"));
        assert_eq!(closest("web", ["api", "orders"]), None);
        assert_eq!(closest("", ["api"]), None);
    }

    #[test]
    fn the_summary_names_every_error_and_no_warning() {
        let mut problems = Problems::new();
        let mut path = FieldPath::new();
        path.push_field("clusters");
        path.push_index(2);
        problems.error(&path, "no type").hint("write one");
        problems.warning(&path, "ignored");
        path.push_field("name");
        problems.error(&path, "empty");
        assert_eq!(problems.summary(), "clusters[2]: no type (write one); clusters[2].name: empty");
    }

    #[test]
    fn problems_beyond_the_limit_are_counted() {
        let mut problems = Problems::new();
        for _ in 0..MAX_KEPT + 3 {
            problems.error(&FieldPath::new(), "again").hint("no");
        }
        assert_eq!(problems.iter().count(), MAX_KEPT);
        assert_eq!(problems.error_count(), MAX_KEPT + 3);
        assert!(problems.summary().ends_with("; and 3 more"));
    }
}
