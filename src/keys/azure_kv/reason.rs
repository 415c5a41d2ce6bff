//! What went wrong, in one line, and what helps.

use std::error::Error as StdError;
use std::fmt;

use azure_core::error::{ErrorKind, ErrorResponse, InnerError};
use azure_core::http::StatusCode;

use super::transport::{NoConnection, find, layers};
use crate::keys::remote::hinted;

/// No credential of the chain gave a token: what each of them says, and what helps.
#[derive(Debug)]
pub(super) struct NoToken {
    pub(super) reason: String,
    pub(super) hint: String,
}

impl fmt::Display for NoToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl StdError for NoToken {}

/// The status that a service answered with, if it did.
pub(super) fn http_status(error: &azure_core::Error) -> Option<StatusCode> {
    answer(error).and_then(azure_core::Error::http_status)
}

/// The innermost error that is an answer of a service: those around it add nothing but advice that is not ours.
fn answer(error: &azure_core::Error) -> Option<&azure_core::Error> {
    let answers = layers(error).filter_map(|layer| layer.downcast_ref::<azure_core::Error>());
    answers.filter(|layer| matches!(layer.kind(), ErrorKind::HttpResponse { .. })).last()
}

/// What an error comes down to.
pub(super) fn told(error: &azure_core::Error) -> String {
    if let Some(unreached) = find::<NoConnection>(error) {
        return unreached.to_string();
    }
    match (http_status(error), answer(error)) {
        // behind the first line are numbers for those who can look into the service
        (Some(status), Some(answer)) => {
            let text = answer.to_string();
            format!("HTTP {}: {}", u16::from(status), text.lines().next().unwrap_or_default().trim())
        }
        _ => {
            let text = layers(error).last().map_or_else(String::new, ToString::to_string);
            let lines = text.lines().map(|line| line.trim_start_matches("ERROR: ").trim());
            lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
        }
    }
}

/// What a vault says, or why it was not reached, and what helps. The identity is who asked, if that is known.
pub(super) fn explain(error: azure_core::Error, identity: Option<&str>) -> String {
    if let Some(unreached) = find::<NoConnection>(&error) {
        return hinted(&unreached.to_string(), unreached.hint());
    }
    if let Some(NoToken { reason, hint }) = find::<NoToken>(&error) {
        return hinted(reason, hint);
    }
    if http_status(&error).is_none() {
        let reason = told(&error);
        // the SDK's check that tokens go where they are meant to go
        return match reason.contains("doesn't match the requested domain") {
            true => hinted(
                &format!("the vault wants a token for somebody else: {}", first_sentence(&reason)),
                "check the URL of the vault",
            ),
            false => reason,
        };
    }
    Refusal::read(error).text(identity)
}

fn first_sentence(text: &str) -> &str {
    text.split_once(". ").map_or(text, |(first, _)| first)
}

/// A vault that answered, but not with what was asked for.
struct Refusal {
    status: u16,
    code: String,
    /// More exact than the code, where the service is.
    detail: String,
    message: String,
}

impl Refusal {
    fn read(error: azure_core::Error) -> Self {
        let status = http_status(&error).map_or(0, u16::from);
        let fallback = told(&error);
        let response = ErrorResponse::try_from(error).ok().and_then(|response| response.error);
        let Some(detail) = response else {
            // somebody who is no vault: a proxy, perhaps. What it says is a page
            let message = fallback.split_once(": ").map_or("", |(_, text)| text).chars().take(200).collect();
            return Self { status, code: String::new(), detail: String::new(), message };
        };
        let message = detail.message.unwrap_or_default();
        Self {
            status,
            code: detail.code.unwrap_or_default(),
            detail: detail.inner_error.map(innermost).unwrap_or_default(),
            message: message
                .lines()
                .map(str::trim)
                .filter(|line| !line.is_empty())
                .collect::<Vec<_>>()
                .join(" "),
        }
    }

    fn text(&self, identity: Option<&str>) -> String {
        let codes: Vec<&str> = [&self.code, &self.detail]
            .into_iter()
            .map(String::as_str)
            .filter(|code| !code.is_empty())
            .collect();
        let mut reason = format!("HTTP {}", self.status);
        if !codes.is_empty() {
            reason += &format!(" {}", codes.join("/"));
        }
        if !self.message.is_empty() {
            reason += &format!(": {}", self.message);
        }
        if let Some(identity) = identity {
            reason += &format!(" (asked with {identity})");
        }
        self.hint().map_or(reason.clone(), |hint| hinted(&reason, hint))
    }

    fn hint(&self) -> Option<&'static str> {
        let says = |words: &str| self.detail.contains(words) || self.message.contains(words);
        Some(match self.status {
            401 => {
                "the vault does not accept this login: is it one of the vault's tenant? `az login --tenant TENANT`"
            }
            403 if says("KeyDisabled") || says("disabled key") => {
                "`az keyvault key set-attributes --id KEY-URL --enabled true` enables the key"
            }
            403 if says("ForbiddenByFirewall") || says("ForbiddenByConnection") || says("firewall") => {
                "the firewall of the vault keeps this machine out: add its address under Networking, or come by an \
                 allowed network"
            }
            403 if says("expired") || says("not yet valid") => {
                "the key is only good for the time that it was made for"
            }
            403 if says("Operation") && says("not permitted") => {
                "the key itself must permit encrypt and decrypt (`az keyvault key set-attributes --ops`)"
            }
            403 => {
                "the identity needs the role Key Vault Crypto User on the vault, or an access policy with get, encrypt \
                 and decrypt"
            }
            404 => {
                "check name and version: `az keyvault key list-versions` shows them; a deleted key can be recovered with \
                 `az keyvault key recover`"
            }
            400 if self.code == "BadParameter" => {
                "the wrapped data key does not belong to this version of the key, or is damaged; only RSA keys work"
            }
            429 => "too many requests for this vault; try again later",
            500..600 => "the service has a problem of its own; try again later",
            _ => return None,
        })
    }
}

fn innermost(error: InnerError) -> String {
    match error.inner_error {
        Some(inner) => innermost(*inner),
        None => error.code.unwrap_or_default(),
    }
}
