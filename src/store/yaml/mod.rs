//! YAML, exactly as the reference reads and writes it (yaml.md).
//!
//! `reader` checks the characters, `scan`, `scalar` and `line` make tokens, `comment` decides what comments belong to,
//! `parse` makes nodes, `compose` with `resolve` turns nodes into the tree, `emit` writes the tree. No library
//! reproduces these bytes: where comments go and how block scalars end is part of the format's history.

mod comment;
mod compose;
mod emit;
mod line;
mod parse;
mod piece;
mod reader;
mod resolve;
mod scalar;
mod scan;
mod sort;
mod style;

use std::fmt;

use zeroize::Zeroizing;

use crate::tree::{Scalar, Source, Tree, Value};

pub use parse::{Document, Kind, Node, NodeId, Stream};
pub use piece::Piece;

/// What is wrong with a YAML text, and where.
#[derive(Debug)]
pub struct YamlError {
    /// From 0.
    line: Option<u32>,
    problem: Problem,
}

#[derive(Debug)]
enum Problem {
    /// Blanks and comments make no document.
    NoDocument,
    Text(String),
}

impl YamlError {
    fn new(problem: impl Into<String>) -> Self {
        Self { line: None, problem: Problem::Text(problem.into()) }
    }

    /// An error for the reader of nodes, who counts lines from 1.
    pub fn on_line(line: u32, problem: impl Into<String>) -> Self {
        Self::at(line.saturating_sub(1), problem)
    }

    /// The line where it is wrong, from 1, if it is at one place.
    pub fn line(&self) -> Option<u32> {
        self.line.map(|line| line + 1)
    }

    fn at(line: u32, problem: impl Into<String>) -> Self {
        Self { line: Some(line), problem: Problem::Text(problem.into()) }
    }
}

impl fmt::Display for YamlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.problem, self.line) {
            (Problem::NoDocument, _) => f.write_str("EOF"),
            (Problem::Text(problem), Some(line)) => write!(f, "yaml: line {}: {problem}", line + 1),
            (Problem::Text(problem), None) => write!(f, "yaml: {problem}"),
        }
    }
}

impl std::error::Error for YamlError {}

/// Reads YAML into nodes and hands them to `read`: for readers that want lines, tags and merge keys.
pub fn with_nodes<T>(
    bytes: &[u8],
    read: impl FnOnce(&Stream<'_>) -> Result<T, YamlError>,
) -> Result<T, YamlError> {
    let source = Source::from(bytes);
    let text = reader::read(source.as_bytes())?;
    read(&parse::parse(&source, &text)?)
}

impl<'s> Stream<'s> {
    /// The typed value of a scalar node.
    pub fn scalar(&self, node: &Node<'s>) -> Option<Result<Scalar, YamlError>> {
        let Kind::Scalar { text, plain } = &node.kind else { return None };
        let resolved = resolve::resolve(text, *plain, node.tag(), self.source);
        Some(resolved.map_err(|problem| YamlError::at(node.line - 1, problem)))
    }

    /// An error if two keys of a mapping are spelled alike.
    pub fn check_keys(&self, pairs: &[NodeId]) -> Result<(), YamlError> {
        compose::check_keys(self, pairs)
    }

    /// Whether a key is the merge key `<<`.
    pub fn is_merge(&self, node: &Node<'s>) -> bool {
        compose::is_merge(node)
    }
}

/// The tree of a file: one branch a document, none if there is not a byte in it.
pub fn read(source: &Source) -> Result<Tree, YamlError> {
    if source.as_bytes().is_empty() {
        return Ok(Tree::default());
    }
    let text = reader::read(source.as_bytes())?;
    let stream = parse::parse(source, &text)?;
    if stream.documents.is_empty() {
        return Err(YamlError { line: None, problem: Problem::NoDocument });
    }
    compose::compose(&stream)
}

/// The text of all documents. `indent`: blanks per level; 0 means 4, other values below 2 or above 9 act as 2.
pub fn write(tree: &Tree, indent: i64) -> Result<Zeroizing<Vec<u8>>, NegativeIndent> {
    Ok(emit::documents(tree, emit::BlanksPerLevel::try_from(indent)?))
}

/// The text of one value as a document of its own, indented by 4 (yaml.md §8.9).
pub fn write_value(value: &Value) -> Zeroizing<Vec<u8>> {
    emit::value(value, emit::BlanksPerLevel::default())
}

/// Blanks cannot be fewer than none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NegativeIndent;

impl fmt::Display for NegativeIndent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("YAML Negative indentation not accepted")
    }
}

impl std::error::Error for NegativeIndent {}

#[cfg(test)]
mod tests;
