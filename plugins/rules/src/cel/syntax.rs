//! The tree of an expression as parsed: macros are expanded, nothing is typed.

/// Byte offsets in the expression's text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Range {
    pub begin: u32,
    pub end: u32,
}

impl Range {
    /// From the beginning of this to the end of `other`.
    pub fn to(self, other: Self) -> Self {
        Self { begin: self.begin, end: other.end }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Expr {
    pub kind: ExprKind,
    pub range: Range,
    /// Levels of the tree, this one included.
    depth: u32,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Literal {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    String(String),
    Bytes(Vec<u8>),
}

#[derive(Clone, Debug, PartialEq)]
pub enum ExprKind {
    Literal(Literal),
    /// A name, with a leading dot where it was written so.
    Ident(String),
    /// `operand.field`; `has(operand.field)` is the test.
    Select {
        operand: Box<Expr>,
        field: String,
        test: bool,
    },
    /// Operators are calls of the language definition's names: `_==_`, `_&&_`, `!_`, `-_`, `_?_:_`, `_[_]`, `@in`;
    /// `_?._` and `_[?_]` select optionally.
    Call {
        target: Option<Box<Expr>>,
        function: String,
        args: Vec<Expr>,
    },
    /// Elements; the flag marks `?element`.
    List(Vec<(Expr, bool)>),
    /// Entries; the flag marks `?key: value`.
    Map(Vec<(Expr, Expr, bool)>),
    /// What macros such as `all` become.
    Comprehension(Box<Comprehension>),
    /// `cel.bind(variable, value, body)`.
    Bind(Box<Bind>),
}

/// What a comprehension makes of its elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gather {
    All,
    Exists,
    ExistsOne,
    /// `map`, `filter`, `transformList`.
    List,
    /// `transformMap`: the same keys, new values.
    Map,
    /// `transformMapEntry`: each body is a map, and all are one.
    MapEntries,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Comprehension {
    pub gather: Gather,
    pub range: Expr,
    pub variable: String,
    /// The second variable of two-variable comprehensions: index and value, or key and value.
    pub second: Option<String>,
    pub filter: Option<Expr>,
    /// The predicate, or what an element becomes.
    pub body: Expr,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Bind {
    pub variable: String,
    pub value: Expr,
    pub body: Expr,
    pub kind: BindKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BindKind {
    /// `cel.bind`.
    Plain,
    /// `value.optMap(variable, body)`.
    OptMap,
    /// `value.optFlatMap(variable, body)`.
    OptFlatMap,
}

impl Expr {
    pub fn new(kind: ExprKind, range: Range) -> Self {
        let mut depth = 0;
        each_child(&kind, &mut |child| depth = depth.max(child.depth));
        Self { kind, range, depth: depth + 1 }
    }

    pub fn call(function: &str, args: Vec<Self>, range: Range) -> Self {
        Self::new(ExprKind::Call { target: None, function: function.to_owned(), args }, range)
    }

    pub fn depth(&self) -> u32 {
        self.depth
    }

    /// Visits the direct children.
    pub fn each_child<'a>(&'a self, visit: &mut dyn FnMut(&'a Self)) {
        each_child(&self.kind, visit);
    }

    /// `a.b.c` as one name, if it is nothing but names.
    pub fn qualified_name(&self) -> Option<String> {
        match &self.kind {
            ExprKind::Ident(name) => Some(name.clone()),
            ExprKind::Select { operand, field, test: false } => {
                let mut name = operand.qualified_name()?;
                name.push('.');
                name.push_str(field);
                Some(name)
            }
            _ => None,
        }
    }
}

fn each_child<'a>(kind: &'a ExprKind, visit: &mut dyn FnMut(&'a Expr)) {
    match kind {
        ExprKind::Literal(_) | ExprKind::Ident(_) => {}
        ExprKind::Select { operand, .. } => visit(operand),
        ExprKind::Call { target, args, .. } => target.as_deref().into_iter().chain(args).for_each(visit),
        ExprKind::List(elements) => elements.iter().for_each(|(element, _)| visit(element)),
        ExprKind::Map(entries) => entries.iter().for_each(|(key, value, _)| {
            visit(key);
            visit(value);
        }),
        ExprKind::Comprehension(comprehension) => {
            visit(&comprehension.range);
            comprehension.filter.as_ref().into_iter().for_each(&mut *visit);
            visit(&comprehension.body);
        }
        ExprKind::Bind(bind) => {
            visit(&bind.value);
            visit(&bind.body);
        }
    }
}
