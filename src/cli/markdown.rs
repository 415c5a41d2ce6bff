//! `docs/cli.md`: the declaration of the commands as one Markdown page.

use std::fmt::Write as _;

use clap::{Arg, Command};

use super::help::{EXIT_STATUS, VARIABLES, about, examples, groups};

const HEAD: &str = "<!-- Made from the declaration of the commands. To make it again: RSOPS_BLESS=1 cargo test --test docs -->";

/// The page. The commands must be built.
pub(super) fn page(commands: &Command) -> String {
    let program = commands.get_name();
    let mut page = format!("{HEAD}\n\n# The command line of {program}\n\n{}.\n", about(commands));
    put(
        &mut page,
        "\nFlags may stand before or behind the file, with one dash or two; the last of two that contradict counts.",
    );
    put(&mut page, "Switches also take a value: `--in-place=false`. Every command has `--help`.");
    for (title, members) in groups(commands) {
        put(&mut page, &format!("\n{title}:\n"));
        for command in members {
            let name = command.get_name();
            put(&mut page, &format!("- [`{program} {name}`](#{program}-{name}): {}", about(command)));
        }
    }
    put(&mut page, "\n## Before a command\n");
    options(&mut page, &own_arguments(commands).collect::<Vec<_>>());
    for (_, members) in groups(commands) {
        members.into_iter().for_each(|command| section(&mut page, command, 2));
    }
    table(&mut page, "Environment", ["Variable", "Meaning"], &VARIABLES);
    table(&mut page, "Exit status", ["Status", "Meaning"], &EXIT_STATUS);
    put(&mut page, "\n## Examples\n\n```sh");
    for (line, meaning) in examples(commands) {
        put(&mut page, &format!("# {meaning}\n{line}"));
    }
    put(&mut page, "```");
    page
}

/// Writing to memory does not fail.
fn put(page: &mut String, line: &str) {
    let _ = writeln!(page, "{line}");
}

fn section(page: &mut String, command: &Command, level: usize) {
    let name = command.get_bin_name().unwrap_or_else(|| command.get_name());
    put(page, &format!("\n{} {name}\n", "#".repeat(level)));
    let text = command.get_long_about().or_else(|| command.get_about());
    put(page, &text.map(ToString::to_string).unwrap_or_default());
    put(page, &format!("\n```text\n{}\n```", usage(command, name)));
    let arguments: Vec<&Arg> = own_arguments(command).collect();
    let mut headings: Vec<Option<&str>> = Vec::new();
    for argument in &arguments {
        if !headings.contains(&argument.get_help_heading()) {
            headings.push(argument.get_help_heading());
        }
    }
    for heading in headings {
        match heading {
            Some(heading) => put(page, &format!("\n{heading}:\n")),
            None => page.push('\n'),
        }
        let same = arguments.iter().filter(|argument| argument.get_help_heading() == heading);
        options(page, &same.copied().collect::<Vec<_>>());
    }
    let (sections, words): (Vec<_>, Vec<_>) =
        command.get_subcommands().partition(|inner| own_arguments(inner).next().is_some());
    if !words.is_empty() {
        page.push('\n');
    }
    for word in words {
        put(page, &format!("- `{name} {}`: {}", word.get_name(), about(word)));
    }
    sections.into_iter().for_each(|inner| section(page, inner, level + 1));
}

/// All but `--help`, which every command has.
fn own_arguments(command: &Command) -> impl Iterator<Item = &Arg> {
    command.get_arguments().filter(|argument| !argument.is_hide_set() && argument.get_long() != Some("help"))
}

fn usage(command: &Command, name: &str) -> String {
    let usage = command.clone().bin_name(name.to_owned()).render_usage().to_string();
    usage.trim_start_matches("Usage: ").to_owned()
}

fn options(page: &mut String, arguments: &[&Arg]) {
    for argument in arguments {
        let short = argument.get_short().map(|short| format!("-{short}"));
        let long = argument.get_long().map(|long| format!("--{long}"));
        let names: Vec<String> = [short, long].into_iter().flatten().collect();
        let value = value(argument);
        let shown = if names.is_empty() { value } else { format!("{}{value}", names.join(", ")) };
        let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
        let variable = argument.get_env().map(|name| format!(" (`{}`)", name.display())).unwrap_or_default();
        put(page, &format!("- `{shown}`: {help}{variable}"));
    }
}

fn value(argument: &Arg) -> String {
    let takes_value = argument.get_num_args().is_some_and(|range| range.takes_values());
    let names = argument.get_value_names().unwrap_or_default();
    match (takes_value, argument.is_positional(), argument.is_require_equals_set()) {
        (false, ..) => String::new(),
        (_, true, _) => names.join(" "),
        (_, _, true) => format!("[={}]", names.join(" ")),
        _ => format!(" {}", names.join(" ")),
    }
}

fn table(page: &mut String, title: &str, head: [&str; 2], rows: &[(&str, &str)]) {
    put(page, &format!("\n## {title}\n\n| {} | {} |\n|---|---|", head[0], head[1]));
    for (left, right) in rows {
        put(page, &format!("| `{left}` | {right} |"));
    }
}
