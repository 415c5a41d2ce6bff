//! HuaweiCloud KMS keys.

use std::fmt;

use super::ParseKeyError;

/// A key of HuaweiCloud KMS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HcKmsKey {
    /// Region.
    pub region: String,
    /// UUID of the key.
    pub uuid: String,
}

impl HcKmsKey {
    /// Reads `region:uuid`.
    pub fn parse(text: &str) -> Result<Self, ParseKeyError> {
        let Some((region, uuid)) = text.split_once(':') else {
            return Err(ParseKeyError::new(format!(
                "invalid key ID format: expected 'region:key-uuid', got {text:?}"
            )));
        };
        match (region, uuid) {
            ("", _) => Err(ParseKeyError::new(format!("region cannot be empty in key ID: {text:?}"))),
            (_, "") => Err(ParseKeyError::new(format!("key UUID cannot be empty in key ID: {text:?}"))),
            _ => Ok(Self { region: region.to_owned(), uuid: uuid.to_owned() }),
        }
    }
}

impl fmt::Display for HcKmsKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.region, self.uuid)
    }
}
