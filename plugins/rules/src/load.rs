//! A rule set as its users hold it: loaded under a configuration, evaluated again and again. What the component exports.

use std::rc::Rc;

use crate::compiled;
use crate::diagnostic::{Diagnostic, Span};
use crate::document::{self, Data, Node};
use crate::engine::{Budget, Ended, Engine, Given, IntakeError};
use crate::explain::{Source, explain};
use crate::file::{self, RuleFile, TraceLevel, nearest};
use crate::model::{Param, RuleSet, resolve};
use crate::rows::read_param;
use crate::schema::Constant;
use crate::testing::{TestOutcome, run_tests};
use crate::warnings::warnings;

#[cfg(test)]
mod tests;

/// Memory that a run leaves to the engine itself where the file sets no `max_bytes`: 8 MiB below the cap.
const BYTES_BELOW_CAP: u64 = 8 << 20;
/// The cap that is assumed where the host names none.
const BYTES_CAP: u64 = 512 << 20;

/// What the host configures.
#[derive(Clone, Debug, Default)]
pub struct Config {
    params: Vec<(String, Node)>,
    ceilings: Vec<(String, u64)>,
}

const CEILINGS: [&str; 6] = ["max_work", "max_firings", "max_firings_per_rule", "max_facts", "max_depth", "max_bytes"];

fn wrong(message: impl Into<String>) -> Vec<Diagnostic> {
    vec![Diagnostic::error("configuration", message, Span::default()).at_path("")]
}

impl Config {
    /// Reads `{"params": {...}, "ceilings": {...}}`; either may be left out, and so may all of it.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, Vec<Diagnostic>> {
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        let node = document::parse(text.as_bytes())
            .map_err(|findings| findings.into_iter().map(|finding| finding.at_path("")).collect::<Vec<_>>())?;
        let Data::Mapping(entries) = node.data else { return Err(wrong("the configuration is no mapping")) };
        let mut config = Self::default();
        for (key, value) in entries {
            match (key.name.as_str(), value.data) {
                (_, Data::Null) => {}
                ("params", Data::Mapping(params)) => {
                    config.params = params.into_iter().map(|(key, value)| (key.name, value)).collect();
                }
                ("ceilings", Data::Mapping(ceilings)) => {
                    for (key, value) in ceilings {
                        let number = match value.data {
                            Data::Int(number) => u64::try_from(number).ok(),
                            _ => None,
                        };
                        match number {
                            Some(number) if CEILINGS.contains(&key.name.as_str()) => {
                                config.ceilings.push((key.name, number));
                            }
                            _ => return Err(wrong(format!("no such ceiling, or no number: `{}`", key.name))),
                        }
                    }
                }
                (name, _) => return Err(wrong(format!("unknown, or no mapping: `{name}`"))),
            }
        }
        Ok(config)
    }

    fn ceiling(&self, name: &str) -> Option<u64> {
        self.ceilings.iter().find(|(known, _)| known == name).map(|&(_, value)| value)
    }

    /// The rule set's limits under the ceilings.
    fn budget(&self, rules: &RuleSet) -> Result<Budget, Vec<Diagnostic>> {
        let mut findings = Vec::new();
        let mut limit = |name: &'static str, wanted: u64, is_set: bool| {
            let ceiling = match name {
                "max_firings_per_rule" => self.ceiling(name).or_else(|| self.ceiling("max_firings")),
                name => self.ceiling(name),
            };
            match ceiling {
                Some(ceiling) if is_set && wanted > ceiling => {
                    let message = format!("`{name}` is {wanted}, this host allows {ceiling}");
                    let hint = format!("lower it in the file, or raise the ceiling `rules.{name}` of the host");
                    let finding = Diagnostic::error("limit-too-high", message, Span::default()).with_hint(hint);
                    findings.push(finding.at_path(format!("/limits/{name}")));
                    wanted
                }
                Some(ceiling) => wanted.min(ceiling),
                None => wanted,
            }
        };
        let limits = &rules.limits;
        let is_set = |name: &str| limits.set.iter().any(|known| known == name);
        let cap = self.ceiling("max_bytes").unwrap_or(BYTES_CAP - BYTES_BELOW_CAP);
        let budget = Budget {
            work_max: limit("max_work", limits.work_max, is_set("max_work")),
            firings_max: limit("max_firings", limits.firings_max, is_set("max_firings")),
            firings_per_rule_max: limit(
                "max_firings_per_rule",
                limits.firings_per_rule_max,
                is_set("max_firings_per_rule"),
            ),
            facts_max: limit("max_facts", limits.facts_max, is_set("max_facts")),
            depth_max: limit("max_depth", limits.depth_max, is_set("max_depth")),
            bytes_max: limit("max_bytes", limits.bytes_max.unwrap_or(cap), is_set("max_bytes")),
        };
        if findings.is_empty() { Ok(budget) } else { Err(findings) }
    }

    fn values(&self, rules: &RuleSet) -> Result<Vec<Constant>, Vec<Diagnostic>> {
        let mut values: Vec<Constant> = rules.params.iter().map(|param| param.default.clone()).collect();
        set_params(&mut values, &rules.params, self.params.iter().map(|(name, node)| (name.as_str(), node)), false)?;
        Ok(values)
    }
}

/// Sets the parameters that are named. A finding has the parameter's path instead of a place: what sets it is no file.
fn set_params<'n>(
    values: &mut [Constant],
    params: &[Param],
    given: impl Iterator<Item = (&'n str, &'n Node)>,
    is_request: bool,
) -> Result<(), Vec<Diagnostic>> {
    let mut findings = Vec::new();
    for (name, node) in given {
        match set_param(values, params, (name, node), is_request) {
            Ok(()) => {}
            Err(finding) => findings.push(finding.at_path(format!("/params/{}", pointer_token(name)))),
        }
    }
    if findings.is_empty() { Ok(()) } else { Err(findings) }
}

fn set_param(
    values: &mut [Constant],
    params: &[Param],
    (name, node): (&str, &Node),
    is_request: bool,
) -> Result<(), Box<Diagnostic>> {
    let Some(place) = params.iter().position(|param| param.name == name) else {
        let known: Vec<&str> = params.iter().map(|param| param.name.as_str()).collect();
        let hint = nearest::hint(name, &known);
        let finding = Diagnostic::error("unknown-param", format!("there is no parameter `{name}`"), node.span);
        return Err(finding.with_hint(hint).into());
    };
    if is_request && !params[place].request {
        let finding =
            Diagnostic::error("param-not-open", format!("a request may not set the parameter `{name}`"), node.span);
        return Err(finding.with_hint("say `request: true` on it").into());
    }
    values[place] = read_param(node, &params[place])?;
    Ok(())
}

/// A key as a part of a JSON pointer (RFC 6901).
fn pointer_token(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// What one evaluation is asked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options<'a> {
    /// None: the rule set's own.
    pub trace: Option<TraceLevel>,
    /// JSON object of parameters that requests may set.
    pub params: Option<&'a str>,
}

/// Why an evaluation did not begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The request's parameters.
    Params(String),
    Facts(String),
}

impl From<IntakeError> for Refused {
    fn from(error: IntakeError) -> Self {
        Self::Facts(error.0)
    }
}

/// A rule set, loaded.
pub struct Loaded {
    pub engine: Engine,
    pub rules: Rc<RuleSet>,
    /// The file, where it was loaded from one.
    pub file: Option<RuleFile>,
    pub warnings: Vec<Diagnostic>,
    /// Values of the parameters before a request changes them.
    params: Vec<Constant>,
}

/// A finding in one line.
fn told(finding: &Diagnostic) -> String {
    match &finding.hint {
        Some(hint) => format!("{}; {hint}", finding.message),
        None => finding.message.clone(),
    }
}

impl Loaded {
    /// Loads a rule set from its text.
    ///
    /// # Errors
    /// All that is wrong with the file or the configuration.
    pub fn from_source(source: &[u8], config: &str, time_is_up: fn() -> bool) -> Result<Self, Vec<Diagnostic>> {
        let config = Config::parse(config)?;
        let (file, rules, warnings) = check(source)?;
        Self::new(rules, Some(file), warnings, &config, time_is_up)
    }

    fn new(
        rules: RuleSet,
        file: Option<RuleFile>,
        warnings: Vec<Diagnostic>,
        config: &Config,
        time_is_up: fn() -> bool,
    ) -> Result<Self, Vec<Diagnostic>> {
        let budget = config.budget(&rules)?;
        let params = config.values(&rules)?;
        let rules = Rc::new(rules);
        let engine = Engine::new(Rc::clone(&rules), &params, budget, time_is_up);
        Ok(Self { engine, rules, file, warnings, params })
    }

    /// Runs the rule set over facts.
    ///
    /// # Errors
    /// If the facts or the request's parameters are refused.
    pub fn evaluate(&mut self, given: &Given<'_>, options: Options<'_>) -> Result<Ended, Refused> {
        self.prepare(options)?;
        Ok(self.engine.evaluate(given)?)
    }

    fn prepare(&mut self, options: Options<'_>) -> Result<(), Refused> {
        let level = options.trace.unwrap_or(self.rules.trace.level);
        self.engine.trace(level, self.rules.trace.capacity, false);
        let Some(text) = options.params else {
            self.engine.set_params(&self.params);
            return Ok(());
        };
        let refused = |findings: Vec<Diagnostic>| Refused::Params(findings.first().map_or_else(String::new, told));
        let node = document::parse(text.as_bytes()).map_err(refused)?;
        let Data::Mapping(entries) = &node.data else {
            return Err(Refused::Params("the parameters are no mapping".to_owned()));
        };
        let mut values = self.params.clone();
        let given = entries.iter().map(|(key, node)| (key.name.as_str(), node));
        set_params(&mut values, &self.rules.params, given, true).map_err(refused)?;
        self.engine.set_params(&values);
        Ok(())
    }
}

/// Checks a rule set: the file, what it means, and its warnings.
///
/// # Errors
/// All errors and warnings, if there is an error.
pub fn check(source: &[u8]) -> Result<(RuleFile, RuleSet, Vec<Diagnostic>), Vec<Diagnostic>> {
    let file = file::parse(source)?;
    let rules = resolve(&file)?;
    let warnings = warnings(&file, &rules);
    Ok((file, rules, warnings))
}

/// The canonical form of a rule set that has no errors.
///
/// # Errors
/// All that is wrong with it.
pub fn canonical_form(source: &[u8]) -> Result<String, Vec<Diagnostic>> {
    check(source)?;
    file::canonical_form(source)
}

/// Runs the tests of a rule set, those whose name holds `filter`.
///
/// # Errors
/// What is wrong with the rule set; a test that fails is a result.
pub fn test(source: &[u8], filter: &str, time_is_up: fn() -> bool) -> Result<Vec<TestOutcome>, Vec<Diagnostic>> {
    let (file, rules, _) = check(source)?;
    let budget = Config::default().budget(&rules)?;
    Ok(run_tests(&file, &Rc::new(rules), filter, budget, time_is_up))
}

/// The compiled form of a rule set that has no errors, its warnings included.
///
/// # Errors
/// All that is wrong with it.
pub fn compile(source: &[u8]) -> Result<Vec<u8>, Vec<Diagnostic>> {
    let (_, rules, warnings) = check(source)?;
    Ok(compiled::encode(&rules, &warnings))
}

impl Loaded {
    /// Loads a rule set from its compiled form.
    ///
    /// # Errors
    /// If the form is not whole, or not of this version, or all that is wrong with the configuration.
    pub fn from_compiled(bytes: &[u8], config: &str, time_is_up: fn() -> bool) -> Result<Self, Vec<Diagnostic>> {
        let config = Config::parse(config)?;
        let (rules, warnings) = compiled::decode(bytes).map_err(|error| {
            let finding = Diagnostic::error("compiled", error.message(), Span::default());
            vec![finding.with_hint("compile the rule set again")]
        })?;
        Self::new(rules, None, warnings, &config, time_is_up)
    }
    /// How the rules are joined, as JSON.
    pub fn plan(&self) -> String {
        crate::plan_text::plan_text(&self.rules)
    }

    /// Runs the rule set over facts and answers a query about what holds, or why it does not, as JSON.
    ///
    /// # Errors
    /// If the facts, the parameters or the query are refused.
    pub fn explain(&mut self, given: &Given<'_>, options: Options<'_>, query: &str) -> Result<String, Refused> {
        self.prepare(options)?;
        let level = options.trace.unwrap_or(self.rules.trace.level);
        self.engine.trace(level, self.rules.trace.capacity, true);
        let ended = self.engine.evaluate(given)?;
        let source = self.file.as_ref().map(|file| Source { file, name: &file.name.text });
        explain(&mut self.engine, &ended, source, query).map_err(|error| Refused::Params(error.to_string()))
    }
}
