//! A rules step: tensors and parameters become facts, a rule set judges them, its outcome becomes tensors. Reads no rule.

mod columns;
mod mapping;
mod outcome;
mod outputs;
mod record;
mod request;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;

use super::error::PipelineError;
use super::parameters;
use super::plan::{PlanStep, Problem};
use super::spec::{ParameterSpec, ParameterType, StepSpec};
use super::step::{Given, Named};
use crate::infer::{Parameter, RequestContext, RuleTrace};
use crate::plugin::{EvaluateOptions, Facts, Isolation, OpenRules, Outcome, PoolBuilder, Template};
use crate::tensor::{Signature, TensorSpec};
use mapping::Mapping;
use outputs::Outputs;
pub use record::{RecordSettings, Recorder};
use request::RequestMap;

/// The output that holds the whole report.
const REPORT: &str = "report";

/// What a rules step is made from, beside the loaded rule set.
pub struct RulesParts<'a> {
    pub step: &'a StepSpec,
    /// What the pipeline declares.
    pub parameters: &'a BTreeMap<String, ParameterSpec>,
    pub pipeline: &'a str,
    /// The rule set's canonical form.
    pub parsed: &'a Value,
    /// `name@version` of the rule set, and of the engine.
    pub rule_set: String,
    pub engine: String,
    /// Whether clients may ask for the report.
    pub may_explain: bool,
    pub recorder: Option<Arc<Recorder>>,
}

/// A rule set in a step, with the ways from tensors to facts and back.
pub struct RulesStep {
    rules: OpenRules,
    rule_set: Arc<str>,
    rule_ids: Arc<[Arc<str>]>,
    templates: Arc<[Template]>,
    engine: String,
    pipeline: String,
    mapping: Mapping,
    request: Option<RequestMap>,
    outputs: Outputs,
    /// The rule set's parameters that requests may set.
    request_params: Vec<String>,
    signature: Signature,
    may_explain: bool,
    recorder: Option<Arc<Recorder>>,
}

impl RulesStep {
    /// Joins a loaded rule set with the step's `facts` and the pipeline's parameters.
    ///
    /// # Errors
    /// Everything about them that does not fit the rule set.
    pub fn new(rules: OpenRules, parts: RulesParts<'_>) -> Result<Self, Vec<Problem>> {
        let signature = rules.signature();
        let mut problems = Vec::new();
        let mut collect = |found: Vec<Problem>| problems.extend(found);
        let mapping = mapping::map(signature, &parts.step.facts).unwrap_or_else(|found| {
            collect(found);
            Mapping::default()
        });
        let request = RequestMap::new(signature, parts.parameters).unwrap_or_else(|found| {
            collect(found);
            None
        });
        let outputs = Outputs::new(signature, parts.parsed).unwrap_or_else(|found| {
            collect(found);
            Outputs::default()
        });
        let request_params = request_params(parts.parsed, parts.parameters).unwrap_or_else(|found| {
            collect(found);
            Vec::new()
        });
        if !problems.is_empty() {
            return Err(problems);
        }
        let tensors = Signature { inputs: mapping.inputs(), outputs: outputs.specs() };
        Ok(Self {
            rule_set: parts.rule_set.into(),
            rule_ids: signature.rules.iter().map(|id| Arc::from(id.as_str())).collect(),
            templates: signature.templates.clone().into(),
            engine: parts.engine,
            pipeline: parts.pipeline.to_owned(),
            mapping,
            request,
            outputs,
            request_params,
            signature: tensors,
            may_explain: parts.may_explain,
            recorder: parts.recorder,
            rules,
        })
    }

    pub fn signature(&self) -> &Signature {
        &self.signature
    }

    /// Why a tensor like `given` cannot be what `facts` maps it to, one problem for each field.
    pub fn misfits(&self, input: &str, given: &TensorSpec) -> Vec<Problem> {
        self.mapping.misfits(input, given)
    }

    pub(super) fn isolation(&self) -> Isolation {
        self.rules.isolation()
    }

    /// Gives the outcome as tensors, how long the step waited, and the memory of its instance.
    pub(super) fn run(
        &self,
        step: &PlanStep,
        inputs: &Named,
        context: &Arc<RequestContext>,
    ) -> (Result<Given, PipelineError>, u64, Option<u64>) {
        let facts = match self.facts(inputs, context, now_ns()) {
            Ok(facts) => facts,
            Err(problem) => return (Err(PipelineError::Facts { step: step.name.to_string(), problem }), 0, None),
        };
        let explains = self.may_explain && context.parameters.get("explain") == Some(&Parameter::Bool(true));
        let recorder = self.recorder.as_ref().filter(|recorder| recorder.wants(context));
        let is_report_read = step.outputs.iter().any(|output| output.name == REPORT && output.is_read);
        let options = EvaluateOptions {
            trace: None,
            report: is_report_read || explains || recorder.is_some(),
            params: self.params(context),
        };
        let answer = self.rules.evaluate(&facts, &options, context);
        let mut is_record_lost = false;
        if let (Some(recorder), Ok(outcome)) = (recorder, &answer.result) {
            is_record_lost = !self.record(recorder, step, facts, (&options, outcome));
        }
        let given = answer.result.map_err(PipelineError::from).and_then(|outcome| {
            let mut given = self.given(step, &outcome, explains)?;
            given.rules = Some(self.trace(outcome.fired, is_record_lost));
            Ok(given)
        });
        (given, answer.queue_ns, Some(answer.memory_bytes))
    }

    fn facts(&self, inputs: &Named, context: &RequestContext, now_ns: i64) -> Result<Facts, String> {
        let mut pool = PoolBuilder::new();
        let mut tables = self.mapping.tables(inputs, &mut pool)?;
        if let Some(request) = &self.request {
            tables.push(request.table(&self.pipeline, context, now_ns, &mut pool)?);
        }
        Ok(Facts { tables, pool: pool.finish() })
    }

    /// The request's values of the rule set's parameters, as JSON text.
    fn params(&self, context: &RequestContext) -> Option<String> {
        let given = |name: &String| Some((name.clone(), parameters::to_json(context.parameters.get(name)?)));
        let params: serde_json::Map<String, Value> = self.request_params.iter().filter_map(given).collect();
        (!params.is_empty()).then(|| Value::Object(params).to_string())
    }

    fn record(
        &self,
        recorder: &Recorder,
        step: &PlanStep,
        facts: Facts,
        (options, outcome): (&EvaluateOptions, &Outcome),
    ) -> bool {
        recorder.record(record::Run {
            time: SystemTime::now(),
            pipeline: self.pipeline.clone(),
            step: step.name.to_string(),
            rule_set: Arc::clone(&self.rule_set),
            templates: Arc::clone(&self.templates),
            facts,
            params: options.params.clone(),
            report: outcome.report.clone(),
        })
    }

    fn trace(&self, fired: Vec<(u32, u64)>, is_record_lost: bool) -> RuleTrace {
        RuleTrace { rule_set: Arc::clone(&self.rule_set), rule_ids: Arc::clone(&self.rule_ids), fired, is_record_lost }
    }
}

fn now_ns() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

/// The parameters that say `request: true` and that the pipeline declares, so that clients can send them at all.
fn request_params(parsed: &Value, declared: &BTreeMap<String, ParameterSpec>) -> Result<Vec<String>, Vec<Problem>> {
    let params = parsed["params"].as_object().into_iter().flatten();
    let mut names = Vec::new();
    let mut problems = Vec::new();
    for (name, param) in params.filter(|(_, param)| param["request"] == Value::Bool(true)) {
        let Some(declared) = declared.get(name) else { continue };
        let wanted = param["type"].as_str().unwrap_or_default();
        if accepts(wanted, declared.r#type) {
            names.push(name.clone());
        } else {
            problems.push(Problem {
                path: String::new(),
                message: format!(
                    "parameter `{name}` of the pipeline is {}, that of the rule set {wanted}",
                    declared.r#type.name()
                ),
                hint: "declare both alike, or give one of them another name".to_owned(),
            });
        }
    }
    if problems.is_empty() { Ok(names) } else { Err(problems) }
}

/// Whether a rule set's type takes values of a request parameter's type.
fn accepts(wanted: &str, given: ParameterType) -> bool {
    match given {
        ParameterType::Bool => wanted == "bool",
        ParameterType::Int => matches!(wanted, "int" | "double"),
        ParameterType::Double => wanted == "double",
        ParameterType::String => !matches!(wanted, "bool" | "int" | "double") && !wanted.starts_with("list"),
    }
}

#[cfg(test)]
mod tests;
