//! Deploying: what is named becomes a bundle, is loaded and tested here, and only then made active. Running servers follow.

use super::App;
use super::error::AppError;
use super::gather::Target;
use super::golden::TestResult;
use crate::name::{Digest, Label, Name, Version};
use crate::registry::{Bundle, Deployed, Order, Pin};

/// Who deploys what to where.
#[derive(Clone, Debug)]
pub struct Plan<'a> {
    pub target: &'a Target,
    pub environment: &'a Label,
    pub actor: &'a str,
    pub reason: Option<&'a str>,
    /// Everything but the last step.
    pub dry_run: bool,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Deployment {
    pub pipeline: Name,
    pub version: Version,
    pub bundle: Digest,
    pub artifacts: Vec<Pin>,
    pub tests: Vec<TestResult>,
    /// `None` in a dry run.
    pub outcome: Option<Deployed>,
}

impl App {
    /// Resolves, loads, tests and activates. What was active goes on serving until then, and stays active if anything fails.
    ///
    /// # Errors
    /// What is wrong with it. If the bundle could be made but not loaded, or its tests failed, the refusal is recorded too.
    pub fn deploy(&self, plan: &Plan<'_>) -> Result<Deployment, AppError> {
        let assembly = self.gather(plan.target, None)?;
        let bundle = &assembly.bundle;
        let loaded = self.load(&assembly).and_then(|generation| {
            self.test_rule_sets(&assembly)?;
            self.smoke_test(&assembly, &generation)
        });
        let tests = match loaded {
            Ok(tests) => tests,
            Err(error) => {
                if !plan.dry_run {
                    self.record_refusal(plan, bundle, &error);
                }
                return Err(error);
            }
        };
        let outcome = if plan.dry_run { None } else { Some(self.registry()?.deploy(&order(plan, bundle))?) };
        Ok(Deployment {
            pipeline: bundle.pipeline_name().clone(),
            version: bundle.pipeline_version().clone(),
            bundle: bundle.digest(),
            artifacts: bundle.parts().artifacts.clone(),
            tests,
            outcome,
        })
    }

    /// The refusal itself is what the caller is told; that it could not be recorded is only logged.
    fn record_refusal(&self, plan: &Plan<'_>, bundle: &Bundle, refusal: &AppError) {
        let text = crate::telemetry::chain(refusal);
        let recorded = self.registry().and_then(|registry| Ok(registry.record_refusal(&order(plan, bundle), &text)?));
        if let Err(error) = recorded {
            tracing::warn!(error = crate::telemetry::chain(&error), "the refusal could not be recorded");
        }
    }
}

fn order<'a>(plan: &Plan<'a>, bundle: &'a Bundle) -> Order<'a> {
    Order { bundle, environment: plan.environment, actor: plan.actor, reason: plan.reason }
}
