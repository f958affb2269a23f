/* What HTML cannot do alone: rows by keyboard, drafts that save themselves, one submit per form,
   filters that apply at once. Every page works without it. */
"use strict";

/* Rows: ↓ and ↑ move between the rows' first links, Enter follows them as any link. */
document.addEventListener("keydown", (event) => {
  if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
  const row = event.target.closest?.("tbody tr");
  if (!row || event.target.matches("input, select, textarea")) return;
  const links = [...row.parentElement.querySelectorAll("tr")]
    .map((one) => one.querySelector("a, button, summary"))
    .filter(Boolean);
  const here = links.indexOf(row.querySelector("a, button, summary"));
  const next = links[here + (event.key === "ArrowDown" ? 1 : -1)];
  if (next) {
    event.preventDefault();
    next.focus();
  }
});

/* "/" goes to the search, Escape closes an open menu. */
document.addEventListener("keydown", (event) => {
  if (event.key === "/" && !event.target.matches("input, select, textarea")) {
    const search = document.querySelector(".search input");
    if (search) {
      event.preventDefault();
      search.focus();
    }
  }
  if (event.key === "Escape") {
    const open = document.querySelector("details.menu[open]");
    if (open) {
      open.open = false;
      open.querySelector("summary").focus();
    }
  }
});

document.addEventListener("click", (event) => {
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    if (!menu.contains(event.target)) menu.open = false;
  }
});

/* Filters apply as soon as one is chosen. */
document.addEventListener("change", (event) => {
  if (event.target.matches("form[data-at-once] select")) event.target.form.requestSubmit();
});

/* One submit per form: a second press of the same button sends nothing. */
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.method !== "post") return;
  if (form.dataset.sent) {
    event.preventDefault();
    return;
  }
  form.dataset.sent = "yes";
  if (form.dataset.draft) sessionStorage.removeItem(`draft:${form.dataset.draft}`);
  event.submitter?.setAttribute("aria-disabled", "true");
});
addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[data-sent]")) {
    delete form.dataset.sent;
    form.querySelector("[aria-disabled]")?.removeAttribute("aria-disabled");
  }
});

/* Drafts: what was typed comes back until it was sent. Passwords and files are never kept. */
for (const form of document.querySelectorAll("form[data-draft]")) {
  const key = `draft:${form.dataset.draft}`;
  const kept = (one) => one.name && !["password", "file", "hidden"].includes(one.type);
  if (!form.querySelector(".wrong") && !form.dataset.filled) {
    for (const [name, value] of Object.entries(JSON.parse(sessionStorage.getItem(key) ?? "{}"))) {
      const field = form.elements.namedItem(name);
      if (!field || !("value" in field) || field instanceof RadioNodeList) continue;
      if (field.type === "checkbox") field.checked = value;
      else field.value = value;
    }
  }
  form.addEventListener("input", () => {
    const typed = {};
    for (const one of form.elements) {
      if (kept(one) && one.type !== "radio") {
        typed[one.name] = one.type === "checkbox" ? one.checked : one.value;
      }
    }
    sessionStorage.setItem(key, JSON.stringify(typed));
  });
}

/* A refused form is read from its first error. */
document.querySelector(".notice.error[tabindex]")?.focus();

/* Logs stay at their end unless the reader went up. */
document.addEventListener("htmx:afterSwap", (event) => {
  const log = event.target.closest?.(".log") ?? event.target.querySelector?.(".log");
  if (log && !log.dataset.read) log.scrollTop = log.scrollHeight;
});

for (const button of document.querySelectorAll("[data-print]")) {
  button.hidden = false;
  button.addEventListener("click", () => print());
}

/* A link to a folded part unfolds it. */
function unfold() {
  const part = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (part instanceof HTMLDetailsElement) part.open = true;
}
addEventListener("hashchange", unfold);
unfold();

/* What is folded on the screen is printed in full. */
addEventListener("beforeprint", () => {
  for (const part of document.querySelectorAll("details.why, details.measure")) part.open = true;
});
