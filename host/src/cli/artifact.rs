//! What models, plugins, rule sets and pipelines have in common on the command line: add, list, show, archive. Knows no kind's details.

use clap::Args;
use serde_json::{Value, json};

use super::failure::WrongCall;
use super::output::{Output, short, size};
use super::session::{Change, Session};
use super::{Outcome, Verdict};
use crate::name::{Kind, Name, Reference, Selector};
use crate::registry::{Added, Artifact, Record};

#[derive(Debug, Args)]
pub(super) struct List {
    /// Only versions of this name
    name: Option<Name>,
    /// Archived versions too
    #[arg(long)]
    all: bool,
}

impl List {
    pub(super) fn run(&self, kind: Kind, session: &Session, out: &mut Output<'_>) -> Outcome {
        let app = session.app()?;
        let mut artifacts = app.registry()?.list(kind)?;
        artifacts.retain(|artifact| {
            (self.all || artifact.archived_at.is_none()) && self.name.as_ref().is_none_or(|name| *name == artifact.name)
        });
        if out.is_json() {
            out.json(&artifacts)?;
            return Ok(Verdict::Good);
        }
        if artifacts.is_empty() {
            let hint = format!("register one with `inferwit {kind} add FILE`");
            session
                .note(&format!("no {kind} is registered in `{}`", app.config().model_registry.path.display()), &hint);
            return Ok(Verdict::Good);
        }
        let rows: Vec<[String; 6]> = artifacts.iter().map(row).collect();
        out.table(["NAME", "VERSION", "WHAT", "SIZE", "DIGEST", "REGISTERED"], &rows)?;
        Ok(Verdict::Good)
    }
}

fn row(artifact: &Artifact) -> [String; 6] {
    let mut registered = artifact.created_at.clone();
    if artifact.archived_at.is_some() {
        registered.push_str(" (archived)");
    }
    [
        artifact.name.to_string(),
        artifact.version.to_string(),
        what(artifact),
        size(artifact.size_bytes),
        short(&artifact.digest),
        registered,
    ]
}

fn what(artifact: &Artifact) -> String {
    match &artifact.record {
        Record::Model(model) => model.format.as_str().to_owned(),
        Record::Plugin(plugin) => plugin.interfaces.join(", "),
        Record::Rules(rules) => {
            let count = rules.parsed["rules"].as_array().map_or(0, Vec::len);
            format!("{count} {}", if count == 1 { "rule" } else { "rules" })
        }
        Record::Pipeline(pipeline) => {
            let steps = pipeline.parsed["steps"].as_array().map_or(0, Vec::len);
            format!("{steps} {}", if steps == 1 { "step" } else { "steps" })
        }
    }
}

#[derive(Debug, Args)]
pub(super) struct Show {
    /// A name, or `name@1.4.2`, `name@^1`, `name@sha256:..`, `name@ENVIRONMENT`
    #[arg(value_name = "REF")]
    reference: Reference,
}

impl Show {
    pub(super) fn run(&self, kind: Kind, session: &Session, out: &mut Output<'_>) -> Outcome {
        let app = session.app()?;
        let artifact = app.registry()?.resolve(kind, &self.reference)?;
        if out.is_json() {
            out.json(&artifact)?;
            return Ok(Verdict::Good);
        }
        out.pairs(&head(&artifact))?;
        match &artifact.record {
            Record::Model(model) => {
                signature(&model.signature, out)?;
                out.text(format_args!("\noptions\n{}", indented(&model.options)?))?;
                if model.metadata.as_object().is_some_and(|metadata| !metadata.is_empty()) {
                    out.text(format_args!("\nmetadata\n{}", indented(&model.metadata)?))?;
                }
            }
            Record::Plugin(plugin) => {
                out.text(format_args!("\nimports\n  {}", plugin.imports.join("\n  ")))?;
                out.text(format_args!("\nconfiguration schema\n{}", indented(&plugin.config_schema)?))?;
            }
            Record::Rules(_) | Record::Pipeline(_) => {
                let text = app.registry()?.read(&artifact)?;
                out.text(format_args!("\n{}", String::from_utf8_lossy(&text).trim_end()))?;
            }
        }
        Ok(Verdict::Good)
    }
}

fn head(artifact: &Artifact) -> Vec<(&'static str, String)> {
    let mut pairs = vec![
        ("name", artifact.name.to_string()),
        ("version", artifact.version.to_string()),
        ("digest", artifact.digest.to_string()),
        ("size", size(artifact.size_bytes)),
        ("registered", artifact.created_at.clone()),
    ];
    pairs.extend(artifact.archived_at.clone().map(|time| ("archived", time)));
    match &artifact.record {
        Record::Model(model) => {
            pairs.extend([("format", model.format.as_str().to_owned()), ("backend", model.backend.clone())]);
        }
        Record::Plugin(plugin) => pairs.extend([
            ("description", plugin.manifest["description"].as_str().unwrap_or_default().to_owned()),
            ("contract", plugin.contract.clone()),
            ("interfaces", plugin.interfaces.join(", ")),
        ]),
        Record::Rules(rules) => {
            pairs.extend([("identity", rules.identity.to_string()), ("what", what(artifact))]);
        }
        Record::Pipeline(_) => pairs.push(("what", what(artifact))),
    }
    pairs.push(("file", artifact.path.display().to_string()));
    pairs
}

fn indented(value: &Value) -> anyhow::Result<String> {
    let text = serde_json::to_string_pretty(value)?;
    Ok(text.lines().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n"))
}

/// The tensors of a signature as the registry has it.
pub(super) fn signature(signature: &Value, out: &mut Output<'_>) -> anyhow::Result<()> {
    for (title, key) in [("inputs", "inputs"), ("outputs", "outputs")] {
        out.text(format_args!("\n{title}"))?;
        let tensors = signature[key].as_array().map(Vec::as_slice).unwrap_or_default();
        let text = |value: &Value| value.as_str().map_or_else(|| "any".to_owned(), str::to_owned);
        let shape = |value: &Value| if value.is_null() { "any shape".to_owned() } else { value.to_string() };
        let rows: Vec<[String; 3]> = tensors
            .iter()
            .map(|tensor| [format!("  {}", text(&tensor["name"])), text(&tensor["datatype"]), shape(&tensor["shape"])])
            .collect();
        out.rows(&rows)?;
    }
    Ok(())
}

#[derive(Debug, Args)]
pub(super) struct Archive {
    /// Name and version, as `image@1.2.0`
    #[arg(value_name = "NAME@VERSION")]
    reference: Reference,
    #[command(flatten)]
    change: Change,
}

impl Archive {
    pub(super) fn run(&self, kind: Kind, session: &Session, out: &mut Output<'_>) -> Outcome {
        if !matches!(self.reference.selector, Selector::Exact(_) | Selector::Digest(_)) {
            let message = format!("`{}` names no version, and only a version can be archived", self.reference);
            return Err(WrongCall::new(message, format!("`inferwit {kind} list` shows the versions")).into());
        }
        let app = session.app()?;
        let registry = app.registry()?;
        let found = registry.resolve(kind, &self.reference)?;
        let is_new = found.archived_at.is_none();
        let archived = if self.change.dry_run { found } else { registry.archive(kind, &found.name, &found.version)? };
        if is_new && !self.change.dry_run {
            self.change.log(session, "archive", &archived.label());
        }
        if out.is_json() {
            out.json(&json!({"dry_run": self.change.dry_run, "was_archived": !is_new, "artifact": archived}))?;
            return Ok(Verdict::Good);
        }
        let verb = match (is_new, self.change.dry_run) {
            (true, true) => "would archive",
            (true, false) => "archived",
            (false, _) => "was archived before:",
        };
        out.text(format_args!("{verb} {kind} {}; what is deployed stays so", archived.label()))?;
        Ok(Verdict::Good)
    }
}

/// Says what registering came to.
pub(super) fn added(added: &Added, out: &mut Output<'_>) -> Outcome {
    let artifact = added.artifact();
    if out.is_json() {
        let is_new = matches!(added, Added::New(_));
        out.json(&json!({"dry_run": false, "is_new": is_new, "artifact": artifact}))?;
        return Ok(Verdict::Good);
    }
    let verb = match added {
        Added::New(_) => "registered",
        Added::AlreadyThere(_) => "is registered already:",
    };
    out.text(format_args!(
        "{verb} {} {} ({}, {})",
        artifact.kind,
        artifact.label(),
        size(artifact.size_bytes),
        short(&artifact.digest)
    ))?;
    Ok(Verdict::Good)
}

/// Says what registering would come to.
pub(super) fn would_add(kind: Kind, label: &str, report: &impl serde::Serialize, out: &mut Output<'_>) -> Outcome {
    if out.is_json() {
        out.json(&json!({"dry_run": true, "kind": kind, "report": report}))?;
    } else {
        out.text(format_args!("would register {kind} {label}"))?;
    }
    Ok(Verdict::Good)
}
