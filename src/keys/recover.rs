//! The data key, recovered from any of its keys (cli.md §7, format.md §10).

use std::panic::resume_unwind;
use std::thread::{Builder, ScopedJoinHandle};
use std::{thread, vec};

use futures_util::stream::{FuturesUnordered, StreamExt as _};

use super::ask::{Asked, ask, known, settle};
use super::failure::{GroupOutcome, KeyFailure, RecoverError};
use super::order::{DecryptionOrder, Pace};
use super::remote::block_on;
use super::service::{Answer, KeyService, Share};
use super::{KeyGroup, MasterKey};
use crate::data_key::DataKey;
use crate::shamir;

/// Recovers the data key. All groups are tried, each until one of its keys succeeds.
pub fn recover(
    groups: &[KeyGroup],
    threshold: usize,
    order: &DecryptionOrder,
    services: &[&dyn KeyService],
) -> Result<DataKey, RecoverError> {
    let sorted = groups.iter().map(|group| order.sort(&group.keys));
    let settled = match order.pace() {
        Pace::AtOnce => settle(sorted.map(|keys| at_once(keys, services)).collect()),
        Pace::InTurn => in_turn(sorted.map(|keys| Turns::new(keys, services)).collect()),
    };
    let mut shares = Vec::new();
    let mut outcomes = Vec::new();
    for outcome in settled.map_err(RecoverError::Runtime)? {
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

/// A group whose keys are tried in any order: those of this machine first, and if none of them fits all servers together.
/// What they say is waited for by the caller, so that no group waits for another.
fn at_once<'a>(keys: Vec<&'a MasterKey>, services: &'a [&'a dyn KeyService]) -> Answer<'a, Outcome> {
    let mut answers = Vec::new();
    for key in keys {
        match ask(services, &key.key, |service| service.unwrap(key)) {
            Answer::Now(Ok(share)) => return Answer::Now(Ok(share)),
            answer => answers.push(answer),
        }
    }
    match known(answers) {
        Ok(answers) => Answer::Now(Err(answers.into_iter().filter_map(Result::err).collect())),
        Err(answers) => Answer::later(the_first(answers)),
    }
}

/// The first that helps is enough; leaving then cancels the others.
async fn the_first(answers: Vec<Answer<'_, Asked<Share>>>) -> Outcome {
    let numbered = answers.into_iter().enumerate();
    let mut waiting: FuturesUnordered<_> =
        numbered.map(|(place, answer)| async move { (place, answer.settled().await) }).collect();
    let mut failures = Vec::new();
    while let Some((place, answer)) = waiting.next().await {
        match answer {
            Ok(share) => return Ok(share),
            Err(failure) => failures.push((place, failure)),
        }
    }
    failures.sort_by_key(|(place, _)| *place);
    Err(failures.into_iter().map(|(_, failure)| failure).collect())
}

/// Groups whose order the user has set. A key of this machine may have to wait for a person. Meanwhile others wait for
/// servers, other groups and other files, so it is not tried in the runtime that all share.
fn in_turn(mut groups: Vec<Turns<'_>>) -> Result<Vec<Outcome>, String> {
    // questions come group by group, as far as no server is in front of them
    groups.iter_mut().for_each(Turns::go_on);
    if groups.iter().filter(|turns| matches!(turns.waits_for, Some(Answer::Later(_)))).count() < 2 {
        return groups.into_iter().map(Turns::finish).collect();
    }
    thread::scope(|scope| {
        let mut started = Vec::new();
        for turns in groups {
            let group = Builder::new().spawn_scoped(scope, move || turns.finish());
            started.push(group.map_err(|error| format!("there is no thread to wait for servers: {error}"))?);
        }
        let finish =
            |group: ScopedJoinHandle<'_, _>| group.join().unwrap_or_else(|panic| resume_unwind(panic));
        started.into_iter().map(finish).collect()
    })
}

/// A group whose keys are tried one after the other.
struct Turns<'a> {
    keys: vec::IntoIter<&'a MasterKey>,
    services: &'a [&'a dyn KeyService],
    failures: Vec<KeyFailure>,
    /// What ends the group, or has to be known before it goes on.
    waits_for: Option<Answer<'a, Asked<Share>>>,
}

impl<'a> Turns<'a> {
    fn new(keys: Vec<&'a MasterKey>, services: &'a [&'a dyn KeyService]) -> Self {
        Self { keys: keys.into_iter(), services, failures: Vec::new(), waits_for: None }
    }

    /// To the first key that fits, or that a server has to be asked about.
    fn go_on(&mut self) {
        for key in self.keys.by_ref() {
            match ask(self.services, &key.key, |service| service.unwrap(key)) {
                Answer::Now(Err(failure)) => self.failures.push(failure),
                answer => {
                    self.waits_for = Some(answer);
                    return;
                }
            }
        }
    }

    fn finish(mut self) -> Result<Outcome, String> {
        while let Some(answer) = self.waits_for.take() {
            let answer = match answer {
                Answer::Now(answer) => answer,
                Answer::Later(answer) => block_on(answer)?,
            };
            match answer {
                Ok(share) => return Ok(Ok(share)),
                Err(failure) => self.failures.push(failure),
            }
            self.go_on();
        }
        Ok(Err(self.failures))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::runtime::Handle;

    use super::*;
    use crate::keys::fakes::{AGES, Knows, Server, group, wrapped};
    use crate::keys::{Key, wrap};

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
    fn services_are_asked_in_turn_for_each_key() {
        let (key, groups) = wrapped(&["a"]);
        let (first, second) = (Server::new(&[], |_| 1), Server::new(&["a"], |_| 1));
        let order = DecryptionOrder::default();
        let recovered = recover(&groups, 0, &order, &[&Knows(&[]), &first, &second]);
        assert!(recovered.is_ok_and(|recovered| recovered == key));
        let error = recover(&groups, 0, &order, &[&Knows(&[]), &first]).expect_err("nobody knows");
        assert_eq!(error.to_string().matches("- | unknown").count(), 2, "{error}");
    }

    /// A key of this machine that one may have to type a pass phrase for: what stands in front of it is a matter for
    /// servers.
    struct AtTheTerminal(Knows);

    impl KeyService for AtTheTerminal {
        fn wrap<'a>(&'a self, key: &'a Key, share: &'a [u8]) -> Answer<'a, Result<String, String>> {
            self.0.wrap(key, share)
        }

        fn unwrap<'a>(&'a self, key: &'a MasterKey) -> Answer<'a, Result<Share, String>> {
            if key.key.to_string().starts_with("far") {
                return Answer::later(async {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                    Err("not for you".to_owned())
                });
            }
            assert!(Handle::try_current().is_err(), "the runtime is for those who wait for servers");
            self.0.unwrap(key)
        }
    }

    /// Guards against keys of this machine that are tried inside of the runtime behind a server that refused: while gpg
    /// waits for a pass phrase, the time of other files would be up.
    #[test]
    fn keys_of_this_machine_are_never_tried_in_the_runtime() {
        let (key, groups) = wrapped(&["far", "unknown", "far too", "near"]);
        let machine = AtTheTerminal(Knows(&["near"]));
        for order in ["pgp", "age"] {
            let order = DecryptionOrder::parse(order).expect("an order");
            let recovered = recover(&groups, 0, &order, &[&machine]);
            assert!(recovered.is_ok_and(|recovered| recovered == key));
        }
        let every = Knows(&["far", "near"]);
        let mut groups = [group(&["far", "near"]), group(&["far", "near"])];
        assert!(wrap(&key, &mut groups, 2, &[&every]).is_ok());
        let order = DecryptionOrder::parse("pgp").expect("an order");
        let recovered = recover(&groups, 2, &order, &[&machine]);
        assert!(recovered.is_ok_and(|recovered| recovered == key));
    }

    #[test]
    fn groups_do_not_wait_for_each_other_where_the_order_was_given_either() {
        let all = Knows(&["a", "b", "refuses"]);
        let key = DataKey::generate().expect("random numbers");
        let mut groups = [group(&["a"]), group(&["refuses", "b"])];
        assert!(wrap(&key, &mut groups, 2, &[&all]).is_ok());
        let server = Server::new(&["a", "b"], |name| if name == "a" { 500 } else { 1 });
        let order = DecryptionOrder::parse("pgp").expect("an order");
        let recovered = recover(&groups, 2, &order, &[&server]);
        assert!(recovered.is_ok_and(|recovered| recovered == key));
        assert_eq!(server.ended(), ["refuses", "b", "a"]);
    }
}
