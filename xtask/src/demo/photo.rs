//! The first demonstration: posts a photograph to `photo-check` and prints the faces in it and what the rules say of them.

use std::fs;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::http::{self, Body};
use super::{Demo, embedded, infer_path, numbers, print_bundle};
use crate::layout::Layout;

const PIPELINE: &str = "photo-check";
const PLUGINS: &[&str] = &["image", "detections", "checks", "rules"];
const MODEL_OPTIONS: &str = "config/models/centerface.model.yaml";
const RULES_FILE: &str = "config/rules/photo-policy.rules.yaml";
const PIPELINE_FILE: &str = "config/pipelines/photo-check.yaml";
const PHOTO: &str = "astronaut.png";

pub(crate) fn photo(layout: &Layout, keep: bool) -> Result<()> {
    let demo = Demo::new(layout, "demo")?;
    register(&demo)?;
    let server = demo.serve()?;
    let photo = layout.fixtures().join(PHOTO);
    let request = Request::of_photo(&photo)?;

    let begin = Instant::now();
    let body = Body::Binary { json_bytes: request.json.len(), bytes: &request.body };
    let answer = http::post(&server.address, &infer_path(PIPELINE), body)?;
    let elapsed = begin.elapsed();
    println!("\nposted {} to http://{}{}\n", photo.display(), server.address, infer_path(PIPELINE));
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
        infer_path(PIPELINE)
    );
    server.wait()
}

fn register(demo: &Demo<'_>) -> Result<()> {
    let layout = demo.layout;
    let model = layout.fixtures().join("centerface.onnx");
    let (rules, pipeline) = (layout.root.join(RULES_FILE), layout.root.join(PIPELINE_FILE));
    let mut sources = vec![model.clone(), layout.root.join(MODEL_OPTIONS), rules.clone(), pipeline.clone()];
    sources.extend(PLUGINS.iter().map(|plugin| demo.plugin(plugin)));
    demo.once(&sources, || {
        demo.step("register the model centerface", &["model", "add"], &model, &["--options", MODEL_OPTIONS])?;
        PLUGINS.iter().try_for_each(|plugin| demo.add_plugin(plugin))?;
        demo.step("register the rules photo-policy, which runs their tests", &["rules", "add"], &rules, &[])?;
        demo.step(&format!("register the pipeline {PIPELINE}"), &["pipeline", "add"], &pipeline, &[])?;
        demo.deploy(PIPELINE)
    })
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
}

fn print_answer(answer: &Value) -> Result<()> {
    let boxes = numbers(answer, "boxes")?;
    let scores = numbers(answer, "scores")?;
    println!("faces: {}", scores.len());
    for (corners, score) in boxes.chunks(4).zip(&scores) {
        let corners: Vec<String> = corners.iter().map(|corner| format!("{corner:.1}")).collect();
        println!("  score {score:.3}  box [{}]", corners.join(", "));
    }
    for result in embedded(answer, "inferwit_decisions")?["policy"]["result"].as_array().into_iter().flatten() {
        let text = |name: &str| result[name].as_str().unwrap_or_default();
        println!("decision: {} ({}): {}", text("decision"), text("code"), text("message"));
    }
    let findings = embedded(answer, "inferwit_findings")?;
    let findings = findings.as_array().map(Vec::as_slice).unwrap_or_default();
    println!("findings: {}", findings.len());
    for finding in findings {
        println!("  {finding}");
    }
    println!("steps:");
    for step in embedded(answer, "inferwit_trace")?.as_array().into_iter().flatten() {
        let microseconds = step["duration_ns"].as_f64().unwrap_or_default() / 1e3;
        println!("  {:<12} {microseconds:>10.1} us", step["step"].as_str().unwrap_or("?"));
    }
    print_bundle(answer);
    Ok(())
}
