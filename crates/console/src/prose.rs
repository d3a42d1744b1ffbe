//! The little Markdown that kinds of destinations are described in: lists, paragraphs, code, emphasis, links.
//!
//! Nothing of it is markup by itself: a template writes each piece as what it is, escaped.

/// A paragraph, or the items of a numbered list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Block {
    Paragraph(Vec<Piece>),
    List(Vec<Vec<Piece>>),
}

/// A piece of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Piece {
    Text(String),
    Code(String),
    Strong(String),
    Link(String),
}

/// Reads a whole text.
pub(crate) fn blocks(text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        match (numbered(line), blocks.last_mut()) {
            (Some(item), Some(Block::List(items))) => items.push(pieces(item)),
            (Some(item), _) => blocks.push(Block::List(vec![pieces(item)])),
            (None, _) => blocks.push(Block::Paragraph(pieces(line))),
        }
    }
    blocks
}

/// What follows `1. `.
fn numbered(line: &str) -> Option<&str> {
    let (number, item) = line.split_once(". ")?;
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then_some(item)
}

/// Reads a line.
pub(crate) fn pieces(line: &str) -> Vec<Piece> {
    const MARKS: [(char, char); 3] = [('`', '`'), ('*', '*'), ('<', '>')];
    let mut pieces = Vec::new();
    let (mut text, mut rest) = (String::new(), line);
    while let Some(first) = rest.chars().next() {
        let after = &rest[first.len_utf8()..];
        let marked = MARKS.iter().find(|(open, _)| *open == first);
        let inner = marked.and_then(|(_, close)| after.split_once(*close));
        let piece = inner.and_then(|(inner, _)| piece(first, inner));
        if let (Some(piece), Some((_, left))) = (piece, inner) {
            if !text.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut text)));
            }
            pieces.push(piece);
            rest = left;
        } else {
            text.push(first);
            rest = after;
        }
    }
    if !text.is_empty() {
        pieces.push(Piece::Text(text));
    }
    pieces
}

fn piece(mark: char, inner: &str) -> Option<Piece> {
    let inner = Some(inner).filter(|inner| !inner.is_empty())?.to_owned();
    match mark {
        '`' => Some(Piece::Code(inner)),
        '*' => Some(Piece::Strong(inner)),
        _ if inner.starts_with("https://") && !inner.contains(' ') => Some(Piece::Link(inner)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guide_is_read_as_it_is_meant() {
        let text = |text: &str| Piece::Text(text.to_owned());
        let guide =
            "1. Open <https://api.slack.com/apps> and choose *Create New App*.\n2. That is `url`.\n\nNo <script> & *.";
        assert_eq!(
            blocks(guide),
            [
                Block::List(vec![
                    vec![
                        text("Open "),
                        Piece::Link("https://api.slack.com/apps".to_owned()),
                        text(" and choose "),
                        Piece::Strong("Create New App".to_owned()),
                        text("."),
                    ],
                    vec![text("That is "), Piece::Code("url".to_owned()), text(".")],
                ]),
                Block::Paragraph(vec![text("No <script> & *.")]),
            ]
        );
    }
}
