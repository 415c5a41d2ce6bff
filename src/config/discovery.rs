//! Finding the configuration file (config.md §1).

use std::fmt;
use std::path::{Path, PathBuf};

/// The name that the file must have.
pub const FILE_NAME: &str = ".sops.yaml";

/// The name that people give it by mistake.
const MISNAMED: &str = ".sops.yml";

/// So many directories are searched, the first included.
const MOST_DIRECTORIES: usize = 100;

/// What the search came upon. Paths are relative to where it began: `.sops.yaml`, `../.sops.yaml`, …
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Search {
    /// The nearest file with the right name. Only its existence is known.
    pub found: Option<PathBuf>,
    /// A file with the wrong name that stood in front of it.
    pub misnamed: Option<Misnamed>,
}

/// A file that looks like a configuration but is none. Displays the warning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misnamed {
    /// The nearest of them.
    pub path: PathBuf,
    /// What is used instead.
    pub instead: Option<PathBuf>,
}

impl fmt::Display for Misnamed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "ignoring \"{}\" when searching for config file; the config file must be called {FILE_NAME:?}",
            self.path.display()
        )?;
        match &self.instead {
            Some(instead) => write!(f, "; using \"{}\" instead", instead.display()),
            None => Ok(()),
        }
    }
}

/// The nearest configuration file, looked for in `start`, then in each directory above it.
pub fn search(start: &Path) -> Search {
    let exists = |path: &Path| start.join(path).metadata().is_ok();
    // through `..`, so that directories behind symbolic links have the parents that the system gives them
    let mut directory = PathBuf::new();
    let mut misnamed = None;
    for _ in 0..directories(start) {
        let file = directory.join(FILE_NAME);
        if exists(&file) {
            let misnamed = misnamed.map(|path| Misnamed { path, instead: Some(file.clone()) });
            return Search { found: Some(file), misnamed };
        }
        if misnamed.is_none() {
            misnamed = Some(directory.join(MISNAMED)).filter(|path| exists(path));
        }
        directory.push("..");
    }
    Search { found: None, misnamed: misnamed.map(|path| Misnamed { path, instead: None }) }
}

/// How many directories there are from this one up to the root, which is its own parent. Asking there again and again
/// was a fifth of the time that a small file took.
fn directories(start: &Path) -> usize {
    start.canonicalize().map_or(MOST_DIRECTORIES, |path| path.components().count().min(MOST_DIRECTORIES))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// A directory with `a/b/c` in it, and files at these places.
    fn directory_with(files: &[&str]) -> tempfile::TempDir {
        let root = tempfile::tempdir().expect("a temporary directory");
        fs::create_dir_all(root.path().join("a/b/c")).expect("directories");
        for file in files {
            fs::write(root.path().join(file), "").expect("a file");
        }
        root
    }

    fn warning(search: &Search) -> String {
        search.misnamed.as_ref().map(Misnamed::to_string).unwrap_or_default()
    }

    #[test]
    fn the_nearest_file_is_found_and_its_path_stays_relative() {
        let root = directory_with(&["a/.sops.yaml", ".sops.yaml"]);
        let found = |start: &str| search(&root.path().join(start)).found;
        assert_eq!(found("a/b/c"), Some(PathBuf::from("../../.sops.yaml")));
        assert_eq!(found("a/b"), Some(PathBuf::from("../.sops.yaml")));
        assert_eq!(found("a"), Some(PathBuf::from(".sops.yaml")));
        assert_eq!(found(""), Some(PathBuf::from(".sops.yaml")));
    }

    #[test]
    fn a_directory_of_that_name_is_a_hit() {
        let root = directory_with(&[]);
        fs::create_dir(root.path().join("a/.sops.yaml")).expect("a directory");
        assert_eq!(search(&root.path().join("a/b")).found, Some(PathBuf::from("../.sops.yaml")));
    }

    #[test]
    fn a_misnamed_file_on_the_way_is_told() {
        let root = directory_with(&["a/.sops.yaml", "a/b/.sops.yml", "a/.sops.yml"]);
        assert_eq!(
            warning(&search(&root.path().join("a/b/c"))),
            "ignoring \"../.sops.yml\" when searching for config file; the config file must be called \
             \".sops.yaml\"; using \"../../.sops.yaml\" instead"
        );
        assert_eq!(
            warning(&search(&root.path().join("a"))),
            "",
            "beside the file that is used, it is harmless"
        );
    }

    #[test]
    fn without_a_file_the_nearest_misnamed_one_is_told() {
        let root = directory_with(&["a/.sops.yml", ".sops.yml"]);
        let search = search(&root.path().join("a"));
        assert_eq!(search.found, None);
        assert_eq!(
            warning(&search),
            "ignoring \".sops.yml\" when searching for config file; the config file must be called \".sops.yaml\""
        );
    }

    #[test]
    fn the_search_ends_after_a_hundred_directories() {
        let root = directory_with(&[".sops.yaml"]);
        let deep = |levels: usize| {
            let path = root.path().join(["d"; 100][..levels].join("/"));
            fs::create_dir_all(&path).expect("directories");
            search(&path).found.is_some()
        };
        assert!(deep(99));
        assert!(!deep(100));
    }
}
