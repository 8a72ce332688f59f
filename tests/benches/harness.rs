//! Benchmarks by interleaved rounds: everything that is compared runs in turn, so that a busy machine disturbs all alike.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use serde_json::{Value, json};

/// Something that is timed: runs its work so many times.
pub(crate) type Work<'a> = Box<dyn FnMut(u64) + 'a>;

/// One thing that is timed.
pub(crate) struct Case<'a> {
    pub(crate) name: &'static str,
    pub(crate) work: Work<'a>,
    /// How often it runs in a round; more for what is short.
    pub(crate) repeats: u64,
}

/// The times of one case, in nanoseconds for one repeat, a value for each round.
#[derive(Clone, Debug)]
pub(crate) struct Times(Vec<f64>);

impl Times {
    pub(crate) fn new(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        Self(values)
    }

    pub(crate) fn quantile(&self, quantile: f64) -> f64 {
        let last = self.0.len().saturating_sub(1) as f64;
        self.0.get((last * quantile).round() as usize).copied().unwrap_or(f64::NAN)
    }

    pub(crate) fn median(&self) -> f64 {
        self.quantile(0.5)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

/// What each round took, by case: `rounds[case][round]`, in nanoseconds for one repeat.
pub(crate) fn interleaved(cases: &mut [Case<'_>], rounds: usize) -> Vec<Vec<f64>> {
    let mut times = vec![Vec::with_capacity(rounds); cases.len()];
    for case in cases.iter_mut() {
        (case.work)(case.repeats.min(1000));
    }
    for round in 0..rounds {
        for place in 0..cases.len() {
            // Another one begins each round.
            let index = (place + round) % cases.len();
            let case = &mut cases[index];
            let start = Instant::now();
            (case.work)(case.repeats);
            times[index].push(start.elapsed().as_nanos() as f64 / case.repeats as f64);
        }
    }
    times
}

/// One line of a report, with its bar if it has one.
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) times: Times,
    /// Beside what: the other's name and the ratios of the rounds.
    pub(crate) beside: Option<(String, Times)>,
    pub(crate) bar: Option<Bar>,
}

/// What a row is held to.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Bar {
    MedianNs(f64),
    Ratio(f64),
}

impl Row {
    pub(crate) fn new(name: impl Into<String>, rounds: &[f64]) -> Self {
        Self { name: name.into(), times: Times::new(rounds.to_vec()), beside: None, bar: None }
    }

    /// With the ratio to another case, round by round.
    pub(crate) fn beside(self, name: &str, rounds: &[f64], own: &[f64]) -> Self {
        let ratios = own.iter().zip(rounds).map(|(own, other)| own / other).collect();
        Self { beside: Some((name.to_owned(), Times::new(ratios))), ..self }
    }

    pub(crate) fn at_most(self, bar: Bar) -> Self {
        Self { bar: Some(bar), ..self }
    }

    fn is_met(&self) -> Option<bool> {
        Some(match self.bar? {
            Bar::MedianNs(bar) => self.times.median() <= bar,
            Bar::Ratio(bar) => self.beside.as_ref().is_some_and(|(_, ratios)| ratios.median() <= bar),
        })
    }

    fn line(&self) -> String {
        let mut line = format!(
            "{:<44} {:>11} {:>11} .. {:<11}",
            self.name,
            duration(self.times.median()),
            duration(self.times.quantile(0.1)),
            duration(self.times.quantile(0.9))
        );
        if let Some((name, ratios)) = &self.beside {
            let _ = write!(line, " {:>6.2}x of {name}", ratios.median());
        }
        if let (Some(bar), Some(is_met)) = (self.bar, self.is_met()) {
            let bar = match bar {
                Bar::MedianNs(bar) => duration(bar),
                Bar::Ratio(bar) => format!("{bar}x"),
            };
            let _ = write!(line, "   bar {bar}: {}", if is_met { "met" } else { "MISSED" });
        }
        line
    }

    fn json(&self) -> Value {
        json!({
            "name": self.name, "median_ns": self.times.median(), "p10_ns": self.times.quantile(0.1),
            "p90_ns": self.times.quantile(0.9), "rounds": self.times.0.len(),
            "beside": self.beside.as_ref().map(|(name, ratios)| json!({"name": name, "median_ratio": ratios.median()})),
            "met": self.is_met(),
        })
    }
}

pub(crate) fn duration(ns: f64) -> String {
    match ns {
        ns if ns.abs() < 1e3 => format!("{ns:.0} ns"),
        ns if ns.abs() < 1e6 => format!("{:.2} us", ns / 1e3),
        ns if ns.abs() < 1e9 => format!("{:.2} ms", ns / 1e6),
        ns => format!("{:.2} s", ns / 1e9),
    }
}

/// Prints the rows, writes them as JSON where `INFERWIT_BENCH_RESULTS` says, and fails if a bar was missed.
pub(crate) fn report(title: &str, rows: &[Row], more: Value) -> ExitCode {
    let mut text = format!("{title}\n{:<44} {:>11} {:>11} .. {:<11}\n", "", "median", "p10", "p90");
    for row in rows {
        text.push_str(&row.line());
        text.push('\n');
    }
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes());
    let document = json!({"title": title, "rows": rows.iter().map(Row::json).collect::<Vec<_>>(), "more": more});
    if let Err(error) = keep(&document) {
        let _ = writeln!(out, "{error}");
        return ExitCode::from(3);
    }
    if rows.iter().any(|row| row.is_met() == Some(false)) { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Writes the numbers as JSON where `INFERWIT_BENCH_RESULTS` says, if it does.
pub(crate) fn keep(document: &Value) -> Result<(), String> {
    let Some((_, path)) = std::env::vars_os().find(|(name, _)| name == "INFERWIT_BENCH_RESULTS") else { return Ok(()) };
    let path = PathBuf::from(path);
    fs::write(&path, format!("{document:#}\n")).map_err(|error| format!("cannot write `{}`: {error}", path.display()))
}

/// The rounds: fewer where `--quick` asks for a look only.
pub(crate) fn rounds(all: usize) -> usize {
    if std::env::args().any(|argument| argument == "--quick") { all.div_ceil(10) } else { all }
}
