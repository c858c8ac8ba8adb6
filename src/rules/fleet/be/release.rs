//! Which releases of a BE may be asked to move. Up to 2.0.11, and from 2.1.0 to 2.1.4, the call itself can end the BE
//! (apache/doris #36809, mended by #37712). A release that nobody here has read is not known to be good.

use std::fmt;
use std::str::FromStr;

/// A release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Release {
    /// 2 of 2.1.7.
    pub major: u32,
    /// 1 of 2.1.7.
    pub minor: u32,
    /// 7 of 2.1.7.
    pub patch: u32,
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

impl FromStr for Release {
    type Err = ();

    /// `2.1.7`, `doris-2.1.7-rc01`, or a dialect, `2.1`, which is its first release.
    fn from_str(text: &str) -> Result<Self, ()> {
        let from = text.find(|c: char| c.is_ascii_digit()).ok_or(())?;
        let numbers = text[from..].split(|c: char| !c.is_ascii_digit() && c != '.').next().ok_or(())?;
        let mut numbers = numbers.split('.').map(|word| word.parse().map_err(|_| ()));
        let (major, minor) = (numbers.next().ok_or(())??, numbers.next().ok_or(())??);
        Ok(Self { major, minor, patch: numbers.next().unwrap_or(Ok(0))? })
    }
}

/// Why a BE of this release is not asked to move without somebody's explicit yes; `None` where it may be.
pub fn refusal(release: Option<Release>) -> Option<String> {
    let way_out = "accept_known_defects of the member (tabletctl fleet source add --accept-known-defects) says yes to it";
    let Some(release) = release else {
        return Some(format!("its release is not known, so that its defects are not either; {way_out}"));
    };
    let Release { major, minor, patch } = release;
    let crashes = match (major, minor) {
        (0 | 1, _) => true,
        (2, 0) => patch <= 11,
        (2, 1) => patch <= 4,
        _ => false,
    };
    if crashes {
        let text =
            "BEs of release {} can crash on a move (apache/doris #36809)".replace("{}", &release.to_string());
        return Some(format!("{text}; {way_out}"));
    }
    let is_read = matches!((major, minor), (2, 0 | 1) | (3, 0 | 1) | (4, 0));
    (!is_read).then(|| format!("release {release} is not known here; {way_out}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_that_crash_and_those_that_nobody_has_read_are_refused() {
        for (text, word) in [
            ("1.1.5", "#36809"),
            ("1.2.8", "#36809"),
            ("2.0.11", "#36809"),
            ("doris-2.1.4-rc03", "#36809"),
            ("2.1.0", "#36809"),
            ("2.2.0", "not known here"),
            ("5.0.0", "not known here"),
            ("0.15.0", "#36809"),
        ] {
            let why = refusal(text.parse().ok()).unwrap_or_default();
            assert!(why.contains(word) && why.contains("accept_known_defects"), "{text}: {why}");
        }
        for text in ["2.0.12", "2.1.5", "doris-2.1.11", "3.0.0", "3.0.8-rc01", "3.1.0", "4.0.2"] {
            assert_eq!(refusal(text.parse().ok()), None, "{text}");
        }
        for text in ["", "trunk", "doris-master", "3", "9999999999.1.1"] {
            assert!(text.parse::<Release>().is_err(), "{text}");
        }
        assert!(refusal(None).is_some());
    }
}
