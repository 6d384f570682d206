//! Draws a run's rounds as SVG, by hand: a strip for each side, a dot for each round.

use crate::session::{Row, Session};
use std::fmt::Write;

const WIDTH: f64 = 760.0;
const LEFT: f64 = 170.0;
const STRIP: f64 = 26.0;
const TOP: f64 = 44.0;

/// A plot of every case and placement, by file name.
pub(crate) fn all(session: &Session) -> Vec<(String, String)> {
    let mut cases: Vec<(&str, &'static str)> = Vec::new();
    for row in &session.rows {
        let case = (row.case.as_str(), row.placement.name());
        if !cases.contains(&case) {
            cases.push(case);
        }
    }
    cases
        .into_iter()
        .map(|(case, placement)| {
            let rows: Vec<&Row> =
                session.rows.iter().filter(|row| row.case == case && row.placement.name() == placement).collect();
            let file: String =
                case.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '-' }).collect();
            (format!("{file}-{placement}.svg"), strips(&format!("{case}, {placement}: messages/s"), &rows))
        })
        .collect()
}

fn strips(title: &str, rows: &[&Row]) -> String {
    let mut sides: Vec<&str> = Vec::new();
    for row in rows {
        if !sides.contains(&row.side.as_str()) {
            sides.push(&row.side);
        }
    }
    let most = rows.iter().map(|row| row.sample.rate).fold(1.0, f64::max);
    let (scale, height) = ((WIDTH - LEFT - 20.0) / most, TOP + STRIP * sides.len() as f64 + 30.0);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"10\" y=\"22\" font-size=\"14\">{}</text>\n",
        escaped(title)
    );
    for (index, side) in sides.iter().enumerate() {
        let y = TOP + STRIP * (index as f64 + 0.5);
        let _ =
            writeln!(svg, "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>", LEFT - 10.0, y + 4.0, escaped(side));
        let _ = writeln!(svg, "<line x1=\"{LEFT}\" y1=\"{y}\" x2=\"{}\" y2=\"{y}\" stroke=\"#ddd\"/>", WIDTH - 20.0);
        for row in rows.iter().filter(|row| row.side == *side) {
            let x = LEFT + row.sample.rate * scale;
            let fill = if row.sample.is_sound() { "#2563eb" } else { "#dc2626" };
            let _ = writeln!(svg, "<circle cx=\"{x:.1}\" cy=\"{y}\" r=\"4\" fill=\"{fill}\" fill-opacity=\"0.6\"/>");
        }
    }
    for step in 0..=4 {
        let value = most * f64::from(step) / 4.0;
        let (x, label) = (LEFT + value * scale, crate::report::short(value));
        let _ = writeln!(
            svg,
            "<text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\" fill=\"#555\">{label}</text>",
            height - 8.0
        );
    }
    svg + "</svg>\n"
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::place::Placement;
    use crate::session::Sample;

    #[test]
    fn every_round_is_a_dot() {
        let row = |side: &str, rate| Row {
            case: "h2 a<b".into(),
            placement: Placement::Apart,
            round: 0,
            side: side.into(),
            sample: Sample { rate, ..Sample::default() },
            load_average: 0.0,
            steal_ticks: 0,
        };
        let (one, two) = (row("ours", 10.0), row("theirs", 5.0));
        let svg = strips("h2 a<b", &[&one, &two, &one]);
        assert_eq!(svg.matches("<circle").count(), 3);
        assert!(svg.contains("a&lt;b") && svg.ends_with("</svg>\n"));
    }
}
