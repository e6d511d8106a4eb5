// Comforts of the administrators' pages, which work without them.

// Selects all sessions of the page.
const all = document.getElementById("select-all");
if (all) {
  const boxes = [...document.querySelectorAll("#session-list tbody input[type=checkbox]")];
  const button = document.getElementById("end-selected");
  const show = () => {
    const number = boxes.filter((box) => box.checked).length;
    all.checked = number === boxes.length;
    all.indeterminate = number > 0 && number < boxes.length;
    button.textContent = number > 0 ? `End ${number} selected` : "End selected";
  };
  all.hidden = false;
  all.addEventListener("change", () => {
    for (const box of boxes) box.checked = all.checked;
    show();
  });
  for (const box of boxes) box.addEventListener("change", show);
  addEventListener("pageshow", show);
}

// Adds a button to copy an identifier.
for (const text of navigator.clipboard ? document.querySelectorAll("[data-copy]") : []) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "quiet small";
  button.textContent = "Copy";
  button.setAttribute("aria-label", `Copy ${text.textContent}`);
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(text.textContent);
    button.textContent = "Copied";
    setTimeout(() => (button.textContent = "Copy"), 2000);
  });
  text.after(" ", button);
}
