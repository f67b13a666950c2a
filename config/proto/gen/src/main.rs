//! Regenerates `config/proto/src/generated`: Rust types and the field table, from Envoy's API.
//!
//! `cargo run -p palanquin-proto-gen` rewrites the files; a test fails when they are stale. To make
//! another message available, name it in `roots.txt`.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

mod code;
mod prune;
mod rules;
mod source;
mod table;

fn main() -> Result<()> {
    let out = crate_dir().join("../src/generated");
    if out.exists() {
        std::fs::remove_dir_all(&out).context("clearing the old output")?;
    }
    std::fs::create_dir_all(&out)?;
    generate(&out)
}

/// Writes everything into `out`, an existing empty folder.
fn generate(out: &Path) -> Result<()> {
    let source = source::load(&crate_dir())?;
    let roots = include_str!("../roots.txt")
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    let pruned = prune::closure(source.files.clone(), roots)?;
    code::write(pruned, out)?;
    std::fs::write(out.join("schema.rs"), table::render(&source.pool)?)?;
    Ok(())
}

fn crate_dir() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;

    fn contents(dir: &Path) -> BTreeMap<String, String> {
        std::fs::read_dir(dir)
            .unwrap()
            .map(|entry| entry.unwrap())
            .map(|entry| {
                let name = entry.file_name().into_string().unwrap();
                (name, std::fs::read_to_string(entry.path()).unwrap())
            })
            .collect()
    }

    #[test]
    fn the_committed_code_is_what_the_generator_writes() {
        let fresh = tempfile::tempdir().unwrap();
        super::generate(fresh.path()).unwrap();
        let fresh = contents(fresh.path());
        let committed = contents(&super::crate_dir().join("../src/generated"));
        assert_eq!(
            fresh.keys().collect::<Vec<_>>(),
            committed.keys().collect::<Vec<_>>(),
            "the sets of files differ: run `cargo run -p palanquin-proto-gen`"
        );
        for (name, text) in &fresh {
            assert!(committed[name] == *text, "{name} is stale: run the generator");
        }
    }
}
