//! Expressions of a rule, parsed, typed, compiled; parts of a `where` sorted into what an index answers and what is tested.

use std::collections::HashSet;

use super::scope::{Bound, Globals, Scope, field_type, type_of};
use super::{CellAt, CellKind, CellSource, Comparison, Conjunct, ConjunctKind, Data, Operand, Piece};
use crate::cel::syntax::{Expr, ExprKind, Literal, Range};
use crate::cel::{self, Program, Type};
use crate::diagnostic::{Diagnostic, Span};
use crate::file::{DataValue, Expression, FieldValue, Name, Source};
use crate::heap::{Heap, Texts};
use crate::schema::{Constant, FieldSchema, FieldType, Scalar};
use crate::store::{decode, double_cell};

/// Compiles the expressions of one rule and keeps what is wrong with them.
pub(super) struct Compiler<'a> {
    pub(super) globals: &'a Globals<'a>,
    pub(super) texts: &'a mut Texts,
    pub(super) diagnostics: &'a mut Vec<Diagnostic>,
    pub(super) rule: String,
}

/// Where in the file a range of an expression stands.
pub(crate) fn span_of(expression: &Expression, range: Range) -> Span {
    let Some(column) = expression.column_of_text else { return expression.span };
    let Source::Cel(text) = &expression.source else { return expression.span };
    let columns = |end: u32| text.get(..end as usize).map_or(0, |head| head.chars().count() as u32);
    let line = expression.span.line;
    Span { line, column: column + columns(range.begin), end_line: line, end_column: column + columns(range.end) }
}

impl Compiler<'_> {
    pub(super) fn report(&mut self, diagnostic: Diagnostic) {
        let rule = self.rule.clone();
        self.diagnostics.push(diagnostic.in_rule(&rule));
    }

    pub(super) fn error(&mut self, code: &'static str, message: String, span: Span, hint: &str) {
        self.report(Diagnostic::error(code, message, span).with_hint(hint));
    }

    fn parse(&mut self, expression: &Expression) -> Option<Expr> {
        let whole = Range { begin: 0, end: 0 };
        let literal = |literal| Some(Expr::new(ExprKind::Literal(literal), whole));
        match &expression.source {
            Source::Bool(value) => literal(Literal::Bool(*value)),
            Source::Int(value) => literal(Literal::Int(*value)),
            Source::Double(value) => literal(Literal::Double(*value)),
            Source::Cel(text) => match cel::parse(text) {
                Ok(expr) => Some(expr),
                Err(error) => {
                    let span = span_of(expression, error.range);
                    self.report(
                        Diagnostic::error("expression-syntax", error.message, span)
                            .with_hint("expressions are CEL; a text constant is \"'like this'\""),
                    );
                    None
                }
            },
        }
    }

    /// The names that an expression mentions.
    pub(super) fn names_in(&mut self, expression: &Expression) -> Option<HashSet<String>> {
        let expr = self.parse(expression)?;
        let mut names = HashSet::new();
        collect_names(&expr, &mut names);
        Some(names)
    }

    pub(super) fn compile(&mut self, expression: &Expression, scope: &Scope<'_>) -> Option<Program> {
        let expr = self.parse(expression)?;
        self.compile_parsed(expression, &expr, scope)
    }

    fn compile_parsed(&mut self, expression: &Expression, expr: &Expr, scope: &Scope<'_>) -> Option<Program> {
        match cel::compile(expr, scope, self.texts) {
            Ok(program) => Some(program),
            Err(errors) => {
                for error in errors {
                    let mut diagnostic =
                        Diagnostic::error("expression-type", error.message, span_of(expression, error.range));
                    diagnostic.hint = error.hint;
                    self.report(diagnostic);
                }
                None
            }
        }
    }

    /// An expression that must be a truth value.
    pub(super) fn condition(&mut self, expression: &Expression, scope: &Scope<'_>) -> Option<Program> {
        let program = self.compile(expression, scope)?;
        self.must_be_bool(expression, &program).then_some(program)
    }

    fn must_be_bool(&mut self, expression: &Expression, program: &Program) -> bool {
        if matches!(program.ty(), Type::Bool | Type::Dyn) {
            return true;
        }
        let message = format!("a condition must be bool, this is {}", program.ty());
        self.error("expression-type", message, expression.span, "compare the value with something");
        false
    }

    /// The conjuncts of a pattern's `where`.
    pub(super) fn filter(&mut self, expression: &Expression, scope: &Scope<'_>, slot: u16) -> Vec<Conjunct> {
        let Some(expr) = self.parse(expression) else { return Vec::new() };
        // Checked whole first, so that errors stand once and in order.
        let Some(whole) = self.compile_parsed(expression, &expr, scope) else { return Vec::new() };
        if !self.must_be_bool(expression, &whole) {
            return Vec::new();
        }
        let mut parts = Vec::new();
        split(&expr, &mut parts);
        if parts.len() == 1 {
            let kind = self.classify(&expr, scope, slot);
            return vec![conjunct(
                kind.unwrap_or(ConjunctKind::Program(Box::new(whole))),
                slot,
                self.globals.params.len(),
            )];
        }
        let params = self.globals.params.len();
        let mut conjuncts = Vec::with_capacity(parts.len());
        for part in parts {
            let kind = match self.classify(part, scope, slot) {
                Some(kind) => kind,
                None => match self.compile_parsed(expression, part, scope) {
                    Some(program) => ConjunctKind::Program(Box::new(program)),
                    None => return Vec::new(),
                },
            };
            conjuncts.push(conjunct(kind, slot, params));
        }
        conjuncts
    }

    /// A comparison that needs no program, or an equality that an index can answer.
    fn classify(&mut self, expr: &Expr, scope: &Scope<'_>, slot: u16) -> Option<ConjunctKind> {
        let (negated, flag) = match &expr.kind {
            ExprKind::Call { target: None, function, args } if function == "!_" => (true, args.first()?),
            _ => (false, expr),
        };
        if let Some((left, FieldType { scalar: Scalar::Bool, .. })) = self.operand(flag, scope) {
            let right = Operand::Constant(u64::from(!negated));
            return Some(ConjunctKind::Compare { left, comparison: Comparison::Equal, right, kind: CellKind::Bits });
        }
        let (left_expr, comparison, right_expr) = comparison(expr)?;
        let left = self.operand(left_expr, scope);
        let right = self.operand(right_expr, scope);
        if let (Some((left, left_ty)), Some((right, right_ty))) = (&left, &right) {
            let kind = cell_kind(*left_ty, *right_ty)?;
            let is_ordered = !matches!(comparison, Comparison::Equal | Comparison::NotEqual);
            if is_ordered && kind == CellKind::Bits {
                return None;
            }
            return Some(ConjunctKind::Compare { left: *left, comparison, right: *right, kind });
        }
        if comparison != Comparison::Equal {
            return None;
        }
        let own = |side: &Option<(Operand, FieldType)>| match side {
            Some((Operand::Cell(cell), ty)) if cell.slot == slot => Some((*cell, *ty)),
            _ => None,
        };
        let ((cell, ty), other) = match (own(&left), own(&right)) {
            (Some(cell), _) => (cell, right_expr),
            (None, Some(cell)) => (cell, left_expr),
            (None, None) => return None,
        };
        if ty.scalar == Scalar::Double {
            return None;
        }
        let program = Box::new(cel::compile(other, scope, self.texts).ok()?);
        let same = field_type(program.ty()).is_some_and(|found| cell_kind(found, ty).is_some());
        let reads_own = program_facts(&program) >> slot & 1 != 0;
        (same && !reads_own).then_some(ConjunctKind::EqualsProgram { cell, program, ty })
    }

    /// A scalar that lies in a cell: a field, a value, a literal.
    fn operand(&mut self, expr: &Expr, scope: &Scope<'_>) -> Option<(Operand, FieldType)> {
        let scalar = |scalar| FieldType { scalar, list: false };
        match &expr.kind {
            ExprKind::Literal(literal) => Some(match literal {
                Literal::Bool(value) => (Operand::Constant(u64::from(*value)), scalar(Scalar::Bool)),
                Literal::Int(value) => (Operand::Constant(*value as u64), scalar(Scalar::Int)),
                Literal::Double(value) => (Operand::Constant(double_cell(*value)), scalar(Scalar::Double)),
                Literal::String(value) => {
                    (Operand::Constant(u64::from(self.texts.intern(value.as_bytes()).0)), scalar(Scalar::String))
                }
                _ => return None,
            }),
            ExprKind::Ident(name) => self.named(name, scope),
            ExprKind::Select { operand, field, test: false } => {
                let ExprKind::Ident(name) = &operand.kind else { return None };
                match scope.find(name) {
                    Some(Bound::Fact { slot, template, .. }) => {
                        let schema = &self.globals.schema.templates[*template as usize];
                        let place = schema.field(field)?;
                        let known = &schema.fields[place];
                        let may_be_missing = known.optional && known.default.is_none();
                        (!known.ty.list && !may_be_missing)
                            .then_some((Operand::Cell(CellAt { slot: *slot, field: place as u16 }), known.ty))
                    }
                    Some(Bound::Value { .. }) => None,
                    None if name == "params" => self.named(&format!("params.{field}"), scope),
                    None => None,
                }
            }
            _ => None,
        }
    }

    fn named(&mut self, name: &str, scope: &Scope<'_>) -> Option<(Operand, FieldType)> {
        match cel::Scope::variable(scope, name)? {
            cel::Variable::Value { slot, ty } => {
                let ty = field_type(&ty)?;
                (!ty.list).then_some((Operand::Value(slot), ty))
            }
            cel::Variable::Constant { value: Literal::String(text), .. } => {
                let cell = u64::from(self.texts.intern(text.as_bytes()).0);
                Some((Operand::Constant(cell), FieldType { scalar: Scalar::Enum, list: false }))
            }
            _ => None,
        }
    }

    /// The value that an action gives a field.
    pub(super) fn field_value(
        &mut self,
        value: &FieldValue,
        field: &FieldSchema,
        scope: &Scope<'_>,
    ) -> Option<CellSource> {
        let (expression, expr) = match value {
            FieldValue::One(expression) => {
                if let (Source::Int(int), Scalar::Double, false) = (&expression.source, field.ty.scalar, field.ty.list)
                {
                    return self.literal_source(Constant::Double(*int as f64), field, expression.span);
                }
                (expression.clone(), self.parse(expression)?)
            }
            FieldValue::List(items, span) => {
                let mut elements = Vec::with_capacity(items.len());
                for item in items {
                    let element = match (&item.source, field.ty.scalar) {
                        (Source::Int(int), Scalar::Double) => {
                            Expr::new(ExprKind::Literal(Literal::Double(*int as f64)), Range::default())
                        }
                        _ => self.parse(item)?,
                    };
                    elements.push((element, false));
                }
                let list = Expression { source: Source::Cel(String::new()), span: *span, column_of_text: None };
                (list, Expr::new(ExprKind::List(elements), Range::default()))
            }
        };
        let program = self.compile_parsed(&expression, &expr, scope)?;
        if !fits(program.ty(), field.ty) {
            let message =
                format!("field `{}` is {}, the expression is {}", field.name, type_of(field.ty), program.ty());
            let hint = match (field.ty.scalar, program.ty()) {
                (Scalar::Double, Type::Int) => "convert it: `double(...)`",
                (Scalar::String, _) => "convert it: `string(...)`; a text constant is \"'like this'\"",
                (Scalar::Enum, _) => "give one of the field's values",
                _ => "give a value of the field's type",
            };
            self.error("expression-type", message, expression.span, hint);
            return None;
        }
        if let Some((Operand::Cell(cell), ty)) = self.operand(&expr, scope)
            && ty == field.ty
            && is_free(field)
        {
            return Some(CellSource::Cell(cell));
        }
        if let ExprKind::Literal(literal) = &expr.kind
            && let Some(constant) = constant_of(literal, field.ty)
        {
            return self.literal_source(constant, field, expression.span);
        }
        if let ExprKind::Ident(name) = &expr.kind
            && field.ty.scalar == Scalar::Enum
            && !field.ty.list
            && let Some((Operand::Constant(_), _)) = self.named(name, scope)
        {
            return self.literal_source(Constant::Text(name.clone()), field, expression.span);
        }
        Some(CellSource::Program(Box::new(program)))
    }

    /// A literal, checked against the field now rather than at each firing.
    fn literal_source(&mut self, constant: Constant, field: &FieldSchema, span: Span) -> Option<CellSource> {
        if let Err(reason) = super::constants::check_constant(&constant, field) {
            let message = format!("field `{}`: {reason}", field.name);
            self.error("value-out-of-range", message, span, "give a value that the template allows");
            return None;
        }
        Some(source_of(constant, self.texts))
    }

    /// Text with `{expression}` holes; `{{` and `}}` stand for the braces themselves.
    pub(super) fn message(&mut self, message: &Name, scope: &Scope<'_>) -> Option<Vec<Piece>> {
        let mut pieces = Vec::new();
        let mut text = String::new();
        let mut rest = message.text.as_str();
        while let Some(at) = rest.find(['{', '}']) {
            text.push_str(&rest[..at]);
            let brace = &rest[at..=at];
            if rest[at + 1..].starts_with(brace) {
                text.push_str(brace);
                rest = &rest[at + 2..];
                continue;
            }
            let inner_end = (brace == "{").then(|| hole_end(&rest[at + 1..])).flatten();
            let Some(end) = inner_end else {
                let text = format!("`{brace}` in a message has no partner");
                self.error("message-brace", text, message.span, "write `{{` or `}}` for a brace itself");
                return None;
            };
            if !text.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut text)));
            }
            let source = Source::Cel(rest[at + 1..at + 1 + end].to_owned());
            let hole = Expression { source, span: message.span, column_of_text: None };
            let program = self.compile(&hole, scope)?;
            if !is_text(program.ty()) {
                let shown = format!("a message cannot show {}", program.ty());
                self.error("expression-type", shown, message.span, "show a scalar or a list of scalars");
                return None;
            }
            pieces.push(Piece::Hole(program));
            rest = &rest[at + 2 + end..];
        }
        text.push_str(rest);
        if !text.is_empty() {
            pieces.push(Piece::Text(text));
        }
        Some(pieces)
    }

    pub(super) fn data(&mut self, data: &DataValue, scope: &Scope<'_>) -> Option<Data> {
        Some(match data {
            DataValue::Null => Data::Null,
            DataValue::One(expression) => Data::Value(self.compile(expression, scope)?),
            DataValue::List(items) => {
                Data::List(items.iter().map(|item| self.data(item, scope)).collect::<Option<_>>()?)
            }
            DataValue::Map(entries) => {
                let compiled = entries.iter().map(|(name, value)| Some((name.clone(), self.data(value, scope)?)));
                let mut entries: Vec<(String, Data)> = compiled.collect::<Option<_>>()?;
                // The order of mapping keys is no meaning.
                entries.sort_by(|left, right| left.0.cmp(&right.0));
                Data::Map(entries)
            }
        })
    }
}

/// The end of a hole: the brace that closes it, strings and inner braces passed over.
pub(crate) fn hole_end(text: &str) -> Option<usize> {
    let (mut depth, mut quote, mut is_escaped) = (0, None, false);
    for (at, letter) in text.char_indices() {
        match (quote, letter) {
            _ if is_escaped => is_escaped = false,
            (Some(_), '\\') => is_escaped = true,
            (Some(open), letter) if letter == open => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(letter),
            (None, '{') => depth += 1,
            (None, '}') if depth == 0 => return Some(at),
            (None, '}') => depth -= 1,
            _ => {}
        }
    }
    None
}

fn collect_names(expr: &Expr, names: &mut HashSet<String>) {
    if let ExprKind::Ident(name) = &expr.kind {
        names.insert(name.clone());
    }
    expr.each_child(&mut |child| collect_names(child, names));
}

/// Top-level parts of a condition.
pub(crate) fn split<'e>(expr: &'e Expr, parts: &mut Vec<&'e Expr>) {
    match &expr.kind {
        ExprKind::Call { target: None, function, args } if function == "_&&_" => {
            args.iter().for_each(|part| split(part, parts));
        }
        _ => parts.push(expr),
    }
}

/// `left op right`.
pub(crate) fn comparison(expr: &Expr) -> Option<(&Expr, Comparison, &Expr)> {
    let ExprKind::Call { target: None, function, args } = &expr.kind else { return None };
    let comparison = match function.as_str() {
        "_==_" => Comparison::Equal,
        "_!=_" => Comparison::NotEqual,
        "_<_" => Comparison::Less,
        "_<=_" => Comparison::LessOrEqual,
        "_>_" => Comparison::Greater,
        "_>=_" => Comparison::GreaterOrEqual,
        _ => return None,
    };
    Some((args.first()?, comparison, args.get(1)?))
}

pub(super) fn conjunct(kind: ConjunctKind, slot: u16, params: usize) -> Conjunct {
    let (mut facts, mut values) = (0, 0);
    let mut operand = |operand: &Operand| match operand {
        Operand::Cell(cell) => facts |= 1 << cell.slot,
        Operand::Value(slot) => values |= value_bit(*slot, params),
        Operand::Constant(_) => {}
    };
    match &kind {
        ConjunctKind::Compare { left, right, .. } => {
            operand(left);
            operand(right);
        }
        ConjunctKind::EqualsProgram { cell, program, .. } => {
            operand(&Operand::Cell(*cell));
            facts |= program_facts(program);
            values |= program_values(program, params);
        }
        ConjunctKind::Program(program) => {
            facts |= program_facts(program);
            values |= program_values(program, params);
        }
    }
    Conjunct { facts, values, kind, slot }
}

/// The bit of a value slot; none for parameters, which are always there.
pub(crate) fn value_bit(slot: u16, params: usize) -> u64 {
    (slot as usize).checked_sub(params).and_then(|place| 1_u64.checked_shl(place as u32)).unwrap_or(0)
}

pub(super) fn program_facts(program: &Program) -> u64 {
    program.reads().fields.iter().fold(0, |mask, &(slot, _)| mask | 1 << slot)
}

pub(super) fn program_values(program: &Program, params: usize) -> u64 {
    program.reads().slots.iter().map(|&slot| value_bit(slot, params)).fold(0, |mask, bit| mask | bit)
}

fn cell_kind(left: FieldType, right: FieldType) -> Option<CellKind> {
    if left.list || right.list {
        return None;
    }
    match (left.scalar, right.scalar) {
        (Scalar::Int, Scalar::Int) | (Scalar::Timestamp, Scalar::Timestamp) | (Scalar::Duration, Scalar::Duration) => {
            Some(CellKind::Int)
        }
        (Scalar::Double, Scalar::Double) => Some(CellKind::Double),
        (Scalar::String | Scalar::Enum, Scalar::String | Scalar::Enum)
        | (Scalar::Bool, Scalar::Bool)
        | (Scalar::Bytes, Scalar::Bytes) => Some(CellKind::Bits),
        _ => None,
    }
}

/// A copied value needs no check against the field.
fn is_free(field: &FieldSchema) -> bool {
    field.min.is_none()
        && field.max.is_none()
        && field.ty.scalar != Scalar::Enum
        && (field.ty.scalar != Scalar::Double || field.nan)
}

fn fits(ty: &Type, field: FieldType) -> bool {
    let element_fits = |ty: &Type| {
        let wanted = FieldType { list: false, ..field };
        *ty == Type::Dyn
            || field_type(ty).is_some_and(|found| {
                found == wanted
                    || matches!(
                        (found.scalar, wanted.scalar, found.list),
                        (Scalar::Enum, Scalar::String, false) | (Scalar::String, Scalar::Enum, false)
                    )
            })
    };
    match (ty, field.list) {
        (Type::Dyn, _) => true,
        (Type::List(element), true) => element_fits(element),
        (_, true) => false,
        (ty, false) => element_fits(ty),
    }
}

fn is_text(ty: &Type) -> bool {
    match ty {
        Type::List(element) => *element == Box::new(Type::Dyn) || is_text(element),
        Type::Dyn | Type::Int | Type::Uint => true,
        other => field_type(other).is_some(),
    }
}

fn constant_of(literal: &Literal, ty: FieldType) -> Option<Constant> {
    if ty.list {
        return None;
    }
    Some(match (literal, ty.scalar) {
        (Literal::Bool(value), Scalar::Bool) => Constant::Bool(*value),
        (Literal::Int(value), Scalar::Int) => Constant::Int(*value),
        (Literal::Double(value), Scalar::Double) => Constant::Double(*value),
        (Literal::String(value), Scalar::String | Scalar::Enum) => Constant::Text(value.clone()),
        (Literal::Bytes(value), Scalar::Bytes) => Constant::Bytes(value.clone()),
        _ => return None,
    })
}

/// A constant as the source of a cell.
pub(super) fn source_of(constant: Constant, texts: &mut Texts) -> CellSource {
    match constant_cell(&constant, texts) {
        Some(cell) => CellSource::Constant(cell),
        None => CellSource::Default(constant),
    }
}

/// A scalar constant as a cell.
pub(super) fn constant_cell(constant: &Constant, texts: &mut Texts) -> Option<u64> {
    Some(match constant {
        Constant::Bool(value) => u64::from(*value),
        Constant::Int(value) => *value as u64,
        Constant::Double(value) => double_cell(*value),
        Constant::Text(value) => u64::from(texts.intern(value.as_bytes()).0),
        Constant::Bytes(value) => u64::from(texts.intern(value).0),
        Constant::List(_) => return None,
    })
}

/// A constant of a type as a cell of a run; lists are put into the heap, each content once.
pub fn heap_cell(constant: &Constant, ty: FieldType, heap: &mut Heap) -> u64 {
    let Constant::List(elements) = constant else {
        return constant_cell(constant, &mut heap.texts).unwrap_or_default();
    };
    let element = FieldType { list: false, ..ty };
    let mut values = Vec::with_capacity(elements.len());
    for constant in elements {
        let cell = constant_cell(constant, &mut heap.texts).unwrap_or_default();
        values.push(decode(cell, element));
    }
    u64::from(heap.intern_list(&values).0)
}
