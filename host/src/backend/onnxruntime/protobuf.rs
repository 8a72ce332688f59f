//! The wire format of protocol buffers, as far as it is needed to read and copy a message field by field. Knows no message.

/// Why bytes are not what they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the file is not a usable ONNX model: {0}")]
pub(super) struct Malformed(pub(super) &'static str);

/// One field of a message.
pub(super) struct Field<'a> {
    pub(super) number: u32,
    /// With its tag, to be copied as it is.
    pub(super) raw: &'a [u8],
    value: Value<'a>,
}

enum Value<'a> {
    Varint(u64),
    Bytes(&'a [u8]),
    Fixed,
}

impl<'a> Field<'a> {
    pub(super) fn varint(&self) -> Result<u64, Malformed> {
        match self.value {
            Value::Varint(value) => Ok(value),
            _ => Err(Malformed("a field that should be a number is not")),
        }
    }

    pub(super) fn bytes(&self) -> Result<&'a [u8], Malformed> {
        match self.value {
            Value::Bytes(bytes) => Ok(bytes),
            _ => Err(Malformed("a field that should be bytes is not")),
        }
    }

    pub(super) fn text(&self) -> Result<String, Malformed> {
        self.bytes().map(|bytes| String::from_utf8_lossy(bytes).into_owned())
    }
}

/// The fields of a message, in their order. Ends after the first error.
pub(super) fn fields(message: &[u8]) -> impl Iterator<Item = Result<Field<'_>, Malformed>> {
    let mut rest = message;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let field = next(&mut rest);
        if field.is_err() {
            rest = &[];
        }
        Some(field)
    })
}

fn next<'a>(rest: &mut &'a [u8]) -> Result<Field<'a>, Malformed> {
    let start = *rest;
    let tag = take_varint(rest)?;
    let number = u32::try_from(tag >> 3).ok().filter(|&number| number != 0);
    let number = number.ok_or(Malformed("a field has no valid number"))?;
    let value = match tag & 7 {
        0 => Value::Varint(take_varint(rest)?),
        1 => take(rest, 8).map(|_| Value::Fixed)?,
        2 => {
            let length = usize::try_from(take_varint(rest)?).map_err(|_| TRUNCATED)?;
            Value::Bytes(take(rest, length)?)
        }
        5 => take(rest, 4).map(|_| Value::Fixed)?,
        _ => return Err(Malformed("a field has an unknown wire type")),
    };
    Ok(Field { number, raw: &start[..start.len() - rest.len()], value })
}

const TRUNCATED: Malformed = Malformed("it ends in the middle of a field");

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Result<&'a [u8], Malformed> {
    let (taken, after) = rest.split_at_checked(length).ok_or(TRUNCATED)?;
    *rest = after;
    Ok(taken)
}

fn take_varint(rest: &mut &[u8]) -> Result<u64, Malformed> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let byte = take(rest, 1)?[0];
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(value);
        }
    }
    Err(Malformed("a number is too long"))
}

pub(super) fn write_varint(message: &mut Vec<u8>, number: u32, value: u64) {
    put(message, u64::from(number) << 3);
    put(message, value);
}

pub(super) fn write_bytes(message: &mut Vec<u8>, number: u32, bytes: &[u8]) {
    put(message, u64::from(number) << 3 | 2);
    put(message, bytes.len() as u64);
    message.extend_from_slice(bytes);
}

fn put(message: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        message.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    message.push(value as u8);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let mut message = Vec::new();
        write_varint(&mut message, 1, u64::MAX);
        write_bytes(&mut message, 900, b"abc");
        let fields: Vec<_> = fields(&message).map(Result::unwrap).collect();
        assert_eq!((fields[0].number, fields[0].varint()), (1, Ok(u64::MAX)));
        assert_eq!((fields[1].number, fields[1].bytes()), (900, Ok(b"abc".as_slice())));
        assert_eq!([fields[0].raw, fields[1].raw].concat(), message);
    }

    #[test]
    fn a_length_beyond_the_end_is_an_error() {
        assert!(fields(&[0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f]).any(|field| field.is_err()));
        assert!(fields(&[0x0a, 0x02, 0x00]).any(|field| field.is_err()));
        assert!(fields(&[0xff; 12]).any(|field| field.is_err()));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_to_an_end(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            prop_assert!(fields(&bytes).count() <= bytes.len());
        }
    }
}
