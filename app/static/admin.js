// Selects all sessions of the administrators' list, which works without this.
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
