//! The invariants of docs/ARCHITECTURE.md, searched for in the source. Tests inside `src` may break them.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use regex::Regex;

const LONGEST: usize = 600;

/// Files that may be longer, and why.
const LONG_FILES: &[(&str, &str)] = &[(
    "store/yaml/scan.rs",
    "one state machine: its rules for simple keys, flow and block cannot be told apart",
)];

/// A source file, named relative to `src`.
struct Source {
    name: String,
    text: String,
}

impl Source {
    fn is_in(&self, places: &[&str]) -> bool {
        places.iter().any(|place| self.name == *place || self.name.starts_with(&format!("{place}/")))
    }

    /// Numbered lines of the program: what is compiled for tests only is left out, and comments are.
    fn program(&self) -> Vec<(usize, String)> {
        let mut lines = (1..).zip(self.text.lines());
        let mut program = Vec::new();
        while let Some((number, line)) = lines.next() {
            if line.trim() == "#[cfg(test)]" {
                skip_item(&mut lines, indentation(line));
            } else {
                program.push((number, without_comment(line).to_owned()));
            }
        }
        program
    }

    /// Declarations that span lines are put on their first one.
    fn statements(&self) -> Vec<(usize, String)> {
        let mut statements: Vec<(usize, String)> = Vec::new();
        let mut open = false;
        for (number, line) in self.program() {
            match statements.last_mut().filter(|_| open) {
                Some((_, statement)) => write!(statement, " {}", line.trim()).expect("memory"),
                None => statements.push((number, line.clone())),
            }
            let begins =
                ["use ", "pub use ", "pub(crate) use "].iter().any(|word| line.trim().starts_with(word));
            open = (open || begins) && !line.trim_end().ends_with(';');
        }
        statements
    }
}

/// rustfmt closes an item where it began.
fn skip_item<'a>(lines: &mut impl Iterator<Item = (usize, &'a str)>, indentation: usize) {
    for (_, line) in lines {
        let level = self::indentation(line) == indentation;
        if level && (line.ends_with(';') || line.trim_start().starts_with('}')) {
            break;
        }
    }
}

fn indentation(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

fn without_comment(line: &str) -> &str {
    if line.trim_start().starts_with("//") {
        return "";
    }
    line.split_once(" // ").map_or(line, |(code, _)| code)
}

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// All of `src`, without modules that are tests as a whole (`#[cfg(test)] mod tests;`).
fn sources() -> Vec<Source> {
    let mut sources = Vec::new();
    collect(&source(), &mut sources);
    let tests: Vec<_> = sources.iter().flat_map(test_modules).collect();
    sources.retain(|source| !source.is_in(&tests.iter().map(String::as_str).collect::<Vec<_>>()));
    sources.sort_by(|a, b| a.name.cmp(&b.name));
    sources
}

fn collect(folder: &Path, sources: &mut Vec<Source>) {
    for entry in fs::read_dir(folder).expect("a readable folder") {
        let path = entry.expect("a readable folder").path();
        if path.is_dir() {
            collect(&path, sources);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.strip_prefix(source()).expect("below src");
            let name = name
                .components()
                .map(|part| part.as_os_str().to_string_lossy())
                .collect::<Vec<_>>()
                .join("/");
            sources.push(Source { name, text: fs::read_to_string(&path).expect("text") });
        }
    }
}

/// The files, and folders, of the modules that a file declares for tests only.
fn test_modules(source: &Source) -> Vec<String> {
    let declaration = Regex::new(r"#\[cfg\(test\)\]\s*mod (\w+);").expect("a pattern");
    let (folder, file) = source.name.rsplit_once('/').unwrap_or(("", &source.name));
    let own = file.trim_end_matches(".rs");
    let inner = if ["mod", "lib", "main"].contains(&own) { String::new() } else { format!("{own}/") };
    let folder = if folder.is_empty() { String::new() } else { format!("{folder}/") };
    let module = |name: &str| format!("{folder}{inner}{name}");
    let names = declaration.captures_iter(&source.text).map(|found| module(&found[1]));
    names.flat_map(|name| [format!("{name}.rs"), name]).collect()
}

/// A rule that holds for everything outside the allowed places.
fn nobody_else(rule: &str, pattern: &str, allowed: &[&str]) {
    nobody(rule, pattern, |source| !source.is_in(allowed));
}

/// A rule that holds for the sources to which it applies.
fn nobody(rule: &str, pattern: &str, applies: impl Fn(&Source) -> bool) {
    let pattern = Regex::new(pattern).expect("a pattern");
    holds(rule, applies, |statement| !pattern.is_match(statement));
}

fn holds(rule: &str, applies: impl Fn(&Source) -> bool, allows: impl Fn(&str) -> bool) {
    let mut found = String::new();
    for source in sources().iter().filter(|source| applies(source)) {
        for (number, statement) in source.statements().iter().filter(|(_, statement)| !allows(statement)) {
            writeln!(found, "  src/{}:{number}: {}", source.name, statement.trim()).expect("memory");
        }
    }
    assert!(found.is_empty(), "{rule}:\n{found}");
}

#[test]
fn stores_know_syntax_only() {
    nobody(
        "a store turns bytes into a tree and back; it knows nothing of keys, configuration or secrets",
        r"\b(crate|super)::(\{.*\b)?(keys|config|cipher|document|metadata)\b",
        |source| source.is_in(&["store"]),
    );
}

#[test]
fn yaml_is_a_library_of_its_own() {
    let rule = "store::yaml uses nothing of ours but crate::tree";
    holds(
        rule,
        |source| source.is_in(&["store/yaml"]),
        |statement| !statement.replace("crate::tree::", "").contains("crate::"),
    );
    nobody(rule, r"\bsuper::super::", |source| source.is_in(&["store/yaml"]));
    nobody(rule, r"\bsuper::", |source| source.name == "store/yaml/mod.rs");
}

#[test]
fn only_the_command_line_talks_to_the_outside() {
    let allowed = ["cli", "cli.rs", "main.rs"];
    nobody_else(
        "only cli reads the environment and the arguments",
        r"\bstd::env\b|\benv::(var|args)",
        &allowed,
    );
    nobody_else("only cli prints", r"\be?print(ln)?!|\b(stdout|stderr)\(\)", &allowed);
    nobody_else("only cli asks", r"\bstdin\(\)", &allowed);
    nobody_else("only cli ends the program", r"\bprocess::(exit|abort)\b", &allowed);
}

#[test]
fn only_keys_and_the_command_line_start_programs() {
    let allowed = [
        "cli",
        "cli.rs",
        "keys/age/command.rs",
        "keys/age/plugin.rs",
        "keys/azure_kv/executor.rs",
        "keys/pgp.rs",
        "keys/pgp",
    ];
    nobody_else(
        "programs are started for editors, children, age plugins, gpg and logins",
        r"\bprocess::(\{.*)?Command\b",
        &allowed,
    );
}

#[test]
fn the_main_file_only_starts_the_command_line() {
    let main = sources().into_iter().find(|source| source.name == "main.rs").expect("a program");
    let lines = main.text.lines().count();
    assert!(lines < 30, "src/main.rs has {lines} lines: what it does belongs into cli");
}

#[test]
fn imports_say_what_they_import() {
    nobody_else("names come from somewhere that one can read", r"\buse .*::\*", &[]);
}

#[test]
fn nothing_panics_on_purpose() {
    let pattern = r"\.unwrap\(\)|\.expect\(|\b(panic|todo|unimplemented)!";
    nobody_else("what can fail is returned as an error", pattern, &[]);
}

#[test]
fn files_are_written_in_one_place() {
    let pattern = r"\bfs::rename\b|\.persist(_noclobber)?\(|\bfs::write\b|\bFile::create\b";
    nobody_else(
        "a half-written file must not exist, so one function writes",
        pattern,
        // a pipe takes the place of a pipe there
        &["cli/write_file.rs", "cli/pipe.rs"],
    );
    let rename = Regex::new(r"\bfs::rename\(|\.persist(_noclobber)?\(").expect("a pattern");
    for writer in sources().iter().filter(|source| source.name == "cli/write_file.rs") {
        let calls = writer.program().iter().filter(|(_, line)| rename.is_match(line)).count();
        assert_eq!(calls, 1, "src/cli/write_file.rs puts the new file in place {calls} times");
    }
}

#[test]
fn nothing_is_done_behind_the_back_of_the_audit_log() {
    nobody_else(
        "documents are opened and sealed where the audit log is told",
        r"\.(encrypt|decrypt)\(",
        // what `edit` keeps when it cannot save is no encryption that anybody asked for; keys are no documents
        &[
            "document",
            "cli/open.rs",
            "cli/context_repair.rs",
            "cli/seal.rs",
            "cli/commands/edit.rs",
            "keys",
            "keyservice",
        ],
    );
}

#[test]
fn files_are_short_or_say_why_not() {
    let sources = sources();
    let mut found = String::new();
    for source in &sources {
        let lines = source.text.lines().count();
        let reason = LONG_FILES.iter().find(|(name, _)| *name == source.name);
        match (lines > LONGEST, reason) {
            (true, None) => writeln!(found, "  src/{} has {lines} lines", source.name).expect("memory"),
            (false, Some((_, reason))) => {
                writeln!(found, "  src/{} has {lines} lines and needs no reason: {reason}", source.name)
                    .expect("memory");
            }
            _ => {}
        }
    }
    for (name, _) in LONG_FILES.iter().filter(|(name, _)| !sources.iter().any(|source| source.name == *name))
    {
        writeln!(found, "  src/{name} does not exist").expect("memory");
    }
    assert!(found.is_empty(), "at most {LONGEST} lines a file, or a reason in LONG_FILES:\n{found}");
}
