//! Makes cargo run `embed_migrations!` again when only an SQL file changes.

fn main() {
    println!("cargo:rerun-if-changed=migrations");
}
