//! Values as bytes and back: numbers in as many bytes as they need, lists behind their lengths. Knows no rule.

use crate::heap::Texts;

/// What was read is not what `Wire::write` writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

pub(super) type Read<T> = Result<T, Malformed>;

/// So deep may data lie in data.
const DEPTH_MAX: u32 = 64;

/// What can be written and read again.
pub(super) trait Wire: Sized {
    fn write(&self, out: &mut Vec<u8>);

    /// Reads what `write` wrote.
    fn read(reader: &mut Reader<'_>) -> Read<Self>;
}

pub(super) struct Reader<'a> {
    rest: &'a [u8],
    /// The texts that programs refer to, once they are read.
    pub(super) texts: Texts,
    depth: u32,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, texts: Texts::default(), depth: 0 }
    }

    pub(super) fn is_over(&self) -> bool {
        self.rest.is_empty()
    }

    #[inline]
    pub(super) fn byte(&mut self) -> Read<u8> {
        let (&byte, rest) = self.rest.split_first().ok_or(Malformed)?;
        self.rest = rest;
        Ok(byte)
    }

    /// Seven bits in each byte, the lowest first; all but the last have the high bit set.
    #[inline]
    pub(super) fn number(&mut self) -> Read<u64> {
        let first = self.byte()?;
        if first < 0x80 { Ok(u64::from(first)) } else { self.long_number(first) }
    }

    fn long_number(&mut self, first: u8) -> Read<u64> {
        let mut number = u64::from(first & 0x7f);
        for shift in (7..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if bits << shift >> shift != bits {
                return Err(Malformed);
            }
            number |= bits << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(Malformed)
    }

    /// How many things follow, each of a byte at least.
    #[inline]
    pub(super) fn count(&mut self) -> Read<usize> {
        let count = self.number()?;
        if count > self.rest.len() as u64 { Err(Malformed) } else { Ok(count as usize) }
    }

    #[inline]
    pub(super) fn bytes(&mut self, count: usize) -> Read<&'a [u8]> {
        let (bytes, rest) = self.rest.split_at_checked(count).ok_or(Malformed)?;
        self.rest = rest;
        Ok(bytes)
    }

    /// Reads something that may hold others of its kind.
    pub(super) fn nested<T>(&mut self, read: impl FnOnce(&mut Self) -> Read<T>) -> Read<T> {
        if self.depth == DEPTH_MAX {
            return Err(Malformed);
        }
        self.depth += 1;
        let value = read(self)?;
        self.depth -= 1;
        Ok(value)
    }

    pub(super) fn program(&mut self) -> Read<crate::cel::Program> {
        crate::cel::Program::decode(&mut self.rest, &self.texts).map_err(|_| Malformed)
    }
}

pub(super) fn put_number(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

macro_rules! numbers {
    ($($number:ty)*) => {$(
        impl Wire for $number {
            fn write(&self, out: &mut Vec<u8>) {
                put_number(u64::from(*self), out);
            }

            #[inline]
            fn read(reader: &mut Reader<'_>) -> Read<Self> {
                Self::try_from(reader.number()?).map_err(|_| Malformed)
            }
        }
    )*};
}

numbers! { u16 u32 u64 }

impl Wire for u8 {
    fn write(&self, out: &mut Vec<u8>) {
        out.push(*self);
    }

    fn read(reader: &mut Reader<'_>) -> Read<Self> {
        reader.byte()
    }
}

impl Wire for bool {
    fn write(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }

    #[inline]
    fn read(reader: &mut Reader<'_>) -> Read<Self> {
        match reader.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Malformed),
        }
    }
}

/// The sign is the lowest bit, so that small numbers are short.
impl Wire for i64 {
    fn write(&self, out: &mut Vec<u8>) {
        put_number((self << 1 ^ self >> 63) as u64, out);
    }

    fn read(reader: &mut Reader<'_>) -> Read<Self> {
        let number = reader.number()?;
        Ok((number >> 1) as i64 ^ -((number & 1) as i64))
    }
}

impl Wire for f64 {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend(self.to_bits().to_le_bytes());
    }

    fn read(reader: &mut Reader<'_>) -> Read<Self> {
        let bytes = reader.bytes(8)?.try_into().map_err(|_| Malformed)?;
        Ok(Self::from_bits(u64::from_le_bytes(bytes)))
    }
}

impl Wire for [u8; 32] {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend(self);
    }

    fn read(reader: &mut Reader<'_>) -> Read<Self> {
        reader.bytes(32)?.try_into().map_err(|_| Malformed)
    }
}

impl Wire for String {
    fn write(&self, out: &mut Vec<u8>) {
        put_number(self.len() as u64, out);
        out.extend(self.as_bytes());
    }

    #[inline]
    fn read(reader: &mut Reader<'_>) -> Read<Self> {
        let count = reader.count()?;
        let text = std::str::from_utf8(reader.bytes(count)?).map_err(|_| Malformed)?;
        Ok(text.to_owned())
    }
}

impl<T: Wire> Wire for Vec<T> {
    fn write(&self, out: &mut Vec<u8>) {
        put_number(self.len() as u64, out);
        self.iter().for_each(|item| item.write(out));
    }

    #[inline]
    fn read(reader: &mut Reader<'_>) -> Read<Self> {
        let count = reader.count()?;
        // A count that lies takes no more memory than a few times the bytes that there are.
        let room = 4 + 8 * reader.rest.len() / size_of::<T>().max(1);
        let mut items = Self::with_capacity(count.min(room));
        for _ in 0..count {
            items.push(T::read(reader)?);
        }
        Ok(items)
    }
}

impl<T: Wire> Wire for Box<T> {
    fn write(&self, out: &mut Vec<u8>) {
        T::write(self, out);
    }

    fn read(reader: &mut Reader<'_>) -> Read<Self> {
        T::read(reader).map(Self::new)
    }
}

impl<T: Wire> Wire for Option<T> {
    fn write(&self, out: &mut Vec<u8>) {
        self.is_some().write(out);
        if let Some(value) = self {
            value.write(out);
        }
    }

    fn read(reader: &mut Reader<'_>) -> Read<Self> {
        Ok(if bool::read(reader)? { Some(T::read(reader)?) } else { None })
    }
}

impl<A: Wire, B: Wire> Wire for (A, B) {
    fn write(&self, out: &mut Vec<u8>) {
        self.0.write(out);
        self.1.write(out);
    }

    fn read(reader: &mut Reader<'_>) -> Read<Self> {
        Ok((A::read(reader)?, B::read(reader)?))
    }
}

/// Fields one after another, in the order in which they are named.
macro_rules! wire_struct {
    ($name:ty { $($field:ident),* $(,)? } $($rest:ident: $value:expr),* $(,)?) => {
        impl $crate::compiled::wire::Wire for $name {
            fn write(&self, out: &mut Vec<u8>) {
                $($crate::compiled::wire::Wire::write(&self.$field, out);)*
            }

            fn read(
                reader: &mut $crate::compiled::wire::Reader<'_>,
            ) -> $crate::compiled::wire::Read<Self> {
                $(let $field = $crate::compiled::wire::Wire::read(reader)?;)*
                Ok(Self { $($field,)* $($rest: $value,)* })
            }
        }
    };
}

/// A byte for the variant, then its fields.
macro_rules! wire_enum {
    ($name:ty { $($tag:literal $variant:ident $(($($item:ident),*))? $({ $($field:ident),* })?),* $(,)? }) => {
        impl $crate::compiled::wire::Wire for $name {
            fn write(&self, out: &mut Vec<u8>) {
                match self {
                    $(Self::$variant $(($($item),*))? $({ $($field),* })? => {
                        out.push($tag);
                        $($($crate::compiled::wire::Wire::write($item, out);)*)?
                        $($($crate::compiled::wire::Wire::write($field, out);)*)?
                    })*
                }
            }

            #[inline]
            fn read(
                reader: &mut $crate::compiled::wire::Reader<'_>,
            ) -> $crate::compiled::wire::Read<Self> {
                match reader.byte()? {
                    $($tag => {
                        $($(let $item = $crate::compiled::wire::Wire::read(reader)?;)*)?
                        $($(let $field = $crate::compiled::wire::Wire::read(reader)?;)*)?
                        Ok(Self::$variant $(($($item),*))? $({ $($field),* })?)
                    })*
                    _ => Err($crate::compiled::wire::Malformed),
                }
            }
        }
    };
}

pub(super) use {wire_enum, wire_struct};
