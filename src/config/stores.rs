//! How files are written: `stores` (config.md §7).

use super::decode::{Decode, Decoder};
use crate::store::Indent;
use crate::store::yaml::NodeId;

/// The indentation of each format. Any number is good here: the stores know which they can use.
pub(super) fn read(decoder: &mut Decoder<'_, '_>, id: NodeId) -> Decode<Indent> {
    let mut fields = decoder.mapping(id, "\"stores\"")?;
    let default = Indent::default();
    let indent = Indent {
        yaml: fields.nested("yaml", read_indent)?.flatten().unwrap_or(default.yaml),
        json: fields.nested("json", read_indent)?.flatten().unwrap_or(default.json),
        json_binary: fields.nested("json_binary", read_indent)?.flatten().unwrap_or(default.json_binary),
    };
    fields.free_map("dotenv")?;
    fields.free_map("ini")?;
    fields.finish();
    Ok(indent)
}

fn read_indent(decoder: &mut Decoder<'_, '_>, id: NodeId) -> Decode<Option<i64>> {
    let mut fields = decoder.mapping(id, "a store")?;
    let indent = fields.integer("indent")?;
    fields.finish();
    Ok(indent)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::yaml::with_nodes;

    fn indent(text: &str) -> Result<(i64, i64, i64), String> {
        let read = with_nodes(text.as_bytes(), |stream| {
            read(&mut Decoder::new(stream, text.len()), stream.documents[0].root)
        });
        read.map(|i| (i.yaml, i.json, i.json_binary)).map_err(|e| e.to_string())
    }

    #[test]
    fn each_format_has_its_own() {
        assert_eq!(indent("{yaml: {indent: 2}, json: {indent: 3}, json_binary: {indent: 0}}"), Ok((2, 3, 0)));
        assert_eq!(indent("{yaml: {indent: -7}, json: {indent: 99}}"), Ok((-7, 99, -1)));
        assert_eq!(indent("{}"), Ok((0, -1, -1)));
        assert_eq!(
            indent("{yaml: ~, json: {}, json_binary: {indent: ~}, dotenv: {a: b}, ini: ~}"),
            Ok((0, -1, -1))
        );
    }

    #[test]
    fn wrong_types_are_refused() {
        for text in ["[]", "yaml: 2", "yaml: {indent: two}", "json: []", "dotenv: 5", "ini: []"] {
            assert!(indent(text).expect_err(text).contains("line 1: "), "{text}");
        }
    }
}
