//! The file `pipeline/v1`: its shape, read from YAML or JSON. Does not know what the names in it stand for (see `plan`).

use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::sync::LazyLock;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::document::{Diagnostic, Document, join};
use super::golden::GoldenTest;
use super::schema::Checker;
use crate::name::{Kind, Name, Reference, Version};
use crate::tensor::{Datatype, Signature, TensorSpec};

mod check;

/// A pipeline as its author wrote it. Every part is well-formed; whether the parts fit is for `Plan::compile`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PipelineSpec {
    pub schema: SchemaVersion,
    pub name: Name,
    pub version: Version,
    pub description: Option<String>,
    /// What clients send.
    pub inputs: BTreeMap<String, InputSpec>,
    /// What clients get: any tensor of the pipeline.
    #[schemars(length(min = 1))]
    pub outputs: Vec<String>,
    /// Request parameters that steps may read.
    #[serde(default)]
    pub parameters: BTreeMap<String, ParameterSpec>,
    /// Upper bound for a request; a client may ask for less.
    pub timeout_ms: Option<NonZeroU64>,
    /// Whether answers are kept by inputs and bundle.
    #[serde(default)]
    pub cache: bool,
    #[schemars(length(min = 1, max = 256))]
    pub steps: Vec<StepSpec>,
    /// Golden requests: `pipeline test`, and the smoke test of every deploy.
    #[serde(default)]
    pub tests: Vec<GoldenTest>,
    /// The text that this was read from, for the places of errors and for the bundle.
    #[serde(skip)]
    pub document: Document,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum SchemaVersion {
    #[serde(rename = "pipeline/v1")]
    V1,
}

/// A tensor that clients send. What is left out is taken from the steps that read it.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InputSpec {
    pub datatype: Option<DatatypeName>,
    /// -1 is variable.
    #[schemars(inner(range(min = -1)))]
    pub shape: Option<Vec<i64>>,
    /// Whether clients may leave it out. Only optional inputs of steps can read it then.
    #[serde(default)]
    pub optional: bool,
}

/// A datatype of the Open Inference Protocol by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct DatatypeName(pub Datatype);

impl TryFrom<String> for DatatypeName {
    type Error = crate::tensor::TensorError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse().map(Self)
    }
}

impl JsonSchema for DatatypeName {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Datatype".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "enum": Datatype::ALL.map(Datatype::name)})
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ParameterType {
    Bool,
    Int,
    Double,
    String,
}

impl ParameterType {
    pub fn name(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Double => "double",
            Self::String => "string",
        }
    }
}

/// A request parameter. Without a default, every request has to give it.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ParameterSpec {
    pub r#type: ParameterType,
    pub default: Option<Scalar>,
    pub min: Option<f64>,
    pub max: Option<f64>,
    /// The only values that it may have.
    pub values: Option<Vec<Scalar>>,
}

/// `true`, a number or text.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(transparent)]
pub struct Scalar(pub Value);

impl JsonSchema for Scalar {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Scalar".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": ["boolean", "number", "string"]})
    }
}

/// One step. Exactly one of `plugin`, `model`, `rules` and `validate` says what it is.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StepSpec {
    pub name: Name,
    pub plugin: Option<Reference>,
    pub model: Option<Reference>,
    pub rules: Option<Reference>,
    pub validate: Option<Reference>,
    /// The plugin's own configuration.
    pub config: Option<Map<String, Value>>,
    /// Whether instances are kept for the next request.
    pub isolation: Option<Isolation>,
    #[serde(default)]
    pub limits: StepLimits,
    #[serde(default)]
    pub grants: GrantSpec,
    /// Left the step's own name, right the pipeline's. Left out: the same name.
    #[serde(default)]
    pub inputs: BTreeMap<String, String>,
    /// Left the step's own name, right the pipeline's. Left out: the same name.
    #[serde(default)]
    pub outputs: BTreeMap<String, String>,
    pub when: Option<WhenSpec>,
    /// What its outputs are where it is skipped, by the pipeline's names.
    #[serde(default)]
    pub defaults: BTreeMap<String, DefaultSpec>,
    /// Steps that must have ended before, though no tensor comes from them.
    #[serde(default)]
    pub after: Vec<String>,
    pub on_finding: Option<OnFinding>,
    /// Parameters of a rule set.
    pub params: Option<Map<String, Value>>,
    /// By template and field of a rule set: the step's own name of the tensor that fills it, or `$row` for the row's number.
    #[serde(default)]
    pub facts: BTreeMap<String, BTreeMap<String, String>>,
}

impl StepSpec {
    /// What it is, and which one. Invariant: the check of the file has seen exactly one.
    pub fn target(&self) -> (StepKind, &Reference) {
        [
            (StepKind::Plugin, &self.plugin),
            (StepKind::Model, &self.model),
            (StepKind::Rules, &self.rules),
            (StepKind::Validate, &self.validate),
        ]
        .into_iter()
        .find_map(|(kind, reference)| Some((kind, reference.as_ref()?)))
        .expect("a checked step has one of plugin, model, rules and validate")
    }

    pub fn kind(&self) -> StepKind {
        self.target().0
    }

    pub fn reference(&self) -> &Reference {
        self.target().1
    }

    /// The plugin's configuration as JSON text; `{}` where there is none.
    pub fn config_json(&self) -> String {
        self.config.as_ref().map_or_else(|| "{}".to_owned(), |config| Value::Object(config.clone()).to_string())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StepKind {
    Plugin,
    Model,
    Rules,
    Validate,
}

impl StepKind {
    pub const ALL: [Self; 4] = [Self::Plugin, Self::Model, Self::Rules, Self::Validate];

    /// Its key in the file, and its name in traces.
    pub fn name(self) -> &'static str {
        match self {
            Self::Plugin => "plugin",
            Self::Model => "model",
            Self::Rules => "rules",
            Self::Validate => "validate",
        }
    }

    /// What the registry calls it.
    pub fn artifact(self) -> Kind {
        match self {
            Self::Plugin | Self::Validate => Kind::Plugin,
            Self::Model => Kind::Model,
            Self::Rules => Kind::Rules,
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Isolation {
    #[default]
    Warm,
    Fresh,
}

/// What a finding of severity error does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnFinding {
    #[default]
    Block,
    Annotate,
}

/// May lower, never raise, the operator's ceilings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StepLimits {
    pub deadline_ms: Option<NonZeroU64>,
    pub memory_mib: Option<NonZeroU64>,
    pub handles: Option<NonZeroU64>,
    pub sent_mib: Option<NonZeroU64>,
    pub tensor_mib: Option<NonZeroU64>,
}

/// Nothing unless written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GrantSpec {
    #[serde(default)]
    pub models: Vec<Reference>,
    #[serde(default)]
    pub clock: bool,
    #[serde(default)]
    pub random: bool,
    /// Header names in lower case.
    #[serde(default)]
    #[schemars(inner(regex(pattern = "^[a-z0-9!#$%&'*+.^_`|~-]{1,128}$")))]
    pub headers: Vec<String>,
}

/// The step runs where this holds: a parameter, or the one element of a tensor, equals the value.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WhenSpec {
    pub parameter: Option<String>,
    pub tensor: Option<String>,
    pub equals: Scalar,
}

/// A tensor; zeros or empty texts where `data` is left out.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DefaultSpec {
    pub datatype: DatatypeName,
    pub shape: Vec<u64>,
    pub data: Option<Nested>,
}

/// `true`, a number, text, or lists of these.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(transparent)]
pub struct Nested(pub Value);

impl JsonSchema for Nested {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Values".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": ["array", "boolean", "number", "string"]})
    }
}

static CHECKER: LazyLock<Checker> =
    LazyLock::new(|| Checker::new(PipelineSpec::json_schema_value()).expect("the schema is made from types"));

impl PipelineSpec {
    /// Reads a file. `file` is only for messages.
    ///
    /// # Errors
    /// Everything that is wrong with it, in the order of the text.
    pub fn parse(file: &str, text: &str) -> Result<Self, Vec<Diagnostic>> {
        Self::from_document(Document::parse(file, text)?)
    }

    /// Reads what `to_json` gave, such as the pipeline of a bundle.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn from_json(value: Value) -> Result<Self, Vec<Diagnostic>> {
        Self::from_document(Document::from_value(value))
    }

    fn from_document(document: Document) -> Result<Self, Vec<Diagnostic>> {
        let mut found = CHECKER.check(&document);
        check::texts(&document, &mut found);
        if !found.is_empty() {
            return Err(ordered(found));
        }
        let mut spec: Self = serde_json::from_value(document.value.clone()).map_err(|error| {
            vec![document.diagnostic("wrong-value", "", error.to_string(), "see `inferwit pipeline schema`")]
        })?;
        spec.document = document;
        check::steps(&spec, &mut found);
        check::parameters(&spec, &mut found);
        if found.is_empty() { Ok(spec) } else { Err(ordered(found)) }
    }

    /// What a bundle holds: the file as a value, with every reference replaced by what it resolved to.
    pub fn to_json(&self, resolve: impl Fn(Kind, &Reference) -> Reference) -> Value {
        let mut value = self.document.value.clone();
        for (path, kind, reference) in self.references() {
            if let Some(place) = value.pointer_mut(&path) {
                *place = resolve(kind, reference).to_string().into();
            }
        }
        value
    }

    /// Everything that it names in the registry, and where: as a JSON pointer.
    pub fn references(&self) -> Vec<(String, Kind, &Reference)> {
        let mut references = Vec::new();
        for (index, step) in self.steps.iter().enumerate() {
            let (kind, reference) = step.target();
            references.push((format!("/steps/{index}/{}", kind.name()), kind.artifact(), reference));
            for (position, model) in step.grants.models.iter().enumerate() {
                references.push((format!("/steps/{index}/grants/models/{position}"), Kind::Model, model));
            }
        }
        references
    }

    /// The JSON Schema of the file, for editors and for `pipeline schema`.
    pub fn json_schema_value() -> Value {
        let mut schema = schemars::schema_for!(Self).to_value();
        schema["title"] = "pipeline/v1".into();
        schema
    }

    /// The pipeline as which a model is served by itself: one step, with its own name and signature.
    pub fn of_model(name: &Name, version: &Version, signature: &Signature) -> Self {
        Self::of_step(StepKind::Model, name, version, signature)
    }

    /// The pipeline as which a model or a processor plugin is served by itself.
    pub fn of_step(kind: StepKind, name: &Name, version: &Version, signature: &Signature) -> Self {
        let inputs: Map<String, Value> =
            signature.inputs.iter().map(|input| (input.name.clone(), declared(input))).collect();
        let outputs: Vec<&str> = signature.outputs.iter().map(|output| output.name.as_str()).collect();
        let mut step = json!({"name": name});
        step[kind.name()] = Reference::exact(name.clone(), version.clone()).to_string().into();
        let value = json!({
            "schema": "pipeline/v1", "name": name, "version": version, "inputs": inputs, "outputs": outputs, "steps": [step],
        });
        let mut spec: Self = serde_json::from_value(value.clone()).expect("made of names, datatypes and shapes");
        spec.document = Document::from_value(value);
        spec
    }
}

fn declared(input: &TensorSpec) -> Value {
    let mut declared = json!({});
    if let Some(datatype) = input.datatype {
        declared["datatype"] = datatype.name().into();
    }
    if let Some(shape) = &input.shape {
        declared["shape"] = json!(shape);
    }
    if input.optional {
        declared["optional"] = true.into();
    }
    declared
}

/// In the order of the text, without repeats.
pub(super) fn ordered(mut found: Vec<Diagnostic>) -> Vec<Diagnostic> {
    found.sort_by_key(|diagnostic| diagnostic.position);
    found.dedup();
    found
}

/// The JSON pointer of a step.
pub(super) fn step_path(index: usize) -> String {
    join("/steps", index)
}

#[cfg(test)]
mod tests;
