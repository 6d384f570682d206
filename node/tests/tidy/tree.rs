//! Holds the tree that the rules look at: the real one, or a sample in memory.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Folders that hold nothing that was written by hand.
const SKIPPED: [&str; 9] = [
    ".git",
    "target",
    "ledger/oracle/target",
    "fuzz/target",
    "fuzz/corpus",
    "fuzz/artifacts",
    "fuzz/coverage",
    "interop/mina/target",
    "interop/mina/js/node_modules",
];

/// Text files by their path from the root, with `/` between names.
pub(crate) struct Tree(BTreeMap<String, String>);

impl Tree {
    /// The tree that this test was built from.
    pub(crate) fn load() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("node/ is in the workspace");
        let mut files = BTreeMap::new();
        walk(root, "", &mut files);
        Self(files)
    }

    /// A tree of these paths and contents.
    pub(crate) fn sample(files: &[(&str, &str)]) -> Self {
        Self(files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect())
    }

    /// All files, by path.
    pub(crate) fn files(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(path, text)| (path.as_str(), text.as_str()))
    }

    /// All files of Rust source.
    pub(crate) fn rust(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files().filter(|(path, _)| path.ends_with(".rs"))
    }

    /// One file's text.
    pub(crate) fn text(&self, path: &str) -> Option<&str> {
        self.0.get(path).map(String::as_str)
    }

    /// Whether there is a file at the path or a folder with something in it.
    pub(crate) fn exists(&self, path: &str) -> bool {
        let folder = format!("{}/", path.trim_end_matches('/'));
        self.0.contains_key(path) || self.0.keys().any(|file| file.starts_with(&folder))
    }

    /// Folders with a manifest, and the manifest; the root has the empty name.
    pub(crate) fn manifests(&self) -> impl Iterator<Item = (&str, toml::Table)> {
        self.files().filter(|(path, _)| *path == "Cargo.toml" || path.ends_with("/Cargo.toml")).map(|(path, text)| {
            let folder = path.trim_end_matches("Cargo.toml").trim_end_matches('/');
            (folder, text.parse().unwrap_or_else(|wrong| panic!("{path}: {wrong}")))
        })
    }
}

fn walk(root: &Path, folder: &str, files: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(root.join(folder)).expect("the tree can be read") {
        let entry = entry.expect("the tree can be read");
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = if folder.is_empty() { name } else { format!("{folder}/{name}") };
        if SKIPPED.contains(&path.as_str()) {
            continue;
        }
        let kind = entry.file_type().expect("the tree can be read");
        if kind.is_dir() {
            walk(root, &path, files);
        } else if kind.is_file()
            && let Ok(text) = fs::read_to_string(entry.path())
        {
            files.insert(path, text);
        }
    }
}
