//! Key services without cryptography, for the tests of those who ask them.

use std::sync::Mutex;
use std::time::Duration;

use zeroize::Zeroizing;

use super::service::{Answer, KeyService, Share};
use super::{Key, KeyGroup, MasterKey, PgpKey};
use crate::data_key::DataKey;

/// "Wraps" for fingerprints that it knows by writing the share in hexadecimal.
pub(super) struct Knows(pub(super) &'static [&'static str]);

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

pub(super) fn group(names: &[&str]) -> KeyGroup {
    KeyGroup::new(names.iter().map(|name| Key::Pgp(PgpKey { fingerprint: (*name).to_owned() })))
}

/// A server: whoever it knows, it answers after so many milliseconds. Counts the requests that have begun and those
/// that have ended.
pub(super) struct Server {
    knows: Knows,
    delay: fn(&str) -> u64,
    begun: Mutex<Vec<String>>,
    ended: Mutex<Vec<String>>,
}

impl Server {
    pub(super) fn new(knows: &'static [&'static str], delay: fn(&str) -> u64) -> Self {
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

    pub(super) fn begun(&self) -> Vec<String> {
        self.begun.lock().expect("no panic").clone()
    }

    pub(super) fn ended(&self) -> Vec<String> {
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
pub(super) fn wrapped(names: &[&str]) -> (DataKey, Vec<KeyGroup>) {
    let key = DataKey::generate().expect("random numbers");
    let mut groups = vec![group(names)];
    let enc: String = key.expose().iter().map(|b| format!("{b:02x}")).collect();
    groups.iter_mut().flat_map(|group| &mut group.keys).for_each(|key| key.enc.clone_from(&enc));
    (key, groups)
}

/// Far longer than any test waits.
pub(super) const AGES: u64 = 3_600_000;
