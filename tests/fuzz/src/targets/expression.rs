//! An expression from choices: each byte says what comes next, so that most inputs are well-formed. Evaluates nothing.

/// Deeper, only leaves are made.
const DEPTH_MAX: usize = 12;
const TEXT_BYTES_MAX: usize = 4 << 10;

const LEAVES: [&str; 40] = [
    "i",
    "u",
    "d",
    "s",
    "b",
    "t",
    "at",
    "span",
    "l",
    "x",
    "f.n",
    "f.size",
    "f.kind",
    "f.tags",
    "f.?rest",
    "null",
    "true",
    "false",
    "0",
    "1",
    "-1",
    "2u",
    "0u",
    "1.5",
    "-0.0",
    "1e308",
    "9223372036854775807",
    "-9223372036854775808",
    "18446744073709551615u",
    "''",
    "'a'",
    "'ß€😀'",
    "r'[a-c]+'",
    "b''",
    "b'\\xff'",
    "[]",
    "{}",
    "optional.none()",
    "int",
    "num.pi",
];
const BINARY: [&str; 16] =
    ["+", "-", "*", "/", "%", "==", "!=", "<", "<=", ">", ">=", "&&", "||", "in", "+ 1 +", "- -"];
const METHODS: [&str; 36] = [
    "size",
    "contains",
    "startsWith",
    "endsWith",
    "matches",
    "split",
    "join",
    "replace",
    "substring",
    "indexOf",
    "lastIndexOf",
    "charAt",
    "lowerAscii",
    "upperAscii",
    "trim",
    "reverse",
    "format",
    "getFullYear",
    "getMonth",
    "getDayOfMonth",
    "getDayOfWeek",
    "getDayOfYear",
    "getDate",
    "getHours",
    "getMinutes",
    "getSeconds",
    "getMilliseconds",
    "orValue",
    "or",
    "hasValue",
    "value",
    "first",
    "last",
    "unwrapOpt",
    "optMap",
    "optFlatMap",
];
const FUNCTIONS: [&str; 42] = [
    "size",
    "int",
    "uint",
    "double",
    "string",
    "bytes",
    "bool",
    "type",
    "dyn",
    "timestamp",
    "duration",
    "has",
    "matches",
    "math.greatest",
    "math.least",
    "math.ceil",
    "math.floor",
    "math.round",
    "math.trunc",
    "math.abs",
    "math.sign",
    "math.sqrt",
    "math.isNaN",
    "math.isInf",
    "math.isFinite",
    "math.bitAnd",
    "math.bitOr",
    "math.bitXor",
    "math.bitNot",
    "math.bitShiftLeft",
    "math.bitShiftRight",
    "base64.encode",
    "base64.decode",
    "strings.quote",
    "optional.of",
    "optional.ofNonZeroValue",
    "optional.unwrap",
    "geo.iou",
    "geo.iou_xyxy",
    "num.approx",
    "num.atan2",
    "nothing",
];
const MACROS: [&str; 9] =
    ["all", "exists", "exists_one", "map", "filter", "transformList", "transformMap", "transformMapEntry", "existsOne"];

pub(super) fn written(choices: &[u8]) -> String {
    let mut writer = Writer { choices, out: String::new() };
    writer.expression(0);
    writer.out
}

struct Writer<'a> {
    choices: &'a [u8],
    out: String,
}

impl Writer<'_> {
    /// Zero when there are no more.
    fn choice(&mut self) -> usize {
        let Some((&first, rest)) = self.choices.split_first() else { return 0 };
        self.choices = rest;
        usize::from(first)
    }

    fn word(&mut self, words: &[&str]) {
        let word = words[self.choice() % words.len()];
        self.out.push_str(word);
    }

    fn expression(&mut self, depth: usize) {
        if depth >= DEPTH_MAX || self.choices.is_empty() || self.out.len() > TEXT_BYTES_MAX {
            return self.word(&LEAVES);
        }
        match self.choice() % 16 {
            0..=3 => self.word(&LEAVES),
            4..=6 => self.binary(depth),
            7 => {
                self.word(&["!", "-", "--", "!!"]);
                self.expression(depth + 1);
            }
            8 => self.three(["", " ? ", " : ", ""], depth),
            9 => self.call(depth),
            10 => self.method(depth),
            11 => self.list(depth),
            12 => self.map(depth),
            13 => self.index(depth),
            14 => self.comprehension(depth),
            _ => self.three(["cel.bind(y, ", ", ", " + ", ")"], depth),
        }
    }

    fn binary(&mut self, depth: usize) {
        self.out.push('(');
        self.expression(depth + 1);
        self.out.push(' ');
        self.word(&BINARY);
        self.out.push(' ');
        self.expression(depth + 1);
        self.out.push(')');
    }

    fn three(&mut self, between: [&str; 4], depth: usize) {
        self.out.push('(');
        for part in &between[..3] {
            self.out.push_str(part);
            self.expression(depth + 1);
        }
        self.out.push_str(between[3]);
        self.out.push(')');
    }

    fn arguments(&mut self, count: usize, depth: usize) {
        self.out.push('(');
        for place in 0..count {
            self.out.push_str(if place > 0 { ", " } else { "" });
            self.expression(depth + 1);
        }
        self.out.push(')');
    }

    fn call(&mut self, depth: usize) {
        self.word(&FUNCTIONS);
        let count = [1, 1, 2, 3, 1, 2][self.choice() % 6];
        self.arguments(count, depth);
    }

    fn method(&mut self, depth: usize) {
        self.expression(depth + 1);
        self.out.push('.');
        self.word(&METHODS);
        let count = self.choice() % 3;
        self.arguments(count, depth);
    }

    fn list(&mut self, depth: usize) {
        self.out.push('[');
        for place in 0..self.choice() % 4 {
            self.out.push_str(if place > 0 { ", " } else { "" });
            self.word(&["", "", "", "?"]);
            self.expression(depth + 1);
        }
        self.out.push(']');
    }

    fn map(&mut self, depth: usize) {
        self.out.push('{');
        for place in 0..self.choice() % 3 {
            self.out.push_str(if place > 0 { ", " } else { "" });
            self.expression(depth + 1);
            self.out.push_str(": ");
            self.expression(depth + 1);
        }
        self.out.push('}');
    }

    fn index(&mut self, depth: usize) {
        self.expression(depth + 1);
        self.word(&["[", "[?", "["]);
        self.expression(depth + 1);
        self.out.push(']');
    }

    fn comprehension(&mut self, depth: usize) {
        self.expression(depth + 1);
        self.out.push('.');
        self.word(&MACROS);
        self.word(&["(y, ", "(y, z, ", "(i, "]);
        self.expression(depth + 1);
        if self.choice().is_multiple_of(3) {
            self.out.push_str(", ");
            self.expression(depth + 1);
        }
        self.out.push(')');
    }
}
