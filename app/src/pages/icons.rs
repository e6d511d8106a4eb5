//! The icons of the pages, drawn on a grid of 24 by 24 units, as in `{{ "user"|icon }}`.

/// Names and shapes.
const ICONS: [(&str, &str); 34] = [
    (
        "desktop",
        r#"<rect x="3" y="4" width="18" height="12" rx="2"/><path d="M8 20h8M12 16v4"/>"#,
    ),
    (
        "phone",
        r#"<rect x="7" y="2.5" width="10" height="19" rx="2.5"/><path d="M11 18.5h2"/>"#,
    ),
    (
        "tablet",
        r#"<rect x="4.5" y="3" width="15" height="18" rx="2.5"/><path d="M11 18h2"/>"#,
    ),
    (
        "bot",
        r#"<rect x="4" y="8" width="16" height="11" rx="3"/><path d="M12 8V4.5M9 13v1.5M15 13v1.5M1.5 12.5v3M22.5 12.5v3"/>"#,
    ),
    (
        "terminal",
        r#"<rect x="3" y="4" width="18" height="16" rx="2"/><path d="m7 9 3 3-3 3M12.5 15H17"/>"#,
    ),
    (
        "unknown",
        r#"<circle cx="12" cy="12" r="9"/><path d="M9.5 9.5a2.5 2.5 0 1 1 3.6 2.2c-.8.4-1.1.9-1.1 1.8M12 16.5v.1"/>"#,
    ),
    (
        "user",
        r#"<circle cx="12" cy="8" r="4"/><path d="M4.5 20.5c1-4 4-6 7.5-6s6.5 2 7.5 6"/>"#,
    ),
    (
        "users",
        r#"<circle cx="9" cy="8" r="3.5"/><path d="M2.5 19.500c.7-3.5 3.3-5 6.5-5s5.8 1.5 6.5 5M16 4.700a3.5 3.5 0 0 1 0 6.600M18.5 14.800c1.7.8 2.7 2.3 3 4.7"/>"#,
    ),
    ("activity", r#"<path d="M2.5 12h4l3-8 5 16 3-8h4"/>"#),
    (
        "chart",
        r#"<path d="M4 4v16h16M8.5 16v-4M13 16V8M17.5 16v-6"/>"#,
    ),
    (
        "list",
        r#"<path d="M9 6h11M9 12h11M9 18h11M4.5 6v.1M4.5 12v.1M4.5 18v.1"/>"#,
    ),
    (
        "settings",
        r#"<path d="M4 7h9M17 7h3M4 17h3M11 17h9"/><circle cx="15" cy="7" r="2"/><circle cx="9" cy="17" r="2"/>"#,
    ),
    (
        "sign-out",
        r#"<path d="M14 4H6.500A1.5 1.5 0 0 0 5 5.500v13A1.5 1.5 0 0 0 6.5 20H14M10 12h11M17.5 8l3.5 4-3.5 4"/>"#,
    ),
    (
        "sign-in",
        r#"<path d="M10 4h7.500A1.5 1.5 0 0 1 19 5.500v13a1.5 1.5 0 0 1-1.5 1.500H10M3 12h11M10.5 8l3.5 4-3.5 4"/>"#,
    ),
    (
        "trash",
        r#"<path d="M4 7h16M9.5 7V4.500h5V7M6.5 7l.8 12.500h9.400L17.5 7M10.5 11v5M13.5 11v5"/>"#,
    ),
    ("check", r#"<path d="m4.5 12.5 5 5 10-11"/>"#),
    ("cross", r#"<path d="m6 6 12 12M18 6 6 18"/>"#),
    (
        "warning",
        r#"<path d="M12 4 2.5 20h19ZM12 10v4.500M12 17.300v.1"/>"#,
    ),
    (
        "info",
        r#"<circle cx="12" cy="12" r="9"/><path d="M12 11v5.500M12 7.600v.1"/>"#,
    ),
    (
        "copy",
        r#"<rect x="8.5" y="8.5" width="12" height="12" rx="2"/><path d="M15.5 5.500a2 2 0 0 0-2-2h-8a2 2 0 0 0-2 2v8a2 2 0 0 0 2 2"/>"#,
    ),
    (
        "refresh",
        r#"<path d="M20 11.500A8 8 0 1 0 18 17M20.5 5v6.500H14"/>"#,
    ),
    (
        "download",
        r#"<path d="M12 4v11M7.5 11l4.5 4.5 4.5-4.500M4 20h16"/>"#,
    ),
    (
        "search",
        r#"<circle cx="10.5" cy="10.5" r="6.5"/><path d="m15.5 15.5 5 5"/>"#,
    ),
    (
        "eye",
        r#"<path d="M2 12c2.3-4.3 5.6-6.5 10-6.500s7.7 2.2 10 6.500c-2.3 4.3-5.6 6.5-10 6.500S4.3 16.3 2 12Z"/><circle cx="12" cy="12" r="3"/>"#,
    ),
    (
        "eye-off",
        r#"<path d="M2 12c2.3-4.3 5.6-6.5 10-6.500s7.7 2.2 10 6.500c-2.3 4.3-5.6 6.5-10 6.500S4.3 16.3 2 12ZM4 20 20 4"/><circle cx="12" cy="12" r="3"/>"#,
    ),
    ("down", r#"<path d="m6 9.5 6 6 6-6"/>"#),
    ("back", r#"<path d="m14.5 6-6 6 6 6"/>"#),
    ("next", r#"<path d="m9.5 6 6 6-6 6"/>"#),
    (
        "clock",
        r#"<circle cx="12" cy="12" r="9"/><path d="M12 7v5.500l3.5 2"/>"#,
    ),
    (
        "key",
        r#"<circle cx="7.5" cy="12" r="4"/><path d="M11.5 12H21v4M17 12v3"/>"#,
    ),
    (
        "lock",
        r#"<rect x="5" y="10.5" width="14" height="10" rx="2"/><path d="M8 10.500V8a4 4 0 0 1 8 0v2.5"/>"#,
    ),
    (
        "shield",
        r#"<path d="M12 3 5 5.500V11c0 4.8 2.7 8 7 10 4.3-2 7-5.2 7-10V5.500ZM9 11.500l2.2 2.200L15 10"/>"#,
    ),
    (
        "external",
        r#"<path d="M10 5H5.500A1.5 1.5 0 0 0 4 6.500v12A1.5 1.5 0 0 0 5.5 20h12a1.5 1.5 0 0 0 1.5-1.500V14M14 4h6v6M20 4l-9 9"/>"#,
    ),
    (
        "database",
        r#"<ellipse cx="12" cy="6" rx="8" ry="3"/><path d="M4 6v12c0 1.7 3.6 3 8 3s8-1.3 8-3V6M4 12c0 1.7 3.6 3 8 3s8-1.3 8-3"/>"#,
    ),
];

/// Returns the SVG of an icon, if there is one of this name. It only decorates the words beside it, so
/// screen readers pass over it.
pub(super) fn svg(name: &str) -> Option<String> {
    let (_, shapes) = ICONS.iter().find(|(known, _)| *known == name)?;
    let svg = format!(r#"<svg class="icon" viewBox="0 0 24 24" aria-hidden="true">{shapes}</svg>"#);
    Some(svg)
}
