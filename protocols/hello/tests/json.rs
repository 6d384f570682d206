//! Compares our JSON reader with serde_json, which knows RFC 8259 well, and feeds it what no JSON is.

use polypeer_hello::json::{Cursor, DEPTH_MAX, Fault, INTEGER_MAX, check};
use proptest::prelude::*;
use serde_json::{Map, Value};

/// Whether it is JSON, as far as depth, repeated keys and the number of entries go unasked.
fn is_json(line: &[u8]) -> bool {
    !matches!(check(line), Err(Fault::NotAnObject))
}

/// What serde_json thinks; nothing when it refuses a number for its size, which is no fault of syntax.
fn oracle(line: &[u8]) -> Option<bool> {
    match serde_json::from_slice::<Value>(line) {
        Ok(value) => Some(value.is_object()),
        Err(error) if error.to_string().contains("number out of range") => None,
        Err(_) => Some(false),
    }
}

fn compare(line: &[u8]) {
    if let Some(expected) = oracle(line) {
        assert_eq!(is_json(line), expected, "{}", String::from_utf8_lossy(line));
    }
}

/// Numbers, and what only looks like one.
#[rustfmt::skip]
const NUMBERS: [&str; 25] = [
    "0", "-0", "1", "-1", "01", "-01", "00", "1.", ".5", "1.5", "1.50e10", "1e5", "1E+5", "1e-5", "1e", "1e+", "+1",
    "-", "--1", "0x10", "1_000", "NaN", "Infinity", "1//", "1 1",
];

/// Strings, and what only looks like one.
#[rustfmt::skip]
const TEXTS: [&str; 32] = [
    "\"\"", "\"a\"", "\"", "\"a", "'a'", "\"\\n\"", "\"\\/\"", "\"\\b\\f\\t\\r\\\\\\\"\"", "\"\\x41\"",
    "\"\\u0041\"", "\"\\u004\"", "\"\\u00zz\"", "\"\\u+041\"", "\"\\ud83d\\ude00\"", "\"\\ud83d\"", "\"\\ude00\"",
    "\"\\ud83d\\u0041\"", "\"\\ud83dx\"", "\"\\ud83d\\ud83d\"", "\"\u{1f600}é\"", "\"\u{1}\"", "\"\t\"",
    "\"\u{7f}\"", "\"\\\"", "{\"a\":1}", "{\"a\":1,}", "{\"a\"}", "{\"a\":}", "{\"a\" : 1 , \"b\" : [ ] }",
    "{\"a\":1 \"b\":2}", "{\"a\"::1}", "\"a\"\"b\"",
];

/// Literals, arrays, objects, and what only looks like them.
#[rustfmt::skip]
const OTHERS: [&str; 30] = [
    "true", "false", "null", "True", "nul", "nulll", "tru", "[]", "[1]", "[1,]", "[,1]", "[1 2]", "[1,2", "[", "]",
    "[}", "{}", "{a:1}", "{1:1}", "{,}", "{]", "\u{feff}1", "\u{a0}1", "/**/1", "[1]]", "{}}", "", " ", "truefalse",
    "\u{b}1",
];

#[test]
fn every_corner_of_the_grammar_is_where_the_oracle_has_it() {
    for value in NUMBERS.iter().chain(&TEXTS).chain(&OTHERS) {
        for line in [
            format!("{{\"k\":{value}}}\n"),
            format!("{{\"k\":[{value},1]}}"),
            format!(" {{ \"k\" : {value} }} \r\n"),
            format!("{value}\n"),
            format!("{{\"k\":1}}{value}"),
            format!("{{\"k\":1,\"j\":{value}}}"),
        ] {
            compare(line.as_bytes());
        }
    }
}

#[test]
fn every_prefix_of_a_line_is_refused_and_every_byte_matters() {
    let line = br#"{"HELLO": {"a": [1, -2.5e+3, "x\u00e9\ud83d\ude00\n", null, true, {"b": []}], "c": false}}"#;
    assert!(is_json(line));
    for cut in 0..line.len() {
        assert!(!is_json(&line[..cut]), "cut at {cut}");
    }
    for at in 0..line.len() {
        for byte in 0..=255 {
            let mut changed = line.to_vec();
            changed[at] = byte;
            compare(&changed);
        }
    }
}

#[test]
fn bytes_that_are_not_utf8_are_refused() {
    for bad in [&b"\xff"[..], b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x82"] {
        let line = [b"{\"k\":\"", bad, b"\"}"].concat();
        assert!(!is_json(&line));
        compare(&line);
    }
    assert!(!is_json(b"\xef\xbb\xbf{\"k\":1}"), "no byte-order mark");
}

fn nested(depth: u32, open: &str, close: &str, inner: &str) -> String {
    let depth = depth as usize;
    format!("{{\"k\":{}{inner}{}}}", open.repeat(depth), close.repeat(depth))
}

#[test]
fn the_message_is_level_1_and_16_are_allowed() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}"), ("[{\"a\":[", "]}]")] {
        let each = open.matches(['[', '{']).count() as u32;
        for levels in 1..=(DEPTH_MAX + 3) / each {
            let depth = 1 + levels * each;
            let line = nested(levels, open, close, "1");
            let fits = depth <= DEPTH_MAX;
            assert_eq!(check(line.as_bytes()).is_ok(), fits, "{depth}");
            // An empty one at the bottom is a level of its own.
            let line = nested(levels, open, close, "[]");
            assert_eq!(check(line.as_bytes()).is_ok(), depth < DEPTH_MAX, "{depth} and one");
            let line = nested(levels, open, close, "{}");
            assert_eq!(check(line.as_bytes()).is_ok(), depth < DEPTH_MAX, "{depth} and one");
        }
    }
    // Side by side is not deep.
    let wide = format!("{{\"k\":[{}]}}", "[[]],".repeat(100_000) + "[]");
    assert!(check(wide.as_bytes()).is_ok());
}

#[test]
fn a_line_of_nothing_but_brackets_is_refused_at_once() {
    let line = [b"{\"ADDR\":".to_vec(), vec![b'['; 8 << 20]].concat();
    let Err(Fault::TooDeep(Some(key))) = check(&line) else { panic!("too deep") };
    assert!(key.says("ADDR"));
    let line = [b"{\"ADDR\":".to_vec(), b"{\"a\":".repeat(1 << 20)].concat();
    assert!(matches!(check(&line), Err(Fault::TooDeep(Some(_)))));
    assert!(matches!(check(&vec![b'['; 1 << 20]), Err(Fault::NotAnObject)));
}

#[test]
fn a_key_twice_is_found_after_unescaping_in_message_and_payload_only() {
    let twice = [
        r#"{"k":{"a":1,"a":2}}"#,
        r#"{"k":{"a":1,"\u0061":2}}"#,
        r#"{"k":{"\u00e9":1,"b":0,"é":2}}"#,
        r#"{"k":{"\ud83d\ude00":1,"😀":2}}"#,
        r#"{"k":{"":1,"":2}}"#,
        r#"{"k":1,"k":2}"#,
        r#"{"k":1,"\u006b":2}"#,
        r#"{"k":{"a":{"a":1},"b":[{"a":1}],"a":1}}"#,
    ];
    for line in twice {
        assert!(matches!(check(line.as_bytes()), Err(Fault::Duplicate(_))), "{line}");
    }
    let once = [
        r#"{"k":{"a":1,"A":2}}"#,
        r#"{"k":{"a":{"b":1,"b":2}}}"#,
        r#"{"k":[{"a":1},{"a":1}]}"#,
        r#"{"k":{"k":1}}"#,
        r#"{"k":{"a":1,"a ":2}}"#,
        r#"{"k":[{"a":1,"a":2}]}"#,
    ];
    for line in once {
        assert!(check(line.as_bytes()).is_ok(), "{line}");
    }
    assert!(matches!(check(br#"{"k":1,"j":2}"#), Err(Fault::Crowded)));
    assert!(matches!(check(br#"{"k":1,"j":2,"k":3}"#), Err(Fault::Duplicate(_))));
    assert!(matches!(check(b"{}"), Err(Fault::Empty)));
}

#[test]
fn a_wide_dictionary_is_read_and_its_repeated_key_found() {
    let keys: Vec<String> = (0..200_000).map(|number| format!("\"k{}\":1", number * 7919 % 200_000)).collect();
    let line = format!("{{\"HEY\":{{{}}}}}", keys.join(","));
    assert!(check(line.as_bytes()).is_ok());
    let line = format!("{{\"HEY\":{{{},\"k77\":2}}}}", keys.join(","));
    assert!(matches!(check(line.as_bytes()), Err(Fault::Duplicate(_))));
}

#[test]
fn a_fault_of_syntax_goes_before_any_other() {
    for line in [r#"{"k":{"a":1,"a":2}"#, r#"{"k":1,"k":2}}"#, r#"{"k":1,"j":2"#, r#"{"k":{"a":1,"a":2}}x"#] {
        assert!(matches!(check(line.as_bytes()), Err(Fault::NotAnObject)), "{line}");
    }
}

fn integer(text: &str) -> Option<u64> {
    let line = format!("{{\"k\":{text}}}");
    Cursor::new(&check(line.as_bytes()).ok()?).integer()
}

#[test]
fn integers_are_plain_digits_up_to_2_to_the_53() {
    assert_eq!(INTEGER_MAX, 9_007_199_254_740_991);
    for (text, number) in [("0", 0), ("7", 7), (" 42 ", 42), ("9007199254740991", INTEGER_MAX)] {
        assert_eq!(integer(text), Some(number), "{text}");
    }
    let none = [
        "9007199254740992",
        "9999999999999999",
        "10000000000000000",
        "18446744073709551616",
        "99999999999999999999999",
        "-0",
        "-1",
        "1.0",
        "1e0",
        "0e0",
        "0.0",
        "1E2",
        "\"1\"",
        "null",
        "true",
        "[1]",
        "{}",
        "01",
        "+1",
    ];
    for text in none {
        assert_eq!(integer(text), None, "{text}");
    }
}

/// Any JSON within the depth that we allow.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_filter("a number", |number| number.is_finite()).prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(8, 64, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
            prop::collection::btree_map(any::<String>(), inner, 0..8)
                .prop_map(|entries| Value::Object(Map::from_iter(entries))),
        ]
    })
}

/// Reads a value with our cursor, by the form that it is known to have.
fn read(cursor: &mut Cursor<'_>, expected: &Value) -> bool {
    match expected {
        Value::Null => cursor.null().is_some(),
        Value::Bool(_) => cursor.skip().is_some(),
        Value::Number(number) => match number.as_u64().filter(|number| *number <= INTEGER_MAX) {
            Some(number) => cursor.integer() == Some(number),
            None => cursor.clone().integer().is_none() && cursor.skip().is_some(),
        },
        Value::String(text) => cursor.text().is_some_and(|read| read.resolved() == *text && read.says(text)),
        Value::Array(items) => {
            cursor.array().is_some()
                && items.iter().all(|item| cursor.has_item() && read(cursor, item))
                && !cursor.has_item()
        }
        Value::Object(entries) => {
            cursor.object().is_some()
                && entries
                    .iter()
                    .all(|(key, value)| cursor.key().is_some_and(|read| read.says(key)) && read(cursor, value))
                && cursor.key().is_none()
        }
    }
}

/// Escapes every character of every string, as another writer might.
fn escaped(line: &str) -> String {
    let mut out = String::new();
    let mut within = false;
    let mut chars = line.chars();
    while let Some(character) = chars.next() {
        match character {
            '"' => within = !within,
            '\\' => {
                out.push(character);
                out.extend(chars.next());
                continue;
            }
            _ if within => {
                let mut units = [0; 2];
                for unit in character.encode_utf16(&mut units) {
                    out.push_str(&format!("\\u{unit:04x}"));
                }
                continue;
            }
            _ => {}
        }
        out.push(character);
    }
    out
}

proptest! {
    #[test]
    fn reads_what_the_oracle_wrote(key in any::<String>(), value in any_json()) {
        let message = Value::Object(Map::from_iter([(key.clone(), value.clone())]));
        let compact = message.to_string();
        for line in [serde_json::to_string_pretty(&message).expect("JSON"), escaped(&compact), compact] {
            let entry = check(line.as_bytes()).map_err(|fault| TestCaseError::fail(format!("{fault:?}: {line}")))?;
            prop_assert!(entry.key.says(&key));
            let mut cursor = Cursor::new(&entry);
            prop_assert!(read(&mut cursor, &value), "{}", line);
            prop_assert!(Cursor::new(&entry).skip().is_some());
        }
    }

    #[test]
    fn agrees_with_the_oracle_on_damaged_lines(
        value in any_json(), damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4)
    ) {
        let mut line = Value::Object(Map::from_iter([("HELLO".to_owned(), value)])).to_string().into_bytes();
        for (at, byte) in damage {
            let at = at.index(line.len());
            match byte % 3 {
                0 => line[at] = byte,
                1 => line.insert(at, b"\"\\{}[]:,0-e.u "[usize::from(byte) % 14]),
                _ => drop(line.remove(at)),
            }
            if line.is_empty() {
                break;
            }
        }
        compare(&line);
    }

    #[test]
    fn agrees_with_the_oracle_on_noise(line in "[\\[\\]{}:,\"\\\\ue0-9.+\\- tfnl]{0,24}") {
        compare(line.as_bytes());
        compare(format!("{{\"k\":{line}}}").as_bytes());
    }
}
