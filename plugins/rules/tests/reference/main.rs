//! The engine against a plain reference: random rule sets, facts and steps, and all that can be seen from outside compared.
//!
//! `RULES_REFERENCE_PROGRAMS=n` runs so many programs, `RULES_REFERENCE_SEED=n` begins with that seed.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

mod acting;
mod comparison;
mod deciding;
mod expression;
mod expressions;
mod generator;
mod interpreter;
mod matching;
mod program;
mod random;
mod value;

use comparison::{Compared, compare};
use program::Program;

/// Without the variable.
const PROGRAMS: u64 = 50_000;
/// Of the programs, at most so many percent may end early: there only the kind of the end is compared.
const EARLY_PERCENT_MAX: u64 = 20;
/// So many differences are looked for and shown.
const DIFFERENCES_MAX: usize = 5;

#[test]
fn random_programs_run_as_the_reference_says() {
    let (programs, first) = (setting("RULES_REFERENCE_PROGRAMS", PROGRAMS), setting("RULES_REFERENCE_SEED", 0));
    let tally = Tally { next: AtomicU64::new(first), end: first + programs, ..Tally::default() };
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        (0..threads).for_each(|_| _ = scope.spawn(|| tally.work()));
    });
    let mut report = String::new();
    for seed in tally.different.into_inner().unwrap().into_iter().take(DIFFERENCES_MAX) {
        let (smallest, difference) = shrunk(generator::program(seed));
        report.push_str(&format!("seed {seed}: {difference}\n{smallest}\n"));
    }
    assert!(report.is_empty(), "{report}");
    if let Some(findings) = tally.invalid.into_inner().unwrap() {
        panic!("no rule set: {findings}");
    }
    let early = tally.early.into_inner();
    assert!(early * 100 <= programs * EARLY_PERCENT_MAX, "{early} of {programs} programs end early");
}

#[derive(Default)]
struct Tally {
    next: AtomicU64,
    end: u64,
    early: AtomicU64,
    /// What is wrong with a program that is no rule set.
    invalid: Mutex<Option<String>>,
    /// Seeds that show a difference.
    different: Mutex<Vec<u64>>,
}

impl Tally {
    fn work(&self) {
        loop {
            let seed = self.next.fetch_add(1, Ordering::Relaxed);
            if seed >= self.end
                || self.different.lock().expect("no comparison panics while it holds the lock").len() >= DIFFERENCES_MAX
            {
                return;
            }
            match judge(&generator::program(seed)) {
                Compared::Equal => {}
                Compared::Early => _ = self.early.fetch_add(1, Ordering::Relaxed),
                Compared::Invalid(findings) => {
                    *self.invalid.lock().expect("no comparison panics while it holds the lock") =
                        Some(format!("seed {seed}: {findings}"))
                }
                Compared::Different(_) => {
                    self.different.lock().expect("no comparison panics while it holds the lock").push(seed)
                }
            }
        }
    }
}

/// A panic of the engine is a difference like any other.
fn judge(program: &Program) -> Compared {
    catch_unwind(AssertUnwindSafe(|| compare(program))).unwrap_or_else(|panic| match panic.downcast_ref::<String>() {
        Some(message) if message.starts_with(matching::BEYOND_REFERENCE) => Compared::Early,
        _ => Compared::Different("a panic".to_owned()),
    })
}

/// Takes pieces out as long as there is a difference.
fn shrunk(mut program: Program) -> (Program, String) {
    loop {
        let smaller = program.smaller().into_iter().find(|smaller| matches!(judge(smaller), Compared::Different(_)));
        match smaller {
            Some(smaller) => program = smaller,
            None => break,
        }
    }
    let difference = match judge(&program) {
        Compared::Different(difference) => difference,
        other => format!("{other:?}"),
    };
    (program, difference)
}

#[expect(clippy::disallowed_methods, reason = "how long a test runs is no setting of the server")]
fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}
