//! Lays out columns for people.

/// Rows under their heads, each column as wide as it must be.
pub(crate) fn table(heads: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.chain([heads[column].chars().count()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..heads.len()).map(width).collect();
    let line = |cells: Vec<&str>| {
        let padded = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let head = line(heads.to_vec());
    let body = rows.iter().map(|row| line(row.iter().map(String::as_str).collect()));
    [head].into_iter().chain(body).collect::<Vec<_>>().join("\n")
}

/// A time in milliseconds since 1970 as people read it.
pub(crate) fn when(unix_ms: u64) -> String {
    // Beyond the year 9999 the format has no words.
    const LAST_MS: u64 = 253_402_300_799_000;
    let time = std::time::UNIX_EPOCH + std::time::Duration::from_millis(unix_ms.min(LAST_MS));
    humantime::format_rfc3339_seconds(time).to_string()
}

/// A text that others chose, without what could steer a terminal.
pub(crate) fn plain(text: &str) -> String {
    text.chars().map(|char| if char.is_control() { '?' } else { char }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let rows = vec![vec!["1".to_owned(), "long".to_owned()], vec!["200".to_owned(), "x".to_owned()]];
        assert_eq!(table(&["a", "b"], &rows), "a    b\n1    long\n200  x");
    }

    #[test]
    fn times_and_foreign_texts_are_printable() {
        assert_eq!(when(1_767_225_600_000), "2026-01-01T00:00:00Z");
        assert!(when(u64::MAX).starts_with("9999"));
        assert_eq!(plain("a\x1b[2Jb"), "a?[2Jb");
    }
}
