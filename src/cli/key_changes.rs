//! How changes to key groups are shown (cli.md §13.1).

use rsops::keys::GroupChanges;

/// Whether lines are coloured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Colours {
    Off,
    On,
}

const UNDERLINED: u8 = 4;
const RED: u8 = 31;
const GREEN: u8 = 32;

impl Colours {
    /// The colours end behind the line, as in the reference.
    fn line(self, style: u8, text: &str) -> String {
        match self {
            Self::Off => format!("{text}\n"),
            Self::On => format!("\x1b[{style}m{text}\n\x1b[0m"),
        }
    }

    /// Something that comes.
    pub(super) fn added(self, text: &str) -> String {
        self.line(GREEN, &format!("+++ {text}"))
    }

    /// Something that goes.
    pub(super) fn removed(self, text: &str) -> String {
        self.line(RED, &format!("--- {text}"))
    }

    /// All groups, with the keys that stay, come and go. They are counted from 1 here, unlike anywhere else.
    pub(super) fn groups(self, changes: &[GroupChanges]) -> String {
        let mut text = String::new();
        for (number, group) in (1..).zip(changes) {
            text += &self.line(UNDERLINED, &format!("Group {number}"));
            text.extend(group.kept.iter().map(|name| format!("    {name}\n")));
            text.extend(group.added.iter().map(|name| self.added(name)));
            text.extend(group.removed.iter().map(|name| self.removed(name)));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminals_see_colours() {
        let texts = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let changes =
            [GroupChanges { kept: texts(&["a"]), added: texts(&["b"]), removed: texts(&["c", "d"]) }];
        assert_eq!(Colours::Off.groups(&changes), "Group 1\n    a\n+++ b\n--- c\n--- d\n");
        assert_eq!(
            Colours::On.groups(&changes),
            "\x1b[4mGroup 1\n\x1b[0m    a\n\x1b[32m+++ b\n\x1b[0m\x1b[31m--- c\n\x1b[0m\x1b[31m--- d\n\x1b[0m"
        );
    }
}
