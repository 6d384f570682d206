//! Reads source as the compiler's tokens, so that comments and strings say nothing and macros hide nothing.

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

/// The file's tokens, or what is wrong with it.
pub(crate) fn parse(path: &str, text: &str) -> Result<TokenStream, String> {
    text.parse().map_err(|wrong| format!("{path} is not Rust: {wrong}"))
}

/// Calls `look` with every run of tokens: the file's own, and those of each group in it.
pub(crate) fn each_run(tokens: TokenStream, look: &mut impl FnMut(&[TokenTree])) {
    let run: Vec<TokenTree> = tokens.into_iter().collect();
    look(&run);
    for token in run {
        if let TokenTree::Group(group) = token {
            each_run(group.stream(), look);
        }
    }
}

/// Whether the token is this identifier.
pub(crate) fn is_word(token: Option<&TokenTree>, word: &str) -> bool {
    matches!(token, Some(TokenTree::Ident(ident)) if ident == word)
}

/// Whether the token is this punctuation.
pub(crate) fn is_mark(token: Option<&TokenTree>, mark: char) -> bool {
    matches!(token, Some(TokenTree::Punct(punct)) if punct.as_char() == mark)
}

/// The group with this delimiter that the token is.
pub(crate) fn group(token: Option<&TokenTree>, delimiter: Delimiter) -> Option<&Group> {
    match token {
        Some(TokenTree::Group(group)) if group.delimiter() == delimiter => Some(group),
        _ => None,
    }
}

/// Name and number of lines, from `fn` to the closing brace, of every function, those in macros too.
pub(crate) fn functions(tokens: TokenStream) -> Vec<(String, usize)> {
    let mut found = Vec::new();
    each_run(tokens, &mut |run| {
        for (at, token) in run.iter().enumerate() {
            let (true, Some(TokenTree::Ident(name))) = (is_word(Some(token), "fn"), run.get(at + 1)) else { continue };
            let lines = body(&run[at..])
                .map_or(1, |body| body.span_close().end().line.saturating_sub(token.span().start().line) + 1);
            found.push((name.to_string(), lines));
        }
    });
    found
}

// The first braces before a semicolon or the next function. A constant's braces within `<>` are no body.
fn body(run: &[TokenTree]) -> Option<&Group> {
    for (at, token) in run.iter().enumerate() {
        if is_mark(Some(token), ';') {
            return None;
        }
        if let Some(body) = group(Some(token), Delimiter::Brace)
            && !is_mark(run.get(at + 1), '>')
        {
            return Some(body);
        }
    }
    None
}

/// Names of what the file defines, in macros too: functions, types, traits, constants, modules.
pub(crate) fn items(tokens: TokenStream) -> Vec<String> {
    const KEYWORDS: [&str; 8] = ["const", "enum", "fn", "mod", "static", "struct", "trait", "type"];
    let mut found = Vec::new();
    each_run(tokens, &mut |run| {
        for pair in run.windows(2) {
            if let [TokenTree::Ident(keyword), TokenTree::Ident(name)] = pair
                && KEYWORDS.iter().any(|known| keyword == known)
            {
                found.push(name.to_string());
            }
        }
    });
    found
}

/// The same, and the fields of structs and the variants of enums with their fields.
pub(crate) fn items_and_members(tokens: TokenStream) -> Vec<String> {
    let mut found = items(tokens.clone());
    each_run(tokens, &mut |run| {
        for (at, token) in run.iter().enumerate() {
            if is_word(Some(token), "struct") || is_word(Some(token), "enum") {
                body(&run[at..]).into_iter().for_each(|body| members(body, &mut found));
            }
        }
    });
    found
}

// What stands first behind the brace and behind each comma, but for attributes and visibilities.
fn members(body: &Group, found: &mut Vec<String>) {
    let mut is_first = true;
    for token in body.stream() {
        match token {
            TokenTree::Ident(name) if is_first && name != "pub" => {
                found.push(name.to_string());
                is_first = false;
            }
            TokenTree::Punct(mark) if mark.as_char() == ',' => is_first = true,
            TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => members(&group, found),
            _ => {}
        }
    }
}
