//! What `run` measured: lines of round, server, metric and value, separated by tabs.

use std::collections::BTreeMap;

/// The first line of a file that `run --out` wrote.
const HEADER: &str = "round\tserver\tmetric\tvalue";

/// PostgreSQL measured by pgbench: a server of the results that is no row of the tables.
pub const PGBENCH: &str = "pgbench";

/// The values of all rounds, by server and metric.
#[derive(Default)]
pub struct Results {
    servers: Vec<String>,
    values: BTreeMap<String, BTreeMap<String, Vec<f64>>>,
}

impl Results {
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut results = Self::default();
        for line in text.lines().filter(|line| *line != HEADER) {
            let wrong = || format!("not a line of results: {line:?}");
            let fields: Vec<&str> = line.split('\t').collect();
            let &[_, server, metric, value] = fields.as_slice() else {
                return Err(wrong());
            };
            let value = value.parse().map_err(|_| wrong())?;
            results.add(server, metric, value);
        }
        Ok(results)
    }

    fn add(&mut self, server: &str, metric: &str, value: f64) {
        if server != PGBENCH && !self.values.contains_key(server) {
            self.servers.push(server.to_owned());
        }
        let metrics = self.values.entry(server.to_owned()).or_default();
        metrics.entry(metric.to_owned()).or_default().push(value);
    }

    /// The servers, in the order in which they were measured.
    pub fn servers(&self) -> impl Iterator<Item = &str> {
        self.servers.iter().map(String::as_str)
    }

    pub fn has(&self, server: &str) -> bool {
        self.values.contains_key(server)
    }

    /// The metrics of a server, by name.
    pub fn metrics(&self, server: &str) -> impl Iterator<Item = (&str, &[f64])> {
        let metrics = self.values.get(server).into_iter().flatten();
        metrics.map(|(name, values)| (name.as_str(), values.as_slice()))
    }

    /// The values of the rounds. Empty if the server was not measured so.
    pub fn rounds(&self, server: &str, metric: &str) -> &[f64] {
        let metrics = self.values.get(server);
        metrics
            .and_then(|metrics| metrics.get(metric))
            .map_or(&[], Vec::as_slice)
    }

    /// The median over the rounds.
    pub fn typical(&self, server: &str, metric: &str) -> Option<f64> {
        median(self.rounds(server, metric))
    }

    /// The quotient of the medians of two servers.
    pub fn ratio(&self, server: &str, other: &str, metric: &str) -> Option<f64> {
        let (part, whole) = (self.typical(server, metric)?, self.typical(other, metric)?);
        (whole > 0.0).then(|| part / whole)
    }

    /// The percentage of the answered increments of a load that the stored counts lack, the median
    /// over the rounds. Increments that were stored but no longer answered when the load ended
    /// could make it negative, so it is at least 0.
    pub fn lost(&self, server: &str, load: &str) -> Option<f64> {
        let answered = self.rounds(server, &format!("{load}_answered"));
        let stored = self.rounds(server, &format!("{load}_stored"));
        let lost = answered.iter().zip(stored).map(|(answered, stored)| {
            if *answered > 0.0 {
                (100.0 * (1.0 - stored / answered)).max(0.0)
            } else {
                0.0
            }
        });
        median(&lost.collect::<Vec<_>>())
    }
}

/// Returns the middle value, of an even number of values the mean of the two in the middle.
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let upper = *sorted.get(sorted.len() / 2)?;
    if sorted.len() % 2 == 1 {
        return Some(upper);
    }
    Some((sorted[sorted.len() / 2 - 1] + upper) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::{Results, median};

    #[test]
    fn the_median_is_the_middle_of_the_sorted_values() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[9.0, 1.0, 5.0]), Some(5.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 90.0]), Some(3.0));
    }

    #[test]
    fn ratios_are_of_medians_and_absent_without_a_measurement() {
        let text = "round\tserver\tmetric\tvalue\n\
                    1\ta\tread_1_per_s\t30\n2\ta\tread_1_per_s\t10\n3\ta\tread_1_per_s\t20\n\
                    1\tb\tread_1_per_s\t8\n1\tpgbench\tselect_per_s\t7\n";
        let results = Results::parse(text).unwrap();
        assert_eq!(results.servers().collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(results.ratio("a", "b", "read_1_per_s"), Some(2.5));
        assert_eq!(results.ratio("a", "b", "read_4_per_s"), None);
    }

    #[test]
    fn lost_is_the_part_of_the_answered_increments_that_is_not_stored() {
        let text = "1\ta\thot_64_answered\t200\n1\ta\thot_64_stored\t50\n\
                    1\tb\thot_64_answered\t100\n1\tb\thot_64_stored\t101\n";
        let results = Results::parse(text).unwrap();
        assert_eq!(results.lost("a", "hot_64"), Some(75.0));
        assert_eq!(results.lost("b", "hot_64"), Some(0.0));
        assert_eq!(results.lost("a", "count_64"), None);
    }

    #[test]
    fn a_line_that_is_no_result_is_refused() {
        assert!(Results::parse("1\ta\tread_1_per_s\n").is_err());
        assert!(Results::parse("1\ta\tread_1_per_s\tfast\n").is_err());
    }
}
