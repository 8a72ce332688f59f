//! Logging set-up, and how untrusted text gets into a log. Metrics are in `metrics`; nothing here decides what is logged.

pub mod lines;
pub mod metrics;

use std::error::Error;
use std::fmt::Write as _;
use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;

pub use metrics::Metrics;

/// How much is logged, and in which form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSettings {
    /// `info`, or directives such as `info,inferwit::server=debug`.
    pub level: String,
    pub format: LogFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Text on a terminal, else JSON.
    Auto,
    Text,
    Json,
}

#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    #[error("log level `{0}` is not one of off, error, warn, info, debug, trace, nor a list of directives")]
    Level(String),
    #[error("logging was set up before")]
    AlreadySetUp,
}

/// Sends log events of this process to standard error, from now on.
///
/// # Errors
/// If the level cannot be understood, or if this is not the first call.
pub fn init(settings: &LogSettings) -> Result<(), TelemetryError> {
    let filter = EnvFilter::try_new(&settings.level).map_err(|_| TelemetryError::Level(settings.level.clone()))?;
    let is_terminal = io::stderr().is_terminal();
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    let is_text = match settings.format {
        LogFormat::Auto => is_terminal,
        LogFormat::Text => true,
        LogFormat::Json => false,
    };
    let outcome = if is_text {
        builder.with_ansi(is_terminal).try_init()
    } else {
        builder.json().flatten_event(true).with_current_span(true).with_span_list(false).try_init()
    };
    outcome.map_err(|_| TelemetryError::AlreadySetUp)
}

/// Text of a guest or a client, fit for a log line or a message: control characters are escaped, and it is at most
/// `bytes_max` long (and a mark that something was cut).
pub fn sanitized(text: &str, bytes_max: usize) -> String {
    let mut clean = String::with_capacity(text.len().min(bytes_max));
    for character in text.chars() {
        let start = clean.len();
        if character == '\n' || character == '\t' || character == '\r' || is_invisible(character) {
            clean.extend(character.escape_default());
        } else {
            clean.push(character);
        }
        if clean.len() > bytes_max {
            clean.truncate(start);
            clean.push_str("..");
            return clean;
        }
    }
    clean
}

/// Control characters, and those that change the direction or the shape of what stands around them.
fn is_invisible(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// An error and everything that caused it, in one line.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let _infallible = write!(text, ": {cause}");
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn untrusted_text_cannot_forge_a_line_or_colour_it() {
        assert_eq!(sanitized("one\ntwo\r\u{1b}[31m red", 100), "one\\ntwo\\r\\u{1b}[31m red");
        assert_eq!(sanitized("abc\u{202e}cba", 100), "abc\\u{202e}cba");
    }

    #[test]
    fn untrusted_text_is_cut_between_characters() {
        assert_eq!(sanitized("größe", 100), "größe");
        assert_eq!(sanitized("größe", 3), "gr..");
        assert_eq!(sanitized("", 0), "");
    }

    #[test]
    fn a_chain_names_every_cause_once() {
        #[derive(Debug, thiserror::Error)]
        #[error("open it")]
        struct Outer(#[source] io::Error);
        assert_eq!(chain(&Outer(io::Error::other("no such disk"))), "open it: no such disk");
    }

    #[test]
    fn a_level_that_is_none_is_refused() {
        let settings = LogSettings { level: "a=b=c".into(), format: LogFormat::Text };
        assert!(matches!(init(&settings), Err(TelemetryError::Level(_))));
    }
}
