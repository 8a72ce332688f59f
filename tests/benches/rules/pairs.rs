//! Workloads in CLIPS and here, in turn: what each pair took, and whether the two answers agree. Prints nothing.

use std::fs;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::clips::{Clips, ClipsRun};
use super::engine::{Engine, Loaded};
use super::report::{Line, milliseconds, min_and_median};
use super::workloads::{Answer, Workload};
use super::{clips_facts, seating};

/// One repetition on both sides.
struct Pair {
    clips: ClipsRun,
    cpu_s: f64,
    fired: u64,
    answer: String,
}

/// Runs the workloads in turn, `pairs` times over and once before that counts for nothing, each time with another seed.
pub(crate) fn run(engine: &Engine, clips: &mut Clips, workloads: &[Workload], pairs: usize) -> Vec<Line> {
    let loaded: Vec<Result<Loaded<'_>, String>> =
        workloads.iter().map(|workload| engine.load(&workload.source())).collect();
    let mut results: Vec<Result<Vec<Pair>, String>> = workloads.iter().map(|_| Ok(Vec::new())).collect();
    for seed in 0..=pairs {
        for ((workload, loaded), result) in workloads.iter().zip(&loaded).zip(&mut results) {
            let Ok(done) = result else { continue };
            let pair = match loaded {
                Ok(loaded) => pair(loaded, clips, workload, seed),
                Err(error) => Err(error.clone()),
            };
            match pair {
                Ok(pair) if seed > 0 => done.push(pair),
                Ok(_warm_up) => {}
                Err(error) => *result = Err(error),
            }
        }
    }
    workloads.iter().zip(results).map(|(workload, pairs)| line(workload, pairs)).collect()
}

fn pair(loaded: &Loaded<'_>, clips: &mut Clips, workload: &Workload, seed: usize) -> Result<Pair, String> {
    let theirs = clips.run(&workload.asked(seed))?;
    let text = fs::read_to_string(&theirs.facts).map_err(|error| format!("read the facts: {error}"))?;
    let rows = clips_facts::read(&text).ok_or("the facts are not in the syntax of CLIPS")?;
    let facts = loaded.facts(&rows)?;
    let ours = loaded.evaluate(&facts)?;
    let lines = loaded.lines(&ours.outcome, workload.answer.slots());
    let answer = digest(&lines);
    match workload.answer {
        Answer::Only(_) if answer != theirs.answer => {
            return Err(format!("the answer {answer} is not that of CLIPS, {}", theirs.answer));
        }
        Answer::Only(_) => {}
        Answer::Seating(_) => {
            seating::check(&rows, &theirs.lines).map_err(|error| format!("CLIPS's seating: {error}"))?;
            seating::check(&rows, &lines).map_err(|error| format!("our seating: {error}"))?;
        }
    }
    Ok(Pair { clips: theirs, cpu_s: ours.cpu_s, fired: loaded.fired(&ours.outcome), answer })
}

fn digest(lines: &[String]) -> String {
    let mut hasher = Sha256::new();
    for line in lines {
        hasher.update(line.as_bytes());
        hasher.update(b"\n");
    }
    hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn line(workload: &Workload, pairs: Result<Vec<Pair>, String>) -> Line {
    let pairs = match pairs {
        Ok(pairs) => pairs,
        Err(error) => return Line::failed(workload.name, &error),
    };
    let parts = |part: fn(&ClipsRun) -> f64| min_and_median(pairs.iter().map(|pair| part(&pair.clips)).collect());
    let run = parts(|clips| clips.run_s);
    let (load, templates) = (parts(|clips| clips.load_s), parts(|clips| clips.load_templates_s));
    let ours = min_and_median(pairs.iter().map(|pair| pair.cpu_s).collect());
    // Part by part: the difference of two measurements of one repetition is mostly their noise.
    let matched = (load.0 - templates.0, load.1 - templates.1);
    let theirs = (run.0 + matched.0, run.1 + matched.1);
    let ratio = (ours.0 / theirs.0, ours.1 / theirs.1);
    let met = workload.ratio_max.map(|bar| ratio.1 <= bar);
    let first = &pairs[0];
    let answer = match workload.answer {
        Answer::Only(_) => format!("{} agrees", &first.answer[..12]),
        Answer::Seating(_) => "seatings are right".to_owned(),
    };
    // Not wrong in itself, where an order of firing is free; but it asks for a look.
    let differ = pairs.iter().any(|pair| pair.fired != pair.clips.firings);
    let bar = workload.ratio_max.map_or_else(|| "no bar".to_owned(), |bar| format!("bar {bar}x"));
    let text = format!(
        "CLIPS {} / {} (run {} + matching while loading {}), here {} / {}: {:.3}x / {:.3}x, {bar}; fired {} and {}{}, {answer}",
        milliseconds(theirs.0),
        milliseconds(theirs.1),
        milliseconds(run.1),
        milliseconds(matched.1),
        milliseconds(ours.0),
        milliseconds(ours.1),
        ratio.0,
        ratio.1,
        first.clips.firings,
        first.fired,
        if differ { " (DIFFER)" } else { "" },
    );
    Line::new(workload.name, text, met, numbers(&pairs, ratio))
}

fn numbers(pairs: &[Pair], ratio: (f64, f64)) -> Value {
    let pairs: Vec<Value> = pairs
        .iter()
        .map(|Pair { clips, cpu_s, fired, answer }| {
            json!({
                "clips": {"run_s": clips.run_s, "load_s": clips.load_s, "load_templates_s": clips.load_templates_s,
                    "firings": clips.firings},
                "here": {"evaluate_s": cpu_s, "fired": fired}, "answer": answer,
            })
        })
        .collect();
    json!({"pairs": pairs, "min_ratio": ratio.0, "median_ratio": ratio.1})
}
