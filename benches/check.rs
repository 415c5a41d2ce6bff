//! `rsops check` on a repository of 10,000 files, 1,000 of them encrypted, as a program: with `git`, and from the start
//! of the process to its end.

use std::fs;
use std::path::Path;
use std::process::Command;

use divan::Bencher;

fn main() {
    divan::main();
}

const RECIPIENT: &str = "age18ns40szzv3seadwktx6mkhjjqrz2xvt0jlkcc00l0z7d3kpr7chss24t99";

fn run(folder: &Path, program: &str, arguments: &[&str]) -> Vec<u8> {
    let output = Command::new(program).args(arguments).current_dir(folder).output().expect("a program");
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

fn repository() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let root = folder.path();
    let write = |name: &str, text: &[u8]| {
        let path = root.join(name);
        fs::create_dir_all(path.parent().expect("inside")).expect("our own folder");
        fs::write(path, text).expect("our own folder");
    };
    write(
        ".sops.yaml",
        format!("creation_rules:\n  - path_regex: ^secrets/\n    age: {RECIPIENT}\n").as_bytes(),
    );
    let plain: String = (0..30).map(|number| format!("key{number}: value {number}\n")).collect();
    write("secrets/plain.yaml", plain.as_bytes());
    let sealed = run(root, env!("CARGO_BIN_EXE_rsops"), &["encrypt", "secrets/plain.yaml"]);
    fs::remove_file(root.join("secrets/plain.yaml")).expect("our own file");
    for number in 0..1000 {
        write(&format!("secrets/{number}.yaml"), &sealed);
    }
    let source = "fn main() { println!(\"kind Secret\"); }\n".repeat(60);
    // what must be looked at more closely, because it speaks of encrypted files
    let manual = format!("```yaml\nsops:\n    lastmodified: x\n```\n{}", "Words of a manual.\n".repeat(120));
    for number in 0..9000 {
        let text = if number % 3 == 1 { &manual } else { &source };
        write(
            &format!("src/{}/{number}.{}", number % 100, ["rs", "md", "yaml"][number % 3]),
            text.as_bytes(),
        );
    }
    run(root, "git", &["init", "--quiet"]);
    run(root, "git", &["add", "--all"]);
    folder
}

#[divan::bench(sample_count = 10, sample_size = 1)]
fn ten_thousand_files(bencher: Bencher) {
    let folder = repository();
    bencher.bench(|| run(folder.path(), env!("CARGO_BIN_EXE_rsops"), &["check"]));
}
