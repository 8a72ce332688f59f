//! Values of the reference: plain, totally ordered in the canonical order. Independent of the engine's cells and handles.

use std::cmp::Ordering;
use std::fmt::Write;
use std::rc::Rc;

use rules_plugin::schema::Constant;

#[derive(Clone, Debug)]
pub(crate) enum Value {
    Bool(bool),
    Int(i64),
    Double(f64),
    Text(Rc<str>),
    List(Rc<[Value]>),
}

impl Value {
    pub(crate) fn of(constant: &Constant) -> Self {
        match constant {
            Constant::Bool(value) => Self::Bool(*value),
            Constant::Int(value) => Self::Int(*value),
            Constant::Double(value) => Self::Double(*value),
            Constant::Text(value) => Self::Text(value.as_str().into()),
            Constant::Bytes(value) => Self::Text(String::from_utf8_lossy(value).into()),
            Constant::List(values) => Self::List(values.iter().map(Self::of).collect()),
        }
    }

    /// As messages and subjects show it.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Bool(value) => value.to_string(),
            Self::Int(value) => value.to_string(),
            Self::Double(value) => value.to_string(),
            Self::Text(value) => value.to_string(),
            Self::List(values) => {
                let shown: Vec<String> = values.iter().map(Self::text).collect();
                format!("[{}]", shown.join(", "))
            }
        }
    }

    pub(crate) fn json(&self, json: &mut String) {
        match self {
            Self::Text(value) => {
                let _ = write!(json, "\"{value}\"");
            }
            Self::List(values) => {
                json.push('[');
                for (place, value) in values.iter().enumerate() {
                    json.push_str(if place == 0 { "" } else { "," });
                    value.json(json);
                }
                json.push(']');
            }
            other => json.push_str(&other.text()),
        }
    }

    fn kind(&self) -> u8 {
        match self {
            Self::Bool(_) => 0,
            Self::Int(_) => 1,
            Self::Double(_) => 2,
            Self::Text(_) => 3,
            Self::List(_) => 4,
        }
    }
}

impl Ord for Value {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Bool(left), Self::Bool(right)) => left.cmp(right),
            (Self::Int(left), Self::Int(right)) => left.cmp(right),
            (Self::Double(left), Self::Double(right)) => left.total_cmp(right),
            (Self::Text(left), Self::Text(right)) => left.as_bytes().cmp(right.as_bytes()),
            (Self::List(left), Self::List(right)) => left.cmp(right),
            _ => self.kind().cmp(&other.kind()),
        }
    }
}

impl PartialOrd for Value {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Value {}
