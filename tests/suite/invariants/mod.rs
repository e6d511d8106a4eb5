//! The invariants of docs/architecture.md: a file or folder for each.

mod i10_sweep;
mod i11_blast_radius;
mod i12;
mod i13_read_back;
mod i1_no_lost_update;
mod i1_stale_set;
mod i2_no_resurrection;
mod i3_no_fixation;
mod i4_expiry;
mod i5_durability;
mod i6;
mod i7_forged_cookies;
mod i8;
mod i9_statements;
