//! The style sheet, the script and the icon. They are part of the program; their addresses carry their sums, so that a
//! browser keeps them until a new release has others.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

struct Asset {
    name: &'static str,
    kind: &'static str,
    text: &'static str,
}

const ASSETS: [Asset; 3] = [
    Asset { name: "page.css", kind: "text/css; charset=utf-8", text: include_str!("assets/page.css") },
    Asset { name: "page.js", kind: "text/javascript; charset=utf-8", text: include_str!("assets/page.js") },
    Asset { name: "icon.svg", kind: "image/svg+xml", text: include_str!("assets/icon.svg") },
];

static SUM: LazyLock<u32> = LazyLock::new(|| {
    let mut sum = crc32fast::Hasher::new();
    ASSETS.iter().for_each(|asset| sum.update(asset.text.as_bytes()));
    sum.finalize()
});

/// The address of one.
pub(super) fn at(name: &str) -> String {
    format!("/ui/static/{name}?{:08x}", *SUM)
}

/// `GET /ui/static/{name}`.
pub(super) async fn show(Path(name): Path<String>) -> Response {
    match ASSETS.iter().find(|asset| asset.name == name) {
        Some(asset) => {
            let headers =
                [(header::CONTENT_TYPE, asset.kind), (header::CACHE_CONTROL, "max-age=31536000, immutable")];
            (headers, asset.text).into_response()
        }
        None => (StatusCode::NOT_FOUND, "Not Found").into_response(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// Relative luminance of `#rrggbb` (WCAG 2.2).
    fn luminance(colour: &str) -> f64 {
        let part = |at: usize| {
            let value = f64::from(u8::from_str_radix(&colour[at..at + 2], 16).unwrap()) / 255.0;
            if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        };
        0.0722f64.mul_add(part(5), 0.2126f64.mul_add(part(1), 0.7152 * part(3)))
    }

    fn contrast(one: &str, other: &str) -> f64 {
        let (one, other) = (luminance(one), luminance(other));
        (one.max(other) + 0.05) / (one.min(other) + 0.05)
    }

    #[test]
    fn text_and_bars_stand_out_from_their_ground_by_day_and_by_night() {
        let sets: Vec<BTreeMap<&str, &str>> = ASSETS[0]
            .text
            .split(":root {")
            .skip(1)
            .map(|block| {
                let block = block.split('}').next().unwrap_or_default();
                block.split(';').filter_map(|line| line.trim().strip_prefix("--")?.split_once(": ")).collect()
            })
            .collect();
        assert_eq!(sets.len(), 2, "light and dark");
        for set in &sets {
            let texts = ["text", "quiet", "link", "good", "wary", "bad", "busy"];
            let texts = texts.iter().flat_map(|text| [(*text, "ground", 4.5), (*text, "raised", 4.5)]);
            let bars =
                ["tablets", "trash", "staging", "others", "reserved"].map(|part| (part, "ground", 3.0));
            let rest = [("button-text", "button", 4.5), ("focus", "ground", 3.0)];
            for (front, back, least) in texts.chain(bars).chain(rest) {
                let found = contrast(set[front], set[back]);
                assert!(found >= least, "{front} on {back}: {found:.2}, at least {least}");
            }
        }
    }
}
