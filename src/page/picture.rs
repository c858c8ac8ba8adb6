//! Numbers as people read them, and as bars. A bar is an SVG of rectangles: no style stands in the HTML, and what it shows
//! stands beside it in words for who does not see it.

use maud::{Markup, html};

pub(super) use crate::model::human_bytes as bytes;
use crate::model::human_bytes;

/// `12.0 MiB/s`.
pub(super) fn rate(bytes_per_sec: u64) -> String {
    format!("{}/s", human_bytes(bytes_per_sec))
}

/// `3,085,510`.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `2 h 3 min`, of two units at most.
pub(super) fn seconds(count: u64) -> String {
    let parts =
        [(count / 86_400, "d"), (count / 3600 % 24, "h"), (count / 60 % 60, "min"), (count % 60, "s")];
    let first = parts.iter().position(|(value, _)| *value > 0).unwrap_or(3);
    let said = parts[first..].iter().take(2).filter(|(value, _)| *value > 0 || count == 0);
    let said: Vec<_> = said.map(|(value, unit)| format!("{value} {unit}")).collect();
    said.join(" ")
}

/// A part of a whole, in thousandths of it.
pub(super) fn permille(part: u64, whole: u64) -> u64 {
    if whole == 0 {
        return 0;
    }
    let share = u128::from(part.min(whole)) * 1000 / u128::from(whole);
    u64::try_from(share).unwrap_or(1000)
}

/// `12.5%`.
pub(super) fn percent(part: u64, whole: u64) -> String {
    let permille = permille(part, whole);
    format!("{}.{}%", permille / 10, permille % 10)
}

/// One colour of a bar: the class that gives it, what it is, and how much.
pub(super) struct Part {
    pub(super) class: &'static str,
    pub(super) name: &'static str,
    pub(super) bytes: u64,
}

/// A bar of a whole, its parts from the left, with a mark at so many thousandths.
pub(super) fn bar(label: &str, parts: &[Part], whole: u64, mark_permille: Option<u64>) -> Markup {
    let said: Vec<_> = parts.iter().map(|part| format!("{} {}", part.name, bytes(part.bytes))).collect();
    let mut from = 0;
    let placed: Vec<_> = parts
        .iter()
        .map(|part| {
            let wide = permille(part.bytes, whole).min(1000 - from);
            // What is there is seen, however little it is.
            let wide = if part.bytes > 0 && wide < 3 { 3.min(1000 - from) } else { wide };
            let at = from;
            from += wide;
            (part, at, wide)
        })
        .collect();
    html! {
        svg.bar role="img" aria-label=(format!("{label}: {}", said.join(", "))) viewBox="0 0 1000 24" preserveAspectRatio="none" {
            rect.free x="0" y="0" width="1000" height="24" {}
            @for (part, at, wide) in placed {
                @if wide > 0 {
                    rect class=(part.class) x=(at) y="0" width=(wide) height="24" { title { (part.name) " " (bytes(part.bytes)) } }
                }
            }
            @if let Some(mark) = mark_permille {
                line.mark x1=(mark) x2=(mark) y1="0" y2="24" {}
            }
        }
    }
}

/// What the colours mean.
pub(super) fn legend(parts: &[Part]) -> Markup {
    html! {
        ul.legend {
            @for part in parts {
                @if part.bytes > 0 {
                    li { svg.swatch aria-hidden="true" viewBox="0 0 10 10" { rect class=(part.class) width="10" height="10" {} } " " (part.name) " " (bytes(part.bytes)) }
                }
            }
        }
    }
}

/// How far something has come.
pub(super) fn progress(label: &str, part: u64, whole: u64) -> Markup {
    html! {
        span.progress {
            progress aria-label=(label) max="1000" value=(permille(part, whole)) {}
            " " (percent(part, whole))
        }
    }
}

/// A word with the colour of what it means.
pub(super) fn badge(word: &str) -> Markup {
    let class = match word {
        "online" | "completed" | "finished" | "passed" | "done" => "good",
        "broken" | "hung" | "failed" | "damaged" | "unreadable" | "expired" => "bad",
        "suspect" | "read-only" | "paused" | "aborted" | "aborting" | "cancelled" | "disabled"
        | "stopped" => "wary",
        _ => "busy",
    };
    html! { span class=(format!("badge {class}")) { (word.replace('_', " ")) } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_people_read_them() {
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (3_085_510, "3,085,510")] {
            assert_eq!(count(number), text);
        }
        for (count, text) in
            [(0, "0 s"), (59, "59 s"), (60, "1 min"), (3723, "1 h 2 min"), (3600, "1 h"), (90_061, "1 d 1 h")]
        {
            assert_eq!(seconds(count), text);
        }
        assert_eq!(
            (percent(1, 8), percent(9, 8), percent(1, 0)),
            ("12.5%".into(), "100.0%".into(), "0.0%".into())
        );
    }

    #[test]
    fn a_bar_never_goes_beyond_its_end_and_little_is_still_seen() {
        let parts = [
            Part { class: "tablets", name: "tablets", bytes: 1 },
            Part { class: "trash", name: "trash", bytes: u64::MAX },
            Part { class: "others", name: "others", bytes: 5 },
        ];
        let text = bar("d", &parts, 1 << 40, Some(900)).into_string();
        assert!(
            text.contains(r#"x="0" y="0" width="3""#) && text.contains(r#"x="3" y="0" width="997""#),
            "{text}"
        );
        assert!(!text.contains("others\" x"), "{text}");
    }
}
