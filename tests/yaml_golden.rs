//! Every generated YAML text is written as the reference writes it, but for the listed deviations.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use rsops::store::yaml;
use serde_json::Value;

fn lines(name: &str) -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/yaml").join(name);
    let text = fs::read_to_string(&path).expect("the fixture is part of the repository");
    text.lines().map(|line| serde_json::from_str(line).expect("a JSON object a line")).collect()
}

fn rewrite(text: &str, indent: i64) -> Result<String, String> {
    let tree = yaml::read(&text.into()).map_err(|e| e.to_string())?;
    let bytes = yaml::write(&tree, indent).map_err(|e| e.to_string())?;
    String::from_utf8(bytes.to_vec()).map_err(|e| e.to_string())
}

/// `golden.jsonl` was made by sops 3.13.2; `deviations.jsonl` holds, by line number, what rsops writes instead where
/// the reference's output cannot be read again (docs/compatibility.md).
#[test]
fn every_golden_case_has_the_bytes_of_the_reference() {
    let deviations: BTreeMap<u64, Value> =
        lines("deviations.jsonl").into_iter().map(|d| (d["line"].as_u64().expect("line"), d)).collect();
    let mut wrong = Vec::new();
    let cases = lines("golden.jsonl");
    for (number, case) in (1..).zip(&cases) {
        let (text, indent) = (case["in"].as_str().expect("in"), case["indent"].as_i64().expect("indent"));
        let got = rewrite(text, indent);
        let want = deviations.get(&number).map_or(&case["out"], |deviation| &deviation["out"]).as_str();
        if got.as_deref().ok() != want {
            wrong.push(format!("line {number}: {text:?}\n  got  {got:?}\n  want {want:?}"));
        }
    }
    assert_eq!(cases.len(), 3214, "the fixture is complete");
    assert!(wrong.is_empty(), "{} of {} differ:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

#[test]
fn what_is_written_instead_of_the_reference_s_output_reads_back() {
    for deviation in lines("deviations.jsonl") {
        let text = deviation["out"].as_str().expect("out");
        let tree = yaml::read(&text.into()).unwrap_or_else(|e| panic!("line {}: {e}", deviation["line"]));
        let original = &lines("golden.jsonl")[deviation["line"].as_u64().expect("line") as usize - 1];
        let input = yaml::read(&original["in"].as_str().expect("in").into()).expect("the input is valid");
        assert_eq!(leaves(&tree), leaves(&input), "line {}", deviation["line"]);
    }
}

/// The leaves in order, comments left out.
fn leaves(tree: &rsops::tree::Tree) -> Vec<Vec<u8>> {
    use rsops::selection::Selection;
    use rsops::tree::{Comment, Place, Scalar, Unwalkable, Visit, Visited, walk};
    struct Collect(Vec<Vec<u8>>);
    impl Visit for Collect {
        type Error = Unwalkable;
        fn leaf(&mut self, place: &Place<'_>, leaf: Scalar) -> Result<Visited, Unwalkable> {
            let text = rsops::mac::with_plaintext(&leaf, <[u8]>::to_vec).unwrap_or_default();
            self.0.push([place.additional_data(), &text].concat());
            Ok(Visited::Leaf(leaf))
        }
        fn comment(&mut self, _: &Place<'_>, comment: Comment) -> Result<Visited, Unwalkable> {
            Ok(Visited::Comment(comment))
        }
    }
    let mut collect = Collect(Vec::new());
    walk(&mut tree.clone(), &Selection::All, &mut collect).expect("only text keys");
    collect.0
}
