//! What of a rule set is not a rule, as bytes: texts, templates, settings, warnings.

use std::collections::BTreeSet;
use std::sync::Mutex;

use super::wire::{Malformed, Read, Reader, Wire, put_number, wire_enum, wire_struct};
use crate::diagnostic::{Diagnostic, Severity, Span};
use crate::file::{Combine, TraceLevel};
use crate::heap::Texts;
use crate::model::{Alphas, Decisions, Limits, Param, RuleSet, Trace};
use crate::schema::{Constant, FieldSchema, FieldType, Origin, Scalar, Schema, TemplateSchema};
use crate::value::Text;

impl Wire for Texts {
    fn write(&self, out: &mut Vec<u8>) {
        let texts = || (0..self.len() as u32).map(|place| self.get(Text(place)));
        put_number(self.len() as u64, out);
        texts().for_each(|text| put_number(text.len() as u64, out));
        put_number(texts().map(|text| text.len() as u64).sum(), out);
        texts().for_each(|text| out.extend(text));
    }

    fn read(reader: &mut Reader<'_>) -> Read<Self> {
        let lengths: Vec<u32> = Wire::read(reader)?;
        let count = reader.count()?;
        let data = reader.bytes(count)?.to_vec();
        Self::from_parts(data, lengths.into_iter()).ok_or(Malformed)
    }
}

impl Wire for Text {
    fn write(&self, out: &mut Vec<u8>) {
        self.0.write(out);
    }

    fn read(reader: &mut Reader<'_>) -> Read<Self> {
        let text = Self(u32::read(reader)?);
        if (text.0 as usize) < reader.texts.len() { Ok(text) } else { Err(Malformed) }
    }
}

/// The texts are written before, since all else refers to them.
impl Wire for RuleSet {
    fn write(&self, out: &mut Vec<u8>) {
        self.name.write(out);
        self.version.write(out);
        self.digest.write(out);
        self.schema.write(out);
        self.params.write(out);
        self.table_rows.write(out);
        self.phases.write(out);
        self.decisions.write(out);
        self.limits.write(out);
        self.trace.write(out);
        self.rules.write(out);
    }

    fn read(reader: &mut Reader<'_>) -> Read<Self> {
        Ok(Self {
            name: Wire::read(reader)?,
            version: Wire::read(reader)?,
            digest: Wire::read(reader)?,
            schema: Wire::read(reader)?,
            params: Wire::read(reader)?,
            table_rows: Wire::read(reader)?,
            phases: Wire::read(reader)?,
            decisions: Wire::read(reader)?,
            limits: Wire::read(reader)?,
            trace: Wire::read(reader)?,
            rules: Wire::read(reader)?,
            texts: std::mem::take(&mut reader.texts),
            agenda: Vec::new(),
            phase_ends: Vec::new(),
            strata: Vec::new(),
            alphas: Alphas::default(),
            derived: Vec::new(),
        })
    }
}

wire_struct!(Schema { templates });
wire_struct!(TemplateSchema { name, span, origin, stated, fields, key, keyed });
wire_struct!(FieldSchema { name, span, ty, min, max, values, len, nan, default, optional });
wire_struct!(FieldType { scalar, list });
wire_struct!(Param { name, ty, default, min, max, values, request });
wire_struct!(Decisions { combine, order, default });
wire_struct!(Limits { work_max, firings_max, firings_per_rule_max, facts_max, depth_max, bytes_max, decide, set });
wire_struct!(Trace { level, capacity });
wire_struct!(Span { line, column, end_line, end_column });

wire_enum!(Origin { 0 Input, 1 Derived, 2 Output, 3 Table });
wire_enum!(Scalar { 0 Bool, 1 Int, 2 Double, 3 String, 4 Bytes, 5 Enum, 6 Timestamp, 7 Duration });
wire_enum!(Combine { 0 All, 1 First, 2 MostSevere, 3 Unique });
wire_enum!(TraceLevel { 0 Off, 1 Decisions, 2 Full });
wire_enum!(Severity { 0 Warning, 1 Error });

impl Wire for Constant {
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Bool(value) => (0_u8, *value).write(out),
            Self::Int(value) => (1_u8, *value).write(out),
            Self::Double(value) => (2_u8, *value).write(out),
            Self::Text(value) => {
                out.push(3);
                value.write(out);
            }
            Self::Bytes(value) => {
                out.push(4);
                value.write(out);
            }
            Self::List(elements) => {
                out.push(5);
                elements.write(out);
            }
        }
    }

    fn read(reader: &mut Reader<'_>) -> Read<Self> {
        Ok(match reader.byte()? {
            0 => Self::Bool(Wire::read(reader)?),
            1 => Self::Int(Wire::read(reader)?),
            2 => Self::Double(Wire::read(reader)?),
            3 => Self::Text(Wire::read(reader)?),
            4 => Self::Bytes(Wire::read(reader)?),
            5 => Self::List(reader.nested(Vec::read)?),
            _ => return Err(Malformed),
        })
    }
}

pub(super) fn write_all(warnings: &[Diagnostic], out: &mut Vec<u8>) {
    put_number(warnings.len() as u64, out);
    warnings.iter().for_each(|warning| warning.write(out));
}

impl Wire for Diagnostic {
    fn write(&self, out: &mut Vec<u8>) {
        self.severity.write(out);
        self.code.to_owned().write(out);
        self.message.write(out);
        self.span.write(out);
        self.path.write(out);
        self.rule.write(out);
        self.hint.write(out);
    }

    fn read(reader: &mut Reader<'_>) -> Read<Self> {
        Ok(Self {
            severity: Wire::read(reader)?,
            code: code(&String::read(reader)?)?,
            message: Wire::read(reader)?,
            span: Wire::read(reader)?,
            path: Wire::read(reader)?,
            rule: Wire::read(reader)?,
            hint: Wire::read(reader)?,
        })
    }
}

/// So many different codes are kept, more than there are.
const CODES_MAX: usize = 256;

/// The code for good: codes are few, and each is kept once however often it is read.
fn code(text: &str) -> Read<&'static str> {
    static KNOWN: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    let mut known = KNOWN.lock().map_err(|_| Malformed)?;
    if let Some(&code) = known.get(text) {
        return Ok(code);
    }
    let is_code = (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte == b'-' || byte.is_ascii_lowercase());
    if !is_code || known.len() == CODES_MAX {
        return Err(Malformed);
    }
    let code: &'static str = Box::leak(text.to_owned().into_boxed_str());
    known.insert(code);
    Ok(code)
}
