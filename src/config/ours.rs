//! Settings that the reference does not know and ignores: the section `rsops`.

use super::decode::{Decode, Decoder};
use crate::store::yaml::NodeId;

/// `rsops.check.allow`.
pub(super) fn read(decoder: &mut Decoder<'_, '_>, id: NodeId) -> Decode<Vec<String>> {
    let mut fields = decoder.mapping(id, "\"rsops\"")?;
    let allow = fields.nested("check", read_check)?.unwrap_or_default();
    fields.finish();
    Ok(allow)
}

fn read_check(decoder: &mut Decoder<'_, '_>, id: NodeId) -> Decode<Vec<String>> {
    let mut fields = decoder.mapping(id, "\"check\"")?;
    let allow = fields.texts("allow")?;
    fields.finish();
    Ok(allow)
}
