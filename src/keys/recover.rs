//! The data key: wrapping it for all keys, recovering it from any (cli.md §7, format.md §10).

use std::fmt;

use futures_util::future::join_all;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use zeroize::Zeroizing;

use super::failure::{GroupOutcome, KeyFailure, RecoverError};
use super::remote::block_on;
use super::service::{Answer, KeyService, Share};
use super::{KeyGroup, Kind, MasterKey};
use crate::data_key::DataKey;
use crate::shamir::{self, ShamirError};

/// In which order the keys of a group are tried (cli.md §7.2): listed kinds first, the others as they stand.
#[derive(Clone, Debug)]
pub struct DecryptionOrder {
    kinds: Vec<Kind>,
    pace: Pace,
}

/// Whether a key waits for those in front of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pace {
    /// Keys of this machine are tried first; then all servers are asked at once.
    AtOnce,
    /// One after the other, because the user has said in which order.
    InTurn,
}

/// A kind stands twice in `--decryption-order`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DuplicateKind(String);

impl fmt::Display for DuplicateKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Duplicate decryption key type: {}", self.0)
    }
}

impl std::error::Error for DuplicateKind {}

impl Default for DecryptionOrder {
    fn default() -> Self {
        Self { kinds: vec![Kind::Age, Kind::Pgp], pace: Pace::AtOnce }
    }
}

impl DecryptionOrder {
    /// Reads a comma-separated list. Unknown words match nothing; an empty list means the default.
    pub fn parse(text: &str) -> Result<Self, DuplicateKind> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        let words: Vec<&str> = text.split(',').collect();
        if let Some(at) = (1..words.len()).find(|i| words[..*i].contains(&words[*i])) {
            return Err(DuplicateKind(words[at].to_owned()));
        }
        let kind = |word: &&str| Kind::ALL.into_iter().find(|kind| kind.name() == *word);
        Ok(Self { kinds: words.iter().filter_map(kind).collect(), pace: Pace::InTurn })
    }

    /// Keys as they stand in the file, for commands without `--decryption-order`.
    pub fn stored() -> Self {
        Self { kinds: Vec::new(), pace: Pace::AtOnce }
    }

    fn sort<'a>(&self, keys: &'a [MasterKey]) -> Vec<&'a MasterKey> {
        let mut sorted: Vec<&MasterKey> = keys.iter().collect();
        let rank = |kind| self.kinds.iter().position(|k| *k == kind).unwrap_or(self.kinds.len());
        sorted.sort_by_key(|key| rank(key.key.kind()));
        sorted
    }
}

/// Recovers the data key. All groups are tried, each until one of its keys succeeds.
pub fn recover(
    groups: &[KeyGroup],
    threshold: usize,
    order: &DecryptionOrder,
    services: &[&dyn KeyService],
) -> Result<DataKey, RecoverError> {
    let attempts =
        groups.iter().map(|group| attempt(order.sort(&group.keys), order.pace, services)).collect();
    let mut shares = Vec::new();
    let mut outcomes = Vec::new();
    for outcome in settle(attempts).map_err(RecoverError::Runtime)? {
        match outcome {
            Ok(share) => {
                shares.push(share);
                outcomes.push(GroupOutcome::Recovered);
            }
            Err(failures) => outcomes.push(GroupOutcome::Failed(failures)),
        }
    }
    let needed = if groups.len() > 1 { threshold } else { 1 };
    if shares.len() < needed || shares.is_empty() {
        return Err(RecoverError::NotEnough { groups: outcomes, threshold, recovered: shares.len() });
    }
    let secret = match (groups.len(), shares.as_slice()) {
        (1, [only]) => only.clone(),
        _ => shamir::combine(&shares).map_err(RecoverError::Shamir)?,
    };
    DataKey::from_bytes(&secret).map_err(RecoverError::Length)
}

/// What became of a group: its share, or why no key gave it.
type Outcome = Result<Share, Vec<KeyFailure>>;

/// Tries the keys of a group, in this order. What servers have to say is waited for by the caller, so that no group
/// waits for another.
fn attempt<'a>(
    keys: Vec<&'a MasterKey>,
    pace: Pace,
    services: &'a [&'a dyn KeyService],
) -> Answer<'a, Outcome> {
    let mut tried = Vec::new();
    let mut keys = keys.into_iter();
    while let Some(key) = keys.next() {
        match ask(services, |service| service.unwrap(key)) {
            Answer::Now(Ok(share)) => return Answer::Now(Ok(share)),
            Answer::Later(first) if pace == Pace::InTurn => {
                let tried = tried.into_iter().flat_map(Tried::failure).collect();
                return Answer::later(in_turn(tried, key, Answer::Later(first), keys, services));
            }
            answer => tried.push(Tried { key, answer }),
        }
    }
    if tried.iter().any(|tried| matches!(tried.answer, Answer::Later(_))) {
        return Answer::later(at_once(tried));
    }
    Answer::Now(Err(tried.into_iter().flat_map(Tried::failure).collect()))
}

/// A key, and what the services say of it.
struct Tried<'a> {
    key: &'a MasterKey,
    answer: Answer<'a, Asked<Share>>,
}

impl Tried<'_> {
    /// Why it failed, if that is known.
    fn failure(self) -> Option<KeyFailure> {
        match self.answer {
            Answer::Now(Err(errors)) => Some(failure(self.key, errors)),
            Answer::Now(Ok(_)) | Answer::Later(_) => None,
        }
    }
}

fn failure(key: &MasterKey, errors: Vec<String>) -> KeyFailure {
    KeyFailure { name: key.key.to_string(), errors }
}

/// The rest of a group whose order the user has set, from the first key on that needs a server.
async fn in_turn<'a>(
    mut failures: Vec<KeyFailure>,
    mut key: &'a MasterKey,
    mut answer: Answer<'a, Asked<Share>>,
    mut rest: impl Iterator<Item = &'a MasterKey>,
    services: &'a [&'a dyn KeyService],
) -> Outcome {
    loop {
        match answer.settled().await {
            Ok(share) => return Ok(share),
            Err(errors) => failures.push(failure(key, errors)),
        }
        match rest.next() {
            Some(next) => (key, answer) = (next, ask(services, |service| service.unwrap(next))),
            None => return Err(failures),
        }
    }
}

/// Asks all servers together. The first that helps is enough; leaving then cancels the others.
async fn at_once(tried: Vec<Tried<'_>>) -> Outcome {
    let numbered = tried.into_iter().enumerate();
    let mut waiting: FuturesUnordered<_> = numbered
        .map(|(place, tried)| async move { (place, tried.key, tried.answer.settled().await) })
        .collect();
    let mut failures = Vec::new();
    while let Some((place, key, answer)) = waiting.next().await {
        match answer {
            Ok(share) => return Ok(share),
            Err(errors) => failures.push((place, failure(key, errors))),
        }
    }
    failures.sort_by_key(|(place, _)| *place);
    Err(failures.into_iter().map(|(_, failure)| failure).collect())
}

/// What services say to a request: what the first that can do it gives, or an error of each.
type Asked<T> = Result<T, Vec<String>>;

/// Asks one service after the other. What is known on this machine is found out at once.
fn ask<'a, T: Send + 'a>(
    services: &'a [&'a dyn KeyService],
    request: impl Fn(&'a dyn KeyService) -> Answer<'a, Result<T, String>> + Send + 'a,
) -> Answer<'a, Asked<T>> {
    let mut errors = Vec::new();
    let mut services = services.iter();
    while let Some(service) = services.next() {
        match request(*service) {
            Answer::Now(Ok(value)) => return Answer::Now(Ok(value)),
            Answer::Now(Err(error)) => errors.push(error),
            Answer::Later(mut answer) => {
                return Answer::later(async move {
                    loop {
                        match answer.await {
                            Ok(value) => return Ok(value),
                            Err(error) => errors.push(error),
                        }
                        match services.next() {
                            Some(service) => answer = Box::pin(request(*service).settled()),
                            None => return Err(errors),
                        }
                    }
                });
            }
        }
    }
    Answer::Now(Err(errors))
}

/// All answers, in their order. Servers are asked together; without any, no runtime is started.
fn settle<'a, R: Send + 'a>(answers: Vec<Answer<'a, R>>) -> Result<Vec<R>, String> {
    if answers.iter().any(|answer| matches!(answer, Answer::Later(_))) {
        return block_on(join_all(answers.into_iter().map(Answer::settled)));
    }
    let known = |answer| match answer {
        Answer::Now(answer) => Some(answer),
        Answer::Later(_) => None,
    };
    Ok(answers.into_iter().filter_map(known).collect())
}

/// Why the data key could not be wrapped. Displays the reference's wording, one line.
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
                let texts: Vec<String> = failures
                    .iter()
                    .map(|failure| {
                        let reason = failure.errors.join("; ");
                        format!("failed to encrypt new data key with master key {:?}: {reason}", failure.name)
                    })
                    .collect();
                write!(f, "[{}]", texts.join(" "))
            }
        }
    }
}

impl std::error::Error for WrapFailure {}

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
        group.keys.iter().map(move |key| ask(services, move |service| service.wrap(&key.key, share)))
    });
    let answers = settle(asked.collect()).map_err(WrapFailure::Runtime)?;
    let mut wrapped = Vec::new();
    let mut failures = Vec::new();
    for (key, answer) in groups.iter().flat_map(|group| &group.keys).zip(answers) {
        match answer {
            Ok(enc) => wrapped.push(enc),
            Err(errors) => failures.push(failure(key, errors)),
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

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::time::Duration;

    use super::*;
    use crate::keys::{Key, PgpKey};

    /// "Wraps" for fingerprints that it knows by writing the share in hexadecimal.
    struct Knows(&'static [&'static str]);

    impl Knows {
        fn knows(&self, key: &Key) -> Result<(), String> {
            if self.0.contains(&key.to_string().as_str()) { Ok(()) } else { Err("unknown".to_owned()) }
        }
    }

    impl KeyService for Knows {
        fn wrap<'a>(&'a self, key: &'a Key, share: &'a [u8]) -> Answer<'a, Result<String, String>> {
            Answer::Now(self.knows(key).map(|()| share.iter().map(|b| format!("{b:02x}")).collect()))
        }

        fn unwrap<'a>(&'a self, key: &'a MasterKey) -> Answer<'a, Result<Share, String>> {
            let digits = key.enc.as_bytes().chunks(2).filter_map(|c| std::str::from_utf8(c).ok());
            let share = Zeroizing::new(digits.filter_map(|d| u8::from_str_radix(d, 16).ok()).collect());
            Answer::Now(self.knows(&key.key).map(|()| share))
        }
    }

    fn group(names: &[&str]) -> KeyGroup {
        KeyGroup::new(names.iter().map(|name| Key::Pgp(PgpKey { fingerprint: (*name).to_owned() })))
    }

    #[test]
    fn a_threshold_of_groups_restores_the_data_key() {
        let all = Knows(&["a", "b", "c"]);
        let key = DataKey::generate().expect("random numbers");
        let mut groups = [group(&["a"]), group(&["b"]), group(&["c"])];
        assert!(matches!(wrap(&key, &mut groups, 2, &[&all]), Ok(2)));
        let order = DecryptionOrder::default();
        let recovered = recover(&groups, 2, &order, &[&Knows(&["a", "c"])]);
        assert!(recovered.is_ok_and(|recovered| recovered == key));
        let error = recover(&groups, 2, &order, &[&Knows(&["b"])]).expect_err("one group is too few");
        assert!(error.to_string().contains("Group 0: FAILED"), "{error}");
    }

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

    /// A server: whoever it knows, it answers after so many milliseconds. Counts the requests that have begun and those
    /// that have ended.
    struct Server {
        knows: Knows,
        delay: fn(&str) -> u64,
        begun: Mutex<Vec<String>>,
        ended: Mutex<Vec<String>>,
    }

    impl Server {
        fn new(knows: &'static [&'static str], delay: fn(&str) -> u64) -> Self {
            Self { knows: Knows(knows), delay, begun: Mutex::default(), ended: Mutex::default() }
        }

        fn answer<'a, R: Send + 'a>(&'a self, key: &Key, answer: Answer<'a, R>) -> Answer<'a, R> {
            let name = key.to_string();
            Answer::later(async move {
                self.begun.lock().expect("no panic").push(name.clone());
                tokio::time::sleep(Duration::from_millis((self.delay)(&name))).await;
                self.ended.lock().expect("no panic").push(name);
                answer.settled().await
            })
        }

        fn begun(&self) -> Vec<String> {
            self.begun.lock().expect("no panic").clone()
        }

        fn ended(&self) -> Vec<String> {
            self.ended.lock().expect("no panic").clone()
        }
    }

    impl KeyService for Server {
        fn wrap<'a>(&'a self, key: &'a Key, share: &'a [u8]) -> Answer<'a, Result<String, String>> {
            self.answer(key, self.knows.wrap(key, share))
        }

        fn unwrap<'a>(&'a self, key: &'a MasterKey) -> Answer<'a, Result<Share, String>> {
            self.answer(&key.key, self.knows.unwrap(key))
        }
    }

    /// A group whose keys hold this share.
    fn wrapped(names: &[&str]) -> (DataKey, Vec<KeyGroup>) {
        let key = DataKey::generate().expect("random numbers");
        let mut groups = vec![group(names)];
        let enc: String = key.expose().iter().map(|b| format!("{b:02x}")).collect();
        groups.iter_mut().flat_map(|group| &mut group.keys).for_each(|key| key.enc.clone_from(&enc));
        (key, groups)
    }

    /// Far longer than any test waits.
    const AGES: u64 = 3_600_000;

    #[test]
    fn the_first_server_that_helps_cancels_the_others() {
        let (key, groups) = wrapped(&["hangs", "refuses", "helps"]);
        let server = Server::new(&["hangs", "helps"], |name| if name == "hangs" { AGES } else { 1 });
        let recovered = recover(&groups, 0, &DecryptionOrder::default(), &[&server]);
        assert!(recovered.is_ok_and(|recovered| recovered == key));
        assert_eq!(server.begun(), ["hangs", "refuses", "helps"], "in the order of the file");
        assert!(!server.ended().contains(&"hangs".to_owned()));
    }

    #[test]
    fn no_server_is_asked_if_a_key_of_this_machine_fits() {
        let (key, groups) = wrapped(&["far", "near"]);
        let server = Server::new(&["far"], |_| AGES);
        let mine = Knows(&["near"]);
        let recovered = recover(&groups, 0, &DecryptionOrder::default(), &[&mine, &server]);
        assert!(recovered.is_ok_and(|recovered| recovered == key));
        assert_eq!(server.begun(), [""; 0]);
    }

    #[test]
    fn an_order_that_was_asked_for_is_obeyed() {
        let (key, groups) = wrapped(&["refuses", "helps", "late"]);
        let server = Server::new(&["helps", "late"], |_| 1);
        let order = DecryptionOrder::parse("pgp").expect("an order");
        let recovered = recover(&groups, 0, &order, &[&server]);
        assert!(recovered.is_ok_and(|recovered| recovered == key));
        assert_eq!(server.begun(), ["refuses", "helps"]);
        assert_eq!(server.ended(), ["refuses", "helps"], "one after the other");
    }

    #[test]
    fn failures_stand_in_the_order_of_the_keys_whoever_answered_first() {
        let (_, groups) = wrapped(&["slow", "quick"]);
        let server = Server::new(&[], |name| if name == "slow" { 20 } else { 1 });
        let error = recover(&groups, 0, &DecryptionOrder::default(), &[&server]).expect_err("nobody knows");
        assert_eq!(server.ended(), ["quick", "slow"]);
        let text = error.to_string();
        assert!(text.find("slow: FAILED") < text.find("quick: FAILED"), "{text}");
    }

    #[test]
    fn groups_do_not_wait_for_each_other() {
        let all = Knows(&["a", "b"]);
        let key = DataKey::generate().expect("random numbers");
        let mut groups = [group(&["a"]), group(&["b"])];
        assert!(wrap(&key, &mut groups, 2, &[&all]).is_ok());
        let server = Server::new(&["a", "b"], |name| if name == "a" { 20 } else { 1 });
        let recovered = recover(&groups, 2, &DecryptionOrder::default(), &[&server]);
        assert!(recovered.is_ok_and(|recovered| recovered == key));
        assert_eq!(server.begun(), ["a", "b"]);
        assert_eq!(server.ended(), ["b", "a"]);
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

    #[test]
    fn services_are_asked_in_turn_for_each_key() {
        let (key, groups) = wrapped(&["a"]);
        let (first, second) = (Server::new(&[], |_| 1), Server::new(&["a"], |_| 1));
        let order = DecryptionOrder::default();
        let recovered = recover(&groups, 0, &order, &[&Knows(&[]), &first, &second]);
        assert!(recovered.is_ok_and(|recovered| recovered == key));
        let error = recover(&groups, 0, &order, &[&Knows(&[]), &first]).expect_err("nobody knows");
        assert_eq!(error.to_string().matches("- | unknown").count(), 2, "{error}");
    }

    #[test]
    fn a_kind_may_stand_once_in_the_decryption_order() {
        assert!(DecryptionOrder::parse("pgp,foo,age").is_ok());
        assert_eq!(
            DecryptionOrder::parse("pgp,age,pgp").map_err(|e| e.to_string()).err().as_deref(),
            Some("Duplicate decryption key type: pgp")
        );
    }
}
