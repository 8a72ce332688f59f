//! The command line: arguments in, data on standard output, messages on standard error, an exit code. Decides nothing itself.
//!
//! Exit codes: 0 good; 1 a check or test failed; 2 the call was wrong; 3 it could not be done; 130 interrupted.

mod artifact;
mod backend;
mod config;
mod deploy;
mod doctor;
mod failure;
mod help;
mod infer;
mod init;
mod model;
mod output;
mod pipeline;
mod plugin;
mod rules;
mod serve;
mod session;
mod tensors;

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use clap::{FromArgMatches, Parser, Subcommand};

use crate::env::Environment;
use output::Output;
use session::{Globals, Session};

/// Serves machine-learning models over the Open Inference Protocol, with sandboxed plugins around them.
#[derive(Debug, Parser)]
#[command(name = "inferwit", version, disable_help_subcommand = true, subcommand_required = true)]
struct Cli {
    #[command(flatten)]
    globals: Globals,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Init(init::Init),
    Serve(serve::Serve),
    Infer(infer::Infer),
    Deploy(deploy::Deploy),
    Status(deploy::Status),
    Doctor(doctor::Doctor),
    /// Models: register one, see what there is, take a version out of use.
    #[command(subcommand)]
    Model(model::ModelCommand),
    /// Plugins: look into one, register it, see what there is, take a version out of use.
    #[command(subcommand)]
    Plugin(plugin::PluginCommand),
    /// Rule sets: check, test, run and explain one, register it, see what there is, take a version out of use.
    #[command(subcommand)]
    Rules(rules::RulesCommand),
    /// Pipelines: check, test and draw one, register it, see what there is, take a version out of use.
    #[command(subcommand)]
    Pipeline(pipeline::PipelineCommand),
    /// The configuration: check it, see where each value comes from, print its schema or its defaults.
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// What runs models on this machine.
    #[command(subcommand)]
    Backend(backend::BackendCommand),
}

/// What a command that ran to its end came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Good,
    /// The check or test failed; what failed has been printed.
    Failed,
    /// Somebody asked a second time that it stop.
    Interrupted,
}

impl Verdict {
    fn code(self) -> u8 {
        match self {
            Self::Good => 0,
            Self::Failed => 1,
            Self::Interrupted => 130,
        }
    }
}

type Outcome = anyhow::Result<Verdict>;

/// The program, from its arguments to its exit code.
pub fn main() -> ExitCode {
    let environment = Environment::capture();
    let (may_colour, is_error_terminal) = (!environment.no_color(), io::stderr().is_terminal());
    let stdout = io::stdout();
    let has_colour = may_colour && stdout.is_terminal();
    let mut lock = stdout.lock();
    let mut out = Output::new(&mut lock, has_colour);
    let outcome = run(environment, &mut out).and_then(|verdict| {
        out.flush()?;
        Ok(verdict)
    });
    let code = match outcome {
        Ok(verdict) => verdict.code(),
        Err(error) if output::is_closed(&error) => 0,
        Err(error) => {
            let text = failure::rendered(&error, may_colour && is_error_terminal);
            // Nobody can be told that standard error is closed.
            let _ignored = io::stderr().write_all(text.as_bytes());
            failure::exit_code(&error)
        }
    };
    ExitCode::from(code)
}

fn run(environment: Environment, out: &mut Output<'_>) -> Outcome {
    let matches = match help::command::<Cli>().try_get_matches() {
        Ok(matches) => matches,
        Err(error) => return help::answer(&error, out),
    };
    let cli = match Cli::from_arg_matches(&matches) {
        Ok(cli) => cli,
        Err(error) => return help::answer(&error, out),
    };
    let session = Session::new(cli.globals, environment);
    out.set_json(session.is_json());
    match cli.command {
        Command::Init(init) => init.run(&session, out),
        Command::Serve(serve) => serve.run(&session, out),
        Command::Infer(infer) => infer.run(&session, out),
        Command::Deploy(deploy) => deploy.run(&session, out),
        Command::Status(status) => status.run(&session, out),
        Command::Doctor(doctor) => doctor.run(&session, out),
        Command::Model(command) => command.run(&session, out),
        Command::Plugin(command) => command.run(&session, out),
        Command::Rules(command) => command.run(&session, out),
        Command::Pipeline(command) => command.run(&session, out),
        Command::Config(command) => command.run(&session, out),
        Command::Backend(command) => command.run(&session, out),
    }
}
