//! The second demonstration, from training to serving: a model scores applications for loans, a rule set judges the score.

use std::collections::HashMap;
use std::fs;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::http::{self, Body};
use super::training::{self, Trained};
use super::{Demo, elements, embedded, infer_path, numbers, print_bundle};
use crate::layout::Layout;

const PIPELINE: &str = "credit";
const ENGINE: &str = "rules";
const RULES_FILE: &str = "config/rules/credit.rules.yaml";
const PIPELINE_FILE: &str = "config/pipelines/credit.yaml";
/// The step of the pipeline whose decisions are shown.
const STEP: &str = "decide";
/// What served scores and scikit-learn's may differ by.
const TOLERANCE: f64 = 1e-4;

pub(crate) fn credit(layout: &Layout, keep: bool) -> Result<()> {
    let trained = training::train(layout)?;
    let demo = Demo::new(layout, "demo-credit")?;
    register(&demo, &trained)?;
    let server = demo.serve()?;
    let file = trained.request();
    let request = fs::read(&file).with_context(|| format!("read `{}`", file.display()))?;

    let begin = Instant::now();
    let answer = http::post(&server.address, &infer_path(PIPELINE), Body::Json(&request))?;
    let elapsed = begin.elapsed();
    println!("\nposted {} to http://{}{}\n", file.display(), server.address, infer_path(PIPELINE));
    print_answer(&serde_json::from_slice(&request).context("read the request")?, &answer)?;
    let difference = trained.difference(&numbers(&answer, "pd")?)?;
    if difference > TOLERANCE {
        bail!("the served scores differ from scikit-learn's by {difference:.1e}, more than {TOLERANCE:.0e}");
    }
    println!("\nserved scores differ from scikit-learn's by {difference:.0e}");
    println!("round trip {:.1} ms", elapsed.as_secs_f64() * 1e3);
    if !keep {
        return server.stop();
    }
    println!("\nthe server runs on; stop it with Ctrl-C. Try:\n");
    println!("curl -s --data-binary @{} http://{}{}", file.display(), server.address, infer_path(PIPELINE));
    server.wait()
}

fn register(demo: &Demo<'_>, trained: &Trained) -> Result<()> {
    let root = &demo.layout.root;
    let (model, options) = (trained.model(), trained.options());
    let (rules, pipeline) = (root.join(RULES_FILE), root.join(PIPELINE_FILE));
    let sources = [demo.plugin(ENGINE), model.clone(), options.clone(), rules.clone(), pipeline.clone()];
    demo.once(&sources, || {
        let options = options.to_str().context("the data folder's path is text")?;
        demo.step("register the model credit-score", &["model", "add"], &model, &["--options", options])?;
        demo.add_plugin(ENGINE)?;
        demo.step("register the rules credit-decision, which runs their tests", &["rules", "add"], &rules, &[])?;
        demo.step(&format!("register the pipeline {PIPELINE}"), &["pipeline", "add"], &pipeline, &[])?;
        demo.deploy(PIPELINE)
    })
}

/// One line for each application: its score, what was decided, and why.
fn print_answer(request: &Value, answer: &Value) -> Result<()> {
    let ids = request["inputs"].as_array().into_iter().flatten().find(|input| input["name"] == "id");
    let ids = ids.and_then(|input| input["data"].as_array()).context("the request has no ids")?;
    let scores: HashMap<&str, f64> = ids.iter().filter_map(Value::as_str).zip(numbers(answer, "pd")?).collect();
    let decisions = embedded(answer, "inferwit_decisions")?;
    let results = decisions[STEP]["result"].as_array().with_context(|| format!("no decisions came back: {answer}"))?;
    if results.len() != elements(answer, "decision")?.len() {
        bail!("the decisions among the outputs and those in `inferwit_decisions` are not the same: {answer}");
    }
    for result in results {
        let text = |name: &str| result[name].as_str().unwrap_or_default();
        let subject = text("subject");
        let score = scores.get(subject).map_or_else(|| "?".to_owned(), |score| format!("{score:.3}"));
        println!("  {subject:<6} pd {score}  {:<8} {:<15} {}", text("decision"), text("code"), text("message"));
    }
    print_bundle(answer);
    Ok(())
}
