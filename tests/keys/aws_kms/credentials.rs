//! As whom AWS is asked, and how it is reached.

use std::process::Command;

use serde_json::{Value, json};

use super::{ACCOUNT, PLAIN, aws, encrypted, told, without_credentials};
use crate::server::moto::Moto;
use crate::server::{Request, Response, Server};
use crate::support::scratch::Scratch;

const ARN: &str = "arn:aws:kms:us-east-1:123456789012:key/11111111-2222-3333-4444-555555555555";
const ROLE: &str = "arn:aws:iam::123456789012:role/sops";

/// A KMS that keeps the plaintext, and whoever gives credentials: each gives an access key of its own.
fn recorder(request: &Request) -> Response {
    let body = request.json();
    let text = String::from_utf8_lossy(&request.body).into_owned();
    match (request.header("x-amz-target").unwrap_or_default(), request.path.as_str()) {
        ("TrentService.Encrypt", _) => Response::json(200, &json!({ "CiphertextBlob": body["Plaintext"] })),
        ("TrentService.Decrypt", _) => Response::json(200, &json!({ "Plaintext": body["CiphertextBlob"] })),
        (_, "/federation/credentials") => {
            let expiration = 4_102_444_800_000_u64;
            let keys = json!({ "accessKeyId": "ASIASSO", "secretAccessKey": "s", "sessionToken": "t", "expiration": expiration });
            Response::json(200, &json!({ "roleCredentials": keys }))
        }
        (_, "/container") => Response::json(200, &metadata_keys("ASIACONTAINER")),
        (_, "/latest/api/token") => {
            Response::text(200, "token").with("x-aws-ec2-metadata-token-ttl-seconds", "21600")
        }
        (_, path)
            if path.ends_with("/security-credentials/")
                || path.ends_with("/security-credentials-extended/") =>
        {
            Response::text(200, "instance-role")
        }
        (_, path) if path.ends_with("/instance-role") => Response::json(200, &metadata_keys("ASIAINSTANCE")),
        _ if text.contains("Action=AssumeRoleWithWebIdentity") => sts("AssumeRoleWithWebIdentity", "ASIAWEB"),
        _ if text.contains("Action=AssumeRole") => sts("AssumeRole", "ASIAROLE"),
        _ => Response::text(404, ""),
    }
}

fn metadata_keys(id: &str) -> Value {
    json!({
        "Code": "Success", "Type": "AWS-HMAC", "AccessKeyId": id, "SecretAccessKey": "s", "Token": "t",
        "LastUpdated": "2026-01-01T00:00:00Z", "Expiration": "2100-01-01T00:00:00Z",
    })
}

fn sts(action: &str, id: &str) -> Response {
    Response::text(
        200,
        &format!(
            "<{action}Response xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><{action}Result><Credentials>\
             <AccessKeyId>{id}</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>of-{id}</SessionToken>\
             <Expiration>2100-01-01T00:00:00Z</Expiration></Credentials><AssumedRoleUser><Arn>{ROLE}</Arn>\
             <AssumedRoleId>x:y</AssumedRoleId></AssumedRoleUser></{action}Result></{action}Response>"
        ),
    )
}

/// The access keys that requests for this target were signed with, each with its region.
fn signers(server: &Server, is_wanted: impl Fn(&Request) -> bool) -> Vec<String> {
    let seen = server.seen();
    let signer = |request: &Request| {
        let header = request.header("authorization").expect("a signature");
        let (_, credential) = header.split_once("Credential=").expect("a credential");
        let mut parts = credential.split('/');
        let (id, region) = (parts.next().expect("a key"), parts.nth(1).expect("a region"));
        format!("{id} {region}")
    };
    seen.iter().filter(|request| is_wanted(request)).map(signer).collect()
}

fn is_kms(request: &Request) -> bool {
    request.header("x-amz-target").is_some_and(|target| target.starts_with("TrentService."))
}

fn is_sts(request: &Request) -> bool {
    String::from_utf8_lossy(&request.body).contains("Action=AssumeRole")
}

/// Variables of a run.
type Variables = Vec<(&'static str, String)>;

/// Encrypts with what is made ready for it, and names who did it.
fn signer(flags: &[&str], prepare: impl Fn(&Server, &Scratch) -> Variables) -> String {
    let server = Server::http(recorder);
    let scratch = Scratch::new();
    scratch.write("a.yaml", PLAIN);
    let variables = prepare(&server, &scratch);
    let arguments = [&["encrypt", "--kms", ARN], flags, &["a.yaml"]].concat();
    let call = without_credentials(&scratch, &server.url(), &arguments);
    let call = variables.iter().fold(call, |call, (name, value)| call.variable(name, value));
    assert!(!call.stdout().is_empty());
    signers(&server, is_kms).join(", ")
}

fn keys_of_the_environment() -> Variables {
    vec![("AWS_ACCESS_KEY_ID", "AKIAENV".to_owned()), ("AWS_SECRET_ACCESS_KEY", "s".to_owned())]
}

/// The home of AWS with these two files.
fn home(scratch: &Scratch, credentials: &str, config: &str) {
    scratch.write("../home/.aws/credentials", credentials.as_bytes());
    scratch.write("../home/.aws/config", config.as_bytes());
}

const TWO_PROFILES: &str = "[default]\naws_access_key_id = AKIADEFAULT\naws_secret_access_key = s\n\
                            [team]\naws_access_key_id = AKIATEAM\naws_secret_access_key = s\n";

#[test]
fn the_environment_comes_before_profiles() {
    let with_home = |flags: &[&str], variables: &[(&'static str, &str)]| {
        signer(flags, |_, scratch| {
            home(scratch, TWO_PROFILES, "");
            variables.iter().map(|(name, value)| (*name, (*value).to_owned())).collect()
        })
    };
    let env = ("AWS_ACCESS_KEY_ID", "AKIAENV");
    let secret = ("AWS_SECRET_ACCESS_KEY", "s");
    let profile = ("AWS_PROFILE", "team");
    assert_eq!(with_home(&[], &[]), "AKIADEFAULT us-east-1");
    assert_eq!(with_home(&[], &[profile]), "AKIATEAM us-east-1");
    assert_eq!(with_home(&[], &[("AWS_DEFAULT_PROFILE", "team")]), "AKIATEAM us-east-1");
    assert_eq!(with_home(&[], &[env, secret, profile]), "AKIAENV us-east-1");
    // half of a key is none
    assert_eq!(with_home(&[], &[env]), "AKIADEFAULT us-east-1");
    // the profile of the key is exactly that
    assert_eq!(with_home(&["--aws-profile", "team"], &[env, secret]), "AKIATEAM us-east-1");
    assert_eq!(with_home(&["--aws-profile", "team"], &[("AWS_PROFILE", "default")]), "AKIATEAM us-east-1");
}

#[test]
fn a_web_identity_comes_before_profiles() {
    let web = |_: &Server, scratch: &Scratch| {
        home(scratch, TWO_PROFILES, "");
        scratch.write("token", b"header.payload.signature");
        let file = scratch.folder().join("token").display().to_string();
        vec![("AWS_WEB_IDENTITY_TOKEN_FILE", file), ("AWS_ROLE_ARN", ROLE.to_owned())]
    };
    assert_eq!(signer(&[], web), "ASIAWEB us-east-1");
    assert_eq!(signer(&["--aws-profile", "team"], web), "AKIATEAM us-east-1");
}

#[test]
fn profiles_can_get_their_credentials_in_many_ways() {
    let of = |profile: &str| {
        signer(&["--aws-profile", "p"], |_, scratch| {
            home(scratch, TWO_PROFILES, &format!("[profile p]\n{profile}"));
            let keys = r#"{"Version": 1, "AccessKeyId": "ASIAPROCESS", "SecretAccessKey": "s", "SessionToken": "t"}"#;
            scratch.write("keys.sh", format!("#!/bin/sh\necho '{keys}'\n").as_bytes());
            // the cached token of https://sso.example/start
            scratch.write(
                "../home/.aws/sso/cache/98df91031e87f97bfc088c045be6442dc5d70b2a.json",
                br#"{"accessToken": "t", "expiresAt": "2100-01-01T00:00:00Z", "region": "us-east-1", "startUrl": "https://sso.example/start"}"#,
            );
            Vec::new()
        })
    };
    assert_eq!(of("source_profile = team\nrole_arn = arn:aws:iam::1:role/r\n"), "ASIAROLE us-east-1");
    assert_eq!(of("credential_process = ./keys.sh\n"), "ASIAPROCESS us-east-1");
    assert_eq!(
        of(
            "sso_start_url = https://sso.example/start\nsso_region = us-east-1\nsso_account_id = 1\nsso_role_name = r\n"
        ),
        "ASIASSO us-east-1"
    );
}

#[test]
fn containers_and_instances_come_last() {
    let container = |server: &Server, _: &Scratch| {
        vec![("AWS_CONTAINER_CREDENTIALS_FULL_URI", format!("{}/container", server.url()))]
    };
    assert_eq!(signer(&[], container), "ASIACONTAINER us-east-1");
    let instance = |server: &Server, _: &Scratch| {
        vec![
            ("AWS_EC2_METADATA_SERVICE_ENDPOINT", server.url()),
            ("AWS_EC2_METADATA_DISABLED", "false".to_owned()),
        ]
    };
    assert_eq!(signer(&[], instance), "ASIAINSTANCE us-east-1");
    // a profile without credentials has those of the machine
    let bare = |server: &Server, scratch: &Scratch| {
        home(scratch, "", "[profile bare]\nregion = us-west-2\n");
        [instance(server, scratch), keys_of_the_environment()].concat()
    };
    assert_eq!(signer(&["--aws-profile", "bare"], bare), "ASIAINSTANCE us-east-1");
}

/// moto cannot tell this: its roles take any session name.
#[test]
fn a_role_is_asked_for_with_its_name_and_ours_only() {
    let kms = Server::http(recorder);
    let sts = Server::http(recorder);
    let scratch = Scratch::new();
    scratch.write("a.yaml", PLAIN);
    let key = format!("{ARN}+{ROLE}");
    let second = format!("arn:aws:kms:eu-west-1:{ACCOUNT}:key/x+{ROLE}");
    let keys = [key.as_str(), &second].join(",");
    let call =
        without_credentials(&scratch, "http://nowhere.invalid", &["encrypt", "-i", "--kms", &keys, "a.yaml"]);
    let call = call.variable("AWS_ENDPOINT_URL_KMS", &kms.url()).variable("AWS_ENDPOINT_URL_STS", &sts.url());
    keys_of_the_environment().iter().fold(call, |call, (name, value)| call.variable(name, value)).stdout();

    let mut asked = signers(&sts, is_sts);
    asked.sort();
    // each in the region of its key, with what the environment has
    assert_eq!(asked, ["AKIAENV eu-west-1", "AKIAENV us-east-1"]);
    let mut used = signers(&kms, is_kms);
    used.sort();
    assert_eq!(used, ["ASIAROLE eu-west-1", "ASIAROLE us-east-1"]);
    assert!(kms.seen().iter().all(|request| request.header("x-amz-security-token") == Some("of-ASIAROLE")));

    let host = Command::new("uname").arg("-n").output().expect("a name").stdout;
    let host = String::from_utf8(host).expect("text").trim().to_owned();
    let name: String =
        host.chars().filter(|c| c.is_ascii_alphanumeric() || ".,=@_".contains(*c)).take(59).collect();
    for request in sts.seen() {
        let body = String::from_utf8(request.body).expect("text");
        let mut fields: Vec<&str> = body.split('&').collect();
        fields.sort_unstable();
        let role = ROLE.replace(':', "%3A").replace('/', "%2F");
        assert_eq!(
            fields,
            [
                "Action=AssumeRole",
                &format!("RoleArn={role}"),
                &format!(
                    "RoleSessionName=sops%40{}",
                    name.replace(',', "%2C").replace('=', "%3D").replace('@', "%40")
                ),
                "Version=2011-06-15",
            ]
        );
    }
}

#[test]
fn a_role_is_assumed_once_for_all_keys_that_share_it() {
    let server = Server::http(recorder);
    let scratch = Scratch::new();
    scratch.write("a.yaml", PLAIN);
    let keys: Vec<String> =
        (1..=3).map(|n| format!("arn:aws:kms:us-east-1:{ACCOUNT}:key/{n}+{ROLE}")).collect();
    aws(&scratch, &server.url(), &["encrypt", "-i", "--kms", &keys.join(","), "a.yaml"]).stdout();
    assert_eq!((signers(&server, is_sts).len(), signers(&server, is_kms).len()), (1, 3));
}

#[test]
fn credentials_are_asked_for_once_for_all_regions() {
    let server = Server::http(recorder);
    let scratch = Scratch::new();
    scratch.write("a.yaml", PLAIN);
    home(&scratch, "", "[default]\ncredential_process = ./keys.sh\n");
    let keys = r#"{"Version": 1, "AccessKeyId": "ASIAPROCESS", "SecretAccessKey": "s"}"#;
    scratch.write("keys.sh", format!("#!/bin/sh\necho asked >> count\necho '{keys}'\n").as_bytes());
    let keys: Vec<String> =
        ["us-east-1", "eu-west-1"].map(|region| format!("arn:aws:kms:{region}:{ACCOUNT}:key/k")).into();
    let flags = ["encrypt", "-i", "--kms", &keys.join(","), "a.yaml"];
    without_credentials(&scratch, &server.url(), &flags).stdout();
    let mut used = signers(&server, is_kms);
    used.sort();
    assert_eq!(used, ["ASIAPROCESS eu-west-1", "ASIAPROCESS us-east-1"]);
    assert_eq!(scratch.text("count"), "asked\n");
}

#[test]
fn a_role_opens_what_belongs_to_another_account() {
    let Some(moto) = Moto::shared() else { return };
    let role = "arn:aws:iam::111122223333:role/sops";
    let parameters =
        [("Action", "AssumeRole"), ("Version", "2011-06-15"), ("RoleArn", role), ("RoleSessionName", "test")];
    let access_key = moto.query("sts", "AKIAEXAMPLE", &parameters, &["AccessKeyId"]).remove(0);
    let arn = moto.key_as(&access_key, "us-east-1");
    assert!(arn.contains("111122223333"), "{arn}");
    let scratch = encrypted(&moto.url(), &["--kms", &format!("{arn}+{role}")]);
    let text = scratch.text("a.yaml");
    assert!(text.contains(&format!("role: {role}")), "{text}");
    assert_eq!(aws(&scratch, &moto.url(), &["decrypt", "a.yaml"]).stdout(), PLAIN);
    scratch.write("a.yaml", text.replace(&format!("          role: {role}\n"), "").as_bytes());
    let refused = aws(&scratch, &moto.url(), &["decrypt", "a.yaml"]).outcome();
    assert!(told(&refused).contains("NotFoundException"), "{}", told(&refused));

    // a web identity is somebody of that account too
    scratch.write("token", b"header.payload.signature");
    let call = without_credentials(&scratch, &moto.url(), &["decrypt", "a.yaml"]);
    let token = scratch.folder().join("token").display().to_string();
    let call = call.variable("AWS_WEB_IDENTITY_TOKEN_FILE", &token).variable("AWS_ROLE_ARN", role);
    assert_eq!(call.variable("AWS_ROLE_SESSION_NAME", "pod").stdout(), PLAIN);
}

#[test]
fn requests_hold_what_kms_asks_for_and_nothing_else() {
    let server = Server::http(recorder);
    let scratch = encrypted(&server.url(), &["--kms", ARN]);
    aws(&scratch, &server.url(), &["decrypt", "a.yaml"]).stdout();
    let seen = server.seen();
    let members = |request: &Request| {
        let body = request.json();
        body.as_object().expect("an object").keys().cloned().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(
        seen.iter().map(members).collect::<Vec<_>>(),
        ["EncryptionContext KeyId Plaintext", "CiphertextBlob EncryptionContext KeyId"]
    );
    for request in &seen {
        assert_eq!(request.json()["KeyId"], ARN);
        assert_eq!(request.json()["EncryptionContext"], json!({}));
        assert_eq!(request.header("content-type"), Some("application/x-amz-json-1.1"));
    }
}

#[test]
fn certificates_are_checked() {
    let server = Server::https(recorder);
    let scratch = Scratch::new();
    scratch.write("a.yaml", PLAIN);
    let encrypt = |variable: &str, value: &str| {
        let call = aws(&scratch, &server.url(), &["encrypt", "--kms", ARN, "a.yaml"]);
        call.variable(variable, value).outcome()
    };
    let authority = server.authority().display().to_string();
    assert!(encrypt("AWS_CA_BUNDLE", &authority).succeeded());
    assert!(encrypt("SSL_CERT_FILE", &authority).succeeded());

    let untrusted = told(&encrypt("AWS_MAX_ATTEMPTS", "1"));
    assert!(untrusted.contains("certificate"), "{untrusted}");
    assert!(untrusted.contains("hint: the certificate is not trusted: AWS_CA_BUNDLE"), "{untrusted}");

    scratch.write("no.pem", b"no certificate");
    scratch.write("broken.pem", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    for name in ["missing.pem", "no.pem", "broken.pem"] {
        let path = scratch.folder().join(name).display().to_string();
        let said = told(&encrypt("AWS_CA_BUNDLE", &path));
        assert!(said.contains(&format!("could not load AWS config: AWS_CA_BUNDLE: {path}: ")), "{said}");
    }
}

#[test]
fn a_proxy_gets_what_it_is_there_for() {
    let proxy = Server::http(recorder);
    let scratch = Scratch::new();
    scratch.write("a.yaml", PLAIN);
    let call = aws(&scratch, "http://kms.invalid", &["encrypt", "--kms", ARN, "a.yaml"]);
    call.variable("HTTP_PROXY", &proxy.url()).variable("NO_PROXY", "").stdout();
    assert_eq!(signers(&proxy, is_kms).len(), 1);
}

/// A proxy is told which host is meant, and that is all it needs to be told here.
#[test]
fn endpoints_are_those_of_the_region_and_its_partition() {
    let host = |arn: &str, variable: (&str, &str)| {
        let proxy = Server::http(|_| Response::text(502, ""));
        let scratch = Scratch::new();
        scratch.write("a.yaml", PLAIN);
        let call = aws(&scratch, "", &["encrypt", "--kms", arn, "a.yaml"]).variable(variable.0, variable.1);
        let call = call.variable("HTTPS_PROXY", &proxy.url()).variable("NO_PROXY", "");
        let refused = call.variable("AWS_MAX_ATTEMPTS", "1").outcome();
        assert!(refused.failed_cleanly(), "{}", told(&refused));
        let seen = proxy.seen();
        assert_eq!(seen.iter().map(|request| request.method.as_str()).collect::<Vec<_>>(), ["CONNECT"]);
        seen[0].header("host").expect("a host").to_owned()
    };
    let region = ("AWS_REGION", "us-west-1");
    assert_eq!(host(ARN, region), "kms.us-east-1.amazonaws.com:443");
    assert_eq!(host("arn:aws-cn:kms:cn-north-1:1:alias/x", region), "kms.cn-north-1.amazonaws.com.cn:443");
    assert_eq!(
        host("arn:aws-us-gov:kms:us-gov-west-1:1:key/mrk-x", ("AWS_USE_FIPS_ENDPOINT", "true")),
        "kms-fips.us-gov-west-1.amazonaws.com:443"
    );
    let role = format!("{ARN}+{ROLE}");
    assert_eq!(host(&role, region), "sts.us-east-1.amazonaws.com:443");
}
