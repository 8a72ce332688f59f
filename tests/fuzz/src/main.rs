//! Fuzzes one target: `fuzz TARGET SECONDS FOLDER [SEED]`, as `cargo xtask fuzz` calls it.
//!
//! The program runs itself a second time to do the work, and looks on: what the worker was at when it ended lies in a
//! file, so that a panic, an abort, a stack that overflows, too much memory and too much time are all seen.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command-line tool talks on both streams")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use inferwit_fuzz::targets::{self, Target};
use inferwit_fuzz::{coverage, folder};

mod memory;
mod worker;

/// What one input may take; with what the fuzzer itself needs, half of what the host gives an engine.
const MEMORY_BYTES_MAX: usize = 256 << 20;

#[global_allocator]
static MEMORY: memory::Bounded = memory::Bounded::new(MEMORY_BYTES_MAX);

const USAGE: &str = "usage: fuzz TARGET SECONDS FOLDER [SEED], fuzz TARGET replay FILE, fuzz TARGET shrink FOLDER";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let Some(target) = words.first().and_then(|name| targets::named(name)) else {
        let names: Vec<&str> = targets::TARGETS.iter().map(|target| target.name).collect();
        eprintln!("{USAGE}\nTARGET: {}", names.join(", "));
        return ExitCode::FAILURE;
    };
    let done = match words[1..] {
        ["replay", file] => worker::replay(target, Path::new(file)),
        ["shrink", work] => worker::shrink(target, &Folders::new(target, work)),
        ["work", seconds, work, seed] => {
            worker::work(target, &Folders::new(target, work), number(seconds), number(seed))
        }
        [seconds, work] => oversee(target, work, seconds, "1"),
        [seconds, work, seed] => oversee(target, work, seconds, seed),
        _ => Err(USAGE.into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

type Done = Result<(), Box<dyn std::error::Error>>;

fn number(text: &str) -> u64 {
    text.parse().unwrap_or_default()
}

/// Where the inputs of a target lie.
struct Folders {
    /// Kept with the code.
    kept: PathBuf,
    /// Found here, by this and by earlier runs.
    found: PathBuf,
    /// The loader's, which others make inputs from.
    sources: PathBuf,
    words: PathBuf,
    /// What the worker is at.
    current: PathBuf,
    crashes: PathBuf,
}

impl Folders {
    fn new(target: &Target, work: &str) -> Self {
        // `cargo xtask fuzz` runs this in the package's folder; one program may serve several checkouts.
        let package = Path::new("");
        let work = Path::new(work);
        Self {
            kept: package.join("corpus").join(target.name),
            found: work.join("found").join(target.name),
            sources: package.join("corpus/loader"),
            words: package.join("words.txt"),
            current: work.join(format!("current-{}", target.name)),
            crashes: work.join("crashes"),
        }
    }
}

fn oversee(target: &Target, work: &str, seconds: &str, seed: &str) -> Done {
    if !coverage::is_there() {
        return Err("this program was built without coverage: `cargo xtask fuzz` builds it right".into());
    }
    fs::create_dir_all(work)?;
    let mut worker = Command::new(std::env::current_exe()?);
    let status = worker.args([target.name, "work", seconds, work, seed]).status()?;
    if status.success() {
        return Ok(());
    }
    let folders = Folders::new(target, work);
    let path = folder::write(&folders.crashes, &worker::current(&folders.current)?)?;
    Err(format!("`{}` fails ({status}) on {}", target.name, path.display()).into())
}
