//! `cargo xtask demo`: what the demonstrations share. Registers once, serves, and ends the server again.
//!
//! Drives the `inferwit` program as a user would; knows nothing of its insides.

mod credit;
mod http;
mod photo;
mod training;

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::fetch;
use crate::layout::Layout;
use crate::process::{hinted, output_of, show};
use crate::progress::Step;

pub(crate) use credit::credit;
pub(crate) use photo::photo;

const ENVIRONMENT: &str = "dev";
/// `serve` says this much on one line and then nothing more on standard output.
const READY_LINE_BYTES_MAX: u64 = 64 * 1024;

/// One demonstration: what it registers, and where.
struct Demo<'a> {
    layout: &'a Layout,
    /// The demo's own registry; used again while nothing that went into it has changed.
    folder: PathBuf,
}

impl<'a> Demo<'a> {
    fn new(layout: &'a Layout, folder: &str) -> Result<Self> {
        let step = Step::begin_shown("build the server");
        show(layout.cargo().args(["build", "--release", "--package", "inferwit", "--locked"]))?;
        step.done();
        Ok(Self { layout, folder: layout.data.join(folder) })
    }

    fn inferwit(&self) -> Command {
        let mut command = Command::new(self.layout.program("release"));
        command.env(crate::env::DATA_DIR, &self.layout.data).current_dir(&self.layout.root);
        command
    }

    fn registry(&self) -> PathBuf {
        self.folder.join("inferwit.db")
    }

    /// Registers anew, unless neither these files nor the program that registers them have changed.
    fn once(&self, sources: &[PathBuf], register: impl FnOnce() -> Result<()>) -> Result<()> {
        let stamp = self.folder.join("deployed");
        let digest = self.digest(sources)?;
        if fs::read_to_string(&stamp).is_ok_and(|present| present == digest) {
            return Ok(());
        }
        fetch::fresh_folder(&self.folder)?;
        register()?;
        fs::write(&stamp, digest).with_context(|| format!("write `{}`", stamp.display()))
    }

    fn digest(&self, sources: &[PathBuf]) -> Result<String> {
        let mut hasher = Sha256::new();
        for file in std::iter::once(&self.layout.program("release")).chain(sources) {
            hasher.update(fetch::sha256(file).with_context(|| format!("read `{}`", file.display()))?);
        }
        Ok(fetch::hex(&hasher.finalize()))
    }

    /// Adds the plugin that was built from this checkout.
    fn add_plugin(&self, name: &str) -> Result<()> {
        self.step(&format!("register the plugin {name}"), &["plugin", "add"], &self.plugin(name), &[])
    }

    fn deploy(&self, pipeline: &str) -> Result<()> {
        self.step(&format!("deploy it to {ENVIRONMENT}"), &["deploy"], Path::new(pipeline), &["--env", ENVIRONMENT])
    }

    fn step(&self, what: &str, verb: &[&str], subject: &Path, options: &[&str]) -> Result<()> {
        let step = Step::begin(what);
        let mut command = self.inferwit();
        command.args(verb).arg(subject).args(options).arg("--json").arg("--registry").arg(self.registry());
        output_of(&mut command)?;
        step.done();
        Ok(())
    }

    fn plugin(&self, name: &str) -> PathBuf {
        self.layout.plugins().join(format!("{name}.wasm"))
    }

    fn serve(&self) -> Result<Server> {
        let step = Step::begin("start the server");
        let log_path = self.folder.join("serve.log");
        let log = fs::File::create(&log_path).with_context(|| format!("create `{}`", log_path.display()))?;
        let mut child = self
            .inferwit()
            .args(["serve", "--env", ENVIRONMENT, "--json", "--registry"])
            .arg(self.registry())
            .env("INFERWIT__SERVER__HTTP", "127.0.0.1:0")
            .env("INFERWIT__MONITORING__METRICS_PORT", "127.0.0.1:0")
            .env("INFERWIT__MONITORING__TRACE_REQUESTS", "true")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .context("start `inferwit serve`")?;
        let stdout = child.stdout.take().expect("standard output is piped");
        let mut server = Server { child, address: String::new(), stdout: BufReader::new(stdout) };
        server.address = server.ready().map_err(|error| {
            let log = fs::read_to_string(&log_path).unwrap_or_default();
            hinted(format!("start `inferwit serve`: {error:#}\n{log}"), "`inferwit doctor` says what is missing")
        })?;
        step.done();
        Ok(server)
    }
}

/// `inferwit serve` as a child; stopped when dropped.
struct Server {
    child: Child,
    address: String,
    /// Kept open: a server that cannot write is a server that fails.
    stdout: BufReader<ChildStdout>,
}

impl Server {
    /// Waits for the line that says it is ready, which comes, or the end of the stream if the server dies.
    fn ready(&mut self) -> Result<String> {
        let mut line = String::new();
        std::io::Read::take(&mut self.stdout, READY_LINE_BYTES_MAX)
            .read_line(&mut line)
            .context("read its first line")?;
        let ready: Value =
            serde_json::from_str(&line).with_context(|| format!("it said {line:?} in place of `ready`"))?;
        ready["http"].as_str().map(str::to_owned).with_context(|| format!("it named no address: {ready}"))
    }

    /// Asks it to drain and waits for its end.
    fn stop(mut self) -> Result<()> {
        let step = Step::begin("stop the server");
        output_of(Command::new("sh").args(["-c", &format!("kill -TERM {}", self.child.id())]))?;
        let status = self.child.wait().context("wait for the server")?;
        if !status.success() {
            bail!("the server ended with {status}");
        }
        step.done();
        Ok(())
    }

    fn wait(mut self) -> Result<()> {
        self.child.wait().context("wait for the server").map(drop)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // After `stop` or `wait` it is gone, and this does nothing.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The path that a pipeline's requests are posted to.
fn infer_path(pipeline: &str) -> String {
    format!("/v2/models/{pipeline}/infer")
}

/// An output's elements, which the server may nest.
fn elements(answer: &Value, name: &str) -> Result<Vec<Value>> {
    let outputs = answer["outputs"].as_array().map(Vec::as_slice).unwrap_or_default();
    let output = outputs.iter().find(|output| output["name"] == name);
    let output = output.with_context(|| format!("the answer has no output `{name}`: {answer}"))?;
    let mut flat = Vec::new();
    flatten(&output["data"], &mut flat);
    Ok(flat)
}

fn flatten(value: &Value, flat: &mut Vec<Value>) {
    match value {
        Value::Array(values) => values.iter().for_each(|value| flatten(value, flat)),
        _ => flat.push(value.clone()),
    }
}

fn numbers(answer: &Value, name: &str) -> Result<Vec<f64>> {
    Ok(elements(answer, name)?.iter().filter_map(Value::as_f64).collect())
}

/// What a response parameter says that holds JSON as text; null if the parameter is absent.
fn embedded(answer: &Value, name: &str) -> Result<Value> {
    match answer["parameters"][name].as_str() {
        Some(text) => serde_json::from_str(text).with_context(|| format!("read the response's parameter `{name}`")),
        None => Ok(Value::Null),
    }
}

fn print_bundle(answer: &Value) {
    println!("bundle: {}", answer["parameters"]["inferwit_bundle"].as_str().unwrap_or("not said"));
}
