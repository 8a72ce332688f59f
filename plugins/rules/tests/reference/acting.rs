//! What a firing does: every expression first, on the state in which the rule fired, then the changes in order.

use std::collections::BTreeSet;

use rules_plugin::file::{ActionKind, Emit, Expression, FieldValue, Name, Rule, Source};
use rules_plugin::schema::{Constant, FieldSchema, Scalar};

use super::deciding::{Given, given};
use super::expression::{Env, Evaluated};
use super::interpreter::{End, Halted, Interpreter, Values};
use super::matching::{Activation, fact_of};
use super::value::Value;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flow {
    On,
    NextPhase,
    End,
}

enum Effect {
    State(usize, Values),
    /// A fact by its key, and the fields that change.
    Modify(usize, Values, Vec<(usize, Value)>),
    Retract(usize, Values),
    Emit(Given),
}

pub(crate) struct Effects {
    all: Vec<Effect>,
    pub(crate) derived: Vec<(usize, Values)>,
    flow: Flow,
}

#[derive(Default)]
pub(crate) struct Batch {
    retracted: BTreeSet<(usize, Values)>,
}

impl Effects {
    pub(crate) fn of(interpreter: &Interpreter<'_>, rule: &Rule, env: &Env) -> Halted<Self> {
        let mut effects = Self { all: Vec::new(), derived: Vec::new(), flow: Flow::On };
        for action in &rule.then {
            match &action.kind {
                ActionKind::Derive { template, fields } => {
                    effects.derived.push(interpreter.made(template, fields, env)?);
                }
                ActionKind::Assert { template, fields } => {
                    let (template, values) = interpreter.made(template, fields, env)?;
                    effects.all.push(Effect::State(template, values));
                }
                ActionKind::Modify { variable, fields } => {
                    let fact = fact_of(env, &variable.text);
                    let mut changed = Vec::new();
                    for (name, value) in fields {
                        changed.push(interpreter.field_value(fact.template, name, value, env)?);
                    }
                    effects.all.push(Effect::Modify(fact.template, fact.key.clone(), changed));
                }
                ActionKind::Retract { variable } => {
                    let fact = fact_of(env, &variable.text);
                    effects.all.push(Effect::Retract(fact.template, fact.key.clone()));
                }
                ActionKind::Emit(emit) => effects.all.push(Effect::Emit(interpreter.emitted(emit, env)?)),
                ActionKind::Stop { all: true } => effects.flow = Flow::End,
                ActionKind::Stop { all: false } if effects.flow == Flow::On => effects.flow = Flow::NextPhase,
                ActionKind::Stop { .. } => {}
            }
        }
        Ok(effects)
    }
}

impl Interpreter<'_> {
    fn emitted(&self, emit: &Emit, env: &Env) -> Halted<Given> {
        given(emit, &|expression| self.value(expression, env), &|text| {
            let expr = self.parsed.borrow_mut().text(text);
            self.globals.eval(&expr, env)
        })
        .map_err(|_| End::Error)
    }

    fn value(&self, expression: &Expression, env: &Env) -> Evaluated {
        let expr = self.parsed.borrow_mut().of(expression);
        self.globals.eval(&expr, env)
    }

    /// A whole fact that an action makes.
    fn made(&self, template: &Name, fields: &[(Name, FieldValue)], env: &Env) -> Halted<(usize, Values)> {
        let place = self.schema().template(&template.text).expect("the rule set was resolved");
        let schema = &self.schema().templates[place];
        let mut values: Values = schema.fields.iter().map(|field| field.default.as_ref().map(Value::of)).collect();
        for (name, value) in fields {
            let (field, value) = self.field_value(place, name, value, env)?;
            values[field] = Some(value);
        }
        Ok((place, values))
    }

    fn field_value(&self, template: usize, name: &Name, value: &FieldValue, env: &Env) -> Halted<(usize, Value)> {
        let place = self.schema().templates[template].field(&name.text).expect("the rule set was resolved");
        let field = &self.schema().templates[template].fields[place];
        let scalar = |expression: &Expression| match (&expression.source, field.ty.scalar) {
            (Source::Int(int), Scalar::Double) => Ok(Value::Double(*int as f64)),
            _ => self.value(expression, env),
        };
        let made = match value {
            FieldValue::One(expression) => scalar(expression),
            FieldValue::List(elements, _) => elements.iter().map(scalar).collect::<Result<_, _>>().map(Value::List),
        };
        let made = made.map_err(|_| End::Error)?;
        if allows(field, &made) { Ok((place, made)) } else { Err(End::Error) }
    }

    /// Applies a batch; `from`: the rule and its activation.
    pub(crate) fn apply(&mut self, effects: Effects, from: (usize, &Activation), batch: &mut Batch) -> Halted<Flow> {
        let (place, activation) = from;
        let firing = self.firings.len();
        for (action, effect) in effects.all.into_iter().enumerate() {
            match effect {
                Effect::State(template, values) => self.state(template, values),
                Effect::Modify(template, key, changed) => self.modify((template, key), changed, batch)?,
                Effect::Retract(template, key) => self.retract((template, key), batch)?,
                Effect::Emit(given) => {
                    let while_holds = is_logical(&self.file.rules[place]).then(|| activation.clone());
                    self.decisions.push(Given { rule: place, firing, action, while_holds, ..given });
                }
            }
        }
        Ok(effects.flow)
    }

    fn modify(&mut self, key: (usize, Values), changed: Vec<(usize, Value)>, batch: &Batch) -> Halted<()> {
        if batch.retracted.contains(&key) {
            return Err(End::Error);
        }
        // A fact that only rules derive cannot be modified.
        let Some((known, _)) = self.stated.get(&key) else { return Err(End::Error) };
        let mut values = known.clone();
        for (field, value) in changed {
            values[field] = Some(value);
        }
        self.state(key.0, values);
        Ok(())
    }

    fn retract(&mut self, key: (usize, Values), batch: &mut Batch) -> Halted<()> {
        if !batch.retracted.insert(key.clone()) {
            return Ok(());
        }
        match self.stated.remove(&key) {
            None if self.is_there(key.0, &key.1) => Err(End::Error),
            _ => Ok(()),
        }
    }
}

fn is_logical(rule: &Rule) -> bool {
    rule.then.iter().all(|action| matches!(&action.kind, ActionKind::Emit(emit) if !emit.sticky))
}

/// Whether a field allows a value.
fn allows(field: &FieldSchema, value: &Value) -> bool {
    match value {
        Value::List(values) => {
            field.len.is_none_or(|len| len as usize == values.len()) && values.iter().all(|value| allows(field, value))
        }
        Value::Int(value) => {
            let is_below = matches!(field.min, Some(Constant::Int(min)) if *value < min);
            let is_above = matches!(field.max, Some(Constant::Int(max)) if *value > max);
            !is_below && !is_above
        }
        Value::Double(value) => {
            let is_below = matches!(field.min, Some(Constant::Double(min)) if *value < min);
            let is_above = matches!(field.max, Some(Constant::Double(max)) if *value > max);
            !is_below && !is_above && (field.nan || !value.is_nan())
        }
        Value::Text(text) => {
            field.ty.scalar != Scalar::Enum || field.values.iter().any(|known| known.as_str() == &**text)
        }
        Value::Bool(_) => true,
    }
}
