//! A value while expressions are evaluated: sixteen bytes, copied freely. What is larger lies in the `Heap`.

/// A text or a byte string in `Heap::texts`: equal contents have equal handles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Text(pub u32);

/// A list in the `Heap`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct List(pub u32);

/// A map in the `Heap`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Map(pub u32);

/// A CEL value. `PartialEq` is not derived: what equality means is the language's business (`cel`).
#[derive(Clone, Copy, Debug)]
pub enum Value {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    String(Text),
    Bytes(Text),
    /// Since 1970-01-01T00:00:00Z; `nanos` counts forward from `seconds`.
    Timestamp {
        seconds: i64,
        nanos: u32,
    },
    /// `nanos` has the sign of `seconds`.
    Duration {
        seconds: i64,
        nanos: i32,
    },
    List(List),
    Map(Map),
    /// An optional with a value, which lies in the `Heap`.
    Some(u32),
    /// An optional without one.
    None,
    /// The type that a text names: `int`, `list`, ...
    Type(Text),
}

const _: () = assert!(size_of::<Value>() == 16);
