//! The files of a run: collected first, so that nothing is written when something is in the way.

use std::fs;
use std::fs::OpenOptions;
use std::io;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use zeroize::Zeroizing;

use super::CertError;

/// Files to write, in order.
#[derive(Default)]
pub(super) struct Files(Vec<File>);

struct File {
    name: String,
    text: Zeroizing<String>,
    mode: u32,
}

impl Files {
    /// A file that anybody may read.
    pub(super) fn add(&mut self, name: String, text: Zeroizing<String>) {
        self.0.push(File { name, text, mode: 0o644 });
    }

    /// A file that only its owner may read.
    pub(super) fn add_key(&mut self, name: String, text: Zeroizing<String>) {
        self.0.push(File { name, text, mode: 0o600 });
    }

    /// A file that holds others.
    pub(super) fn bundle(&mut self, name: &str, of: &[&str]) {
        let all = self.0.iter().filter(|file| of.contains(&file.name.as_str()));
        let text: String = all.map(|file| file.text.as_str()).collect();
        self.add(name.to_owned(), text.into());
    }

    /// Their names.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|file| file.name.as_str())
    }

    /// Writes them all.
    pub(super) fn write(&self, directory: &Path, force: bool) -> Result<(), CertError> {
        let mut names: Vec<&str> = self.names().collect();
        names.sort_unstable();
        if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(CertError::Twice(twice[0].to_owned()));
        }
        let exists = |name: &&str| directory.join(name).symlink_metadata().is_ok();
        let in_the_way: Vec<String> = self.names().filter(exists).map(str::to_owned).collect();
        if !force && !in_the_way.is_empty() {
            return Err(CertError::Exists { directory: directory.to_owned(), files: in_the_way });
        }
        fs::create_dir_all(directory)
            .map_err(|error| CertError::Write { path: directory.to_owned(), error })?;
        for file in &self.0 {
            let path = directory.join(&file.name);
            write(&path, file).map_err(|error| CertError::Write { path, error })?;
        }
        Ok(())
    }
}

/// The old file goes first: its mode, or where a link of that name points, must not decide about a key.
fn write(path: &Path, file: &File) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut to = OpenOptions::new().write(true).create_new(true).mode(file.mode).open(path)?;
    to.write_all(file.text.as_bytes())
}
