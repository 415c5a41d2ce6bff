//! What services of HuaweiCloud say when they refuse.

use std::fmt;

use serde_json::Value;

use crate::keys::http::{Reply, excerpt};

/// An error of the service, in one of the shapes that they have.
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) code: String,
    pub(super) message: String,
    request: String,
}

impl Refusal {
    pub(super) fn of(reply: &Reply) -> Self {
        let answer: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
        let error = answer.get("error").unwrap_or(&answer);
        let text = |names: [&str; 2]| {
            let found = names.iter().find_map(|name| error.get(*name));
            found.map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned))
        };
        let raw = || excerpt(&String::from_utf8_lossy(&reply.body));
        let request = reply.headers.get("x-request-id").and_then(|id| id.to_str().ok());
        Self {
            status: reply.status,
            code: text(["error_code", "code"]).as_deref().map(excerpt).unwrap_or_default(),
            message: text(["error_msg", "message"]).as_deref().map_or_else(raw, excerpt),
            request: request.unwrap_or_default().to_owned(),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.code.is_empty() {
            write!(f, "{}: ", self.code)?;
        }
        write!(f, "{} (HTTP {}", self.message.trim(), self.status)?;
        if !self.request.is_empty() {
            write!(f, ", request {}", self.request)?;
        }
        f.write_str(")")
    }
}
