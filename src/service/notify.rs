//! `sd_notify(3)`: one datagram per word to the socket that the service manager named. Without one every call is nothing.

use std::ffi::OsString;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// How often the status line is renewed where no watchdog asks for more.
const STATUS_EVERY: Duration = Duration::from_secs(10);

/// The way to the service manager.
#[derive(Debug)]
pub struct Notify {
    socket: Option<(UnixDatagram, SocketAddr)>,
    watchdog: Option<Duration>,
}

impl Notify {
    /// As `NOTIFY_SOCKET`, `WATCHDOG_USEC` and `WATCHDOG_PID` say.
    pub fn from_env() -> Self {
        let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
        let mine = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
        let watchdog = number("WATCHDOG_USEC").filter(|usec| mine && *usec > 0).map(Duration::from_micros);
        Self { socket: std::env::var_os("NOTIFY_SOCKET").and_then(open), watchdog }
    }

    /// Whether somebody listens.
    pub const fn is_heard(&self) -> bool {
        self.socket.is_some()
    }

    /// How often [`Self::alive`] is to be said: twice as often as the watchdog asks.
    pub fn every(&self) -> Duration {
        self.watchdog.map_or(STATUS_EVERY, |watchdog| (watchdog / 2).min(STATUS_EVERY))
    }

    /// One line about what goes on, before it serves.
    pub fn starting(&self, status: &str) {
        self.say(&format!("STATUS={}", line(status)));
    }

    /// It serves.
    pub fn ready(&self) {
        self.say("READY=1");
    }

    /// It reads its configuration again; [`Self::ready`] ends that. The time is asked for by `Type=notify-reload`.
    pub fn reloading(&self) {
        let now = nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC);
        let usec = now.map_or(0, |time| time.tv_sec() * 1_000_000 + time.tv_nsec() / 1_000);
        self.say(&format!("RELOADING=1\nMONOTONIC_USEC={usec}"));
    }

    /// It lives, and how it stands.
    pub fn alive(&self, status: &str) {
        let watchdog = if self.watchdog.is_some() { "WATCHDOG=1\n" } else { "" };
        self.say(&format!("{watchdog}STATUS={}", line(status)));
    }

    /// It is on its way out.
    pub fn stopping(&self) {
        self.say("STOPPING=1\nSTATUS=running copies keep what is verified");
    }

    /// Never waits: a manager whose socket is full misses a word, and hears the next one.
    fn say(&self, words: &str) {
        if let Some((socket, to)) = &self.socket {
            let _ = socket.send_to_addr(words.as_bytes(), to);
        }
    }
}

fn open(path: OsString) -> Option<(UnixDatagram, SocketAddr)> {
    let path = path.into_encoded_bytes();
    // '@' stands for a name in no file system.
    let to = match path.split_first()? {
        (b'@', name) => SocketAddr::from_abstract_name(name),
        _ => SocketAddr::from_pathname(std::ffi::OsStr::from_bytes(&path)),
    };
    let socket = UnixDatagram::unbound().ok()?;
    socket.set_nonblocking(true).ok()?;
    Some((socket, to.ok()?))
}

/// A status is one line: what follows a line end would be another word to the manager.
fn line(status: &str) -> String {
    status.replace(['\n', '\r'], " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard_by(watchdog: Option<Duration>, speak: impl FnOnce(&Notify)) -> Vec<String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let ear = UnixDatagram::bind(&path).unwrap();
        ear.set_nonblocking(true).unwrap();
        speak(&Notify { socket: open(path.into_os_string()), watchdog });
        let mut heard = Vec::new();
        let mut buffer = [0; 200];
        while let Ok(bytes) = ear.recv(&mut buffer) {
            heard.push(String::from_utf8_lossy(&buffer[..bytes]).into_owned());
        }
        heard
    }

    #[test]
    fn words_are_those_of_the_protocol_and_a_status_is_one_line() {
        let heard = heard_by(Some(Duration::from_secs(30)), |notify| {
            notify.starting("opening");
            notify.ready();
            notify.alive("3 tablets\nREADY=0");
            notify.stopping();
        });
        assert_eq!(
            heard,
            [
                "STATUS=opening",
                "READY=1",
                "WATCHDOG=1\nSTATUS=3 tablets READY=0",
                "STOPPING=1\nSTATUS=running copies keep what is verified",
            ]
        );
        assert_eq!(heard_by(None, |notify| notify.alive("x")), ["STATUS=x"]);
    }

    #[test]
    fn the_watchdog_is_answered_twice_as_often_as_it_asks() {
        for (watchdog, every) in [(None, 10_000), (Some(30_000), 10_000), (Some(400), 200)] {
            let notify = Notify { socket: None, watchdog: watchdog.map(Duration::from_millis) };
            assert_eq!(notify.every(), Duration::from_millis(every));
        }
    }
}
