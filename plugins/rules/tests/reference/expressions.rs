//! Makes random expressions of a type from what is in scope.

use super::generator::{Field, Generator};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Bool,
    Int,
    Double,
    Text,
    Enum,
    Ints,
}

#[derive(Clone, Debug)]
pub(crate) enum Var {
    Fact { name: String, template: usize, only: Option<Vec<usize>> },
    Value { name: String, kind: Kind },
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Scope {
    pub(crate) vars: Vec<Var>,
    /// Of the templates that the rule derives; none for agenda rules.
    pub(crate) level: Option<usize>,
}

impl Generator {
    /// What is bound and of a type.
    fn bound(&self, kind: Kind, scope: &Scope) -> Vec<String> {
        let mut found = Vec::new();
        for var in &scope.vars {
            match var {
                Var::Value { name, kind: known } if *known == kind => found.push(name.clone()),
                Var::Value { .. } => {}
                Var::Fact { name, template, only } => {
                    let fields = self.templates[*template].fields.iter().enumerate();
                    let allowed = fields.filter(|(place, field)| {
                        field.kind == kind && !field.optional && only.as_ref().is_none_or(|only| only.contains(place))
                    });
                    found.extend(allowed.map(|(_, field)| format!("{name}.{}", field.name)));
                }
            }
        }
        found
    }

    fn literal(&mut self, kind: Kind) -> String {
        match kind {
            Kind::Bool => (*self.random.pick(&["true", "false"])).to_owned(),
            Kind::Int => match self.random.below(8) {
                0 => "params.p".to_owned(),
                _ => self.random.below(4).to_string(),
            },
            Kind::Double => (*self.random.pick(&["0.0", "0.1", "0.5", "2.5", "params.q"])).to_owned(),
            Kind::Text => (*self.random.pick(&["'a'", "'b'", "'c'"])).to_owned(),
            Kind::Enum => (*self.random.pick(&["red", "green", "blue"])).to_owned(),
            Kind::Ints => (*self.random.pick(&["[]", "[1]", "[0, 2]", "[1, 2, 3]"])).to_owned(),
        }
    }

    fn leaf(&mut self, kind: Kind, scope: &Scope) -> String {
        let bound = self.bound(kind, scope);
        if bound.is_empty() || self.random.chance(25) { self.literal(kind) } else { self.random.pick(&bound).clone() }
    }

    /// An expression of a type.
    pub(crate) fn expression(&mut self, kind: Kind, scope: &Scope, depth: usize) -> String {
        if depth == 0 || (kind != Kind::Bool && self.random.chance(60)) {
            return self.leaf(kind, scope);
        }
        let depth = depth - 1;
        match kind {
            Kind::Bool => self.truth(scope, depth),
            Kind::Int => match self.random.below(6) {
                0 => format!("size({})", self.expression(Kind::Ints, scope, depth)),
                1 => self.choice(kind, scope, depth),
                place => {
                    let sign = ["+", "-", "*", "+", "+"][place - 2 + usize::from(self.random.chance(20))];
                    format!("({} {sign} {})", self.expression(kind, scope, depth), self.expression(kind, scope, depth))
                }
            },
            Kind::Double => match self.random.below(3) {
                0 => format!("double({})", self.expression(Kind::Int, scope, depth)),
                1 => self.choice(kind, scope, depth),
                _ => format!("({} + {})", self.leaf(kind, scope), self.literal(kind)),
            },
            Kind::Text => match self.random.below(3) {
                0 => format!("string({})", self.expression(Kind::Int, scope, depth)),
                1 => self.choice(kind, scope, depth),
                _ => format!("({} + {})", self.leaf(kind, scope), self.literal(kind)),
            },
            Kind::Enum => self.choice(kind, scope, depth),
            Kind::Ints => {
                format!("[{}, {}]", self.expression(Kind::Int, scope, depth), self.expression(Kind::Int, scope, depth))
            }
        }
    }

    fn choice(&mut self, kind: Kind, scope: &Scope, depth: usize) -> String {
        let (yes, no) = (self.leaf(kind, scope), self.leaf(kind, scope));
        format!("({} ? {yes} : {no})", self.truth(scope, depth))
    }

    fn truth(&mut self, scope: &Scope, depth: usize) -> String {
        match self.random.below(10) {
            0 if depth > 0 => format!("({} || {})", self.truth(scope, depth - 1), self.truth(scope, depth - 1)),
            1 if depth > 0 => format!("!({})", self.truth(scope, depth - 1)),
            2 if depth > 0 => format!("({} && {})", self.truth(scope, depth - 1), self.truth(scope, depth - 1)),
            3 => self.leaf(Kind::Bool, scope),
            4 => format!("{} in {}", self.leaf(Kind::Int, scope), self.leaf(Kind::Ints, scope)),
            _ => {
                let kind = *self.random.pick(&[
                    Kind::Int,
                    Kind::Int,
                    Kind::Int,
                    Kind::Text,
                    Kind::Double,
                    Kind::Enum,
                    Kind::Ints,
                ]);
                let (left, right) = (self.leaf(kind, scope), self.expression(kind, scope, depth));
                format!("{left} {} {right}", self.comparison(kind))
            }
        }
    }

    fn comparison(&mut self, kind: Kind) -> &'static str {
        match kind {
            Kind::Bool | Kind::Enum | Kind::Ints => ["==", "!="][self.random.below(2)],
            _ => ["==", "==", "==", "!=", "<", "<=", ">", ">="][self.random.below(8)],
        }
    }

    /// One to three conjuncts over a pattern's own fields and what is bound outside.
    pub(crate) fn filter_expression(&mut self, name: &str, template: usize, scope: &Scope) -> String {
        let mut inner = scope.clone();
        inner.vars.push(Var::Fact { name: name.to_owned(), template, only: None });
        let count = *self.random.pick(&[1, 1, 1, 2, 2, 3]);
        let mut parts = Vec::new();
        for _ in 0..count {
            let field = self.random.pick(&self.templates[template].fields.clone()).clone();
            parts.push(self.conjunct(name, &field, scope, &inner));
        }
        parts.join(" && ")
    }

    fn conjunct(&mut self, name: &str, field: &Field, scope: &Scope, inner: &Scope) -> String {
        let own = format!("{name}.{}", field.name);
        if field.optional && self.random.chance(60) {
            return match self.random.below(3) {
                0 => format!("has({own})"),
                1 => format!("!has({own})"),
                _ => format!("has({own}) && {own} {} {}", self.comparison(field.kind), self.leaf(field.kind, scope)),
            };
        }
        let comparison = self.comparison(field.kind);
        match self.random.below(20) {
            0..10 => format!("{own} {comparison} {}", self.leaf(field.kind, scope)),
            10..12 => format!("{} {comparison} {own}", self.leaf(field.kind, scope)),
            12..15 => format!("{own} == ({})", self.expression(field.kind, scope, 1)),
            15 if field.kind == Kind::Int => format!("6 / {own} {comparison} {}", self.leaf(Kind::Int, scope)),
            16 if field.kind == Kind::Int => format!("{own} in {}", self.leaf(Kind::Ints, scope)),
            17 => format!("({own} {comparison} {} || {})", self.leaf(field.kind, inner), self.truth(inner, 0)),
            _ => self.truth(inner, 1),
        }
    }

    /// A YAML value for a field that cannot grow without end, whatever rules feed each other.
    pub(crate) fn bounded(&mut self, kind: Kind, scope: &Scope) -> String {
        let text = match kind {
            Kind::Int if self.random.chance(45) => format!("({}) % 4", self.expression(kind, scope, 2)),
            Kind::Ints if self.random.chance(50) => format!("[{}]", self.leaf(Kind::Int, scope)),
            Kind::Bool => self.truth(scope, 1),
            _ => self.leaf(kind, scope),
        };
        format!("\"{text}\"")
    }
}
