//! A case, read strictly: a field that the harness does not know fails instead of going unchecked.
//! The fields are explained in `tests/fixtures/files/README.md`.

use std::collections::BTreeMap;

use serde::de::Error;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use crate::archive::Files;
use crate::support::outcome::Exit;

#[derive(Clone)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) fact: String,
    pub(crate) config: Option<String>,
    pub(crate) story: Story,
    files: Files,
}

#[derive(Clone)]
pub(crate) enum Story {
    /// One document is encrypted, decrypted, or both.
    Document(Box<Document>),
    /// Calls in a folder, one after the other.
    Steps(Steps),
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    Roundtrip,
    RefuseEncrypt,
    Decrypt,
    RefuseDecrypt,
    EncryptsButDoesNotDecrypt,
    Steps,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Document {
    pub(crate) kind: Kind,
    #[serde(default)]
    pub(crate) global_args: Vec<String>,
    #[serde(default)]
    pub(crate) args: Vec<String>,
    pub(crate) name: Option<String>,
    #[serde(default)]
    pub(crate) env: BTreeMap<String, String>,
    #[serde(default)]
    pub(crate) encrypt_keys: Vec<String>,
    /// Each set alone opens the file.
    #[serde(default)]
    pub(crate) keys: Vec<Vec<String>>,
    #[serde(default)]
    pub(crate) fails_with: Vec<WrongKeys>,
    #[serde(default)]
    pub(crate) decrypt_args: Vec<String>,
    pub(crate) input: Option<String>,
    pub(crate) encrypted: Option<String>,
    pub(crate) decrypted: Option<String>,
    pub(crate) encrypt: Option<Expected>,
    pub(crate) decrypt: Option<Expected>,
    pub(crate) expected: Option<String>,
    pub(crate) expected_any: Option<Vec<String>>,
    pub(crate) own_expected_any: Option<Vec<String>>,
    pub(crate) own_compare: Option<Compare>,
    #[serde(default)]
    pub(crate) own_contains: Vec<String>,
    reference: Option<DocumentReference>,
}

#[derive(Clone, Copy, Deserialize)]
pub(crate) enum Compare {
    /// Comments may be lost or moved.
    #[serde(rename = "tokens without comments")]
    WordsWithoutComments,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Expected {
    pub(crate) exit: Exit,
    /// The first line of the reference's message.
    pub(crate) stderr: Option<String>,
    /// How it begins, where the rest changes from run to run.
    stderr_prefix: Option<String>,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WrongKeys {
    pub(crate) keys: Vec<String>,
    exit: Exit,
    stderr: Option<String>,
}

/// What sops 3.13.2 does where it is defective.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct DocumentReference {
    decrypt: Expected,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Steps {
    #[serde(rename = "kind")]
    _kind: Kind,
    #[serde(default)]
    pub(crate) use_keys: Vec<String>,
    /// Name in the working folder, name of the vector's file.
    #[serde(default)]
    pub(crate) files: BTreeMap<String, String>,
    pub(crate) steps: Vec<Step>,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Step {
    pub(crate) argv: Vec<String>,
    #[serde(default)]
    pub(crate) env: BTreeMap<String, String>,
    #[serde(default)]
    pub(crate) stdin: String,
    pub(crate) exit: Exit,
    pub(crate) stderr: Option<String>,
    pub(crate) stderr_all: Option<String>,
    pub(crate) stdout: Option<String>,
    pub(crate) stdout_shape: Option<String>,
    #[serde(default)]
    pub(crate) after: BTreeMap<String, After>,
    reference: Option<StepReference>,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct StepReference {
    exit: Exit,
    stderr: Option<String>,
    stdout: Option<String>,
    #[serde(default)]
    after: BTreeMap<String, After>,
}

/// What a file is like after a step.
#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct After {
    #[serde(default)]
    pub(crate) absent: bool,
    #[serde(default)]
    pub(crate) readable: bool,
    pub(crate) same_as: Option<String>,
    pub(crate) shape_of: Option<String>,
    pub(crate) decrypts_to: Option<String>,
    #[serde(default)]
    pub(crate) kept: Vec<String>,
    #[serde(default)]
    pub(crate) gone: Vec<String>,
    #[serde(default)]
    pub(crate) count: BTreeMap<String, usize>,
    // side effects of the reference that readers cannot rely on
    #[serde(default)]
    pub(crate) iv_kept_by_reference: Vec<String>,
    #[serde(default)]
    pub(crate) gone_by_reference: Vec<String>,
    #[serde(default)]
    pub(crate) count_by_reference: BTreeMap<String, usize>,
}

impl After {
    pub(crate) fn same_as(file: &str) -> Self {
        Self { same_as: Some(file.to_owned()), ..Self::default() }
    }
}

impl<'de> Deserialize<'de> for Exit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        match (value.as_i64().map(i32::try_from), value.as_str()) {
            (Some(Ok(status)), _) => Ok(Self::Status(status)),
            (_, Some("nonzero")) => Ok(Self::CleanFailure),
            (_, Some("no-crash")) => Ok(Self::NoCrash),
            _ => Err(D::Error::custom(format!("no exit status: {value}"))),
        }
    }
}

impl Expected {
    pub(crate) fn exits(exit: Exit) -> Self {
        Self { exit, stderr: None, stderr_prefix: None }
    }

    pub(crate) fn saying(self, stderr: Option<String>) -> Self {
        Self { stderr, ..self }
    }

    /// The reference's message as far as it is known.
    pub(crate) fn message(&self) -> Option<&str> {
        self.stderr.as_deref().or(self.stderr_prefix.as_deref())
    }
}

impl WrongKeys {
    pub(crate) fn expected(&self) -> Expected {
        Expected::exits(self.exit).saying(self.stderr.clone())
    }
}

impl Case {
    pub(crate) fn new(name: &str, files: Files) -> Self {
        Self::read(name, files).unwrap_or_else(|e| panic!("{name}/case.json: {e}"))
    }

    fn read(name: &str, files: Files) -> serde_json::Result<Self> {
        let source = files.get("case.json").ok_or_else(|| serde_json::Error::custom("missing"))?;
        let mut fields: Map<String, Value> = serde_json::from_slice(source)?;
        let mut text = |field| fields.remove(field).and_then(|value| value.as_str().map(str::to_owned));
        if text("case").as_deref() != Some(name) {
            return Err(serde_json::Error::custom("has another name"));
        }
        let fact = text("fact").ok_or_else(|| serde_json::Error::custom("no fact"))?;
        let config = text("config");
        // for people who read the vectors
        for field in ["format", "notes", "reference_defect"] {
            fields.remove(field);
        }
        let story = if fields.get("kind").is_some_and(|kind| kind == "steps") {
            Story::Steps(serde_json::from_value(fields.into())?)
        } else {
            Story::Document(serde_json::from_value(fields.into())?)
        };
        Ok(Self { name: name.to_owned(), fact, config, story, files })
    }

    pub(crate) fn file(&self, name: &str) -> &[u8] {
        self.files.get(name).unwrap_or_else(|| panic!("{} has no file {name}", self.name))
    }

    pub(crate) fn add_file(&mut self, name: &str, bytes: &[u8]) {
        self.files.insert(name.to_owned(), bytes.to_vec());
    }
}

impl Document {
    /// How decryption ends for the reference, defects included.
    pub(crate) fn decrypt_by_reference(&self) -> Option<&Expected> {
        self.reference.as_ref().map(|reference| &reference.decrypt).or(self.decrypt.as_ref())
    }
}

impl Step {
    /// The step as the reference takes it, defects included.
    pub(crate) fn by_reference(&self) -> Self {
        let Some(reference) = self.reference.clone() else { return self.clone() };
        let StepReference { exit, stderr, stdout, after } = reference;
        Self { exit, stderr, stdout, stderr_all: None, after, ..self.clone() }
    }
}
