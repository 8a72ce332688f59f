//! What an `emit` says: its subject, its message, its data as JSON. Does not know what holds.

use super::decide::Emitted;
use super::search::Bindings;
use super::{Engine, Halt};
use crate::model::{Emit, Piece, RuleSet};
use crate::value::Value;

impl Engine {
    /// Evaluates all parts of an `emit`.
    pub(super) fn emitted(
        &mut self,
        rules: &RuleSet,
        rule: u32,
        body: u16,
        bindings: &Bindings,
        emit: &Emit,
    ) -> Result<Emitted, Halt> {
        let subject = match &emit.subject {
            None => None,
            Some(program) => {
                let value = self.value_of(rules, rule, body, bindings, program)?;
                Some(match value {
                    Value::String(text) => text,
                    value => self.made_text(|engine, text| Ok(crate::cel::push_text(value, &engine.heap, text)?))?,
                })
            }
        };
        let message = match &emit.message {
            None => None,
            Some(pieces) => Some(self.made_text(|engine, text| {
                for piece in pieces {
                    match piece {
                        Piece::Text(piece) => text.push_str(piece),
                        Piece::Hole(program) => {
                            let value = engine.value_of(rules, rule, body, bindings, program)?;
                            crate::cel::push_text(value, &engine.heap, text)?;
                        }
                    }
                }
                Ok(())
            })?),
        };
        let data = match &emit.data {
            None => None,
            Some(data) => {
                Some(self.made_text(|engine, json| engine.data_json(rules, (rule, body, bindings), data, json))?)
            }
        };
        Ok(Emitted { decision: emit.decision, code: emit.code, subject, message, data })
    }

    /// The text that `write` writes, in a buffer that is used again.
    fn made_text(
        &mut self,
        write: impl FnOnce(&mut Self, &mut String) -> Result<(), Halt>,
    ) -> Result<crate::value::Text, Halt> {
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        let written = write(self, &mut buffer);
        let text = written.and_then(|()| Ok(self.heap.make_text(buffer.as_bytes())?));
        self.buffer = buffer;
        text
    }

    fn data_json(
        &mut self,
        rules: &RuleSet,
        from: (u32, u16, &Bindings),
        data: &crate::model::Data,
        json: &mut String,
    ) -> Result<(), Halt> {
        use crate::model::Data;
        match data {
            Data::Null => json.push_str("null"),
            Data::Value(program) => {
                let value = self.value_of(rules, from.0, from.1, from.2, program)?;
                crate::json::push_value(value, &self.heap, json)?;
            }
            Data::List(items) => {
                json.push('[');
                for (place, item) in items.iter().enumerate() {
                    if place > 0 {
                        json.push(',');
                    }
                    self.data_json(rules, from, item, json)?;
                }
                json.push(']');
            }
            Data::Map(entries) => {
                json.push('{');
                for (place, (name, item)) in entries.iter().enumerate() {
                    if place > 0 {
                        json.push(',');
                    }
                    crate::canonical::write_text(json, name);
                    json.push(':');
                    self.data_json(rules, from, item, json)?;
                }
                json.push('}');
            }
        }
        Ok(())
    }
}
