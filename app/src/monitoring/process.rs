//! `process_*`: what the operating system knows of this process, under the names that Prometheus'
//! client libraries give it. Read from `/proc`; where there is none, nothing is exported.

use std::fs;

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{Counter, Gauge};

/// Ticks of `/proc` in a second: Linux shows times in this unit on every architecture that Rust's
/// standard library supports.
const TICKS: f64 = 100.0;

const KIB: f64 = 1024.0;

/// Reads the process' figures each time they are asked for.
pub(crate) struct Process {
    cpu: Counter,
    resident: Gauge,
    virtual_memory: Gauge,
    open_files: Gauge,
    max_files: Gauge,
    threads: Gauge,
    start: Gauge,
}

/// What `/proc` says.
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
    /// When a name is none of a metric, which is a mistake in this file.
    pub(crate) fn new() -> prometheus::Result<Self> {
        Ok(Self {
            cpu: Counter::new(
                "process_cpu_seconds_total",
                "Processor time that was used, in seconds",
            )?,
            resident: Gauge::new("process_resident_memory_bytes", "Resident memory, in bytes")?,
            virtual_memory: Gauge::new("process_virtual_memory_bytes", "Virtual memory, in bytes")?,
            open_files: Gauge::new("process_open_fds", "Open file descriptors")?,
            max_files: Gauge::new("process_max_fds", "Most file descriptors that may be open")?,
            threads: Gauge::new("process_threads", "Threads of the operating system")?,
            start: Gauge::new(
                "process_start_time_seconds",
                "When the process started, in seconds since 1970",
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
        // Two who ask at once may read it in the other order.
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
    // The program's name, in brackets, may hold anything; the third field comes after it.
    let (_, fields) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let field = |number: usize| fields.get(number - 3)?.parse::<f64>().ok();
    let started = field(22)? / TICKS;
    let booted = value_after(&read("stat")?, "btime ")?;
    // Of the open ones, one reads the list.
    let open = fs::read_dir("/proc/self/fd")
        .ok()?
        .count()
        .saturating_sub(1);
    Some(Figures {
        cpu_seconds: (field(14)? + field(15)?) / TICKS,
        resident_bytes: value_after(&read("self/status")?, "VmRSS:")? * KIB,
        virtual_bytes: field(23)?,
        open_files: u32::try_from(open).ok()?.into(),
        // "unlimited" is no number.
        max_files: value_after(&read("self/limits")?, "Max open files").unwrap_or(f64::INFINITY),
        threads: field(20)?,
        start_seconds: booted + started,
    })
}

/// The number after the beginning of a line.
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
        // Other tests of this process open and close files, though not so many at once.
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
        // The time of the boot is rounded.
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
