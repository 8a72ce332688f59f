//! Decodes the outputs of detection models into boxes, scores and landmarks. Runs no model.
//!
//! Of CenterFace, for one picture at a time. Inputs `heat` `[1, 1, h, w]`, `scale` `[1, 2, h, w]`, `offset` `[1, 2, h, w]` and
//! `landmarks` `[1, 10, h, w]`; optionally `size` (UINT32 `[2]`, width and height), to which boxes are clipped, and `ratio`
//! (FP32 `[2]`), by which a resized picture's coordinates are divided. Outputs `boxes` `[n, 4]` as left, top, right, bottom,
//! `scores` `[n]` and `landmarks` `[n, 5, 2]`, best first. The request's parameter `min_score` replaces the threshold.

use inferwit_plugin::{
    Datatype, Diagnostic, Failure, Inputs, Outputs, Processor, Request, Signature, Tensor, TensorSpec, export,
};
use schemars::JsonSchema;
use serde::Deserialize;

mod centerface;
mod suppress;

/// What counts as a detection.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Whose outputs are decoded.
    pub decoder: Decoder,
    /// A score must be greater, unless the request says otherwise.
    #[schemars(range(min = 0, max = 1))]
    pub threshold: f32,
    /// The smallest threshold that a request may ask for.
    #[schemars(range(min = 0, max = 1))]
    pub threshold_min: f32,
    /// The largest threshold that a request may ask for.
    #[schemars(range(min = 0, max = 1))]
    pub threshold_max: f32,
    /// Of two detections that overlap by this share of their union, the better one stays.
    #[schemars(range(min = 0, max = 1))]
    pub overlap: f32,
    /// So many of the best candidates are looked at; the time for it grows with the square.
    #[schemars(range(min = 1, max = 10000))]
    pub candidates_max: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            decoder: Decoder::Centerface,
            threshold: 0.5,
            threshold_min: 0.0,
            threshold_max: 1.0,
            overlap: 0.3,
            candidates_max: 1000,
        }
    }
}

/// Whose outputs are decoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Decoder {
    #[default]
    Centerface,
}

/// One detection, in pixels of the picture.
#[derive(Clone, Debug, PartialEq)]
struct Detection {
    /// Left, top, right, bottom.
    corners: [f32; 4],
    score: f32,
    /// Five points, x and y.
    landmarks: [f32; 10],
}

/// The processor under one configuration.
#[derive(Debug)]
pub struct Detections {
    config: Config,
}

impl Processor for Detections {
    type Config = Config;

    fn open(config: Config) -> Result<Self, Vec<Diagnostic>> {
        let mut diagnostics = Vec::new();
        let mut refuse = |path: &str, message: &str| {
            diagnostics.push(Diagnostic::error("invalid-value", message).at(path));
        };
        let share = |value: f32| (0.0..=1.0).contains(&value);
        for (path, value) in [
            ("/threshold", config.threshold),
            ("/threshold_min", config.threshold_min),
            ("/threshold_max", config.threshold_max),
            ("/overlap", config.overlap),
        ] {
            if !share(value) {
                refuse(path, "not between 0 and 1");
            }
        }
        if !(config.threshold_min <= config.threshold && config.threshold <= config.threshold_max) {
            refuse("/threshold", "not between `threshold_min` and `threshold_max`");
        }
        if !(1..=10_000).contains(&config.candidates_max) {
            refuse("/candidates_max", "not between 1 and 10000");
        }
        if diagnostics.is_empty() { Ok(Self { config }) } else { Err(diagnostics) }
    }

    fn signature(&self) -> Signature {
        let map = |name, channels| TensorSpec::new(name, Datatype::Fp32, &[1, channels, -1, -1]);
        Signature {
            inputs: vec![
                map("heat", 1),
                map("scale", 2),
                map("offset", 2),
                map("landmarks", 10),
                TensorSpec::new("size", Datatype::Uint32, &[2]).optional(),
                TensorSpec::new("ratio", Datatype::Fp32, &[2]).optional(),
            ],
            outputs: vec![
                TensorSpec::new("boxes", Datatype::Fp32, &[-1, 4]),
                TensorSpec::new("scores", Datatype::Fp32, &[-1]),
                TensorSpec::new("landmarks", Datatype::Fp32, &[-1, 5, 2]),
            ],
        }
    }

    fn process(&self, mut inputs: Inputs, request: &Request) -> Result<Outputs, Failure> {
        let threshold = self.threshold(request)?;
        let bounds = Bounds::take(&mut inputs)?;
        let candidates = centerface::decode(&mut inputs, threshold, self.config.candidates_max as usize, &bounds)?;
        let detections = suppress::suppress(candidates, self.config.overlap);

        let count = detections.len() as u64;
        let boxes: Vec<f32> = detections.iter().flat_map(|detection| detection.corners).collect();
        let scores: Vec<f32> = detections.iter().map(|detection| detection.score).collect();
        let landmarks: Vec<f32> = detections.iter().flat_map(|detection| detection.landmarks).collect();
        Ok(Outputs::new()
            .with("boxes", Tensor::from_slice(&[count, 4], &boxes)?)
            .with("scores", Tensor::from_slice(&[count], &scores)?)
            .with("landmarks", Tensor::from_slice(&[count, 5, 2], &landmarks)?))
    }
}

impl Detections {
    fn threshold(&self, request: &Request) -> Result<f32, Failure> {
        let Some(asked) = request.number("min_score")? else { return Ok(self.config.threshold) };
        let (min, max) = (self.config.threshold_min, self.config.threshold_max);
        #[expect(clippy::cast_possible_truncation, reason = "scores have no more digits")]
        let threshold = asked as f32;
        if (min..=max).contains(&threshold) {
            Ok(threshold)
        } else {
            Err(Failure::invalid(format!("parameter `min_score` must lie between {min} and {max}")))
        }
    }
}

/// How coordinates in the tensor become coordinates in the picture.
#[derive(Debug)]
struct Bounds {
    /// Width and height to which boxes are clipped.
    size: [f32; 2],
    ratio: [f32; 2],
}

impl Bounds {
    fn take(inputs: &mut Inputs) -> Result<Self, Failure> {
        let size = match inputs.take_optional("size") {
            #[expect(clippy::cast_precision_loss, reason = "no picture has sides beyond 2^24")]
            Some(size) => pair(&size.values::<u32>()?, "size")?.map(|side| side as f32),
            None => [f32::INFINITY; 2],
        };
        let ratio = match inputs.take_optional("ratio") {
            Some(ratio) => pair(&ratio.values::<f32>()?, "ratio")?,
            None => [1.0; 2],
        };
        if !ratio.iter().all(|ratio| ratio.is_normal() && *ratio > 0.0) {
            return Err(Failure::invalid("input `ratio` must be positive"));
        }
        Ok(Self { size, ratio })
    }
}

fn pair<T: Copy>(values: &[T], name: &str) -> Result<[T; 2], Failure> {
    values.try_into().map_err(|_| Failure::invalid(format!("input `{name}` must have 2 elements")))
}

export! { processor: Detections, name: "detections" }

#[cfg(test)]
mod tests;
