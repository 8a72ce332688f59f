//! The parts of a stored program as bytes, and back with every bound checked.

use super::program::DecodeError;
use super::syntax::Range;
use super::types::Type;
use crate::value::{Text, Value};

pub(super) fn put_u16(number: usize, out: &mut Vec<u8>) {
    out.extend((number as u16).to_le_bytes());
}

pub(super) fn put_u32(number: usize, out: &mut Vec<u8>) {
    out.extend((number as u32).to_le_bytes());
}

pub(super) fn put_range(range: Range, out: &mut Vec<u8>) {
    out.extend(range.begin.to_le_bytes());
    out.extend(range.end.to_le_bytes());
}

pub(super) fn put_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    put_u32(bytes.len(), out);
    out.extend(bytes);
}

/// Lists, maps and optionals with a value are never constants.
pub(super) fn put_value(value: Value, out: &mut Vec<u8>) {
    let (tag, number, nanos) = match value {
        Value::Null | Value::List(_) | Value::Map(_) | Value::Some(_) => (0, 0, 0),
        Value::Bool(bool) => (1, u64::from(bool), 0),
        Value::Int(int) => (2, int as u64, 0),
        Value::Uint(uint) => (3, uint, 0),
        Value::Double(double) => (4, double.to_bits(), 0),
        Value::String(text) => (5, u64::from(text.0), 0),
        Value::Bytes(text) => (6, u64::from(text.0), 0),
        Value::Timestamp { seconds, nanos } => (7, seconds as u64, nanos),
        Value::Duration { seconds, nanos } => (8, seconds as u64, nanos as u32),
        Value::None => (9, 0, 0),
        Value::Type(text) => (10, u64::from(text.0), 0),
    };
    out.push(tag);
    out.extend(number.to_le_bytes());
    out.extend(nanos.to_le_bytes());
}

pub(super) fn put_type(ty: &Type, out: &mut Vec<u8>) {
    out.push(match ty {
        Type::Dyn | Type::Open(_) | Type::Number => 0,
        Type::Null => 1,
        Type::Bool => 2,
        Type::Int => 3,
        Type::Uint => 4,
        Type::Double => 5,
        Type::String => 6,
        Type::Bytes => 7,
        Type::Enum => 8,
        Type::Timestamp => 9,
        Type::Duration => 10,
        Type::Type => 11,
        Type::List(_) => 12,
        Type::Map(..) => 13,
        Type::Optional(_) => 14,
    });
    match ty {
        Type::List(inner) | Type::Optional(inner) => put_type(inner, out),
        Type::Map(key, value) => {
            put_type(key, out);
            put_type(value, out);
        }
        _ => {}
    }
}

pub(super) struct Reader<'a> {
    pub(super) rest: &'a [u8],
    /// How many texts there are to refer to.
    pub(super) texts: usize,
}

type Read<T> = Result<T, DecodeError>;

impl Reader<'_> {
    pub(super) fn take<const N: usize>(&mut self) -> Read<[u8; N]> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or(DecodeError)?;
        self.rest = rest;
        Ok(*bytes)
    }

    pub(super) fn u8(&mut self) -> Read<u8> {
        self.take::<1>().map(|[byte]| byte)
    }

    pub(super) fn u16(&mut self) -> Read<u16> {
        self.take().map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Read<u32> {
        self.take().map(u32::from_le_bytes)
    }

    /// How many follow; no more than there is room for.
    pub(super) fn count(&mut self, bytes_each: usize) -> Read<usize> {
        let count = self.u32()? as usize;
        if count > self.rest.len() / bytes_each { Err(DecodeError) } else { Ok(count) }
    }

    pub(super) fn range(&mut self) -> Read<Range> {
        Ok(Range { begin: self.u32()?, end: self.u32()? })
    }

    pub(super) fn text(&mut self) -> Read<String> {
        let count = self.count(1)?;
        let (bytes, rest) = self.rest.split_at(count);
        self.rest = rest;
        String::from_utf8(bytes.to_vec()).map_err(|_| DecodeError)
    }

    pub(super) fn value(&mut self) -> Read<Value> {
        let tag = self.u8()?;
        let number = u64::from_le_bytes(self.take()?);
        let nanos = self.u32()?;
        let text = || match usize::try_from(number) {
            Ok(place) if place < self.texts => Ok(Text(place as u32)),
            _ => Err(DecodeError),
        };
        Ok(match tag {
            0 => Value::Null,
            1 => Value::Bool(number != 0),
            2 => Value::Int(number as i64),
            3 => Value::Uint(number),
            4 => Value::Double(f64::from_bits(number)),
            5 => Value::String(text()?),
            6 => Value::Bytes(text()?),
            7 => Value::Timestamp { seconds: number as i64, nanos },
            8 => Value::Duration { seconds: number as i64, nanos: nanos as i32 },
            9 => Value::None,
            10 => Value::Type(text()?),
            _ => return Err(DecodeError),
        })
    }

    pub(super) fn ty(&mut self, depth: u32) -> Read<Type> {
        if depth > super::DEPTH_MAX {
            return Err(DecodeError);
        }
        Ok(match self.u8()? {
            0 => Type::Dyn,
            1 => Type::Null,
            2 => Type::Bool,
            3 => Type::Int,
            4 => Type::Uint,
            5 => Type::Double,
            6 => Type::String,
            7 => Type::Bytes,
            8 => Type::Enum,
            9 => Type::Timestamp,
            10 => Type::Duration,
            11 => Type::Type,
            12 => Type::list(self.ty(depth + 1)?),
            13 => Type::Map(Box::new(self.ty(depth + 1)?), Box::new(self.ty(depth + 1)?)),
            14 => Type::optional(self.ty(depth + 1)?),
            _ => return Err(DecodeError),
        })
    }
}
