//! Bandwidth limits of single disks: `/mnt/a:50M;/mnt/b:0`.

use std::collections::BTreeMap;

use super::value::{Refusal, Value};
use crate::model::parse_bytes;

/// Bytes per second by path of a disk as `storage_root_path` writes it; 0 is no limit. A disk that is not in it goes by
/// the limit of all disks.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DiskRates(BTreeMap<String, u64>);

impl DiskRates {
    /// What is said of a disk, if anything is.
    pub fn get(&self, path: &str) -> Option<u64> {
        self.0.get(path).copied()
    }

    /// Says it; `None` takes back what was said.
    pub fn set(&mut self, path: &str, rate_bytes_per_sec: Option<u64>) {
        match rate_bytes_per_sec {
            Some(rate) => self.0.insert(path.to_owned(), rate),
            None => self.0.remove(path),
        };
    }

    /// The disks something is said of.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

impl Value for DiskRates {
    const TYPE_NAME: &'static str = "std::string";

    /// Entries as in `storage_root_path`: separated by `;`, which no path can have in it there.
    fn parse(text: &str) -> Result<Self, Refusal> {
        let mut rates = BTreeMap::new();
        for entry in text.split(';').map(str::trim).filter(|entry| !entry.is_empty()) {
            let (path, rate) = entry.rsplit_once(':').ok_or(Refusal::Validate)?;
            let within = |rate: &u64| i64::try_from(*rate).is_ok();
            let rate = parse_bytes(rate.trim()).filter(within).ok_or(Refusal::Validate)?;
            let path = path.trim();
            if !path.starts_with('/') || path.chars().any(char::is_control) {
                return Err(Refusal::Validate);
            }
            if rates.insert(path.to_owned(), rate).is_some() {
                return Err(Refusal::Validate);
            }
        }
        Ok(Self(rates))
    }

    fn render(&self) -> String {
        let entries: Vec<_> = self.0.iter().map(|(path, rate)| format!("{path}:{rate}")).collect();
        entries.join(";")
    }

    fn accepted() -> String {
        "path:bytes per second, separated by ';', each path once and from '/'".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_written_as_they_are_read() {
        let rates = DiskRates::parse(" /mnt/b:0 ; /mnt/a:b:50M;").expect("rates");
        assert_eq!(
            (rates.get("/mnt/a:b"), rates.get("/mnt/b"), rates.get("/mnt")),
            (Some(52_428_800), Some(0), None)
        );
        assert_eq!(rates.render(), "/mnt/a:b:52428800;/mnt/b:0");
        assert_eq!(DiskRates::parse(&rates.render()), Ok(rates));
        assert_eq!(DiskRates::parse(""), Ok(DiskRates::default()));
    }

    #[test]
    fn what_is_taken_back_is_gone() {
        let mut rates = DiskRates::default();
        rates.set("/a", Some(1));
        rates.set("/b", Some(2));
        rates.set("/a", None);
        assert_eq!(rates.paths().collect::<Vec<_>>(), ["/b"]);
    }

    #[test]
    fn what_is_no_list_of_rates_is_refused() {
        for text in ["/a", "a:1", "/a:-1", "/a:x", "/a:", ":1", "/a:1;/a:2", "/a:9223372036854775808"] {
            assert_eq!(DiskRates::parse(text), Err(Refusal::Validate), "{text:?}");
        }
    }
}
