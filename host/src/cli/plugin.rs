//! `inferwit plugin ..`: plugins in the registry, and what a plugin file is.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::artifact::{Archive, List, Show, added, would_add};
use super::output::{Output, size};
use super::session::{Change, Session};
use super::{Outcome, Verdict};
use crate::app::PluginReport;
use crate::name::{Kind, Reference};
use crate::registry::{Artifact, Record};

#[derive(Debug, Subcommand)]
pub(super) enum PluginCommand {
    /// Registers a plugin under the name and version that it gives itself.
    ///
    /// It is compiled and asked to describe itself in the sandbox; one that wants what this host does not offer is refused.
    #[command(after_help = "\
Example:
  inferwit plugin add image.wasm

Prints what was registered, with size and digest.")]
    Add(Add),
    /// Lists the plugins, all versions that are not archived.
    #[command(after_help = "\
Example:
  inferwit plugin list

Prints name, version, interfaces, size, digest and time, a line each.")]
    List(List),
    /// Shows one plugin: what it is, what it imports, the schema of its configuration.
    #[command(after_help = "\
Example:
  inferwit plugin show image

Prints what the registry knows of it.")]
    Show(Show),
    /// Takes a version out of what names and ranges mean; what is deployed stays so.
    #[command(after_help = "\
Example:
  inferwit plugin archive image@1.0.0

Prints what was archived.")]
    Archive(Archive),
    /// Says what a plugin is, offers and wants, without registering it.
    ///
    /// Its imports are everything that it can ever ask for: what is not in the list, it cannot do.
    #[command(after_help = "\
Example:
  inferwit plugin inspect image.wasm

Prints name, version, contract, interfaces, imports, size and digest.")]
    Inspect(Inspect),
}

#[derive(Debug, Args)]
pub(super) struct Add {
    /// The plugin, a WebAssembly component
    file: PathBuf,
    #[command(flatten)]
    change: Change,
}

#[derive(Debug, Args)]
pub(super) struct Inspect {
    /// A .wasm file, or a registered plugin
    #[arg(value_name = "FILE or REF", value_parser = Subject::parse)]
    subject: Subject,
}

#[derive(Clone, Debug)]
enum Subject {
    File(PathBuf),
    Registered(Reference),
}

impl Subject {
    fn parse(text: &str) -> Result<Self, crate::name::NameError> {
        let path = Path::new(text);
        let is_file = path.extension().is_some_and(|extension| extension == "wasm") || path.is_file();
        if is_file { Ok(Self::File(path.to_owned())) } else { text.parse().map(Self::Registered) }
    }
}

impl PluginCommand {
    pub(super) fn run(self, session: &Session, out: &mut Output<'_>) -> Outcome {
        match self {
            Self::Add(add) => add.run(session, out),
            Self::List(list) => list.run(Kind::Plugin, session, out),
            Self::Show(show) => show.run(Kind::Plugin, session, out),
            Self::Archive(archive) => archive.run(Kind::Plugin, session, out),
            Self::Inspect(inspect) => inspect.run(session, out),
        }
    }
}

impl Add {
    fn run(&self, session: &Session, out: &mut Output<'_>) -> Outcome {
        let app = session.app()?;
        let progress = session.progress(format!("compile {}", self.file.display()));
        if self.change.dry_run {
            let report = app.inspect_plugin(&self.file)?;
            drop(progress);
            return would_add(Kind::Plugin, &format!("{}@{}", report.name, report.version), &report, out);
        }
        let outcome = app.add_plugin(&self.file)?;
        drop(progress);
        self.change.log(session, "add", &outcome.artifact().label());
        added(&outcome, out)
    }
}

impl Inspect {
    fn run(&self, session: &Session, out: &mut Output<'_>) -> Outcome {
        let app = session.app()?;
        let report = match &self.subject {
            Subject::File(file) => {
                let _progress = session.progress(format!("compile {}", file.display()));
                app.inspect_plugin(file)?
            }
            Subject::Registered(reference) => report(&app.registry()?.resolve(Kind::Plugin, reference)?),
        };
        if out.is_json() {
            out.json(&report)?;
            return Ok(Verdict::Good);
        }
        let mut pairs = vec![
            ("name", report.name.clone()),
            ("version", report.version.clone()),
            ("description", report.description.clone()),
            ("contract", report.contract.clone()),
            ("interfaces", report.interfaces.join(", ")),
            ("size", size(report.size_bytes)),
            ("sha256", report.sha256.clone()),
        ];
        let labels: Vec<String> = report.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
        if !labels.is_empty() {
            pairs.push(("labels", labels.join(", ")));
        }
        out.pairs(&pairs)?;
        out.text(format_args!("\nimports\n  {}", report.imports.join("\n  ")))?;
        out.text("\nconfiguration schema")?;
        out.document(&report.config_schema)?;
        Ok(Verdict::Good)
    }
}

/// What was found out when it was registered.
fn report(artifact: &Artifact) -> PluginReport {
    let Record::Plugin(record) = &artifact.record else {
        unreachable!("a plugin was asked for");
    };
    PluginReport {
        name: artifact.name.to_string(),
        version: artifact.version.to_string(),
        description: record.manifest["description"].as_str().unwrap_or_default().to_owned(),
        contract: record.contract.clone(),
        interfaces: record.interfaces.clone(),
        imports: record.imports.clone(),
        config_schema: record.config_schema.clone(),
        labels: serde_json::from_value(record.manifest["labels"].clone()).unwrap_or_default(),
        size_bytes: artifact.size_bytes,
        sha256: artifact.digest.hex(),
    }
}
