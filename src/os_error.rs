//! How messages show errors of the operating system.

use std::io;

/// The system's text as the reference shows it: lower case, without the number that `std` adds.
pub fn os_text(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split_once(" (os error").map_or(text.as_str(), |(text, _)| text);
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}
