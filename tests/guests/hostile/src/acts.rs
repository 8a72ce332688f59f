//! The misbehaviours themselves. Each runs into a limit of the host, or returns what it got away with.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "floods of output are among what the host must bear")]

use std::hint::black_box;
use std::time::{Duration, Instant, SystemTime};

use inferwit_plugin::log::{self, Level};
use inferwit_plugin::{Datatype, Failure, Outputs, Session, Tensor};

use crate::Misbehaviour;

const MEBIBYTE: usize = 1 << 20;

pub(crate) fn act(misbehaviour: Misbehaviour, amount: u64, tensor: Tensor) -> Result<Outputs, Failure> {
    match misbehaviour {
        Misbehaviour::None | Misbehaviour::SlowOpen | Misbehaviour::RefuseOpen => {}
        Misbehaviour::Loop => spin(0),
        Misbehaviour::Trap => trap(),
        Misbehaviour::Panic => panic!("panicked because it was asked to"),
        Misbehaviour::Memory => memory(amount),
        Misbehaviour::Handles => times(amount, || std::mem::forget(tensor.share())),
        Misbehaviour::Leak => std::mem::forget(tensor.share()),
        Misbehaviour::TensorMemory => tensor_memory(amount)?,
        Misbehaviour::HugeTensor => drop(Tensor::zeros(Datatype::Fp64, &[u64::MAX / 2, 4])?),
        Misbehaviour::Log => flood_log(amount),
        Misbehaviour::Output => flood_output(amount),
        Misbehaviour::Recursion => _ = black_box(recurse(black_box(1))),
        Misbehaviour::WideRecursion => _ = black_box(recurse_widely(black_box(1))),
        Misbehaviour::FailInvalid => return Err(Failure::invalid("invalid on request")),
        Misbehaviour::FailUnprocessable => return Err(Failure::unprocessable("unprocessable on request")),
        Misbehaviour::FailDeadline => return Err(Failure::DeadlineExceeded),
        Misbehaviour::FailExhausted => return Err(Failure::Exhausted("exhausted on request".to_owned())),
        Misbehaviour::FailInternal => return Err(Failure::internal("secret of the plugin")),
        Misbehaviour::FailOther => return Err(Failure::Other("secret of the plugin".to_owned())),
        Misbehaviour::FailHuge => return Err(Failure::invalid("\u{1b}[31mhuge\n".repeat(MEBIBYTE / 10))),
        Misbehaviour::MissingOutput => return Ok(Outputs::new()),
        Misbehaviour::UnknownOutput => {
            return Ok(Outputs::new().with("surprise", tensor.share()).with("tensor", tensor));
        }
        Misbehaviour::DoubleOutput => return Ok(Outputs::new().with("tensor", tensor.share()).with("tensor", tensor)),
        Misbehaviour::WrongDatatype => return text(&["not what was announced".to_owned()]),
        Misbehaviour::Exit => std::process::exit(0),
        Misbehaviour::ExitFailure => std::process::exit(1),
        Misbehaviour::Wasi => return text(&escape()),
        Misbehaviour::Model => return secret_model(&tensor),
        Misbehaviour::OutOfBounds => drop(tensor.read(tensor.byte_length(), 1)?),
        Misbehaviour::Sleep => std::thread::sleep(Duration::from_secs(amount.clamp(1, 3600))),
    }
    Ok(Outputs::new().with("tensor", tensor))
}

/// Computes for so many rounds; 0 is without end.
pub(crate) fn spin(rounds: u64) {
    let mut round = 0_u64;
    times(rounds, || round = black_box(round.wrapping_add(1)));
}

fn times(amount: u64, mut act: impl FnMut()) {
    let mut done = 0_u64;
    while amount == 0 || done < amount {
        act();
        done = done.wrapping_add(1);
    }
}

#[cfg(target_family = "wasm")]
fn trap() -> ! {
    core::arch::wasm32::unreachable()
}

#[cfg(not(target_family = "wasm"))]
fn trap() -> ! {
    std::process::abort()
}

fn memory(amount: u64) {
    let mut held = Vec::new();
    times(amount, || held.push(black_box(vec![1_u8; MEBIBYTE])));
}

fn tensor_memory(amount: u64) -> Result<(), Failure> {
    let mut held = Vec::new();
    let mut result = Ok(());
    times(amount, || match Tensor::zeros(Datatype::Uint8, &[MEBIBYTE as u64]) {
        Ok(tensor) => held.push(tensor),
        Err(error) => {
            // It tries on all the same, and reports the first refusal if it is ever let go.
            if result.is_ok() {
                result = Err(error);
            }
        }
    });
    Ok(result?)
}

/// What the model makes of the tensor.
fn secret_model(tensor: &Tensor) -> Result<Outputs, Failure> {
    let session = Session::open("secret")?;
    let input = session.inputs().swap_remove(0).name;
    let outputs = session.run(&[(&input, tensor)], &[])?;
    Ok(outputs.into_iter().map(|(_, tensor)| ("tensor".to_owned(), tensor)).take(1).collect())
}

fn flood_log(amount: u64) {
    let line = "\u{1b}[31merror: forged\n\r\0".repeat(MEBIBYTE / 20);
    times(amount, || log::write(Level::Error, &line, &[("key\n", &line)]));
}

fn flood_output(amount: u64) {
    let line = "forged\u{1b}[31m".repeat(64);
    times(amount, || {
        println!("{line}");
        eprintln!("{line}");
    });
}

/// Frames in the engine's stack. Has an end that no stack reaches.
fn recurse(depth: u64) -> u64 {
    if black_box(depth) == u64::MAX { depth } else { recurse(depth + 1).wrapping_add(black_box(1)) }
}

/// Frames in the guest's own memory.
fn recurse_widely(depth: u64) -> u64 {
    let block = black_box([depth; 64]);
    if depth == u64::MAX { depth } else { recurse_widely(depth + 1).wrapping_add(block[7]) }
}

/// What of the outside can be seen, one line each.
#[expect(clippy::disallowed_methods, reason = "the environment is what this looks for")]
fn escape() -> Vec<String> {
    let clock = Instant::now();
    spin(100_000);
    let mut random = [0_u8; 8];
    random.copy_from_slice(&std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), 1_u8).to_le_bytes());
    vec![
        format!("read: {:?}", std::fs::read("/etc/passwd").map(|bytes| bytes.len()).map_err(|error| error.kind())),
        format!("write: {:?}", std::fs::write("/tmp/escaped", b"escaped").map_err(|error| error.kind())),
        format!("list: {:?}", std::fs::read_dir("/").map(Iterator::count).map_err(|error| error.kind())),
        format!(
            "connect: {:?}",
            std::net::TcpStream::connect("127.0.0.1:8000").map(drop).map_err(|error| error.kind())
        ),
        format!("path: {:?}", std::env::var("PATH").ok()),
        format!("variables: {}", std::env::vars().count()),
        format!("arguments: {}", std::env::args().count()),
        format!("stdin: {:?}", std::io::stdin().lines().next().map(|line| line.map_err(|error| error.kind()))),
        format!("elapsed: {:?}", clock.elapsed()),
        format!("time: {:?}", SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_err(|_| "before 1970")),
        format!("random: {random:02x?}"),
    ]
}

fn text(lines: &[String]) -> Result<Outputs, Failure> {
    Ok(Outputs::new().with("tensor", Tensor::from_byte_strings(&[lines.len() as u64], lines)?))
}
