//! What AWS says when it refuses, and what helps (keys.md §5.6, publish-audit.md §A6).

use std::error::Error;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_kms::error::{ConnectorError, ProvideErrorMetadata, SdkError};
use aws_sdk_kms::operation::RequestId as _;

use crate::keys::remote::hinted;

/// What was asked for.
pub(crate) struct Asked<'a> {
    /// As policies call it, as in `kms:Decrypt`.
    pub(crate) action: &'a str,
    /// ARN of the key, role or object.
    pub(crate) resource: &'a str,
    /// Of the key; empty for the default.
    pub(crate) profile: &'a str,
}

/// Characters that are shown of an answer that cannot be read.
const MOST_OF_A_BODY: usize = 300;

/// The service's own answer, or why there is none, and the next step.
pub(crate) fn reason<E>(error: &SdkError<E>, asked: &Asked<'_>) -> String
where
    E: Error + ProvideErrorMetadata + 'static,
{
    let SdkError::ServiceError(answer) = error else { return no_answer(error, asked) };
    let request = error.request_id().map(|id| format!(", request {id}")).unwrap_or_default();
    let source = format!("HTTP {}{request}", answer.raw().status().as_u16());
    let body = answer.raw().body().bytes().map(String::from_utf8_lossy).unwrap_or_default();
    let meta = answer.err().meta();
    // those who stand in for AWS say some errors in XML, where the SDK does not expect it
    let Some(code) = meta.code().or_else(|| element(&body, "Code")) else {
        let body: String =
            body.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(MOST_OF_A_BODY).collect();
        return hinted(
            &format!("an answer that is none of AWS ({source}): {body}"),
            "somebody else may have answered: check HTTPS_PROXY, NO_PROXY and AWS_ENDPOINT_URL",
        );
    };
    let message = meta.message().or_else(|| element(&body, "Message")).unwrap_or_default();
    let text = if message.is_empty() {
        format!("{code} ({source})")
    } else {
        format!("{code}: {message} ({source})")
    };
    match asked.remedy(code, message) {
        Some(remedy) => hinted(&text, &remedy),
        None => text,
    }
}

/// The text of the first element of this name.
fn element<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    rest.split_once(&format!("</{name}>")).map(|(text, _)| text)
}

impl Asked<'_> {
    /// What helps against a refusal.
    fn remedy(&self, code: &str, message: &str) -> Option<String> {
        let Self { action, resource, .. } = self;
        Some(match code {
            "AccessDeniedException" | "AccessDenied" => {
                let who = identity(message).unwrap_or("whose access key is used");
                let also = match *action {
                    "sts:AssumeRole" => "the role must trust it",
                    "s3:PutObject" => "the policy of the bucket must not deny it",
                    _ => "the policy of the key must too",
                };
                format!("the policies of the identity {who} must allow {action} on {resource}, and {also}")
            }
            "ExpiredToken" | "ExpiredTokenException" => format!("the session is over: {}", self.log_in()),
            "NoSuchBucket" => "check the name of the bucket in the destination rule, and AWS_REGION".to_owned(),
            "PermanentRedirect" | "AuthorizationHeaderMalformed" | "IllegalLocationConstraintException" => {
                "the bucket is in another region: set AWS_REGION, or the region of the profile".to_owned()
            }
            "UnrecognizedClientException" | "InvalidClientTokenId" | "InvalidAccessKeyId" | "AuthFailure" => {
                "AWS does not know the access key: look at the AWS_… variables, or at the profile, and that its session \
                 token belongs to it"
                    .to_owned()
            }
            "SignatureDoesNotMatch" | "InvalidSignatureException" | "IncompleteSignature" | "RequestExpired" => {
                "the secret key does not belong to the access key, or the clock of this machine is wrong".to_owned()
            }
            "NotFoundException" => format!(
                "check the region, the account and the name in {resource}: keys of other regions and deleted ones are not \
                 found"
            ),
            "IncorrectKeyException" => {
                format!("the data key was encrypted with another key than {resource}: the ARN in the file is wrong")
            }
            "InvalidCiphertextException" => {
                "the encryption context in the file is not the one that the data key was encrypted with, or `enc` was \
                 changed"
                    .to_owned()
            }
            "DisabledException" | "KMSInvalidStateException" => {
                format!("{resource} is disabled or about to be deleted; `aws kms enable-key` makes it usable again")
            }
            "InvalidKeyUsageException" => format!("{resource} must be a symmetric key for encryption"),
            "RegionDisabledException" => "activate STS in the region of the key".to_owned(),
            "SlowDown" | "ThrottlingException" | "Throttling" | "LimitExceededException" | "KeyUnavailableException"
            | "DependencyTimeoutException" | "KMSInternalException" => "try again later".to_owned(),
            _ => return None,
        })
    }

    fn log_in(&self) -> String {
        let profile =
            if self.profile.is_empty() { String::new() } else { format!(" --profile {}", self.profile) };
        format!("log in again, as with `aws sso login{profile}`, or set new credentials")
    }
}

/// Who was refused, where AWS says it: `User: <arn> is not authorized to perform: …`.
fn identity(message: &str) -> Option<&str> {
    let (_, behind) = message.split_once("User: ")?;
    let who = behind.split_whitespace().next()?;
    who.starts_with("arn:").then_some(who)
}

/// Why nobody has answered: there are no credentials, or no connection.
fn no_answer(error: &(dyn Error + 'static), asked: &Asked<'_>) -> String {
    if let Some(error) = parts(error).find_map(|part| part.downcast_ref::<CredentialsError>()) {
        return no_credentials(error, asked);
    }
    let text = chain_text(error);
    if text.contains("certificate") {
        return hinted(
            &text,
            "the certificate is not trusted: AWS_CA_BUNDLE or SSL_CERT_FILE name one file of certificates to trust",
        );
    }
    if text.contains("region must be set") {
        return hinted(&text, "set AWS_REGION, or the region of the profile");
    }
    let connection = parts(error).find_map(|part| part.downcast_ref::<ConnectorError>());
    match connection {
        Some(failed) if failed.is_timeout() || failed.is_io() => hinted(
            &text,
            "there is no connection: check the network, HTTPS_PROXY and NO_PROXY, AWS_ENDPOINT_URL, and the region",
        ),
        _ => text,
    }
}

fn no_credentials(error: &CredentialsError, asked: &Asked<'_>) -> String {
    if let CredentialsError::CredentialsNotLoaded(_) = error {
        // its inside lists what was tried, each with the same words of the SDK
        let tried = error.source().map_or_else(|| "no credentials found".to_owned(), chain_text);
        let tried = tried.replace(&format!("{error}: "), "").replace(&error.to_string(), "nothing there");
        return hinted(
            &tried,
            "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, choose a profile with AWS_PROFILE, or log in with \
             `aws sso login`",
        );
    }
    let text = chain_text(error);
    let lower = text.to_lowercase();
    if ["sso", "expired", "login"].iter().any(|word| lower.contains(word)) {
        return hinted(&text, &asked.log_in());
    }
    hinted(&text, "look at the profile or the AWS_… variables that the credentials come from")
}

/// All parts of an error, the outermost first. Many repeat what they contain.
pub(crate) fn chain_text(error: &(dyn Error + 'static)) -> String {
    let mut text = String::new();
    for part in parts(error).map(ToString::to_string) {
        // one shows the whole request, and that holds the data key
        let part = if part.contains("SdkBody") { "the request cannot be made".to_owned() } else { part };
        if text.is_empty() {
            text = part;
        } else if !text.contains(&part) {
            text += &format!(": {part}");
        }
    }
    text
}

fn parts<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| (*error).source())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_who_needs_which_right() {
        let asked = Asked { action: "kms:Decrypt", resource: "arn:aws:kms:r:1:key/k", profile: "" };
        let message = "User: arn:aws:iam::1:user/ci is not authorized to perform: kms:Decrypt on resource: …";
        assert_eq!(
            asked.remedy("AccessDeniedException", message).as_deref(),
            Some(
                "the policies of the identity arn:aws:iam::1:user/ci must allow kms:Decrypt on arn:aws:kms:r:1:key/k, \
                 and the policy of the key must too"
            )
        );
        assert!(
            asked
                .remedy("AccessDeniedException", "")
                .is_some_and(|text| text.contains("whose access key is used"))
        );
        assert_eq!(asked.remedy("SomethingNewException", ""), None);
    }

    #[test]
    fn sessions_are_renewed_for_the_profile_of_the_key() {
        let asked = Asked { action: "kms:Decrypt", resource: "", profile: "prod" };
        let remedy = asked.remedy("ExpiredTokenException", "").expect("one that is known");
        assert!(remedy.contains("`aws sso login --profile prod`"), "{remedy}");
    }
}
