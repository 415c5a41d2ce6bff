//! Completion scripts, loaded into the shells that they are for.

#[path = "support/mod.rs"]
mod support;

use std::path::PathBuf;
use std::process::Command;

use support::program::{binary, is_installed};
use support::scratch::Scratch;

/// What bash would do at the end of a line: `$1` is the script, the rest are the words.
const ASK_BASH: &str = r#"
source "$1"; shift
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
how=$(complete -p "$1"); how=${how##*-F }; how=${how%% *}
"$how" "$1" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
echo "${COMPREPLY[*]}"
"#;

/// A scratch folder with a script for a shell, the program in its place for `PATH`, and a file to complete.
fn with_script(shell: &str) -> (Scratch, PathBuf) {
    let scratch = Scratch::new();
    let script = scratch.call(["completion", shell]).stdout();
    scratch.write("script", &script);
    scratch.write("files/a file.yaml", b"a: 1\n");
    let path = scratch.folder().join("script");
    (scratch, path)
}

fn run(mut command: Command) -> String {
    let output = command.output().expect("the shell runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && errors.is_empty(), "{command:?}: {errors}");
    String::from_utf8(output.stdout).expect("text")
}

fn bash(words: &[&str]) -> String {
    let (scratch, script) = with_script("bash");
    let mut bash = Command::new("bash");
    bash.args(["--norc", "-c", ASK_BASH, "bash"]).arg(script).args(words);
    run({
        bash.current_dir(scratch.folder());
        bash
    })
    .trim()
    .to_owned()
}

#[test]
fn bash_completes_commands_flags_and_formats() {
    if !is_installed("bash", "its completion is not checked") {
        return;
    }
    assert_eq!(bash(&["rsops", "decr"]), "decrypt");
    assert_eq!(bash(&["rsops", "decrypt", "--extr"]), "--extract");
    assert_eq!(bash(&["rsops", "decrypt", "--input-type", "j"]), "json");
    assert!(bash(&["rsops", "completion", ""]).contains("fish"));
}

#[test]
fn bash_comes_to_files_where_no_flag_is_begun() {
    if !is_installed("bash", "its completion is not checked") {
        return;
    }
    // no answer: `complete -o default` offers files
    for words in [&["rsops", "decrypt", ""][..], &["rsops", "decrypt", "--verbose", ""]] {
        assert_eq!(bash(words), "", "{words:?}");
    }
    assert_eq!(bash(&["rsops", "decrypt", "--config", "fil"]), "files");
}

#[test]
fn zsh_loads_the_script() {
    if !is_installed("zsh", "its completion is not checked") {
        return;
    }
    let (_scratch, script) = with_script("zsh");
    let mut zsh = Command::new("zsh");
    let ask = r#"autoload -U compinit; compinit -D; source "$1"; print $_comps[rsops]; whence -w _rsops"#;
    zsh.args(["-f", "-c", ask, "zsh"]).arg(script);
    assert_eq!(run(zsh), "_rsops\n_rsops: function\n");
}

#[test]
fn fish_completes_commands_flags_and_files() {
    if !is_installed("fish", "its completion is not checked") {
        return;
    }
    let (scratch, script) = with_script("fish");
    for (line, wanted) in [
        ("rsops decr", "decrypt"),
        ("rsops decrypt --extr", "--extract"),
        ("rsops decrypt files/", "a file.yaml"),
    ] {
        let mut fish = Command::new("fish");
        fish.args(["--no-config", "-c", "source $argv[1]; complete -C $argv[2]"]).arg(&script).arg(line);
        fish.current_dir(scratch.folder()).env("HOME", scratch.folder());
        assert!(run(fish).contains(wanted), "{line}");
    }
}

#[test]
fn every_shell_has_a_script_with_the_name_that_was_called() {
    let scratch = Scratch::new();
    std::os::unix::fs::symlink(binary(), scratch.folder().join("sops")).expect("a link");
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let own = scratch.call(["completion", shell]).stdout();
        let mut link = Command::new(scratch.folder().join("sops"));
        link.args(["completion", shell]);
        let (own, linked) = (String::from_utf8_lossy(&own).into_owned(), run(link));
        assert!(own.contains("rsops") && !linked.contains("rsops "), "{shell}");
        assert!(linked.contains("sops"), "{shell}");
    }
}

/// Scripts of the reference stay installed: they ask with a last argument (cli.md §14.4).
#[test]
fn scripts_of_sops_get_answers() {
    let scratch = Scratch::new();
    let ask = |words: &[&str]| {
        let call = scratch.call([words, &["--generate-bash-completion"]].concat());
        String::from_utf8(call.stdout()).expect("text")
    };
    assert!(ask(&[]).starts_with("encrypt\ndecrypt\n"));
    assert!(ask(&["nonsense"]).contains("decrypt\n"));
    assert_eq!(ask(&["decrypt"]), "");
    assert_eq!(ask(&["decrypt", "--ext"]), "--extract\n");
    assert_eq!(ask(&["--config", "x", "decrypt", "--ext"]), "--extract\n");
    assert_eq!(ask(&["decrypt", "-i", "--in"]), "--input-type\n--indent\n");
    assert!(ask(&["-"]).contains("--decrypt\n-d\n"));
    assert!(ask(&["completion"]).contains("zsh\n"));
    let zsh =
        scratch.call(["--generate-bash-completion"]).variable("_CLI_ZSH_AUTOCOMPLETE_HACK", "1").stdout();
    assert!(zsh.starts_with(b"encrypt:Encrypt a file"));
}
