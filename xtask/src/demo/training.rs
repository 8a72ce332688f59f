//! Trains the model of the credit demo with the packages that set-up installed apart. Registers nothing.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::layout::Layout;
use crate::process::output_of;
use crate::progress::Step;
use crate::{fetch, locked};

pub(super) const SCRIPT: &str = "config/examples/credit/train.py";

/// What training leaves in its folder.
pub(super) struct Trained {
    folder: PathBuf,
}

/// Trains anew each time: it takes seconds, and the same data give the same bytes.
pub(super) fn train(layout: &Layout) -> Result<Trained> {
    let step = Step::begin("train the model");
    let folder = layout.data.join("trained/credit");
    let mut script = fetch::python();
    script
        .arg("-B")
        .arg(layout.root.join(SCRIPT))
        .arg(layout.fixtures().join("germancredit.csv"))
        .arg(&folder)
        .env("PYTHONPATH", locked::folder(&layout.training_packages(), &layout.data)?)
        .env("PYTHONNOUSERSITE", "1");
    let said = output_of(&mut script)?;
    step.done();
    let summary: Value = serde_json::from_str(&said).with_context(|| format!("read what `{SCRIPT}` said: {said}"))?;
    let number = |name: &str| summary[name].as_f64().with_context(|| format!("`{SCRIPT}` said no `{name}`: {said}"));
    println!("\ntrained on {} loans, {} columns of each", number("rows")?, number("columns")?);
    println!("AUC {:.3} in cross-validation", number("cross_validated_auc")?);
    println!("AUC {:.3} on the {} loans held out", number("held_out_auc")?, number("held_out")?);
    println!("ONNX differs from scikit-learn by {:.0e} on them\n", number("onnx_differs_by")?);
    Ok(Trained { folder })
}

impl Trained {
    pub(super) fn model(&self) -> PathBuf {
        self.folder.join("credit-score.onnx")
    }

    pub(super) fn options(&self) -> PathBuf {
        self.folder.join("credit-score.model.yaml")
    }

    /// A request with applications that training has not seen.
    pub(super) fn request(&self) -> PathBuf {
        self.folder.join("request.json")
    }

    /// The largest difference of these scores from those that scikit-learn gives to the request.
    pub(super) fn difference(&self, scores: &[f64]) -> Result<f64> {
        let path = self.folder.join("expected.json");
        let text = fs::read_to_string(&path).with_context(|| format!("read `{}`", path.display()))?;
        let expected: Value = serde_json::from_str(&text).with_context(|| format!("read `{}`", path.display()))?;
        let expected: Vec<f64> = expected["pd"].as_array().into_iter().flatten().filter_map(Value::as_f64).collect();
        if expected.len() != scores.len() {
            bail!("{} applications were sent and {} scores came back", expected.len(), scores.len());
        }
        Ok(expected.iter().zip(scores).map(|(expected, score)| (expected - score).abs()).fold(0.0, f64::max))
    }
}
