//! `inferwit rules add`: a rule set into the registry, and the pipelines that follow it.

use clap::Args;
use serde_json::{Value, json};

use super::findings::{message, refused_by_app};
use crate::app::{App, AppError, RedeployPlan, Redeployed, RulesReport};
use crate::cli::artifact::added;
use crate::cli::failure::{self, Word};
use crate::cli::output::{Output, short};
use crate::cli::session::{Change, Session};
use crate::cli::{Outcome, Verdict};
use crate::name::Label;
use crate::registry::{Added, Deployed};

#[derive(Debug, Args)]
pub(in crate::cli) struct Add {
    /// The rule set, as .yaml or .json
    file: String,
    /// Deploy again the pipelines of this environment that use it, where their reference admits the version
    #[arg(long, value_name = "ENV")]
    deploy: Option<Label>,
    #[command(flatten)]
    change: Change,
}

impl Add {
    pub(super) fn run(self, session: &Session, out: &mut Output<'_>) -> Outcome {
        let app = session.app()?;
        let (label, source) = app.rules_source(&self.file)?;
        let progress = session.progress(format!("check and test {label}"));
        let outcome = match self.change.dry_run {
            true => app.inspect_rules(&source).map(|report| (None, report)),
            false => app.add_rules(&source).map(|(added, report)| (Some(added), report)),
        };
        drop(progress);
        let (outcome, report) = outcome.map_err(|error| refused_by_app(&label, &source, error))?;
        if !out.is_json() {
            tell_warnings(session, (&label, &source), &report);
        }
        if let Some(added) = &outcome {
            self.change.log(session, "add", &added.artifact().label());
        }
        let redeployed = match &self.deploy {
            Some(environment) => self.redeploy(&app, session, environment, &report)?,
            None => Vec::new(),
        };
        if out.is_json() {
            out.json(&as_json(outcome.as_ref(), &report, &redeployed))?;
        } else {
            told(outcome.as_ref(), &report, out)?;
            self.tell_redeployed(session, &redeployed, out)?;
        }
        let is_good = redeployed.iter().all(|redeployed| redeployed.result.is_ok() || was_left(redeployed));
        Ok(if is_good { Verdict::Good } else { Verdict::Failed })
    }

    fn redeploy(
        &self,
        app: &App,
        session: &Session,
        environment: &Label,
        report: &RulesReport,
    ) -> anyhow::Result<Vec<Redeployed>> {
        let _progress = session.progress(format!("deploy to {environment}"));
        let actor = self.change.actor(session);
        let plan = RedeployPlan {
            rule_set: &report.name,
            version: &report.version,
            environment,
            actor: &actor,
            reason: self.change.reason.as_deref(),
            dry_run: self.change.dry_run,
        };
        Ok(app.redeploy_rules(&plan)?)
    }

    fn tell_redeployed(
        &self,
        session: &Session,
        redeployed: &[Redeployed],
        out: &mut Output<'_>,
    ) -> anyhow::Result<()> {
        let Some(environment) = &self.deploy else { return Ok(()) };
        if redeployed.is_empty() {
            out.text(format_args!("no pipeline that is active in {environment} uses it"))?;
        }
        for Redeployed { pipeline, version, result } in redeployed {
            let what = format!("{pipeline}@{version}");
            match result {
                Ok(deployment) => {
                    let bundle = short(&deployment.bundle);
                    out.text(match &deployment.outcome {
                        None => format!("would deploy {what} to {environment} as bundle {bundle}"),
                        Some(Deployed::Activated { id, .. }) => {
                            format!("deployed {what} to {environment} as bundle {bundle} (deployment {id})")
                        }
                        Some(Deployed::AlreadyActive { id }) => {
                            format!("{what} is active in {environment} with it already (deployment {id})")
                        }
                    })?;
                }
                Err(AppError::NotRedeployed { reason, .. }) => {
                    out.text(format_args!("left {what} in {environment} as it is: {reason}"))?;
                }
                Err(error) => {
                    let (message, hint) = (format!("deploy {what} to {environment}: {error}"), error.hint());
                    let mut text = String::new();
                    let colour = session.has_error_colour();
                    failure::told_as(Word::Error, &mut text, &message, hint.as_deref(), colour);
                    session.tell(&text);
                }
            }
        }
        Ok(())
    }
}

fn was_left(redeployed: &Redeployed) -> bool {
    matches!(redeployed.result, Err(AppError::NotRedeployed { .. }))
}

fn tell_warnings(session: &Session, (label, source): (&str, &[u8]), report: &RulesReport) {
    let mut text = String::new();
    for found in &report.warnings {
        if !text.is_empty() {
            text.push('\n');
        }
        let message = message(label, source, found);
        failure::told_as(Word::Warning, &mut text, &message, found.hint.as_deref(), session.has_error_colour());
    }
    session.tell(&text);
}

fn told(outcome: Option<&Added>, report: &RulesReport, out: &mut Output<'_>) -> anyhow::Result<()> {
    match outcome {
        Some(outcome) => {
            added(outcome, out)?;
        }
        None => out.text(format_args!("would register rules {}@{}", report.name, report.version))?,
    }
    match report.tests.len() {
        0 => out.text("it has no tests"),
        1 => out.text("its test passed"),
        count => out.text(format_args!("its {count} tests passed")),
    }
}

fn as_json(outcome: Option<&Added>, report: &RulesReport, redeployed: &[Redeployed]) -> Value {
    let redeployed = redeployed.iter().map(|Redeployed { pipeline, version, result }| match result {
        Ok(deployment) => json!({
            "pipeline": pipeline, "version": version, "deployed": true, "bundle": deployment.bundle, "reason": null,
        }),
        Err(error) => json!({
            "pipeline": pipeline, "version": version, "deployed": false, "bundle": null, "reason": error.to_string(),
        }),
    });
    json!({
        "dry_run": outcome.is_none(), "is_new": outcome.map(|added| matches!(added, Added::New(_))),
        "artifact": outcome.map(Added::artifact), "report": report, "redeployed": redeployed.collect::<Vec<_>>(),
    })
}
