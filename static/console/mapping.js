// Rows of a mapping: one more, one less. Without it the empty rows at the end do.

document.addEventListener("click", (event) => {
  const add = event.target.closest("[data-add-row]");
  if (add) {
    const template = add.parentElement.querySelector("template");
    template.before(template.content.cloneNode(true));
    template.previousElementSibling.querySelector("input").focus();
  }
  const remove = event.target.closest("[data-remove-row]");
  if (remove) {
    const row = remove.closest(".mapping-row");
    const next = row.nextElementSibling?.querySelector("input") ?? row.parentElement.querySelector("[data-add-row]");
    const form = row.closest("form");
    row.remove();
    next.focus();
    form.dispatchEvent(new Event("change", { bubbles: true }));
  }
});
