//! `docs/cli.md` and the manual pages are made from the declaration of the commands.

#[path = "support/mod.rs"]
mod support;

use std::fs;
use std::path::Path;
use std::process::Command;

use support::program::{is_installed, setting};
use support::scratch::Scratch;

#[test]
fn the_page_on_the_command_line_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/cli.md");
    let page = String::from_utf8(Scratch::new().call(["man", "--markdown"]).stdout()).expect("text");
    if setting("RSOPS_BLESS").is_some() {
        fs::write(&path, &page).expect("our own file");
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == page,
        "docs/cli.md differs from what the commands say: RSOPS_BLESS=1 cargo test --test docs writes it anew"
    );
}

#[test]
fn manual_pages_render_without_a_warning() {
    let scratch = Scratch::new();
    // twice: pages that are there are replaced
    scratch.call(["man", "deep/man1"]).stdout();
    scratch.call(["man", "deep/man1"]).stdout();
    for page in ["rsops.1", "rsops-decrypt.1", "rsops-completion.1"] {
        assert!(scratch.exists(&format!("deep/man1/{page}")), "{page}");
    }
    assert!(!scratch.exists("deep/man1/rsops-completion-bash.1"), "there is nothing to say of it");
    if !is_installed("groff", "manual pages are not checked") {
        return;
    }
    for entry in fs::read_dir(scratch.folder().join("deep/man1")).expect("our own folder") {
        let page = entry.expect("our own folder").path();
        let groff = Command::new("groff").args(["-man", "-ww", "-k", "-Tutf8"]).arg(&page).output();
        let groff = groff.expect("groff runs");
        let warnings = String::from_utf8_lossy(&groff.stderr);
        assert!(groff.status.success() && warnings.is_empty(), "{}: {warnings}", page.display());
    }
}
