//! The program `inferwit`. All that it does is in `cli`.

use std::process::ExitCode;

fn main() -> ExitCode {
    inferwit::cli::main()
}
