//! Errors on their way out: which exit code each has, and how it is told. Nothing is printed here.

use std::error::Error;
use std::fmt::Write as _;

use crate::app::AppError;
use crate::backend::BackendError;
use crate::config::ConfigError;
use crate::infer::InferError;
use crate::plugin::PluginError;
use crate::registry::{FormatError, RegistryError};
use crate::server::ServerError;

const CHECK_FAILED: u8 = 1;
const WRONG_CALL: u8 = 2;
const NOT_DONE: u8 = 3;

/// The call cannot be understood, or makes no sense.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(super) struct WrongCall {
    message: String,
    hint: Option<String>,
    /// Printed as it is, without `error:`.
    is_bare: bool,
}

impl WrongCall {
    pub(super) fn new(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { message: message.into(), hint: Some(hint.into()), is_bare: false }
    }

    /// Help in place of an error.
    pub(super) fn bare(text: &str) -> Self {
        Self { message: text.to_owned(), hint: None, is_bare: true }
    }

    #[cfg(test)]
    pub(super) fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}

/// A request that was refused or failed, with the code that clients see.
#[derive(Debug, thiserror::Error)]
#[error("{}", self.0.code.as_str())]
pub(super) struct Unanswered(#[source] pub(super) InferError);

/// What an engine found wrong in a rule set, each told with the line where it stands.
#[derive(Debug, thiserror::Error)]
#[error("rule set `{label}` is refused")]
pub(super) struct RefusedRules {
    pub(super) label: String,
    /// Messages with their hints.
    pub(super) parts: Vec<(String, Option<String>)>,
}

/// How a message on standard error begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Word {
    Error,
    Warning,
}

/// Whose fault it is, from the outermost cause that says so.
pub(super) fn exit_code(error: &anyhow::Error) -> u8 {
    error.chain().find_map(code_of).unwrap_or(NOT_DONE)
}

fn code_of(cause: &(dyn Error + 'static)) -> Option<u8> {
    if cause.is::<WrongCall>() {
        return Some(WRONG_CALL);
    }
    if cause.is::<Unanswered>() || cause.is::<RefusedRules>() {
        return Some(CHECK_FAILED);
    }
    if let Some(error) = cause.downcast_ref::<ConfigError>() {
        return Some(if error.faults().is_empty() { NOT_DONE } else { WRONG_CALL });
    }
    if cause.is::<ServerError>() {
        return Some(NOT_DONE);
    }
    if let Some(error) = cause.downcast_ref::<RegistryError>() {
        return Some(registry_code(error));
    }
    cause.downcast_ref::<AppError>().map(app_code)
}

fn app_code(error: &AppError) -> u8 {
    match error {
        AppError::Registry(error) => registry_code(error),
        AppError::Plugin(PluginError::Engine(_) | PluginError::Overloaded { .. }) => NOT_DONE,
        AppError::Backend(BackendError::Unavailable { .. }) => NOT_DONE,
        AppError::Format(FormatError::Read { .. }) => NOT_DONE,
        AppError::Config(error) if error.faults().is_empty() => NOT_DONE,
        AppError::File { .. } | AppError::Threads(_) | AppError::NoRulesEngine => NOT_DONE,
        AppError::Unknown { .. } | AppError::FileName { .. } | AppError::ServedTwice { .. } => WRONG_CALL,
        _ => CHECK_FAILED,
    }
}

fn registry_code(error: &RegistryError) -> u8 {
    match error {
        RegistryError::NotFound { .. } | RegistryError::NotActive { .. } | RegistryError::Ambiguous { .. } => {
            WRONG_CALL
        }
        RegistryError::VersionTaken { .. }
        | RegistryError::OtherFiles { .. }
        | RegistryError::Damaged { .. }
        | RegistryError::Bundle { .. } => CHECK_FAILED,
        RegistryError::Format(FormatError::Read { .. }) => NOT_DONE,
        RegistryError::Format(_) => CHECK_FAILED,
        _ => NOT_DONE,
    }
}

/// The whole chain once, and what to do about it; of several things that are wrong, all.
pub(super) fn rendered(error: &anyhow::Error, has_colour: bool) -> String {
    let mut text = String::new();
    if let Some(wrong) = error.downcast_ref::<WrongCall>().filter(|wrong| wrong.is_bare) {
        return format!("{wrong}\n");
    }
    let mut parts = parts(error).into_iter().peekable();
    while let Some((message, hint)) = parts.next() {
        told(&mut text, &message, hint.as_deref(), has_colour);
        if parts.peek().is_some() {
            text.push('\n');
        }
    }
    text
}

/// One message as it stands on standard error.
pub(super) fn told(text: &mut String, message: &str, hint: Option<&str>, has_colour: bool) {
    told_as(Word::Error, text, message, hint, has_colour);
}

/// One message that need not be an error.
pub(super) fn told_as(word: Word, text: &mut String, message: &str, hint: Option<&str>, has_colour: bool) {
    let (word, colour) = match word {
        Word::Error => ("error:", "31"),
        Word::Warning => ("warning:", "33"),
    };
    let (word, hint_word) = match has_colour {
        true => (format!("\u{1b}[1;{colour}m{word}\u{1b}[0m"), "\u{1b}[1;36mhint:\u{1b}[0m"),
        false => (word.to_owned(), "hint:"),
    };
    writeln!(text, "{word} {message}").expect("writing to a string does not fail");
    if let Some(hint) = hint.filter(|hint| !hint.is_empty()) {
        write!(text, "\n{hint_word} {hint}\n").expect("writing to a string does not fail");
    }
}

/// Each thing that is wrong, with its hint.
pub(super) fn parts(error: &anyhow::Error) -> Vec<(String, Option<String>)> {
    for cause in error.chain() {
        if let Some(AppError::Pipeline(diagnostics)) = cause.downcast_ref::<AppError>() {
            return diagnostics.iter().map(|found| (found.to_string(), Some(found.hint.clone()))).collect();
        }
        if let Some(refused) = cause.downcast_ref::<RefusedRules>().filter(|refused| !refused.parts.is_empty()) {
            return refused.parts.clone();
        }
        if let Some(AppError::RuleTests { results, .. }) = cause.downcast_ref::<AppError>() {
            let mut message = whole(error);
            for failed in results.iter().filter(|result| !result.passed) {
                let indented = failed.message.replace('\n', "\n    ");
                write!(message, "\n  {}\n    {indented}", failed.name).expect("writing to a string does not fail");
            }
            return vec![(message, hint(error))];
        }
        if let Some(AppError::Tests { results, .. }) = cause.downcast_ref::<AppError>() {
            let mut message = whole(error);
            for failed in results.iter().filter(|result| !result.passed) {
                for difference in &failed.differences {
                    write!(message, "\n  {}: {difference}", failed.name).expect("writing to a string does not fail");
                }
            }
            return vec![(message, hint(error))];
        }
        let config = match cause.downcast_ref::<AppError>() {
            Some(AppError::Config(config)) => Some(config),
            _ => cause.downcast_ref::<ConfigError>(),
        };
        if let Some(config) = config.filter(|config| !config.faults().is_empty()) {
            return config.faults().iter().map(|fault| (fault.to_string(), fault.hint.clone())).collect();
        }
    }
    vec![(whole(error), hint(error))]
}

/// The error and its causes. What a client may read often repeats its cause word for word: that is said once.
fn whole(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.ends_with(&cause) {
            write!(text, ": {cause}").expect("writing to a string does not fail");
        }
    }
    text
}

fn hint(error: &anyhow::Error) -> Option<String> {
    error.chain().find_map(|cause| {
        if let Some(wrong) = cause.downcast_ref::<WrongCall>() {
            return wrong.hint.clone();
        }
        if let Some(ServerError::Listen { .. }) = cause.downcast_ref::<ServerError>() {
            return Some(
                "another program may listen there; choose other addresses with --http and --metrics".to_owned(),
            );
        }
        if let Some(config) = cause.downcast_ref::<ConfigError>() {
            return config.hint().map(str::to_owned);
        }
        if let Some(registry) = cause.downcast_ref::<RegistryError>() {
            return registry.hint();
        }
        cause.downcast_ref::<AppError>().and_then(AppError::hint)
    })
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;

    #[test]
    fn an_error_is_told_once_with_its_hint_and_its_code() {
        let missing = RegistryError::Missing { path: "/x.db".into() };
        let error = Err::<(), _>(AppError::from(missing)).context("list").unwrap_err();
        let text = "error: list: registry `/x.db` is not there\n\nhint: make one with `inferwit init`, or name another with --registry\n";
        assert_eq!(rendered(&error, false), text);
        assert_eq!(exit_code(&error), NOT_DONE);
    }

    #[test]
    fn a_cause_that_says_the_same_is_told_once() {
        let cause = std::io::Error::other("no input `x`");
        let error = Unanswered(InferError::invalid("no input `x`").with_source(cause)).into();
        assert_eq!(rendered(&error, false), "error: invalid_input: no input `x`\n");
    }

    #[test]
    fn what_was_asked_wrongly_is_told_from_what_failed() {
        let check = |error: anyhow::Error, expected| assert_eq!(exit_code(&error), expected, "{error:#}");
        check(WrongCall::new("a", "b").into(), WRONG_CALL);
        check(AppError::Unknown { reference: "x".to_owned() }.into(), WRONG_CALL);
        check(AppError::Pipeline(Vec::new()).into(), CHECK_FAILED);
        check(Unanswered(InferError::invalid("no")).into(), CHECK_FAILED);
        check(anyhow::Error::from(std::io::Error::other("disk")).context("write"), NOT_DONE);
    }
}
