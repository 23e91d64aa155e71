// A page that is read from the disk may not fetch other pages: the search then lists titles without an excerpt.
if (location.protocol === "file:") DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;

// A flipbook says how high it is, and is told whether the page is light or dark.
const flipbooks = () => document.querySelectorAll("iframe.flipbook");
const tellTheme = (frame) => frame.contentWindow.postMessage({ theme: document.documentElement.dataset.theme }, "*");
window.addEventListener("message", ({ data, source }) => {
  if (!(data?.flipbook > 0)) return;
  for (const frame of flipbooks()) {
    if (frame.contentWindow !== source) continue;
    frame.style.height = `${data.flipbook}px`;
    tellTheme(frame);
  }
});
const told = new MutationObserver(() => flipbooks().forEach(tellTheme));
told.observe(document.documentElement, { attributeFilter: ["data-theme"] });

// A table that is wider than the page is moved by the arrow keys.
window.addEventListener("load", () => {
  for (const table of document.querySelectorAll(".bd-content table")) {
    if (table.scrollWidth > table.clientWidth) table.tabIndex = 0;
  }
});

// What the theme leaves without a name for a screen reader: the arrows of the contents, and the words in the search button.
window.addEventListener("DOMContentLoaded", () => {
  for (const summary of document.querySelectorAll("nav li.has-children > details > summary")) {
    summary.setAttribute("aria-label", `Pages of ${summary.closest("li").querySelector("a").textContent.trim()}`);
  }
  for (const button of document.querySelectorAll(".search-button-field")) button.removeAttribute("aria-label");
});
