//! I12: what cannot be used is refused at once and by name.

mod refused_by_name;
mod sqlite_files;
