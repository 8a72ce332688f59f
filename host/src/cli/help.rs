//! Help and what is said of a call that cannot be understood. The texts of the commands are with the commands.

use clap::CommandFactory;
use clap::builder::styling::Styles;
use clap::error::ErrorKind;

use super::failure::WrongCall;
use super::output::Output;
use super::{Outcome, Verdict};

/// The commands in the groups in which `inferwit --help` shows them.
const GROUPS: [(&str, &[&str]); 3] = [
    ("Every day", &["init", "serve", "infer", "deploy", "status", "doctor"]),
    ("What is registered", &["model", "plugin", "rules", "pipeline"]),
    ("How it runs", &["config", "backend"]),
];

const AFTER: &str = "\
A reference is a name (`photo-check`: its newest version), or `name@1.4.2`, `name@^1`, `name@sha256:..`, or \
`name@production`: what is active in that environment.

Exit codes: 0 good, 1 a check or test failed, 2 the call was wrong, 3 it could not be done, 130 interrupted.

`inferwit COMMAND --help` says more, with an example.";

/// The parser, with its commands in groups.
pub(super) fn command<C: CommandFactory>() -> clap::Command {
    let command = C::command().styles(Styles::plain());
    let mut commands = String::new();
    for (title, names) in GROUPS {
        commands.push_str(&format!("{title}:\n"));
        for name in names {
            let about = command.find_subcommand(name).and_then(clap::Command::get_about);
            let about = about.map(ToString::to_string).unwrap_or_default();
            commands.push_str(&format!("  {name:<10}{}\n", about.trim_end_matches('.')));
        }
        commands.push('\n');
    }
    let template = format!("{{about}}\n\n{{usage-heading}} {{usage}}\n\n{commands}Options:\n{{options}}{{after-help}}");
    command.help_template(template).after_help(AFTER)
}

/// Prints help and version, and says of anything else what was wrong.
pub(super) fn answer(error: &clap::Error, out: &mut Output<'_>) -> Outcome {
    let text = error.render().to_string();
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            out.text(text.trim_end())?;
            Ok(Verdict::Good)
        }
        // A noun without a verb: its help is the best hint.
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => Err(WrongCall::bare(text.trim_end()).into()),
        _ => Err(wrong_call(&text).into()),
    }
}

/// clap's words in the form that all messages have: `error: ..`, a blank line, `hint: ..`.
fn wrong_call(text: &str) -> WrongCall {
    let text = text.trim_start_matches("error: ").trim_end();
    let mut paragraphs = text.split("\n\n").map(str::trim);
    let message = paragraphs.next().unwrap_or_default().to_owned();
    let mut tip = None;
    let mut usage = None;
    for paragraph in paragraphs {
        if let Some(text) = paragraph.strip_prefix("tip: ") {
            tip = tip.or(Some(text.to_owned()));
        } else if let Some(text) = paragraph.strip_prefix("Usage: ") {
            usage = Some(format!("usage: {}", text.trim()));
        }
    }
    WrongCall::new(message, tip.or(usage).unwrap_or_else(|| "add --help to see what it takes".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Cli;

    #[test]
    fn the_parser_is_sound_and_every_command_stands_in_one_group() {
        let command = command::<Cli>();
        command.clone().debug_assert();
        let mut grouped: Vec<&str> = GROUPS.iter().flat_map(|(_, names)| names.iter().copied()).collect();
        let mut there: Vec<&str> = command.get_subcommands().map(clap::Command::get_name).collect();
        grouped.sort_unstable();
        there.sort_unstable();
        assert_eq!(grouped, there);
    }

    #[test]
    fn every_command_says_what_it_does_and_shows_an_example() {
        fn check(path: &str, command: &clap::Command) {
            let path = format!("{path} {}", command.get_name());
            assert!(command.get_about().is_some(), "`{path}` does not say what it does");
            let has_commands = command.get_subcommands().next().is_some();
            let example = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(has_commands || example.contains("Example:\n"), "`{path}` shows no example");
            command.get_subcommands().for_each(|command| check(&path, command));
        }
        command::<Cli>().get_subcommands().for_each(|command| check("inferwit", command));
    }

    #[test]
    fn a_wrong_call_is_told_like_every_other_error() {
        let error = command::<Cli>().try_get_matches_from(["inferwit", "modell"]).unwrap_err();
        let wrong = wrong_call(&error.render().to_string());
        assert_eq!(wrong.to_string(), "unrecognized subcommand 'modell'");
        assert_eq!(wrong.hint(), Some("a similar subcommand exists: 'model'"));
        let error = command::<Cli>().try_get_matches_from(["inferwit", "deploy", "photo"]).unwrap_err();
        let wrong = wrong_call(&error.render().to_string());
        assert!(wrong.to_string().contains("--env <ENV>"), "{wrong}");
        assert!(wrong.hint().is_some_and(|hint| hint.starts_with("usage: inferwit deploy")), "{wrong:?}");
    }
}
