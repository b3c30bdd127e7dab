// What the theme leaves out for screen readers and keyboards: levels of the captions in the menu,
// a name for it, and a way to scroll long lines and wide tables without a mouse.
document.addEventListener("DOMContentLoaded", () => {
  for (const caption of document.querySelectorAll(".caption[role=heading]")) {
    caption.setAttribute("aria-level", "2");
  }
  document.querySelector(".sidebar-drawer")?.setAttribute("aria-label", "Pages");
  document.querySelector(".toc-drawer")?.setAttribute("aria-label", "On this page");
  for (const wide of document.querySelectorAll("pre, .table-wrapper")) {
    wide.setAttribute("tabindex", "0");
  }
});
