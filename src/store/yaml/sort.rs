//! The part of a token that the grammar looks at.

use super::scan::{Token, TokenKind};

/// What a token is, without what it holds.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Sort {
    StreamEnd,
    Directive,
    DocumentStart,
    DocumentEnd,
    BlockSequenceStart,
    BlockMappingStart,
    BlockEnd,
    FlowSequenceStart,
    FlowSequenceEnd,
    FlowMappingStart,
    FlowMappingEnd,
    BlockEntry,
    FlowEntry,
    Key,
    Value,
    Alias,
    Anchor,
    Tag,
    Scalar,
    Pair,
}

impl Sort {
    pub(super) fn of(token: &Token<'_>) -> Self {
        match token.kind {
            TokenKind::StreamEnd => Self::StreamEnd,
            TokenKind::VersionDirective | TokenKind::TagDirective { .. } => Self::Directive,
            TokenKind::DocumentStart => Self::DocumentStart,
            TokenKind::DocumentEnd => Self::DocumentEnd,
            TokenKind::BlockSequenceStart => Self::BlockSequenceStart,
            TokenKind::BlockMappingStart => Self::BlockMappingStart,
            TokenKind::BlockEnd => Self::BlockEnd,
            TokenKind::FlowSequenceStart => Self::FlowSequenceStart,
            TokenKind::FlowSequenceEnd => Self::FlowSequenceEnd,
            TokenKind::FlowMappingStart => Self::FlowMappingStart,
            TokenKind::FlowMappingEnd => Self::FlowMappingEnd,
            TokenKind::BlockEntry => Self::BlockEntry,
            TokenKind::FlowEntry => Self::FlowEntry,
            TokenKind::Key => Self::Key,
            TokenKind::Value => Self::Value,
            TokenKind::Alias(_) => Self::Alias,
            TokenKind::Anchor(_) => Self::Anchor,
            TokenKind::Tag { .. } => Self::Tag,
            TokenKind::Scalar { .. } => Self::Scalar,
            TokenKind::Pair(_) => Self::Pair,
        }
    }
}
