//! The application as people meet it: the program itself, and Chromium to visit it.

mod admin;
mod alone;
mod dashboard;
mod devices;
mod every_page;
