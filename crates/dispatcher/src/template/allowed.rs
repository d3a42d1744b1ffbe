//! What a template may be made of.
//!
//! The engine counts what statements, texts and filters take. It doesn't count lists that are multiplied, added or put into each other, of which a
//! few words make more than any memory holds: so a template can't make lists, and calls nothing. What it may do is listed, not what it may not.

use minijinja::machinery::ast::{BinOpKind, CallArg, Expr, Spanned, Stmt};
use minijinja::machinery::parse;
use minijinja::syntax::SyntaxConfig;

use super::error::TemplateError;

/// The filters that there are.
pub const FILTERS: [&str; 21] = [
    "abs",
    "capitalize",
    "default",
    "first",
    "float",
    "indent",
    "int",
    "items",
    "join",
    "last",
    "length",
    "lines",
    "lower",
    "replace",
    "round",
    "split",
    "string",
    "title",
    "tojson",
    "trim",
    "upper",
];
/// The one filter that another crate's feature brings.
const URLENCODE: &str = "urlencode";
/// The tests (`is …`) that there are.
const TESTS: [&str; 14] = [
    "boolean",
    "defined",
    "endingwith",
    "float",
    "integer",
    "iterable",
    "mapping",
    "none",
    "number",
    "sequence",
    "startingwith",
    "string",
    "true",
    "undefined",
];

/// Parts of an expression, each within the one before.
const DEEPEST: usize = 200;
const UNPLAIN: &str = "a comparison of two things of which neither is a text or a number of the template's own";

type Allowed = Result<(), (usize, String)>;

/// Reads a template's source, and refuses what it must not be made of.
pub(super) fn check(part: &str, source: &str) -> Result<(), TemplateError> {
    let template = parse(source, part, SyntaxConfig::default()).map_err(|error| TemplateError::of(part, &error))?;
    statement(&template).map_err(|(line, detail)| TemplateError::new(part, Some(line), detail))
}

fn statements(all: &[Stmt<'_>]) -> Allowed {
    all.iter().try_for_each(statement)
}

fn statement(stmt: &Stmt<'_>) -> Allowed {
    match stmt {
        Stmt::Template(template) => statements(&template.children),
        Stmt::EmitRaw(_) => Ok(()),
        Stmt::EmitExpr(emit) => expression(&emit.expr),
        Stmt::IfCond(condition) => {
            expression(&condition.expr)?;
            statements(&condition.true_body)?;
            statements(&condition.false_body)
        }
        Stmt::ForLoop(each) if each.recursive => refused(each, "a loop that calls itself"),
        Stmt::ForLoop(each) => {
            target(&each.target)?;
            expression(&each.iter)?;
            each.filter_expr.iter().try_for_each(expression)?;
            statements(&each.body)?;
            statements(&each.else_body)
        }
        Stmt::Set(set) => {
            target(&set.target)?;
            expression(&set.expr)
        }
        Stmt::WithBlock(with) => {
            for (name, value) in &with.assignments {
                target(name)?;
                expression(value)?;
            }
            statements(&with.body)
        }
        Stmt::SetBlock(block) => refused(block, "a block that is kept in a variable"),
        Stmt::AutoEscape(block) => refused(block, "`autoescape`"),
        Stmt::FilterBlock(block) => refused(block, "a block that is filtered"),
        Stmt::Do(block) => refused(block, "`do`"),
    }
}

/// A name that gets a value, or several.
fn target(expr: &Expr<'_>) -> Allowed {
    match expr {
        Expr::Var(_) => Ok(()),
        Expr::Tuple(names) => names.items.iter().try_for_each(target),
        Expr::List(names) => names.items.iter().try_for_each(target),
        other => refused_at(line(other), "anything but names before `=` or `in`"),
    }
}

fn expression(expr: &Expr<'_>) -> Allowed {
    nested(expr, 0)
}

/// How deep an expression is tells how long it takes to be compiled, by its square.
fn nested(expr: &Expr<'_>, depth: usize) -> Allowed {
    if depth > DEEPEST {
        return refused_at(line(expr), "an expression of more than 200 parts in a row");
    }
    let within = |expr: &Expr<'_>| nested(expr, depth + 1);
    match expr {
        Expr::Const(constant) if constant.value.as_object().is_some() => refused(constant, "a list or a map"),
        Expr::Var(_) | Expr::Const(_) => Ok(()),
        Expr::UnaryOp(operator) => within(&operator.expr),
        Expr::BinOp(operator) => {
            match operator.op {
                BinOpKind::Add => return refused(operator, "`+` (texts are joined by `~`)"),
                BinOpKind::Mul => return refused(operator, "`*`"),
                BinOpKind::Pow => return refused(operator, "`**`"),
                BinOpKind::Eq
                | BinOpKind::Ne
                | BinOpKind::Lt
                | BinOpKind::Lte
                | BinOpKind::Gt
                | BinOpKind::Gte
                | BinOpKind::In
                    if !is_plain(&operator.left) && !is_plain(&operator.right) =>
                {
                    return refused(operator, UNPLAIN);
                }
                _ => {}
            }
            within(&operator.left)?;
            within(&operator.right)
        }
        Expr::Compare(compare) => {
            let mut before = &compare.expr;
            for op in &compare.ops {
                if !is_plain(before) && !is_plain(&op.expr) {
                    return refused(compare, UNPLAIN);
                }
                before = &op.expr;
            }
            within(&compare.expr)?;
            compare.ops.iter().try_for_each(|op| within(&op.expr))
        }
        Expr::IfExpr(condition) => {
            within(&condition.test_expr)?;
            within(&condition.true_expr)?;
            condition.false_expr.iter().try_for_each(within)
        }
        Expr::Filter(filter) => {
            if !FILTERS.contains(&filter.name) && filter.name != URLENCODE {
                return refused(filter, &format!("a filter `{}`", filter.name));
            }
            if filter.name == "tojson" && !filter.args.is_empty() {
                return refused(filter, "an argument of `tojson`");
            }
            filter.expr.iter().try_for_each(within)?;
            arguments(&filter.args, depth + 1)
        }
        Expr::Test(test) => {
            if !TESTS.contains(&test.name) {
                return refused(test, &format!("a test `{}`", test.name));
            }
            within(&test.expr)?;
            arguments(&test.args, depth + 1)
        }
        Expr::GetAttr(get) => within(&get.expr),
        Expr::GetItem(get) if !is_near(&get.subscript_expr) => {
            refused(get, "anything but a name or a number below 100 between `[` and `]`")
        }
        Expr::GetItem(get) => within(&get.expr),
        Expr::Slice(slice) => refused(slice, "a slice"),
        Expr::Call(call) => refused(call, "a call"),
        Expr::List(list) => refused(list, "a list"),
        Expr::Tuple(tuple) => refused(tuple, "a list"),
        Expr::Map(map) => refused(map, "a map"),
    }
}

/// A text, a number or the like. What is compared with one ends soon; of two lists each part is looked at, which isn't counted.
fn is_plain(expr: &Expr<'_>) -> bool {
    matches!(expr, Expr::Const(constant) if constant.value.as_object().is_none())
}

/// Finding a character of a text takes as long as what is before it, which isn't counted.
fn is_near(subscript: &Expr<'_>) -> bool {
    let Expr::Const(constant) = subscript else {
        return false;
    };
    constant.value.as_str().is_some() || constant.value.as_i64().is_some_and(|number| (0..100).contains(&number))
}

fn arguments(args: &[CallArg<'_>], depth: usize) -> Allowed {
    args.iter().try_for_each(|arg| match arg {
        CallArg::Pos(value) | CallArg::Kwarg(_, value) => nested(value, depth),
        CallArg::PosSplat(value) | CallArg::KwargSplat(value) => refused_at(line(value), "`*`"),
    })
}

fn line(expr: &Expr<'_>) -> usize {
    expr.span().start_line as usize
}

fn refused<T>(node: &Spanned<T>, what: &str) -> Allowed {
    refused_at(node.span().start_line as usize, what)
}

fn refused_at(line: usize, what: &str) -> Allowed {
    Err((line, format!("there isn't {what} in these templates")))
}
