//! Notices that files changed: rewritten, replaced by a rename, or swapped below a symlink.
//!
//! Directories are watched, not files: editors and `mv` replace the file, and Kubernetes replaces a
//! symlink beside it (`..data`), which a watch on the file itself would never see. An event only
//! means "look": what counts is whether the file one ends up at is another one than before. Where
//! the system gives no events (network file systems, exhausted inotify), looking once a second does.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use notify::{RecommendedWatcher, RecursiveMode, Watcher};

/// A change is reported when nothing more happened for so long: a file is often written in pieces.
const QUIET: Duration = Duration::from_millis(50);
/// ... but not later than this after its first sign.
const MAX_DELAY: Duration = Duration::from_millis(500);
/// How often files are looked at without an event.
const POLL: Duration = Duration::from_secs(1);

/// The watching thread could not be started.
#[derive(Debug, thiserror::Error)]
#[error("cannot start the thread that watches files")]
pub struct WatchError(#[from] std::io::Error);

/// Watches a set of files until it is dropped.
#[derive(Debug)]
pub struct FileWatch {
    /// Dropped first: it wakes the thread up.
    commands: Option<mpsc::Sender<Signal>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
enum Signal {
    /// Something happened in a watched directory.
    Look,
    /// Watch these files from now on.
    Watch(Vec<PathBuf>),
    Stop,
}

impl FileWatch {
    /// Starts watching `files`; they need not exist yet. One that is a directory changes when something comes
    /// into it or goes.
    ///
    /// `on_change` runs on the watching thread with the files that are other than before, all of
    /// one burst together. It should only hand them on. A file that vanished is reported when it
    /// is back.
    ///
    /// # Errors
    /// When no thread can be started. A system without file events is no error: files are then
    /// looked at once a second.
    pub fn start(
        files: Vec<PathBuf>,
        on_change: impl Fn(Vec<PathBuf>) + Send + 'static,
    ) -> Result<Self, WatchError> {
        let (commands, signals) = mpsc::channel();
        let mut watched = Watched::new(files);
        let events = commands.clone();
        let thread =
            std::thread::Builder::new().name("file-watch".to_owned()).spawn(move || {
                let mut directories = Directories::new(events);
                directories.follow(watched.files());
                while watched.wait(&signals, &mut directories) {
                    let changed = watched.look();
                    if !changed.is_empty() {
                        on_change(changed);
                    }
                }
            })?;
        Ok(Self { commands: Some(commands), thread: Some(thread) })
    }

    /// Replaces the set of files. What a file that is new here is like now counts as unchanged.
    pub fn watch(&self, files: Vec<PathBuf>) {
        if let Some(commands) = &self.commands {
            // The thread only ends when this value is dropped.
            let _ = commands.send(Signal::Watch(files));
        }
    }
}

impl Drop for FileWatch {
    fn drop(&mut self) {
        if let Some(commands) = self.commands.take() {
            let _ = commands.send(Signal::Stop);
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The files, and what they were like when last seen.
#[derive(Debug)]
struct Watched(BTreeMap<PathBuf, Option<Fingerprint>>);

impl Watched {
    fn new(files: Vec<PathBuf>) -> Self {
        Self(files.into_iter().map(|file| (file.clone(), Fingerprint::of(&file))).collect())
    }

    fn files(&self) -> impl Iterator<Item = &Path> {
        self.0.keys().map(PathBuf::as_path)
    }

    /// Waits until it is time to look; `false` when it is time to stop.
    fn wait(&mut self, signals: &Receiver<Signal>, directories: &mut Directories) -> bool {
        let mut first: Option<Instant> = None;
        loop {
            let patience = match first {
                None => POLL,
                Some(first) => QUIET.min(MAX_DELAY.saturating_sub(first.elapsed())),
            };
            match signals.recv_timeout(patience) {
                Ok(Signal::Look) => {
                    first.get_or_insert_with(Instant::now);
                }
                Ok(Signal::Watch(files)) => {
                    let mut fresh = Self::new(files);
                    for (file, seen) in &mut fresh.0 {
                        if let Some(before) = self.0.get(file) {
                            seen.clone_from(before);
                        }
                    }
                    *self = fresh;
                    directories.follow(self.files());
                    first.get_or_insert_with(Instant::now);
                }
                Ok(Signal::Stop) | Err(RecvTimeoutError::Disconnected) => return false,
                Err(RecvTimeoutError::Timeout) => return true,
            }
        }
    }

    /// The files that are other than when last seen.
    fn look(&mut self) -> Vec<PathBuf> {
        let mut changed = Vec::new();
        for (file, seen) in &mut self.0 {
            // Gone is not changed: a replacement may be on its way.
            let Some(now) = Fingerprint::of(file) else { continue };
            if seen.as_ref() != Some(&now) {
                *seen = Some(now);
                changed.push(file.clone());
            }
        }
        changed
    }
}

/// Enough of a file's state to notice that it is another one. Links are followed.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Fingerprint {
    target: PathBuf,
    length: u64,
    modified: Option<SystemTime>,
    identity: (u64, u64),
}

impl Fingerprint {
    fn of(file: &Path) -> Option<Self> {
        let target = std::fs::canonicalize(file).ok()?;
        let metadata = std::fs::metadata(&target).ok()?;
        Some(Self {
            target,
            length: metadata.len(),
            modified: metadata.modified().ok(),
            identity: identity(&metadata),
        })
    }
}

#[cfg(unix)]
fn identity(metadata: &std::fs::Metadata) -> (u64, u64) {
    use std::os::unix::fs::MetadataExt;
    (metadata.dev(), metadata.ino())
}

#[cfg(not(unix))]
fn identity(_metadata: &std::fs::Metadata) -> (u64, u64) {
    (0, 0)
}

/// The directories whose events wake the thread.
struct Directories {
    watcher: Option<RecommendedWatcher>,
    followed: Vec<PathBuf>,
}

impl Directories {
    fn new(events: mpsc::Sender<Signal>) -> Self {
        let watcher = notify::recommended_watcher(move |_event| {
            let _ = events.send(Signal::Look);
        });
        if let Err(error) = &watcher {
            tracing::warn!(%error, "no file events, files are looked at once a second");
        }
        Self { watcher: watcher.ok(), followed: Vec::new() }
    }

    /// Watches the directories of these files, and no others.
    fn follow<'f>(&mut self, files: impl Iterator<Item = &'f Path>) {
        let Some(watcher) = &mut self.watcher else { return };
        let mut wanted = Vec::new();
        for file in files {
            // The directory of the name, that of the file a link leads to, and one that is named itself.
            let target = std::fs::canonicalize(file).ok();
            let itself = target.clone().filter(|target| target.is_dir());
            let parents = [Some(file.to_owned()), target].into_iter().flatten().map(|path| {
                match path.parent() {
                    Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
                    _ => PathBuf::from("."),
                }
            });
            for directory in parents.chain(itself) {
                if !wanted.contains(&directory) {
                    wanted.push(directory);
                }
            }
        }
        for directory in self.followed.iter().filter(|directory| !wanted.contains(directory)) {
            let _ = watcher.unwatch(directory);
        }
        for directory in wanted.iter().filter(|directory| !self.followed.contains(directory)) {
            if let Err(error) = watcher.watch(directory, RecursiveMode::NonRecursive) {
                tracing::warn!(%error, directory = %directory.display(), "directory not watched");
            }
        }
        self.followed = wanted;
    }
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};
    use std::sync::mpsc::{self, Receiver};
    use std::time::Duration;

    use super::{FileWatch, Watched};

    fn write(path: &Path, text: &str) {
        std::fs::write(path, text).unwrap();
    }

    fn watching(file: &Path) -> (FileWatch, Receiver<Vec<PathBuf>>) {
        let (sender, changes) = mpsc::channel();
        let watch = FileWatch::start(vec![file.to_owned()], move |changed| {
            let _ = sender.send(changed);
        });
        (watch.unwrap(), changes)
    }

    /// Long enough for a machine that is busy with other things; a good run takes 50 ms.
    const PATIENCE: Duration = Duration::from_secs(20);

    #[test]
    fn a_file_that_is_replaced_by_a_rename_is_reported() {
        let dir = tempfile::tempdir().unwrap();
        let (file, next) = (dir.path().join("a.yaml"), dir.path().join("next"));
        write(&file, "1");
        let (_watch, changes) = watching(&file);
        write(&next, "2");
        std::fs::rename(&next, &file).unwrap();
        assert_eq!(changes.recv_timeout(PATIENCE).unwrap(), [file]);
    }

    #[cfg(unix)]
    #[test]
    fn the_symlink_swap_of_a_config_map_is_reported() {
        let dir = tempfile::tempdir().unwrap();
        for (version, text) in [("..1", "1"), ("..2", "2")] {
            std::fs::create_dir(dir.path().join(version)).unwrap();
            write(&dir.path().join(version).join("a.yaml"), text);
        }
        let data = dir.path().join("..data");
        std::os::unix::fs::symlink("..1", &data).unwrap();
        let file = dir.path().join("a.yaml");
        std::os::unix::fs::symlink("..data/a.yaml", &file).unwrap();
        let (_watch, changes) = watching(&file);

        let fresh = dir.path().join("..data_tmp");
        std::os::unix::fs::symlink("..2", &fresh).unwrap();
        std::fs::rename(&fresh, &data).unwrap();

        assert_eq!(changes.recv_timeout(PATIENCE).unwrap(), [file]);
    }

    #[test]
    fn looking_reports_a_change_once_and_absence_never() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a");
        write(&file, "1");
        let mut watched = Watched::new(vec![file.clone()]);
        assert!(watched.look().is_empty());

        std::fs::remove_file(&file).unwrap();
        assert!(watched.look().is_empty());

        write(&file, "22");
        assert_eq!(watched.look(), [file]);
        assert!(watched.look().is_empty());
    }

    #[test]
    fn a_directory_is_reported_when_something_comes_into_it() {
        let dir = tempfile::tempdir().unwrap();
        let watched = dir.path().join("watched");
        std::fs::create_dir(&watched).unwrap();
        let (_watch, changes) = watching(&watched);
        write(&watched.join("a"), "1");
        assert_eq!(changes.recv_timeout(PATIENCE).unwrap(), [watched]);
    }

    #[test]
    fn a_file_that_appears_later_is_reported() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("late.yaml");
        let (_watch, changes) = watching(&file);
        write(&file, "1");
        assert_eq!(changes.recv_timeout(PATIENCE).unwrap(), [file]);
    }
}
