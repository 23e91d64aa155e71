// A slider that stops at given values: a native range input, so that keyboard, touch and screen readers know it.
// frames.js, with `nearest`, stands before this in the widget's module.

function render({ model, el }) {
  const input = document.createElement("input");
  input.type = "range";
  input.min = 0;
  input.step = 1;
  input.style.cssText = "width: 100%; margin: 0; accent-color: var(--jp-brand-color1, #1976d2)";
  input.dataset.lmSuppressShortcuts = "true"; // JupyterLab would take the arrow keys for its cells
  const words = () => {
    input.setAttribute("aria-valuetext", `${Number(model.get("stops")[input.value].toPrecision(3))}`);
  };
  const follow = () => {
    const stops = model.get("stops");
    input.max = stops.length - 1;
    input.value = nearest(stops, model.get("value"));
    input.disabled = model.get("disabled");
    input.setAttribute("aria-label", model.get("label"));
    words();
  };
  const touched = () => input.disabled || model.send({ touched: true });
  input.addEventListener("input", () => {
    words();
    model.set("value", model.get("stops")[input.value]);
    model.save_changes();
  });
  input.addEventListener("pointerenter", touched);
  input.addEventListener("focus", touched);
  const events = ["change:stops", "change:value", "change:disabled", "change:label"];
  events.forEach((event) => model.on(event, follow));
  follow();
  el.append(input);
  return () => events.forEach((event) => model.off(event, follow));
}

export default { render };
