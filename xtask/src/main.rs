//! `cargo xtask`: what a newcomer and CI both run. Only reads the command line; each command has a file of its own.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command-line tool talks on both streams")]

mod bench;
mod demo;
mod env;
mod fetch;
mod fetched;
mod fuzz;
mod layout;
mod lint;
mod locked;
mod plugins;
mod process;
mod progress;
mod setup;
mod test;
mod wasm;

use anyhow::Result;
use clap::{Parser, Subcommand, ValueEnum};
use fetched::Group;
use layout::Layout;

/// Sets up, demonstrates, tests, fuzzes and measures inferwit.
///
/// Everything that is fetched lies in one data folder: $INFERWIT_DATA_DIR, else $XDG_DATA_HOME/inferwit, else
/// ~/.local/share/inferwit. Compiled code lies in $CARGO_TARGET_DIR, else ~/.cache/inferwit/target.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    /// Compile plugins with Debian's Rust for wasm32-unknown-unknown instead of rustup's wasm32-wasip2
    #[arg(long, global = true)]
    wasm_fallback: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Fetch what is needed to build, test and demonstrate, and build the plugins
    Setup,
    /// Serve a pipeline, post a request to it over REST, print the answer
    Demo {
        #[arg(value_enum, default_value = "photo")]
        demo: Demo,
        /// Leave the server running and print the line to try next
        #[arg(long)]
        keep: bool,
    },
    /// Set up and run every test
    Test {
        /// Also the tests that take minutes
        #[arg(long)]
        slow: bool,
        /// Only tests whose names contain one of these
        filters: Vec<String>,
    },
    /// Check formatting, clippy, documentation, licences and spelling
    Lint,
    /// Feed what reads rule sets with inputs that are changed until they go new ways, and fail where it fails
    ///
    /// Inputs that go new ways are found again by the next run. One that fails is written to a file, which is named.
    Fuzz {
        /// All, one after another, without it
        #[arg(value_enum)]
        target: Option<fuzz::Target>,
        /// For each target
        #[arg(long, default_value_t = 60)]
        seconds: u64,
        /// Another number makes other inputs
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Only run this input
        #[arg(long, requires = "target", conflicts_with = "keep")]
        input: Option<std::path::PathBuf>,
        /// Only put what was found, as little as goes the same ways, into tests/fuzz/corpus
        #[arg(long)]
        keep: bool,
    },
    /// Run a benchmark and keep its numbers as JSON in the target folder
    Bench {
        /// plugin, pipeline, start, rules or swap
        name: String,
        /// Passed on to the benchmark
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
}

#[derive(Clone, Copy, ValueEnum)]
enum Demo {
    /// Faces in a photograph, checked
    Photo,
    /// Loans: trains a model, serves it, decides by rules on its score
    Credit,
}

fn main() -> std::process::ExitCode {
    match run(Cli::parse()) {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            if let Some(hint) = process::hint_of(&error) {
                eprintln!("\nhint: {hint}");
            }
            std::process::ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> Result<()> {
    let layout = Layout::find()?;
    match cli.command {
        Command::Setup => {
            ready(&layout, cli.wasm_fallback)?;
            println!("ready: {}", layout.data.display());
            Ok(())
        }
        Command::Demo { demo: Demo::Photo, keep } => {
            ready(&layout, cli.wasm_fallback)?;
            demo::photo(&layout, keep)
        }
        Command::Demo { demo: Demo::Credit, keep } => {
            let toolchain = setup::run(&layout, Group::Credit, cli.wasm_fallback)?;
            plugins::build(&layout, &toolchain)?;
            demo::credit(&layout, keep)
        }
        Command::Test { slow, filters } => {
            ready(&layout, cli.wasm_fallback)?;
            test::run(&layout, slow, &filters)
        }
        Command::Lint => {
            let toolchain = setup::run(&layout, Group::Lints, cli.wasm_fallback)?;
            lint::run(&layout, &toolchain)
        }
        Command::Fuzz { target, seconds, seed, input, keep } => {
            let work = match &input {
                Some(input) => fuzz::Work::Replay(input),
                None if keep => fuzz::Work::Keep,
                None => fuzz::Work::Run { seconds, seed },
            };
            fuzz::run(&layout, target, &work)
        }
        Command::Bench { name, arguments } => {
            let toolchain = setup::run(&layout, Group::Benchmarks, cli.wasm_fallback)?;
            plugins::build(&layout, &toolchain)?;
            bench::run(&layout, &name, &arguments)
        }
    }
}

/// Everything fetched, every plugin built.
fn ready(layout: &Layout, wasm_fallback: bool) -> Result<()> {
    let toolchain = setup::run(layout, Group::Everyone, wasm_fallback)?;
    plugins::build(layout, &toolchain)
}
