//! `embed_migrations!` is not run again when only an SQL file changes; this makes cargo do so.

fn main() {
    println!("cargo:rerun-if-changed=migrations");
}
