//! Wrapping the data key for all keys (cli.md §6.2, §7.6).

use std::fmt;

use zeroize::Zeroizing;

use super::KeyGroup;
use super::ask::{ask, settle};
use super::failure::{KeyFailure, hints};
use super::service::KeyService;
use crate::data_key::DataKey;
use crate::shamir::{self, ShamirError};

/// Why the data key could not be wrapped. Displays the reference's wording; what helps is in [`WrapFailure::hints`].
#[derive(Debug)]
pub enum WrapFailure {
    /// No group has keys, or there is none.
    NoGroups,
    /// A group has no keys.
    EmptyGroup,
    /// The local key service is switched off and there is no other.
    NoServices,
    /// The threshold does not fit the groups.
    Shamir(ShamirError),
    /// Keys are of kinds that this release does not know, so they would keep the old data key.
    UnknownKinds(Vec<String>),
    /// Keys that no service could wrap for.
    Keys(Vec<KeyFailure>),
    /// Servers cannot be asked.
    Runtime(String),
}

impl fmt::Display for WrapFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoGroups => f.write_str("[no key groups provided]"),
            Self::EmptyGroup => f.write_str("[empty key group provided]"),
            Self::NoServices => f.write_str("[no key services provided, cannot update master keys]"),
            Self::Shamir(error) => write!(f, "[could not split data key into parts for Shamir: {error}]"),
            Self::UnknownKinds(kinds) => {
                write!(
                    f,
                    "[the file has keys of a kind that this release does not know: {}]",
                    kinds.join(", ")
                )
            }
            Self::Runtime(reason) => write!(f, "[{reason}]"),
            Self::Keys(failures) => {
                let texts: Vec<String> = failures.iter().flat_map(texts).collect();
                write!(f, "[{}]", texts.join(" "))
            }
        }
    }
}

impl std::error::Error for WrapFailure {}

impl WrapFailure {
    /// What may help: a line each, and each once.
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::Keys(failures) => hints(failures),
            _ => Vec::new(),
        }
    }
}

/// A text for each service, as the reference has it.
fn texts(failure: &KeyFailure) -> impl Iterator<Item = String> {
    let text =
        |reason| format!("failed to encrypt new data key with master key {:?}: {reason}", failure.name);
    failure.reasons().map(text)
}

/// Wraps the data key for every key of every group; all must succeed. With several groups each gets a share, and a
/// threshold of 0 becomes the number of groups. The threshold to store is returned.
pub fn wrap(
    data_key: &DataKey,
    groups: &mut [KeyGroup],
    threshold: usize,
    services: &[&dyn KeyService],
) -> Result<usize, WrapFailure> {
    if services.is_empty() {
        return Err(WrapFailure::NoServices);
    }
    if groups.is_empty() {
        return Err(WrapFailure::NoGroups);
    }
    let (shares, threshold) = if groups.len() == 1 {
        (vec![Zeroizing::new(data_key.expose().to_vec())], threshold)
    } else {
        let threshold = if threshold == 0 { groups.len() } else { threshold };
        let shares =
            shamir::split(data_key.expose(), groups.len(), threshold).map_err(WrapFailure::Shamir)?;
        (shares, threshold)
    };
    if groups.iter().any(|group| group.keys.is_empty()) {
        return Err(WrapFailure::EmptyGroup);
    }
    let asked = groups.iter().zip(&shares).flat_map(|(group, share)| {
        group
            .keys
            .iter()
            .map(move |key| ask(services, &key.key, move |service| service.wrap(&key.key, share).map(filled)))
    });
    let answers = settle(asked.collect()).map_err(WrapFailure::Runtime)?;
    let mut wrapped = Vec::new();
    let mut failures = Vec::new();
    for answer in answers {
        match answer {
            Ok(enc) => wrapped.push(enc),
            Err(failure) => failures.push(failure),
        }
    }
    if !failures.is_empty() {
        return Err(WrapFailure::Keys(failures));
    }
    for (key, enc) in groups.iter_mut().flat_map(|group| &mut group.keys).zip(wrapped) {
        key.enc = enc;
    }
    Ok(threshold)
}

/// What is empty opens nothing. Answers without a wrapped key are read so by some protocols.
fn filled(answer: Result<String, String>) -> Result<String, String> {
    answer.and_then(|enc| match enc.trim() {
        "" => Err("the answer holds no wrapped key".to_owned()),
        _ => Ok(enc),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::fakes::{Knows, Server, group};
    use crate::keys::{Answer, Key, MasterKey, PgpKey, Share};

    #[test]
    fn the_threshold_defaults_to_all_groups_and_is_kept_for_one() {
        let all = Knows(&["a", "b"]);
        let key = DataKey::generate().expect("random numbers");
        assert!(matches!(wrap(&key, &mut [group(&["a"]), group(&["b"])], 0, &[&all]), Ok(2)));
        assert!(matches!(wrap(&key, &mut [group(&["a"])], 3, &[&all]), Ok(3)));
    }

    #[test]
    fn every_key_must_be_wrapped() {
        let key = DataKey::generate().expect("random numbers");
        let message = |groups: &mut [KeyGroup]| match wrap(&key, groups, 0, &[&Knows(&["a"])]) {
            Ok(_) => String::new(),
            Err(error) => error.to_string(),
        };
        assert_eq!(message(&mut [group(&[])]), "[empty key group provided]");
        assert_eq!(
            message(&mut [group(&["a", "x"])]),
            "[failed to encrypt new data key with master key \"x\": unknown]"
        );
    }

    #[test]
    fn servers_wrap_at_the_same_time_and_nothing_changes_if_one_fails() {
        let key = DataKey::generate().expect("random numbers");
        let server = Server::new(&["slow", "quick"], |name| if name == "slow" { 20 } else { 1 });
        let mut groups = [group(&["slow", "quick"])];
        assert!(wrap(&key, &mut groups, 0, &[&server]).is_ok());
        assert_eq!(server.ended(), ["quick", "slow"]);
        let before: Vec<String> = groups[0].keys.iter().map(|key| key.enc.clone()).collect();
        groups[0].keys.push(MasterKey::new(Key::Pgp(PgpKey { fingerprint: "unknown".to_owned() })));
        assert!(
            matches!(wrap(&key, &mut groups, 0, &[&server]), Err(WrapFailure::Keys(failed)) if failed.len() == 1)
        );
        let after: Vec<String> = groups[0].keys.iter().map(|key| key.enc.clone()).collect();
        assert_eq!(after[..2], before);
        assert_eq!(after[2], "");
    }

    /// Refuses with this error.
    struct Refuses(fn(&str) -> String);

    impl KeyService for Refuses {
        fn wrap<'a>(&'a self, key: &'a Key, _: &'a [u8]) -> Answer<'a, Result<String, String>> {
            Answer::Now(Err(self.0(&key.to_string())))
        }

        fn unwrap<'a>(&'a self, _: &'a MasterKey) -> Answer<'a, Result<Share, String>> {
            Answer::Now(Err("not asked for".to_owned()))
        }
    }

    fn refusal(names: &[&str], services: &[&dyn KeyService]) -> WrapFailure {
        let key = DataKey::generate().expect("random numbers");
        wrap(&key, &mut [group(names)], 0, services).expect_err("nobody wraps")
    }

    /// Guards against hints inside of the list, which scripts search, and against one text for several services.
    #[test]
    fn the_list_is_that_of_the_reference_and_hints_stand_beside_it() {
        let here = Refuses(|_| "no credentials\nhint: log in".to_owned());
        let there = Refuses(|name| format!("refused\nhint: ask the owner of {name}\nfor now"));
        let failed = |name: &str, reason: &str| {
            format!("failed to encrypt new data key with master key {name:?}: {reason}")
        };
        let error = refusal(&["a"], &[&here]);
        assert_eq!(error.to_string(), format!("[{}]", failed("a", "no credentials")));
        assert_eq!(error.hints(), ["log in"]);
        let error = refusal(&["a", "b"], &[&here]);
        assert_eq!(
            error.to_string(),
            format!("[{} {}]", failed("a", "no credentials"), failed("b", "no credentials"))
        );
        assert_eq!(error.hints(), ["log in"], "once, since it is for all");
        let error = refusal(&["a", "b"], &[&here, &there]);
        let texts = ["a", "b"]
            .map(|name| [failed(name, "no credentials"), failed(name, "refused\nfor now")].join(" "));
        assert_eq!(error.to_string(), format!("[{}]", texts.join(" ")));
        assert_eq!(error.hints(), ["log in", "a: ask the owner of a", "b: ask the owner of b"]);
    }

    /// Guards against files that nobody can open: an answer of gRPC without a wrapped key reads as an empty one.
    #[test]
    fn an_empty_answer_wraps_nothing() {
        struct Empty;
        impl KeyService for Empty {
            fn wrap<'a>(&'a self, _: &'a Key, _: &'a [u8]) -> Answer<'a, Result<String, String>> {
                Answer::later(async { Ok("\n".to_owned()) })
            }

            fn unwrap<'a>(&'a self, _: &'a MasterKey) -> Answer<'a, Result<Share, String>> {
                Answer::Now(Err("not asked for".to_owned()))
            }
        }
        let error = refusal(&["a"], &[&Empty]);
        assert!(error.to_string().ends_with("\"a\": the answer holds no wrapped key]"), "{error}");
        let key = DataKey::generate().expect("random numbers");
        assert!(wrap(&key, &mut [group(&["a"])], 0, &[&Empty, &Knows(&["a"])]).is_ok());
    }

    /// Guards against servers that write over what is on the terminal.
    #[test]
    fn nothing_of_a_server_moves_the_cursor() {
        let error = refusal(&["a"], &[&Refuses(|_| "\u{1b}[2Jno\r\n\tentry".to_owned())]);
        assert!(error.to_string().ends_with("\"a\": \u{FFFD}[2Jno\n\tentry]"), "{error:?}");
    }
}
