//! Who asks: the chain of the vendor's SDK (keys.md §9.2). The first source that has something is used.

use std::fs;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Method, Url};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::refusal::Refusal;
use super::region::iam_endpoint;
use super::settings::HuaweiSettings;
use crate::keys::http::{Http, Reply};
use crate::keys::remote::hinted;
use crate::os_error::os_text;
use crate::store::Store as _;
use crate::store::ini::IniStore;
use crate::tree::{Branch, Source, Value as TreeValue};

const METADATA: &str = "http://169.254.169.254";
const METADATA_LIMIT: Duration = Duration::from_secs(3);
/// Six hours, in seconds: how long temporary keys and tokens are asked for.
const LIFETIME: u32 = 21600;
pub(super) const JSON: &str = "application/json;charset=UTF-8";

/// An access key, or a temporary one with its token.
pub(super) struct Credentials {
    pub(super) access_key: String,
    pub(super) secret_key: Zeroizing<String>,
    pub(super) security_token: Option<Zeroizing<String>>,
    pub(super) project_id: Option<String>,
    pub(super) iam_endpoint: Option<String>,
}

impl Credentials {
    /// Looks everywhere. The error tells what is missing in each place.
    pub(super) async fn find(settings: &HuaweiSettings, http: &Http, region: &str) -> Result<Self, String> {
        let search = Search { settings, http, region };
        if let Some(credentials) = search.environment().await? {
            return Ok(credentials);
        }
        let file = match search.file().await {
            Ok(credentials) => return Ok(credentials),
            Err(Missing::Nothing(reason)) => reason,
            Err(Missing::Broken(reason)) => return Err(reason),
        };
        let metadata = match tokio::time::timeout(METADATA_LIMIT, search.metadata()).await {
            Ok(Ok(credentials)) => return Ok(credentials),
            Ok(Err(reason)) => reason,
            Err(_) => format!("no answer within {METADATA_LIMIT:?}"),
        };
        if let Some(credentials) = search.container().await? {
            return Ok(credentials);
        }
        let metadata = metadata.lines().next().unwrap_or_default();
        Err(hinted(
            &format!(
                "there are none: HUAWEICLOUD_SDK_AK and HUAWEICLOUD_SDK_SK are not set; {file}; metadata service: \
                 {metadata}"
            ),
            "set HUAWEICLOUD_SDK_AK and HUAWEICLOUD_SDK_SK, or write them into the section [basic] of \
             ~/.huaweicloud/credentials",
        ))
    }
}

/// Why a source does not help.
enum Missing {
    /// It has nothing: the next one is looked at.
    Nothing(String),
    /// It has something that cannot be used.
    Broken(String),
}

struct Search<'a> {
    settings: &'a HuaweiSettings,
    http: &'a Http,
    region: &'a str,
}

impl Search<'_> {
    async fn environment(&self) -> Result<Option<Credentials>, String> {
        let settings = self.settings;
        let project_id = settings.project_id.clone();
        if let (Some(idp), Some(file)) = (&settings.idp_id, &settings.id_token_file) {
            return self.federated(idp, file, project_id, None).await.map(Some);
        }
        let (Some(access_key), Some(secret_key)) = (&settings.access_key, &settings.secret_key) else {
            return Ok(None);
        };
        Ok(Some(Credentials {
            access_key: access_key.clone(),
            secret_key: secret_key.clone(),
            security_token: settings.security_token.clone(),
            project_id,
            iam_endpoint: None,
        }))
    }

    /// The section `[basic]` of an INI file.
    async fn file(&self) -> Result<Credentials, Missing> {
        let Some(file) = &self.settings.credentials_file else {
            return Err(Missing::Nothing("there is no home directory for a file".to_owned()));
        };
        let place = file.display();
        let bytes = fs::read(file).map(Zeroizing::new);
        let bytes = bytes.map_err(|error| Missing::Nothing(format!("open {place}: {}", os_text(&error))))?;
        let tree = IniStore.load(Source::from(bytes.as_slice()));
        let tree = tree.map_err(|error| Missing::Broken(format!("{place}: {error}")))?;
        let basic = match tree.branches.first().and_then(|branch| branch.get("basic")) {
            Some(TreeValue::Map(basic)) => basic,
            _ => return Err(Missing::Nothing(format!("{place} has no section [basic]"))),
        };
        let (project_id, iam_endpoint) = (entry(basic, "project_id"), entry(basic, "iam_endpoint"));
        if let (Some(idp), Some(token)) = (entry(basic, "idp_id"), entry(basic, "id_token_file")) {
            let credentials = self.federated(&idp, Path::new(&token), project_id, iam_endpoint).await;
            return credentials.map_err(Missing::Broken);
        }
        match (entry(basic, "ak"), entry(basic, "sk")) {
            (Some(access_key), Some(secret_key)) => Ok(Credentials {
                access_key,
                secret_key: Zeroizing::new(secret_key),
                security_token: entry(basic, "security_token").map(Zeroizing::new),
                project_id,
                iam_endpoint,
            }),
            _ => Err(Missing::Nothing(format!("{place} has no ak and sk in its section [basic]"))),
        }
    }

    /// A temporary key for the token of an identity provider.
    async fn federated(
        &self,
        idp: &str,
        token_file: &Path,
        project_id: Option<String>,
        iam: Option<String>,
    ) -> Result<Credentials, String> {
        let token = fs::read_to_string(token_file).map(Zeroizing::new);
        let token = token.map_err(|error| format!("open {}: {}", token_file.display(), os_text(&error)))?;
        let url = |path| -> Result<Url, String> {
            let mut url = iam_endpoint(self.settings, iam.as_deref(), self.region)?;
            url.set_path(path);
            Ok(url)
        };
        let mut headers = json_headers();
        let value = HeaderValue::from_str(idp);
        headers.insert("x-idp-id", value.map_err(|_| "the id of the identity provider cannot be sent")?);
        let body = json!({"auth": {"id_token": {"id": token.trim()}}});
        let reply = self.ask(Method::POST, &url("/v3.0/OS-AUTH/id-token/tokens")?, headers, body).await?;
        let subject = reply.headers.get("x-subject-token").and_then(|token| token.to_str().ok());
        let subject = subject.ok_or("IAM gives no token for that of the identity provider")?;
        let token = json!({"id": subject, "duration_seconds": LIFETIME});
        let body = json!({"auth": {"identity": {"methods": ["token"], "token": token}}});
        let url = url("/v3.0/OS-CREDENTIAL/securitytokens")?;
        let reply = self.ask(Method::POST, &url, json_headers(), body).await?;
        temporary(&reply, project_id, iam)
    }

    /// The agency of the machine that we run on.
    async fn metadata(&self) -> Result<Credentials, String> {
        let url = |path: &str| Url::parse(&format!("{METADATA}{path}")).map_err(|error| error.to_string());
        let mut headers = HeaderMap::new();
        headers.insert("x-metadata-token-ttl-seconds", HeaderValue::from(LIFETIME));
        let token = url("/meta-data/latest/api/token")?;
        let reply = self.http.send(Method::PUT, &token, headers, Bytes::new()).await;
        let reply = reply.map_err(|silence| silence.text)?;
        let mut headers = HeaderMap::new();
        match reply.status {
            200 => {
                let mut token =
                    HeaderValue::from_bytes(&reply.body).map_err(|_| "its token cannot be sent")?;
                token.set_sensitive(true);
                headers.insert("x-metadata-token", token);
            }
            // older machines have no tokens
            404 | 405 | 503 => {}
            _ => return Err(Refusal::of(&reply).to_string()),
        }
        let reply =
            self.http.send(Method::GET, &url("/openstack/latest/securitykey")?, headers, Bytes::new()).await;
        let reply = reply.map_err(|silence| silence.text)?;
        match reply.status {
            200..300 => temporary(&reply, self.settings.project_id.clone(), None),
            _ => Err(Refusal::of(&reply).to_string()),
        }
    }

    /// The identity of a pod.
    async fn container(&self) -> Result<Option<Credentials>, String> {
        let settings = self.settings;
        let (Some(uri), Some(file)) = (&settings.container_uri, &settings.container_token_file) else {
            return Ok(None);
        };
        let url = Url::parse(uri).map_err(|error| format!("HC_CONTAINER_CREDENTIALS_FULL_URI: {error}"))?;
        let token = fs::read_to_string(file).map(Zeroizing::new);
        let token = token.map_err(|error| format!("open {}: {}", file.display(), os_text(&error)))?;
        let mut headers = json_headers();
        let mut value = HeaderValue::from_str(token.trim())
            .map_err(|_| format!("{}: the token cannot be sent", file.display()))?;
        value.set_sensitive(true);
        headers.insert(reqwest::header::AUTHORIZATION, value);
        let reply = self.ask(Method::POST, &url, headers, json!({})).await?;
        temporary(&reply, settings.project_id.clone(), None).map(Some)
    }

    /// An answer that is no refusal.
    async fn ask(&self, method: Method, url: &Url, headers: HeaderMap, body: Value) -> Result<Reply, String> {
        let body = Bytes::from_owner(Zeroizing::new(body.to_string().into_bytes()));
        let reply = self.http.send(method, url, headers, body).await.map_err(|silence| silence.text)?;
        match reply.status {
            200..300 => Ok(reply),
            _ => Err(hinted(
                &Refusal::of(&reply).to_string(),
                "check the token, which may have expired, and what it may do",
            )),
        }
    }
}

fn json_headers() -> HeaderMap {
    HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(JSON))])
}

fn entry(section: &Branch, name: &str) -> Option<String> {
    match section.get(name) {
        Some(TreeValue::Scalar(value)) => {
            value.as_text()?.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
        }
        _ => None,
    }
}

/// A key of those that end by themselves: `credential` or `credentials`, in one of three spellings.
fn temporary(
    reply: &Reply,
    project_id: Option<String>,
    iam_endpoint: Option<String>,
) -> Result<Credentials, String> {
    let mut answer: Value = serde_json::from_slice(&reply.body).map_err(|_| "the answer is no JSON")?;
    let mut keys =
        ["credential", "credentials"].iter().find_map(|name| answer.get_mut(*name).map(Value::take));
    let mut take = |names: [&str; 3]| {
        let keys = keys.as_mut()?;
        names.iter().find_map(|name| match keys.get_mut(*name).map(Value::take) {
            Some(Value::String(text)) if !text.is_empty() => Some(text),
            _ => None,
        })
    };
    let access_key = take(["access", "accessKeyId", "access_key_id"]);
    let secret_key = take(["secret", "secretAccessKey", "secret_access_key"]).map(Zeroizing::new);
    let security_token = take(["securitytoken", "securityToken", "security_token"]).map(Zeroizing::new);
    match (access_key, secret_key) {
        (Some(access_key), Some(secret_key)) => {
            Ok(Credentials { access_key, secret_key, security_token, project_id, iam_endpoint })
        }
        _ => Err("the answer holds no access key".to_owned()),
    }
}
