//! `inferwit deploy` and `inferwit status`: what an environment runs, and how it comes to run it.

use clap::Args;
use serde_json::json;

use super::output::{Output, short};
use super::session::{Change, Session};
use super::{Outcome, Verdict};
use crate::app::{DeployPlan, Deployment, Target};
use crate::name::{Label, Reference};
use crate::registry::Deployed;

/// Makes a registered pipeline, model or plugin the active one of an environment.
///
/// It is resolved, pinned as a bundle, loaded and tested here first; if anything fails, what was active stays so and
/// the refusal is recorded. Running servers follow within a second, without a dropped request.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  inferwit deploy photo-check@^1 --env dev --reason 'first version'

Prints the bundle, what it pins, and how many tests passed.")]
pub(super) struct Deploy {
    /// What to deploy: a name, or `name@1.4.2`, `name@^1`, `name@sha256:..`, `name@ENVIRONMENT`
    #[arg(value_name = "REF")]
    reference: Reference,
    /// Where
    #[arg(long)]
    env: Label,
    #[command(flatten)]
    change: Change,
}

impl Deploy {
    pub(super) fn run(self, session: &Session, out: &mut Output<'_>) -> Outcome {
        let app = session.app()?;
        let target = Target::Reference(self.reference.clone());
        let actor = self.change.actor(session);
        let plan = DeployPlan {
            target: &target,
            environment: &self.env,
            actor: &actor,
            reason: self.change.reason.as_deref(),
            dry_run: self.change.dry_run,
        };
        let progress = session.progress(format!("load and test {}", self.reference));
        let deployment = app.deploy(&plan)?;
        drop(progress);
        if out.is_json() {
            out.json(&as_json(&self, &deployment))?;
        } else {
            self.told(&deployment, out)?;
        }
        Ok(Verdict::Good)
    }

    fn told(&self, deployment: &Deployment, out: &mut Output<'_>) -> anyhow::Result<()> {
        let Deployment { pipeline, version, bundle, artifacts, tests, outcome } = deployment;
        let (what, environment) = (format!("{pipeline}@{version}"), &self.env);
        match outcome {
            None => out.text(format_args!("would deploy {what} to {environment} as bundle {bundle}"))?,
            Some(Deployed::Activated { id, .. }) => {
                out.text(format_args!("deployed {what} to {environment} as bundle {bundle} (deployment {id})"))?;
            }
            Some(Deployed::AlreadyActive { id }) => {
                out.text(format_args!(
                    "{what} is active in {environment} already (deployment {id}); nothing was changed"
                ))?;
            }
        }
        let rows: Vec<[String; 3]> = artifacts
            .iter()
            .map(|pin| [format!("  {}", pin.kind), format!("{}@{}", pin.name, pin.version), short(&pin.sha256)])
            .collect();
        out.rows(&rows)?;
        match tests.len() {
            0 => out.text("it has no tests")?,
            1 => out.text("its test passed")?,
            count => out.text(format_args!("its {count} tests passed"))?,
        }
        if let Some(Deployed::Activated { superseded: Some(superseded), .. }) = outcome {
            out.text(format_args!("it takes the place of bundle {superseded}"))?;
        }
        Ok(())
    }
}

fn as_json(deploy: &Deploy, deployment: &Deployment) -> serde_json::Value {
    let (outcome, id, superseded) = match &deployment.outcome {
        None => ("dry_run", None, None),
        Some(Deployed::Activated { id, superseded }) => {
            ("activated", Some(id), superseded.map(|digest| digest.to_string()))
        }
        Some(Deployed::AlreadyActive { id }) => ("already_active", Some(id), None),
    };
    json!({
        "outcome": outcome, "id": id, "environment": deploy.env, "pipeline": deployment.pipeline,
        "version": deployment.version, "bundle": deployment.bundle, "artifacts": deployment.artifacts,
        "tests": deployment.tests, "superseded": superseded,
    })
}

/// Shows what is active: in one environment, or in all.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  inferwit status --env production

Prints environment, pipeline, version, bundle, and when, by whom and why it was deployed, a line each.")]
pub(super) struct Status {
    /// Only this environment
    #[arg(long)]
    env: Option<Label>,
}

impl Status {
    pub(super) fn run(self, session: &Session, out: &mut Output<'_>) -> Outcome {
        let app = session.app()?;
        let mut deployments = app.registry()?.deployments(self.env.as_ref(), u32::MAX)?;
        deployments.retain(|deployment| deployment.status == "active");
        deployments.sort_by(|one, other| (&one.environment, &one.pipeline).cmp(&(&other.environment, &other.pipeline)));
        if out.is_json() {
            out.json(&deployments)?;
            return Ok(Verdict::Good);
        }
        if deployments.is_empty() {
            let place = self
                .env
                .as_ref()
                .map_or_else(|| "in any environment".to_owned(), |env| format!("in environment `{env}`"));
            let env = self.env.unwrap_or_else(|| app.config().environment.clone());
            session.note(
                &format!("nothing is active {place}"),
                &format!("deploy something with `inferwit deploy NAME --env {env}`"),
            );
            return Ok(Verdict::Good);
        }
        let rows: Vec<[String; 7]> = deployments
            .into_iter()
            .map(|deployment| {
                [
                    deployment.environment.to_string(),
                    deployment.pipeline.to_string(),
                    deployment.version.to_string(),
                    short(&deployment.bundle),
                    deployment.deployed_at,
                    deployment.actor,
                    deployment.reason.unwrap_or_default(),
                ]
            })
            .collect();
        out.table(["ENVIRONMENT", "PIPELINE", "VERSION", "BUNDLE", "DEPLOYED", "BY", "REASON"], &rows)?;
        Ok(Verdict::Good)
    }
}
