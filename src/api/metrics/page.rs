//! Families of samples, and the three ways Doris writes them: Prometheus's text, JSON, and the few that its frontend asks for.

use std::fmt::Write;

use serde_json::{Map, Value as Json, json};

use crate::engine::HistogramView;

/// Prefix of Doris's names; its JSON leaves it out.
pub(super) const DORIS: &str = "doris_be_";

/// What a family is to Prometheus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// It only grows while the process lives.
    Counter,
    /// It goes up and down.
    Gauge,
    /// It falls into classes.
    Histogram,
}

impl Kind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// The value of a sample.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Whole(u64),
    Real(f64),
    Classes(HistogramView),
}

impl From<u64> for Value {
    fn from(value: u64) -> Self {
        Self::Whole(value)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Whole(value.into())
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Real(value)
    }
}

impl From<HistogramView> for Value {
    fn from(value: HistogramView) -> Self {
        Self::Classes(value)
    }
}

type Labels = Vec<(&'static str, String)>;

/// One name with its samples.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Family {
    name: &'static str,
    kind: Kind,
    help: &'static str,
    samples: Vec<(Labels, Value)>,
}

impl Family {
    pub(super) const fn new(name: &'static str, kind: Kind, help: &'static str) -> Self {
        Self { name, kind, help, samples: Vec::new() }
    }

    pub(super) fn sample(&mut self, labels: &[(&'static str, &str)], value: impl Into<Value>) {
        let labels = labels.iter().map(|(name, text)| (*name, (*text).to_owned())).collect();
        self.samples.push((labels, value.into()));
    }

    /// A family of one sample.
    pub(super) fn one(name: &'static str, kind: Kind, help: &'static str, value: impl Into<Value>) -> Self {
        let mut family = Self::new(name, kind, help);
        family.sample(&[], value);
        family
    }
}

/// Prometheus's text format 0.0.4.
pub(super) fn text(families: &[Family]) -> String {
    let mut page = String::new();
    for Family { name, kind, help, samples } in families {
        let mut line = |text: std::fmt::Arguments<'_>| {
            writeln!(page, "{text}").expect("a String takes everything");
        };
        line(format_args!("# HELP {name} {help}"));
        line(format_args!("# TYPE {name} {}", kind.as_str()));
        for (labels, value) in samples {
            match value {
                Value::Whole(value) => line(format_args!("{name}{} {value}", braced(labels, None))),
                Value::Real(value) => line(format_args!("{name}{} {value}", braced(labels, None))),
                Value::Classes(view) => {
                    let mut below = 0;
                    let bounds = view.bounds.iter().map(ToString::to_string).chain(["+Inf".to_owned()]);
                    for (bound, count) in bounds.zip(&view.counts) {
                        below += count;
                        line(format_args!("{name}_bucket{} {below}", braced(labels, Some(&bound))));
                    }
                    line(format_args!("{name}_sum{} {}", braced(labels, None), view.sum));
                    line(format_args!("{name}_count{} {}", braced(labels, None), view.total()));
                }
            }
        }
    }
    page
}

fn braced(labels: &Labels, bound: Option<&str>) -> String {
    let labels = labels.iter().map(|(name, text)| format!("{name}=\"{}\"", escaped(text)));
    let labels: Vec<_> = labels.chain(bound.map(|bound| format!("le=\"{bound}\""))).collect();
    if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) }
}

/// A label's value as the format wants it.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// `[{"tags":{"metric":"disks_state","path":"/d1"},"unit":"bytes","value":1}]`, without blanks.
pub(super) fn json(families: &[Family]) -> String {
    let mut rows = Vec::new();
    for Family { name, samples, .. } in families {
        for (labels, value) in samples {
            let mut tags = Map::new();
            tags.insert("metric".to_owned(), name.strip_prefix(DORIS).unwrap_or(name).into());
            tags.extend(labels.iter().map(|(label, text)| ((*label).to_owned(), text.as_str().into())));
            rows.push(json!({ "tags": tags, "unit": unit(name), "value": plain(value) }));
        }
    }
    Json::from(rows).to_string()
}

fn plain(value: &Value) -> Json {
    match value {
        Value::Whole(value) => (*value).into(),
        Value::Real(value) => (*value).into(),
        // Doris adds percentiles, which classes cannot tell.
        Value::Classes(view) => json!({ "total_count": view.total(), "total_sum": view.sum }),
    }
}

/// The unit Doris gives its own names; ours say it themselves.
fn unit(name: &str) -> &'static str {
    match name.strip_prefix(DORIS) {
        Some("engine_requests_total") => "requests",
        Some(own) if own.starts_with("disks_") => "bytes",
        Some(_) => "nounit",
        None if name.contains("_bytes") => "bytes",
        None if name.contains("_seconds") => "seconds",
        None => "nounit",
    }
}

/// `<name> LONG <value>`, of those that Doris calls core and that mean something here.
pub(super) fn core(families: &[Family]) -> String {
    const CORE: [&str; 2] = ["process_thread_num", "process_fd_num_used"];
    let mut page = String::new();
    for Family { name, samples, .. } in families {
        if name.strip_prefix(DORIS).is_some_and(|own| CORE.contains(&own)) {
            for (_, value) in samples {
                writeln!(page, "{name} LONG {}", plain(value)).expect("a String takes everything");
            }
        }
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    fn families() -> Vec<Family> {
        let mut state = Family::new("doris_be_disks_state", Kind::Gauge, "Whether it can be used.");
        state.sample(&[("path", "/d\"1")], true);
        let view = HistogramView { bounds: &[0.5, 1.0], counts: vec![2, 0, 1], sum: 9.25 };
        vec![
            state,
            Family::one("doris_be_process_thread_num", Kind::Gauge, "Threads.", 9),
            Family::one("tabletd_x_seconds", Kind::Histogram, "X.", view),
        ]
    }

    #[test]
    fn text_has_help_and_type_and_classes_that_add_up() {
        let expected = "# HELP doris_be_disks_state Whether it can be used.\n\
             # TYPE doris_be_disks_state gauge\n\
             doris_be_disks_state{path=\"/d\\\"1\"} 1\n\
             # HELP doris_be_process_thread_num Threads.\n\
             # TYPE doris_be_process_thread_num gauge\n\
             doris_be_process_thread_num 9\n\
             # HELP tabletd_x_seconds X.\n\
             # TYPE tabletd_x_seconds histogram\n\
             tabletd_x_seconds_bucket{le=\"0.5\"} 2\n\
             tabletd_x_seconds_bucket{le=\"1\"} 2\n\
             tabletd_x_seconds_bucket{le=\"+Inf\"} 3\n\
             tabletd_x_seconds_sum 9.25\n\
             tabletd_x_seconds_count 3\n";
        assert_eq!(text(&families()), expected);
    }

    #[test]
    fn json_and_core_are_as_doris_writes_them() {
        let expected = concat!(
            r#"[{"tags":{"metric":"disks_state","path":"/d\"1"},"unit":"bytes","value":1},"#,
            r#"{"tags":{"metric":"process_thread_num"},"unit":"nounit","value":9},"#,
            r#"{"tags":{"metric":"tabletd_x_seconds"},"unit":"seconds","value":{"total_count":3,"total_sum":9.25}}]"#,
        );
        assert_eq!(json(&families()), expected);
        assert_eq!(core(&families()), "doris_be_process_thread_num LONG 9\n");
    }
}
