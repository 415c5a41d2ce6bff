//! HuaweiCloud KMS keys (keys.md §9).
//!
//! [`HcKmsKey`] names a key. `Huawei` wraps and unwraps with it: `credentials` and `region` find out who asks and where,
//! `sign` signs, `refusal` reads errors. [`HuaweiSettings`] hold what the environment says.

#[cfg(feature = "huawei")]
mod client;
#[cfg(feature = "huawei")]
mod credentials;
#[cfg(feature = "huawei")]
mod refusal;
#[cfg(feature = "huawei")]
mod region;
#[cfg(feature = "huawei")]
mod settings;
#[cfg(feature = "huawei")]
mod sign;

use std::fmt;

use super::ParseKeyError;

#[cfg(feature = "huawei")]
pub(super) use client::Huawei;
#[cfg(feature = "huawei")]
pub use settings::HuaweiSettings;

/// A key of HuaweiCloud KMS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HcKmsKey {
    /// Region, as written: blanks around it mean nothing.
    pub region: String,
    /// UUID of the key, as written: blanks around it mean nothing.
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
        match (region.trim(), uuid.trim()) {
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
