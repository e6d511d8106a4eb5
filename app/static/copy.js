// Adds a button to copy each identifier. Pages work without it.
for (const text of navigator.clipboard ? document.querySelectorAll("[data-copy]") : []) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "quiet small";
  const show = (words) => {
    button.textContent = words;
    button.setAttribute("aria-label", `${words} ${text.textContent}`);
  };
  show("Copy");
  button.addEventListener("click", () => {
    const copied = navigator.clipboard.writeText(text.textContent);
    copied.then(
      () => show("Copied"),
      () => show("Not copied"),
    );
    setTimeout(() => show("Copy"), 2000);
  });
  text.after(" ", button);
}
