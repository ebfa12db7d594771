//! What a config was read from, watched for changes: by folders, because editors and ConfigMaps put a new file in the old one's
//! place, and by content, because not every event is a change.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};
use notify::event::{AccessKind, AccessMode, ModifyKind};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;

use crate::config::Config;

/// How long nothing must happen before a change is read: several files are often written one after the other.
const SETTLED: Duration = Duration::from_millis(300);

/// How long that is waited for at most.
const PATIENCE: Duration = Duration::from_secs(5);

/// The files of one config.
pub(super) struct Watch {
    files: Vec<PathBuf>,
    policies: PathBuf,
    seen: [u8; 32],
    events: mpsc::Receiver<()>,
    /// Held for its drop, which ends the watching.
    _watcher: Option<RecommendedWatcher>,
}

impl Watch {
    /// Watches what this config was read from, as it is now. Where the system refuses that, changes wait for SIGHUP.
    pub(super) fn new(file: &Path, config: &Config) -> Self {
        let files: Vec<PathBuf> = [file.to_owned()].into_iter().chain(config.files()).collect();
        let (sender, events) = mpsc::channel(1);
        let names: BTreeSet<OsString> = files.iter().filter_map(|file| file.file_name()).map(Into::into).collect();
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            // A full channel is as good: one event that waits is enough.
            if event.is_ok_and(|event| !may_change(&event, &names)) || sender.try_send(()).is_err() {
                tracing::trace!("nothing new, or an event waits already");
            }
        });
        let watched = watcher.and_then(|mut watcher| {
            let folders: BTreeSet<&Path> = files.iter().map(|file| folder(file)).chain([config.policies.as_path()]).collect();
            folders.into_iter().try_for_each(|folder| watcher.watch(folder, RecursiveMode::NonRecursive))?;
            Ok(watcher)
        });
        let watcher = watched.inspect_err(|error| tracing::warn!(%error, "files cannot be watched; changes are read on SIGHUP alone")).ok();
        let policies = config.policies.clone();
        let seen = digest(&files, &policies);
        Self { files, policies, seen, events, _watcher: watcher }
    }

    /// Takes the files as they are now for known: somebody reads them.
    pub(super) fn note(&mut self) {
        self.seen = digest(&self.files, &self.policies);
    }

    /// Whether these are the files of this config, too.
    pub(super) fn is_of(&self, file: &Path, config: &Config) -> bool {
        self.policies == config.policies && self.files.iter().cloned().eq([file.to_owned()].into_iter().chain(config.files()))
    }

    /// Returns when something in the files is other than was noted, and nothing more is being written.
    pub(super) async fn changed(&mut self) {
        loop {
            if self.differs() {
                self.quiet().await;
                if self.differs() {
                    return;
                }
            }
            if self.events.recv().await.is_none() {
                return std::future::pending().await;
            }
        }
    }

    fn differs(&self) -> bool {
        digest(&self.files, &self.policies) != self.seen
    }

    async fn quiet(&mut self) {
        let quiet = async { while tokio::time::timeout(SETTLED, self.events.recv()).await.is_ok_and(|event| event.is_some()) {} };
        if tokio::time::timeout(PATIENCE, quiet).await.is_err() {
            tracing::debug!("files of the config are being written without end; they are read as they are");
        }
    }
}

/// Whether what happened in a folder may have changed the files of a config that have these names. That somebody reads them has not, and it
/// is mostly this very watch; nor that something is written to another file beside them, as the record or a log.
fn may_change(event: &Event, names: &BTreeSet<OsString>) -> bool {
    let is_ours = |path: &PathBuf| {
        path.extension().is_some_and(|kind| kind == "yaml" || kind == "yml") || path.file_name().is_some_and(|name| names.contains(name))
    };
    match event.kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) | EventKind::Modify(ModifyKind::Data(_)) => event.paths.iter().any(is_ours),
        EventKind::Access(_) => false,
        EventKind::Any | EventKind::Create(_) | EventKind::Modify(_) | EventKind::Remove(_) | EventKind::Other => true,
    }
}

fn folder(file: &Path) -> &Path {
    file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Every name and content; what cannot be read counts by its name.
fn digest(files: &[PathBuf], policies: &Path) -> [u8; 32] {
    let mut names: Vec<PathBuf> = files.to_vec();
    names.extend(crate::policy::files(policies).unwrap_or_default());
    let mut context = Context::new(&SHA256);
    for name in names {
        let content = std::fs::read(&name).unwrap_or_default();
        for part in [name.as_os_str().as_encoded_bytes(), content.as_slice()] {
            context.update(&part.len().to_be_bytes());
            context.update(part);
        }
    }
    let mut seen = [0; 32];
    seen.copy_from_slice(context.finish().as_ref());
    seen
}
