//! Decisions of the reference: a set of what was given and still holds, and the result for each subject.

use rules_plugin::file::{Combine, DataValue, Emit, Expression};

use super::expression::{Erred, Evaluated};
use super::interpreter::{End, Halted, Interpreter};
use super::matching::{Activation, Piece, pieces};

/// One `emit` of one firing.
#[derive(Clone, Debug)]
pub(crate) struct Given {
    pub(crate) decision: String,
    pub(crate) code: String,
    pub(crate) subject: Option<String>,
    pub(crate) message: Option<String>,
    pub(crate) data: Option<String>,
    pub(crate) rule: usize,
    /// From 1.
    pub(crate) firing: usize,
    /// Place in `then`.
    pub(crate) action: usize,
    /// None: it stays.
    pub(crate) while_holds: Option<Activation>,
}

/// A decision as it is compared with the engine's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shown {
    pub(crate) decision: String,
    pub(crate) code: String,
    pub(crate) subject: Option<String>,
    pub(crate) message: Option<String>,
    pub(crate) data: Option<String>,
    pub(crate) rule: Option<usize>,
    pub(crate) firing: usize,
}

/// What an `emit` gives; rule and firing are not known here.
pub(crate) fn given(
    emit: &Emit,
    value: &dyn Fn(&Expression) -> Evaluated,
    hole: &dyn Fn(&str) -> Evaluated,
) -> Result<Given, Erred> {
    let subject = emit.subject.as_ref().map(value).transpose()?;
    let mut message = None;
    if let Some(text) = &emit.message {
        let mut shown = String::new();
        for piece in pieces(&text.text) {
            match piece {
                Piece::Text(text) => shown.push_str(text),
                Piece::Hole(text) => shown.push_str(&hole(text)?.text()),
            }
        }
        message = Some(shown);
    }
    let mut data = None;
    if let Some(value_of) = &emit.data {
        let mut json = String::new();
        write_data(value_of, value, &mut json)?;
        data = Some(json);
    }
    Ok(Given {
        decision: emit.decision.text.clone(),
        code: emit.code.text.clone(),
        subject: subject.map(|subject| subject.text()),
        message,
        data,
        rule: 0,
        firing: 0,
        action: 0,
        while_holds: None,
    })
}

fn write_data(data: &DataValue, value: &dyn Fn(&Expression) -> Evaluated, json: &mut String) -> Result<(), Erred> {
    match data {
        DataValue::Null => json.push_str("null"),
        DataValue::One(expression) => value(expression)?.json(json),
        DataValue::List(items) => {
            json.push('[');
            for (place, item) in items.iter().enumerate() {
                json.push_str(if place == 0 { "" } else { "," });
                write_data(item, value, json)?;
            }
            json.push(']');
        }
        DataValue::Map(entries) => {
            json.push('{');
            for (place, (name, item)) in entries.iter().enumerate() {
                json.push_str(if place == 0 { "\"" } else { ",\"" });
                json.push_str(name);
                json.push_str("\":");
                write_data(item, value, json)?;
            }
            json.push('}');
        }
    }
    Ok(())
}

impl Interpreter<'_> {
    /// Decisions in firing order, and the places of those that are the result.
    pub(crate) fn decided(&self) -> Halted<(Vec<Shown>, Vec<usize>)> {
        let mut given: Vec<&Given> = self.decisions.iter().collect();
        given.sort_by_key(|given| (given.firing, given.action));
        let mut all: Vec<Shown> = Vec::new();
        for given in given {
            let shown = Shown {
                decision: given.decision.clone(),
                code: given.code.clone(),
                subject: given.subject.clone(),
                message: given.message.clone(),
                data: given.data.clone(),
                rule: Some(given.rule),
                firing: given.firing,
            };
            if !all.iter().any(|known| is_same(known, &shown)) {
                all.push(shown);
            }
        }
        let decisions = &self.file.decisions;
        if let Some((decision, code)) = decisions.default.as_ref().filter(|_| all.is_empty()) {
            all.push(Shown {
                decision: decision.clone(),
                code: code.clone(),
                subject: None,
                message: None,
                data: None,
                rule: None,
                firing: 0,
            });
        }
        let result = self.result(&all)?;
        Ok((all, result))
    }

    fn result(&self, all: &[Shown]) -> Halted<Vec<usize>> {
        if self.file.decisions.combine == Combine::All {
            return Ok((0..all.len()).collect());
        }
        let mut result = Vec::new();
        for (first, shown) in all.iter().enumerate() {
            if all[..first].iter().any(|before| before.subject == shown.subject) {
                continue;
            }
            let of_subject: Vec<usize> =
                (first..all.len()).filter(|&place| all[place].subject == shown.subject).collect();
            result.push(self.chosen(all, &of_subject)?);
        }
        Ok(result)
    }

    fn chosen(&self, all: &[Shown], of_subject: &[usize]) -> Halted<usize> {
        let order = &self.file.decisions.order;
        let severity =
            |place: usize| order.iter().position(|known| *known == all[place].decision).unwrap_or(order.len());
        let first = of_subject[0];
        let outcome = |place: usize| (&all[place].decision, &all[place].code);
        match self.file.decisions.combine {
            Combine::MostSevere => Ok(of_subject.iter().copied().min_by_key(|&place| severity(place)).unwrap_or(first)),
            Combine::Unique if of_subject.iter().any(|&place| outcome(place) != outcome(first)) => Err(End::Error),
            _ => Ok(first),
        }
    }
}

fn is_same(left: &Shown, right: &Shown) -> bool {
    (&left.decision, &left.code, &left.subject, &left.data, left.rule)
        == (&right.decision, &right.code, &right.subject, &right.data, right.rule)
}
