// The picture of an explorer and its words. While a slider moves, frames that the kernel rendered ahead stand in for the
// exact picture until that arrives. frames.js, with `nearest` and `show`, stands before this in the widget's module.

const FINE = 20; // a frame stands in for its neighbours, up to a twentieth of the slider

const address = (data) => URL.createObjectURL(new Blob([data], { type: "image/png" }));

export default () => {
  const places = new Set(); // where the picture stands: a reader may open several views of one output
  const frames = new Map(); // stop of the slider -> { picture, sentence, kind }
  const sliders = {}, boxes = {};
  let exact = null;
  let shown = null;
  let swept = null; // name of the slider that the frames belong to

  const free = (url) => {
    const used = [exact, shown, ...frames.values()].some((frame) => frame.picture === url);
    if (!used) URL.revokeObjectURL(url);
  };
  const put = (place, frame) => {
    show(place, frame);
    place.image.dataset.kind = frame.kind;
  };
  const turn = (frame) => {
    const before = shown;
    shown = frame;
    places.forEach((place) => put(place, frame));
    free(before.picture);
  };
  const forget = (stop) => {
    const { picture } = frames.get(stop);
    frames.delete(stop);
    free(picture);
  };
  const stopOf = (name, value) => nearest(sliders[name].get("stops"), value);

  const moved = (name) => {
    if (name !== swept) return;
    const stops = sliders[name].get("stops");
    const stop = stopOf(name, sliders[name].get("value"));
    if (stop === stopOf(name, exact.parameters[name])) {
      turn(exact);
      return;
    }
    const near = [...frames.keys()].sort((a, b) => Math.abs(a - stop) - Math.abs(b - stop))[0];
    if (near === undefined || Math.abs(near - stop) * FINE > stops.length) {
      shown = { ...shown, kind: "late" }; // the next exact picture, of whichever state, is better
    } else if (near !== stop) {
      turn({ ...frames.get(near), sentence: shown.sentence, kind: "neighbour" });
    } else {
      turn(frames.get(stop));
      boxes[name].set("value", stops[stop]);
    }
  };

  return {
    async initialize({ model }) {
      const take = () => {
        const before = exact;
        const parameters = model.get("parameters");
        exact = { picture: address(model.get("value")), sentence: model.get("words"), kind: "exact", parameters };
        shown ??= exact;
        const ahead = ["frame", "neighbour"].includes(shown.kind) &&
          stopOf(swept, sliders[swept].get("value")) !== stopOf(swept, parameters[swept]);
        if (!ahead) turn(exact); // else the slider is further on, and what stands is nearer to it
        if (before) free(before.picture);
      };
      take();
      model.on("change:parameters", take);
      model.on("msg:custom", (message, buffers) => {
        if ("sweep" in message) {
          if (swept && shown.kind !== "exact") shown = { ...shown, kind: "late" };
          swept = message.sweep;
          [...frames.keys()].forEach(forget);
        } else if ("frame" in message) {
          message.drop.forEach(forget);
          frames.set(message.frame, { picture: address(buffers[0]), sentence: message.words, kind: "frame" });
        }
      });
      const find = (reference) => model.widget_manager.get_model(reference.slice("IPY_MODEL_".length));
      for (const [name, reference] of Object.entries(model.get("sliders"))) {
        sliders[name] = await find(reference);
        boxes[name] = await find(model.get("boxes")[name]);
        sliders[name].on("change:value", () => moved(name));
      }
    },

    render({ model, el }) {
      const place = { image: document.createElement("img"), words: document.createElement("div") };
      const width = `${model.get("width")}px`;
      place.image.className = "rmt-lab-picture";
      place.image.style.cssText = `display: block; width: ${width}; max-width: 100%; height: auto`;
      place.words.setAttribute("role", "status"); // the same element always: a screen reader reads what changes in it
      place.words.setAttribute("aria-live", "polite");
      place.words.style.cssText = `font-size: 16px; line-height: 1.35; min-height: 6.75em; max-width: ${width}`;
      put(place, shown);
      places.add(place);
      el.append(place.image, place.words);
      return () => places.delete(place);
    },
  };
};
