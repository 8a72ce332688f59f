//! Static types, and what may stand where what is expected. Knows no expression.

use std::fmt;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Type {
    /// Known when it runs.
    Dyn,
    Null,
    Bool,
    Int,
    Uint,
    Double,
    String,
    Bytes,
    /// A text out of a few; also a `String`.
    Enum,
    Timestamp,
    Duration,
    List(Box<Self>),
    Map(Box<Self>, Box<Self>),
    Optional(Box<Self>),
    /// Of a type itself.
    Type,
    /// In signatures: whatever, but the same in all places.
    Open(u8),
    /// In signatures: any type of number; as a result, known when it runs.
    Number,
}

/// What the open types of a signature stand for.
pub(super) type Bindings = [Option<Type>; 2];

impl Type {
    pub fn list(element: Self) -> Self {
        Self::List(Box::new(element))
    }

    pub fn optional(value: Self) -> Self {
        Self::Optional(Box::new(value))
    }

    pub fn is_number(&self) -> bool {
        matches!(self, Self::Int | Self::Uint | Self::Double)
    }

    pub fn is_text(&self) -> bool {
        matches!(self, Self::String | Self::Enum)
    }

    /// Some part of it is known only when it runs.
    pub(super) fn has_dyn(&self) -> bool {
        match self {
            Self::Dyn => true,
            Self::List(inner) | Self::Optional(inner) => inner.has_dyn(),
            Self::Map(key, value) => key.has_dyn() || value.has_dyn(),
            _ => false,
        }
    }

    /// May be a key of a map.
    pub(super) fn is_key(&self) -> bool {
        matches!(self, Self::Dyn | Self::Bool | Self::Int | Self::Uint | Self::String | Self::Enum)
    }

    /// Has an order.
    pub(super) fn is_ordered(&self) -> bool {
        self.is_number()
            || self.is_text()
            || matches!(self, Self::Dyn | Self::Bool | Self::Bytes | Self::Timestamp | Self::Duration)
    }

    /// A value of this type may stand where `wanted` is expected, as far as types tell.
    pub fn fits(&self, wanted: &Self) -> bool {
        match (self, wanted) {
            (Self::Dyn, _) | (_, Self::Dyn) => true,
            (Self::List(a), Self::List(b)) | (Self::Optional(a), Self::Optional(b)) => a.fits(b),
            (Self::Map(ka, va), Self::Map(kb, vb)) => ka.fits(kb) && va.fits(vb),
            (Self::Null, Self::Timestamp | Self::Duration) => true,
            _ => self == wanted || (self.is_text() && wanted.is_text()),
        }
    }

    /// The values of two types can be compared for equality.
    pub(super) fn is_comparable(&self, other: &Self) -> bool {
        self.fits(other) || other.fits(self)
    }

    /// A type for values of both.
    pub(super) fn join(self, other: Self) -> Self {
        match (self, other) {
            (Self::List(a), Self::List(b)) => Self::list(a.join(*b)),
            (Self::Optional(a), Self::Optional(b)) => Self::optional(a.join(*b)),
            (Self::Map(ka, va), Self::Map(kb, vb)) => Self::Map(Box::new(ka.join(*kb)), Box::new(va.join(*vb))),
            (a, b) if a == b => a,
            (a, b) if a.is_text() && b.is_text() => Self::String,
            (Self::Null, b @ (Self::Timestamp | Self::Duration)) => b,
            (a @ (Self::Timestamp | Self::Duration), Self::Null) => a,
            _ => Self::Dyn,
        }
    }

    /// Whether a value of type `found` fits this type of a signature, binding what is open.
    pub(super) fn accepts(&self, found: &Self, bindings: &mut Bindings) -> bool {
        match (self, found) {
            (Self::Open(open), _) => {
                let bound = &mut bindings[*open as usize];
                match bound {
                    Some(before) if !found.is_comparable(before) => false,
                    Some(before) => {
                        *before = std::mem::replace(before, Self::Dyn).join(found.clone());
                        true
                    }
                    None => {
                        *bound = Some(found.clone());
                        true
                    }
                }
            }
            (_, Self::Dyn) => true,
            (Self::Number, _) => found.is_number(),
            (Self::List(a), Self::List(b)) | (Self::Optional(a), Self::Optional(b)) => a.accepts(b, bindings),
            (Self::Map(ka, va), Self::Map(kb, vb)) => ka.accepts(kb, bindings) && va.accepts(vb, bindings),
            _ => found.fits(self),
        }
    }

    /// The type of a signature with what its open types stand for.
    pub(super) fn bound(&self, bindings: &Bindings) -> Self {
        match self {
            Self::Number => Self::Dyn,
            Self::Open(open) => bindings[*open as usize].clone().unwrap_or(Self::Dyn),
            Self::List(element) => Self::list(element.bound(bindings)),
            Self::Optional(value) => Self::optional(value.bound(bindings)),
            Self::Map(key, value) => Self::Map(Box::new(key.bound(bindings)), Box::new(value.bound(bindings))),
            other => other.clone(),
        }
    }

    /// Reads a type of a signature; `A` and `B` are open.
    pub(super) fn read(text: &str) -> Option<Self> {
        if let Some((outer, inner)) = text.strip_suffix('>').and_then(|text| text.split_once('<')) {
            return Some(match outer {
                "list" => Self::list(Self::read(inner)?),
                "optional" => Self::optional(Self::read(inner)?),
                "map" => {
                    let (key, value) = inner.split_once(',')?;
                    Self::Map(Box::new(Self::read(key)?), Box::new(Self::read(value)?))
                }
                _ => return None,
            });
        }
        Some(match text {
            "A" => Self::Open(0),
            "B" => Self::Open(1),
            "dyn" => Self::Dyn,
            "number" => Self::Number,
            "bool" => Self::Bool,
            "int" => Self::Int,
            "uint" => Self::Uint,
            "double" => Self::Double,
            "string" => Self::String,
            "bytes" => Self::Bytes,
            "timestamp" => Self::Timestamp,
            "duration" => Self::Duration,
            "type" => Self::Type,
            _ => return None,
        })
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::List(element) => write!(f, "list<{element}>"),
            Self::Map(key, value) => write!(f, "map<{key}, {value}>"),
            Self::Optional(value) => write!(f, "optional<{value}>"),
            Self::Dyn => f.write_str("dyn"),
            Self::Null => f.write_str("null"),
            Self::Bool => f.write_str("bool"),
            Self::Int => f.write_str("int"),
            Self::Uint => f.write_str("uint"),
            Self::Double => f.write_str("double"),
            Self::String => f.write_str("string"),
            Self::Bytes => f.write_str("bytes"),
            Self::Enum => f.write_str("enum"),
            Self::Timestamp => f.write_str("timestamp"),
            Self::Duration => f.write_str("duration"),
            Self::Type => f.write_str("type"),
            Self::Number => f.write_str("number"),
            Self::Open(open) => write!(f, "{}", char::from(b'A' + open)),
        }
    }
}
