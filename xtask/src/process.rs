//! Runs programs and turns their failures into errors that say what was run, what it said and what to do.

use std::fmt;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

const SHOWN_LINES_MAX: usize = 12;

/// An error with a remedy, printed apart from it.
#[derive(Debug)]
struct Hinted {
    message: String,
    hint: String,
}

impl fmt::Display for Hinted {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl std::error::Error for Hinted {}

pub(crate) fn hinted(message: impl Into<String>, hint: impl Into<String>) -> anyhow::Error {
    anyhow::Error::new(Hinted { message: message.into(), hint: hint.into() })
}

pub(crate) fn hint_of(error: &anyhow::Error) -> Option<&str> {
    error.chain().find_map(|cause| cause.downcast_ref::<Hinted>()).map(|hinted| hinted.hint.as_str())
}

/// Runs a program silently and gives its standard output.
pub(crate) fn output_of(command: &mut Command) -> Result<String> {
    let shown = describe(command);
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("start `{shown}`"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(if output.stderr.is_empty() { &output.stdout } else { &output.stderr });
        let lines: Vec<&str> = said.lines().collect();
        let tail = lines[lines.len().saturating_sub(SHOWN_LINES_MAX)..].join("\n  ");
        bail!("`{shown}` failed ({})\n  {tail}", output.status);
    }
    String::from_utf8(output.stdout).with_context(|| format!("read what `{shown}` printed"))
}

/// Runs a program whose output the user sees.
pub(crate) fn show(command: &mut Command) -> Result<()> {
    let shown = describe(command);
    let status = command.status().with_context(|| format!("start `{shown}`"))?;
    if !status.success() {
        bail!("`{shown}` failed ({status})");
    }
    Ok(())
}

/// The command as one would type it, its program without the folder and long arguments cut.
fn describe(command: &Command) -> String {
    let program = std::path::Path::new(command.get_program());
    let mut text = program.file_name().unwrap_or(command.get_program()).to_string_lossy().into_owned();
    for argument in command.get_args() {
        let argument = argument.to_string_lossy();
        text.push(' ');
        text.push_str(argument.lines().next().unwrap_or_default());
    }
    text
}
