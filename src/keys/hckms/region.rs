//! Where the services of a region are (keys.md §9.1).

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use reqwest::Url;

use super::settings::HuaweiSettings;
use crate::os_error::os_text;
use crate::store::yaml;
use crate::tree::{Branch, Element, Item, Source, Value};

/// The regions that the vendor's SDK knows, and whether they have an IAM of their own there.
const REGIONS: [(&str, Iam); 32] = [
    ("ae-ad-1", Iam::Own),
    ("af-north-1", Iam::Global),
    ("af-south-1", Iam::Own),
    ("ap-southeast-1", Iam::Own),
    ("ap-southeast-2", Iam::Own),
    ("ap-southeast-3", Iam::Own),
    ("ap-southeast-4", Iam::Own),
    ("ap-southeast-5", Iam::Global),
    ("cn-east-2", Iam::Own),
    ("cn-east-3", Iam::Own),
    ("cn-east-4", Iam::Own),
    ("cn-east-5", Iam::Own),
    ("cn-north-1", Iam::Own),
    ("cn-north-11", Iam::Global),
    ("cn-north-12", Iam::Own),
    ("cn-north-2", Iam::Own),
    ("cn-north-4", Iam::Own),
    ("cn-north-9", Iam::Own),
    ("cn-south-1", Iam::Own),
    ("cn-south-2", Iam::Own),
    ("cn-south-4", Iam::Global),
    ("cn-southwest-2", Iam::Own),
    ("cn-southwest-3", Iam::Global),
    ("eu-west-101", Iam::Global),
    ("la-north-2", Iam::Own),
    ("la-south-2", Iam::Own),
    ("me-east-1", Iam::Own),
    ("my-kualalumpur-1", Iam::Own),
    ("na-mexico-1", Iam::Own),
    ("ru-moscow-1", Iam::Own),
    ("sa-brazil-1", Iam::Own),
    ("tr-west-1", Iam::Own),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Iam {
    Own,
    Global,
}

/// Where KMS of a region is: a variable, the user's file of regions, the table.
pub(super) fn kms_endpoint(settings: &HuaweiSettings, region: &str) -> Result<Url, String> {
    let variable = region.to_uppercase().replace('-', "_");
    if let Some(list) = settings.kms_endpoints.get(&variable) {
        // the SDK tries the others when this one cannot be reached
        let first = list.split(',').next().unwrap_or_default();
        return endpoint(first).map_err(|reason| format!("HUAWEICLOUD_SDK_REGION_KMS_{variable}: {reason}"));
    }
    if let Some(file) = &settings.regions_file
        && let Some(url) = in_file(file, region).map_err(|reason| format!("{}: {reason}", file.display()))?
    {
        return Ok(url);
    }
    if !REGIONS.iter().any(|(known, _)| *known == region) {
        let known: Vec<&str> = REGIONS.iter().map(|(known, _)| *known).collect();
        return Err(format!(
            "region id '{region}' is not in the following supported regions of service 'KMS': [{}]\nhint: \
             HUAWEICLOUD_SDK_REGION_KMS_{variable} names the endpoint of another region",
            known.join(", ")
        ));
    }
    let top = if region == "eu-west-101" { "eu" } else { "com" };
    endpoint(&format!("https://kms.{region}.myhuaweicloud.{top}"))
}

/// Where IAM is that knows the projects of a region. `stated`: what the credentials say.
pub(super) fn iam_endpoint(
    settings: &HuaweiSettings,
    stated: Option<&str>,
    region: &str,
) -> Result<Url, String> {
    let own = REGIONS.iter().any(|(known, iam)| *known == region && *iam == Iam::Own);
    let usual = if own { format!("https://iam.{region}.myhuaweicloud.com") } else { GLOBAL_IAM.to_owned() };
    endpoint(stated.or(settings.iam_endpoint.as_deref()).unwrap_or(&usual))
        .map_err(|reason| format!("the endpoint of IAM: {reason}"))
}

const GLOBAL_IAM: &str = "https://iam.myhuaweicloud.com";

fn endpoint(text: &str) -> Result<Url, String> {
    let text = text.trim();
    let with_scheme = if text.starts_with("http") { text.to_owned() } else { format!("https://{text}") };
    Url::parse(&with_scheme).map_err(|error| format!("{text:?} is no URL: {error}"))
}

/// What a file like `kms: [{id: x, endpoint: https://…}]` says.
fn in_file(file: &Path, region: &str) -> Result<Option<Url>, String> {
    let bytes = match fs::read(file) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(os_text(&error)),
    };
    let tree = yaml::read(&Source::from(bytes.as_slice())).map_err(|error| error.to_string())?;
    let services = tree.branches.first().map(|branch| branch.items.as_slice()).unwrap_or_default();
    let kms = services.iter().filter_map(|item| match item {
        Item::Entry { value: Value::List(regions), .. } => {
            let name = item.text_key()?.as_str()?;
            name.eq_ignore_ascii_case("kms").then_some(regions)
        }
        _ => None,
    });
    let regions = kms.flatten().filter_map(|element| match element {
        Element::Value(Value::Map(fields)) => Some(fields),
        _ => None,
    });
    let named = |fields: &&Branch| text(fields.get("id")) == Some(region);
    let found = regions.filter(named).find_map(|fields| {
        text(fields.get("endpoint")).or_else(|| match fields.get("endpoints") {
            Some(Value::List(all)) => all.iter().find_map(|element| match element {
                Element::Value(value) => text(Some(value)),
                Element::Comment(_) => None,
            }),
            _ => None,
        })
    });
    found.map(endpoint).transpose()
}

fn text(value: Option<&Value>) -> Option<&str> {
    match value {
        Some(Value::Scalar(scalar)) => scalar.as_text().and_then(|text| text.as_str()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kms(settings: &HuaweiSettings, region: &str) -> Result<String, String> {
        kms_endpoint(settings, region).map(|url| url.to_string())
    }

    #[test]
    fn regions_are_found_where_the_vendor_looks() {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let file = folder.path().join("regions.yaml");
        let text = "# ours\nECS:\n- {id: xx-1, endpoint: 'https://ecs'}\nKMS:\n- id: xx-1 # test\n  endpoint: https://one\n\
                    kms:\n- {id: xx-2, endpoints: [two.example]}\n";
        fs::write(&file, text).expect("our own folder");
        let mut settings = HuaweiSettings { regions_file: Some(file), ..Default::default() };
        assert_eq!(kms(&settings, "xx-1").as_deref(), Ok("https://one/"));
        assert_eq!(kms(&settings, "xx-2").as_deref(), Ok("https://two.example/"));
        assert_eq!(kms(&settings, "cn-north-4").as_deref(), Ok("https://kms.cn-north-4.myhuaweicloud.com/"));
        assert_eq!(kms(&settings, "eu-west-101").as_deref(), Ok("https://kms.eu-west-101.myhuaweicloud.eu/"));
        let unknown = kms(&settings, "xx-3").expect_err("nobody knows it");
        assert!(
            unknown.starts_with("region id 'xx-3' is not in") && unknown.contains("REGION_KMS_XX_3"),
            "{unknown}"
        );
        settings.kms_endpoints.insert("XX_1".to_owned(), "http://a,http://b".to_owned());
        assert_eq!(kms(&settings, "xx-1").as_deref(), Ok("http://a/"));
        fs::write(folder.path().join("regions.yaml"), "a: [").expect("our own folder");
        assert!(kms(&settings, "xx-2").is_err_and(|reason| reason.contains("regions.yaml: yaml: ")));
    }

    #[test]
    fn iam_is_where_the_credentials_say_first() {
        let settings = HuaweiSettings { iam_endpoint: Some("https://all".to_owned()), ..Default::default() };
        let iam = |settings: &HuaweiSettings, stated, region| {
            iam_endpoint(settings, stated, region).map(|url| url.to_string())
        };
        assert_eq!(iam(&settings, Some("https://mine"), "cn-north-4").as_deref(), Ok("https://mine/"));
        assert_eq!(iam(&settings, None, "cn-north-4").as_deref(), Ok("https://all/"));
        let none = HuaweiSettings::default();
        let own = "https://iam.cn-north-4.myhuaweicloud.com/";
        assert_eq!(iam(&none, None, "cn-north-4").as_deref(), Ok(own));
        // seen with the reference
        for region in ["cn-south-4", "eu-west-101", "xx-1"] {
            assert_eq!(iam(&none, None, region).as_deref(), Ok("https://iam.myhuaweicloud.com/"));
        }
    }
}
