//! Who we are: the chain of credentials that the reference tries (keys.md §7.3). The SDK has the credentials, but no
//! chain for production.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use azure_core::cloud::{CloudConfiguration, CustomConfiguration};
use azure_core::credentials::{AccessToken, Secret, TokenCredential};
use azure_core::http::{ClientOptions, HttpClient};
use azure_core::time::OffsetDateTime;
use azure_identity::{
    AzureCliCredential, AzureCliCredentialOptions, AzureDeveloperCliCredential,
    AzureDeveloperCliCredentialOptions, ClientAssertionCredential, ClientAssertionCredentialOptions,
    ClientSecretCredential, ClientSecretCredentialOptions, WorkloadIdentityCredential,
    WorkloadIdentityCredentialOptions,
};
use tokio::sync::Mutex;
use zeroize::Zeroizing;

use super::certificate::{Certificate, ChainOfTrust};
use super::executor::Patient;
use super::managed_identity::{self, Host};
use super::reason::{NoToken, told};
use super::transport::{Route, TRUST, http_client, login_options};
use crate::keys::remote::Limits;

/// Where tokens come from if nobody names another cloud.
const PUBLIC_CLOUD: &str = "https://login.microsoftonline.com";

/// What the environment says of credentials; the names of the fields are those of the variables, without `AZURE_`.
#[derive(Default)]
#[expect(missing_docs, reason = "the names of the variables")]
pub struct AzureSettings {
    pub token_credentials: Option<String>,
    pub tenant_id: Option<String>,
    pub client_id: Option<String>,
    pub client_secret: Option<Zeroizing<String>>,
    pub client_certificate_path: Option<PathBuf>,
    pub client_send_certificate_chain: bool,
    pub username: Option<String>,
    pub federated_token_file: Option<PathBuf>,
    pub authority_host: Option<String>,
    /// `*` stands for all.
    pub additionally_allowed_tenants: Vec<String>,
    /// Some service but that of virtual machines is named for the machine's identity, which the SDK reads by itself.
    pub has_identity_endpoint: bool,
}

/// Why a credential gives no token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Setback {
    /// It is not set up here: the next one is asked.
    Absent(String),
    /// It is set up and does not work: nobody shall become somebody else because of that.
    Refused(String),
}

/// A way to get a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Link {
    Environment,
    WorkloadIdentity,
    ManagedIdentity,
    AzureCli,
    AzureDeveloperCli,
    AzurePowerShell,
}

impl Link {
    const ALL: [Self; 6] = [
        Self::Environment,
        Self::WorkloadIdentity,
        Self::ManagedIdentity,
        Self::AzureCli,
        Self::AzureDeveloperCli,
        Self::AzurePowerShell,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Environment => "EnvironmentCredential",
            Self::WorkloadIdentity => "WorkloadIdentityCredential",
            Self::ManagedIdentity => "ManagedIdentityCredential",
            Self::AzureCli => "AzureCLICredential",
            Self::AzureDeveloperCli => "AzureDeveloperCLICredential",
            Self::AzurePowerShell => "AzurePowerShellCredential",
        }
    }

    /// Those that `AZURE_TOKEN_CREDENTIALS` leaves.
    fn chosen(selection: Option<&str>) -> Result<Vec<Self>, String> {
        let word = selection.map(str::trim).unwrap_or_default();
        let [production @ .., _, _, _] = Self::ALL.as_slice() else { return Ok(Vec::new()) };
        match word.to_ascii_lowercase().as_str() {
            "" => Ok(Self::ALL.to_vec()),
            "prod" => Ok(production.to_vec()),
            "dev" => Ok(Self::ALL[production.len()..].to_vec()),
            lower => match Self::ALL.into_iter().find(|link| link.name().to_ascii_lowercase() == lower) {
                Some(link) => Ok(vec![link]),
                None => Err(format!(
                    "AZURE_TOKEN_CREDENTIALS is {word:?}; it can be prod, dev or one of {}",
                    Self::ALL.map(Self::name).join(", ")
                )),
            },
        }
    }
}

/// The credentials, and the tokens that they have given.
pub(super) struct Chain {
    links: Vec<Link>,
    settings: Arc<AzureSettings>,
    limits: Limits,
    http: Arc<dyn HttpClient>,
    /// By scope and tenant. Held while somebody asks, so that nobody asks twice.
    tokens: Mutex<HashMap<(String, String), AccessToken>>,
    /// The one that gave a token: it is asked again, and no other.
    used: OnceLock<Link>,
}

impl Chain {
    /// Nobody is asked yet.
    pub(super) fn new(
        settings: Arc<AzureSettings>,
        limits: Limits,
        http: Arc<dyn HttpClient>,
    ) -> Result<Self, String> {
        let links = Link::chosen(settings.token_credentials.as_deref())?;
        Ok(Self { links, settings, limits, http, tokens: Mutex::default(), used: OnceLock::new() })
    }

    /// Who we turned out to be.
    pub(super) fn identity(&self) -> Option<String> {
        let link = *self.used.get()?;
        let takes_client_id =
            matches!(link, Link::Environment | Link::WorkloadIdentity | Link::ManagedIdentity);
        Some(match self.settings.client_id.as_deref().filter(|_| takes_client_id) {
            Some(client) => format!("{}, client {client}", link.name()),
            None => link.name().to_owned(),
        })
    }

    /// A token for a scope, from the tenant that the vault has named (empty: it has named none).
    pub(super) async fn token(&self, scope: &str, tenant: &str) -> Result<AccessToken, NoToken> {
        let mut tokens = self.tokens.lock().await;
        let place = (scope.to_owned(), tenant.to_owned());
        let soon = OffsetDateTime::now_utc() + Duration::from_secs(300);
        if let Some(token) = tokens.get(&place).filter(|token| token.expires_on > soon) {
            return Ok(token.clone());
        }
        let links = match self.used.get() {
            Some(link) => std::slice::from_ref(link),
            None => self.links.as_slice(),
        };
        let mut setbacks = Vec::new();
        for link in links {
            match self.ask(*link, scope, tenant).await {
                Ok(token) => {
                    self.used.get_or_init(|| *link);
                    tokens.insert(place, token.clone());
                    return Ok(token);
                }
                Err(Setback::Absent(reason)) => setbacks.push((*link, reason)),
                Err(Setback::Refused(reason)) => {
                    setbacks.push((*link, reason));
                    break;
                }
            }
        }
        Err(no_token(&setbacks))
    }

    async fn ask(&self, link: Link, scope: &str, tenant: &str) -> Result<AccessToken, Setback> {
        match link {
            Link::Environment => self.principal(tenant, scope).await,
            Link::WorkloadIdentity => self.workload_identity(tenant, scope).await,
            Link::ManagedIdentity => self.managed_identity(scope).await,
            Link::AzureCli => {
                let options = AzureCliCredentialOptions {
                    tenant_id: named(tenant),
                    executor: Some(Arc::new(Patient)),
                    ..AzureCliCredentialOptions::default()
                };
                Self::developer(AzureCliCredential::new(Some(options)), scope).await
            }
            Link::AzureDeveloperCli => {
                let options = AzureDeveloperCliCredentialOptions {
                    tenant_id: named(tenant),
                    executor: Some(Arc::new(Patient)),
                };
                Self::developer(AzureDeveloperCliCredential::new(Some(options)), scope).await
            }
            Link::AzurePowerShell => Err(Setback::Absent("rsops does not ask PowerShell".to_owned())),
        }
    }

    /// A service principal of the environment.
    async fn principal(&self, tenant: &str, scope: &str) -> Result<AccessToken, Setback> {
        let settings = &*self.settings;
        let missing = |name: &str| Setback::Absent(format!("{name} is not set"));
        let own = settings.tenant_id.as_deref().ok_or_else(|| missing("AZURE_TENANT_ID"))?;
        let client = settings.client_id.clone().ok_or_else(|| missing("AZURE_CLIENT_ID"))?;
        if let Some(secret) = &settings.client_secret {
            let tenant = self.allowed(own, tenant)?;
            let options = ClientSecretCredentialOptions { client_options: self.login_options() };
            let secret = Secret::new(secret.to_string());
            let credential = ClientSecretCredential::new(&tenant, client, secret, Some(options));
            return Self::configured(credential, scope).await;
        }
        if let Some(path) = &settings.client_certificate_path {
            let tenant = self.allowed(own, tenant)?;
            let authority = self.authority_host().trim_end_matches('/');
            let audience = format!("{authority}/{tenant}/oauth2/v2.0/token");
            let chain =
                if settings.client_send_certificate_chain { ChainOfTrust::Sent } else { ChainOfTrust::Kept };
            let certificate = Certificate::read(path, chain, &client, audience).map_err(Setback::Absent)?;
            let options = ClientAssertionCredentialOptions { client_options: self.login_options() };
            let credential = ClientAssertionCredential::new(tenant, client, certificate, Some(options));
            return Self::configured(credential, scope).await;
        }
        Err(Setback::Absent(if settings.username.is_some() {
            "AZURE_USERNAME and AZURE_PASSWORD are not supported: Azure wants a second factor; use a secret or a \
             certificate"
                .to_owned()
        } else {
            "neither AZURE_CLIENT_SECRET nor AZURE_CLIENT_CERTIFICATE_PATH is set".to_owned()
        }))
    }

    /// A workload of Kubernetes, or of whoever else writes a token into a file.
    async fn workload_identity(&self, tenant: &str, scope: &str) -> Result<AccessToken, Setback> {
        let settings = &*self.settings;
        let missing = |name: &str| Setback::Absent(format!("{name} is not set"));
        let file = settings.federated_token_file.clone();
        let file = file.ok_or_else(|| missing("AZURE_FEDERATED_TOKEN_FILE"))?;
        let client = settings.client_id.clone().ok_or_else(|| missing("AZURE_CLIENT_ID"))?;
        let own = settings.tenant_id.as_deref().ok_or_else(|| missing("AZURE_TENANT_ID"))?;
        let options = WorkloadIdentityCredentialOptions {
            credential_options: ClientAssertionCredentialOptions { client_options: self.login_options() },
            client_id: Some(client),
            tenant_id: Some(self.allowed(own, tenant)?),
            token_file_path: Some(file),
        };
        Self::configured(WorkloadIdentityCredential::new(Some(options)), scope).await
    }

    async fn managed_identity(&self, scope: &str) -> Result<AccessToken, Setback> {
        let http = http_client(self.limits, Route::Direct).map_err(Setback::Absent)?;
        let host = if self.settings.has_identity_endpoint {
            Host::Named
        } else if self.links.len() > 1 {
            Host::Suspected
        } else {
            Host::Known
        };
        managed_identity::token(host, self.settings.client_id.as_deref(), scope, http, self.limits).await
    }

    /// One that the user has set up.
    async fn configured<C: TokenCredential>(
        credential: azure_core::Result<Arc<C>>,
        scope: &str,
    ) -> Result<AccessToken, Setback> {
        let credential = credential.map_err(|error| Setback::Absent(told(&error)))?;
        credential.get_token(&[scope], None).await.map_err(|error| Setback::Refused(told(&error)))
    }

    /// A program in which somebody may have logged in.
    async fn developer<C: TokenCredential>(
        credential: azure_core::Result<Arc<C>>,
        scope: &str,
    ) -> Result<AccessToken, Setback> {
        let absent = |error| Setback::Absent(told(&error));
        credential.map_err(absent)?.get_token(&[scope], None).await.map_err(absent)
    }

    fn authority_host(&self) -> &str {
        self.settings.authority_host.as_deref().unwrap_or(PUBLIC_CLOUD)
    }

    fn login_options(&self) -> ClientOptions {
        let mut cloud = CustomConfiguration::default();
        self.authority_host().clone_into(&mut cloud.authority_host);
        ClientOptions {
            cloud: Some(Arc::new(CloudConfiguration::Custom(cloud))),
            ..login_options(self.http.clone(), self.limits)
        }
    }

    /// The tenant to ask: that of the vault, if it is ours or one that we may be guests of.
    fn allowed(&self, own: &str, wanted: &str) -> Result<String, Setback> {
        let allowed = &self.settings.additionally_allowed_tenants;
        // a domain may be the tenant that the vault has named by its number
        let is_domain = own.contains('.');
        if wanted.is_empty() || wanted.eq_ignore_ascii_case(own) {
            Ok(own.to_owned())
        } else if allowed.iter().any(|tenant| tenant == "*" || tenant.eq_ignore_ascii_case(wanted)) {
            Ok(wanted.to_owned())
        } else if is_domain {
            Ok(own.to_owned())
        } else {
            Err(Setback::Refused(format!(
                "the vault belongs to tenant {wanted}, and AZURE_TENANT_ID is {own}; \
                 AZURE_ADDITIONALLY_ALLOWED_TENANTS can name it, if the application is known there"
            )))
        }
    }
}

fn named(tenant: &str) -> Option<String> {
    Some(tenant.to_owned()).filter(|tenant| !tenant.is_empty())
}

/// A line for each credential that was asked.
fn no_token(setbacks: &[(Link, String)]) -> NoToken {
    let lines: Vec<String> =
        setbacks.iter().map(|(link, reason)| format!("{}: {reason}", link.name())).collect();
    let says = |words: &str| setbacks.iter().any(|(_, reason)| reason.contains(words));
    let hint = if says("AADSTS7000222") || says("AADSTS7000215") {
        "the secret of the application has expired or is wrong: `az ad app credential reset` makes a new one, for \
         AZURE_CLIENT_SECRET"
    } else if says("AADSTS700027") || says("AADSTS7000216") {
        "the certificate is not one of the application: `az ad app credential list --cert` shows those that are"
    } else if says("AADSTS700016") || says("AADSTS90002") {
        "check AZURE_CLIENT_ID and AZURE_TENANT_ID"
    } else if says("AADSTS70021") || says("AADSTS700213") || says("AADSTS700211") {
        "the application has no federated credential for this workload: check issuer, subject and audience"
    } else if says("is not trusted") {
        TRUST
    } else if says("az login") || says("azd auth login") {
        "log in again with `az login`"
    } else if says("AADSTS") {
        "login.microsoftonline.com/error explains these numbers"
    } else {
        "log in with `az login`, or set AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET"
    };
    NoToken { reason: format!("no credential gives a token\n{}", lines.join("\n")), hint: hint.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(selection: &str) -> Result<String, String> {
        let links = Link::chosen(Some(selection))?;
        Ok(links
            .iter()
            .map(|link| &link.name()[..link.name().len() - "Credential".len()])
            .collect::<Vec<_>>()
            .join(" "))
    }

    #[test]
    fn the_chain_can_be_narrowed() {
        let production = "Environment WorkloadIdentity ManagedIdentity";
        let developer = "AzureCLI AzureDeveloperCLI AzurePowerShell";
        assert_eq!(names(""), Ok(format!("{production} {developer}")));
        assert_eq!(names(" Prod "), Ok(production.to_owned()));
        assert_eq!(names("DEV"), Ok(developer.to_owned()));
        assert_eq!(names("azureclicredential"), Ok("AzureCLI".to_owned()));
        assert!(names("cli").is_err_and(|reason| reason.contains("\"cli\"")));
    }

    #[test]
    fn a_vault_of_another_tenant_wants_permission() {
        let chain = |allowed: &[&str]| {
            let settings = AzureSettings {
                additionally_allowed_tenants: allowed.iter().map(|tenant| (*tenant).to_owned()).collect(),
                ..AzureSettings::default()
            };
            let http = http_client(Limits::default(), Route::Direct).expect("a client");
            Chain::new(Arc::new(settings), Limits::default(), http).expect("a chain")
        };
        let asked = |allowed: &[&str], own, wanted| chain(allowed).allowed(own, wanted);
        assert_eq!(asked(&[], "own", "OWN"), Ok("own".to_owned()));
        assert_eq!(asked(&[], "own", ""), Ok("own".to_owned()));
        assert_eq!(asked(&["*"], "own", "other"), Ok("other".to_owned()));
        assert_eq!(asked(&["x", "other"], "own", "other"), Ok("other".to_owned()));
        assert_eq!(asked(&[], "contoso.example", "other"), Ok("contoso.example".to_owned()));
        assert!(matches!(asked(&["x"], "own", "other"), Err(Setback::Refused(_))));
    }
}
