// Shows passwords on demand and checks rules as one types. Forms work without this, and the server decides.

const template = document.getElementById("show-password");
for (const box of document.querySelectorAll(".secret")) {
  const field = box.querySelector("input");
  const button = template.content.firstElementChild.cloneNode(true);
  const show = (isShown) => {
    field.type = isShown ? "text" : "password";
    button.setAttribute("aria-pressed", isShown);
  };
  // Nothing may learn a password that is shown as text.
  field.spellcheck = false;
  field.autocapitalize = "none";
  button.setAttribute("aria-controls", field.id);
  button.addEventListener("click", () => show(field.type === "password"));
  // Browsers offer to keep what is sent by a field for passwords only.
  field.form.addEventListener("submit", () => show(false));
  addEventListener("pageshow", () => show(false));
  box.append(button);
}

// Returns a text with the wide forms of ASCII as ASCII, as the server folds them.
function narrow(text) {
  return text.replace(/[\uff01-\uff5e]/g, (wide) => String.fromCharCode(wide.charCodeAt(0) - 0xfee0));
}

// Returns whether a value keeps a rule, or null if only the server can tell.
function isMet({ pattern, differsFrom }, value, form) {
  if (pattern) return new RegExp(pattern, "su").test(value);
  if (!differsFrom) return null;
  const other = form.elements[differsFrom].value.trim().toLowerCase();
  return value.trim().toLowerCase() !== other;
}

for (const list of document.querySelectorAll(".rules")) {
  const field = document.getElementById(list.dataset.of);
  const check = () => {
    // Spaces around a name are ignored, those of a password count.
    const isName = field.autocomplete === "username";
    const value = isName ? narrow(field.value.trim()).normalize() : field.value;
    for (const rule of list.children) {
      const met = value === "" ? null : isMet(rule.dataset, value, field.form);
      rule.className = met === null ? "" : met ? "met" : "unmet";
      rule.querySelector(".unseen").textContent = met === null ? "" : met ? "Met: " : "Not met: ";
    }
  };
  for (const rule of list.children) {
    const state = document.createElement("span");
    state.className = "unseen";
    rule.prepend(state);
  }
  // Some password managers fire only the second.
  for (const event of ["input", "change"]) field.form.addEventListener(event, check);
  addEventListener("pageshow", check);
}
