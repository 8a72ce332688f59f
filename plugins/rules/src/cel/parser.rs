//! From tokens to the tree, by operator precedence. Macros are expanded on the way.

use super::SyntaxError;
use super::lexer::{Lexer, Token};
use super::macros;
use super::syntax::{Expr, ExprKind, Literal, Range};

/// Longer expressions are refused.
pub const TEXT_BYTES_MAX: usize = 65_535;

/// Deeper trees are refused: everything that walks them recurses.
pub const DEPTH_MAX: u32 = 128;

const RESERVED: [&str; 17] = [
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
    "while",
];

/// Reads one expression.
///
/// # Errors
/// If the text is not an expression, is too long, or nests too deeply.
pub fn parse(text: &str) -> Result<Expr, SyntaxError> {
    if text.len() > TEXT_BYTES_MAX {
        let range = Range { begin: 0, end: TEXT_BYTES_MAX as u32 };
        return Err(SyntaxError { message: format!("an expression has at most {TEXT_BYTES_MAX} bytes"), range });
    }
    let mut lexer = Lexer::new(text);
    let (token, range) = lexer.next()?;
    let mut parser = Parser { lexer, token, range, last: Range::default(), depth: 0 };
    let expr = parser.expression()?;
    match parser.token {
        Token::End => Ok(expr),
        _ => Err(parser.unexpected("the end, or an operator")),
    }
}

struct Parser<'a> {
    lexer: Lexer<'a>,
    token: Token,
    range: Range,
    /// Of the token before.
    last: Range,
    depth: u32,
}

type Parsed = Result<Expr, SyntaxError>;

impl Parser<'_> {
    fn advance(&mut self) -> Result<Token, SyntaxError> {
        let (token, range) = self.lexer.next()?;
        self.last = std::mem::replace(&mut self.range, range);
        Ok(std::mem::replace(&mut self.token, token))
    }

    fn is(&self, sign: &str) -> bool {
        matches!(&self.token, Token::Sign(found) if *found == sign)
    }

    fn accept(&mut self, sign: &str) -> Result<bool, SyntaxError> {
        let is_there = self.is(sign);
        if is_there {
            self.advance()?;
        }
        Ok(is_there)
    }

    fn expect(&mut self, sign: &str) -> Result<(), SyntaxError> {
        if self.accept(sign)? { Ok(()) } else { Err(self.unexpected(&format!("`{sign}`"))) }
    }

    fn unexpected(&self, wanted: &str) -> SyntaxError {
        let found = match &self.token {
            Token::Name(name, _) => format!("`{name}`"),
            Token::Int(_) | Token::Literal(_) => "a literal".to_owned(),
            Token::Sign(sign) => format!("`{sign}`"),
            Token::End => "the end".to_owned(),
        };
        SyntaxError { message: format!("expected {wanted}, found {found}"), range: self.range }
    }

    /// A node, if the tree stays flat enough.
    fn node(&self, kind: ExprKind, begin: Range) -> Parsed {
        self.bounded(Expr::new(kind, begin.to(self.last)))
    }

    fn bounded(&self, expr: Expr) -> Parsed {
        if expr.depth() > DEPTH_MAX { Err(too_deep(expr.range)) } else { Ok(expr) }
    }

    fn expression(&mut self) -> Parsed {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(too_deep(self.range));
        }
        let begin = self.range;
        let mut expr = self.binary(0)?;
        if self.accept("?")? {
            let yes = self.binary(0)?;
            self.expect(":")?;
            let no = self.expression()?;
            expr = self.node(call("_?_:_", vec![expr, yes, no]), begin)?;
        }
        self.depth -= 1;
        Ok(expr)
    }

    /// Operators that bind as tightly as `level` or more.
    fn binary(&mut self, level: u8) -> Parsed {
        let begin = self.range;
        let mut left = self.unary()?;
        while let Some((sign, function, found)) = self.operator().filter(|(.., found)| *found >= level) {
            if matches!(sign, "||" | "&&") {
                left = self.chain(left, sign, function, found)?;
                continue;
            }
            self.advance()?;
            let right = self.binary(found + 1)?;
            left = self.node(call(function, vec![left, right]), begin)?;
        }
        Ok(left)
    }

    /// A chain of `||` or `&&`, as a balanced tree: the order of evaluation is free.
    fn chain(&mut self, first: Expr, sign: &str, function: &str, level: u8) -> Parsed {
        let mut terms = vec![first];
        while self.accept(sign)? {
            terms.push(self.binary(level + 1)?);
        }
        self.bounded(balance(terms, function))
    }

    /// The operator at hand: its sign, its function, and how tightly it binds.
    fn operator(&self) -> Option<(&'static str, &'static str, u8)> {
        let Token::Sign(sign) = self.token else { return None };
        let (function, level) = match sign {
            "||" => ("_||_", 0),
            "&&" => ("_&&_", 1),
            "==" => ("_==_", 2),
            "!=" => ("_!=_", 2),
            "<" => ("_<_", 2),
            "<=" => ("_<=_", 2),
            ">" => ("_>_", 2),
            ">=" => ("_>=_", 2),
            "in" => ("@in", 2),
            "+" => ("_+_", 3),
            "-" => ("_-_", 3),
            "*" => ("_*_", 4),
            "/" => ("_/_", 4),
            "%" => ("_%_", 4),
            _ => return None,
        };
        Some((sign, function, level))
    }

    fn unary(&mut self) -> Parsed {
        if self.is("!") || self.is("-") { self.signed() } else { self.member(None) }
    }

    /// What follows signs.
    fn signed(&mut self) -> Parsed {
        let mut signs = Vec::new();
        while self.is("!") || self.is("-") {
            signs.push((self.is("!"), self.range));
            if signs.len() as u32 > DEPTH_MAX {
                return Err(too_deep(self.range));
            }
            self.advance()?;
        }
        let negative = signs.last().is_some_and(|(not, _)| !not) && self.is_number();
        let first = if negative { signs.pop().map(|(_, range)| range) } else { None };
        let mut expr = self.member(first)?;
        for (not, range) in signs.into_iter().rev() {
            expr = self.node(call(if not { "!_" } else { "-_" }, vec![expr]), range)?;
        }
        Ok(expr)
    }

    fn is_number(&self) -> bool {
        matches!(self.token, Token::Int(_) | Token::Literal(Literal::Double(_)))
    }

    /// A primary and what follows it. `minus` is where a sign stood that belongs to the number.
    fn member(&mut self, minus: Option<Range>) -> Parsed {
        let begin = minus.unwrap_or(self.range);
        let mut expr = match minus {
            Some(_) => self.negative_number(begin)?,
            None => self.primary()?,
        };
        loop {
            if self.accept(".")? {
                expr = self.selection(expr, begin)?;
            } else if self.accept("[")? {
                let function = if self.accept("?")? { "_[?_]" } else { "_[_]" };
                let index = self.expression()?;
                self.expect("]")?;
                expr = self.node(call(function, vec![expr, index]), begin)?;
            } else if self.is("{") && expr.qualified_name().is_some() {
                return Err(SyntaxError {
                    message: "messages are not part of the language here".into(),
                    range: self.range,
                });
            } else {
                return Ok(expr);
            }
        }
    }

    fn selection(&mut self, operand: Expr, begin: Range) -> Parsed {
        let optional = self.accept("?")?;
        let Token::Name(name, quoted) = &mut self.token else { return Err(self.unexpected("a name")) };
        let (name, quoted) = (std::mem::take(name), *quoted);
        self.advance()?;
        if optional {
            let field = Expr::new(ExprKind::Literal(Literal::String(name)), self.last);
            return self.node(call("_?._", vec![operand, field]), begin);
        }
        if !quoted && self.accept("(")? {
            let args = self.arguments(")")?;
            let kind = macros::expand_member(operand, &name, args, begin.to(self.last))?;
            return self.node(kind, begin);
        }
        self.node(ExprKind::Select { operand: Box::new(operand), field: name, test: false }, begin)
    }

    /// Expressions up to the closing sign, which is read too.
    fn arguments(&mut self, close: &str) -> Result<Vec<Expr>, SyntaxError> {
        let mut args = Vec::new();
        if self.accept(close)? {
            return Ok(args);
        }
        loop {
            args.push(self.expression()?);
            if self.accept(close)? {
                return Ok(args);
            }
            self.expect(",")?;
        }
    }

    fn negative_number(&mut self, begin: Range) -> Parsed {
        let literal = match self.advance()? {
            Token::Int(number) if number <= i64::MIN.unsigned_abs() => Literal::Int((number as i64).wrapping_neg()),
            Token::Literal(Literal::Double(double)) => Literal::Double(-double),
            _ => return Err(too_large(begin.to(self.last))),
        };
        self.node(ExprKind::Literal(literal), begin)
    }

    fn primary(&mut self) -> Parsed {
        let begin = self.range;
        match self.advance()? {
            Token::Int(number) => {
                let int = i64::try_from(number).map_err(|_| too_large(begin))?;
                self.node(ExprKind::Literal(Literal::Int(int)), begin)
            }
            Token::Literal(literal) => self.node(ExprKind::Literal(literal), begin),
            Token::Name(name, false) => self.name(name, begin),
            Token::Sign("(") => {
                let expr = self.expression()?;
                self.expect(")")?;
                Ok(expr)
            }
            Token::Sign("[") => self.list(begin),
            Token::Sign("{") => self.map(begin),
            Token::Sign(".") => match self.advance()? {
                Token::Name(name, false) => self.name(format!(".{name}"), begin),
                _ => Err(SyntaxError { message: "expected a name behind the dot".into(), range: self.last }),
            },
            _ => Err(SyntaxError { message: "expected an expression".into(), range: begin }),
        }
    }

    fn name(&mut self, name: String, begin: Range) -> Parsed {
        let bare = name.trim_start_matches('.');
        if RESERVED.contains(&bare) {
            return Err(SyntaxError { message: format!("`{bare}` is a reserved word"), range: self.last });
        }
        if !self.accept("(")? {
            return self.node(ExprKind::Ident(name), begin);
        }
        let args = self.arguments(")")?;
        let kind = macros::expand_global(&name, args, begin.to(self.last))?;
        self.node(kind, begin)
    }

    fn list(&mut self, begin: Range) -> Parsed {
        let mut elements = Vec::new();
        while !self.accept("]")? {
            let optional = self.accept("?")?;
            elements.push((self.expression()?, optional));
            if !self.is("]") {
                self.expect(",")?;
            }
        }
        self.node(ExprKind::List(elements), begin)
    }

    fn map(&mut self, begin: Range) -> Parsed {
        let mut entries = Vec::new();
        while !self.accept("}")? {
            let optional = self.accept("?")?;
            let key = self.expression()?;
            self.expect(":")?;
            entries.push((key, self.expression()?, optional));
            if !self.is("}") {
                self.expect(",")?;
            }
        }
        self.node(ExprKind::Map(entries), begin)
    }
}

fn call(function: &str, args: Vec<Expr>) -> ExprKind {
    ExprKind::Call { target: None, function: function.to_owned(), args }
}

fn too_deep(range: Range) -> SyntaxError {
    SyntaxError { message: format!("the expression nests more than {DEPTH_MAX} levels"), range }
}

fn too_large(range: Range) -> SyntaxError {
    SyntaxError { message: "an integer too large for int".into(), range }
}

fn balance(mut terms: Vec<Expr>, function: &str) -> Expr {
    while terms.len() > 1 {
        let mut pairs = Vec::with_capacity(terms.len().div_ceil(2));
        let mut rest = terms.into_iter();
        while let Some(left) = rest.next() {
            pairs.push(match rest.next() {
                Some(right) => {
                    let range = left.range.to(right.range);
                    Expr::call(function, vec![left, right], range)
                }
                None => left,
            });
        }
        terms = pairs;
    }
    terms.pop().unwrap_or_else(|| Expr::new(ExprKind::Literal(Literal::Null), Range::default()))
}

#[cfg(test)]
mod tests;
