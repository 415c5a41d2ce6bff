//! Who wraps and unwraps data keys: this process, or a server (keyservice.md).

use std::future::Future;
use std::pin::Pin;

use zeroize::Zeroizing;

use super::{Key, MasterKey, remote};

/// A data key, or a share of one, in clear. Wiped when dropped.
pub type Share = Zeroizing<Vec<u8>>;

/// Something that wraps and unwraps. Errors are what a user reads: what failed, and what helps in lines that begin with
/// `hint: `.
pub trait KeyService: Send + Sync {
    /// Wraps a data key, or a share of one, for this key.
    fn wrap<'a>(&'a self, key: &'a Key, share: &'a [u8]) -> Answer<'a, Result<String, String>>;

    /// Unwraps it.
    fn unwrap<'a>(&'a self, key: &'a MasterKey) -> Answer<'a, Result<Share, String>>;
}

/// What was asked for: known now, or once a server has said it.
pub enum Answer<'a, R> {
    /// It was found out on this machine.
    Now(R),
    /// Nothing has begun yet; dropping it cancels.
    Later(Pin<Box<dyn Future<Output = R> + Send + 'a>>),
}

impl<'a, R: Send + 'a> Answer<'a, R> {
    /// An answer that somebody else gives.
    pub fn later(answer: impl Future<Output = R> + Send + 'a) -> Self {
        Self::Later(Box::pin(answer))
    }

    /// The same, which begins when not too many others are waited for.
    #[must_use]
    pub(super) fn in_turn(self) -> Self {
        match self {
            Self::Now(answer) => Self::Now(answer),
            Self::Later(answer) => Self::Later(Box::pin(remote::in_turn(answer))),
        }
    }

    /// The answer, waited for.
    pub async fn settled(self) -> R {
        match self {
            Self::Now(answer) => answer,
            Self::Later(answer) => answer.await,
        }
    }

    /// What `change` makes of the answer.
    pub fn map<S>(self, change: impl FnOnce(R) -> S + Send + 'a) -> Answer<'a, S> {
        match self {
            Self::Now(answer) => Answer::Now(change(answer)),
            Self::Later(answer) => Answer::Later(Box::pin(async move { change(answer.await) })),
        }
    }

    /// The answer, seen by `witness` as soon as it is there.
    #[must_use]
    pub fn inspect(self, witness: impl FnOnce(&R) + Send + 'a) -> Self {
        self.map(|answer| {
            witness(&answer);
            answer
        })
    }
}
