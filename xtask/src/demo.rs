//! `cargo xtask demo`: registers and deploys `photo-check`, serves it, posts a photograph over REST, prints the answer.
//!
//! Drives the `inferwit` program as a user would; knows nothing of its insides.

mod http;

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::fetch;
use crate::layout::Layout;
use crate::process::{hinted, output_of, show};
use crate::progress::Step;

const PIPELINE: &str = "photo-check";
const ENVIRONMENT: &str = "dev";
const PLUGINS: &[&str] = &["image", "detections", "checks"];
const MODEL_OPTIONS: &str = "config/models/centerface.model.yaml";
const PIPELINE_FILE: &str = "config/pipelines/photo-check.yaml";
const PHOTO: &str = "astronaut.png";
/// `serve` says this much on one line and then nothing more on standard output.
const READY_LINE_BYTES_MAX: u64 = 64 * 1024;

pub(crate) fn photo(layout: &Layout, keep: bool) -> Result<()> {
    let step = Step::begin_shown("build the server");
    show(layout.cargo().args(["build", "--release", "--package", "inferwit", "--locked"]))?;
    step.done();

    let demo = Demo { layout, folder: layout.data.join("demo") };
    demo.deploy()?;
    let server = demo.serve()?;
    let photo = layout.fixtures().join(PHOTO);
    let request = Request::of_photo(&photo)?;

    let begin = Instant::now();
    let answer = http::post(&server.address, &request.path(), request.json.len(), &request.body)?;
    let elapsed = begin.elapsed();
    println!("\nposted {} to http://{}{}\n", photo.display(), server.address, request.path());
    print_answer(&answer)?;
    println!("\nround trip {:.1} ms", elapsed.as_secs_f64() * 1e3);
    if !keep {
        return server.stop();
    }
    let file = demo.folder.join("request.bin");
    fs::write(&file, &request.body).with_context(|| format!("write `{}`", file.display()))?;
    println!("\nthe server runs on; stop it with Ctrl-C. Try:\n");
    println!(
        "curl -s -H 'Inference-Header-Content-Length: {}' --data-binary @{} http://{}{}",
        request.json.len(),
        file.display(),
        server.address,
        request.path()
    );
    server.wait()
}

struct Demo<'a> {
    layout: &'a Layout,
    /// The demo's own registry; used again while nothing that went into it has changed.
    folder: PathBuf,
}

impl Demo<'_> {
    fn inferwit(&self) -> Command {
        let mut command = Command::new(self.layout.program("release"));
        command.env(crate::env::DATA_DIR, &self.layout.data).current_dir(&self.layout.root);
        command
    }

    fn registry(&self) -> PathBuf {
        self.folder.join("inferwit.db")
    }

    fn deploy(&self) -> Result<()> {
        let stamp = self.folder.join("deployed");
        let sources = self.sources()?;
        if fs::read_to_string(&stamp).is_ok_and(|present| present == sources) {
            return Ok(());
        }
        fetch::fresh_folder(&self.folder)?;
        let model = self.layout.fixtures().join("centerface.onnx");
        self.step("register the model centerface", &["model", "add"], &model, &["--options", MODEL_OPTIONS])?;
        for plugin in PLUGINS {
            let file = self.plugin(plugin);
            self.step(&format!("register the plugin {plugin}"), &["plugin", "add"], &file, &[])?;
        }
        let pipeline = self.layout.root.join(PIPELINE_FILE);
        self.step(&format!("register the pipeline {PIPELINE}"), &["pipeline", "add"], &pipeline, &[])?;
        self.step(&format!("deploy it to {ENVIRONMENT}"), &["deploy"], Path::new(PIPELINE), &["--env", ENVIRONMENT])?;
        fs::write(&stamp, sources).with_context(|| format!("write `{}`", stamp.display()))
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

    /// A digest of everything that is registered and of the program that does it.
    fn sources(&self) -> Result<String> {
        let mut files = vec![self.layout.program("release"), self.layout.fixtures().join("centerface.onnx")];
        files.extend(PLUGINS.iter().map(|plugin| self.plugin(plugin)));
        files.extend([MODEL_OPTIONS, PIPELINE_FILE].map(|file| self.layout.root.join(file)));
        let mut hasher = Sha256::new();
        for file in files {
            hasher.update(fetch::sha256(&file).with_context(|| format!("read `{}`", file.display()))?);
        }
        Ok(fetch::hex(&hasher.finalize()))
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

/// An inference request in the binary form: the JSON part, then the photograph as one BYTES element.
struct Request {
    json: String,
    body: Vec<u8>,
}

impl Request {
    fn of_photo(photo: &Path) -> Result<Self> {
        let bytes = fs::read(photo).with_context(|| format!("read `{}`", photo.display()))?;
        let length = u32::try_from(bytes.len()).context("a photograph is below 4 GiB")?;
        let json = json!({
            "inputs": [{
                "name": "photo",
                "datatype": "BYTES",
                "shape": [1],
                "parameters": {"binary_data_size": bytes.len() + size_of::<u32>()},
            }],
            "parameters": {"trace": true},
        })
        .to_string();
        let body = [json.as_bytes(), &length.to_le_bytes(), &bytes].concat();
        Ok(Self { json, body })
    }

    fn path(&self) -> String {
        format!("/v2/models/{PIPELINE}/infer")
    }
}

fn print_answer(answer: &Value) -> Result<()> {
    let boxes = numbers(answer, "boxes")?;
    let scores = numbers(answer, "scores")?;
    println!("faces: {}", scores.len());
    for (corners, score) in boxes.chunks(4).zip(&scores) {
        let corners: Vec<String> = corners.iter().map(|corner| format!("{corner:.1}")).collect();
        println!("  score {score:.3}  box [{}]", corners.join(", "));
    }
    let parameters = &answer["parameters"];
    let findings = embedded(parameters, "inferwit_findings")?;
    println!("findings: {}", findings.len());
    for finding in &findings {
        println!("  {finding}");
    }
    println!("steps:");
    for step in embedded(parameters, "inferwit_trace")? {
        let microseconds = step["duration_ns"].as_f64().unwrap_or_default() / 1e3;
        println!("  {:<12} {microseconds:>10.1} us", step["step"].as_str().unwrap_or("?"));
    }
    println!("bundle: {}", parameters["inferwit_bundle"].as_str().unwrap_or("not said"));
    Ok(())
}

/// An output's elements; the server may nest them.
fn numbers(answer: &Value, name: &str) -> Result<Vec<f64>> {
    let outputs = answer["outputs"].as_array().map(Vec::as_slice).unwrap_or_default();
    let output = outputs.iter().find(|output| output["name"] == name);
    let output = output.with_context(|| format!("the answer has no output `{name}`: {answer}"))?;
    let mut flat = Vec::new();
    flatten(&output["data"], &mut flat);
    Ok(flat)
}

fn flatten(value: &Value, flat: &mut Vec<f64>) {
    match value {
        Value::Array(values) => values.iter().for_each(|value| flatten(value, flat)),
        _ => flat.extend(value.as_f64()),
    }
}

/// The list in a response parameter that holds JSON as text; none if the parameter is absent.
fn embedded(parameters: &Value, name: &str) -> Result<Vec<Value>> {
    let Some(text) = parameters[name].as_str() else {
        return Ok(Vec::new());
    };
    match serde_json::from_str(text).with_context(|| format!("read the response's parameter `{name}`"))? {
        Value::Array(values) => Ok(values),
        other => Ok(vec![other]),
    }
}
