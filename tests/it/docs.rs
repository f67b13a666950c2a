//! The documents are true as far as a test can tell: links lead somewhere, files that are named exist, examples
//! load, and the reference of fields is the list that the code uses.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;
use std::path::PathBuf;

use palanquin::config_source::ConfigSource;
use palanquin::server::Extensions;
use palanquin_config::lower::Environment;
use palanquin_filter_api::stats;

use palanquin_tests::certs::Pki;

const REFERENCE: &str = "docs/config-reference.md";
const GENERATED: [&str; 2] = ["<!-- fields: begin -->\n", "<!-- fields: end -->"];

#[test]
fn every_relative_link_leads_to_a_file_and_every_anchor_to_a_heading() {
    let mut broken = Vec::new();
    for document in documents() {
        let text = read(&document);
        for link in links(&prose(&text)) {
            if link.contains("://") || link.starts_with("mailto:") {
                continue;
            }
            let (path, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target = match path {
                "" => document.clone(),
                path => document.parent().unwrap().join(path),
            };
            let is_there =
                target.exists() && (anchor.is_empty() || anchors(&read(&target)).contains(anchor));
            if !is_there {
                broken.push(format!("{}: {link}", document.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn every_file_of_ours_that_a_document_names_exists() {
    const TOP: [&str; 8] =
        ["benches/", "config/", "docs/", "filters/", "proxy/", "tests/", "tls/", "xds-client/"];
    let mut missing = BTreeSet::new();
    for document in documents() {
        let text = written(&read(&document));
        let is_part = |c: char| c.is_ascii_alphanumeric() || "_-./".contains(c);
        for word in text.split(|c| !is_part(c)) {
            let word = word.trim_end_matches(['.', '/']);
            if TOP.iter().any(|top| word.starts_with(top)) && !root().join(word).exists() {
                missing.insert(format!("{}: {word}", document.display()));
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn every_whole_configuration_in_a_document_loads_without_a_warning() {
    let pki = Pki::new();
    pki.issue("server", &["shop.example"]);
    let directory = format!("{}/", pki.ca().parent().unwrap().display());
    let filters = Extensions::built_in().filters;
    let stats = stats::Registry::new(1);
    let mut count = 0;
    for document in documents() {
        for example in examples(&read(&document)) {
            let text = example.replace("certs/", &directory);
            let environment = Environment { filters: &filters, stats: &stats };
            match ConfigSource::text(text).load(environment) {
                Ok(usable) => {
                    let warnings = usable.warnings.problems.warnings().count();
                    assert_eq!(warnings, 0, "{}: {}", document.display(), usable.warnings);
                }
                Err(error) => panic!("{}: {error}", document.display()),
            }
            count += 1;
        }
    }
    assert!(count >= 5, "found only {count} examples");
}

/// To make it so again: `UPDATE_DOCS=1 cargo test -p palanquin-tests docs`.
#[test]
fn the_reference_of_fields_is_the_list_that_the_code_uses() {
    let path = root().join(REFERENCE);
    let text = read(&path);
    let [begin, end] = GENERATED;
    let (before, rest) = text.split_once(begin).unwrap();
    let (present, after) = rest.split_once(end).unwrap();
    let wanted = reference(&read(&root().join("config/src/support/supported.txt")));
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, format!("{before}{begin}{wanted}{end}{after}")).unwrap();
    } else {
        assert!(present == wanted, "{REFERENCE} is stale; UPDATE_DOCS=1 rewrites it");
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every document of the project.
fn documents() -> Vec<PathBuf> {
    fn collect(directory: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy();
            if path.is_dir() {
                // What tools leave behind is not ours.
                if !name.starts_with('.') && !["target", "node_modules", "corpus"].contains(&&*name)
                {
                    collect(&path, found);
                }
            } else if name.ends_with(".md") {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    collect(&root(), &mut found);
    found.sort();
    assert!(found.len() > 10, "{found:?}");
    found
}

/// A document without what programs write into it: names of measured cases look like paths.
fn written(text: &str) -> String {
    let mut is_generated = false;
    let mut out = String::new();
    for line in text.lines() {
        if line.starts_with("<!-- ") && line.ends_with(" begin -->") {
            is_generated = true;
        } else if line.starts_with("<!-- ") && line.ends_with(" end -->") {
            is_generated = false;
        } else if !is_generated {
            writeln!(out, "{line}").unwrap();
        }
    }
    out
}

/// A document without its blocks of code.
fn prose(text: &str) -> String {
    let mut is_code = false;
    let mut out = String::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            is_code = !is_code;
        } else if !is_code {
            writeln!(out, "{line}").unwrap();
        }
    }
    out
}

/// What stands in the round brackets of `[text](link)`.
fn links(prose: &str) -> Vec<String> {
    prose.split("](").skip(1).filter_map(|rest| Some(rest.split_once(')')?.0.to_owned())).collect()
}

/// The anchors of a document's headings, as GitHub makes them.
fn anchors(text: &str) -> BTreeSet<String> {
    prose(text)
        .lines()
        .filter(|line| line.starts_with('#'))
        .map(|line| {
            let title = line.trim_start_matches('#').trim().to_lowercase();
            title
                .chars()
                .filter(|c| c.is_alphanumeric() || " -_".contains(*c))
                .map(|c| if c == ' ' { '-' } else { c })
                .collect()
        })
        .collect()
}

/// The blocks of YAML that are whole configurations rather than parts of one.
fn examples(text: &str) -> Vec<String> {
    let whole = ["listen:", "static_resources:", "dynamic_resources:"];
    text.split("```yaml\n")
        .skip(1)
        .filter_map(|rest| Some(rest.split_once("```")?.0))
        .filter(|block| block.lines().any(|line| whole.iter().any(|key| line.starts_with(key))))
        .map(str::to_owned)
        .collect()
}

/// The tables of the reference, one for each section of the list.
fn reference(list: &str) -> String {
    let mut out = String::new();
    let mut row: Option<Row> = None;
    for line in list.lines().map(str::trim) {
        if let Some(title) = line.strip_prefix("# ---") {
            end_row(&mut out, row.take());
            let title = title.trim_matches(['-', ' ']);
            write!(out, "\n### {title}\n\n| message | fields | |\n|---|---|---|\n").unwrap();
        } else if let Some(message) = line.strip_prefix('[').and_then(|it| it.strip_suffix(']')) {
            end_row(&mut out, row.take());
            row = Some(Row { message: message.to_owned(), ..Row::default() });
        } else if let Some(row) =
            row.as_mut().filter(|_| !line.is_empty() && !line.starts_with('#'))
        {
            row.add(line);
        }
    }
    end_row(&mut out, row);
    out
}

#[derive(Default)]
struct Row {
    message: String,
    fields: Vec<String>,
    remarks: Vec<String>,
}

impl Row {
    fn add(&mut self, line: &str) {
        let special = |prefix| line.strip_prefix(prefix)?.split_once(": ");
        if let Some((field, why)) = special("silent ") {
            self.remarks.push(format!("`{field}` is ignored: {why}"));
        } else if let Some((field, why)) = special("reject ") {
            self.remarks.push(format!("`{field}` is **refused**: {why}"));
        } else if line == "*" {
            self.fields.push("all".to_owned());
        } else {
            self.fields.extend(line.split_whitespace().map(|field| format!("`{field}`")));
        }
    }
}

fn end_row(out: &mut String, row: Option<Row>) {
    let Some(Row { message, fields, remarks }) = row else { return };
    let short = ["envoy.config.", "envoy.extensions.", "envoy."]
        .iter()
        .find_map(|prefix| message.strip_prefix(prefix))
        .unwrap_or(&message);
    let fields = if fields.is_empty() { "none".to_owned() } else { fields.join(" ") };
    writeln!(out, "| `{short}` | {fields} | {} |", remarks.join("; ")).unwrap();
}
