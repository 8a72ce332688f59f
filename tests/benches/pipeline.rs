//! `cargo xtask bench pipeline`: where the time of `photo-check` goes, step by step, and what the host adds to the steps' own work.

#[expect(dead_code, reason = "shared by the benchmarks, none of which uses all of it")]
mod harness;

use std::process::ExitCode;
use std::sync::Arc;

use harness::{Bar, Row, report, rounds};
use inferwit::app::{App, Surroundings, Target};
use inferwit::config::{Machine, Override, Settings};
use inferwit::infer::{InferRequest, StepOutcome};
use inferwit::server::Served;
use inferwit::tensor::Tensor;
use serde_json::json;

#[path = "../end_to_end/fixtures.rs"]
#[expect(dead_code, reason = "shared with the tests, which use all of it")]
mod fixtures;

const WARM_UPS: usize = 5;

fn main() -> ExitCode {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let registry = folder.path().join("inferwit.db").display().to_string();
    let overrides = [Override::flag("--registry", "model_registry.path", &registry)];
    let machine = Machine { cores: 2, data_dir: fixtures::data() };
    let config =
        Settings::load(None, &overrides).and_then(|settings| settings.resolve(&machine)).expect("valid settings");
    let app = App::new(config, Surroundings::default());
    let root = fixtures::root();
    let model = inferwit::app::NewModelFile {
        file: fixtures::fixture("centerface.onnx"),
        options: Some(root.join("config/models/centerface.model.yaml")),
        ..Default::default()
    };
    app.add_model(&model).expect("the model is registered");
    for plugin in ["image", "detections", "checks", "rules"] {
        app.add_plugin(&fixtures::plugin(plugin)).expect("the plugin is registered");
    }
    let rules = std::fs::read(root.join("config/rules/photo-policy.rules.yaml")).expect("the checkout has the rules");
    app.add_rules(&rules).expect("the rules are registered");
    let target = Target::PipelineFile(root.join("config/pipelines/photo-check.yaml"));
    let assembly = app.gather(&target, None).expect("all is registered");
    let generation = app.load(&assembly).expect("the pipeline loads");

    let photo = std::fs::read(fixtures::fixture("astronaut.png")).expect("set-up has fetched the photograph");
    let photo = Tensor::from_elements(&[1], &[photo]).expect("one element");
    let names: Vec<String> = generation.pipeline().plan().steps.iter().map(|step| step.name.to_string()).collect();
    let mut own = vec![Vec::new(); names.len()];
    let (mut total, mut overhead, mut unexplained) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..WARM_UPS + rounds(200) {
        let request = InferRequest::new(vec![("photo".to_owned(), photo.clone())]);
        let (answer, trace) = Arc::new(&generation).infer(request);
        assert_eq!(answer.expect("an answer").outputs[1].1.shape(), [1], "one face");
        assert!(trace.steps.iter().all(|step| step.outcome == StepOutcome::Done));
        if round < WARM_UPS {
            continue;
        }
        let work: Vec<f64> = trace.steps.iter().map(|step| (step.duration_ns - step.queue_ns) as f64).collect();
        for (times, work) in own.iter_mut().zip(&work) {
            times.push(*work);
        }
        let queues: f64 = trace.steps.iter().map(|step| step.queue_ns as f64).sum();
        // Between the steps: from the end of one to the start of the next, and before the first and after the last.
        let mut gaps = 0.0;
        let mut last_end = 0;
        for step in &trace.steps {
            gaps += (step.start_ns.saturating_sub(last_end)) as f64;
            last_end = step.start_ns + step.duration_ns;
        }
        let all = trace.total_ns as f64;
        total.push(all);
        overhead.push(all - work.iter().sum::<f64>());
        let parts = work.iter().sum::<f64>() + queues + gaps;
        unexplained.push((all - parts).abs() / all);
    }
    let mut rows: Vec<Row> =
        names.iter().zip(&own).map(|(name, times)| Row::new(format!("step {name}"), times)).collect();
    rows.push(Row::new("the whole request", &total));
    rows.push(Row::new("the host's overhead", &overhead).at_most(Bar::MedianNs(100_000.0)));
    let p99 = |times: &[f64]| harness::Times::new(times.to_vec()).quantile(0.99);
    let worst = unexplained.iter().copied().fold(0.0, f64::max);
    let more = json!({
        "p99_ns": names.iter().zip(&own).map(|(name, times)| json!({"step": name, "p99_ns": p99(times)})).collect::<Vec<_>>(),
        "total_p99_ns": p99(&total), "overhead_p99_ns": p99(&overhead), "unexplained_share_max": worst,
    });
    let code = report("photo-check, one request at a time, 512 x 512 PNG", &rows, more.clone());
    println_all(&more);
    if worst > 0.05 { ExitCode::FAILURE } else { code }
}

fn println_all(more: &serde_json::Value) {
    use std::io::Write as _;
    let mut out = std::io::stdout().lock();
    for step in more["p99_ns"].as_array().into_iter().flatten() {
        let _ = writeln!(
            out,
            "p99 of {:<37} {:>11}",
            step["step"].as_str().unwrap_or_default(),
            harness::duration(step["p99_ns"].as_f64().unwrap_or(f64::NAN))
        );
    }
    let value = |key: &str| more[key].as_f64().unwrap_or(f64::NAN);
    let _ = writeln!(out, "p99 of {:<37} {:>11}", "the whole request", harness::duration(value("total_p99_ns")));
    let _ = writeln!(out, "p99 of {:<37} {:>11}", "the host's overhead", harness::duration(value("overhead_p99_ns")));
    let share = value("unexplained_share_max") * 100.0;
    let _ = writeln!(out, "the parts add up to the whole within {share:.2} % (bar 5 %)");
}
