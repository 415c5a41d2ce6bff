//! Waiting for servers: the runtime, which starts when the first one is asked, and how long they may take.

use std::fmt;
use std::future::Future;
use std::io;
use std::sync::LazyLock;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::Semaphore;

/// One for the whole process, so that connections are used again. It has no thread of its own.
static RUNTIME: LazyLock<io::Result<Runtime>> =
    LazyLock::new(|| Builder::new_current_thread().enable_all().build());

/// Waits for what servers say.
pub(crate) fn block_on<R>(answer: impl Future<Output = R>) -> Result<R, String> {
    match &*RUNTIME {
        Ok(runtime) => Ok(runtime.block_on(answer)),
        Err(error) => Err(format!("the runtime for connections does not start: {error}")),
    }
}

/// As good as no limit, and no clock overflows when it is added.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// How long a server may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Until there is a connection.
    pub connect: Duration,
    /// Until there is an answer, whatever has to be tried for it.
    pub total: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connect: Duration::from_secs(10), total: Duration::from_secs(30) }
    }
}

/// A text that is no time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseLimitsError(String);

impl fmt::Display for ParseLimitsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is no time such as 30s, 500ms or 2m", self.0)
    }
}

impl std::error::Error for ParseLimitsError {}

impl Limits {
    /// Reads the total: a number of seconds, or one with `ms`, `s` or `m`; a day at most. A connection may take no longer.
    pub fn parse(text: &str) -> Result<Self, ParseLimitsError> {
        let wrong = || ParseLimitsError(text.to_owned());
        let trimmed = text.trim();
        let digits = trimmed.trim_end_matches(char::is_alphabetic);
        let unit = match &trimmed[digits.len()..] {
            "" | "s" => 1.0,
            "ms" => 0.001,
            "m" => 60.0,
            _ => return Err(wrong()),
        };
        let seconds: f64 = digits.parse().map_err(|_| wrong())?;
        let total = Duration::try_from_secs_f64(seconds * unit).map_err(|_| wrong())?;
        if total.is_zero() {
            return Err(wrong());
        }
        let total = total.min(LONGEST);
        Ok(Self { connect: total.min(Self::default().connect), total })
    }

    /// What a server says, or that it took too long.
    pub async fn within<R>(self, answer: impl Future<Output = Result<R, String>>) -> Result<R, String> {
        self.within_that_of("SOPS_KMS_TIMEOUT", answer).await
    }

    /// The same for a limit that another variable sets.
    pub(crate) async fn within_that_of<R>(
        self,
        variable: &str,
        answer: impl Future<Output = Result<R, String>>,
    ) -> Result<R, String> {
        match tokio::time::timeout(self.total, answer).await {
            Ok(answer) => answer,
            Err(_) => Err(hinted(
                &format!("no answer within {:?}", self.total),
                &format!("check the network and proxy settings; {variable} sets another limit"),
            )),
        }
    }
}

/// More calls at once bring a tree of files no further, but servers to refuse.
const AT_ONCE: usize = 32;

static TURNS: Semaphore = Semaphore::const_new(AT_ONCE);

/// An answer for which nothing is done before it is its turn; its time counts from then.
pub(crate) async fn in_turn<R>(answer: impl Future<Output = R>) -> R {
    // nobody closes it
    let _turn = TURNS.acquire().await;
    answer.await
}

/// A reason with the next step on a line of its own.
pub(crate) fn hinted(reason: &str, hint: &str) -> String {
    format!("{reason}\nhint: {hint}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_a_number_with_a_unit() {
        let total = |text| Limits::parse(text).map(|limits| limits.total);
        assert_eq!(total("5"), Ok(Duration::from_secs(5)));
        assert_eq!(total(" 1.5s "), Ok(Duration::from_millis(1500)));
        assert_eq!(total("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(total("2m"), Ok(Duration::from_secs(120)));
        assert_eq!(total("1e19"), Ok(LONGEST));
        for text in ["", "0", "-1", "soon", "5h", "NaN", "1e400"] {
            assert!(total(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_connection_may_not_take_longer_than_all() {
        let limits = Limits::parse("2s").expect("a time");
        assert_eq!(limits.connect, limits.total);
        assert_eq!(Limits::parse("1m").map(|limits| limits.connect), Ok(Duration::from_secs(10)));
    }

    #[test]
    fn an_answer_that_never_comes_costs_the_limit() {
        let limits = Limits::parse("10ms").expect("a time");
        let never = std::future::pending::<Result<(), String>>();
        let answer = block_on(limits.within(never)).expect("a runtime");
        assert!(answer.is_err_and(|reason| reason.starts_with("no answer within 10ms\nhint: ")));
    }
}
