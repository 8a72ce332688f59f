//! `inferwit serve`: loads, listens, says so, and drains when it is asked to stop. What is served is the application's.

use std::process;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use serde_json::json;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::output::{Output, is_closed, short};
use super::session::{Kind, Session};
use super::{Outcome, Verdict};
use crate::app::{App, Follower, Generation, Serving, Target};
use crate::config::{Config, Override};
use crate::server::{Running, Served, Server, ServerLimits, ServerSettings};
use crate::telemetry::{Metrics, chain};
use crate::tensor::{Signature, TensorSpec};

/// Serves what is active in an environment, or what is named, over HTTP until it is stopped.
///
/// Without anything named it follows the environment: what is deployed there later is served within a second. What is
/// named is served as it is now; --env follows an environment beside it. It listens once everything is loaded. SIGTERM or
/// Ctrl-C ends what was begun first; a second one ends it at once.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  inferwit serve --env dev
  inferwit serve model.onnx --http 127.0.0.1:9000

Prints, once it is ready, the addresses, what is served, and a request to try; with --json one line. The log \
goes to standard error.")]
pub(super) struct Serve {
    /// Registered pipelines, models or plugins, models' .onnx, pipelines' .yaml
    #[arg(value_name = "REF or FILE", value_parser = Target::parse)]
    targets: Vec<Target>,
    /// The same as naming it without this flag; may be given again
    #[arg(long, value_name = "REF", value_parser = Target::parse)]
    model: Vec<Target>,
    /// The environment to follow; default: the configuration's, unless something is named
    #[arg(long)]
    env: Option<String>,
    /// Where the REST door listens, as 127.0.0.1:8000; port 0: any that is free
    #[arg(long, value_name = "ADDRESS")]
    http: Option<String>,
    /// Where metrics are read, a port on loopback or an address; port 0: any that is free
    #[arg(long, value_name = "ADDRESS")]
    metrics: Option<String>,
}

impl Serve {
    pub(super) fn run(mut self, session: &Session, out: &mut Output<'_>) -> Outcome {
        let flags = [
            ("--env", "environment", &self.env),
            ("--http", "server.http", &self.http),
            ("--metrics", "monitoring.metrics_port", &self.metrics),
        ];
        let flags: Vec<Override> = flags
            .into_iter()
            .filter_map(|(flag, key, value)| Some(Override::flag(flag, key, value.as_deref()?)))
            .collect();
        let app = session.open(&flags, Kind::Server)?;
        self.targets.append(&mut self.model);
        let follows = self.targets.is_empty() || self.env.is_some();
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("start threads")?;
        let outcome = runtime.block_on(self.serve(&app, follows, session, out));
        // What still loads after an interruption is not waited for.
        runtime.shutdown_background();
        outcome
    }

    async fn serve(self, app: &Arc<App>, follows: bool, session: &Session, out: &mut Output<'_>) -> Outcome {
        let mut signals = Signals::listen()?;
        let file = session.config_file().map(|file| file.display().to_string());
        tracing::info!(version = env!("CARGO_PKG_VERSION"), configuration = file, "inferwit starts");
        let loading = tokio::task::spawn_blocking({
            let app = Arc::clone(app);
            move || load(&app, &self.targets, follows)
        });
        let progress = session.progress("load");
        let (serving, follower) = tokio::select! {
            loaded = loading => loaded.context("load")??,
            () = signals.next() => return Ok(Verdict::Interrupted),
        };
        drop(progress);
        let settings = settings(app.config());
        let running = Server::start(settings, Arc::clone(&serving) as _, Arc::new(Metrics::new())).await?;
        serving.set_ready();
        let environment = follows.then_some(&app.config().environment);
        if let Some(environment) = environment.filter(|_| serving.list().is_empty()) {
            let hint = format!("`inferwit deploy NAME --env {environment}` deploys something; it is served at once");
            session.note(&format!("nothing is active in environment `{environment}` yet"), &hint);
        }
        match ready(&running, &serving.list(), environment.map(ToString::to_string), out) {
            // Nobody needs to read this for the server to serve.
            Err(error) if !is_closed(&error) => return Err(error),
            _ => {}
        }
        signals.next().await;
        tracing::info!("stopping: requests that were begun are answered");
        let stopped = async {
            running.stop().await;
            // It ends once it has loaded what it may be loading.
            tokio::task::spawn_blocking(move || drop(follower)).await
        };
        tokio::select! {
            _ = stopped => {
                tracing::info!("stopped");
                Ok(Verdict::Good)
            }
            () = signals.next() => {
                tracing::warn!("stopped at once");
                process::exit(Verdict::Interrupted.code().into())
            }
        }
    }
}

/// Both ways to be asked to stop.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("listen for signals");
        Ok(Self { terminate: listen(SignalKind::terminate())?, interrupt: listen(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

fn load(app: &Arc<App>, targets: &[Target], follows: bool) -> anyhow::Result<(Arc<Serving>, Option<Follower>)> {
    // The log says which providers are not there, also where nothing is served yet. Plugins are served without it.
    if let Err(error) = app.backend() {
        tracing::warn!(error = chain(&error), hint = error.hint(), "models cannot be served");
    }
    app.start_recording()?;
    let serving = Serving::of_targets(app, targets)?;
    let follower = if follows { Some(Follower::start(app, &serving, &app.config().environment)?) } else { None };
    Ok((serving, follower))
}

/// How many of the largest bodies may be held at one time.
const BODIES_MAX: usize = 8;
/// The longest that the head of a request may take to arrive.
const HEADER_TIMEOUT_MAX: Duration = Duration::from_secs(10);

fn settings(config: &Config) -> ServerSettings {
    let limits = &config.server.limits;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    ServerSettings {
        http: config.server.http,
        metrics: Some(config.monitoring.metrics),
        workers: (2 * cores).max(4),
        queue_requests: config.server.queue_requests,
        drain: config.server.drain,
        limits: ServerLimits {
            body_bytes: limits.body_bytes,
            bodies_bytes: limits.body_bytes.saturating_mul(BODIES_MAX),
            header_bytes: limits.header_bytes,
            connections: limits.connections,
            request_timeout: limits.request_timeout,
            header_timeout: HEADER_TIMEOUT_MAX.min(limits.idle_timeout),
            idle_timeout: limits.idle_timeout,
        },
    }
}

/// Says that it is ready, where, and with what.
fn ready(
    running: &Running,
    served: &[Arc<Generation>],
    environment: Option<String>,
    out: &mut Output<'_>,
) -> anyhow::Result<()> {
    let (http, metrics) = (running.http(), running.metrics());
    if out.is_json() {
        let models: Vec<_> = served
            .iter()
            .map(|generation| {
                let metadata = generation.metadata();
                json!({
                    "name": metadata.name, "version": metadata.version, "bundle": generation.bundle(),
                    "platform": metadata.platform,
                })
            })
            .collect();
        let address = metrics.map(|address| address.to_string());
        out.json(&json!({
            "ready": true, "http": http.to_string(), "metrics": address, "environment": environment, "models": models,
        }))?;
        return out.flush();
    }
    out.text(format_args!("ready on http://{http}"))?;
    if let Some(address) = metrics {
        out.text(format_args!("metrics  http://{address}/metrics"))?;
    }
    if let Some(environment) = environment {
        out.text(format_args!("follows  environment {environment}"))?;
    }
    let rows: Vec<[String; 3]> = served
        .iter()
        .map(|generation| {
            let metadata = generation.metadata();
            ["serves ".to_owned(), format!("{}@{}", metadata.name, metadata.version), short(&generation.bundle())]
        })
        .collect();
    out.rows(&rows)?;
    let first = served.first().map(|generation| generation.metadata());
    let url = format!("http://{http}/v2/models");
    match first.map(|metadata| (&metadata.name, example(&metadata.signature))) {
        None => out.text(format_args!("\ntry:\n  curl -s http://{http}/v2/health/ready"))?,
        Some((name, None)) => out.text(format_args!("\ntry:\n  curl -s {url}/{name}"))?,
        Some((name, Some(body))) => out.text(format_args!("\ntry:\n  curl -s {url}/{name}/infer -d '{body}'"))?,
    }
    out.flush()
}

/// The most values that fit on a line that somebody copies.
const EXAMPLE_VALUES_MAX: u64 = 16;

/// A request of zeros, for a model whose inputs are small numbers.
fn example(signature: &Signature) -> Option<String> {
    let input = |spec: &TensorSpec| {
        let datatype = spec.datatype?;
        datatype.width()?;
        let shape: Vec<u64> =
            spec.shape.as_ref()?.iter().map(|&dimension| u64::try_from(dimension).unwrap_or(1)).collect();
        let count = shape.iter().try_fold(1_u64, |count, &dimension| count.checked_mul(dimension))?;
        if count > EXAMPLE_VALUES_MAX || !spec.multiple_of.is_empty() {
            return None;
        }
        let zero = if datatype == crate::tensor::Datatype::Bool { json!(false) } else { json!(0) };
        let data: Vec<_> = (0..count).map(|_| zero.clone()).collect();
        Some(json!({"name": spec.name, "shape": shape, "datatype": datatype.name(), "data": data}))
    };
    let inputs: Option<Vec<_>> = signature.inputs.iter().filter(|spec| !spec.optional).map(input).collect();
    Some(json!({"inputs": inputs?}).to_string().replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::Datatype;

    #[test]
    fn a_request_to_try_is_shown_where_it_fits_on_a_line() {
        let signature = |spec| Signature { inputs: vec![spec], outputs: Vec::new() };
        let small = signature(TensorSpec::new("it's", Datatype::Fp32, &[-1, 2]));
        let expected = r#"{"inputs":[{"name":"it'\''s","shape":[1,2],"datatype":"FP32","data":[0,0]}]}"#;
        assert_eq!(example(&small).as_deref(), Some(expected));
        assert_eq!(example(&signature(TensorSpec::new("x", Datatype::Fp32, &[1, 3, 224, 224]))), None);
        assert_eq!(example(&signature(TensorSpec::new("x", Datatype::Bytes, &[1]))), None);
    }
}
