//! CLIPS's side of the benchmark of rules: a process that runs workloads one after the other and says what each took.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::Value;

pub(crate) struct Clips {
    child: Child,
    /// `None` once it is told to end.
    asks: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

/// What CLIPS did with a workload. Seconds are of CPU time.
pub(crate) struct ClipsRun {
    /// The facts that it was given, as text.
    pub(crate) facts: PathBuf,
    pub(crate) run_s: f64,
    pub(crate) load_s: f64,
    pub(crate) load_templates_s: f64,
    pub(crate) firings: u64,
    pub(crate) answer: String,
    /// The answer itself, where it is to be checked rather than compared.
    pub(crate) lines: Vec<String>,
}

impl Clips {
    /// `folder` takes what is generated; `programs` holds the published programs.
    pub(crate) fn start(script: &Path, folder: &Path, programs: Option<&Path>) -> Result<Self, String> {
        let mut command = Command::new("python3");
        command.arg(script).args(["--serve", "--folder"]).arg(folder);
        if let Some(programs) = programs {
            command.arg("--clips-programs").arg(programs);
        }
        let started = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = started.map_err(|error| format!("start python3: {error}"))?;
        let asks = Some(child.stdin.take().ok_or("python3 has no input")?);
        let answers = child.stdout.take().map(BufReader::new).ok_or("python3 has no output")?;
        Ok(Self { child, asks, answers })
    }

    /// Runs a workload, as `waltz 50`.
    pub(crate) fn run(&mut self, workload: &str) -> Result<ClipsRun, String> {
        let mut line = String::new();
        let asks = self.asks.as_mut().ok_or("CLIPS's side has ended")?;
        let asked = writeln!(asks, "{workload}").and_then(|()| self.answers.read_line(&mut line));
        asked.map_err(|error| format!("ask CLIPS for `{workload}`: {error}"))?;
        if line.is_empty() {
            return Err(format!(
                "CLIPS's side ended at `{workload}`; it needs clipspy, which `cargo xtask bench rules` brings for Python 3.11"
            ));
        }
        let answer: Value = serde_json::from_str(&line).map_err(|error| format!("read CLIPS's answer: {error}"))?;
        if let Some(error) = answer["error"].as_str() {
            return Err(error.to_owned());
        }
        let seconds = |name: &str| answer[name].as_f64().ok_or_else(|| format!("CLIPS's answer lacks `{name}`"));
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        Ok(ClipsRun {
            facts: PathBuf::from(text(&answer["facts"])),
            run_s: seconds("run_s")?,
            load_s: seconds("load_s")?,
            load_templates_s: seconds("load_templates_s")?,
            firings: answer["firings"].as_u64().ok_or("CLIPS's answer lacks `firings`")?,
            answer: text(&answer["answer"]),
            lines: answer["lines"].as_array().map_or_else(Vec::new, |lines| lines.iter().map(text).collect()),
        })
    }
}

impl Drop for Clips {
    fn drop(&mut self) {
        // It ends when its input does.
        self.asks = None;
        let _ = self.child.wait();
    }
}
