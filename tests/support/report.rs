//! Many cases at once, one readable account of them.

use std::collections::BTreeMap;
use std::io::{Write, stderr};
use std::num::NonZero;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::Check;

/// Checks in as many threads as there are processors; the answers come in the order of the items.
pub(crate) fn check_all<T: Sync>(items: &[T], check: impl Fn(&T) -> Check + Sync) -> Vec<Check> {
    let next = AtomicUsize::new(0);
    let answers = Mutex::new(BTreeMap::new());
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(item) = items.get(index) else { break };
                    let answer = check(item);
                    answers.lock().expect("no check panics").insert(index, answer);
                }
            });
        }
    });
    answers.into_inner().expect("no check panics").into_values().collect()
}

/// What passed, what failed, and what was left aside and why.
pub(crate) struct Report {
    title: &'static str,
    total: usize,
    failures: Vec<String>,
    aside: BTreeMap<String, usize>,
}

impl Report {
    pub(crate) fn new(title: &'static str) -> Self {
        Self { title, total: 0, failures: Vec::new(), aside: BTreeMap::new() }
    }

    pub(crate) fn count(&mut self, name: &str, fact: &str, check: Check) {
        self.total += 1;
        if let Err(complaint) = check {
            let complaint = complaint.replace('\n', "\n    ");
            self.failures.push(format!("FAIL {name} ({fact})\n    {complaint}"));
        }
    }

    pub(crate) fn set_aside(&mut self, reason: String) {
        *self.aside.entry(reason).or_default() += 1;
    }

    /// Prints past the test runner, which would swallow what a passing test says; panics if a case failed.
    pub(crate) fn finish(self) {
        let mut text = format!("\n{}\n", self.title);
        for failure in &self.failures {
            text += &format!("{failure}\n");
        }
        for (reason, count) in &self.aside {
            text += &format!("{count} not run: {reason}\n");
        }
        let summary = format!("{} of {} cases pass", self.total - self.failures.len(), self.total);
        say(&format!("{text}{summary}"));
        assert!(self.failures.is_empty(), "{summary}");
    }
}

/// A line that is seen even when the test passes.
pub(crate) fn say(text: &str) {
    writeln!(stderr(), "{text}").expect("stderr is open");
}
