//! Credentials, endpoints and connections of AWS, for whichever of its services is asked (keys.md §5.5).

pub(crate) mod reason;

use std::fs;
use std::path::{Path, PathBuf};

use aws_config::ecs::EcsCredentialsProvider;
use aws_config::imds::credentials::ImdsCredentialsProvider;
use aws_config::meta::credentials::CredentialsProviderChain;
use aws_config::meta::region::RegionProviderChain;
use aws_config::profile::region::ProfileFileRegionProvider;
use aws_config::profile::{ProfileFileCredentialsProvider, ProfileSet, load as load_profiles};
use aws_config::provider_config::ProviderConfig;
use aws_config::web_identity_token::WebIdentityTokenCredentialsProvider;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_kms::config::SharedHttpClient;
use aws_sdk_kms::config::timeout::TimeoutConfig;
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use aws_smithy_http_client::{Builder, ConnectorBuilder};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use zeroize::Zeroizing;

use self::reason::chain_text;
use super::remote::{Limits, hinted};
use crate::os_error::os_text;

/// Which generation of the SDK's defaults is meant: standard retries, proxies from the environment.
fn behavior() -> BehaviorVersion {
    BehaviorVersion::v2026_01_12()
}

/// What the SDK does not find in the environment itself, or not as the reference does.
#[derive(Default)]
pub struct AwsSettings {
    /// `AWS_ACCESS_KEY_ID` and what belongs to it.
    pub access_key: Option<AccessKey>,
    /// `AWS_PROFILE`.
    pub profile: Option<String>,
    /// `AWS_REGION`, where nothing names another.
    pub region: Option<String>,
    /// Whether `AWS_WEB_IDENTITY_TOKEN_FILE` names a token.
    pub has_web_identity: bool,
    /// `AWS_ENDPOINT_URL` and those for one service, as far as they are set, with their values.
    pub endpoints: Vec<(String, String)>,
    /// `AWS_CA_BUNDLE`: certificates that count instead of the system's.
    pub ca_bundle: Option<PathBuf>,
}

/// What each variable of an endpoint begins with; one of it alone is for all services.
const ENDPOINT: &str = "AWS_ENDPOINT_URL";

/// Who can be asked for credentials.
const CREDENTIAL_SERVICES: [&str; 4] = ["STS", "SSO", "SSO_OIDC", "SIGNIN"];

impl AwsSettings {
    /// The endpoint that the environment has for a service, if it is set, even if it is empty; then the one for all.
    fn endpoints_for(&self, service: &str) -> [Option<&str>; 2] {
        let own = format!("{ENDPOINT}_{service}");
        let value = |name: &str| {
            self.endpoints.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
        };
        [value(&own), value(ENDPOINT)]
    }

    /// The endpoint of a service; a variable that is empty is as good as none, as in the reference.
    pub(crate) fn endpoint(&self, service: &str) -> Option<&str> {
        self.endpoints_for(service).into_iter().flatten().find(|url| !url.is_empty())
    }

    /// The endpoint that takes the place of what the SDK finds for a service, if it would stumble over a variable that
    /// is empty.
    pub(crate) fn endpoint_instead(&self, service: &str) -> Option<Option<String>> {
        let is_empty = self.endpoints_for(service).contains(&Some(""));
        is_empty.then(|| self.endpoint(service).map(str::to_owned))
    }

    /// Of the variables that count if this service is asked.
    fn relevant_endpoints<'a>(&'a self, service: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        let counts = move |name: &str| {
            name.strip_prefix(ENDPOINT).is_some_and(|end| {
                end.is_empty()
                    || end
                        .strip_prefix('_')
                        .is_some_and(|end| end == service || CREDENTIAL_SERVICES.contains(&end))
            })
        };
        let pairs = self.endpoints.iter().map(|(name, url)| (name.as_str(), url.as_str()));
        pairs.filter(move |(name, _)| counts(name))
    }

    /// The SDK shows the request, data key included, when an endpoint is no URL; and it panics if one is empty.
    fn check_endpoints(&self, service: &str) -> Result<(), String> {
        let is_url = |url: &str| {
            let host = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
            host.is_some_and(|host| {
                !host.is_empty() && !host.starts_with('/') && !host.contains(char::is_whitespace)
            })
        };
        match self.relevant_endpoints(service).find(|(_, url)| !url.is_empty() && !is_url(url)) {
            Some((name, url)) => Err(hinted(
                &format!("{name}: {url:?} is no URL"),
                "it begins with https:// or http:// and a host",
            )),
            None => Ok(()),
        }
    }

    /// A variable that whoever is asked for credentials would stumble over.
    fn empty_credential_endpoint(&self) -> Option<&str> {
        // of the service itself there is no such name
        self.relevant_endpoints("").find(|(_, url)| url.is_empty()).map(|(name, _)| name)
    }
}

/// An access key from the environment.
pub struct AccessKey {
    /// Its public part.
    pub id: String,
    /// Its secret part.
    pub secret: Zeroizing<String>,
    /// Of a session.
    pub session_token: Option<Zeroizing<String>>,
}

impl AccessKey {
    fn credentials(&self) -> Credentials {
        let token = self.session_token.as_ref().map(|token| token.to_string());
        Credentials::new(self.id.clone(), self.secret.to_string(), token, None, "Environment")
    }
}

/// The configuration for a service (`KMS`, `S3`) with this profile; empty for the default. Without a region it is the
/// one of the environment or the profile. Nobody is asked for credentials yet.
pub(crate) async fn load(
    settings: &AwsSettings,
    service: &str,
    own_profile: &str,
    region: Option<Region>,
    limits: Limits,
) -> Result<SdkConfig, String> {
    settings.check_endpoints(service)?;
    let own_profile = Some(own_profile).filter(|name| !name.is_empty());
    // with a profile on the key, the access key of the environment does not count
    let access_key = settings.access_key.as_ref().filter(|_| own_profile.is_none());
    let profile = own_profile.or(settings.profile.as_deref());
    if access_key.is_none() {
        let profiles = Profiles::load().await?;
        if let Some(name) = profile {
            profiles.must_have(name)?;
        }
        let asks = profiles.asks_a_service(profile) || own_profile.is_none() && settings.has_web_identity;
        if let Some(name) = settings.empty_credential_endpoint().filter(|_| asks) {
            return Err(hinted(&format!("{name} is empty"), "unset it, or let it name the server to ask"));
        }
    }
    let timeouts = TimeoutConfig::builder().connect_timeout(limits.connect).build();
    let loader = aws_config::defaults(behavior())
        .timeout_config(timeouts)
        .http_client(http_client(settings.ca_bundle.as_deref())?)
        // the SDK looks at the profile before it looks at web identities; the chain is ours
        .no_credentials();
    let region = region.or_else(|| settings.region.clone().map(Region::new));
    // no machine is asked for its region, as in the reference
    let profile_region = || match profile {
        Some(name) => ProfileFileRegionProvider::builder().profile_name(name).build(),
        None => ProfileFileRegionProvider::builder().build(),
    };
    let loader = loader.region(match region {
        Some(region) => RegionProviderChain::first_try(region),
        None => RegionProviderChain::first_try(profile_region()),
    });
    let config = match profile {
        Some(name) => loader.profile_name(name).load().await,
        None => loader.load().await,
    };
    let sources = Sources { config: provider_config(&config), profile };
    let chain = match (own_profile, access_key) {
        (Some(_), _) => CredentialsProviderChain::first_try("Profile", sources.profile()),
        (None, None) => CredentialsProviderChain::first_try("WebIdentityToken", sources.web_identity())
            .or_else("Profile", sources.profile()),
        (None, Some(key)) => CredentialsProviderChain::first_try("Environment", key.credentials()),
    };
    let chain = chain
        .or_else("EcsContainer", EcsCredentialsProvider::builder().configure(&sources.config).build())
        .or_else(
            "Ec2InstanceMetadata",
            ImdsCredentialsProvider::builder().configure(&sources.config).build(),
        );
    Ok(config.into_builder().credentials_provider(SharedCredentialsProvider::new(chain)).build())
}

/// Where credentials may come from.
struct Sources<'a> {
    config: ProviderConfig,
    profile: Option<&'a str>,
}

impl Sources<'_> {
    fn profile(&self) -> ProfileFileCredentialsProvider {
        let provider = ProfileFileCredentialsProvider::builder().configure(&self.config);
        match self.profile {
            Some(name) => provider.profile_name(name).build(),
            None => provider.build(),
        }
    }

    fn web_identity(&self) -> WebIdentityTokenCredentialsProvider {
        WebIdentityTokenCredentialsProvider::builder().configure(&self.config).build()
    }
}

/// How those who are asked for credentials are reached.
fn provider_config(config: &SdkConfig) -> ProviderConfig {
    let mut provider = ProviderConfig::without_region()
        .with_behavior_version(Some(behavior()))
        .with_region(config.region().cloned())
        .with_use_fips(config.use_fips())
        .with_use_dual_stack(config.use_dual_stack());
    if let Some(client) = config.http_client() {
        provider = provider.with_http_client(client);
    }
    if let Some(retries) = config.retry_config() {
        provider = provider.with_retry_config(retries.clone());
    }
    match config.timeout_config() {
        Some(timeouts) => provider.with_timeout_config(timeouts.clone()),
        None => provider,
    }
}

/// What is in the two files.
struct Profiles(ProfileSet);

impl Profiles {
    async fn load() -> Result<Self, String> {
        load_profiles(&Default::default(), &Default::default(), &Default::default(), None)
            .await
            .map(Self)
            .map_err(|error| chain_text(&error))
    }

    /// A profile that somebody names must be there.
    fn must_have(&self, name: &str) -> Result<(), String> {
        if self.0.get_profile(name).is_some() {
            return Ok(());
        }
        let mut known: Vec<&str> = self.0.profiles().collect();
        known.sort_unstable();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        Err(hinted(
            &format!("failed to get shared config profile, {name}"),
            &format!("profiles are in ~/.aws/config and ~/.aws/credentials; these are known: {known}"),
        ))
    }

    /// Whether a service of AWS gives the credentials of the profile.
    fn asks_a_service(&self, name: Option<&str>) -> bool {
        let profile = self.0.get_profile(name.unwrap_or("default"));
        let ways = ["role_arn", "sso_session", "sso_start_url", "login_session"];
        profile.is_some_and(|profile| ways.iter().any(|way| profile.get(way).is_some()))
    }
}

/// One for all services, so that connections are used again. Proxies are those of `HTTPS_PROXY` and `NO_PROXY`.
fn http_client(ca_bundle: Option<&Path>) -> Result<SharedHttpClient, String> {
    let trust = match ca_bundle {
        Some(path) => TrustStore::empty().with_pem_certificate(certificates(path)?),
        None => TrustStore::default(),
    };
    let tls = TlsContext::builder().with_trust_store(trust).build().map_err(|error| chain_text(&error))?;
    Ok(Builder::new().build_with_connector_fn(move |settings, components| {
        let mut connector = ConnectorBuilder::default()
            .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
            .tls_context(tls.clone())
            .proxy_config(ProxyConfig::from_env());
        connector.set_connector_settings(settings.cloned());
        connector.set_sleep_impl(components.and_then(|components| components.sleep_impl()));
        connector.build()
    }))
}

/// The certificates of a file. The SDK panics on those that it cannot read, so they are looked at before.
fn certificates(path: &Path) -> Result<Vec<u8>, String> {
    let failed = |reason: &str| {
        hinted(
            &format!("AWS_CA_BUNDLE: {}: {reason}", path.display()),
            "it names a file of certificates in PEM format, which count instead of the system's",
        )
    };
    let pem = fs::read(path).map_err(|error| failed(&os_text(&error)))?;
    let read: Result<Vec<CertificateDer<'_>>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let certificates = read.map_err(|error| failed(&error.to_string()))?;
    if certificates.is_empty() {
        return Err(failed("there is no certificate in it"));
    }
    let mut store = RootCertStore::empty();
    for certificate in certificates {
        store.add(certificate).map_err(|error| failed(&error.to_string()))?;
    }
    Ok(pem)
}
