//! The worked examples of yaml.md, and the rules behind them.

use super::{read, write};

fn round_trip(text: &str) -> String {
    let tree = read(&text.into()).expect("the text is valid");
    String::from_utf8(write(&tree, 0).expect("the tree can be written").to_vec()).expect("the output is text")
}

#[test]
fn styles_are_normalised() {
    for (input, output) in [
        ("s:\n- {a: 1} # c\n- b", "s:\n    - a: 1\n    - b # c\n"),
        ("a: &a {x: 1}\nb:\n  <<: *a", "a:\n    x: 1\nb:\n    !!merge <<:\n        x: 1\n"),
        ("---\n---\na: 1\n---\n", "{}\n---\na: 1\n---\n{}\n"),
        ("d: {a: b, c: [x]}", "d:\n    a: b\n    c:\n        - x\n"),
    ] {
        assert_eq!(round_trip(input), output);
    }
}
