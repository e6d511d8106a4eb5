//! The application as its users see it: the program itself, visited with Chromium.

mod admin;
mod alone;
mod dashboard;
mod devices;
mod every_page;
mod forms;
