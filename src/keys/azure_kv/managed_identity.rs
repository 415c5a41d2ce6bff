//! The identity that Azure gives to its own machines (keys.md §7.3).

use std::sync::Arc;
use std::time::Duration;

use azure_core::credentials::{AccessToken, TokenCredential as _};
use azure_core::http::{HttpClient, Method, Request, StatusCode, Url};
use azure_identity::{ManagedIdentityCredential, ManagedIdentityCredentialOptions, UserAssignedId};

use super::credentials::Setback;
use super::reason::told;
use super::transport::login_options;
use crate::keys::remote::Limits;

/// Where virtual machines ask. It answers everybody at once, or is not there.
const METADATA_SERVICE: &str = "http://169.254.169.254/metadata/identity/oauth2/token";
const PROBE: Duration = Duration::from_secs(1);

/// Who says what identity this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Host {
    /// One that the environment names: App Service and its like.
    Named,
    /// The metadata service of a virtual machine, if this is one.
    Suspected,
    /// That service, because the user has said that there is one.
    Known,
}

/// A token for the identity of this machine: the one assigned by the system, or the one with this client id.
pub(super) async fn token(
    host: Host,
    client_id: Option<&str>,
    scope: &str,
    http: Arc<dyn HttpClient>,
    limits: Limits,
) -> Result<AccessToken, Setback> {
    if host == Host::Suspected {
        probe(&*http).await?;
    }
    let options = ManagedIdentityCredentialOptions {
        user_assigned_id: client_id.map(|id| UserAssignedId::ClientId(id.to_owned())),
        client_options: login_options(http, limits),
    };
    let credential = ManagedIdentityCredential::new(Some(options)).map_err(|e| Setback::Absent(told(&e)))?;
    let scopes = [scope];
    let asked = credential.get_token(&scopes, None);
    if host == Host::Named {
        return asked.await.map_err(|error| Setback::Refused(told(&error)));
    }
    // the SDK tries this service for more than a minute, other clouds have something at the same address, and others
    // in the chain want to be asked too
    match tokio::time::timeout(limits.total / 3, asked).await {
        Ok(Ok(token)) => Ok(token),
        // a machine without an identity says no, and so do firewalls in the way
        Ok(Err(error)) => Err(Setback::Absent(told(&error))),
        Err(_) => Err(Setback::Absent("the metadata service gives no token".to_owned())),
    }
}

/// Whether there is a metadata service: without the header that it wants it says so, but it says something.
async fn probe(http: &dyn HttpClient) -> Result<(), Setback> {
    let absent = || Setback::Absent("this machine has no metadata service of Azure".to_owned());
    let url = Url::parse(METADATA_SERVICE).map_err(|_| absent())?;
    let request = Request::new(url, Method::Get);
    match tokio::time::timeout(PROBE, http.execute_request(&request)).await {
        // the address means something else in other clouds, which do not know this path
        Ok(Ok(response)) if response.status() != StatusCode::NotFound => Ok(()),
        _ => Err(absent()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use async_trait::async_trait;
    use azure_core::Bytes;
    use azure_core::http::AsyncRawResponse;
    use azure_core::http::headers::Headers;

    use super::*;
    use crate::keys::remote::block_on;

    /// What is at the address of the metadata service.
    #[derive(Debug)]
    struct Address {
        answers: Mutex<Vec<(StatusCode, &'static str)>>,
        asked: Mutex<Vec<String>>,
    }

    impl Address {
        fn new(answers: &[(StatusCode, &'static str)]) -> Arc<Self> {
            let answers = answers.iter().rev().copied().collect();
            Arc::new(Self { answers: Mutex::new(answers), asked: Mutex::default() })
        }
    }

    #[async_trait]
    impl HttpClient for Address {
        async fn execute_request(&self, request: &Request) -> azure_core::Result<AsyncRawResponse> {
            self.asked.lock().expect("no panic").push(request.url().to_string());
            let answer = self.answers.lock().expect("no panic").pop();
            let Some((status, body)) = answer else { return std::future::pending().await };
            let body = Bytes::from_static(body.as_bytes());
            Ok(AsyncRawResponse::from_bytes(status, Headers::default(), body))
        }
    }

    const TOKEN: &str =
        r#"{"access_token":"abc","expires_on":"4102444800","resource":"https://v","token_type":"Bearer"}"#;

    fn ask(address: &Arc<Address>, host: Host) -> Result<String, Setback> {
        let limits = Limits::parse("3s").expect("a time");
        let answer = token(host, Some("c-1"), "https://v/.default", address.clone(), limits);
        block_on(answer).expect("a runtime").map(|token| token.token.secret().to_owned())
    }

    #[test]
    fn a_virtual_machine_is_found_out_and_asked() {
        let address = Address::new(&[(StatusCode::BadRequest, "{}"), (StatusCode::Ok, TOKEN)]);
        assert_eq!(ask(&address, Host::Suspected), Ok("abc".to_owned()));
        let asked = address.asked.lock().expect("no panic");
        assert_eq!(asked[0], METADATA_SERVICE);
        assert!(asked[1].contains("resource=https%3A%2F%2Fv&client_id=c-1"), "{asked:?}");
    }

    #[test]
    fn what_does_not_answer_within_a_second_is_no_virtual_machine() {
        let absent = Setback::Absent("this machine has no metadata service of Azure".to_owned());
        assert_eq!(ask(&Address::new(&[]), Host::Suspected), Err(absent.clone()));
        assert_eq!(ask(&Address::new(&[(StatusCode::NotFound, "")]), Host::Suspected), Err(absent));
    }

    #[test]
    fn a_machine_without_this_identity_leaves_it_to_others() {
        let address = Address::new(&[(StatusCode::BadRequest, "{}")]);
        let Err(Setback::Absent(reason)) = ask(&address, Host::Known) else { panic!("a token") };
        assert_eq!(reason, "HTTP 400: The requested identity has not been assigned to this resource");
    }

    #[test]
    fn a_service_that_fails_for_long_does_not_take_all_the_time() {
        let address = Address::new(&[(StatusCode::NotFound, ""); 9]);
        let Err(Setback::Absent(reason)) = ask(&address, Host::Known) else { panic!("a token") };
        assert_eq!(reason, "the metadata service gives no token");
    }
}
