//! Tables of fixed width.

/// Formats rows under a header: the first and, if `prose_last`, the last column to the left, the
/// others to the right.
pub fn table(header: Vec<String>, rows: Vec<Vec<String>>, prose_last: bool) -> String {
    let columns = header.len();
    let mut widths = vec![0; columns];
    for row in std::iter::once(&header).chain(&rows) {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let is_left = |column: usize| column == 0 || prose_last && column + 1 == columns;
    let line = |row: &[String]| {
        let cells = row.iter().zip(&widths).enumerate();
        let cells = cells.map(|(column, (cell, width))| {
            if is_left(column) {
                format!("{cell:<width$}")
            } else {
                format!("{cell:>width$}")
            }
        });
        let cells: Vec<String> = cells.collect();
        format!("{}\n", cells.join(" | ").trim_end())
    };
    let rule: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
    let rows: String = rows.iter().map(|row| line(row)).collect();
    format!("{}{}\n{rows}", line(&header), rule.join("-|-"))
}

#[cfg(test)]
mod tests {
    use super::table;

    #[test]
    fn columns_are_as_wide_as_their_longest_cell() {
        let row = |cells: [&str; 3]| cells.map(str::to_owned).to_vec();
        let rows = vec![
            row(["ours", "41", "-"]),
            row(["axum_tower", "5", "changes"]),
        ];
        let expected = "server     | read/s | loses\n\
                        -----------|--------|--------\n\
                        ours       |     41 | -\n\
                        axum_tower |      5 | changes\n";
        assert_eq!(
            table(row(["server", "read/s", "loses"]), rows, true),
            expected
        );
    }
}
