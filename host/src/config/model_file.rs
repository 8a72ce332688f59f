//! The options file beside a model, `NAME.model.yaml`: parsed and checked. Knows neither the model nor a backend.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;
use serde_saphyr::{Location, Spanned};

use super::fault::{ConfigError, Fault, Origin};
use super::raw::AutoCount;
use super::tree;
use crate::name::{Name, Version};
use crate::tensor::{Datatype, element_count};

const RANK_MAX: usize = 32;
const WARM_UPS_MAX: usize = 64;
/// The most elements of one tensor to warm up with.
const WARM_UP_ELEMENTS_MAX: usize = 1 << 28;

/// What stands beside a model. It serialises to what `parse` reads again.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ModelFile {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<Name>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<Version>,
    /// Replaces what the model declares, by tensor name.
    pub inputs: BTreeMap<String, ModelTensor>,
    pub outputs: BTreeMap<String, ModelTensor>,
    pub backend: ModelBackend,
    pub instances: AutoCount,
    pub warm_up: Vec<WarmUp>,
    pub tolerance: Tolerance,
    pub labels: BTreeMap<String, String>,
}

/// What the file says of one tensor; what is left out stays as the model declares it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ModelTensor {
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "datatype_name")]
    pub datatype: Option<Datatype>,
    /// -1 is variable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shape: Option<Vec<i64>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub multiple_of: Vec<u64>,
}

fn datatype_name<S: Serializer>(datatype: &Option<Datatype>, serializer: S) -> Result<S::Ok, S::Error> {
    datatype.map(Datatype::name).serialize(serializer)
}

/// One run before the model serves: the shape of each input, which is filled with zeros.
pub type WarmUp = BTreeMap<String, Zeros>;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Zeros {
    pub zeros: Vec<u64>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ModelBackend {
    /// `inference.default_backend` decides.
    #[default]
    Auto,
    Onnxruntime,
}

impl ModelBackend {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Onnxruntime => "onnxruntime",
        }
    }
}

/// What other backends and precisions may differ by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tolerance {
    /// 1e-4
    #[default]
    Exact,
    /// 2e-2
    Relaxed,
}

impl ModelFile {
    /// Where the options of this model would lie: `faces.model.yaml` for `faces.onnx`.
    pub fn path_beside(model: &Path) -> PathBuf {
        model.with_extension("model.yaml")
    }

    /// # Errors
    /// The file that cannot be read, or what is wrong in it.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        Self::parse(&tree::read_text(path)?, path)
    }

    /// Parses YAML or JSON; `path` is named in faults.
    ///
    /// # Errors
    /// All faults that were found.
    pub fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        let raw: RawModelFile = tree::parse(text, path).map_err(|fault| ConfigError::Invalid(vec![fault]))?;
        let mut check = Check { path, faults: Vec::new() };
        let file = check.model_file(raw);
        if check.faults.is_empty() { Ok(file) } else { Err(ConfigError::Invalid(check.faults)) }
    }
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RawModelFile {
    name: Option<Spanned<Value>>,
    version: Option<Spanned<Value>>,
    inputs: BTreeMap<String, Spanned<RawTensor>>,
    outputs: BTreeMap<String, Spanned<RawTensor>>,
    backend: Option<Spanned<String>>,
    instances: Option<Spanned<Value>>,
    batching: Option<Spanned<Value>>,
    warm_up: Vec<Spanned<WarmUp>>,
    tolerance: Option<Spanned<Value>>,
    labels: BTreeMap<String, String>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RawTensor {
    datatype: Option<Spanned<String>>,
    shape: Option<Vec<i64>>,
    multiple_of: Vec<u64>,
}

struct Check<'a> {
    path: &'a Path,
    faults: Vec<Fault>,
}

impl Check<'_> {
    fn fault(&mut self, at: Location, message: String, hint: &str) {
        let number = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
        let origin = Origin::file(self.path, number(at.line()), number(at.column()));
        self.faults.push(Fault { origin, message, hint: Some(hint.to_owned()) });
    }

    fn model_file(&mut self, raw: RawModelFile) -> ModelFile {
        let backend = self.backend(raw.backend);
        if let Some(batching) = raw.batching {
            self.batching(&batching);
        }
        let warm_ups = raw.warm_up.len();
        if let Some(extra) = raw.warm_up.get(WARM_UPS_MAX) {
            let message = format!("`warm_up` has {warm_ups} runs, must have at most {WARM_UPS_MAX}");
            self.fault(extra.referenced, message, "keep one run for each shape that is common");
        }
        ModelFile {
            name: self.value("name", raw.name),
            version: self.value("version", raw.version),
            inputs: self.tensors(raw.inputs),
            outputs: self.tensors(raw.outputs),
            backend,
            instances: self.value("instances", raw.instances).unwrap_or_default(),
            warm_up: raw.warm_up.into_iter().map(|run| self.warm_up(run)).collect(),
            tolerance: self.value("tolerance", raw.tolerance).unwrap_or_default(),
            labels: raw.labels,
        }
    }

    /// A value with rules of its own, whose breach is told where the value stands.
    fn value<T: DeserializeOwned>(&mut self, key: &str, written: Option<Spanned<Value>>) -> Option<T> {
        let written = written?;
        match serde_json::from_value(written.value) {
            Ok(value) => Some(value),
            Err(error) => {
                let hint = match key {
                    "version" => "write all three numbers, in quotes where YAML would read a number",
                    _ => "leave it out for its default",
                };
                self.fault(written.referenced, format!("`{key}`: {error}"), hint);
                None
            }
        }
    }

    fn backend(&mut self, written: Option<Spanned<String>>) -> ModelBackend {
        let Some(written) = written else { return ModelBackend::Auto };
        match written.value.as_str() {
            "auto" => return ModelBackend::Auto,
            "onnxruntime" => return ModelBackend::Onnxruntime,
            name @ ("openvino" | "tract" | "tensorrt") => {
                let message = format!("backend `{name}` is not built yet in this version");
                self.fault(written.referenced, message, "use `onnxruntime`, or `auto`");
            }
            name => {
                let message = format!("unknown backend `{}`", name.escape_debug());
                self.fault(written.referenced, message, "use `onnxruntime`, or `auto`");
            }
        }
        ModelBackend::Auto
    }

    fn batching(&mut self, written: &Spanned<Value>) {
        // `auto` measures whether batching pays; until that is built it does not batch.
        if !matches!(written.value.as_str(), Some("off" | "auto")) && !written.value.is_null() {
            let message = "`batching` is not built yet in this version".to_owned();
            self.fault(written.referenced, message, "leave it out, or write `off` or `auto`");
        }
    }

    fn tensors(&mut self, written: BTreeMap<String, Spanned<RawTensor>>) -> BTreeMap<String, ModelTensor> {
        written
            .into_iter()
            .map(|(name, tensor)| {
                let tensor = self.tensor(&name, tensor);
                (name, tensor)
            })
            .collect()
    }

    fn tensor(&mut self, name: &str, written: Spanned<RawTensor>) -> ModelTensor {
        let at = written.referenced;
        let RawTensor { datatype, shape, multiple_of } = written.value;
        let datatype = datatype.and_then(|text| match text.value.parse() {
            Ok(datatype) => Some(datatype),
            Err(_) => {
                let message = format!("unknown datatype `{}`", text.value.escape_debug());
                self.fault(text.referenced, message, "use a name of the protocol, such as FP32, UINT8 or BYTES");
                None
            }
        });
        let dimensions = shape.as_deref().unwrap_or_default();
        if dimensions.iter().any(|&dimension| dimension < -1) || dimensions.len() > RANK_MAX {
            let message = format!("shape of `{name}` must have at most {RANK_MAX} dimensions of -1 or more");
            self.fault(at, message, "write -1 where a dimension is variable");
        }
        if multiple_of.contains(&0) || multiple_of.len() > RANK_MAX {
            let message = format!("`multiple_of` of `{name}` must have numbers of 1 or more");
            self.fault(at, message, "write 1 where a dimension may be anything");
        }
        if shape.as_ref().is_some_and(|shape| !multiple_of.is_empty() && shape.len() != multiple_of.len()) {
            let message = format!("`shape` and `multiple_of` of `{name}` must be of one length");
            self.fault(at, message, "write 1 where a dimension may be anything");
        }
        ModelTensor { datatype, shape, multiple_of }
    }

    fn warm_up(&mut self, written: Spanned<WarmUp>) -> WarmUp {
        for (name, Zeros { zeros }) in &written.value {
            let elements = element_count(zeros).unwrap_or(usize::MAX);
            if elements > WARM_UP_ELEMENTS_MAX || zeros.len() > RANK_MAX {
                let message = format!("warm-up of `{name}` must have at most {WARM_UP_ELEMENTS_MAX} elements");
                self.fault(written.referenced, message, "use a shape that requests really have");
            }
        }
        written.value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FULL: &str = r#"
name: centerface
version: 1.0.0
inputs:  {"input.1": {datatype: FP32, shape: [-1, 3, -1, -1], multiple_of: [1, 1, 32, 32]}}
outputs: {"537": {shape: [-1, 1, -1, -1]}}
backend: auto
instances: auto
batching: off
warm_up: [{"input.1": {zeros: [1, 3, 320, 320]}}]
tolerance: relaxed
labels: {owner: vision}
"#;

    fn parse(text: &str) -> Result<ModelFile, ConfigError> {
        ModelFile::parse(text, Path::new("m.model.yaml"))
    }

    fn refused(text: &str, expected: &str) {
        let error = parse(text).unwrap_err();
        let message = format!("{error} / {}", error.hint().unwrap_or(""));
        assert!(message.contains(expected), "{text}: {message}");
    }

    #[test]
    fn all_of_it_is_read() {
        let file = parse(FULL).unwrap();
        assert_eq!(file.name.unwrap().as_str(), "centerface");
        assert_eq!(file.inputs["input.1"].datatype, Some(Datatype::Fp32));
        assert_eq!(file.inputs["input.1"].multiple_of, [1, 1, 32, 32]);
        assert_eq!(file.outputs["537"].shape.as_deref(), Some([-1, 1, -1, -1].as_slice()));
        assert_eq!(file.warm_up[0]["input.1"].zeros, [1, 3, 320, 320]);
        assert_eq!((file.instances, file.tolerance), (AutoCount::Auto, Tolerance::Relaxed));
        assert_eq!(parse("").unwrap(), ModelFile::default());
        assert_eq!(parse("instances: 3").unwrap().instances, AutoCount::Number(3));
    }

    #[test]
    fn what_it_serialises_to_reads_back() {
        let file = parse(FULL).unwrap();
        assert_eq!(parse(&serde_json::to_string(&file).unwrap()).unwrap(), file);
        let plain = ModelFile::default();
        assert_eq!(parse(&serde_json::to_string(&plain).unwrap()).unwrap(), plain);
    }

    #[test]
    fn faults_name_line_and_remedy() {
        refused("name: a\nbatching: {max_batch_size: 8}\n", "m.model.yaml:2:11: `batching` is not built yet");
        refused("backend: tract", "m.model.yaml:1:10: backend `tract` is not built yet");
        refused("\ninputs: {x: {datatype: FLOAT}}", "m.model.yaml:2:24: unknown datatype `FLOAT`");
        refused("inputs: {x: {shape: [-2]}}", "shape of `x` must have");
        refused("inputs: {x: {shape: [1], multiple_of: [1, 2]}}", "must be of one length");
        refused("inputs: {x: {multiple_of: [0]}}", "1 or more");
        refused("name: a\ninstance: 2\n", "m.model.yaml:2:1: unknown key `instance` / did you mean `instances`?");
        refused("inputs: {x: {dtype: FP32}}", "unknown key `dtype`");
        refused("a: 1\n", "known here are name, version");
        refused("instances: 0", "m.model.yaml:1:12: `instances`: ");
        refused("name: Big", "m.model.yaml:1:7: `name`: `Big` is no name");
        refused("version: 1.0", "m.model.yaml:1:10: `version`: ");
        refused("version: 1.0.x", "is no version");
        refused("warm_up: [{x: {zeros: [100000, 100000]}}]", "at most");
        refused("warm_up: [{x: {ones: [1]}}]", "unknown key `ones`");
        refused("name: a\nname: b\n", "m.model.yaml:2:1: ");
    }

    #[test]
    fn the_options_lie_beside_the_model() {
        assert_eq!(ModelFile::path_beside(Path::new("a/faces.v1.onnx")), Path::new("a/faces.v1.model.yaml"));
    }
}
