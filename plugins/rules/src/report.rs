//! `rules-report/v1`: what a finished run came to, as JSON text. Writes; runs and explains nothing.
//!
//! Equal runs give equal bytes: every list has an order of its own, numbers are written as RFC 8785 does.

use crate::canonical::digest;
use crate::engine::{Decided, Decision, Ended, Engine, Event, EventKind};
use crate::file::TraceLevel;
use crate::json::write_value;
use crate::outcome::result_of;
use crate::rows::{write_constant, write_row};
use crate::schema::Origin;

mod ids;
#[cfg(test)]
mod tests;
mod writer;

pub(crate) use ids::FactIds;
pub(crate) use writer::Writer;

/// The report of a run that has just ended.
pub fn report(engine: &Engine, ended: &Ended) -> String {
    let mut reporter = Reporter { engine, ids: FactIds::new(engine), out: Writer::default() };
    reporter.write(ended);
    reporter.out.finish()
}

struct Reporter<'a> {
    engine: &'a Engine,
    ids: FactIds,
    out: Writer,
}

impl Reporter<'_> {
    fn write(&mut self, ended: &Ended) {
        let rules = &self.engine.rules;
        self.out.open('{');
        self.out.text("schema", Some("rules-report/v1"));
        self.out.key("rule_set");
        self.out.open('{');
        self.out.text("name", Some(&rules.name));
        self.out.text("version", Some(&rules.version));
        self.out.text("digest", Some(&digest_text(&rules.digest)));
        self.out.close('}');
        let params = self.params();
        self.out.raw("params", &params);
        self.out.text("params_digest", Some(&digest_text(&digest(&params))));
        let status = match ended {
            Ended::Well => "ok",
            Ended::Limit(_) => "limit",
            Ended::Error(_) => "error",
        };
        self.out.text("status", Some(status));
        let decided = result_of(self.engine, ended);
        self.decisions(&decided, matches!(ended, Ended::Well));
        self.facts(matches!(ended, Ended::Well));
        self.stats();
        self.notes();
        self.limit(ended);
        self.error(ended);
        self.trace();
        self.out.close('}');
    }

    /// Canonical JSON of the effective values.
    fn params(&self) -> String {
        let mut named: Vec<_> = self.engine.rules.params.iter().zip(&self.engine.params).collect();
        named.sort_by(|(left, _), (right, _)| left.name.cmp(&right.name));
        let mut out = Writer::default();
        out.open('{');
        for (param, value) in named {
            out.key(&param.name);
            write_value(*value, &self.engine.heap, out.value());
        }
        out.close('}');
        out.finish()
    }

    fn decisions(&mut self, decided: &Decided, may_be_default: bool) {
        self.out.key("result");
        self.out.open('[');
        for &place in &decided.result {
            let decision = &decided.all[place];
            self.out.open('{');
            self.out.text("subject", decision.subject.as_deref());
            self.out.text("decision", Some(&decision.decision));
            self.out.text("code", Some(&decision.code));
            self.out.text("message", decision.message.as_deref());
            self.out.raw("data", decision.data.as_deref().unwrap_or("null"));
            self.out.text("id", Some(&format!("d{}", place + 1)));
            self.out.close('}');
        }
        self.out.close(']');
        self.out.key("decisions");
        self.out.open('[');
        for (place, decision) in decided.all.iter().enumerate() {
            self.decision(place, decision, may_be_default);
        }
        self.out.close(']');
    }

    fn decision(&mut self, place: usize, decision: &Decision, may_be_default: bool) {
        self.out.open('{');
        self.out.text("id", Some(&format!("d{}", place + 1)));
        self.out.text("decision", Some(&decision.decision));
        self.out.text("code", Some(&decision.code));
        self.out.text("subject", decision.subject.as_deref());
        self.out.text("message", decision.message.as_deref());
        self.out.raw("data", decision.data.as_deref().unwrap_or("null"));
        self.out.text("rule", decision.rule.map(|rule| self.engine.rules.rules[rule as usize].id.as_str()));
        match decision.rule {
            Some(_) => self.out.number("firing", decision.firing),
            None => self.out.raw("firing", "null"),
        }
        let is_default = may_be_default && decision.rule.is_none();
        self.out.raw("default", if is_default { "true" } else { "false" });
        self.out.key("because");
        self.out.open('[');
        for &(template, row) in &decision.because {
            self.out.item(Some(&self.ids.id(self.engine, template, row)));
        }
        self.out.close(']');
        self.out.close('}');
    }

    /// Facts of output templates; none where the run did not come to its end.
    fn facts(&mut self, is_whole: bool) {
        self.out.key("facts");
        self.out.open('{');
        let templates = self.engine.rules.schema.templates.iter().enumerate();
        for (place, template) in templates.filter(|(_, template)| template.origin == Origin::Output) {
            self.out.key(&template.name);
            self.out.open('[');
            let rows = if is_whole { self.engine.facts_of(place) } else { Vec::new() };
            for row in rows {
                write_row(self.out.value(), &self.engine.constants(place, row), template);
            }
            self.out.close(']');
        }
        self.out.close('}');
    }

    fn stats(&mut self) {
        let engine = self.engine;
        self.out.key("stats");
        self.out.open('{');
        self.out.number("firings", engine.stats.firings);
        self.out.number("derivations", engine.stats.derivations);
        self.out.number("facts", engine.fact_count());
        self.out.number("work", engine.heap.meter.work);
        self.out.key("by_rule");
        self.out.open('{');
        for (rule, count) in engine.fired() {
            self.out.number(&engine.rules.rules[rule as usize].id, count);
        }
        self.out.close('}');
        self.out.close('}');
    }

    fn notes(&mut self) {
        self.out.key("diagnostics");
        self.out.open('[');
        for note in &self.engine.notes.all {
            self.out.open('{');
            self.out.text("code", Some("evaluation"));
            self.out.text("rule", Some(&self.engine.rules.rules[note.rule as usize].id));
            self.out.number("condition", u64::from(note.condition) + 1);
            self.out.text("error", Some(note.error));
            self.out.number("count", note.count);
            self.out.close('}');
        }
        self.out.close(']');
    }

    fn limit(&mut self, ended: &Ended) {
        let Ended::Limit(reached) = ended else {
            self.out.raw("limit", "null");
            return;
        };
        self.out.key("limit");
        self.out.open('{');
        self.out.text("name", Some(reached.kind.name()));
        self.out.number("value", reached.value);
        self.out.key("rules");
        self.out.open('[');
        for &rule in &reached.rules {
            self.out.item(Some(&self.engine.rules.rules[rule as usize].id));
        }
        self.out.close(']');
        self.out.key("facts");
        self.out.open('[');
        for &(template, row) in &reached.facts {
            self.out.item(Some(&self.ids.id(self.engine, template, row)));
        }
        self.out.close(']');
        self.out.close('}');
    }

    fn error(&mut self, ended: &Ended) {
        let Ended::Error(error) = ended else {
            self.out.raw("error", "null");
            return;
        };
        self.out.key("error");
        self.out.open('{');
        self.out.text("code", Some(error.code));
        self.out.text("rule", error.rule.map(|rule| self.engine.rules.rules[rule as usize].id.as_str()));
        self.bindings(&error.bindings);
        self.out.text("message", Some(&error.message));
        self.out.close('}');
    }

    fn bindings(&mut self, bindings: &[(String, u16, u32)]) {
        self.out.key("bindings");
        self.out.open('{');
        for (name, template, row) in bindings {
            let id = self.ids.id(self.engine, *template, *row);
            self.out.text(name, Some(&id));
        }
        self.out.close('}');
    }

    fn trace(&mut self) {
        let (level, dropped, events) = self.engine.traced();
        self.out.key("trace");
        self.out.open('{');
        let level = match level {
            TraceLevel::Off => "off",
            TraceLevel::Decisions => "decisions",
            TraceLevel::Full => "full",
        };
        self.out.text("level", Some(level));
        self.out.number("dropped", dropped);
        self.out.key("events");
        self.out.open('[');
        for event in events {
            self.event(event);
        }
        self.out.close(']');
        self.out.close('}');
    }

    fn event(&mut self, event: &Event) {
        let rules = &self.engine.rules;
        self.out.open('{');
        self.out.number("n", event.n);
        let phase = event.phase.and_then(|phase| rules.phases.get(phase as usize));
        self.out.text("phase", phase.map(String::as_str));
        self.out.text("rule", event.rule.map(|rule| rules.rules[rule as usize].id.as_str()));
        self.bindings(&event.bindings);
        self.out.text("kind", Some(event.kind.as_str()));
        let fact = match (event.fact, &event.decision) {
            (Some((template, row)), _) => Some(self.ids.id(self.engine, template, row)),
            (None, decision) => decision.clone(),
        };
        self.out.text("fact", fact.as_deref());
        match (event.kind, event.fact, event.before) {
            (EventKind::Modify, Some((template, row)), Some(before)) => self.changed(template, before, row),
            _ => self.out.raw("changed", "null"),
        }
        self.out.close('}');
    }

    /// The fields that a new version of a fact has other values for, with these.
    fn changed(&mut self, template: u16, before: u32, row: u32) {
        let schema = &self.engine.rules.schema.templates[template as usize];
        let old = self.engine.constants(template as usize, before);
        let new = self.engine.constants(template as usize, row);
        self.out.key("changed");
        self.out.open('{');
        for ((field, old), new) in schema.fields.iter().zip(old).zip(new) {
            let mut texts = [String::from("null"), String::from("null")];
            for (value, text) in [old, new].iter().zip(&mut texts) {
                if let Some(value) = value {
                    text.clear();
                    write_constant(text, value, field.ty);
                }
            }
            if texts[0] != texts[1] {
                self.out.raw(&field.name, &texts[1]);
            }
        }
        self.out.close('}');
    }
}

fn digest_text(digest: &[u8; 32]) -> String {
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}
