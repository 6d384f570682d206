//! Writes raw rows as CSV and a report in Markdown.

use crate::contest::mean_of;
use crate::place;
use crate::session::{Duel, Figure, Row, Sample, Session};
use crate::statistics::median;
use std::fmt::Write;

/// All rounds, a line each.
pub(crate) fn rows(rows: &[Row]) -> String {
    let mut text = "case,placement,round,side,messages_per_s,payload_bytes_per_s,cpu_ns_per_message,\
                    load_cpu_ns_per_message,lost,corrupt,repeated,load_average,steal_ticks\n"
        .to_owned();
    for row in rows {
        let one = &row.sample;
        let _ = writeln!(
            text,
            "{},{},{},{},{:.1},{:.1},{:.2},{:.2},{},{},{},{},{}",
            row.case,
            row.placement.name(),
            row.round,
            row.side,
            one.rate,
            one.bytes_rate,
            one.cpu_ns,
            one.load_cpu_ns,
            one.lost,
            one.corrupt,
            one.repeated,
            row.load_average,
            row.steal_ticks
        );
    }
    text
}

/// All figures without a peer, a line for each value.
pub(crate) fn figures(figures: &[Figure]) -> String {
    let mut text = "case,figure,unit,round,value\n".to_owned();
    for figure in figures {
        for (round, value) in figure.values.iter().enumerate() {
            let _ = writeln!(text, "{},{},{},{round},{value}", figure.case, figure.name, figure.unit);
        }
    }
    text
}

/// The report.
pub(crate) fn markdown(session: &Session) -> String {
    let mut text = "# Benchmarks\n\n".to_owned();
    if !session.options.is_fair() {
        text += "**A short run: it shows that the harness works and proves nothing.**\n\n";
    }
    for (name, value) in &session.environment.lines {
        let _ = writeln!(text, "- {name}: {value}");
    }
    let stolen = place::weather().map_or(0, |now| now.steal_ticks - session.environment.weather.steal_ticks);
    let _ = writeln!(text, "- stolen during the run: {} ms\n", stolen * 10);
    if !session.duels.is_empty() {
        text += "## Beside peers\n\nRatios above 1 are in our favour, with their 95 % intervals. `together` has device \
                 and load on one CPU, `apart` on two. Where a device was busy for less than 90 % of its CPU the load was \
                 the bound, and its rate says little.\n\n";
        duels(&session.duels, &mut text);
        text += "\n## Means\n\n| case | placement | side | messages/s | payload MB/s | CPU ns/message | CPU busy |\n\
                 |---|---|---|---:|---:|---:|---:|\n";
        means(&session.rows, &mut text);
    }
    if !session.figures.is_empty() {
        text += "\n## Figures\n\nMedians.\n\n| case | figure | value | least | most | bound |\n|---|---|---:|---:|---:|---:|\n";
        session.figures.iter().for_each(|figure| figure_line(figure, &mut text));
    }
    if !session.remarks.is_empty() {
        text += "\n## Remarks\n\n";
        session.remarks.iter().for_each(|remark| text += &format!("- {remark}\n"));
    }
    for (name, _) in crate::plot::all(session) {
        let _ = write!(text, "\n![{name}]({name})\n");
    }
    text
}

fn duels(duels: &[Duel], text: &mut String) {
    text.push_str(
        "| case | placement | ours | beside | rate | CPU a message | floor | |\n|---|---|---|---|---|---|---:|---|\n",
    );
    for duel in duels {
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} | {} | {} |",
            duel.case,
            duel.placement.name(),
            duel.ours,
            duel.theirs,
            duel.rate,
            duel.cpu,
            duel.floor.map_or(String::new(), |floor| format!("{floor}")),
            verdict(duel)
        );
    }
}

fn verdict(duel: &Duel) -> &'static str {
    match (duel.floor, duel.theirs == "ours again") {
        (_, true) if duel.rate.is_quiet() => "quiet",
        (_, true) => "noisy",
        (Some(floor), _) if duel.is_of_rate && duel.rate.mean < floor => "below the floor",
        (Some(floor), _) if duel.cpu.mean < floor && !duel.is_of_rate => "below the floor",
        (Some(floor), _) if duel.rate.mean < floor && !duel.is_load_bound => "below the floor",
        (Some(floor), _) if duel.rate.mean < floor => "CPU holds; the load is the bound",
        _ if !duel.is_quiet => "noisy",
        (Some(_), _) => "holds",
        (None, _) => "",
    }
}

fn means(rows: &[Row], text: &mut String) {
    let mut seen: Vec<(&str, &str, &str)> = Vec::new();
    for row in rows {
        let key = (row.case.as_str(), row.placement.name(), row.side.as_str());
        if seen.contains(&key) {
            continue;
        }
        seen.push(key);
        let same: Vec<Row> = rows
            .iter()
            .filter(|row| (row.case.as_str(), row.placement.name(), row.side.as_str()) == key)
            .cloned()
            .collect();
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} | {:.0} % |",
            key.0,
            key.1,
            key.2,
            short(mean_of(&same, |one| one.rate)),
            short(mean_of(&same, |one| one.bytes_rate / 1e6)),
            short(mean_of(&same, |one| one.cpu_ns)),
            mean_of(&same, Sample::busy) * 100.0
        );
    }
}

fn figure_line(figure: &Figure, text: &mut String) {
    let least = figure.values.iter().copied().fold(f64::INFINITY, f64::min);
    let most = figure.values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let _ = writeln!(
        text,
        "| {} | {} | {} {} | {} | {} | {} |",
        figure.case,
        figure.name,
        short(median(&figure.values)),
        figure.unit,
        short(least),
        short(most),
        figure.floor.map_or(String::new(), short)
    );
}

/// A figure with three digits that mean something.
pub(crate) fn short(figure: f64) -> String {
    match figure.abs() {
        large if large >= 100.0 => {
            let digits = format!("{figure:.0}");
            let (sign, digits) = digits.strip_prefix('-').map_or(("", digits.as_str()), |rest| ("-", rest));
            let groups: Vec<&str> =
                digits.as_bytes().rchunks(3).rev().filter_map(|g| std::str::from_utf8(g).ok()).collect();
            format!("{sign}{}", groups.join(","))
        }
        middle if middle >= 10.0 => format!("{figure:.1}"),
        _ => format!("{figure:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::short;

    #[test]
    fn figures_are_short() {
        assert_eq!(short(4_912_345.6), "4,912,346");
        assert_eq!(short(1234.0), "1,234");
        assert_eq!(short(100.0), "100");
        assert_eq!(short(12.34), "12.3");
        assert_eq!(short(-0.5), "-0.50");
    }
}
