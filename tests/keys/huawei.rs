//! HuaweiCloud KMS: who asks, where, with which signature, and what is said when it fails.

use std::time::{Duration, Instant};

use super::desk::Desk;
use super::python::judge;
use super::server::huawei::{Huawei, ID_TOKEN, KEY, Metadata, PROJECT, REGION};
use super::server::{Request, Response, Server, put};
use super::support::keys::recipient;
use super::support::scratch::Scratch;

/// Somebody who knows where the cloud is, and nothing else.
fn stranger(cloud: &Huawei) -> Desk {
    let secrets = &["SKMAIN", "session-of", "metadata-token", ID_TOKEN];
    Desk::new("--hckms", secrets).with("HUAWEICLOUD_SDK_REGION_KMS_CN_NORTH_4", &cloud.server().url())
}

/// Somebody who has an access key.
fn somebody(cloud: &Huawei) -> Desk {
    stranger(cloud)
        .with("HUAWEICLOUD_SDK_AK", "AKMAIN")
        .with("HUAWEICLOUD_SDK_SK", "SKMAIN")
        .with("HUAWEICLOUD_SDK_PROJECT_ID", PROJECT)
}

/// Somebody who has a file of credentials with this section `[basic]`.
fn with_file(desk: Desk, basic: &str) -> Desk {
    let file = put(&desk.scratch.root(), "credentials", &format!("# mine\n[basic]\n{basic}"));
    desk.with("HUAWEICLOUD_SDK_CREDENTIALS_FILE", &file.display().to_string())
}

fn key() -> String {
    format!("{REGION}:{KEY}")
}

fn last(cloud: &Huawei) -> Request {
    cloud.server().seen().pop().expect("a request")
}

#[test]
fn the_cloud_of_these_tests_is_one_for_its_own_client() {
    let cloud = Huawei::new();
    cloud.user("AKTEMP", "SKTEMP", Some("token"));
    cloud.user("AKPOOR", "SKPOOR", None);
    cloud.forbid("AKPOOR");
    let scratch = Scratch::new();
    let token = put(&scratch.root(), "token", ID_TOKEN);
    judge(
        "huaweicloudsdkkms",
        "huawei.py",
        &[
            ("CLOUD", &cloud.server().url()),
            ("KEY", KEY),
            ("PROJECT", PROJECT),
            ("HUAWEICLOUD_SDK_IDP_ID", "provider"),
            ("HUAWEICLOUD_SDK_ID_TOKEN_FILE", &token.display().to_string()),
            ("HUAWEICLOUD_SDK_PROJECT_ID", PROJECT),
        ],
    );
}

#[test]
fn a_data_key_goes_through_kms() {
    let cloud = Huawei::new();
    let desk = somebody(&cloud);
    desk.works_with(&key());
    let path = format!("POST /v1.0/{PROJECT}/kms/");
    assert_eq!(cloud.requests(), [format!("{path}encrypt-data"), format!("{path}decrypt-data")]);
    let requests = cloud.server().seen();
    assert_eq!(requests[0].header("content-type"), Some("application/json;charset=UTF-8"));
    assert_eq!(requests[0].header("x-project-id"), Some(PROJECT));
    assert_eq!(requests[0].header("x-security-token"), None);
    let authorization = requests[0].header("authorization").unwrap_or_default();
    let signed = "SDK-HMAC-SHA256 Access=AKMAIN, SignedHeaders=x-project-id;x-sdk-date, Signature=";
    assert!(authorization.starts_with(signed), "{authorization}");
    let body = requests[0].json();
    assert_eq!(body["key_id"], KEY);
    assert_eq!(body["encryption_algorithm"], "SYMMETRIC_DEFAULT");
    // 32 bytes in base64
    assert_eq!(body["plain_text"].as_str().map(str::len), Some(44));
    let ciphertext = requests[1].json()["cipher_text"].as_str().expect("text").to_owned();
    let sealed = desk.scratch.text("b.yaml");
    assert!(sealed.contains(&format!("enc: {ciphertext}\n          key_id: {}\n", key())), "{sealed}");
}

#[test]
fn rules_name_keys_of_kms() {
    let cloud = Huawei::new();
    let desk = somebody(&cloud);
    for rule in [
        format!("creation_rules:\n  - hckms: ['{}']\n", key()),
        format!("creation_rules:\n  - key_groups:\n    - hckms: [{{key_id: '{}'}}]\n", key()),
    ] {
        desk.scratch.write(".sops.yaml", rule.as_bytes());
        let sealed = desk.call(&["encrypt", "a.yaml"]).stdout();
        desk.scratch.write("b.yaml", &sealed);
        assert!(desk.opens(), "{rule}");
    }
}

#[test]
fn temporary_keys_have_a_token() {
    let cloud = Huawei::new();
    cloud.user("AKTEMP", "SKTEMP", Some("session"));
    let desk = somebody(&cloud).with("HUAWEICLOUD_SDK_AK", "AKTEMP").with("HUAWEICLOUD_SDK_SK", "SKTEMP");
    let failed = "failed to encrypt sops data key with HuaweiCloud KMS: APIGW.0301: ";
    desk.cannot_encrypt(&key(), &[failed, "(HTTP 401, request req-1)", "HUAWEICLOUD_SDK_SECURITY_TOKEN"]);
    let desk = desk.with("HUAWEICLOUD_SDK_SECURITY_TOKEN", "session");
    desk.works_with(&key());
    assert_eq!(last(&cloud).header("x-security-token"), Some("session"));
}

#[test]
fn credentials_may_be_in_a_file() {
    let cloud = Huawei::new();
    cloud.user("AKTEMP", "SKTEMP", Some("session"));
    let basic =
        format!("ak = \"AKTEMP\" ; quoted\nsk: SKTEMP\nsecurity_token = session\nproject_id = {PROJECT}\n");
    let desk = with_file(stranger(&cloud), &basic);
    desk.works_with(&key());
    assert_eq!(last(&cloud).header("x-security-token"), Some("session"));
    // the environment comes first
    let desk = desk.with("HUAWEICLOUD_SDK_AK", "AKMAIN").with("HUAWEICLOUD_SDK_SK", "wrong");
    let desk = desk.with("HUAWEICLOUD_SDK_PROJECT_ID", PROJECT);
    desk.cannot_encrypt(
        &key(),
        &["verify aksk signature fail", "the access key AKMAIN or its secret is wrong"],
    );
    // the usual place
    let usual = stranger(&cloud);
    let folder = usual.scratch.root().join("home/.huaweicloud");
    std::fs::create_dir(&folder).expect("our own folder");
    put(&folder, "credentials", &format!("[basic]\nak=AKMAIN\nsk=SKMAIN\nproject_id={PROJECT}\n"));
    usual.works_with(&key());
}

#[test]
fn a_project_is_looked_up_by_the_name_of_the_region() {
    let cloud = Huawei::new();
    let iam = cloud.server().url();
    let desk = with_file(stranger(&cloud), &format!("ak=AKMAIN\nsk=SKMAIN\niam_endpoint={iam}\n"));
    desk.works_with(&key());
    assert_eq!(cloud.requests()[0], "GET /v3/projects");
    let desk =
        somebody(&cloud).with("HUAWEICLOUD_SDK_PROJECT_ID", "").with("HUAWEICLOUD_SDK_IAM_ENDPOINT", &iam);
    desk.works_with(&key());
    let failed = "failed to create HuaweiCloud KMS client: failed to get project id of region 'cn-north-4' \
                  automatically:";
    cloud.projects(&[]);
    desk.cannot_encrypt(&key(), &[failed, "AKMAIN has no such project", "HUAWEICLOUD_SDK_PROJECT_ID"]);
    cloud.projects(&["one", "two"]);
    desk.cannot_encrypt(&key(), &[failed, "there are several: one, two"]);
    let desk = desk.with("HUAWEICLOUD_SDK_SK", "wrong");
    desk.cannot_encrypt(&key(), &[failed, "verify aksk signature fail"]);
}

#[test]
fn a_machine_has_an_agency() {
    let cloud = Huawei::new();
    // the address of the metadata service is reached through a proxy, which is the cloud of the tests
    let url = cloud.server().url();
    let desk = stranger(&cloud).with("HTTP_PROXY", &url).with("NO_PROXY", "127.0.0.1");
    let desk = desk.with("HUAWEICLOUD_SDK_IAM_ENDPOINT", &url);
    desk.seal(&key());
    let path = format!("POST /v1.0/{PROJECT}/kms/encrypt-data");
    let (token, security) = ("PUT /meta-data/latest/api/token", "GET /openstack/latest/securitykey");
    assert_eq!(cloud.requests(), [token, security, "GET /v3/projects", &path]);
    assert_eq!(last(&cloud).header("x-security-token"), Some("session-of-AKMETA"));
    cloud.metadata(Metadata::WithoutTokens);
    assert!(desk.opens());
    cloud.metadata(Metadata::NoAgency);
    desk.cannot_encrypt(
        &key(),
        &[
            "failed to create HuaweiCloud KMS client: failed to get HuaweiCloud credentials: there are none",
            "HUAWEICLOUD_SDK_AK and HUAWEICLOUD_SDK_SK are not set",
            "/home/.huaweicloud/credentials: no such file or directory",
            "Please configure Cloud Service Agency first (HTTP 401)",
        ],
    );
}

#[test]
fn a_token_of_an_identity_provider_is_as_good() {
    let cloud = Huawei::new();
    let desk = stranger(&cloud);
    let token = put(&desk.scratch.root(), "token", &format!("{ID_TOKEN}\n")).display().to_string();
    let iam = cloud.server().url();
    let desk = desk
        .with("HUAWEICLOUD_SDK_IDP_ID", "provider")
        .with("HUAWEICLOUD_SDK_ID_TOKEN_FILE", &token)
        .with("HUAWEICLOUD_SDK_IAM_ENDPOINT", &iam);
    desk.works_with(&key());
    assert_eq!(last(&cloud).header("x-security-token"), Some("session-of-AKFED"));
    let basic = format!("idp_id=provider\nid_token_file={token}\nproject_id={PROJECT}\niam_endpoint={iam}\n");
    with_file(stranger(&cloud), &basic).works_with(&key());
    let failed = "failed to create HuaweiCloud KMS client: failed to get HuaweiCloud credentials:";
    let denied = desk.with("HUAWEICLOUD_SDK_IDP_ID", "another");
    denied.cannot_encrypt(&key(), &[failed, "The token of the identity provider is not valid. (HTTP 401)"]);
    let missing = denied.with("HUAWEICLOUD_SDK_ID_TOKEN_FILE", "/nope");
    missing.cannot_encrypt(&key(), &[failed, "open /nope: no such file or directory"]);
}

#[test]
fn a_pod_has_an_identity() {
    let cloud = Huawei::new();
    cloud.user("AKPOD", "SKPOD", Some("pod-session"));
    let desk = stranger(&cloud);
    let token = put(&desk.scratch.root(), "token", "pod-token\n");
    let agent = Server::http(|request| match request.header("authorization") {
        Some("pod-token") => Response::text(
            200,
            "{\"credentials\":{\"access_key_id\":\"AKPOD\",\"secret_access_key\":\"SKPOD\",\"security_token\":\
             \"pod-session\",\"expiration\":\"2099-01-01T00:00:00.000000Z\"}}",
        ),
        _ => Response::text(401, "who are you?"),
    });
    cloud.metadata(Metadata::NoAgency);
    let desk = desk
        .with("HTTP_PROXY", &cloud.server().url())
        .with("NO_PROXY", "127.0.0.1")
        .with("HUAWEICLOUD_SDK_PROJECT_ID", PROJECT)
        .with("HC_CONTAINER_CREDENTIALS_FULL_URI", &agent.url())
        .with("HC_CONTAINER_AUTHORIZATION_TOKEN_FILE", &token.display().to_string());
    desk.works_with(&key());
    assert_eq!(last(&cloud).header("x-security-token"), Some("pod-session"));
}

#[test]
fn regions_are_known_or_named() {
    let cloud = Huawei::new();
    let desk = somebody(&cloud);
    let elsewhere = format!("xx-test-1:{KEY}");
    desk.cannot_encrypt(&elsewhere, &[
            "failed to create HuaweiCloud KMS client: invalid region \"xx-test-1\": region id 'xx-test-1' is not in the \
             following supported regions of service 'KMS': [ae-ad-1, af-north-1,",
            "HUAWEICLOUD_SDK_REGION_KMS_XX_TEST_1",
        ]);
    let file = format!("KMS:\n- id: xx-test-1\n  endpoint: {}\n", cloud.server().url());
    let file = put(&desk.scratch.root(), "regions.yaml", &file).display().to_string();
    let desk = desk.with("HUAWEICLOUD_SDK_REGIONS_FILE", &file);
    desk.seal(&elsewhere);
    assert!(desk.opens());
    put(&desk.scratch.root(), "regions.yaml", "KMS: [");
    desk.cannot_decrypt(&["invalid region \"xx-test-1\":", "regions.yaml: yaml: line"]);
    // credentials come first
    stranger(&cloud)
        .with("HTTP_PROXY", "http://127.0.0.1:1")
        .cannot_encrypt(&elsewhere, &["failed to get HuaweiCloud credentials"]);
}

#[test]
fn refusals_say_what_helps() {
    let cloud = Huawei::new();
    let desk = somebody(&cloud);
    desk.seal(&key());
    let failed = "failed to encrypt sops data key with HuaweiCloud KMS: KMS.0205: Invalid key ID. (HTTP 400";
    let unknown = format!("there is no key 0-0 in the region {REGION} and the project {PROJECT}");
    desk.cannot_encrypt(&format!("{REGION}:0-0"), &[failed, &unknown]);
    let other = desk.scratch.text("b.yaml");
    let at = other.find("enc: ").expect("a ciphertext") + 5;
    let letter = if other[at..].starts_with('A') { "B" } else { "A" };
    desk.scratch.write("b.yaml", [&other[..at], letter, &other[at + 1..]].concat().as_bytes());
    let failed = "failed to decrypt sops data key with HuaweiCloud KMS: KMS.0309";
    desk.cannot_decrypt(&[failed, "the enc of this key is damaged"]);
    cloud.forbid("AKMAIN");
    let allowed =
        "the access key AKMAIN must be allowed to encrypt and decrypt data with this key in the project";
    desk.cannot_encrypt(&key(), &["KMS.0302", "kms:cmk:crypto", "(HTTP 403, request req-1)", allowed]);
}

#[test]
fn a_busy_service_is_asked_again() {
    let cloud = Huawei::new();
    let desk = somebody(&cloud);
    for status in [429, 500, 502, 503, 504] {
        cloud.trouble(1, status);
        desk.seal(&key());
    }
    cloud.trouble(100, 429);
    let before = cloud.requests().len();
    desk.cannot_encrypt(
        &key(),
        &["The throttling threshold has been reached.", "(HTTP 429", "try again later"],
    );
    assert_eq!(
        cloud.requests()[before..].iter().filter(|line| line.ends_with("/kms/encrypt-data")).count(),
        4
    );
    // but not for longer than the user wants, who then learns why
    let hurried = somebody(&cloud).with("SOPS_KMS_TIMEOUT", "600ms");
    hurried.cannot_encrypt(&key(), &["(HTTP 429"]);
}

#[test]
fn answers_that_are_none_are_named() {
    let answers = |body: &'static str| {
        let server = Server::http(move |_| Response::text(200, body));
        let desk = somebody(&Huawei::new()).with("HUAWEICLOUD_SDK_REGION_KMS_CN_NORTH_4", &server.url());
        (server, desk)
    };
    for (body, words) in
        [("{}", "encryption response missing ciphertext"), ("<html>", "the answer is no JSON")]
    {
        let (_server, desk) = answers(body);
        desk.cannot_encrypt(&key(), &[words]);
    }
    let cloud = Huawei::new();
    let desk = somebody(&cloud);
    desk.seal(&key());
    let sealed = desk.scratch.read("b.yaml").expect("a file");
    for (body, words) in [
        ("{}", "decryption response missing plaintext"),
        (
            "{\"plain_text\": \"AAAA*\"}",
            "failed to base64 decode decrypted data key: illegal base64 data at input byte 4",
        ),
    ] {
        let (_server, desk) = answers(body);
        desk.scratch.write("b.yaml", &sealed);
        desk.cannot_decrypt(&[words]);
    }
}

#[test]
fn nobody_waits_for_ever() {
    let (cloud, silent) = (Huawei::new(), Server::silent());
    let began = Instant::now();
    let desk = somebody(&cloud).with("SOPS_KMS_TIMEOUT", "300ms");
    let desk = desk.with("HUAWEICLOUD_SDK_REGION_KMS_CN_NORTH_4", &silent.url());
    let failed = "failed to encrypt sops data key with HuaweiCloud KMS: no answer within 300ms";
    desk.cannot_encrypt(&key(), &[failed, "SOPS_KMS_TIMEOUT sets another limit"]);
    let nobody = somebody(&cloud).with("HUAWEICLOUD_SDK_REGION_KMS_CN_NORTH_4", "http://127.0.0.1:1");
    nobody.cannot_encrypt(&key(), &["cannot connect to 127.0.0.1:1: Connection refused"]);
    assert!(began.elapsed() < Duration::from_secs(10));
}

#[test]
fn certificates_must_be_trusted() {
    let cloud = Huawei::new();
    let server = Server::https(|_| Response::text(200, "{\"cipher_text\": \"x\"}"));
    let desk = somebody(&cloud).with("HUAWEICLOUD_SDK_REGION_KMS_CN_NORTH_4", &server.url());
    desk.cannot_encrypt(&key(), &["the certificate of localhost:", "is not accepted", "SSL_CERT_FILE"]);
    let desk = desk.with("SSL_CERT_FILE", &server.authority().display().to_string());
    assert!(desk.encrypt(&key()).succeeded());
}

#[test]
fn keys_of_kms_come_and_go() {
    let cloud = Huawei::new();
    cloud.add_key("second");
    let desk = somebody(&cloud);
    let (first, second) = (key(), format!("{REGION}:second"));
    desk.seal(&first);
    desk.call(&["rotate", "-i", "--add-hckms", &second, "b.yaml"]).stdout();
    assert!(desk.scratch.text("b.yaml").contains(&second) && desk.opens());
    desk.call(&["rotate", "-i", "--rm-hckms", &first, "b.yaml"]).stdout();
    assert!(!desk.scratch.text("b.yaml").contains(&first) && desk.opens());
    let rule = format!("creation_rules:\n  - hckms: ['{first}']\n    age: {}\n", recipient("age-alice"));
    desk.scratch.write(".sops.yaml", rule.as_bytes());
    desk.call(&["updatekeys", "--yes", "b.yaml"]).stdout();
    let updated = desk.scratch.text("b.yaml");
    assert!(updated.contains(&first) && !updated.contains(&second) && desk.opens(), "{updated}");
    let outcome = desk.call(&["--verbose", "decrypt", "b.yaml"]).outcome();
    let logged = outcome.messages();
    assert!(logged.contains("HCKMS") && logged.contains("Decryption succeeded"), "{logged}");
    assert!(!logged.contains("SKMAIN"), "{logged}");
}

#[test]
fn blanks_in_ids_stay_in_files_and_not_on_the_wire() {
    let cloud = Huawei::new();
    let desk = somebody(&cloud);
    desk.seal(&format!("{REGION}: {KEY}"));
    assert!(desk.opens());
    assert_eq!(last(&cloud).json()["key_id"], KEY);
    assert!(desk.scratch.text("b.yaml").contains(&format!("{REGION}: {KEY}")));
    desk.cannot_encrypt(&format!("{REGION}: "), &["key UUID cannot be empty in key ID"]);
}
