//! What came of all runs, as four curves in one picture.

use std::fmt::Write;

use crate::{
    Result,
    table::{Row, Run},
};

const WIDE: f64 = 420.0;
const HIGH: f64 = 260.0;
const COLOURS: [&str; 8] = [
    "#2563eb", "#dc2626", "#16a34a", "#9333ea", "#ea580c", "#0891b2", "#be185d", "#4d7c0f",
];

/// A line of points, and what it is.
type Line = (String, Vec<(f64, f64)>);

pub(crate) fn draw(rows: &[Row], results: &[Result]) -> String {
    let delay = |row: &Row, result: &Result| -> Vec<Line> {
        let of = result.runs.iter().find(|run| run.0 == Run::Delay);
        let points = of.map(|(_, outcome)| {
            let hops = outcome
                .by_hops
                .iter()
                .filter(|hops| hops.0 > 0 && hops.1 > 0.0005);
            hops.map(|(hops, _, half, _)| (*hops as f64, *half as f64 / 1e6))
                .collect()
        });
        points
            .map(|points| (row.name.clone(), points))
            .into_iter()
            .collect()
    };
    let latency = |row: &Row, result: &Result| -> Vec<Line> {
        let of = result.runs.iter();
        let points = of.filter_map(|(run, outcome)| match run {
            Run::Latency(seconds) => Some((*seconds, outcome.copies())),
            Run::Delay => None,
        });
        let points: Vec<_> = points.collect();
        (points.len() > 1)
            .then(|| (row.name.clone(), points))
            .into_iter()
            .collect()
    };
    let last = |result: &Result| result.runs.last().map(|(_, outcome)| outcome.clone());
    let offload = |row: &Row, result: &Result| -> Vec<Line> {
        let viewers = row.scenario(&Run::Delay).viewers as f64;
        let outcome = last(result).into_iter();
        outcome
            .map(|outcome| {
                let seconds = outcome.each_second.iter().enumerate();
                let points = seconds.map(|(at, copies)| (at as f64, 1.0 - copies / viewers));
                (row.name.clone(), points.collect())
            })
            .collect()
    };
    let fairness = |row: &Row, result: &Result| -> Vec<Line> {
        let outcome = last(result).into_iter();
        outcome
            .map(|outcome| {
                let all = outcome.fairness.len().max(2) as f64 - 1.0;
                let step = (outcome.fairness.len() / 100).max(1);
                let each = outcome.fairness.iter().enumerate().step_by(step);
                let points = each.map(|(at, ratio)| (at as f64 / all, *ratio));
                (row.name.clone(), points.collect())
            })
            .collect()
    };
    let all = |of: &dyn Fn(&Row, &Result) -> Vec<Line>| -> Vec<Line> {
        let each = rows.iter().zip(results);
        each.flat_map(|(row, result)| of(row, result)).collect()
    };
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0}\" height=\"{1}\" viewBox=\"0 0 {0} {1}\" font-family=\"sans-serif\" font-size=\"11\"><rect width=\"100%\" height=\"100%\" fill=\"white\"/>",
        2.0 * WIDE,
        2.0 * HIGH
    );
    let panels = [
        ("median part delay (s) over hops", all(&delay)),
        ("copies from the gateway over latency (s)", all(&latency)),
        ("offload over seconds", all(&offload)),
        ("uploaded / downloaded, viewers in order", all(&fairness)),
    ];
    for (at, (title, lines)) in panels.iter().enumerate() {
        let (x, y) = ((at % 2) as f64 * WIDE, (at / 2) as f64 * HIGH);
        panel(&mut svg, x, y, title, lines);
    }
    svg + "</svg>\n"
}

fn panel(svg: &mut String, x: f64, y: f64, title: &str, lines: &[Line]) {
    let points = || lines.iter().flat_map(|line| &line.1);
    let of = |pick: fn(&(f64, f64)) -> f64| {
        let least = points().map(pick).fold(f64::INFINITY, f64::min);
        let most = points().map(pick).fold(f64::NEG_INFINITY, f64::max);
        if least.is_finite() && most > least {
            (least, most)
        } else {
            (0.0, 1.0) // one point or none: there is nothing to draw
        }
    };
    let (across, up) = (of(|point| point.0), of(|point| point.1));
    let (left, right, top, bottom) = (x + 48.0, x + WIDE - 110.0, y + 28.0, y + HIGH - 28.0);
    let to = |point: &(f64, f64)| {
        (
            left + (point.0 - across.0) / (across.1 - across.0) * (right - left),
            bottom - (point.1 - up.0) / (up.1 - up.0) * (bottom - top),
        )
    };
    let _ = write!(
        svg,
        "<text x=\"{left}\" y=\"{}\" font-weight=\"bold\">{title}</text><path d=\"M{left} {top}V{bottom}H{right}\" fill=\"none\" stroke=\"#888\"/>",
        y + 18.0
    );
    for quarter in 0..=4 {
        let share = f64::from(quarter) / 4.0;
        let (h, v) = (
            across.0 + share * (across.1 - across.0),
            up.0 + share * (up.1 - up.0),
        );
        let (px, py) = to(&(h, v));
        let _ = write!(
            svg,
            "<text x=\"{px:.0}\" y=\"{:.0}\" text-anchor=\"middle\">{}</text><text x=\"{:.0}\" y=\"{:.0}\" text-anchor=\"end\">{}</text>",
            bottom + 14.0,
            short(h, (across.1 - across.0) / 4.0),
            left - 4.0,
            py + 4.0,
            short(v, (up.1 - up.0) / 4.0)
        );
    }
    for (at, (name, points)) in lines.iter().enumerate() {
        let colour = COLOURS[at % COLOURS.len()];
        let path: Vec<String> = points
            .iter()
            .map(|point| {
                let (px, py) = to(point);
                format!("{px:.1},{py:.1}")
            })
            .collect();
        let _ = write!(
            svg,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.5\"/><text x=\"{:.0}\" y=\"{:.0}\" fill=\"{colour}\">{name}</text>",
            path.join(" "),
            right + 6.0,
            top + 12.0 + 14.0 * at as f64
        );
    }
}

/// A number of an axis, with as many digits as tell it from the next one, a `step` farther.
fn short(number: f64, step: f64) -> String {
    if number.fract() == 0.0 {
        return format!("{number:.0}");
    }
    let digits = (1.0 - step.log10().floor()).clamp(0.0, 4.0);
    format!("{number:.*}", digits as usize)
}
