//! Problems as text for people: file, line, column, the line itself and a caret.

use std::fmt;
use std::fmt::Write as _;
use std::sync::Arc;

use super::{Problem, Problems, Severity};

/// A place in a source text. Lines and columns count from 1, columns in characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Which of the report's sources, counted from 0.
    pub source: u8,
    /// The line.
    pub line: u32,
    /// The column of the first character.
    pub column: u32,
    /// How many characters to underline; at least one is.
    pub width: u32,
}

/// A text and what to call it.
#[derive(Clone, Debug)]
pub struct Source {
    /// A file name, or a stand-in such as `--config-yaml`.
    pub name: Arc<str>,
    /// The whole text.
    pub text: Arc<str>,
}

impl Source {
    /// Names a text.
    pub fn new(name: impl Into<Arc<str>>, text: impl Into<Arc<str>>) -> Self {
        Self { name: name.into(), text: text.into() }
    }
}

/// All problems of one source, printed by `Display` in the order of the text.
///
/// ```text
/// envoy.yaml:41:22: static_resources.clusters[1].lb_policy
///   error: "ROUNDROBIN" is not a LbPolicy
///      |
///   41 |           lb_policy: ROUNDROBIN
///      |                      ^^^^^^^^^^
///   hint: did you mean "ROUND_ROBIN"?
/// ```
#[derive(Debug)]
pub struct Report {
    /// Where the problems are: most often one file, with `--config-yaml` that text too.
    pub sources: Vec<Source>,
    /// What they are.
    pub problems: Problems,
}

impl Report {
    /// Whether the configuration cannot be used.
    pub fn has_errors(&self) -> bool {
        self.problems.has_errors()
    }
}

impl std::error::Error for Report {}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut sorted: Vec<_> = self.problems.iter().collect();
        sorted.sort_by_key(|problem| problem.position.unwrap_or_default());
        let sources: Vec<(&str, Vec<&str>)> = self
            .sources
            .iter()
            .map(|source| (&*source.name, source.text.lines().collect()))
            .collect();
        let mut out = String::new();
        for (index, problem) in sorted.into_iter().enumerate() {
            if index > 0 {
                out.push('\n');
            }
            let source = usize::from(problem.position.unwrap_or_default().source);
            let (name, lines) =
                sources.get(source).map_or(("", &[][..]), |source| (source.0, source.1.as_slice()));
            render(&mut out, name, lines, problem);
        }
        if self.problems.dropped() > 0 {
            let _ = writeln!(out, "\n... and {} more problems", self.problems.dropped());
        }
        f.write_str(out.trim_end_matches('\n'))
    }
}

/// The longest part of a line that is shown.
const MAX_SHOWN: usize = 160;

fn render(out: &mut String, name: &str, lines: &[&str], problem: &Problem) {
    out.push_str(name);
    if let Some(at) = problem.position {
        let _ = write!(out, ":{}:{}", at.line, at.column);
    }
    if !problem.path.is_empty() {
        let _ = write!(out, ": {}", problem.path);
    }
    let severity = match problem.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    let _ = writeln!(out, "\n  {severity}: {}", problem.message);
    if let Some(at) = problem.position {
        render_line(out, lines, at);
    }
    if let Some(hint) = &problem.hint {
        let _ = writeln!(out, "  hint: {hint}");
    }
}

fn render_line(out: &mut String, lines: &[&str], at: Position) {
    let Some(line) = (at.line as usize).checked_sub(1).and_then(|index| lines.get(index)) else {
        return;
    };
    // A caret only helps under text it can point at.
    let length = line.chars().count();
    let column = at.column.max(1) as usize - 1;
    if column > MAX_SHOWN || length == 0 {
        return;
    }
    let shown: String = line
        .chars()
        .take(MAX_SHOWN)
        .map(|character| if character.is_control() { ' ' } else { character })
        .collect();
    let width = (at.width.max(1) as usize).min(length.saturating_sub(column).max(1));
    let width = width.min(MAX_SHOWN + 1 - column.min(MAX_SHOWN));
    let number = at.line.to_string();
    let gutter = " ".repeat(number.len());
    let _ = writeln!(out, "  {gutter} |");
    let _ = writeln!(out, "  {number} | {shown}");
    let _ = writeln!(out, "  {gutter} | {}{}", " ".repeat(column), "^".repeat(width));
}

#[cfg(test)]
mod tests {
    use super::{Position, Report, Source};
    use crate::diagnostic::{FieldPath, Problems};

    #[test]
    fn problems_are_printed_in_the_order_of_the_text() {
        let mut problems = Problems::new();
        let mut path = FieldPath::new();
        path.push_field("b");
        problems.warning(&path, "second").at(Position { source: 0, line: 2, column: 4, width: 90 });
        path.pop();
        path.push_field("a");
        let first = problems.error(&path, "first");
        first.at(Position { source: 0, line: 1, column: 4, width: 3 }).hint("a hint");
        let report = Report { sources: vec![Source::new("f.yaml", "a: xyz\nb: \tz")], problems };
        assert_eq!(
            report.to_string(),
            "f.yaml:1:4: a\n  error: first\n    |\n  1 | a: xyz\n    |    ^^^\n  hint: a hint\n\
             \nf.yaml:2:4: b\n  warning: second\n    |\n  2 | b:  z\n    |    ^^"
        );
    }

    #[test]
    fn a_position_outside_the_text_prints_without_a_line() {
        let mut problems = Problems::new();
        problems.error(&FieldPath::new(), "gone").at(Position {
            source: 0,
            line: 9,
            column: 1,
            width: 1,
        });
        let report = Report { sources: vec![Source::new("f", "one")], problems };
        assert_eq!(report.to_string(), "f:9:1\n  error: gone");
    }
}
