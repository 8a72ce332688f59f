//! A generation: one bundle loaded, opened and warmed; immutable from then on. It knows nothing of the one before or after.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::App;
use super::error::AppError;
use super::gather::{Assembly, Material};
use super::rules::RulesLoad;
use crate::infer::{InferError, InferRequest, InferResponse, Trace};
use crate::name::{Kind, Version};
use crate::pipeline::document::Document;
use crate::pipeline::plan::{Plan, Problem, Signatures};
use crate::pipeline::schema::Checker;
use crate::pipeline::spec::{Isolation as SpecIsolation, PipelineSpec, StepKind, StepLimits, StepSpec};
use crate::pipeline::{ModelGrant, Pipeline, PipelineOptions, RulesParts, RulesStep, Runner};
use crate::plugin::{Diagnostic, GrantedModel, Grants, Interface, Isolation, Limits, PluginError, Severity, Usage};
use crate::registry::Record;
use crate::server::{ModelMetadata, Served};
use crate::tensor::{Signature, TensorSpec};

/// A bundle that serves.
pub struct Generation {
    pipeline: Arc<Pipeline>,
    metadata: ModelMetadata,
    version: Version,
    bundle: String,
    timeout: Duration,
}

impl Generation {
    pub fn pipeline(&self) -> &Arc<Pipeline> {
        &self.pipeline
    }

    pub fn version(&self) -> &Version {
        &self.version
    }

    /// The digest of its bundle.
    pub fn bundle(&self) -> &str {
        &self.bundle
    }

    /// The same pipeline, told which other versions are served beside it.
    pub(super) fn among(&self, versions: Vec<String>) -> Self {
        Self {
            pipeline: Arc::clone(&self.pipeline),
            metadata: ModelMetadata { versions, ..self.metadata.clone() },
            version: self.version.clone(),
            bundle: self.bundle.clone(),
            timeout: self.timeout,
        }
    }
}

impl Served for Generation {
    fn metadata(&self) -> &ModelMetadata {
        &self.metadata
    }

    fn is_ready(&self) -> bool {
        true
    }

    fn timeout(&self) -> Duration {
        self.timeout
    }

    fn infer(&self, request: InferRequest) -> (Result<InferResponse, InferError>, Trace) {
        let (outcome, trace) = self.pipeline.infer(request);
        (outcome.map_err(InferError::from), trace)
    }
}

/// What a step would run, or why it cannot.
type Opened = Result<Runner, Vec<Problem>>;

/// Opened steps, as a plan asks about them.
struct OpenedSteps<'a>(&'a BTreeMap<String, Opened>);

impl Signatures for OpenedSteps<'_> {
    fn signature(&self, step: &StepSpec) -> Result<Signature, Vec<Problem>> {
        match &self.0[step.name.as_str()] {
            Ok(runner) => Ok(runner.signature().clone()),
            Err(problems) => Err(problems.clone()),
        }
    }

    fn misfits(&self, step: &StepSpec, input: &str, given: &TensorSpec) -> Vec<Problem> {
        match &self.0[step.name.as_str()] {
            Ok(Runner::Rules(rules)) => rules.misfits(input, given),
            _ => Vec::new(),
        }
    }
}

impl App {
    /// Loads a bundle: compiles or finds its plugins, loads its models, opens every step with its configuration, and checks
    /// that the steps fit together.
    ///
    /// # Errors
    /// Everything that is wrong with the pipeline, or what could not be loaded.
    pub fn load(&self, assembly: &Assembly) -> Result<Generation, AppError> {
        let (plan, runners) = self.compile(assembly)?;
        let options = PipelineOptions {
            bundle: Some(assembly.bundle.digest().to_string()),
            may_trace: self.config().monitoring.trace_requests,
        };
        let timeout = plan.timeout.unwrap_or(self.config().inference.timeout);
        let metadata = ModelMetadata {
            name: plan.name.to_string(),
            version: plan.version.to_string(),
            versions: vec![plan.version.to_string()],
            platform: assembly.platform.to_owned(),
            signature: plan.signature(),
        };
        let version = plan.version.clone();
        let pipeline = Pipeline::new(plan, runners, Arc::clone(self.crew()?), options);
        let timeout = timeout.min(self.config().server.limits.request_timeout);
        Ok(Generation { pipeline, metadata, version, bundle: assembly.bundle.digest().to_string(), timeout })
    }

    /// The plan alone, as `pipeline check` and `pipeline graph` want it.
    ///
    /// # Errors
    /// Everything that is wrong with the pipeline.
    pub fn plan(&self, assembly: &Assembly) -> Result<Plan, AppError> {
        self.compile(assembly).map(|(plan, _)| plan)
    }

    fn compile(&self, assembly: &Assembly) -> Result<(Plan, Vec<Runner>), AppError> {
        let mut opened: BTreeMap<String, Opened> = BTreeMap::new();
        for step in &assembly.spec.steps {
            opened.insert(step.name.to_string(), self.open_step(assembly, step)?);
        }
        let plan = Plan::compile(&assembly.spec, &OpenedSteps(&opened)).map_err(AppError::Pipeline)?;
        let runners = plan
            .steps
            .iter()
            .map(|step| {
                let runner = opened.remove(step.name.as_str()).expect("every step of the plan was opened");
                runner.unwrap_or_else(|_| unreachable!("a plan with a step that cannot run is refused"))
            })
            .collect();
        Ok((plan, runners))
    }

    /// What is the pipeline's fault is a problem at the step's line; anything else ends the load.
    fn open_step(&self, assembly: &Assembly, step: &StepSpec) -> Result<Opened, AppError> {
        let (kind, reference) = step.target();
        let material = assembly
            .material(kind.artifact(), reference)
            .ok_or_else(|| AppError::Unknown { reference: reference.to_string() })?;
        match kind {
            StepKind::Model => {
                let options = assembly.model_options(material)?;
                Ok(Ok(Runner::Model(self.model(material, &options)?)))
            }
            StepKind::Rules => self.open_rules_step(assembly, step, material),
            _ => self.open_plugin(assembly, step, material),
        }
    }

    fn open_plugin(&self, assembly: &Assembly, step: &StepSpec, material: &Material) -> Result<Opened, AppError> {
        let problems = check_config(step, material);
        if !problems.is_empty() {
            return Ok(Err(problems));
        }
        let interface = match step.kind() {
            StepKind::Validate => Interface::Validator,
            _ => Interface::Processor,
        };
        let plugin = self.plugin(material)?;
        let usage = Usage {
            step: Some(step.name.to_string()),
            interface,
            config: step.config_json(),
            isolation: match step.isolation.unwrap_or_default() {
                SpecIsolation::Warm => Isolation::Warm,
                SpecIsolation::Fresh => Isolation::Fresh,
            },
            limits: lowered(self.plugin_limits(), &step.limits),
            grants: Arc::new(self.grants(assembly, step)?),
        };
        match plugin.open(usage) {
            Ok(opened) if interface == Interface::Validator => Ok(Ok(Runner::Validator(opened))),
            Ok(opened) => Ok(Ok(Runner::Processor(opened))),
            Err(error) => Ok(Err(problems_of(error))),
        }
    }

    fn open_rules_step(&self, assembly: &Assembly, step: &StepSpec, material: &Material) -> Result<Opened, AppError> {
        let engine = assembly.rules_engine().ok_or(AppError::NoRulesEngine)?;
        let Some(Record::Rules(record)) = material.artifact.as_ref().map(|artifact| &artifact.record) else {
            return Err(AppError::Unknown { reference: material.label() });
        };
        let params = assembly.rule_params(&step.name);
        let limits = lowered(self.rules_limits(), &step.limits);
        let load = RulesLoad { step: step.name.as_str(), params: &params, limits };
        let rules = match self.load_rules(engine, material, &load) {
            Ok(rules) => rules,
            Err(AppError::Plugin(PluginError::RuleSet { diagnostics, .. })) => {
                return Ok(Err(rule_problems(diagnostics, &material.label())));
            }
            Err(AppError::Plugin(error)) => return Ok(Err(problems_of(error))),
            Err(error) => return Err(error),
        };
        let parts = RulesParts {
            step,
            parameters: &assembly.spec.parameters,
            pipeline: assembly.spec.name.as_str(),
            parsed: &record.parsed,
            rule_set: material.label(),
            engine: engine.label(),
            may_explain: self.config().monitoring.trace_requests,
            recorder: self.recorder(),
        };
        Ok(RulesStep::new(rules, parts).map(|rules| Runner::Rules(Box::new(rules))))
    }

    fn grants(&self, assembly: &Assembly, step: &StepSpec) -> Result<Grants, AppError> {
        let mut models: BTreeMap<String, Arc<dyn GrantedModel>> = BTreeMap::new();
        for reference in &step.grants.models {
            let material = assembly
                .material(Kind::Model, reference)
                .ok_or_else(|| AppError::Unknown { reference: reference.to_string() })?;
            let model = self.model(material, &assembly.model_options(material)?)?;
            for name in [material.name.to_string(), material.label()] {
                models.insert(name, Arc::new(ModelGrant(Arc::clone(&model))));
            }
        }
        let grants = &step.grants;
        Ok(Grants { models, clock: grants.clock, random: grants.random, headers: grants.headers.clone() })
    }
}

/// The configuration against the schema that the plugin gave when it was registered.
fn check_config(step: &StepSpec, material: &Material) -> Vec<Problem> {
    let Some(Record::Plugin(record)) = material.artifact.as_ref().map(|artifact| &artifact.record) else {
        return Vec::new();
    };
    // A schema that cannot be used is the plugin's fault; `open` checks the configuration in any case.
    let Ok(checker) = Checker::new(record.config_schema.clone()) else { return Vec::new() };
    let config = step.config.clone().unwrap_or_default();
    let found = checker.check(&Document::from_value(config.into()));
    found
        .into_iter()
        .map(|problem| Problem {
            path: format!("/config{}", problem.path),
            message: problem.message,
            hint: problem.hint,
        })
        .collect()
}

/// A plugin that refuses its configuration says where; anything else is about the step as a whole.
fn problems_of(error: PluginError) -> Vec<Problem> {
    match error {
        PluginError::Configuration { diagnostics, .. } => diagnostics
            .into_iter()
            .map(|diagnostic| Problem {
                path: format!("/config{}", diagnostic.path.unwrap_or_default()),
                message: diagnostic.message,
                hint: diagnostic.hint.unwrap_or_default(),
            })
            .collect(),
        PluginError::Unsupported { reason, hint } => vec![Problem { path: String::new(), message: reason, hint }],
        other => vec![Problem { path: String::new(), message: other.to_string(), hint: String::new() }],
    }
}

/// What a rule set is refused for: at the step's parameter, or with the place in the rule set.
fn rule_problems(diagnostics: Vec<Diagnostic>, rule_set: &str) -> Vec<Problem> {
    let errors = diagnostics.into_iter().filter(|diagnostic| diagnostic.severity == Severity::Error);
    errors
        .map(|Diagnostic { message, hint, position, path, .. }| {
            let hint = hint.unwrap_or_default();
            let param = path.as_deref().filter(|_| position.is_none()).and_then(|path| path.strip_prefix("/params/"));
            match (param, position) {
                (Some(param), _) => Problem {
                    path: format!("/params/{param}"),
                    message: format!("`params.{param}` does not suit {rule_set}: {message}"),
                    hint,
                },
                (None, Some((line, column))) => Problem {
                    path: String::new(),
                    message: format!("the rule set is refused: {rule_set}:{line}:{column}: {message}"),
                    hint,
                },
                (None, None) => {
                    Problem { path: String::new(), message: format!("the rule set is refused: {message}"), hint }
                }
            }
        })
        .collect()
}

/// A step may lower the operator's limits, never raise them.
fn lowered(ceilings: Limits, step: &StepLimits) -> Limits {
    let mib = |limit: Option<std::num::NonZeroU64>| limit.map(|mib| mib.get().saturating_mul(1 << 20));
    let bytes = |limit, ceiling: usize| {
        mib(limit).map_or(ceiling, |bytes| usize::try_from(bytes).unwrap_or(usize::MAX).min(ceiling))
    };
    Limits {
        deadline: step
            .deadline_ms
            .map_or(ceilings.deadline, |ms| Duration::from_millis(ms.get()).min(ceilings.deadline)),
        memory_bytes: bytes(step.memory_mib, ceilings.memory_bytes),
        sent_bytes: bytes(step.sent_mib, ceilings.sent_bytes),
        tensor_bytes: mib(step.tensor_mib).map_or(ceilings.tensor_bytes, |bytes| bytes.min(ceilings.tensor_bytes)),
        handles: step
            .handles
            .map_or(ceilings.handles, |handles| u32::try_from(handles.get()).unwrap_or(u32::MAX).min(ceilings.handles)),
        ..ceilings
    }
}

/// The pipeline that a spec is, by name.
pub(super) fn label(spec: &PipelineSpec) -> String {
    format!("{}@{}", spec.name, spec.version)
}
