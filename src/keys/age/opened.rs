//! What a pass phrase opens.

use std::sync::{Mutex, OnceLock, PoisonError};

/// Something that is opened once, however many files are worked on at a time: whoever comes while the person is being
/// asked waits for the answer, and does not ask again.
pub(super) struct Opened<T> {
    content: OnceLock<T>,
    opening: Mutex<()>,
}

impl<T> Opened<T> {
    /// Still shut.
    pub(super) fn new() -> Self {
        Self { content: OnceLock::new(), opening: Mutex::new(()) }
    }

    /// The content, opened if it was not before. Where that fails, the next one tries again.
    pub(super) fn get_or_open<E>(&self, open: impl FnOnce() -> Result<T, E>) -> Result<&T, E> {
        if let Some(content) = self.content.get() {
            return Ok(content);
        }
        let _turn = self.opening.lock().unwrap_or_else(PoisonError::into_inner);
        match self.content.get() {
            Some(content) => Ok(content),
            None => open().map(|content| self.content.get_or_init(|| content)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;
    use std::time::Duration;

    use super::Opened;

    /// Guards against a person who is asked for the same pass phrase by every file that is worked on at the time.
    #[test]
    fn nobody_is_asked_by_several_at_once() {
        let (opened, start, questions) = (Opened::new(), Barrier::new(4), AtomicUsize::new(0));
        let ask = || {
            start.wait();
            let answer = opened.get_or_open(|| {
                thread::sleep(Duration::from_millis(100));
                Ok::<_, ()>(questions.fetch_add(1, Ordering::Relaxed))
            });
            assert_eq!(answer, Ok(&0));
        };
        thread::scope(|scope| (0..4).for_each(|_| drop(scope.spawn(ask))));
        assert_eq!(questions.into_inner(), 1);
    }

    #[test]
    fn what_does_not_open_is_tried_again() {
        let opened = Opened::new();
        assert_eq!(opened.get_or_open(|| Err("wrong")), Err("wrong"));
        assert_eq!(opened.get_or_open(|| Ok::<_, &str>(7)), Ok(&7));
        assert_eq!(opened.get_or_open(|| Err("not asked")), Ok(&7));
    }
}
