//! A Git repository in a scratch folder, and what `rsops check` says of it.

use serde_json::Value;

use super::keys::recipient;
use super::outcome::Ending;
use super::scratch::Scratch;

/// A repository with a rule for `secrets/`, for alice.
pub(crate) struct Repository {
    pub(crate) scratch: Scratch,
}

/// Code, path, line and column of each finding; 0 for no place.
pub(crate) type Found = Vec<(String, String, u64, u64)>;

impl Repository {
    pub(crate) fn new() -> Self {
        Self::with_rule(&format!("path_regex: ^secrets/\n    age: {}", recipient("age-alice")))
    }

    pub(crate) fn with_rule(rule: &str) -> Self {
        let repository = Self { scratch: Scratch::new() };
        repository.git(&["init", "--quiet"]);
        repository.write(".sops.yaml", &format!("creation_rules:\n  - {rule}\n"));
        repository
    }

    pub(crate) fn git(&self, arguments: &[&str]) {
        let identity = ["-c", "user.name=Alice", "-c", "user.email=alice@example.com"];
        self.scratch.call_other("git", [&identity[..], arguments].concat()).stdout();
    }

    /// A tracked file.
    pub(crate) fn write(&self, name: &str, text: &str) {
        self.scratch.write(name, text.as_bytes());
        self.git(&["add", "--all"]);
    }

    /// A tracked file that is encrypted by the rule, or by these flags.
    pub(crate) fn seal(&self, name: &str, text: &str, flags: &[&str]) {
        self.scratch.write(name, text.as_bytes());
        self.scratch.call([&["encrypt", "--in-place"], flags, &[name]].concat()).stdout();
        self.git(&["add", "--all"]);
    }

    /// Puts another text in the place of one that must be there.
    pub(crate) fn replace(&self, name: &str, old: &str, new: &str) {
        let text = self.scratch.text(name);
        assert!(text.contains(old), "{name} has no {old:?}: {text}");
        self.write(name, &text.replacen(old, new, 1));
    }

    /// The findings, with alice's key at hand.
    pub(crate) fn check(&self, arguments: &[&str]) -> Found {
        let call =
            self.scratch.call([&["check", "--format", "json"], arguments].concat()).keys(["age-alice"]);
        let outcome = call.outcome();
        let list: Value = serde_json::from_slice(&outcome.stdout)
            .unwrap_or_else(|_| panic!("{}: {}", outcome.ending, outcome.messages()));
        let found: Found = list.as_array().expect("a list").iter().map(entry).collect();
        assert_eq!(outcome.ending, Ending::Exited(i32::from(!found.is_empty())), "{}", outcome.messages());
        assert_eq!(outcome.stderr.is_empty(), found.is_empty(), "{}", outcome.messages());
        found
    }

    /// File and code of each finding.
    pub(crate) fn codes(&self, arguments: &[&str]) -> Vec<String> {
        self.check(arguments).into_iter().map(|(code, path, ..)| format!("{path} {code}")).collect()
    }

    /// Line and column of each finding, all of which are of this code and in this file.
    pub(crate) fn places(&self, code: &str, path: &str) -> Vec<(u64, u64)> {
        let place = |(found, at, line, column): (String, String, u64, u64)| {
            assert_eq!((found.as_str(), at.as_str()), (code, path), "{line}:{column}");
            (line, column)
        };
        self.check(&[path]).into_iter().map(place).collect()
    }
}

fn entry(finding: &Value) -> (String, String, u64, u64) {
    let text = |name: &str| finding[name].as_str().expect("a text").to_owned();
    for name in ["message", "fix"] {
        assert!(!text(name).is_empty(), "{finding}");
    }
    let number = |name: &str| finding[name].as_u64().unwrap_or_default();
    (text("code"), text("path"), number("line"), number("column"))
}
