//! What the machine says of itself: caches, processor time, peak memory. Linux only, from `/proc`.

use std::fs;
use std::process::Command;
use std::time::Duration;

use nix::sys::resource::{Usage, UsageWho, getrusage};

/// Writes back everything and empties the page cache. Without the right to do so runs are warm, which is said once.
pub(crate) fn drop_caches() {
    static WARNED: std::sync::Once = std::sync::Once::new();
    nix::unistd::sync();
    if let Err(error) = fs::write("/proc/sys/vm/drop_caches", "3") {
        WARNED.call_once(|| eprintln!("caches stay warm: /proc/sys/vm/drop_caches: {error}"));
    }
}

/// Bytes in the page cache, without shared memory: images of disks in memory are not cache.
pub(crate) fn page_cache_bytes() -> u64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        let number = line.and_then(|rest| rest.trim_start_matches(':').split_whitespace().next());
        number.and_then(|number| number.parse::<u64>().ok()).unwrap_or(0)
    };
    (kib("Cached") + kib("Buffers")).saturating_sub(kib("Shmem")) << 10
}

/// Processor time of this process, or of its children that have ended.
pub(crate) fn cpu_seconds(who: UsageWho) -> f64 {
    let seconds = |usage: Usage| {
        let (user, system) = (usage.user_time(), usage.system_time());
        Duration::from_micros(user.tv_usec().unsigned_abs() + system.tv_usec().unsigned_abs()).as_secs_f64()
            + Duration::from_secs(user.tv_sec().unsigned_abs() + system.tv_sec().unsigned_abs()).as_secs_f64()
    };
    getrusage(who).map_or(0.0, seconds)
}

/// Processor time of another process.
pub(crate) fn cpu_seconds_of(pid: u32) -> f64 {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // After the name in parentheses, which may hold anything: state is field 3, user and system time 14 and 15.
    let after = text.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks: f64 =
        after.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<f64>().ok()).sum();
    // USER_HZ, 100 on every Linux there is.
    ticks / 100.0
}

/// Highest resident set of another process so far, in bytes.
pub(crate) fn peak_memory_bytes(pid: u32) -> u64 {
    status_bytes(pid, "VmHWM:")
}

/// Resident set of another process now, in bytes.
pub(crate) fn memory_bytes(pid: u32) -> u64 {
    status_bytes(pid, "VmRSS:")
}

fn status_bytes(pid: u32, name: &str) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) << 10
}

/// Runs a shell command with these variables set.
pub(crate) fn shell(command: &str, variables: &[(&str, &str)]) -> Result<(), String> {
    let output = Command::new("bash")
        .args(["-o", "pipefail", "-ec", command])
        .envs(variables.iter().copied())
        .output()
        .map_err(|error| format!("bash: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{command}: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr)))
}

/// Whether a program is on the path.
pub(crate) fn is_installed(program: &str) -> bool {
    std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|dir| dir.join(program).is_file()))
}

/// One line on processors, memory and kernel.
pub(crate) fn describe() -> String {
    let first = |path: &str, name: &str| {
        let text = fs::read_to_string(path).unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default().to_owned();
        line.split_once(':').map_or(String::new(), |(_, value)| value.trim().to_owned())
    };
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let (model, memory) = (first("/proc/cpuinfo", "model name"), first("/proc/meminfo", "MemTotal"));
    format!("{processors} x {model}, {memory} of memory, Linux {}", kernel.trim())
}
