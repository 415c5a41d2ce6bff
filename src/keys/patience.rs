//! Asking a busy server again.

use std::time::{Duration, Instant};

use super::remote::Limits;

/// How often, and with what pauses, a call is tried while a server is busy or out of reach. To wrap or to unwrap twice
/// does no harm.
pub(crate) struct Patience {
    retries: u32,
    pause: Duration,
    begun: Instant,
    limit: Duration,
}

impl Patience {
    /// The pauses begin with this one, and double.
    pub(crate) fn new(retries: u32, first_pause: Duration, limits: Limits) -> Self {
        Self { retries, pause: first_pause, begun: Instant::now(), limit: limits.total }
    }

    /// Waits before the call is tried again: as long as the server has `asked` for, or what is usual.
    ///
    /// False, and at once, if it has been tried often enough, or if there would be no time for another answer: what the
    /// server has said is worth more than that it said nothing else in time.
    pub(crate) async fn wait(&mut self, asked: Option<Duration>) -> bool {
        let pause = asked.unwrap_or_else(|| jittered(self.pause));
        let enough = pause.saturating_add(self.pause);
        if self.retries == 0 || self.begun.elapsed().saturating_add(enough) > self.limit {
            return false;
        }
        self.retries -= 1;
        self.pause = self.pause.saturating_mul(2);
        tokio::time::sleep(pause).await;
        true
    }
}

/// Up to a half more: those who were sent away together must not come back together.
fn jittered(pause: Duration) -> Duration {
    let mut random = [0; 2];
    // without random numbers they do
    let _ = getrandom::fill(&mut random);
    pause + pause.mul_f64(f64::from(u16::from_le_bytes(random)) / f64::from(u16::MAX) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::remote::block_on;

    const MOMENT: Duration = Duration::from_millis(1);

    fn patience(retries: u32, limit: &str) -> Patience {
        Patience::new(retries, MOMENT, Limits::parse(limit).expect("a time"))
    }

    fn waits(patience: &mut Patience, asked: Option<Duration>) -> bool {
        block_on(patience.wait(asked)).expect("a runtime")
    }

    #[test]
    fn a_call_is_tried_again_so_many_times() {
        let mut patience = patience(3, "1m");
        assert_eq!([(); 5].map(|()| waits(&mut patience, None)), [true, true, true, false, false]);
        assert_eq!(patience.pause, 8 * MOMENT);
    }

    #[test]
    fn no_pause_goes_beyond_the_limit() {
        let begun = Instant::now();
        assert!(!waits(&mut patience(3, "1m"), Some(Duration::from_secs(60))));
        assert!(!waits(&mut patience(3, "1m"), Some(Duration::MAX)));
        assert!(!waits(&mut patience(3, "1ms"), None));
        assert!(begun.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn a_pause_is_jittered_by_a_half_at_most() {
        for _ in 0..100 {
            let pause = jittered(Duration::from_secs(2));
            assert!((2.0..=3.0).contains(&pause.as_secs_f64()), "{pause:?}");
        }
    }
}
