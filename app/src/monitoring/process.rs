//! `process_*`: the operating system's figures about this process, under the names that Prometheus'
//! client libraries use. They are read from `/proc`. Without it, nothing is exported.

use std::fs;

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{Counter, Gauge};

/// The ticks per second of times in `/proc`, which is the same on every Linux architecture that Rust's
/// standard library supports.
const TICKS: f64 = 100.0;

const KIB: f64 = 1024.0;

/// Reads the figures of the process each time they are requested.
pub(crate) struct Process {
    cpu: Counter,
    resident: Gauge,
    virtual_memory: Gauge,
    open_files: Gauge,
    max_files: Gauge,
    threads: Gauge,
    start: Gauge,
}

/// The figures from `/proc`.
struct Figures {
    cpu_seconds: f64,
    resident_bytes: f64,
    virtual_bytes: f64,
    open_files: f64,
    max_files: f64,
    threads: f64,
    start_seconds: f64,
}

impl Process {
    /// # Errors
    /// If a name is not allowed for a metric, which is a mistake in this file.
    pub(crate) fn new() -> prometheus::Result<Self> {
        Ok(Self {
            cpu: Counter::new(
                "process_cpu_seconds_total",
                "Processor time used, in seconds",
            )?,
            resident: Gauge::new("process_resident_memory_bytes", "Resident memory, in bytes")?,
            virtual_memory: Gauge::new("process_virtual_memory_bytes", "Virtual memory, in bytes")?,
            open_files: Gauge::new("process_open_fds", "Open file descriptors")?,
            max_files: Gauge::new("process_max_fds", "Maximum number of open file descriptors")?,
            threads: Gauge::new("process_threads", "Operating system threads")?,
            start: Gauge::new(
                "process_start_time_seconds",
                "Start time of the process, in seconds since 1970",
            )?,
        })
    }
}

impl Collector for Process {
    fn desc(&self) -> Vec<&Desc> {
        let gauges = [
            &self.resident,
            &self.virtual_memory,
            &self.open_files,
            &self.max_files,
            &self.threads,
            &self.start,
        ];
        let gauges = gauges.into_iter().flat_map(Collector::desc);
        self.cpu.desc().into_iter().chain(gauges).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let Some(figures) = figures() else {
            return Vec::new();
        };
        let used = figures.cpu_seconds - self.cpu.get();
        // Of two concurrent requests, the later one may bring the earlier figure.
        self.cpu.inc_by(used.max(0.0));
        let gauges = [
            (&self.resident, figures.resident_bytes),
            (&self.virtual_memory, figures.virtual_bytes),
            (&self.open_files, figures.open_files),
            (&self.max_files, figures.max_files),
            (&self.threads, figures.threads),
            (&self.start, figures.start_seconds),
        ];
        let mut families = self.cpu.collect();
        for (gauge, value) in gauges {
            gauge.set(value);
            families.extend(gauge.collect());
        }
        families
    }
}

fn figures() -> Option<Figures> {
    let read = |name: &str| fs::read_to_string(format!("/proc/{name}")).ok();
    let stat = read("self/stat")?;
    // The program's name, in parentheses, may contain anything. The third field follows it.
    let (_, fields) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let field = |number: usize| fields.get(number - 3)?.parse::<f64>().ok();
    let started = field(22)? / TICKS;
    let booted = value_after(&read("stat")?, "btime ")?;
    // One of the open descriptors is the one that reads the list.
    let open = fs::read_dir("/proc/self/fd")
        .ok()?
        .count()
        .saturating_sub(1);
    Some(Figures {
        cpu_seconds: (field(14)? + field(15)?) / TICKS,
        resident_bytes: value_after(&read("self/status")?, "VmRSS:")? * KIB,
        virtual_bytes: field(23)?,
        open_files: u32::try_from(open).ok()?.into(),
        // "unlimited" is not a number.
        max_files: value_after(&read("self/limits")?, "Max open files").unwrap_or(f64::INFINITY),
        threads: field(20)?,
        start_seconds: booted + started,
    })
}

/// Returns the number that follows this beginning of a line.
fn value_after(text: &str, beginning: &str) -> Option<f64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(beginning))?;
    rest.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;

    #[test]
    fn the_figures_are_those_of_this_process() {
        let before = figures().unwrap();
        let files = (0..5).map(|_| fs::File::open("/proc/self/stat").unwrap());
        let files = files.collect::<Vec<_>>();
        // Other tests in this process open and close files too, but not as many at once.
        let after = figures().unwrap();
        assert!(before.open_files >= 3.0 && after.open_files >= 5.0);
        drop(files);
        assert!(before.threads >= 1.0 && before.max_files > before.open_files);
        assert!(before.resident_bytes > KIB * KIB && before.virtual_bytes >= before.resident_bytes);
        assert!(after.cpu_seconds >= before.cpu_seconds);
        let now = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap()
            .as_secs_f64();
        // The boot time is rounded.
        let age = now - before.start_seconds;
        assert!((-2.0..=3600.0 * 24.0).contains(&age), "{age}");
    }

    #[test]
    fn values_are_found_by_the_beginning_of_their_line() {
        let text = "cpu 1 2\nbtime 1700000000\nMax open files            1024    4096   files\n";
        assert_eq!(value_after(text, "btime "), Some(1_700_000_000.0));
        assert_eq!(value_after(text, "Max open files"), Some(1024.0));
        assert_eq!(
            value_after("Max open files   unlimited  x\n", "Max open files"),
            None
        );
    }
}
