//! After a rule set was published: what is active and follows it is deployed again. Pipelines decide by their references.

use super::App;
use super::deploy::{Deployment, Plan};
use super::error::AppError;
use super::gather::Target;
use crate::name::{Kind, Label, Name, Reference, Selector, Version};
use crate::pipeline::spec::{PipelineSpec, StepKind};
use crate::registry::{ActiveBundle, Bundle, Record, RegistryError};

/// Which rule set has a new version, and where it is to be used.
#[derive(Clone, Copy, Debug)]
pub struct RedeployPlan<'a> {
    pub rule_set: &'a Name,
    pub version: &'a Version,
    pub environment: &'a Label,
    pub actor: &'a str,
    pub reason: Option<&'a str>,
    /// Everything but the last step.
    pub dry_run: bool,
}

/// What became of one pipeline that uses the rule set.
#[derive(Debug)]
pub struct Redeployed {
    pub pipeline: Name,
    pub version: Version,
    /// `NotRedeployed` where it was left as it is.
    pub result: Result<Deployment, AppError>,
}

impl App {
    /// Deploys again the pipelines that are active in an environment and whose reference to the rule set admits the version.
    /// One that fails does not keep the others from it.
    ///
    /// # Errors
    /// If the registry cannot be read.
    pub fn redeploy_rules(&self, plan: &RedeployPlan<'_>) -> Result<Vec<Redeployed>, AppError> {
        let active = self.registry()?.active(plan.environment)?;
        let uses = |active: &&ActiveBundle| {
            let mut pins = active.bundle.parts().artifacts.iter();
            pins.any(|pin| pin.kind == Kind::Rules && pin.name == *plan.rule_set)
        };
        let redeployed = |active: &ActiveBundle| {
            let bundle = &active.bundle;
            Redeployed {
                pipeline: bundle.pipeline_name().clone(),
                version: bundle.pipeline_version().clone(),
                result: self.redeploy(bundle, plan),
            }
        };
        Ok(active.iter().filter(uses).map(redeployed).collect())
    }

    fn redeploy(&self, bundle: &Bundle, plan: &RedeployPlan<'_>) -> Result<Deployment, AppError> {
        let left = |reason: String| AppError::NotRedeployed { pipeline: bundle.pipeline_name().clone(), reason };
        let reference = Reference::exact(bundle.pipeline_name().clone(), bundle.pipeline_version().clone());
        let artifact = match self.registry()?.resolve(Kind::Pipeline, &reference) {
            Ok(artifact) => artifact,
            Err(RegistryError::NotFound { .. }) => {
                return Err(left("it was deployed from a file, which may say more than its bundle".to_owned()));
            }
            Err(error) => return Err(error.into()),
        };
        let Record::Pipeline(record) = &artifact.record else { return Err(left("it is no pipeline".to_owned())) };
        let spec = PipelineSpec::from_json(record.parsed.clone()).map_err(AppError::Pipeline)?;
        if !is_bundled(&spec, bundle) {
            return Err(left(format!("what is active is not what is registered as `{reference}`")));
        }
        let admits = |reference: &Reference| match &reference.selector {
            Selector::Newest => true,
            Selector::Range(range) => range.matches(plan.version),
            Selector::Exact(version) => version == plan.version,
            Selector::Digest(_) | Selector::Label(_) => false,
        };
        let mut references =
            spec.steps.iter().filter(|step| step.kind() == StepKind::Rules).map(|step| step.reference());
        if !references.any(|reference| reference.name == *plan.rule_set && admits(reference)) {
            return Err(left(format!("its reference does not admit {}@{}", plan.rule_set, plan.version)));
        }
        self.deploy(&Plan {
            target: &Target::Reference(reference),
            environment: plan.environment,
            actor: plan.actor,
            reason: plan.reason,
            dry_run: plan.dry_run,
        })
    }
}

/// Whether the bundle was made of this pipeline, whatever its references came to.
fn is_bundled(spec: &PipelineSpec, bundle: &Bundle) -> bool {
    let pinned = |kind: Kind, reference: &Reference| {
        let pins = bundle.parts().artifacts.iter().filter(|pin| pin.kind == kind && pin.name == reference.name);
        let mut fitting = pins.filter(|pin| match &reference.selector {
            Selector::Range(range) => range.matches(&pin.version),
            Selector::Exact(version) => *version == pin.version,
            Selector::Digest(digest) => *digest == pin.sha256,
            Selector::Newest | Selector::Label(_) => true,
        });
        match fitting.next() {
            Some(pin) => Reference::exact(pin.name.clone(), pin.version.clone()),
            None => reference.clone(),
        }
    };
    let canonical = |value| serde_json_canonicalizer::to_string(value).ok();
    canonical(&spec.to_json(pinned)) == canonical(&bundle.parts().pipeline)
}
