//! Asking key services: one after the other for a key, and for many keys together.

use futures_util::future::join_all;

use super::Key;
use super::failure::KeyFailure;
use super::remote::block_on;
use super::service::{Answer, KeyService};

/// What services say to a request: what the first that can do it gives, or an error of each.
pub(super) type Asked<T> = Result<T, KeyFailure>;

/// Asks one service after the other. What is known on this machine is found out at once.
pub(super) fn ask<'a, T: Send + 'a>(
    services: &'a [&'a dyn KeyService],
    key: &'a Key,
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
                            None => return Err(KeyFailure::new(key, &errors)),
                        }
                    }
                });
            }
        }
    }
    Answer::Now(Err(KeyFailure::new(key, &errors)))
}

/// All answers, in their order. Servers are asked together; without any, no runtime is started.
pub(super) fn settle<'a, R: Send + 'a>(answers: Vec<Answer<'a, R>>) -> Result<Vec<R>, String> {
    known(answers).or_else(|answers| block_on(join_all(answers.into_iter().map(Answer::settled))))
}

/// The answers, or themselves if not all are there.
pub(super) fn known<'a, R>(answers: Vec<Answer<'a, R>>) -> Result<Vec<R>, Vec<Answer<'a, R>>> {
    if answers.iter().any(|answer| matches!(answer, Answer::Later(_))) {
        return Err(answers);
    }
    let known = |answer| match answer {
        Answer::Now(answer) => Some(answer),
        Answer::Later(_) => None,
    };
    Ok(answers.into_iter().filter_map(known).collect())
}
