//! The plot: for each workload, a bar per contestant; solid until flushed, light until verified. Plain SVG.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::report::Runs;

const LABEL_WIDTH: f64 = 200.0;
const BAR_WIDTH: f64 = 420.0;
const ROW_HEIGHT: f64 = 18.0;

/// Draws all workloads, one below the other, the fastest first.
pub(crate) fn draw<'a>(title: &str, rows: impl Iterator<Item = (&'a str, &'a str, &'a Runs)>) -> String {
    let mut workloads: BTreeMap<&str, Vec<(&str, f64, f64)>> = BTreeMap::new();
    for (letter, name, runs) in rows {
        let Some(wall) = runs.wall() else { continue };
        let verified = runs.verified().map_or(wall.median, |spread| spread.median);
        workloads.entry(letter).or_default().push((name, wall.median, verified));
    }
    let mut body = String::new();
    let mut y = 24.0;
    let _ = writeln!(
        body,
        r#"<text x="8" y="16" font-weight="bold">{title}: seconds until flushed (solid) and verified (light)</text>"#
    );
    for (letter, mut bars) in workloads {
        bars.sort_by(|a, b| a.2.total_cmp(&b.2));
        let longest = bars.iter().map(|bar| bar.2).fold(f64::MIN_POSITIVE, f64::max);
        y += ROW_HEIGHT;
        let _ = writeln!(body, r#"<text x="8" y="{y}" font-weight="bold">{letter}</text>"#);
        for (name, flushed, verified) in bars {
            y += ROW_HEIGHT;
            let colour = match name {
                "tabletd" => "#0a7d4f",
                "limit" => "#888888",
                _ => "#3565a8",
            };
            let (top, width) = (y - 12.0, |seconds: f64| BAR_WIDTH * seconds / longest);
            let (light, solid) = (width(verified), width(flushed));
            let number = LABEL_WIDTH + light + 6.0;
            let _ = writeln!(
                body,
                r#"<text x="{end}" y="{y}" text-anchor="end">{name}</text>
<rect x="{LABEL_WIDTH}" y="{top}" width="{light:.1}" height="14" fill="{colour}" fill-opacity="0.35"/>
<rect x="{LABEL_WIDTH}" y="{top}" width="{solid:.1}" height="14" fill="{colour}"/>
<text x="{number:.1}" y="{y}">{flushed:.2} / {verified:.2}</text>"#,
                end = LABEL_WIDTH - 6.0,
            );
        }
        y += ROW_HEIGHT / 2.0;
    }
    let (width, height) = (LABEL_WIDTH + BAR_WIDTH + 110.0, y + 16.0);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n{body}</svg>\n"
    )
}
