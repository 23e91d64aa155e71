// A slider over pictures that were made before: which one is nearest, and how it is shown with its words.
// A page of frames (flipbook.py) has this file in it; other views take its functions from here.

/** The index of the nearest of some ascending numbers; with `log`, in the ratio. */
export function nearest(values, value, log = false) {
  const at = log ? Math.log : Number;
  let best = 0;
  values.forEach((other, i) => {
    if (Math.abs(at(other) - at(value)) < Math.abs(at(values[best]) - at(value))) best = i;
  });
  return best;
}

/** What a screen reader says of a slider: its label, its value and the start of what is seen. */
export function spoken(label, value, sentence) {
  const start = sentence.match(/^.{50,}?(?=[:;,.]( |$))/);
  const named = label.includes("…") ? label.replace("…", value) : `${label} ${value}`;
  return `${named}: ${start ? start[0] : sentence}`;
}

/** Show a frame `{ picture, sentence }` where `place` has an `image` and the element of its `words`. */
export function show(place, frame) {
  if (place.image.src !== frame.picture) place.image.src = frame.picture;
  place.image.alt = frame.sentence;
  if (place.words.textContent !== frame.sentence) place.words.textContent = frame.sentence;
}

/** Bring a page of frames to life. The first `steps` of its frames are those of the slider; presets may have others. */
export function flipbook(root, { label, steps, log, frames, presets }) {
  const stops = frames.slice(0, steps).map((frame) => frame.at);
  const find = (name) => root.querySelector(`.${name}`);
  const place = { image: find("picture"), words: find("words") };
  const slider = find("slider"), value = find("value"), state = find("state"), note = find("note");
  const buttons = presets.map((preset) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = preset.name;
    button.addEventListener("click", () => turn(preset.frame));
    find("presets").append(button);
    return button;
  });
  const turn = (number) => {
    const frame = frames[number];
    show(place, frame);
    slider.value = nearest(stops, frame.at, log);
    slider.setAttribute("aria-valuetext", spoken(label, frame.value, frame.sentence));
    value.textContent = frame.value;
    state.textContent = frame.state;
    note.textContent = frame.note;
    root.classList.toggle("away", number >= steps);
    presets.forEach((preset, i) => buttons[i].setAttribute("aria-pressed", preset.frame === number));
  };
  slider.addEventListener("input", () => turn(Number(slider.value)));
  turn(Number(slider.value));
  find("controls").hidden = false;
  if (window.parent !== window) {
    root.classList.add("framed"); // the page around it has the title, and is told how high this one is
    const tell = () => window.parent.postMessage({ flipbook: Math.ceil(root.getBoundingClientRect().height) }, "*");
    new ResizeObserver(tell).observe(root);
    window.addEventListener("message", ({ data }) => {
      if (["light", "dark"].includes(data?.theme)) document.documentElement.style.colorScheme = data.theme;
    });
  }
}
