// Forms: of a choice only what was chosen is shown, and what a check has found is told to those who can't see it.
(() => {
  "use strict";
  const choices = () => {
    for (const group of document.querySelectorAll("[data-choice-of]")) {
      const field = group.closest("form")?.elements.namedItem(group.dataset.choiceOf);
      if (field) group.hidden = !group.dataset.choice.split(" ").includes(field.value);
    }
  };
  const faults = () => {
    for (const fault of document.querySelectorAll(".wrong[id$=-wrong]")) {
      const field = document.getElementById(fault.id.slice(0, -"-wrong".length));
      if (!field) continue;
      if (fault.hidden) field.removeAttribute("aria-invalid");
      else field.setAttribute("aria-invalid", "true");
    }
  };
  const failed = (event) => {
    const target = event.detail.target;
    if (!target || !["test-answer", "preview", "check"].includes(target.id)) return;
    const words = document.createElement("p");
    words.className = "notice bad";
    words.textContent = "The console couldn't be asked just now. Try again in a moment, or reload the page.";
    target.replaceChildren(words);
  };
  document.addEventListener("change", choices);
  document.addEventListener("htmx:responseError", failed);
  document.addEventListener("htmx:sendError", failed);
  document.addEventListener("htmx:afterSettle", faults);
  choices();
})();
